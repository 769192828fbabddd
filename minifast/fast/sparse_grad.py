"""SparseGrad: the gradient of a lookup as a few rows, not as a table full of zeros."""
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array
from .scatter import scaled, scatter_add


class SparseGrad(NamedTuple):
    """A gradient that is zero except at some rows; a row that is repeated adds up.

    Parameters
    ----------
    rows : array (n,) of int
        The rows.
    values : array (n, width)
        The gradient of each.
    shape : tuple
        (n_rows, width) of the whole gradient.
    scale : array (n,), optional
        A factor for each row of values.

    Notes
    -----
    What ``torch.nn.Embedding(sparse=True)`` gives before it is coalesced.

    Examples
    --------
    >>> gradient = SparseGrad(np.array([0, 2, 2]), np.ones((3, 1)), (3, 1))
    >>> gradient.dense()
    array([[1.],
           [0.],
           [2.]])
    """

    rows: Array
    values: Array
    shape: tuple[int, ...]
    scale: Array | None = None

    @property
    def dtype(self) -> "np.dtype[Any]":
        """NumPy's type of the values."""
        return self.values.dtype  # type: ignore[no-any-return]

    def add_to(self, table: Array, factor: float = 1.) -> None:
        """Add the gradient to a table, in place.

        Parameters
        ----------
        table : array (n_rows, width)
            The table.
        factor : float
            A factor for the whole gradient.

        Examples
        --------
        >>> gradient = SparseGrad(np.array([0, 2, 2]), np.ones((3, 1)), (3, 1))
        >>> table = np.zeros((3, 1))
        >>> gradient.add_to(table, -.5)
        >>> table.tolist()
        [[-0.5], [0.0], [-1.0]]
        """
        scale: Any = factor if self.scale is None else \
            self.scale if factor == 1 else self.scale * factor
        scatter_add(table, self.rows, self.values, scale)

    def dense(self) -> Array:
        """Return the gradient as an array (n_rows, width)."""
        table = np.zeros_like(self.values, shape=self.shape)
        self.add_to(table)
        return table

    def of_table(self, first: int, shape: tuple[int, ...]) -> Array:
        """Return the gradient of one table of a store, as an array.

        Parameters
        ----------
        first : int
            The first row of the table in the store.
        shape : tuple of int
            The table's shape.

        Returns
        -------
        array
            The gradient, in this shape.

        Examples
        --------
        >>> gradient = SparseGrad(np.array([5, 6]), np.ones((2, 1)), (8, 1))
        >>> gradient.of_table(first=5, shape=(3, 1)).tolist()
        [[1.0], [1.0], [0.0]]
        """
        return self._replace(rows=self.rows - first, shape=shape).dense()

    def unscaled(self) -> "SparseGrad":
        """Return the same gradient without a ``scale``."""
        values = self.values if self.scale is None else scaled(self.values, self.scale)
        return SparseGrad(self.rows, values, self.shape)

    def part(self, where: slice) -> "SparseGrad":
        """Return some of the rows with their values.

        Parameters
        ----------
        where : slice
            Which of the rows in ``rows``.

        Returns
        -------
        SparseGrad
            Of the same shape.

        Examples
        --------
        >>> gradient = SparseGrad(np.array([0, 2, 2]), np.ones((3, 1)), (3, 1))
        >>> gradient.part(slice(1, 3)).rows
        array([2, 2])
        """
        scale = None if self.scale is None else self.scale[where]
        return SparseGrad(self.rows[where], self.values[where], self.shape, scale)
