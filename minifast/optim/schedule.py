"""Schedules: plain functions of the position in training.

An annealer is called as ``annealer(start, end, pct)``: it returns the value on the way from
``start`` to ``end`` after the fraction ``pct`` of the steps. All are floats, ``pct`` from 0 to 1.
The names are fastai v1's.
"""
from collections.abc import Callable, Sequence
from math import cos, isfinite, pi
from typing import TypeAlias

Annealer: TypeAlias = Callable[[float, float, float], float]


def annealing_no(start: float, end: float, pct: float) -> float:
    """Return ``start``: no annealing.

    Examples
    --------
    >>> annealing_no(1., 0., .25)
    1.0
    """
    return start


def annealing_linear(start: float, end: float, pct: float) -> float:
    """Interpolate along a straight line.

    Examples
    --------
    >>> annealing_linear(1., 0., .25)
    0.75
    """
    return start + pct * (end - start)


def annealing_exp(start: float, end: float, pct: float) -> float:
    """Interpolate in equal ratios: a straight line on a logarithmic scale.

    Examples
    --------
    >>> annealing_exp(1., 16., .25)
    2.0
    """
    return float(start * (end / start) ** pct)


def annealing_cos(start: float, end: float, pct: float) -> float:
    """Interpolate along half a cosine, which is flat at both ends.

    Examples
    --------
    >>> round(annealing_cos(1., 0., .25), 6)
    0.853553
    """
    return end + (start - end) / 2 * (cos(pi * pct) + 1)


def annealing_poly(degree: float) -> Annealer:
    """Return an annealer that follows a power of the steps that remain.

    Parameters
    ----------
    degree : float
        The power.

    Returns
    -------
    callable
        A function of ``start``, ``end`` and ``pct``.

    Examples
    --------
    >>> annealing_poly(2)(1., 0., .5)
    0.25
    """
    return lambda start, end, pct: end + (start - end) * (1 - pct) ** degree


class Phase:
    """A function of the step that goes from one value to another; fastai v1's ``Scheduler``.

    Parameters
    ----------
    length : int
        Number of steps; below 1 it counts as 1.
    start, end : float
        The values at both ends.
    annealer : callable
        How to go from one to the other.

    Raises
    ------
    ValueError
        If a value is not finite; for ``annealing_exp``, also if one is 0 or the signs differ.

    Examples
    --------
    >>> Phase(4, 0., 1., annealing_linear)(1)
    0.25
    """

    def __init__(self, length: int, start: float, end: float,
                 annealer: Annealer = annealing_linear) -> None:
        if not isfinite(start + end) or (annealer is annealing_exp and start * end <= 0):
            raise ValueError(f"no schedule leads from {start} to {end}; both must be finite, and "
                             "above 0 for annealing_exp, which interpolates in equal ratios")
        self.length, self.start, self.end, self.annealer = max(1, length), start, end, annealer

    def __repr__(self) -> str:
        return f"Phase{self.length, self.start, self.end, getattr(self.annealer, '__name__', '?')}"

    def __call__(self, step: int) -> float:
        return self.annealer(self.start, self.end, step / self.length)


def in_turn(phases: Sequence[Phase]) -> Callable[[int], float]:
    """Return one function of the step for several phases; after the last, its end.

    Parameters
    ----------
    phases : sequence of Phase
        The phases, in order.

    Returns
    -------
    callable
        A function of the step.

    Examples
    --------
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
    """Return learning rate and momentum of the one-cycle policy, as fastai v1 has it.

    The rate rises from ``lr_max / div_factor`` to ``lr_max``, then falls to
    ``lr_max / final_div``, both along a cosine. Momentum does the opposite.

    Parameters
    ----------
    n_steps : int
        Number of batches.
    lr_max : float
        The highest learning rate.
    moms : tuple of float
        Momentum at both ends, and at the highest rate.
    div_factor : float
        The first rate is ``lr_max / div_factor``.
    pct_start : float
        The fraction of the steps in which the rate rises.
    final_div : float, optional
        The last rate is ``lr_max / final_div``, by default ``lr_max / (div_factor * 1e4)``.

    Returns
    -------
    lr, mom : callable
        Functions of the step. Step i is the value for batch i; step ``n_steps`` is what remains
        in the optimizer at the end.

    Raises
    ------
    ValueError
        If a divisor is not positive, or a rate or momentum is not finite.

    References
    ----------
    Smith 2018, "A disciplined approach to neural network hyper-parameters".

    Examples
    --------
    >>> lr, mom = one_cycle(10, 1., pct_start=.3)
    >>> round(lr(0), 9), lr(3), mom(3)
    (0.04, 1.0, 0.85)
    """
    last_div = div_factor * 1e4 if final_div is None else final_div
    if not (div_factor > 0 and last_div > 0 and 0 <= pct_start <= 1):
        raise ValueError(f"div_factor and final_div are above 0 and pct_start is in [0, 1], got "
                         f"{div_factor}, {last_div} and {pct_start}")
    up = int(n_steps * pct_start)
    down = n_steps - up
    rates = [Phase(up, lr_max / div_factor, lr_max, annealing_cos),
             Phase(down, lr_max, lr_max / last_div, annealing_cos)]
    momenta = [Phase(up, *moms, annealing_cos), Phase(down, *moms[::-1], annealing_cos)]
    return in_turn(rates), in_turn(momenta)
