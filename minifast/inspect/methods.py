"""Methods that this room adds to the Learner."""
from ..train import Learner
from .group_table import group_table
from .summary import model_summary
from .text_table import Text
from .training_loop import training_loop


def summary(learn: Learner) -> Text:
    """Return a table of the model's layers, output shapes and parameters, and one of its groups."""
    return Text(f"{model_summary(learn)}\n\n{group_table(learn)}")


def show_training_loop(learn: Learner) -> None:
    """Print the training loop with the callbacks of a fit in their places."""
    print(training_loop(learn))


for _method in (summary, group_table, show_training_loop):
    setattr(Learner, _method.__name__, _method)
