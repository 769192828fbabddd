"""Learners so small that a test can follow each of their steps."""
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from minifast import Tensor
from minifast.collab import CollabLearner, collab_learner
from minifast.data import ArrayDataset, CollabDataBunch, DataBunch, DataLoader
from minifast.nn import BatchNorm1d, Dropout, Linear, MSELossFlat, ReLU, Sequential
from minifast.optim import SGD
from minifast.train import Callback, Learner
from minifast.train.callback import EVENTS

mpl.use("Agg")  # figures are made, none is shown
Array = np.ndarray


# ---------------------------------------------------------------- sixteen ratings

def ratings() -> pd.DataFrame:
    """The frame of sixteen ratings on which fastai 1.0.51 was run."""
    return pd.DataFrame({"user": np.repeat([1, 2, 3, 4], 4), "item": list("abcdbcdeacdeabde"),
                         "rating": [5, 3, 4, 1, 2, 5, 4, 3, 1, 2, 5, 4, 4, 4, 3, 2]})


def in_order(data: Any) -> Any:
    """The same bunch, its training rows no longer shuffled."""
    data.train_dl = DataLoader(data.train_ds, data.train_dl.bs, drop_last=True)
    return data


def ratings_data(**kwargs: Any) -> CollabDataBunch:
    return CollabDataBunch.from_df(ratings(), **{"valid_pct": .25, "seed": 3, "bs": 4, **kwargs})


def ratings_learner(**kwargs: Any) -> CollabLearner:
    """The recorded run's start: unshuffled, initial weights 0.02 sin(k + j)."""
    learn = collab_learner(in_order(ratings_data()), n_factors=2, y_range=[0, 5.5],
                           **{"wd": .1, **kwargs})
    learn.model.load_state_dict({
        name: (.02 * np.sin(k + np.arange(table.size))).reshape(table.shape)
        for k, (name, table) in enumerate(learn.model.state_dict().items())})
    return learn


# ---------------------------------------------------------------- metrics of one's own
# minifast.metrics has these; tests of the core also run in copies of the package without it

def mae(pred: Tensor, target: Tensor) -> Tensor:
    return (pred.flatten() - target.flatten()).abs().mean()


def rmse(pred: Tensor, target: Tensor) -> Tensor:
    return ((pred.flatten() - target.flatten()) ** 2).mean().sqrt()


def accuracy(pred: Tensor, target: Tensor) -> Tensor:
    return (pred.argmax(-1) == target).float().mean()


# ---------------------------------------------------------------- rows of numbers

def rows(n: int = 24, width: int = 3, seed: int = 0) -> tuple[Array, Array]:
    """Inputs (n, width), and targets (n,) that a straight line explains but for some noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)).astype(np.float32)
    return x, (x.sum(1) + rng.normal(scale=.1, size=n) + 1).astype(np.float32)


def batches(n_batches: int, bs: int = 4, seed: int = 0) -> list[tuple[Array, Array]]:
    x, y = rows(n_batches * bs, seed=seed)
    return [(x[i:i + bs], y[i:i + bs]) for i in range(0, len(x), bs)]


def plain_sgd(groups: Any, **kwargs: Any) -> Any:
    """No momentum: a step is the gradient's, and no other's."""
    return SGD(groups, mom=0., **kwargs)


def line_learner(n_train: int = 2, n_valid: int = 1, **kwargs: Any) -> Learner:
    """A Linear(3, 1) on batches of four rows, always in the same order; plain SGD, no decay."""
    data = DataBunch(batches(n_train), batches(n_valid, seed=1))
    return Learner(data, Linear(3, 1, seed=0), **{"loss_func": MSELossFlat(), "wd": 0.,
                                                  "opt_func": plain_sgd, **kwargs})


def three_groups(drop: float = 0., **kwargs: Any) -> Learner:
    """Two hidden layers with batch norm and dropout, in three layer groups; shuffled rows."""
    net = Sequential(Linear(3, 5, seed=1), ReLU(), BatchNorm1d(5),
                     Linear(5, 4, seed=2), ReLU(), BatchNorm1d(4), Dropout(drop, seed=3),
                     Linear(4, 1, seed=4))
    data = DataBunch.create(ArrayDataset(*rows(40)), ArrayDataset(*rows(12, seed=1)), bs=4, seed=5)
    return Learner(data, net, **kwargs).split([net[3], net[7]])


# ---------------------------------------------------------------- listening

class Spy(Callback):
    """Calls ``hear(event, state)`` at every event; what it returns is given back."""

    def __init__(self, hear: Callable[[str, dict[str, Any]], Any], order: float = 0) -> None:
        self.hear, self._order = hear, order


def _handler(event: str) -> Callable[..., Any]:
    return lambda self, **state: self.hear(event, state)


for _event in EVENTS:
    setattr(Spy, f"on_{_event}", _handler(_event))


def answer(event: str, **changes: Any) -> Spy:
    """A callback that gives back ``changes`` at ``event``, and nothing else."""
    return Spy(lambda heard, state: changes if heard == event else None)


def scripted(values: list[float]) -> Spy:
    """Makes these the validation losses of the epochs, whatever the model does."""
    return Spy(lambda event, state: {"last_metrics": [values[state["epoch"]]]}
               if event == "epoch_end" else None, order=-100)


# ---------------------------------------------------------------- comparing

def frozen_copy(learn: Learner) -> dict[str, bytes]:
    """Weights, buffers and optimizer state, to the bit."""
    opt = {} if learn.opt is None else learn.opt.state_dict()
    state = {**learn.model.state_dict(), **{f"opt.{k}": v for k, v in opt.items()}}
    return {name: array.tobytes() for name, array in state.items()}


def fit_quietly(learn: Learner, epochs: int = 1, lr: Any = .1, **kwargs: Any) -> Learner:
    """Fit without a word."""
    with learn.no_logging():
        learn.fit(epochs, lr, **kwargs)
    return learn


def host(array: Any) -> Array:
    """An array or tensor of any device as NumPy's."""
    return (array if isinstance(array, Tensor) else Tensor(array)).detach().numpy()


def floats(values: Any) -> list[float]:
    return [float(v) for v in values]
