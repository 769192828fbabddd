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
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from .counting import allocate, note
from .rules import (
    ADDING,
    ANSWERING,
    API,
    COMPARING,
    FOLDING,
    JOINING,
    NUMBERS,
    check,
    is_view,
    note_cost,
    table_of,
)

Host = "np.ndarray[Any, Any]"
_order = np.random.default_rng(0)


class FakeArray(np.lib.mixins.NDArrayOperatorsMixin):
    """The simulated device's array; ``get()`` brings a copy to the host."""

    __slots__ = ("_host",)
    __array_priority__ = 100

    def __init__(self, host: "np.ndarray[Any, Any]") -> None:
        if host.dtype.char not in NUMBERS:
            raise ValueError(f"Unsupported dtype {host.dtype}: a device holds numbers")
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
    strides = property(lambda self: self._host.strides)
    T = property(lambda self: FakeArray(self._host.T))
    mT = property(lambda self: FakeArray(self._host.mT))

    @property
    def flags(self) -> SimpleNamespace:
        """Contiguous or not; there is no ``writeable``: all of a device's memory is."""
        flags = self._host.flags
        return SimpleNamespace(c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous,
                               owndata=flags.owndata)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator["FakeArray"]:
        return (self[i] for i in range(len(self)))

    # ---- waits for the device

    def get(self) -> "np.ndarray[Any, Any]":
        """A copy on the host."""
        note("synchronizations", "get()")
        note("transfers", "get()", n_bytes=self._host.nbytes)
        return self._host.copy()

    def _read(self, what: str) -> Any:
        note("synchronizations", what)
        note("transfers", what, n_bytes=self._host.nbytes)
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
        if self._host.size != 1:
            raise ValueError("The truth value of an array with more than one element, or with "
                             "none, is ambiguous. Use a.any() or a.all()")
        return bool(self._read("bool()"))

    def __repr__(self) -> str:
        return f"FakeArray({self.get()!r})"

    def __format__(self, spec: str) -> str:
        return format(self.get(), spec)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("a device array is not converted to a NumPy array unasked; use .get() "
                        "here, or tensor.numpy()")

    # ---- copies

    def __copy__(self) -> "FakeArray":
        return self.copy()  # type: ignore[no-any-return]

    def __deepcopy__(self, memo: Any) -> "FakeArray":
        return self.copy()  # type: ignore[no-any-return]

    def __reduce__(self) -> Any:
        return FakeArray, (self.get(),)

    # ---- NumPy's functions, as far as CuPy has them

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = (),
                        **options: Any) -> Any:
        name = ufunc.__name__
        if name not in API["functions"] or not all(map(_may_meet, (*inputs, *out))):
            return NotImplemented
        if isinstance(inputs[0], FakeArray) and (name, method) == ("add", "at"):
            return inputs[0].add_at(*inputs[1:])
        if isinstance(inputs[0], FakeArray) and (name, method) in FOLDING:
            return getattr(inputs[0], FOLDING[name, method])(**{"axis": 0, **options})
        if method != "__call__" or not options.keys() <= {"dtype", "casting"}:
            return NotImplemented
        if name in COMPARING:
            inputs = tuple(x.item() if isinstance(x, np.ndarray) and not x.ndim else x
                           for x in inputs)
        return _compute(ufunc, inputs, out, options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not all(issubclass(kind, (FakeArray, np.ndarray)) for kind in types):
            return NotImplemented
        return _call(table_of(function), function.__name__, function, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or API["methods"].get(name) is None:
            raise AttributeError(f"CuPy's arrays have no {name!r}, or none that is simulated")
        return lambda *args, **kwargs: _call("methods", name, getattr(self._host, name),
                                             args, kwargs, self)

    # ---- indexing

    def __getitem__(self, index: Any) -> Any:
        place, n_arrays = self._place(index)
        if n_arrays:
            _note_lookup("a gather", n_arrays)
            return FakeArray(np.asarray(self._host[place]))
        return FakeArray(self._host[place if _has_dots(place) else (*place, ...)])

    def __setitem__(self, index: Any, value: Any) -> None:
        place, n_arrays = self._place(index)
        if n_arrays:
            _note_lookup("an assignment", n_arrays)
            self._scatter(place, value, add=False)
        else:
            _fill(self._host[place if _has_dots(place) else (*place, ...)], value)

    def add_at(self, index: Any, values: Any) -> None:
        """``cupy.add.at``: sums in an order that differs from run to run."""
        place, n_arrays = self._place(index)
        if not n_arrays:
            part = self[index]
            part += values
            return
        if self.dtype.char not in ADDING:
            raise TypeError(f"cupy.add.at only supports int32, int64, float16, float32, float64, "
                            f"uint32, uint64 as data type, got {self.dtype}")
        _note_lookup("add.at", n_arrays)
        self._scatter(place, values, add=True)

    def _place(self, index: Any) -> tuple[tuple[Any, ...], int]:
        """The index for NumPy, arrays in it wrapped around, and how many arrays there are."""
        parts = [_on_device(part, "an index from the host", np.int32)
                 for part in (index if isinstance(index, tuple) else (index,))]
        taken = sum(map(_axes_of, parts))
        if taken > self.ndim:
            raise IndexError(f"too many indices for array: array is {self.ndim}-dimensional, but "
                             f"{taken} were indexed")
        axis, found = 0, []
        for part in parts:
            found.append(_wrapped(part, self.shape[axis:]) if isinstance(part, FakeArray) else part)
            axis += self.ndim - taken if part is Ellipsis else _axes_of(part)
        return tuple(found), sum(isinstance(part, FakeArray) for part in parts)

    def _scatter(self, place: Any, value: Any, add: bool) -> None:
        """Write, or add, element by element in an order that differs from run to run."""
        positions = np.arange(self.size).reshape(self.shape)[place]
        values = np.asarray(_inside(_on_device(value, "values from the host")))
        with np.errstate(all="ignore"):
            values = np.broadcast_to(values.astype(self.dtype), positions.shape).reshape(-1)
        order, flat = _order.permutation(positions.size), self._host.reshape(-1)
        to, values = positions.reshape(-1)[order], values[order]
        if add:
            np.add.at(flat, to, values)
        else:
            flat[to] = values
        if not self.flags.c_contiguous:  # then flat is a copy
            self._host[...] = flat.reshape(self.shape)


# ---------------------------------------------------------------- what meets what

def _may_meet(x: Any) -> bool:
    """Whether CuPy's ufuncs look at ``x`` at all; a NumPy array they do, to refuse it."""
    return isinstance(x, (FakeArray, np.ndarray, np.generic, bool, int, float, complex))


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
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*map(_outside, x))
    return type(x)(map(_outside, x)) if isinstance(x, (list, tuple)) else x


def _compute(ufunc: Any, inputs: Any, out: Any, options: Any) -> Any:
    """A function of single elements, or a matrix product."""
    if len(out) > 1:
        raise ValueError("The 'out' parameter must have exactly one array value")
    given = {"out": _inside(tuple(out))} if out else {}
    with np.errstate(all="ignore"):  # a GPU does not warn
        result = ufunc(*map(_inside, inputs), **given, **options)
    note("launches", ufunc.__name__)
    return out[0] if out else _outside(result)


def _call(table: str, name: str, function: Any, args: Any, kwargs: Any,
          owner: FakeArray | None = None) -> Any:
    """A function of CuPy's, or a method of the array ``owner``."""
    check(table, name, args, kwargs)
    if name in JOINING and not all(isinstance(x, FakeArray) for x in args[0]):
        raise TypeError(f"cupy.{name}: only device arrays can be joined")
    inputs = [x._host for x in (owner, *args) if isinstance(x, FakeArray)]
    with np.errstate(all="ignore"):
        result = function(*_inside(args), **{k: _inside(v) for k, v in kwargs.items()})
    note_cost(table, name, args, "out" not in kwargs and is_view(result, inputs))
    return _outside(np.asarray(result) if name in ANSWERING else result)


# ---------------------------------------------------------------- parts of an index

def _on_device(part: Any, what: str, empty: Any = None) -> Any:
    """A list or a NumPy array moved to the device, which CuPy does here without being asked."""
    if not isinstance(part, (list, np.ndarray)):
        return part
    host = np.asarray(part, empty if isinstance(part, list) and not part else None)
    note("transfers", what, n_bytes=host.nbytes)
    return FakeArray(host)


def _axes_of(part: Any) -> int:
    """How many axes of the array a part of an index stands for."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, FakeArray) and part.dtype == bool else 1


def _wrapped(part: FakeArray, lengths: tuple[int, ...]) -> "np.ndarray[Any, Any]":
    if part.dtype.kind not in "iub":
        raise IndexError("arrays used as indices must be of integer or boolean type. (actual: "
                         f"{part.dtype.type})")
    if part.dtype == bool:
        note("synchronizations", "a mask as an index")
        return part._host
    ids = part._host.astype(np.int64)
    return np.asarray(ids % lengths[0]) if lengths[0] else ids


def _has_dots(place: tuple[Any, ...]) -> bool:
    return any(part is Ellipsis for part in place)


def _note_lookup(what: str, n_arrays: int) -> None:
    """One kernel; with several arrays, one more for each, and one to start from."""
    note("launches", what, 1 if n_arrays == 1 else n_arrays + 2)


def _fill(view: "np.ndarray[Any, Any]", value: Any) -> None:
    """``a[slice] = value``; nothing to do after ``a[slice] += b``, which ends with it."""
    if isinstance(value, FakeArray):
        if value._host.__array_interface__ == view.__array_interface__:
            return
        value = value._host
    elif not _may_meet(value) or np.ndim(value):
        raise ValueError(f"a {type(value).__name__} cannot be assigned to a part of a device "
                         "array; bring it to the device first")
    note("launches", "an assignment")
    with np.errstate(all="ignore"):
        view[...] = value
