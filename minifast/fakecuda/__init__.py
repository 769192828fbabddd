"""A simulated CUDA device, strict about all that CuPy is strict about.

``MINIFAST_DEVICE=fakecuda`` runs a program on it; ``count`` and ``forbid`` say what a GPU would
have had to do.
"""
from typing import Any

import numpy as np

from ..backend import Array, Backend, hashed_uniform
from .array import FakeArray
from .counting import Counts, ForbiddenError, count, forbid, note

__all__ = ["BACKEND", "Counts", "FakeArray", "ForbiddenError", "count", "forbid"]


def _from_host(host: Any) -> FakeArray:
    array = np.array(host)
    note("transfers", "from_host", n_bytes=array.nbytes)
    return FakeArray(array)


def _gather(table: Array, rows: Array) -> Array:
    note("launches", "take")
    return FakeArray(table._host.take(rows._host % len(table), 0))


def _row_dot(a: Array, b: Array) -> Array:
    return (a * b).sum(-1)


BACKEND = Backend(
    name="fakecuda", array_type=FakeArray, from_host=_from_host, to_host=lambda a: a.get(),
    gather=_gather, scatter_add=FakeArray.add_at, row_dot=_row_dot, random=hashed_uniform,
    synchronize=lambda: note("synchronizations", "synchronize()"))
