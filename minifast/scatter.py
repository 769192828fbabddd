"""Adding values into rows of a table, where a row that comes twice counts twice, in NumPy.

It is the gradient of a lookup: a one-hot matrix, transposed, times the values. SciPy has
products with sparse matrices, of which a one-hot matrix is the simplest, and they take a tenth of
the time of ``np.add.at``. Without SciPy the results are the same.
"""
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import import_module
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
FEW = 1 << 12


def scatter_add(target: Array, index: Any, values: Array, share: float | Array = 1.) -> None:
    """``target[index] += values * share``, in place; an index that comes twice counts twice.

    ``share`` is a number, or one for each row of values.

    >>> table = np.zeros((3, 2))
    >>> scatter_add(table, np.array([2, 0, 2]), np.ones((3, 2)))
    >>> table.tolist()
    [[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]
    """
    if not _are_rows(target, index, values):
        np.add.at(target, index, scaled(values, share))
        return
    (n, width), rows = target.shape, index.reshape(-1)
    if (product := sparse_product()) is not None and within(rows, n):
        ends, ones = _one_hot(len(rows), rows.dtype.char, target.dtype.char)
        if isinstance(share, float) and share == 1:
            shares = ones
        elif isinstance(share, np.ndarray) and share.shape == rows.shape:
            shares = np.ascontiguousarray(share, target.dtype)
        else:
            shares = np.multiply(ones, share, dtype=target.dtype)
        product(n, len(rows), width, ends, rows, shares, values.reshape(-1), target.reshape(-1))
    else:  # the fast path of add.at is one-dimensional
        values = scaled(values, share)
        flat = rows.reshape(-1, 1) * np.intp(width) + np.arange(width)  # int32 may overflow
        np.add.at(target.reshape(-1), flat.reshape(-1), values.reshape(-1))


def scaled(values: Any, share: Any) -> Any:
    """``values`` times ``share``, a number or one for each row.

    >>> scaled(np.ones((2, 1)), np.array([1., 2.])).tolist()
    [[1.0], [2.0]]
    """
    if np.ndim(share) == 0:
        return values if share == 1 else values * float(share)
    return values * share.astype(values.dtype, copy=False)[:, None]


def _are_rows(target: Array, index: Any, values: Array) -> bool:
    """Whether index (bs, ...) names rows of a table, for values (bs, ..., width) of its type."""
    return (target.ndim == 2 and target.flags.c_contiguous and isinstance(index, np.ndarray)
            and index.dtype in _INDICES and target.dtype in _FLOATS
            and values.dtype == target.dtype and values.shape == (*index.shape, target.shape[1]))


_INDICES = (np.dtype(np.int32), np.dtype(np.int64))
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def within(ids: Array, n: int) -> bool:
    """Whether all of these whole numbers lie in 0 to n - 1. Of few, NumPy tells in half the time
    where the largest one is, than how large.

    >>> within(np.array([0, 2]), 3), within(np.array([-1]), 3)
    (True, False)
    """
    if ids.size > FEW:
        return bool(ids.max() < n and ids.min() >= 0)
    return not ids.size or (ids.item(ids.argmax()) < n and ids.item(ids.argmin()) >= 0)


@lru_cache(maxsize=8)
def _one_hot(n: int, index_type: Any, type_: Any) -> tuple[Array, Array]:
    """A one in each of n columns: where the columns begin, and the ones."""
    return np.arange(n + 1, dtype=index_type), np.ones(n, type_)


@cache
def sparse_product() -> Callable[..., None] | None:
    """SciPy's ``y += A @ x`` for a matrix A in compressed columns and several vectors x, which
    its public ``A @ x`` calls with a y of zeros; None without SciPy."""
    try:
        return getattr(import_module("scipy.sparse._sparsetools"), "csc_matvecs", None)
    except ImportError:
        return None
