"""Lazy updates: a table of which a batch touches few rows is changed at those rows only.

The results are the dense optimizer's. A row without gradient goes a way that is known from
its momentum and the schedule (``ahead.py``). So what is stored is where the row will come to rest:

    z = (w - way) / A,   u = m / C,   s = v / B,

with A, C, B the products of all factors by which weights, momentum and average square shrink at a
step. All three stay as they are on rows that the batch does not touch. docs/lazy.md derives this.
"""
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..backend import Array, backend_of
from ..nn import Parameter
from .ahead import LENGTH, LONGEST, AdamAhead, Ahead, Hypers, reach
from .arena import BLOCK, Arena
from .steps import adam_step, average_grad, average_sqr_grad, momentum, sgd_step, weight_decay

SHARE = .2
"""A batch that looks up more than this share of a table's rows does not update it lazily."""
SMALLEST = 1 << 18
"""Elements from which a table is worth it."""
PATIENCE = 16
"""A table whose values were asked for after fewer steps than this is dense for as many steps."""
SMALL = 1e-28
"""Products of factors below this are multiplied into what they divide, and start anew."""

KINDS: dict[tuple[Any, ...], type[Ahead]] = {
    (weight_decay, momentum, sgd_step): Ahead,
    (weight_decay, average_grad, average_sqr_grad, adam_step): AdamAhead}
"""The optimizers for which there are formulas, by their steps."""


class LazyTable:
    """One table of an arena: dense, or while it is ``awake``, in the form of lazy updates.

    The numbers z, u, s stand in the arena's own arrays, in the places of w, m, v. Its parameter
    knows it as ``lazy`` while it is awake, and asks it for rows and for settling.
    """

    def __init__(self, p: Parameter, arena: Arena, place: slice, kind: type[Ahead]) -> None:
        self.p, self.arena, self.place, self.kind = p, arena, place, kind
        self.decays = place.stop <= arena.boundary
        self.seats: Array = None
        self.ahead: Ahead
        self.k = self.age = self.wait = 0

    @property
    def awake(self) -> bool:
        """Whether its values are now in the form of lazy updates."""
        return self.p.lazy is self

    def _arrays(self) -> list[Array]:
        """z, u and for Adam s, in the shape of the table."""
        flat = [self.arena.data, *(self.arena.whole(name) for name in self.kind.state)]
        return [a[self.place].reshape(self.p.shape) for a in flat]

    def _pieces(self) -> Iterator[tuple[Array, ...]]:
        """z, u, s in pieces that fit into a cache."""
        flat = [a.reshape(-1) for a in self.arrays]
        for start in range(0, len(flat[0]), BLOCK):
            yield tuple(a[start:start + BLOCK] for a in flat)

    # ---- from the dense form and back

    def wake(self, ahead: Ahead, k: int) -> None:
        """Change to the form of lazy updates: the weights move to where they would rest."""
        if self.seats is None:
            self.seats = np.zeros(self.p.shape[0], np.int32)
        self.arrays, self.ahead, self.k, self.age = self._arrays(), ahead, k, 0
        self.a = self.c = self.b = 1.
        self.touched: Array | None = None
        self.last = np.zeros(0, np.int64), self.arrays[0][:0]
        self._seen: tuple[Any, ...] = (None,)
        for z, *state in self._pieces():
            z -= self.ahead.way(k, state[0], *map(np.sqrt, state[1:]))
        self.p.lazy = self

    def settle(self) -> None:
        """Write down weights, state and the last gradient as the dense optimizer has them."""
        self.p.lazy = None
        for z, u, *s in self._pieces():
            u *= self.c
            z *= self.a
            for square in s:
                square *= self.b
            z += self.ahead.way(self.k, u, *map(np.sqrt, s))
        if self.p.only_rows():  # else its next gradient is there already
            grad = self.arena.grad[self.place].reshape(self.p.shape)
            grad.fill(0)
            grad[self.last[0]] = self.last[1]
        if self.age < PATIENCE:
            self.wait = PATIENCE
        self._seen = (None,)

    # ---- some rows

    def read(self, ids: Array) -> Array:
        """The weights of these rows: ids (bs, ...) to (bs, ..., width)."""
        rows, seats, first = self._distinct(ids)
        now = self._now(rows)
        self._seen = (ids, rows, seats, first, now)
        return now[0].take(seats, 0).reshape(*ids.shape, -1)

    def _distinct(self, ids: Array) -> tuple[Array, Array, Array]:
        """The rows that ids name, each once; the place of each id among them; who came first.

        Every id writes its position to the seat of its row, and one of them is found there.
        """
        ids = ids.reshape(-1)
        positions = np.arange(len(ids), dtype=np.int32)
        self.seats[ids] = positions
        first = self.seats.take(ids) == positions
        rows = ids[first]
        self.seats[rows] = positions[:len(rows)]
        return rows, self.seats.take(ids), first

    def _now(self, rows: Array) -> list[Array]:
        """w, m, v and the root of v at these rows, as they are now: copies."""
        w, m, *v = (a.take(rows, 0) for a in self.arrays)
        w *= self.a
        m *= self.c
        for square in v:
            square *= self.b
        root = [np.sqrt(square) for square in v]
        w += self.ahead.way(self.k, m, *root)
        return [w, m, *v]

    # ---- a step

    def chosen(self, by_hand: bool) -> bool:
        """Whether the next step is a lazy one: the gradient is of rows, and of few of them."""
        ids = sum(part.rows.size for part in self.p.rows)
        if not self.p.only_rows() or not (ids or self.awake):
            return False
        if self.wait and not by_hand:
            self.wait -= 1
            return False
        share = 2 * SHARE if self.awake else SHARE  # no going to and fro at the border
        return by_hand or ids <= share * self.p.shape[0]

    def step(self, ahead: Ahead, k: int) -> None:
        """Step k of ``ahead``, with the gradient that waits in the parameter's rows."""
        self.ahead, self.k = ahead, k
        rows, (w, m, *v), g = self._gradient()
        ahead.step(k, w, m, *v, g=g.copy())
        self._shrink(rows, *ahead.factors(k))
        self.k, self.age, self.last, self._seen = k + 1, self.age + 1, (rows, g), (None,)
        w -= ahead.way(k + 1, m, *map(np.sqrt, v))
        for array, now, by in zip(self.arrays, (w, m, *v), (self.a, self.c, self.b), strict=False):
            now *= 1 / by
            array[rows] = now

    def _gradient(self) -> tuple[Array, list[Array], Array]:
        """The rows with a gradient, w, m, v there, and the gradient of each."""
        parts = self.p.rows
        if len(parts) == 1 and parts[0].rows is self._seen[0]:
            _, rows, seats, first, now = self._seen
            return rows, now, self._sum(parts[0].values, seats, first)
        if not parts:
            return np.zeros(0, np.int64), self._now(np.zeros(0, np.int64)), self.arrays[0][:0]
        total = parts[0].together(parts[1:])
        return total.rows, self._now(total.rows), total.values.astype(self.p.dtype, copy=False)

    def _sum(self, values: Array, seats: Array, first: Array) -> Array:
        """The gradient of each row: that of the id that came first, and then the others."""
        values = values.reshape(-1, self.p.shape[1])
        g = values.take(np.flatnonzero(first), 0).astype(self.p.dtype, copy=False)
        others = np.flatnonzero(~first)
        backend_of(g).scatter_add(g, seats.take(others), values.take(others, 0))
        return g

    def _shrink(self, rows: Array, a: float, c: float, b: float) -> None:
        """Let all rows shrink by these factors: three numbers, and the arrays once in a while."""
        self.a, self.c, self.b = self.a * a, self.c * c, self.b * b
        z, u, *s = self.arrays
        if not c:  # no momentum: it is nowhere but on the rows of the last step
            u[... if self.touched is None else self.touched] = 0
            self.c = 1.
        self.touched = None if c else rows
        if self.a < .001:
            z *= self.a
            self.a = 1.
        if self.c < SMALL:
            u *= self.c
            self.c = 1.
        if self.b < SMALL:
            s[0] *= self.b
            self.b = 1.


class LazyTables:
    """The tables of one arena that may be updated lazily, and what is known of the schedule."""

    def __init__(self, arena: Arena, kind: type[Ahead], by_hand: bool, nodes: int) -> None:
        self.arena, self.kind, self.by_hand, self.nodes = arena, kind, by_hand, nodes
        self.tables = [LazyTable(p, arena, place, kind) for p, place in arena.spans()
                       if len(p.shape) == 2 and (by_hand or p.numel() >= SMALLEST)]
        for table in self.tables:
            table.p.by_rows = True
        self.planned: list[Hypers] = []
        self.aheads: dict[bool, Ahead] = {}
        self.base = self.steps = self.length = 0
        self.left_out: list[LazyTable] = []

    def keeps(self, p: Parameter) -> bool:
        """Whether a parameter is now in the form of lazy updates."""
        return p.lazy is not None and p.lazy in self.tables

    def settle(self) -> None:
        """Change all tables to the dense form."""
        for table in self.tables:
            if table.awake:
                table.settle()

    def step(self, number: int, coming: Callable[[int], Hypers]) -> None:
        """Step those tables whose gradient is of few rows; the others are left to the blocks.

        ``coming(j)`` are the hyper-parameters j steps from now, as far as one knows; those of
        this step are ``coming(0)``.
        """
        chosen = [table for table in self.tables if table.chosen(self.by_hand)]
        if chosen:
            k = self._look(number, coming)
            chosen = [table for table in chosen if self._ahead(table.decays).works]
        for table in self.tables:
            if table.awake and table not in chosen:
                table.settle()
        for table in chosen:
            self._wake(table, k)
            table.step(self._ahead(table.decays), k)
        if chosen != self.left_out:
            self.arena.leave_out([table.place for table in chosen])
            self.left_out = chosen
        if self.kind.counts and not self.arena.blocks:
            self.arena.steps += 1

    def _wake(self, table: LazyTable, k: int) -> None:
        if not table.awake:
            self.arena.take_in(table.p)
            table.wake(self._ahead(table.decays), k)

    def _ahead(self, decays: bool) -> Ahead:
        if decays not in self.aheads:
            self.aheads[decays] = self.kind(self.planned, decays, self.steps, self.nodes)
        return self.aheads[decays]

    def _look(self, number: int, coming: Callable[[int], Hypers]) -> int:
        """Which step of what was planned this one is; plans anew when it is none.

        If all that was planned is still to come, tables stay as they are. If not, the ways that
        they were made with are wrong from here on, and they are settled first.
        """
        k = number - self.base
        known = self.planned[k:k + 1] == [coming(0)] and self.steps + k == self._count(k)
        if known and k < self.length:
            return k
        planned = plan(coming)
        rest = self.planned[k:]
        if not known or rest != planned[:len(rest)]:
            self.settle()
        self.planned, self.aheads, self.base = planned, {}, number
        self.steps, self.length = self.arena.steps, len(planned) - reach(planned)
        return 0

    def _count(self, k: int) -> int:
        """How many steps the arena has counted; optimizers that count none agree always."""
        return self.arena.steps if self.kind.counts else self.steps + k


def plan(coming: Callable[[int], Hypers]) -> list[Hypers]:
    """The hyper-parameters of the next LENGTH steps, and as far beyond as momentum reaches."""
    hypers: list[Hypers] = []
    while len(hypers) < (end := LENGTH + (min(reach(hypers), LONGEST) if hypers else 0)):
        hypers += [coming(j) for j in range(len(hypers), end)]
    return hypers


def lazy_tables(arena: Arena, steps: Sequence[Any], by_hand: bool, nodes: int
                ) -> LazyTables | None:
    """The tables of an arena that may be updated lazily; None if there are none.

    There must be formulas for these steps, and the arena must be NumPy's: on a GPU a pass over
    the whole table is fast, and picking rows out waits for the device.
    """
    kind = KINDS.get(tuple(steps))
    if kind is None or backend_of(arena.data).name != "cpu":
        return None
    tables = LazyTables(arena, kind, by_hand, nodes)
    return tables if tables.tables else None
