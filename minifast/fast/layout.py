"""Where parameters lie in flat storage."""
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from ..backend import Array
from ..nn import Parameter


class Place(NamedTuple):
    """Where a parameter lies in a flat array: ``place(flat)`` is its part, as a view.

    Parameters
    ----------
    where : slice
        The elements. For an embedding table, those of all tables in its column group.
    shape : tuple
        The parameter's shape.
    width : int
        For a table: the columns of its column group; 0 for other parameters.
    columns : slice
        For a table: its own columns.

    Examples
    --------
    >>> import numpy as np
    >>> Place(slice(2, 6), (2, 2))(np.arange(8.))
    array([[2., 3.],
           [4., 5.]])
    """

    where: slice
    shape: tuple[int, ...]
    width: int = 0
    columns: slice = slice(None)

    def __call__(self, flat: Array) -> Array:
        """Return the parameter's part of ``flat``, a view."""
        if not self.width:
            return flat[self.where].reshape(self.shape)
        return flat[self.where].reshape(-1, self.width)[:, self.columns]


ColumnGroup: TypeAlias = Sequence[Parameter]
"""Tables with equally many rows, which lie side by side."""


def lay_out(dense: Iterable[Parameter], tables: Iterable[Parameter]
            ) -> tuple[list[Place], list[list[ColumnGroup]]]:
    """Return the places of parameters that lie end to end, and which tables share a store.

    Tables with equally many rows are assumed to be looked up with the same ids, as factors and
    biases of users are, so they lie side by side. Of two tables of the same shape, the second is
    assumed to describe something else, such as items if there are as many items as users. Column
    groups of one width then lie end to end, as one long table: a store.

    Parameters
    ----------
    dense : iterable of Parameter
        Parameters that are not tables; they come first.
    tables : iterable of Parameter
        Weights of embeddings.

    Returns
    -------
    places : list of Place
        Of the dense parameters, then of the tables, store by store.
    stores : list of list of ColumnGroup
        The column groups of each store.

    Examples
    --------
    The factors and the biases of five users lie side by side, in three columns.

    >>> from minifast.nn import Embedding
    >>> tables = Embedding(5, 2).weight, Embedding(5, 1).weight
    >>> places, stores = lay_out([], tables)
    >>> [place.columns for place in places], len(stores)
    ([slice(0, 2, None), slice(2, 3, None)], 1)
    """
    places, start = [], 0
    for p in dense:
        places.append(Place(slice(start, start + p.numel()), p.shape))
        start += p.numel()
    stores = _group(tables)
    for group in (group for store in stores for group in store):
        places += _side_by_side(group, start)
        start = places[-1].where.stop
    return places, stores


def _side_by_side(group: ColumnGroup, start: int) -> Iterator[Place]:
    width, column = sum(table.shape[1] for table in group), 0
    where = slice(start, start + group[0].shape[0] * width)
    for table in group:
        yield Place(where, table.shape, width, slice(column, column + table.shape[1]))
        column += table.shape[1]


def _group(tables: Iterable[Parameter]) -> list[list[ColumnGroup]]:
    groups: dict[tuple[int, int], list[Parameter]] = {}
    seen: Counter[tuple[int, ...]] = Counter()
    for table in tables:
        groups.setdefault((table.shape[0], seen[table.shape]), []).append(table)
        seen[table.shape] += 1
    stores: dict[int, list[ColumnGroup]] = {}
    for group in groups.values():
        stores.setdefault(sum(table.shape[1] for table in group), []).append(group)
    return list(stores.values())
