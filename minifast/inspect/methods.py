"""Methods that this room adds to the Learner."""
from ..train import Learner
from .group_table import group_table
from .interpret import interpret
from .results import show_results
from .summary import summary
from .training_loop import show_training_loop

for _method in (summary, group_table, interpret, show_results, show_training_loop):
    setattr(Learner, _method.__name__, _method)
