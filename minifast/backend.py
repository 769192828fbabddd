"""The only file that knows NumPy from CuPy.

Array code everywhere else is written in NumPy's own words (``np.exp(x)``, ``x.sum(0)``): a CuPy
array answers them itself, through NumPy's dispatch protocols (NEP 13 and NEP 18). What the two
libraries do *differently* is one row of the table below, found by the array itself.
"""
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""An array of the library that the device uses: ``np.ndarray`` on the CPU, ``cupy.ndarray``."""


class DeviceError(RuntimeError):
    """A device that is unknown, cannot be used, or meets another one inside an operation."""


@dataclass(frozen=True)
class Backend:
    """What one array library does in its own way. A third backend is one more such table."""

    name: str
    array_type: type
    from_host: Callable[[Any], Array]
    to_host: Callable[[Array], "np.ndarray[Any, Any]"]
    gather: Callable[[Array, Array], Array]
    scatter_add: Callable[[Array, Any, Array], None]
    row_dot: Callable[[Array, Array], Array]
    synchronize: Callable[[], None]


# ---------------------------------------------------------------- NumPy

def _gather_numpy(table: Array, rows: Array) -> Array:
    return table.take(rows, 0)


def _scatter_add_numpy(target: Array, index: Any, values: Array) -> None:
    """``target[index] += values`` where an index that comes twice counts twice.

    NumPy's fast path for ``add.at`` is one-dimensional: on a table of rows, flat positions are
    twice as fast as row numbers.
    """
    if target.ndim == 2 and target.flags.c_contiguous and isinstance(index, np.ndarray) \
            and index.dtype.kind == "i":
        width = target.shape[1]
        flat = index.reshape(-1, 1) * width + np.arange(width)
        np.add.at(target.reshape(-1), flat.reshape(-1), values.reshape(-1))
    else:
        np.add.at(target, index, values)


NUMPY = Backend(
    name="cpu", array_type=np.ndarray, from_host=np.asarray, to_host=np.asarray,
    gather=_gather_numpy, scatter_add=_scatter_add_numpy, row_dot=np.vecdot,
    synchronize=lambda: None)


# ---------------------------------------------------------------- CuPy

class CudaState(NamedTuple):
    """Whether CUDA can be used: ``missing``, ``broken``, ``no device`` or ``ok``, and why."""

    state: str
    reason: str


@cache
def cuda_state() -> CudaState:
    """Ask once, at the first use. CuPy imports without a driver, so only a run counts as ok.

    >>> cuda_state().state in {"missing", "broken", "no device", "ok"}
    True
    """
    try:
        import cupy
    except ImportError as error:
        return CudaState("missing", f"CuPy does not import ({error}); "
                                    "pip install 'minifast[cuda13]' or 'minifast[cuda12]'")
    except Exception as error:  # a wheel can fail in any way on a machine it was not made for
        return CudaState("broken", f"importing CuPy failed: {type(error).__name__}: {error}")
    return _probe(cupy)


def _probe(cupy: Any) -> CudaState:
    try:
        if not cupy.cuda.is_available():
            return CudaState("no device", _no_device_reason(cupy))
        squares = cupy.arange(4, dtype=cupy.float32) ** 2  # allocates, compiles, launches
        total = float(squares.sum())
    except Exception as error:  # old driver, missing compiler or headers, no memory
        return CudaState("broken", f"{type(error).__name__}: {error}")
    if total != 14.0:
        return CudaState("broken", f"0 + 1 + 4 + 9 came out as {total} on the device")
    return CudaState("ok", cupy.cuda.runtime.getDeviceProperties(0)["name"].decode())


def _no_device_reason(cupy: Any) -> str:
    try:
        return f"the driver reports {cupy.cuda.runtime.getDeviceCount()} devices"
    except RuntimeError as error:
        return str(error)


@cache
def _cupy_backend() -> Backend:
    state = cuda_state()
    if state.state != "ok":
        raise DeviceError(f"device 'cuda' cannot be used: CUDA is {state.state} "
                          f"({state.reason}). Use device 'cpu', which always works.")
    import cupy
    backend = Backend(
        name="cuda", array_type=cupy.ndarray, from_host=cupy.asarray, to_host=cupy.asnumpy,
        gather=lambda table, rows: cupy.take(table, rows, axis=0),
        scatter_add=cupy.add.at, row_dot=lambda a, b: (a * b).sum(-1),
        synchronize=lambda: cupy.cuda.Device().synchronize())
    _BY_TYPE[cupy.ndarray] = backend
    return backend


# ---------------------------------------------------------------- finding the table

_BY_TYPE: dict[type, Backend] = {np.ndarray: NUMPY}
_BY_NAME: dict[str, Callable[[], Backend]] = {"cpu": lambda: NUMPY, "cuda": _cupy_backend}


def backend_of(array: Array) -> Backend:
    """The table of the library that owns ``array``.

    >>> backend_of(np.zeros(3)).name
    'cpu'
    """
    try:
        return _BY_TYPE[type(array)]
    except KeyError:
        return _unfamiliar(array)


def _unfamiliar(array: Array) -> Backend:
    if isinstance(array, (np.ndarray, np.generic)):
        return NUMPY
    if type(array).__module__.startswith("cupy"):
        return _cupy_backend()
    raise TypeError(f"expected an array, got {type(array).__name__}: {array!r}; "
                    "make it one with minifast.tensor(...)")


def get_backend(device: str) -> Backend:
    """The table for a device's name.

    Raises DeviceError for an unknown name, and for a device that this machine cannot use.

    >>> get_backend("cpu") is NUMPY
    True
    """
    if device not in _BY_NAME:
        raise DeviceError(f"unknown device {device!r}; known devices: {', '.join(_BY_NAME)}")
    return _BY_NAME[device]()


def register_backend(backend: Backend) -> None:
    """Teach minifast another array library: from now on its arrays find ``backend``."""
    _BY_TYPE[backend.array_type] = backend
    _BY_NAME[backend.name] = lambda: backend


def default_device() -> str:
    """``$MINIFAST_DEVICE`` if it is set, else ``cuda`` where it works, else ``cpu``."""
    chosen = os.environ.get("MINIFAST_DEVICE")
    if chosen:
        return get_backend(chosen).name
    return "cuda" if cuda_state().state == "ok" else "cpu"


def mixed_devices(arrays: list[Any]) -> set[str]:
    """The names of all devices that hold one of ``arrays`` (numbers and the like do not count)."""
    kinds = {type(array) for array in arrays}
    return {_BY_TYPE[kind].name for kind in kinds if kind in _BY_TYPE}
