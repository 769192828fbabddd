"""The training loop as text, with the callbacks in their places."""
from collections.abc import Iterable
from copy import copy
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent

from ..train import Callback, Learner
from ..train.callback import EVENTS, handles

LOOP = Path(__file__).with_suffix(".txt").read_text().splitlines()
"""The lines of the loop; an event stands where it is called."""


def show_training_loop(learn: Learner) -> None:
    """Print the loop with the path that a fit takes and the callbacks that handle each event.

    Parameters
    ----------
    learn : Learner
        The learner.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> learn = Learner(DataBunch.create(rows, rows, bs=4), Linear(2, 1, seed=0))
    >>> learn.fast = False
    >>> show_training_loop(learn)
    # plain path: learn.fast is False
    ...
    """
    twin = copy(learn)  # callbacks set attributes of their learner
    callbacks = sorted([*learn.callbacks, *(make(twin) for make in learn.callback_fns)],
                       key=lambda cb: cb._order)
    loop = "\n".join(_line(line, callbacks) for line in LOOP)
    if not learn.fast or find_spec("minifast.fast") is None:
        why = "there is no minifast.fast" if learn.fast else "learn.fast is False"
        print(f"# plain path: {why}\n{loop}")
    else:
        print("with fast.accelerate(model, opt):   # learn.fast = False takes the plain path")
        print(indent(loop, "    "))


def _line(line: str, callbacks: Iterable[Callback]) -> str:
    event = line.strip().removeprefix("on_")
    names = [type(cb).__name__ for cb in callbacks if event in EVENTS and handles(cb, event)]
    return f"{line:<30}{', '.join(names)}".rstrip()
