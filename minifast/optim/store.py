"""Store: tables of an arena that lie side by side and end to end, as one long table.

One lookup then reads factors and bias of a user, one scatter adds the gradients of users and
items alike, and a step that passes over a few rows passes over those of all tables at once.
"""
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from ..autograd import Rows
from ..backend import Array, backend_of
from ..nn.table import Table, check_ids
from .span import Slab, Span, check_fits


class Form(Protocol):
    """Another form for the values of a store: lazy updates."""

    def look_up(self, rows: Array) -> Array: ...

    def settle(self) -> None: ...


class Shelf(NamedTuple):
    """Where a slab stands: its tables are the rows from ``first`` to ``first + n``."""

    first: int
    n: int
    tables: Slab


class Store:
    """Tables with their ``spans``; the rows of all are the rows of one matrix ``data``.

    ``in_pairs`` says that there are two shelves of two tables, such as factors and biases of
    users and of items. ``form`` is None while the values stand there as they are. A batch that
    looks up rows of all tables is one lookup in the store, which is a leaf of the tape then:
    gradients for whole rows wait in ``pending``, until the optimizer takes them or someone asks
    for a table's gradient. ``own_gradients`` is False as long as no table has another one, or
    has its array elsewhere.
    """

    node = None
    requires_grad = True

    def __init__(self, slabs: Sequence[Slab], spans: Mapping[int, Span], data: Array,
                 grad: Array) -> None:
        self.tables: Sequence[Table] = [table for slab in slabs for table in slab]
        first, last = (spans[id(self.tables[i])] for i in (0, -1))
        self.place, self.width = slice(first.place.start, last.place.stop), first.width
        self.data, self.grad = self.matrix(data), self.matrix(grad)
        self.places = [(t, spans[id(t)](data), spans[id(t)](grad)) for t in self.tables]
        self.form: Form | None = None
        self.pending: list[Rows] = []
        self.own_gradients = True
        ends = np.cumsum([0, *(slab[0].shape[0] for slab in slabs)]).tolist()
        self.shelves = [Shelf(start, stop - start, slab)
                        for slab, start, stop in zip(slabs, ends, ends[1:], strict=False)]
        self.in_pairs = [len(slab) for slab in slabs] == [2, 2]
        self._shelf = {id(t): shelf for shelf in self.shelves for t in shelf.tables}
        self._columns = {id(t): spans[id(t)].columns for t in self.tables}

    def part_of(self, table: Table, matrix: Array) -> Array:
        """Those rows and columns of a matrix like ``data`` that are the table's."""
        shelf = self._shelf[id(table)]
        return matrix[shelf.first:shelf.first + shelf.n, self._columns[id(table)]]

    def matrix(self, whole: Array) -> Array:
        """The store's part (rows, width) of an array of the whole arena."""
        return whole[self.place].reshape(-1, self.width)

    # ---- reading

    @property
    def awake(self) -> bool:
        """Whether the values are in another form for now."""
        return self.form is not None

    def settle(self) -> None:
        """Let the values stand in the arena as they are."""
        if self.form is not None:
            self.form.settle()

    def read(self, table: Table, ids: Array) -> Array:
        """The rows (bs, ..., width) of a table."""
        shelf = self._shelf[id(table)]
        check_ids(ids, shelf.n, "an Embedding of {n} rows")
        numbers = ids.reshape(-1).astype(np.intp) + shelf.first
        rows: Array = self.look_up(numbers)[:, self._columns[id(table)]]
        return rows if ids.ndim == 1 else rows.reshape(*ids.shape, -1)

    def look_up(self, rows: Array) -> Array:
        """Rows (n,) of the store: (n, width)."""
        return backend_of(self.data).gather(self.data, rows) if self.form is None \
            else self.form.look_up(rows)

    def rows_of(self, ids: Sequence[Array]) -> Array:
        """Numbers (k bs,) of rows for ids (bs,) of each of the k shelves, shelf by shelf."""
        rows = np.empty_like(ids[0], shape=(len(ids), len(ids[0])), dtype=np.intp)
        for part, some, shelf in zip(rows, ids, self.shelves, strict=True):
            check_ids(some, shelf.n, "an Embedding of {n} rows")
            np.add(some, shelf.first, part, dtype=np.intp)  # narrow ids would wrap around
        return rows.reshape(-1)

    # ---- gradients

    def accumulate(self, gradient: Rows) -> None:
        """Take in a gradient for rows of the store, numbered as ``rows_of`` does."""
        self.pending.append(gradient)

    def hand_out(self) -> None:
        """Give to each table its part of the gradients that wait for all of them."""
        pending, self.pending, k = self.pending, [], len(self.shelves)
        for rows, values, _, _ in (part.flat() for part in pending):
            for shelf, some, its in zip(self.shelves, rows.reshape(k, -1),
                                        values.reshape(k, -1, self.width), strict=True):
                ids = some - shelf.first
                for table in shelf.tables:
                    table.accumulate(Rows(ids, its[:, self._columns[id(table)]], table.shape))

    def only_rows(self) -> bool:
        """Whether the gradients of all tables are zero save for some rows, as far as one knows."""
        return not self.own_gradients or all(table.only_rows() for table in self.tables)

    def _waiting(self) -> list[Rows]:
        """All gradients of rows, here and in the tables."""
        own = [part for table in self.tables for part in table.rows] if self.own_gradients else []
        return [*self.pending, *own]

    def share(self) -> float:
        """How much of the store has a gradient, at most: ids count as often as they come."""
        sizes = [int(part.values.size) for part in self._waiting()]
        return sum(sizes) / max(int(self.data.size), 1)

    def gradient(self) -> Rows:
        """All that waits, for the whole matrix: rows (n,), some perhaps twice."""
        if len(self._waiting()) == len(self.pending) == 1:
            return self.pending[0]
        waiting = self.pending.copy()
        for shelf in self.shelves:
            lookups: dict[tuple[int, int], list[tuple[Table, Rows]]] = {}
            for table in shelf.tables:
                for turn, part in enumerate(table.rows):
                    lookups.setdefault((turn, id(part.rows)), []).append((table, part))
            waiting += [self._side_by_side(shelf, parts) for parts in lookups.values()]
        none = Rows(np.zeros(0, np.intp), self.data[:0], self.data.shape)
        flat = [part.flat() for part in waiting or [none]]
        rows, values = (np.concatenate([part[i] for part in flat]) for i in (0, 1))
        return Rows(rows, values, self.data.shape)

    def _side_by_side(self, shelf: Shelf, parts: Sequence[tuple[Table, Rows]]) -> Rows:
        """Gradients for the same ids of some tables of a shelf; zeros for the others."""
        ids = parts[0][1].rows.reshape(-1)
        values = np.zeros_like(self.data, shape=(len(ids), self.width))
        for table, part in parts:
            values[:, self._columns[id(table)]] = part.values.reshape(len(ids), table.shape[1])
        return Rows(ids.astype(np.intp) + shelf.first, values, self.data.shape)

    def zero_grad(self) -> None:
        """Forget the gradients of all tables."""
        self.pending = []
        if self.own_gradients:
            for table in self.tables:
                table.grad = None
            self.own_gradients = any(table.store is not self for table in self.tables)

    def collect(self) -> None:
        """Make sure that data and gradients are in their places before a step."""
        self.move_in()
        if only_rows := self.only_rows():
            self.grad.fill(0)
            self.gradient().add_to(self.grad)
        for table, _, grad in self.places:
            if not only_rows and table.grad is not grad:
                grad[...] = 0 if table.grad is None else table.grad

    def move_in(self) -> None:
        """Take in those tables that have their array elsewhere."""
        for table, data, grad in self.places:
            if table.store is not self:
                check_fits(table, data)
                table.move_in(self, data, grad)

    def release(self) -> None:
        """Let the tables have arrays of their own again."""
        self.settle()
        for table, data, grad in self.places:
            if table.home is grad:
                table.home = None
            if table.store is self:
                table.data = data.copy()
