"""Schedules: plain functions of the position in training."""
from collections.abc import Callable, Sequence
from math import cos, pi
from typing import TypeAlias

Annealer: TypeAlias = Callable[[float, float, float], float]
"""``annealer(start, end, pct)``: the value after the fraction ``pct`` of the way."""


def annealing_no(start: float, end: float, pct: float) -> float:
    """No annealing.

    >>> annealing_no(1., 0., .25)
    1.0
    """
    return start


def annealing_linear(start: float, end: float, pct: float) -> float:
    """A straight line.

    >>> annealing_linear(1., 0., .25)
    0.75
    """
    return start + pct * (end - start)


def annealing_exp(start: float, end: float, pct: float) -> float:
    """Equal ratios: a straight line on a logarithmic scale.

    >>> annealing_exp(1., 16., .25)
    2.0
    """
    return float(start * (end / start) ** pct)


def annealing_cos(start: float, end: float, pct: float) -> float:
    """Half a cosine: slow at both ends.

    >>> round(annealing_cos(1., 0., .25), 6)
    0.853553
    """
    return end + (start - end) / 2 * (cos(pi * pct) + 1)


def annealing_poly(degree: float) -> Annealer:
    """A power of what is left: steep first for a degree above 1.

    >>> annealing_poly(2)(1., 0., .5)
    0.25
    """
    return lambda start, end, pct: end + (start - end) * (1 - pct) ** degree


class Phase:
    """``length`` steps from ``start`` to ``end``, at least one; fastai v1's ``Scheduler``.

    >>> Phase(4, 0., 1., annealing_linear)(1)
    0.25
    """

    def __init__(self, length: int, start: float, end: float,
                 annealer: Annealer = annealing_linear) -> None:
        self.length, self.start, self.end, self.annealer = max(1, length), start, end, annealer

    def __call__(self, step: int) -> float:
        return self.annealer(self.start, self.end, step / self.length)


def in_turn(phases: Sequence[Phase]) -> Callable[[int], float]:
    """One phase after the other, as one function of the step; after the last, its end.

    >>> ramp = in_turn([Phase(2, 0., 1.), Phase(2, 1., 0.)])
    >>> [ramp(i) for i in range(6)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]
    """
    def value(step: int) -> float:
        for phase in phases:
            if step <= phase.length:
                return phase(step)
            step -= phase.length
        return phases[-1](phases[-1].length)
    return value


def one_cycle(n_steps: int, lr_max: float, moms: tuple[float, float] = (.95, .85),
              div_factor: float = 25., pct_start: float = .3, final_div: float | None = None
              ) -> tuple[Callable[[int], float], Callable[[int], float]]:
    """Learning rate and momentum of the one-cycle policy (Smith 2018), as fastai v1 has it.

    The rate rises by a cosine from lr_max/div_factor to lr_max in the first ``pct_start`` of
    ``n_steps``, then falls to lr_max/final_div; momentum mirrors it. Step i is the value for
    batch i; step n_steps is what is left in the optimizer at the end.

    >>> lr, mom = one_cycle(10, 1., pct_start=.3)
    >>> round(lr(0), 9), lr(3), mom(3)
    (0.04, 1.0, 0.85)
    """
    up = int(n_steps * pct_start)
    down = n_steps - up
    last_div = div_factor * 1e4 if final_div is None else final_div
    rates = [Phase(up, lr_max / div_factor, lr_max, annealing_cos),
             Phase(down, lr_max, lr_max / last_div, annealing_cos)]
    momenta = [Phase(up, *moms, annealing_cos), Phase(down, *moms[::-1], annealing_cos)]
    return in_turn(rates), in_turn(momenta)
