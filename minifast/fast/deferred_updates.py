"""Which stores are updated deferred at a step, and with which coefficients."""
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..backend import Array
from ..optim import steps
from .coefficients import LENGTH, LONGEST, AdamCoefficients, SGDCoefficients, horizon
from .deferred_table import SMALLEST, DeferredTable
from .future import Future, Hypers
from .store import EmbeddingStore

KINDS: dict[tuple[Any, ...], type[SGDCoefficients]] = {
    (steps.weight_decay, steps.momentum, steps.sgd_step): SGDCoefficients,
    (steps.weight_decay, steps.average_grad, steps.average_sqr_grad, steps.adam_step):
    AdamCoefficients}
"""The optimizers for which there are formulas, by their steps."""


class DeferredUpdates:
    """The stores of one flat storage whose updates may be deferred.

    Parameters
    ----------
    stores : sequence of EmbeddingStore
        All stores of the flat storage.
    state : callable
        Returns the flat array of a kind of state by its name.
    kind : type
        The coefficients that belong to the optimizer.
    always : bool
        Defer wherever it is possible, not only where it is faster.
    nodes : int, optional
        Quadrature nodes for deferred Adam; None picks the fewest that are accurate enough.

    Examples
    --------
    >>> import numpy as np
    >>> DeferredUpdates([], lambda name: np.zeros(0), SGDCoefficients, False, None).tables
    []
    """

    def __init__(self, stores: Sequence[EmbeddingStore], state: Callable[[str], Array],
                 kind: type[SGDCoefficients], always: bool, nodes: int | None) -> None:
        self.kind, self.always, self.nodes = kind, always, nodes
        self.tables = [DeferredTable(store, state) for store in stores
                       if always or store.data.size >= SMALLEST]
        self.rows: list[tuple[float, ...]] = []  # the hyper-parameters of the planned steps
        self.coefficients: SGDCoefficients | None = None
        self.first = self.count = self.length = 0

    def materialize(self) -> None:
        """Change all stores to the dense form."""
        for table in self.tables:
            table.store.materialize()

    def step(self, number: int, count: int, now: Mapping[str, float], future: Callable[[], Future]
             ) -> list[EmbeddingStore]:
        """Step those stores of which few rows have a gradient.

        Parameters
        ----------
        number : int
            How many steps the optimizer has taken so far.
        count : int
            How many updates Adam has counted.
        now : mapping of str to float
            The hyper-parameters of this step.
        future : callable
            Makes the function that returns those of the next steps.

        Returns
        -------
        list of EmbeddingStore
            The stores that were stepped; the others are left to the dense steps.

        Examples
        --------
        >>> import numpy as np
        >>> updates = DeferredUpdates([], lambda name: np.zeros(0), SGDCoefficients, False, None)
        >>> now = {"lr": .1, "wd": 0., "mom": .9}
        >>> future = lambda n: {name: [value] * n for name, value in now.items()}
        >>> updates.step(0, 0, now, lambda: future)
        []
        """
        chosen = [table for table in self.tables if table.applies(self.always)]
        k = self._plan(number, count, now, future) if chosen else 0
        stepped = []
        for table in self.tables:
            if table in chosen and (made := self.coefficients) is not None and made.works:
                table.step(made, k)
                stepped.append(table.store)
            else:
                table.store.materialize()
        return stepped

    def _plan(self, number: int, count: int, now: Mapping[str, float],
              future: Callable[[], Future]) -> int:
        """Return which planned step this is; if it is none of them, make a new plan.

        The tables do not change if the new plan continues the old one. Otherwise their deferred
        values were computed with hyper-parameters that are wrong from here on, so they are
        materialized first.
        """
        k = number - self.first
        known = self.rows[k:k + 1] == [tuple(now.values())] \
            and (count == self.count + k or not self.kind.counts)
        if known and k < self.length:
            return k
        hypers, self.length = plan(future())
        rows = list(zip(*(column.tolist() for column in hypers.values()), strict=True))
        rest = self.rows[k:]
        if not known or rest != rows[:len(rest)]:
            self.materialize()
        self.rows, self.first, self.count = rows, number, count
        dtype = self.tables[0].store.dtype.name
        self.coefficients = self.kind(hypers, count, self.nodes, self.length, dtype)
        return 0


def plan(future: Future) -> tuple[Hypers, int]:
    """Return the hyper-parameters of the next LENGTH steps and of their horizon beyond.

    Parameters
    ----------
    future : callable
        Returns the hyper-parameters of the next n steps.

    Returns
    -------
    hypers : dict of str to array (n,)
        The hyper-parameters.
    length : int
        For how many steps they include the whole horizon.

    Examples
    --------
    >>> from minifast.fast.future import Schedules
    >>> hypers, length = plan(Schedules().future(0, {"lr": .1, "wd": 0., "mom": .9}))
    >>> len(hypers["lr"]) >= length
    True
    """
    n, needed = 0, LENGTH
    while n < needed:
        n, hypers = needed, future(needed)
        reaches = horizon(hypers)
        needed = LENGTH + min(reaches, LONGEST)
    return hypers, n - reaches
