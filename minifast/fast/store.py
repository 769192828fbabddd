"""EmbeddingStore: the tables of embeddings, side by side and end to end as one long table.

One lookup then reads factors and bias of a user, one scatter-add sums the gradients of users and
items alike, and a step that updates a few rows does so for all tables at once.
"""
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, backend_of
from ..nn import Parameter
from ..nn.embedding import check_ids
from .layout import ColumnGroup, Place
from .parameters import EmbeddingWeight, array_of
from .sparse_grad import SparseGrad


class RowRange(NamedTuple):
    """The rows of a store that hold one column group.

    Parameters
    ----------
    first, n : int
        The first row, and how many there are.
    tables : sequence of Parameter
        The tables that lie side by side there.

    Examples
    --------
    >>> RowRange(first=3, n=5, tables=[]).n
    5
    """

    first: int
    n: int
    tables: Sequence[Any]


class TableLeaf:
    """A table as the leaf of a graph: gradients of its lookups go to the weight unchanged.

    Parameters
    ----------
    weight : EmbeddingWeight
        The table.
    n_rows : int
        Rows of the whole store, by which the gradients are numbered.
    first : int
        The first row of the table in the store.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.fast import accelerate
    >>> from minifast.nn import Embedding
    >>> from minifast.optim import SGD
    >>> layer = Embedding(3, 2, seed=0)
    >>> opt = SGD(layer.parameters(), lr=.1)
    >>> with accelerate(layer, opt):
    ...     layer.weight.leaf.shape
    (3, 2)
    """

    node = None

    def __init__(self, weight: EmbeddingWeight, n_rows: int, first: int) -> None:
        self.weight, self.shape, self.dtype = weight, (n_rows, weight.shape[1]), weight.dtype
        self.requires_grad, self.first = True, first

    def accumulate(self, gradient: SparseGrad) -> None:
        """Keep a gradient whose rows are those of the store.

        If the store was released since the forward pass, the table gets an ordinary gradient.

        Parameters
        ----------
        gradient : SparseGrad
            The gradient.

        Examples
        --------
        >>> from minifast import tensor
        >>> from minifast.fast import accelerate
        >>> from minifast.nn import Embedding
        >>> from minifast.optim import SGD
        >>> layer = Embedding(3, 2, seed=0)
        >>> opt = SGD(layer.parameters(), lr=.1)
        >>> with accelerate(layer, opt):
        ...     layer.weight.leaf.accumulate(SparseGrad(np.array([1]), np.ones((1, 2)), (3, 2)))
        ...     layer.weight.grad.tolist()
        [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
        """
        if vars(self.weight).get("leaf") is not self:
            self.weight.accumulate(gradient.of_table(self.first, self.weight.shape))
            return
        self.weight.sparse.append(gradient)
        self.weight.store.only_pending = False


class EmbeddingStore:
    """Several tables as the row ranges and columns of one matrix ``data``.

    It is itself a leaf of the graph: a lookup of rows of all tables at once leaves its gradient
    in ``pending``, until the optimizer takes it or a table's own gradient is read.

    Parameters
    ----------
    groups : sequence of ColumnGroup
        Tables that lie side by side; the groups lie end to end.
    places : mapping of Parameter to Place
        Where each table lies.
    data, grad : array
        Flat storage of values and of gradients.

    Attributes
    ----------
    deferred : DeferredTable or None
        The deferred form of the values, while it is in use.
    intact : bool
        Whether no table's array was replaced.
    only_pending : bool
        Whether all gradients are in ``pending``.
    released : bool
        Whether the tables have their own arrays again.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.fast import accelerate
    >>> from minifast.nn import Embedding
    >>> from minifast.optim import SGD
    >>> layer = Embedding(3, 2, seed=0)
    >>> opt = SGD(layer.parameters(), lr=.1)
    >>> with accelerate(layer, opt):
    ...     layer.weight.store.data.shape
    (3, 2)
    """

    node = None
    requires_grad = True

    def __init__(self, groups: Sequence[ColumnGroup], places: Mapping[Parameter, Place],
                 data: Array, grad: Array) -> None:
        self.tables: list[Any] = [table for group in groups for table in group]
        first, last = places[self.tables[0]], places[self.tables[-1]]
        self.where, self.width = slice(first.where.start, last.where.stop), first.width
        self.data, self.grad = self.matrix(data), self.matrix(grad)
        self.shape, self.dtype = self.data.shape, self.data.dtype
        self.deferred: Any = None
        self.pending: list[SparseGrad] = []
        self.intact, self.only_pending, self.released = True, False, False
        ends = np.cumsum([0, *(group[0].shape[0] for group in groups)]).tolist()
        self.ranges = [RowRange(start, stop - start, group)
                       for group, start, stop in zip(groups, ends, ends[1:], strict=False)]
        self.in_pairs = [len(group) for group in groups] == [2, 2]
        self._range = {table: found for found in self.ranges for table in found.tables}
        self.columns = {table: places[table].columns for table in self.tables}
        self.last_reads: dict[int, tuple[Array, Array]] = {}  # by range, until the next step

    def first_row(self, table: Parameter) -> int:
        """Return the first row of a table in the store.

        Parameters
        ----------
        table : Parameter
            The table.

        Returns
        -------
        int
            The row.

        Examples
        --------
        >>> from minifast import tensor
        >>> from minifast.fast import accelerate
        >>> from minifast.nn import Embedding
        >>> from minifast.optim import SGD
        >>> layer = Embedding(3, 2, seed=0)
        >>> opt = SGD(layer.parameters(), lr=.1)
        >>> with accelerate(layer, opt):
        ...     layer.weight.store.first_row(layer.weight)
        0
        """
        return self._range[table].first

    def matrix(self, flat: Array) -> Array:
        """Return the store's part (rows, width) of an array of the flat storage.

        Parameters
        ----------
        flat : array
            Values, gradients or state of the flat storage.

        Returns
        -------
        array (rows, width)
            A view.

        Examples
        --------
        >>> from minifast import tensor
        >>> from minifast.fast import accelerate
        >>> from minifast.nn import Embedding
        >>> from minifast.optim import SGD
        >>> layer = Embedding(3, 2, seed=0)
        >>> opt = SGD(layer.parameters(), lr=.1)
        >>> with accelerate(layer, opt):
        ...     layer.weight.store.matrix(np.arange(6.)).tolist()
        [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
        """
        return flat[self.where].reshape(-1, self.width)

    # ---- reading

    def materialize(self) -> None:
        """Compute the present values, if they are deferred."""
        if self.deferred is not None:
            self.deferred.materialize()
        self.last_reads = {}

    def lookup(self, rows: Array) -> Array:
        """Return rows (n,) of the store, (n, width).

        Parameters
        ----------
        rows : array (n,)
            The rows.

        Returns
        -------
        array (n, width)
            Their present values.

        Examples
        --------
        >>> from minifast import tensor
        >>> from minifast.fast import accelerate
        >>> from minifast.nn import Embedding
        >>> from minifast.optim import SGD
        >>> layer = Embedding(3, 2, seed=0)
        >>> opt = SGD(layer.parameters(), lr=.1)
        >>> with accelerate(layer, opt):
        ...     layer.weight.store.lookup(np.array([2, 0])).shape
        (2, 2)
        """
        return backend_of(self.data).gather(self.data, rows) if self.deferred is None \
            else self.deferred.lookup(rows)

    def read(self, table: Parameter, ids: Array) -> tuple[Array, Array]:
        """Return the rows of the store for ids of a table, and their present values.

        Tables side by side are mostly read with the same ids, so the last rows of each range are
        kept: their gradients can then be joined again. While values are deferred, the values are
        kept as well, until the next step.

        Parameters
        ----------
        table : Parameter
            The table.
        ids : array (n,) of int
            Its rows.

        Returns
        -------
        rows : array (n,)
            Rows of the store.
        values : array (n, width)
            Their values, in all columns.

        Examples
        --------
        >>> from minifast import tensor
        >>> from minifast.fast import accelerate
        >>> from minifast.nn import Embedding
        >>> from minifast.optim import SGD
        >>> layer = Embedding(3, 2, seed=0)
        >>> opt = SGD(layer.parameters(), lr=.1)
        >>> with accelerate(layer, opt):
        ...     rows, values = layer.weight.store.read(layer.weight, np.array([2, 0]))
        >>> rows, values.shape
        (array([2, 0]), (2, 2))
        """
        found = self._range[table]
        check_ids(ids, found.n, "an Embedding of {n} rows")
        rows = ids.astype(np.intp) + found.first
        last: tuple[Array, Array] | None = self.last_reads.get(found.first)
        if last is None or last[0].shape != rows.shape or not (last[0] == rows).all():
            last = self.last_reads[found.first] = rows, self.lookup(rows)
        elif self.deferred is None:  # the values may have changed
            last = last[0], self.lookup(rows)
        return last

    def rows_of(self, ids: Sequence[Array]) -> Array:
        """Return the store's rows (k n,) for ids (n,) of each of the k ranges, range by range.

        Parameters
        ----------
        ids : sequence of array (n,)
            Ids for each range.

        Returns
        -------
        array (k n,)
            The rows.

        Examples
        --------
        >>> from minifast import tensor
        >>> from minifast.fast import accelerate
        >>> from minifast.nn import Embedding
        >>> from minifast.optim import SGD
        >>> layer = Embedding(3, 2, seed=0)
        >>> opt = SGD(layer.parameters(), lr=.1)
        >>> with accelerate(layer, opt):
        ...     layer.weight.store.rows_of([np.array([2, 0])])
        array([2, 0])
        """
        rows = np.empty_like(ids[0], shape=(len(ids), len(ids[0])), dtype=np.intp)
        for out, some, found in zip(rows, ids, self.ranges, strict=True):
            check_ids(some, found.n, "an Embedding of {n} rows")
            np.add(some, found.first, out, dtype=np.intp)  # ids of a narrow type would overflow
        return rows.reshape(-1)

    # ---- gradients

    def accumulate(self, gradient: SparseGrad) -> None:
        """Keep the gradient of a lookup in all tables at once.

        Parameters
        ----------
        gradient : SparseGrad
            The gradient; its rows are those of the store.

        Examples
        --------
        >>> from minifast import tensor
        >>> from minifast.fast import accelerate
        >>> from minifast.nn import Embedding
        >>> from minifast.optim import SGD
        >>> layer = Embedding(3, 2, seed=0)
        >>> opt = SGD(layer.parameters(), lr=.1)
        >>> with accelerate(layer, opt):
        ...     store = layer.weight.store
        ...     store.accumulate(SparseGrad(np.array([1]), np.ones((1, 2)), (3, 2)))
        ...     len(store.pending)
        1
        """
        self.pending.append(gradient)
        if self.released:
            self.distribute()

    def distribute(self) -> None:
        """Give each table its part of the pending gradients."""
        pending, self.pending = self.pending, []
        for rows, together, _, _ in (part.unscaled() for part in pending):
            self.only_pending = False
            for found, some, its in zip(self.ranges, rows.reshape(len(self.ranges), -1),
                                        together.reshape(len(self.ranges), -1, self.width),
                                        strict=True):
                for table in found.tables:
                    values = its[:, self.columns[table]].copy()
                    part = SparseGrad(some, values, (len(self.data), values.shape[1]))
                    if self.released:
                        table.accumulate(part.of_table(found.first, table.shape))
                    else:
                        table.sparse.append(part)

    def add_part(self, table: Parameter, part: SparseGrad, grad: Array) -> None:
        """Add the gradient of a table's lookups to its gradient as an array.

        Parameters
        ----------
        table : Parameter
            The table.
        part : SparseGrad
            The gradient; its rows are those of the store.
        grad : array
            In the shape of the table, changed in place.

        Examples
        --------
        >>> from minifast import tensor
        >>> from minifast.fast import accelerate
        >>> from minifast.nn import Embedding
        >>> from minifast.optim import SGD
        >>> layer = Embedding(3, 2, seed=0)
        >>> opt = SGD(layer.parameters(), lr=.1)
        >>> grad = np.zeros((3, 2))
        >>> with accelerate(layer, opt):
        ...     part = SparseGrad(np.array([1]), np.ones((1, 2)), (3, 2))
        ...     layer.weight.store.add_part(layer.weight, part, grad)
        >>> grad[1].tolist()
        [1.0, 1.0]
        """
        grad += part.of_table(self.first_row(table), table.shape)

    def is_sparse(self) -> bool:
        """Return whether no table has a gradient as an array."""
        return self.only_pending or not any(table.has_dense_grad() for table in self.tables)

    def _parts(self) -> list[SparseGrad]:
        """All gradients of lookups, both here and in the tables."""
        if self.only_pending:
            return self.pending
        return [*self.pending, *(part for table in self.tables for part in table.sparse)]

    def share(self) -> float:
        """Return an upper bound of the share of the store that has a gradient."""
        return sum(int(part.values.size) for part in self._parts()) / max(int(self.data.size), 1)

    def gradient(self) -> SparseGrad:
        """Return the sum of all gradients of lookups, for the rows of the whole matrix."""
        if len(parts := self._parts()) == len(self.pending) == 1:
            return parts[0]
        found = [part.unscaled() for part in self.pending]
        for row_range in self.ranges:
            lookups: dict[tuple[int, int], list[tuple[Any, SparseGrad]]] = {}
            for table in row_range.tables:
                for turn, part in enumerate(table.sparse):
                    lookups.setdefault((turn, id(part.rows)), []).append((table, part.unscaled()))
            found += [self._side_by_side(parts) for parts in lookups.values()]
        found = found or [SparseGrad(np.zeros(0, np.intp), self.data[:0], self.shape)]
        rows, values = (np.concatenate([part[i] for part in found]) for i in (0, 1))
        return SparseGrad(rows, values, self.shape)

    def _side_by_side(self, parts: Sequence[tuple[Parameter, SparseGrad]]) -> SparseGrad:
        """Gradients for the same rows of some tables of a range; zeros for the others."""
        rows = parts[0][1].rows
        values = np.empty_like(self.data, shape=(len(rows), self.width))
        if sum(part.shape[1] for _, part in parts) < self.width:
            values.fill(0)
        for table, part in parts:
            values[:, self.columns[table]] = part.values
        return SparseGrad(rows, values, self.shape)

    def zero_grad(self) -> None:
        """Forget the gradients of all tables."""
        self.pending = []
        if not self.only_pending:
            for table in self.tables:
                table.grad = None
            self.only_pending = self.intact

    def write_gradients(self) -> None:
        """Write all gradients into flat storage, as the gradients of the tables."""
        self.collect()
        self.pending = []
        for table in self.tables:
            table.grad = table.grad_view

    def collect(self) -> None:
        """Write all gradients into flat storage, before a step that reads them there."""
        if self.is_sparse():
            self.grad.fill(0)
            self.gradient().add_to(self.grad)
            return
        for table in self.tables:
            if (grad := table.grad) is not table.grad_view:
                table.grad_view[...] = 0 if grad is None else array_of(grad)
