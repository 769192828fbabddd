"""A simulated CUDA device that refuses what CuPy refuses.

``MINIFAST_DEVICE=fakecuda`` runs a program on it. ``count`` counts the work that a GPU would do,
``forbid`` raises an error when a program makes the device wait or transfer data.
"""
from typing import Any

import numpy as np

from ...backend import Backend
from .array import FakeArray as FakeArray
from .counting import Counts as Counts
from .counting import FakeOutOfMemoryError as FakeOutOfMemoryError
from .counting import ForbiddenError as ForbiddenError
from .counting import count as count
from .counting import forbid as forbid
from .counting import note
from .counting import room as room


def _from_host(host: Any) -> FakeArray:
    array = np.array(host)
    note("transfers", "from_host", n_bytes=array.nbytes)
    return FakeArray(array)


BACKEND = Backend(
    name="fakecuda", array_type=FakeArray, from_host=_from_host, to_host=lambda a: a.get(),
    gather=lambda table, rows: table[rows], scatter_add=FakeArray.add_at,
    synchronize=lambda: note("synchronizations", "synchronize()"),
    out_of_memory=FakeOutOfMemoryError)
