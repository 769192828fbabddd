"""A simulated CUDA device, strict about all that CuPy is strict about.

``MINIFAST_DEVICE=fakecuda`` runs a program on it; ``count`` and ``forbid`` say what a GPU would
have had to do.
"""
from typing import Any

import numpy as np

from ...backend import Backend
from .array import FakeArray
from .counting import Counts, FakeOutOfMemoryError, ForbiddenError, count, forbid, note, room

__all__ = ["BACKEND", "Counts", "FakeArray", "FakeOutOfMemoryError", "ForbiddenError", "count",
           "forbid", "room"]


def _from_host(host: Any) -> FakeArray:
    array = np.array(host)
    note("transfers", "from_host", n_bytes=array.nbytes)
    return FakeArray(array)


BACKEND = Backend(
    name="fakecuda", array_type=FakeArray, from_host=_from_host, to_host=lambda a: a.get(),
    gather=lambda table, rows: table[rows], scatter_add=FakeArray.add_at,
    synchronize=lambda: note("synchronizations", "synchronize()"),
    out_of_memory=FakeOutOfMemoryError)
