"""How far the last step of an epoch has moved each layer group."""
from typing import Any

import numpy as np

from ..backend import Array
from ..optim import Arena, Optimizer


class LastUpdate:
    """The update of each layer group at the last batch of an epoch: ``learn.recorder.last_update``.

    Only there are the weights copied, and compared when the step is done. The norms stay on
    the device until ``ratios`` is asked, so no batch waits for a GPU. An epoch that is broken off
    before its last batch keeps the numbers of the epoch before.
    """

    def __init__(self, opt: Optimizer) -> None:
        self.opt = opt
        self._norms: list[tuple[Any, Any] | None] = []
        self._before: list[tuple[Arena, Array] | None] = []

    @property
    def ratios(self) -> list[float | None]:
        """Norm of the update over norm of the weights before it, per group.

        None for a group that was frozen then, or whose weights were all zero. Waits for a GPU.
        """
        numbers = [None if pair is None else (float(pair[0]), float(pair[1]))
                   for pair in self._norms]
        return [pair[0] / pair[1] if pair and pair[1] else None for pair in numbers]

    def begin(self) -> None:
        """Copy the weights; ``end`` comes by itself after the next step."""
        self.opt.settle()
        self._before = [None if a is None else (a, a.data.copy()) for a in self.opt.arenas]
        self.opt.after_step(self.end)

    def end(self) -> None:
        """Measure how far they are from there; nothing if that is done, or has not begun."""
        if self._before:
            self.opt.settle()
            self._norms = [None if pair is None or pair[0] is not arena else _norms(*pair)
                           for pair, arena in zip(self._before, self.opt.arenas, strict=True)]
            self._before = []

    def forget(self) -> None:
        """Measure nothing of what has begun."""
        self._before = []


def _norms(arena: Arena, before: Array) -> tuple[Any, Any]:
    """Of the update, and of the weights before it; a training that diverges is no error here."""
    with np.errstate(all="ignore"):
        return np.linalg.norm(arena.data - before), np.linalg.norm(before)
