"""The hyper-parameters of the next steps, read from the schedulers of a fit."""
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from ..backend import Array
from ..train.scheduler import Scheduler

Hypers: TypeAlias = dict[str, Array]
"""The hyper-parameters of n consecutive steps: (n,) for each name."""
Future: TypeAlias = Callable[[int], Hypers]
"""``future(n)``: the hyper-parameters of the next n steps, as far as they are known."""
Curve: TypeAlias = Callable[[int], float]


class Schedules:
    """What the schedulers of a fit will set.

    Parameters
    ----------
    schedulers : sequence of Scheduler
        The callbacks that set hyper-parameters at every step.

    Examples
    --------
    >>> Schedules().future(0, {"lr": .1})(3)
    {'lr': array([0.1, 0.1, 0.1])}
    """

    def __init__(self, schedulers: Sequence[Scheduler] = ()) -> None:
        self.schedulers = list(schedulers)
        self._values: dict[Curve, list[float]] = {}

    def future(self, group: int, now: Mapping[str, float], fixed: Sequence[str] = ()) -> Future:
        """Return a function for the hyper-parameters of a layer group from this step on.

        Values that no scheduler sets stay the same. All of them do if a schedule does not agree
        with the present values, because then something else has set them.

        Parameters
        ----------
        group : int
            Number of the layer group.
        now : mapping of str to float
            The values at this step.
        fixed : sequence of str
            Names whose values stay the same, whatever a scheduler says.

        Returns
        -------
        callable
            Takes a number of steps and returns the hyper-parameters of as many.

        Examples
        --------
        >>> Schedules().future(0, {"lr": .1, "mom": .9})(2)["mom"]
        array([0.9, 0.9])
        """
        stay = dict(now)
        curves = {name: some[group if len(some) > 1 else 0] for scheduler in self.schedulers
                  for name, some in scheduler.curves.items() if name not in fixed}
        start = {name: scheduler for scheduler in self.schedulers for name in scheduler.curves}

        def future(n: int) -> Hypers:
            told = {name: self._slice(curve, start[name], n) for name, curve in curves.items()}
            if any(stay.get(name) != values[0] for name, values in told.items()):
                told = {}
            return {name: told.get(name, np.full(n, value)) for name, value in stay.items()}
        return future

    def _slice(self, curve: Curve, scheduler: Scheduler, n: int) -> Array:
        """The next n values of a curve, each computed once in a fit; the last one stays."""
        values, first = self._values.setdefault(curve, []), scheduler.position
        last = min(first + n, scheduler.n_steps + 1)
        values.extend(curve(step) for step in range(len(values), last))
        return np.take(values, np.arange(first, first + n), mode="clip")
