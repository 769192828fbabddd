"""CuPy's way to look things up and to write them, on the NumPy array inside.

An index out of range wraps around; of two writes to one place, any may win; sums over repeated
indices are done element by element, in an order that differs from run to run.
"""
from typing import Any

import numpy as np

from .counting import note

Host = Any
"""A NumPy array: what a device array has inside."""
_order = np.random.default_rng(0)


def place_of(parts: list[Any], shape: tuple[int, ...]) -> tuple[tuple[Any, ...], int]:
    """The index that NumPy needs, and how many arrays are in it (with none, it makes a view).

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
    """How many axes of the array a part of an index stands for."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1


def _wrapped(part: Host, lengths: tuple[int, ...]) -> Host:
    if part.dtype.kind not in "iub":
        raise IndexError("arrays used as indices must be of integer or boolean type. (actual: "
                         f"{part.dtype.type})")
    if part.dtype == bool:
        note("synchronizations", "a mask as an index")
        return part
    ids = part.astype(np.int64)
    return np.asarray(ids % lengths[0]) if lengths[0] else ids


def note_lookup(what: str, n_arrays: int) -> None:
    """One kernel; with several arrays, one more for each, and one to start from."""
    note("launches", what, 1 if n_arrays == 1 else n_arrays + 2)


def scatter(host: Host, place: tuple[Any, ...], values: Host, add: bool) -> None:
    """Write, or add, element by element in an order that differs from run to run."""
    positions = np.arange(host.size).reshape(host.shape)[place]
    with np.errstate(all="ignore"):
        values = np.broadcast_to(values.astype(host.dtype), positions.shape).reshape(-1)
    order, flat = _order.permutation(positions.size), host.reshape(-1)
    to, values = positions.reshape(-1)[order], values[order]
    if add:
        np.add.at(flat, to, values)
    else:
        flat[to] = values
    if not host.flags.c_contiguous:  # then flat is a copy
        host[...] = flat.reshape(host.shape)


def fill(view: Host, value: Host) -> None:
    """``a[slice] = value``; nothing to do after ``a[slice] += b``, which ends with it."""
    if isinstance(value, np.ndarray) and value.__array_interface__ == view.__array_interface__:
        return
    note("launches", "an assignment")
    with np.errstate(all="ignore"):
        view[...] = value
