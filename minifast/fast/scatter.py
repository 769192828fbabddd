"""Scatter-add: adding values into rows of a table, the gradient of a lookup.

It is the product of a transposed one-hot matrix with the values. SciPy multiplies sparse
matrices, of which a one-hot matrix is the simplest, much faster than NumPy's ``add.at`` adds.
Without SciPy the results are the same.
"""
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import import_module

import numpy as np

from ..backend import Array, backend_of


def scatter_add(target: Array, rows: Array, values: Array, scale: float | Array = 1.) -> None:
    """Add ``values * scale`` to rows of ``target``, in place; a repeated row adds up.

    Parameters
    ----------
    target : array (n_rows, width)
        The table.
    rows : array (n,) of int
        Rows of the table, within its range.
    values : array (n, width)
        What is added.
    scale : float or array (n,)
        A factor for all values, or one for each of their rows.

    Examples
    --------
    >>> table = np.zeros((3, 2))
    >>> scatter_add(table, np.array([2, 0, 2]), np.ones((3, 2)))
    >>> table.tolist()
    [[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]
    """
    product = _sparse_product()
    if product is None or not _fits_product(target, rows, values):
        backend_of(target).scatter_add(target, rows, scaled(values, scale))
        return
    n = len(rows)
    ends, ones = _one_hot(n, rows.dtype.char, target.dtype.char)
    if isinstance(scale, np.ndarray) and scale.shape == rows.shape:
        factors = np.ascontiguousarray(scale, target.dtype)
    else:
        factors = ones if np.ndim(scale) == 0 and scale == 1 \
            else np.multiply(ones, scale, dtype=target.dtype)
    product(len(target), n, target.shape[1], ends, rows, factors, values.reshape(-1),
            target.reshape(-1))


def scaled(values: Array, scale: float | Array) -> Array:
    """Return ``values`` (n, width) times a number, or times one number for each row.

    Parameters
    ----------
    values : array (n, width)
        The rows.
    scale : float or array (n,)
        The factors.

    Returns
    -------
    array (n, width)
        ``values`` itself if the factor is 1.

    Examples
    --------
    >>> scaled(np.ones((2, 1)), np.array([1., 2.])).tolist()
    [[1.0], [2.0]]
    """
    if np.ndim(scale) == 0:
        return values if scale == 1 else values * float(scale)
    return values * scale.astype(values.dtype, copy=False)[:, None]  # type: ignore[union-attr]


def _fits_product(target: Array, rows: Array, values: Array) -> bool:
    """Whether SciPy's product takes these arrays without conversion."""
    return (type(target) is np.ndarray and target.flags.c_contiguous
            and target.dtype.char in "fd" and target.dtype.isnative
            and values.dtype == target.dtype and values.shape == (len(rows), target.shape[1])
            and rows.dtype.char in "ilq")


@lru_cache(maxsize=8)
def _one_hot(n: int, index_type: str, dtype: str) -> tuple[Array, Array]:
    """A one in each of n columns: where the columns begin, and the ones."""
    return np.arange(n + 1, dtype=index_type), np.ones(n, dtype)


@cache
def _sparse_product() -> Callable[..., None] | None:
    """SciPy's ``y += A @ x`` for a matrix A in compressed columns and several vectors x.

    Its public ``A @ x`` calls this with a y of zeros. None without SciPy.
    """
    try:
        return getattr(import_module("scipy.sparse._sparsetools"), "csc_matvecs", None)
    except ImportError:
        return None
