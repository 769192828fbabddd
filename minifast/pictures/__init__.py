"""Pictures of graphs, backward passes and optimizers as HTML without a server or a network."""
from .graph import note_modules as note_modules
from .lookup import lookup_picture as lookup_picture
from .one_cycle import one_cycle_slider as one_cycle_slider
from .page import Picture as Picture
from .player import backward_player as backward_player
from .race import optimizer_race as optimizer_race
from .show import show_graph as show_graph
