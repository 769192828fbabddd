"""Trainings in a plain loop, with the fast path and without, and how far apart they end up."""
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import pytest

from minifast import Tensor
from minifast.collab import EmbeddingDotBias
from minifast.datasets import planted_ratings
from minifast.fast import accelerate
from minifast.fast.flat import FlatParameters
from minifast.fast.store import EmbeddingStore
from minifast.nn import Module, MSELossFlat, Parameter
from minifast.optim import SGD, Adam, Optimizer, one_cycle
from minifast.train.scheduler import Scheduler

Array = np.ndarray
MAKERS: dict[str, Callable[..., Optimizer]] = {"SGD": SGD, "Adam": Adam}
RATES = {"SGD": .5, "Adam": 5e-3}
TOLERANCE = {"SGD": 1e-9, "Adam": 1e-8}
"""In float64, for deferred updates. Momentum below 1e-10 of its first size is left out, and Adam's
quotients are more sensitive to that; eight nodes err by less (docs/lazy.md has a table)."""
OPEN = ExitStack()
"""The accelerated trainings of the present test."""


@pytest.fixture(autouse=True)
def trainings_end() -> Iterator[None]:
    """Leave the fast path at the end of each test."""
    yield
    OPEN.close()


# ---------------------------------------------------------------- a look inside

def flats(opt: Any) -> list[FlatParameters]:
    """The flat storages of an accelerated optimizer."""
    return [flat for group in opt.accelerator.flats for flat, _ in group]


def stores(opt: Any) -> list[EmbeddingStore]:
    """The stores of an accelerated optimizer."""
    return [store for flat in flats(opt) for store in flat.stores]


def is_deferred(p: Any) -> bool:
    """Whether the updates of this table are deferred at the moment."""
    return "store" in vars(p) and p.store.deferred is not None


def assert_plain(model: Module, opt: Any) -> None:
    """Nothing of the fast path is left."""
    for module in model.modules():
        assert not type(module).__module__.startswith("minifast.fast")
        assert "owner" not in vars(module)
    for p in model.parameters():
        assert type(p) is Parameter
        assert set(vars(p)) == {"no_wd"}
        for array in (p.data, p.grad):
            whole = getattr(array, "base", None)
            assert whole is None or whole.size == array.size
    if opt is not None:
        assert not type(opt).__module__.startswith("minifast.fast")
        assert {"accelerator", "state"} & set(vars(opt)) == {"state"}


# ---------------------------------------------------------------- comparing

def distance(ours: Any, theirs: Any) -> float:
    """The norm of the difference as a share of the norm of ``theirs``, over all arrays.

    For optimizers the largest of these shares: of averages, mean squares, rates, counts.
    """
    kinds = {k.rpartition(".")[2] for k in theirs.state_dict()} \
        if isinstance(theirs, Optimizer) else {""}
    ours, theirs = (x.state_dict() if hasattr(x, "state_dict") else x for x in (ours, theirs))
    assert ours.keys() == theirs.keys()
    return max(share([k for k in theirs if k.endswith(kind)], ours, theirs) for kind in kinds)


def share(names: list[str], ours: dict[str, Array], theirs: dict[str, Array]) -> float:
    """The norm of the differences of these arrays as a share of the norm of theirs."""
    a, b = (np.concatenate([x[name].ravel().astype(np.float64) for name in names])
            for x in (ours, theirs))
    gap = np.linalg.norm(a - b)
    return float(gap and gap / np.linalg.norm(b))


# ---------------------------------------------------------------- a training in a plain loop

class Known(Scheduler):
    """A schedule that the fast path may look up; the training itself sets hyper-parameters."""

    def __init__(self, n_steps: int, **curves: Callable[[int], float]) -> None:
        self.n_steps, self.position = n_steps, 0
        self.curves = {name: [curve] for name, curve in curves.items()}


class Training:
    """EmbeddingDotBias on planted ratings, 64 at a time; most rows are read rarely.

    Parameters
    ----------
    name : str
        The optimizer.
    fast : bool
        Whether within ``accelerate``.
    dtype : type
        Of weights and ratings.
    wd : float
        Weight decay.
    steps : int
        The length of the one-cycle schedule.
    always, nodes : bool, int
        Passed on to ``accelerate``.
    **options : Any
        Passed on to the optimizer.
    """

    frame = planted_ratings(n_users=1500, n_items=1000, n_ratings=20_000).ratings
    factors, scale, bs = 8, 10., 64

    def __init__(self, name: str, fast: bool, dtype: Any = np.float32, wd: float = .1,
                 steps: int = 400, always: bool = True, nodes: int | None = 8, **options: Any
                 ) -> None:
        n_users, n_items = self.frame[["userId", "movieId"]].max() + 1
        self.model = EmbeddingDotBias(self.factors, n_users, n_items, [0, 5.5], seed=0)
        for p in self.model.parameters():
            p.data = p.data.astype(dtype) * self.scale
        self.opt = MAKERS[name](self.model.parameters(), lr=RATES[name], wd=wd, **options)
        self.lr, self.mom = one_cycle(steps, RATES[name])
        self.known = Known(steps, lr=self.lr, mom=self.mom)
        self.ids = self.frame[["userId", "movieId"]].to_numpy().T
        self.y = self.frame["rating"].to_numpy().astype(dtype)
        self.number, self.fast = 0, fast
        self.accelerate = partial(accelerate, self.model, callbacks=[self.known], always=always,
                                  nodes=nodes)
        if fast:
            OPEN.enter_context(self.accelerate(self.opt))

    def use(self, opt: Optimizer) -> None:
        """Go on with another optimizer, on the same path."""
        self.opt = opt
        if self.fast and "accelerator" not in vars(opt):
            OPEN.enter_context(self.accelerate(opt))

    def backward(self) -> None:
        """Compute the gradient of the next batch."""
        rows = np.random.default_rng(self.number).integers(0, len(self.y), self.bs)
        users, items = (Tensor(ids[rows]) for ids in self.ids)
        MSELossFlat()(self.model(users, items), Tensor(self.y[rows])).backward()

    def step(self, n: int = 1, **hypers: Any) -> "Training":
        """Train with ``n`` batches; ``hypers`` replace what the schedule says."""
        for _ in range(n):
            self.known.position = self.number
            self.opt.set_hypers(lr=self.lr(self.number), mom=self.mom(self.number))
            self.opt.set_hypers(**hypers)
            self.backward()
            self.opt.step()
            self.opt.zero_grad()
            self.number += 1
        return self

    @property
    def deferred(self) -> list[bool]:
        """Of each parameter, whether its updates are deferred."""
        return [is_deferred(p) for p in self.model.parameters()]


def pair(name: str, **options: Any) -> tuple[Training, Training]:
    """The same training twice in float64, where only the method can differ: deferred, dense."""
    return Training(name, True, np.float64, **options), Training(name, False, np.float64, **options)


def assert_equal(ours: Training, theirs: Training, name: str) -> None:
    """Weights and state agree."""
    assert distance(ours.model, theirs.model) < TOLERANCE[name]
    assert distance(ours.opt, theirs.opt) < TOLERANCE[name]
