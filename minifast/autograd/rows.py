"""The gradient of a lookup: a few rows, not a table full of zeros."""
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, backend_of


class Rows(NamedTuple):
    """A gradient that is zero save for ``values`` at ``rows``; a row that comes twice counts twice.

    ids ``rows`` (bs, ...), ``values`` (bs, ..., width), ``shape`` (n_rows, width): what
    ``torch.nn.Embedding(sparse=True)`` gives, before it is coalesced. With a ``share`` (bs, ...)
    each row of values counts as many times.
    """

    rows: Array
    values: Array
    shape: tuple[int, ...]
    share: Array | None = None

    def add_to(self, table: Array, times: float = 1.) -> None:
        """Sum the rows into ``table``, in place, or so many times the rows."""
        share: Any = times
        if self.share is not None:
            share = self.share.reshape(-1) if times == 1 else self.share.reshape(-1) * times
        backend_of(table).scatter_add(table, self.rows.reshape(-1),
                                      self.values.reshape(-1, self.shape[1]), share)

    def dense(self) -> Array:
        """The gradient as a table."""
        table = np.zeros_like(self.values, shape=self.shape)
        self.add_to(table)
        return table

    def flat(self) -> "Rows":
        """The same with rows (n,), values (n, width) and no share."""
        values = self.values.reshape(-1, self.shape[1])
        if self.share is not None:
            values = values * self.share.reshape(-1, 1)
        return Rows(self.rows.reshape(-1), values, self.shape)

    def part(self, some: slice) -> "Rows":
        """Some of the rows, with their values."""
        share = None if self.share is None else self.share[some]
        return self._replace(rows=self.rows[some], values=self.values[some], share=share)

    def together(self, others: "Sequence[Rows]") -> "Rows":
        """The sum with ``others`` of the same table, each row once, in arrays of its own."""
        parts = [part.flat() for part in (self, *others)]
        rows, seats = np.unique(np.concatenate([p.rows for p in parts]), return_inverse=True)
        values = np.concatenate([part.values for part in parts])
        return Rows(rows, Rows(seats, values, (len(rows), self.shape[1])).dense(), self.shape)
