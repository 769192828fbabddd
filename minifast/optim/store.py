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

    def look_up(self, ids: Array) -> Array: ...

    def settle(self) -> None: ...


class Shelf:
    """Where a slab stands: its tables are the rows from ``first`` on. It remembers the last
    lookup, so that what lies side by side is read once."""

    __slots__ = ("first", "flat", "ids", "n", "read_by", "rows")

    def __init__(self, first: int, n: int) -> None:
        self.first, self.n = first, n
        self.forget()

    def forget(self) -> None:
        """The values have changed."""
        self.ids: Array | None = None
        self.flat: Array = None
        self.rows: Array = None
        self.read_by: list[Table] = []

    def flatten(self, ids: Array) -> Array:
        """Numbers (n,) of rows of the store for ids (bs, ...) of the tables here."""
        if self.ids is ids:
            return self.flat
        return ids.reshape(-1) + self.first if self.first else ids.reshape(-1)


class Part(NamedTuple):
    """Gradients that came from one lookup: its ids, and for some columns the values."""

    shelf: Shelf
    ids: Array
    columns: list[tuple[slice, Array]]


class Store:
    """Tables with their ``spans``; the rows of all are the rows of one matrix ``data``.

    ``form`` is None while the values stand there as they are.
    """

    def __init__(self, slabs: Sequence[Slab], spans: Mapping[int, Span], data: Array,
                 grad: Array) -> None:
        self.tables = [table for slab in slabs for table in slab]
        first, last = (spans[id(self.tables[i])] for i in (0, -1))
        self.place, self.width = slice(first.place.start, last.place.stop), first.width
        self.data, self.grad = self.matrix(data), self.matrix(grad)
        self.places = [(t, spans[id(t)](data), spans[id(t)](grad)) for t in self.tables]
        self.form: Form | None = None
        self.shelves: list[Shelf] = []
        self._seats: dict[int, tuple[Shelf, slice]] = {}
        for slab in slabs:
            row = self.shelves[-1].first + self.shelves[-1].n if self.shelves else 0
            self.shelves.append(Shelf(row, slab[0].shape[0]))
            self._seats |= {id(t): (self.shelves[-1], spans[id(t)].columns) for t in slab}

    def part_of(self, table: Table, matrix: Array) -> Array:
        """Those rows and columns of a matrix like ``data`` that are the table's."""
        shelf, columns = self._seats[id(table)]
        return matrix[shelf.first:shelf.first + shelf.n, columns]

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

    def forget(self) -> None:
        """The values have changed: what was read before is old."""
        for shelf in self.shelves:
            shelf.forget()

    def read(self, table: Table, ids: Array) -> Array:
        """The rows (bs, ..., width) of a table; what lies beside it is read on the way.

        It goes to whoever asks with the same ids, once: who asks again may have changed it.
        """
        shelf, columns = self._seats[id(table)]
        if shelf.ids is not ids or any(t is table for t in shelf.read_by):
            check_ids(ids, shelf.n, "an Embedding of {n} rows")
            shelf.forget()
            shelf.flat, shelf.ids = shelf.flatten(ids), ids
            shelf.rows = self._look_up(shelf.flat)
        shelf.read_by.append(table)
        rows: Array = shelf.rows[:, columns]
        if self.form is not None:
            rows = rows.copy()  # the form reads its own once more
        return rows if ids.ndim == 1 else rows.reshape(*ids.shape, -1)

    def _look_up(self, ids: Array) -> Array:
        return backend_of(self.data).gather(self.data, ids) if self.form is None \
            else self.form.look_up(ids)

    # ---- gradients

    def only_rows(self) -> bool:
        """Whether the gradients of all tables are zero save for some rows, as far as one knows."""
        return all(table.only_rows() for table in self.tables)

    def share(self) -> float:
        """How much of the store has a gradient, at most: ids count as often as they come."""
        touched = sum(int(part.values.size) for table in self.tables for part in table.rows)
        return touched / max(int(self.data.size), 1)

    def parts(self) -> list[Part]:
        """The gradients of rows that wait; those of one lookup together."""
        found: dict[tuple[int, int, int], Part] = {}
        for table in self.tables:
            shelf, columns = self._seats[id(table)]
            for turn, (ids, values, _) in enumerate(table.rows):
                part = found.setdefault((turn, id(ids), shelf.first), Part(shelf, ids, []))
                part.columns.append((columns, values))
        return list(found.values())

    def together(self, parts: Sequence[Part]) -> Rows:
        """The gradient of the whole matrix: rows (n,), some perhaps twice, values (n, width)."""
        rows = [part.shelf.flatten(part.ids) for part in parts]
        values, at = np.empty_like(self.data, shape=(sum(map(len, rows)), self.width)), 0
        for part in parts:
            place = slice(at, at := at + part.ids.size)
            if sum(some.shape[-1] for _, some in part.columns) < self.width:
                values[place] = 0
            for columns, some in part.columns:
                values[place, columns] = some.reshape(part.ids.size, -1)
        ids = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        return Rows(ids, values, self.data.shape)

    def collect(self) -> None:
        """Make sure that data and gradients are in their places before a step."""
        self.move_in()
        if only_rows := self.only_rows():
            self.grad.fill(0)
            self.together(self.parts()).add_to(self.grad)
        for table, _, grad in self.places:
            if not only_rows and table.grad is not grad:
                grad[...] = 0 if table.grad is None else table.grad
        self.forget()

    def move_in(self) -> None:
        """Take in those tables that have their array elsewhere."""
        for table, data, grad in self.places:
            if table.store is not self:
                check_fits(table, data)
                table.move_in(self, data, grad)
                self.forget()

    def release(self) -> None:
        """Let the tables have arrays of their own again."""
        self.settle()
        for table, data, grad in self.places:
            if table.home is grad:
                table.home = None
            if table.store is self:
                table.data = data.copy()
