"""Feeding a learner the recorded batches, and listening to what it computes."""
from pathlib import Path
from typing import Any

import numpy as np

from minifast import Tensor
from minifast.backend import default_device
from minifast.data import DataBunch
from minifast.nn import Module
from minifast.train import Callback

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> Any:
    return np.load(GOLDEN / name)


class Recorded:
    """A loader that gives recorded batches, going on where the last pass over it ended."""

    def __init__(self, arrays: list[np.ndarray], batch_sizes: np.ndarray, per_epoch: int) -> None:
        ends = np.cumsum(batch_sizes)
        self.batches = [[a[e - n:e] for a in arrays]
                        for e, n in zip(ends, batch_sizes, strict=True)]
        self.per_epoch, self.at = per_epoch, 0

    def __len__(self) -> int:
        return self.per_epoch

    def __iter__(self) -> Any:
        for _ in range(self.per_epoch):
            *x, y = self.batches[self.at]
            self.at += 1
            yield (x if len(x) > 1 else x[0]), y


class Ear(Callback):
    """Notes each training batch's own loss and the hyper-parameters that it was trained with."""

    _order = 100

    def __init__(self, learn: Any) -> None:
        self.learn = learn
        self.losses: list[float] = []
        self.lrs: list[list[float]] = []
        self.moms: list[list[float]] = []

    def on_batch_begin(self, train: bool = True, **state: Any) -> None:
        if train:
            self.lrs.append(self.learn.opt.get_hyper("lr"))
            self.moms.append(self.learn.opt.get_hyper("mom"))

    def on_backward_begin(self, last_loss: Tensor | None = None, **state: Any) -> None:
        self.losses.append(float(last_loss))


def bunch_of(train: Any, valid: Any, **kwargs: Any) -> DataBunch:
    return DataBunch(train, valid, **kwargs)


def within(bound: float) -> float:
    """A bound for sums in float32: on a GPU they come in another order at each run."""
    return bound if default_device() == "cpu" else max(bound, 1e-4)


def in_float64(model: Module) -> None:
    """Give a model's parameters and buffers 53 bits instead of 24."""
    for _, t in [*model.named_parameters(), *model.named_buffers()]:
        if t.dtype == np.float32:
            t.data = t.data.astype(np.float64)


def rel_l2(ours: np.ndarray, theirs: np.ndarray) -> float:
    norm = np.linalg.norm(theirs.astype(np.float64))
    return float(np.linalg.norm(ours.astype(np.float64) - theirs) / norm) if norm else \
        float(np.abs(ours).max(initial=0))


def weights(record: Any, prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): record[k] for k in record.files if k.startswith(prefix)}
