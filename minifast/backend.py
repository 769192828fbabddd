"""The only file that knows NumPy from CuPy.

Array code everywhere else is written in NumPy's own words (``np.exp(x)``, ``x.sum(0)``): a CuPy
array answers them itself, through NumPy's dispatch protocols (NEP 13 and NEP 18). What the two
libraries do *differently* is one row of the table below, found by the array itself.
"""
import os
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .memory import keep_memory
from .random import hashed_uniform
from .scatter import scaled, scatter_add

Array: TypeAlias = Any
"""An array of the library that the device uses: ``np.ndarray`` on the CPU, ``cupy.ndarray``."""
keep_memory()


class DeviceError(RuntimeError):
    """A device that is unknown, cannot be used, or meets another one inside an operation."""


def _row_dot(a: Array, b: Array) -> Array:
    return (a * b).sum(-1)


@dataclass(frozen=True)
class Backend:
    """What one array library does in its own way. A third backend is one more such table."""

    name: str
    """The device's name."""
    array_type: type
    from_host: Callable[[Any], Array]
    """A NumPy array to the device."""
    to_host: Callable[[Array], "np.ndarray[Any, Any]"]
    """An array to NumPy; waits for the device."""
    gather: Callable[[Array, Array], Array]
    """(table, rows): ``table[rows]``."""
    scatter_add: Callable[..., None]
    """(target, index, values, share=1.): ``target[index] += values * share``, where a repeated
    index adds up; share is a number or one for each row of values."""
    row_dot: Callable[[Array, Array], Array] = _row_dot
    """(a, b): the sum of a * b along the last axis."""
    random: Callable[[np.random.Generator, Array], Array] = hashed_uniform
    """(generator, like): uniform float32 in [0, 1) of the shape of ``like``, on its device."""
    synchronize: Callable[[], None] = lambda: None
    """Wait until the device has done all that it was asked."""
    out_of_memory: type[Exception] = MemoryError
    """What the library raises when the device's memory is full."""
    checks_ids: bool = False
    """Whether an id out of range can be noticed at each lookup without waiting for the device."""
    in_pieces: bool = False
    """Whether long updates are faster piece by piece, each within the processor's cache."""


# ---------------------------------------------------------------- NumPy

def _gather_numpy(table: Array, rows: Array) -> Array:
    """``take`` is faster, but makes a copy of a table whose rows are not end to end."""
    return table.take(rows, 0) if table.flags.c_contiguous else table[rows]


NUMPY = Backend(
    name="cpu", array_type=np.ndarray, from_host=np.asarray, to_host=np.asarray,
    gather=_gather_numpy, scatter_add=scatter_add,
    row_dot=np.vecdot, random=lambda rng, like: rng.random(like.shape, np.float32),
    checks_ids=True, in_pieces=True)


# ---------------------------------------------------------------- CuPy

def adding(add_at: Callable[[Array, Any, Array], None]) -> Callable[..., None]:
    """A backend's ``scatter_add`` by means of its ``add.at``."""
    def scatter_add(target: Array, index: Any, values: Array, share: float | Array = 1.) -> None:
        add_at(target, index, scaled(values, share))
    return scatter_add


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
    return Backend(
        name="cuda", array_type=cupy.ndarray, from_host=cupy.asarray, to_host=cupy.asnumpy,
        gather=lambda table, rows: cupy.take(table, rows, axis=0),
        scatter_add=adding(cupy.add.at), synchronize=lambda: cupy.cuda.Device().synchronize(),
        out_of_memory=cupy.cuda.memory.OutOfMemoryError)


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
        return get_backend("cuda")
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
    backend = _BY_NAME[device]()
    _BY_TYPE[backend.array_type] = backend
    return backend


def register_backend(backend: Backend) -> None:
    """Teach minifast another array library: from now on its arrays find ``backend``."""
    _BY_TYPE[backend.array_type] = backend
    _BY_NAME[backend.name] = lambda: backend


_chosen: ContextVar[str | None] = ContextVar("device", default=None)


def default_device() -> str:
    """Where new tensors, layers and data go: what ``device(...)`` chose, else
    ``$MINIFAST_DEVICE``, else ``cuda`` where it works, else ``cpu``."""
    chosen = _chosen.get() or os.environ.get("MINIFAST_DEVICE")
    if chosen:
        return get_backend(chosen).name
    return "cuda" if cuda_state().state == "ok" else "cpu"


class device:  # noqa: N801  (reads as a verb: minifast.device("cuda"))
    """Choose the device of what is made from now on; in a ``with``, until its end.

    Raises DeviceError for an unknown name, and for a device that this machine cannot use.
    What exists already stays where it is.

    >>> with device("cpu"):
    ...     default_device()
    'cpu'
    """

    def __init__(self, name: str) -> None:
        self.name = get_backend(name).name
        self._token = _chosen.set(self.name)

    def __enter__(self) -> "device":
        return self

    def __exit__(self, *error: object) -> None:
        _chosen.reset(self._token)

    def __repr__(self) -> str:
        return f"device({self.name!r})"


def transfer(array: Array, to: str) -> Array:
    """``array`` on device ``to``; itself if it is there already.

    >>> transfer(np.zeros(2), "cpu")
    array([0., 0.])
    """
    target, source = get_backend(to), backend_of(array)
    return array if source is target else target.from_host(source.to_host(array))


def mixed_devices(arrays: list[Any]) -> set[str]:
    """The names of all devices that hold one of ``arrays`` (numbers and the like do not count)."""
    kinds = {type(array) for array in arrays}
    return {_BY_TYPE[kind].name for kind in kinds if kind in _BY_TYPE}
