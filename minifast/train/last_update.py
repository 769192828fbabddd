"""How far the last step of an epoch has moved each layer group."""
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import Array
from ..optim import Arena, Optimizer
from .callback import Changes, LearnerCallback

if TYPE_CHECKING:
    from .learner import Learner


class LastUpdate(LearnerCallback):
    """Measures the update of each layer group at the last batch of every epoch.

    Only there are the weights copied, when the step before it is done, and compared after it; at
    other batches it makes one comparison. The norms stay on the device until ``ratios`` is
    asked, so no batch waits for a GPU. An epoch that is broken off before its last batch keeps
    the numbers of the epoch before. Every learner has it, as ``learn.last_update``; a new one at
    each fit.
    """

    _order = -10

    def __init__(self, learn: "Learner") -> None:
        super().__init__(learn)
        self.opt: Optimizer | None = None
        self._norms: list[tuple[Any, Any] | None] = []
        self._before: list[tuple[Arena, Array] | None] = []
        self._last = 0

    @property
    def ratios(self) -> list[float | None]:
        """Norm of the update over norm of the weights before it, per group.

        None for a group that was frozen then, or whose weights were all zero. Waits for a GPU.
        """
        numbers = [None if pair is None else (float(pair[0]), float(pair[1]))
                   for pair in self._norms]
        return [pair[0] / pair[1] if pair and pair[1] else None for pair in numbers]

    def on_train_begin(self, **state: Any) -> Changes:
        self.opt = self.learn.opt
        return None

    def on_epoch_begin(self, **state: Any) -> Changes:
        self._before, self._last = [], len(self.learn.data.train_dl) - 1
        self.on_step_end(-1)
        return None

    def on_step_end(self, num_batch: int = 0, **state: Any) -> Changes:
        if num_batch < self._last - 1:
            return None
        self.learn.optimizer.settle()
        arenas = self.learn.optimizer.arenas
        if num_batch == self._last - 1:
            self._before = [None if a is None else (a, a.data.copy()) for a in arenas]
        elif self._before:
            self._norms = [None if pair is None or pair[0] is not arena else _norms(*pair)
                           for pair, arena in zip(self._before, arenas, strict=True)]
            self._before = []
        return None


def _norms(arena: Arena, before: Array) -> tuple[Any, Any]:
    """Of the update, and of the weights before it; a training that diverges is no error here."""
    with np.errstate(all="ignore"):
        return np.linalg.norm(arena.data - before), np.linalg.norm(before)
