"""Pictures of graphs and of the backward pass as HTML that needs no server and no network."""
from .graph import note_modules as note_modules
from .page import Picture as Picture
from .player import backward_player as backward_player
from .show import show_graph as show_graph
