"""What NumPy and CuPy do differently, where arrays are, and where random numbers come from.

This is the only file that imports CuPy. All other array code is written in NumPy's words
(``np.exp(x)``, ``x.sum(0)``), which a CuPy array answers itself through NumPy's dispatch
protocols (NEP 13 and NEP 18). What the two libraries do differently is a field of `Backend`,
and the type of an array decides which backend is meant.
"""
import os
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Array: TypeAlias = Any  # np.ndarray on the CPU, cupy.ndarray on a GPU


class DeviceError(RuntimeError):
    """A device that is unknown, cannot be used, or meets another one in an operation."""


# ---------------------------------------------------------------- random numbers


def generator(seed: int | np.random.Generator | None = None) -> np.random.Generator:
    """Return a generator for initial weights, shuffling or dropout.

    Parameters
    ----------
    seed : int, Generator or None
        A generator is returned unchanged. None draws a seed from NumPy's global state, so that
        ``np.random.seed(42)`` makes a notebook reproducible, as ``torch.manual_seed`` does.

    Returns
    -------
    Generator
        The generator.

    Examples
    --------
    >>> int(generator(3).integers(10))
    8
    """
    return np.random.default_rng(np.random.randint(2**31, size=4) if seed is None else seed)


def hashed_uniform(rng: np.random.Generator, like: Array) -> Array:
    """Return uniform float32 numbers in [0, 1), computed on the device of ``like``.

    Each number is a hash of its position and of a seed from ``rng``. So the only state is on the
    host, nothing is transferred, and all libraries give the same numbers.

    Parameters
    ----------
    rng : Generator
        Where the seed comes from.
    like : array
        An array of the wanted shape, on the wanted device.

    Returns
    -------
    array
        The numbers.

    References
    ----------
    The hash is the finalizer of MurmurHash3 (Austin Appleby, public domain).

    Examples
    --------
    >>> hashed_uniform(np.random.default_rng(0), np.zeros((2, 3))).shape
    (2, 3)
    """
    x = np.arange(like.size, dtype=np.uint32, like=like) + int(rng.integers(2**32))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> shift)) * factor
    return ((x ^ (x >> 16)) >> 8).astype(np.float32).reshape(like.shape) * np.float32(2**-24)


# ---------------------------------------------------------------- backends


@dataclass(frozen=True)
class Backend:
    """What one array library does in its own way.

    Parameters
    ----------
    name : str
        The name of the device.
    array_type : type
        The type of its arrays.
    from_host : callable
        Convert a NumPy array to an array of the device.
    to_host : callable
        Convert an array to NumPy; waits for the device.
    gather : callable
        ``gather(table, ids)`` returns ``table[ids]``.
    scatter_add : callable
        ``scatter_add(target, index, values)`` does ``target[index] += values`` such that an
        index that occurs twice counts twice.
    random : callable
        ``random(generator, like)`` returns uniform float32 numbers in [0, 1), of the shape of
        ``like`` and on its device.
    synchronize : callable
        Wait until the device has finished all its work.
    out_of_memory : type
        The exception that the library raises when the device's memory is full.
    checks_ids : bool
        Whether each lookup can check its ids without waiting for the device.

    Examples
    --------
    >>> cpu = get_backend("cpu")
    >>> cpu.name, cpu.gather(np.array([5., 6., 7.]), np.array([2, 0]))
    ('cpu', array([7., 5.]))
    """

    name: str
    array_type: type
    from_host: Callable[[Any], Array]
    to_host: Callable[[Array], "np.ndarray[Any, Any]"]
    gather: Callable[[Array, Array], Array]
    scatter_add: Callable[[Array, Any, Array], None]
    random: Callable[[np.random.Generator, Array], Array] = hashed_uniform
    synchronize: Callable[[], None] = lambda: None
    out_of_memory: type[Exception] = MemoryError
    checks_ids: bool = False


# ---------------------------------------------------------------- NumPy


def _gather(table: Array, ids: Array) -> Array:
    """Return rows; ``take`` is faster, but copies a table that is not contiguous."""
    return table.take(ids, 0) if table.flags.c_contiguous else table[ids]


def _scatter_add(target: Array, index: Any, values: Array) -> None:
    """``np.add.at``, for rows of a table on flat arrays, which is faster."""
    if isinstance(index, np.ndarray) and index.dtype.kind == "i" and target.flags.c_contiguous \
            and target.ndim == 2 and values.shape == (*index.shape, target.shape[1]):
        if (width := target.shape[1]) > 1:
            index = index.reshape(-1, 1) * np.intp(width) + np.arange(width)
        target, index, values = target.ravel(), index.ravel(), values.ravel()
    np.add.at(target, index, values)


NUMPY = Backend("cpu", np.ndarray, from_host=np.asarray, to_host=np.asarray, gather=_gather,
                scatter_add=_scatter_add, checks_ids=True,
                random=lambda rng, like: rng.random(like.shape, np.float32))


# ---------------------------------------------------------------- CuPy


class CudaState(NamedTuple):
    """Whether CUDA can be used, and why not.

    Parameters
    ----------
    state : str
        ``'missing'``, ``'broken'``, ``'no device'`` or ``'ok'``.
    reason : str
        The reason; for ``'ok'`` the name of the card.

    Examples
    --------
    >>> CudaState("no device", "the driver reports 0 devices").state
    'no device'
    """

    state: str
    reason: str


@cache
def cuda_state() -> CudaState:
    """Return whether CUDA can be used; the answer is cached.

    CuPy imports without a driver, so the state is ``'ok'`` only after a computation.

    Examples
    --------
    >>> cuda_state().state in {"missing", "broken", "no device", "ok"}
    True
    """
    try:
        import cupy
    except ImportError as error:
        return CudaState("missing", f"CuPy does not import ({error}); "
                                    "pip install 'minifast[cuda13]' or 'minifast[cuda12]'")
    except Exception as error:  # a wheel for another machine can fail in any way
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
        "cuda", cupy.ndarray, from_host=cupy.asarray, to_host=cupy.asnumpy,
        gather=lambda table, rows: cupy.take(table, rows, axis=0), scatter_add=cupy.add.at,
        synchronize=lambda: cupy.cuda.Device().synchronize(),
        out_of_memory=cupy.cuda.memory.OutOfMemoryError)


# ---------------------------------------------------------------- finding the backend


_BY_TYPE: dict[type, Backend] = {np.ndarray: NUMPY}
_BY_NAME: dict[str, Callable[[], Backend]] = {"cpu": lambda: NUMPY, "cuda": _cupy_backend}


def backend_of(array: Array) -> Backend:
    """Return the backend of an array's library.

    Parameters
    ----------
    array : array
        An array of a library that minifast knows.

    Returns
    -------
    Backend
        What the library does in its own way.

    Examples
    --------
    >>> backend_of(np.zeros(3)).name
    'cpu'
    """
    try:
        return _BY_TYPE[type(array)]
    except KeyError:
        return _backend_of_new_type(array)


def _backend_of_new_type(array: Array) -> Backend:
    if isinstance(array, (np.ndarray, np.generic)):
        return NUMPY
    if type(array).__module__.startswith("cupy"):
        return get_backend("cuda")
    raise TypeError(f"expected an array, got {type(array).__name__}: {array!r}; "
                    "make it one with minifast.tensor(...)")


def get_backend(device: str) -> Backend:
    """Return the backend of a device.

    Parameters
    ----------
    device : str
        The name of the device.

    Returns
    -------
    Backend
        The backend.

    Raises
    ------
    DeviceError
        If the name is unknown, or this machine cannot use the device.

    Examples
    --------
    >>> get_backend("cpu") is NUMPY
    True
    """
    if device not in _BY_NAME:
        raise DeviceError(f"unknown device {device!r}; known devices: {', '.join(_BY_NAME)}")
    backend = _BY_NAME[device]()
    _BY_TYPE[backend.array_type] = backend
    return backend


def register_backend(backend: Backend) -> None:
    """Make another array library known to minifast.

    Parameters
    ----------
    backend : Backend
        The library; one of the same name is replaced.

    Examples
    --------
    >>> register_backend(get_backend("cpu"))  # it was there before
    >>> backend_of(np.zeros(2)).name
    'cpu'
    """
    _BY_TYPE[backend.array_type] = backend
    _BY_NAME[backend.name] = lambda: backend


# ---------------------------------------------------------------- choosing a device

_chosen: ContextVar[str | None] = ContextVar("device", default=None)


def default_device() -> str:
    """Return the device for new tensors, layers and data.

    It is the one chosen by ``device(...)``, else ``$MINIFAST_DEVICE``, else ``'cuda'`` if that
    works, else ``'cpu'``.
    """
    chosen = _chosen.get() or os.environ.get("MINIFAST_DEVICE")
    if chosen:
        return get_backend(chosen).name
    return "cuda" if cuda_state().state == "ok" else "cpu"


class device:  # noqa: N801  (reads as a verb: minifast.device("cuda"))
    """Choose the device for all that is made from now on, or within a ``with`` statement.

    Existing tensors stay where they are.

    Parameters
    ----------
    name : str
        The device: ``'cpu'``, ``'cuda'``, or the name of a registered backend.

    Raises
    ------
    DeviceError
        If the name is unknown, or this machine cannot use the device.

    Examples
    --------
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
    """Return an array on another device; itself if it is there already.

    Parameters
    ----------
    array : array
        An array on any device.
    to : str
        The name of a device.

    Returns
    -------
    array
        The array on device ``to``.

    Examples
    --------
    >>> transfer(np.zeros(2), "cpu")
    array([0., 0.])
    """
    target, source = get_backend(to), backend_of(array)
    return array if source is target else target.from_host(source.to_host(array))


def mixed_devices(arrays: list[Any]) -> set[str]:
    """Return the names of the devices of all arrays in a list; numbers are ignored.

    Parameters
    ----------
    arrays : list
        Arrays, and anything else.

    Returns
    -------
    set of str
        The names.

    Examples
    --------
    >>> mixed_devices([np.zeros(2), 3.])
    {'cpu'}
    """
    kinds = {type(array) for array in arrays}
    return {_BY_TYPE[kind].name for kind in kinds if kind in _BY_TYPE}
