"""An array on a device that is not there: NumPy inside, CuPy's rules outside.

What CuPy does in another way than NumPy, and what a GPU makes expensive, happens here too, so
that a program can be shown to run on a GPU by a machine that has none:

- it is no ``np.ndarray``, is never converted to one unasked, and refuses to meet one;
- it offers the functions, parameters and methods of CuPy 14.2 and no others (``cupy_api.json``);
- reductions give arrays of no dimension, not numbers; reading a number waits for the device;
- an index out of range wraps around; two writes to one place have no defined winner; sums over
  repeated indices come in random order;
- launches, transfers and waits are counted (``counting.py``).
"""
import json
from pathlib import Path
from typing import Any

import numpy as np

from .counting import allocate, note

API = json.loads((Path(__file__).with_name("cupy_api.json")).read_text())
VIEWS = frozenset({"reshape", "transpose", "swapaxes", "expand_dims", "squeeze", "broadcast_to",
                   "ravel", "moveaxis", "shape", "ndim", "size", "empty_like", "empty",
                   "may_share_memory", "shares_memory", "result_type", "view",
                   "sliding_window_view", "as_strided"})
WAITING = frozenset({"unique", "nonzero", "flatnonzero", "argwhere", "bincount", "array_equal",
                     "allclose", "histogram", "repeat"})
_order = np.random.default_rng(0)


class FakeArray(np.lib.mixins.NDArrayOperatorsMixin):
    """The simulated device's array; ``get()`` brings a copy to the host."""

    __slots__ = ("_host",)
    __array_priority__ = 100

    def __init__(self, host: "np.ndarray[Any, Any]") -> None:
        if host.base is None:  # not a view of another array
            allocate(host.nbytes)
        self._host = host

    # ---- asked without work on the device

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    flags = property(lambda self: self._host.flags)
    T = property(lambda self: FakeArray(self._host.T))

    def __len__(self) -> int:
        return len(self._host)

    def __repr__(self) -> str:
        return f"FakeArray({self._host!r})"

    # ---- waits for the device

    def get(self) -> "np.ndarray[Any, Any]":
        """A copy on the host."""
        note("synchronizations", "get()")
        note("transfers", "get()", n_bytes=self._host.nbytes)
        return self._host.copy()

    def _read(self, what: str) -> Any:
        note("synchronizations", what)
        return self._host.item()

    def item(self) -> Any:
        """The only element as a Python number."""
        return self._read("item()")

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.get().tolist()

    def __float__(self) -> float:
        return float(self._read("float()"))

    def __int__(self) -> int:
        return int(self._read("int()"))

    def __bool__(self) -> bool:
        return bool(self._read("bool()"))

    def __index__(self) -> int:
        return self._read("index()").__index__()  # type: ignore[no-any-return]

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("a device array is not converted to a NumPy array unasked; use .get() "
                        "here, or tensor.numpy()")

    # ---- NumPy's functions, as far as CuPy has them

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None,
                        **options: Any) -> Any:
        if method != "__call__" or ufunc.signature or ufunc.__name__ not in API["functions"] \
                or not options.keys() <= {"dtype", "casting"}:
            return NotImplemented
        note("launches", ufunc.__name__)
        given = {} if out is None else {"out": tuple(map(_inside, out))}
        with np.errstate(all="ignore"):  # a GPU does not warn
            result = ufunc(*map(_inside, inputs), **given, **options)
        return out[0] if out is not None else _outside(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        kind = function.__module__.rpartition(".")[2].replace("numpy", "functions")
        return _call(kind, function.__name__, function, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name not in API["methods"] or name.startswith("_"):
            raise AttributeError(f"CuPy's arrays have no {name!r}")
        return lambda *args, **kwargs: _call("functions", name, getattr(self._host, name),
                                             args, kwargs, method=True)

    def __matmul__(self, other: Any) -> Any:
        note("launches", "matmul")
        return _outside(self._host @ _inside(other))

    def __rmatmul__(self, other: Any) -> Any:
        note("launches", "matmul")
        return _outside(_inside(other) @ self._host)

    # ---- indexing

    def __getitem__(self, index: Any) -> Any:
        place, basic = self._place(index)
        if not basic:
            note("launches", "a gather")
            return _outside(self._host[place])
        whole = place if isinstance(place, tuple) else (place,)
        return FakeArray(self._host[whole if Ellipsis in whole else (*whole, ...)])

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise ValueError("a NumPy array cannot be assigned to a part of a device array; bring "
                             "it to the device first")
        note("launches", "an assignment")
        place, _ = self._place(index)
        inside = _inside(value)
        if isinstance(place, np.ndarray) and place.dtype != bool and np.ndim(inside):
            shuffled = _order.permutation(len(place))  # who writes last is not defined
            place, inside = place[shuffled], inside[shuffled]
        self._host[place] = inside

    def _place(self, index: Any) -> tuple[Any, bool]:
        """The index for NumPy, and whether it makes a view."""
        parts = index if isinstance(index, tuple) else (index,)
        done, axis, basic = [], 0, True
        for part in parts:
            if isinstance(part, (list, np.ndarray)):
                note("transfers", "an index from the host", n_bytes=np.asarray(part).nbytes)
                part = FakeArray(np.asarray(part))
            if isinstance(part, FakeArray):
                basic = False
                part = self._wrapped(part, axis)
                axis += part.ndim if part.dtype == bool else 1
            elif part is not None and part is not Ellipsis:
                axis += 1
            done.append(part)
        return (tuple(done) if isinstance(index, tuple) else done[0]), basic

    def _wrapped(self, part: "FakeArray", axis: int) -> Any:
        if part.dtype == bool:
            note("synchronizations", "a mask as an index")
            return part._host
        return part._host % self.shape[axis]

    def add_at(self, index: Any, values: Any) -> None:
        """``cupy.add.at``: sums in an order that differs from run to run."""
        note("launches", "add.at")
        place, _ = self._place(index)
        inside = np.asarray(_inside(values), self.dtype)
        if isinstance(place, np.ndarray) and place.ndim == 1 and inside.ndim:
            shuffled = _order.permutation(len(place))
            place, inside = place[shuffled], inside[shuffled]
        np.add.at(self._host, place, inside)


def _inside(x: Any) -> Any:
    if isinstance(x, FakeArray):
        return x._host
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}: a NumPy array of shape {x.shape} meets a "
                        "device array")
    if isinstance(x, (list, tuple)):
        return type(x)(_inside(item) for item in x)
    return x


def _outside(x: Any) -> Any:
    if isinstance(x, (np.ndarray, np.generic)):
        return FakeArray(np.asarray(x))
    return type(x)(*map(_outside, x)) if hasattr(x, "_fields") else \
        tuple(map(_outside, x)) if isinstance(x, tuple) and any(
            isinstance(item, np.ndarray) for item in x) else x


def _call(kind: str, name: str, function: Any, args: Any, kwargs: Any, method: bool = False) -> Any:
    if not method and name not in API.get(kind, {}):
        raise TypeError(f"CuPy 14.2 has no {name}")
    known = API[kind].get(name)
    if known is not None and not kwargs.keys() <= set(known):
        raise TypeError(f"cupy.{name} has no parameter "
                        f"{', '.join(sorted(kwargs.keys() - set(known)))}; it has {known}")
    if name in WAITING:
        note("synchronizations", name)
    if name not in VIEWS:
        note("launches", name)
    with np.errstate(all="ignore"):
        return _outside(function(*_inside(args), **{k: _inside(v) for k, v in kwargs.items()}))
