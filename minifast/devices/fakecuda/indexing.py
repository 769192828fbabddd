"""Indexing as CuPy does it, on the NumPy array inside a device array.

An index out of range wraps around. Of two writes to one element, either may win. Sums over
repeated indices are taken in an order that differs from run to run.
"""
from typing import Any

import numpy as np

from .counting import note

_order = np.random.default_rng(0)


def place_of(parts: list[Any], shape: tuple[int, ...]) -> tuple[tuple[Any, ...], int]:
    """Translate an index of CuPy into one of NumPy.

    Parameters
    ----------
    parts : list
        The parts of the index: numbers, slices, NumPy arrays, ``None``, ``Ellipsis``.
    shape : tuple of int
        The shape of the indexed array.

    Returns
    -------
    tuple
        The index that NumPy needs.
    int
        How many arrays it contains; without one the result is a view.

    Raises
    ------
    IndexError
        If there are more parts than axes.

    Examples
    --------
    >>> place_of([..., np.array([-1, 5])], (2, 4))
    ((Ellipsis, array([3, 1])), 1)
    """
    taken = sum(map(_axes_of, parts))
    if taken > len(shape):
        raise IndexError(f"too many indices for array: array is {len(shape)}-dimensional, but "
                         f"{taken} were indexed")
    axis, found = 0, []
    for part in parts:
        found.append(_wrapped(part, shape[axis:]) if isinstance(part, np.ndarray) else part)
        axis += len(shape) - taken if part is Ellipsis else _axes_of(part)
    n_arrays = sum(isinstance(part, np.ndarray) for part in parts)
    dots = n_arrays or any(part is Ellipsis for part in parts)
    return (tuple(found) if dots else (*found, ...)), n_arrays


def _axes_of(part: Any) -> int:
    """Return how many axes a part of an index stands for."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1


def _wrapped(part: Any, lengths: tuple[int, ...]) -> Any:
    if part.dtype.kind not in "iub":
        raise IndexError("arrays used as indices must be of integer or boolean type. (actual: "
                         f"{part.dtype.type})")
    if part.dtype == bool:
        note("synchronizations", "a mask as an index")
        return part
    ids = part.astype(np.int64)
    return np.asarray(ids % lengths[0]) if lengths[0] else ids


def scatter(host: Any, place: tuple[Any, ...], values: Any, add: bool) -> None:
    """Write or add values one by one, in an order that differs from run to run.

    Parameters
    ----------
    host : ndarray
        The array to change.
    place : tuple
        The index, as ``place_of`` returns it.
    values : ndarray or number
        What to write there; broadcast to the shape of ``host[place]``.
    add : bool
        Whether to add instead of write.

    Examples
    --------
    >>> host = np.zeros(3)
    >>> scatter(host, (np.array([0, 0, 2]),), 1., add=True)
    >>> host
    array([2., 0., 1.])
    """
    positions = np.arange(host.size).reshape(host.shape)[place]
    with np.errstate(all="ignore"):
        values = np.broadcast_to(np.asarray(values).astype(host.dtype), positions.shape).reshape(-1)
    order, flat = _order.permutation(positions.size), host.reshape(-1)
    to, values = positions.reshape(-1)[order], values[order]
    if add:
        np.add.at(flat, to, values)
    else:
        flat[to] = values
    if not host.flags.c_contiguous:  # then flat is a copy
        host[...] = flat.reshape(host.shape)


def fill(view: Any, value: Any) -> None:
    """Do ``a[slice] = value``.

    Python runs ``a[slice] += b`` as an update of the view followed by ``a[slice] = view``; the
    second part costs nothing.

    Parameters
    ----------
    view : ndarray
        The part of the array to fill.
    value : ndarray or number
        A single number, or values that broadcast to the view.

    Examples
    --------
    >>> host = np.zeros(3)
    >>> fill(host[1:], 2.)
    >>> host
    array([0., 2., 2.])
    """
    if isinstance(value, np.ndarray) and value.__array_interface__ == view.__array_interface__:
        return
    note("launches", "an assignment")
    with np.errstate(all="ignore"):
        view[...] = value
