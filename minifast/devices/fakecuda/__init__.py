"""A simulated CUDA device that refuses what CuPy refuses.

``MINIFAST_DEVICE=fakecuda`` runs a program on it. ``counting.count`` counts the work that a GPU
would do, ``counting.forbid`` raises an error when a program makes the device wait or transfer data.
"""
from typing import Any

import numpy as np

from ...backend import Backend, register_backend
from .array import FakeArray
from .counting import FakeOutOfMemoryError, note


def _from_host(host: Any) -> FakeArray:
    array = np.array(host)
    note("transfers", "from_host", n_bytes=array.nbytes)
    return FakeArray(array)


BACKEND = Backend(
    name="fakecuda", array_type=FakeArray, from_host=_from_host, to_host=lambda a: a.get(),
    gather=lambda table, rows: table[rows], scatter_add=FakeArray.add_at,
    synchronize=lambda: note("synchronizations", "synchronize()"),
    out_of_memory=FakeOutOfMemoryError)
register_backend(BACKEND)
