"""The gradient of a lookup: a few rows, not a table full of zeros."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..backend import Array, backend_of


class Rows(NamedTuple):
    """A gradient that is zero save for ``values`` at ``rows``; a row that comes twice counts twice.

    ids ``rows`` (bs, ...), ``values`` (bs, ..., width), ``shape`` (n_rows, width): what
    ``torch.nn.Embedding(sparse=True)`` gives, before it is coalesced.
    """

    rows: Array
    values: Array
    shape: tuple[int, ...]

    def add_to(self, table: Array) -> None:
        """Sum the rows into ``table``, in place."""
        width = self.shape[1]
        backend_of(table).scatter_add(table, self.rows.reshape(-1), self.values.reshape(-1, width))

    def dense(self) -> Array:
        """The gradient as a table."""
        table = np.zeros_like(self.values, shape=self.shape)
        self.add_to(table)
        return table

    def together(self, others: "Sequence[Rows]") -> "Rows":
        """The sum with ``others`` of the same table, each row once, in arrays of its own."""
        parts, width = [self, *others], self.shape[1]
        ids = np.concatenate([part.rows.reshape(-1) for part in parts])
        rows, seats = np.unique(ids, return_inverse=True)
        values = np.concatenate([part.values.reshape(-1, width) for part in parts])
        return Rows(rows, Rows(seats, values, (len(rows), width)).dense(), self.shape)
