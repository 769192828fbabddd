"""Hyper-parameters: a value for each layer group, now and at the steps to come."""
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import Array

if TYPE_CHECKING:
    from .optimizer import Optimizer

Hypers = dict[str, Array]
"""The hyper-parameters of some steps: (n,) of each."""
Coming = Callable[[int], Hypers]
"""``coming(n)``: those of the next n steps."""


class Hyper:
    """``opt.lr`` reads the last group's value; setting takes one value, or one per group."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, opt: "Optimizer", owner: type) -> float:
        if self.name not in opt.hypers[-1]:
            raise AttributeError(f"this optimizer has no {self.name}; it has "
                                 f"{', '.join(opt.hypers[-1])}")
        return opt.hypers[-1][self.name]

    def __set__(self, opt: "Optimizer", value: float | Sequence[float]) -> None:
        opt.set_hypers(**{self.name: value})


def one_per_group(name: str, value: Any, n: int) -> list[float]:
    """A number for each of n layer groups; ValueError for a list of another length.

    >>> one_per_group("lr", .1, 2)
    [0.1, 0.1]
    """
    if not np.ndim(value):
        return [float(value)] * n
    if len(value) != n:
        raise ValueError(f"{name} has {len(value)} values {list(value)} for {n} layer groups; give "
                         f"one number for all, or {n} of them")
    return [float(v) for v in value]


class Plan:
    """What the hyper-parameters of n layer groups will be: for each name a list of values by
    step, from 0 on, for every group, or one for all. After the last value it stays.

    >>> plan, hypers = Plan({"lr": [[.1, .2]], "mom": [[.9], [.8]]}, 2), [{}, {}]
    >>> plan.set(hypers, 5); hypers
    [{'lr': 0.2, 'mom': 0.9}, {'lr': 0.2, 'mom': 0.8}]
    """

    def __init__(self, schedules: Mapping[str, Sequence[Sequence[float]]], n: int) -> None:
        columns = {name: _columns(name, lists, n) for name, lists in schedules.items()}
        self.groups = [{name: lists[i if len(lists) > 1 else 0] for name, lists in columns.items()}
                       for i in range(n)]

    def set(self, hypers: Sequence[dict[str, float]], step: int) -> None:
        """Put the values of a step into the hyper-parameters of all groups."""
        for of_group, planned in zip(hypers, self.groups, strict=True):
            for name, values in planned.items():
                of_group[name] = values[step] if step < len(values) else values[-1]

    def coming(self, step: int, group: int, now: Mapping[str, float]) -> Coming:
        """All hyper-parameters of a group from a step on, at which they are ``now``. What is not
        planned stays as it is, and so does everything if the plan errs about this step."""
        stay, planned = dict(now), self.groups[group]

        def coming(n: int) -> Hypers:
            steps = np.arange(step, step + n)
            told = {name: np.take(values, steps, mode="clip") for name, values in planned.items()}
            if any(stay.get(name) != values[0] for name, values in told.items()):
                told = {}
            return {name: told.get(name, np.full(n, value)) for name, value in stay.items()}
        return coming


def _columns(name: str, lists: Any, n: int) -> "list[array[float]]":
    """The values of a schedule: read one by one as Python's floats, all at once by NumPy."""
    advice = f"give a list of values by step for each of {n} layer groups, or one for all, such " \
             f"as {name}=[[.1, .05]]"
    try:
        columns = [array("d", map(float, values)) for values in lists]
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{name} cannot be planned from {lists!r}; {advice}") from error
    if len(columns) not in (1, n) or not all(columns):
        raise ValueError(f"{name} has {len(columns)} schedules, of {[len(c) for c in columns]} "
                         f"steps; {advice}")
    return columns
