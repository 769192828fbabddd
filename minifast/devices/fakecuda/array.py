"""The array of the simulated device: NumPy inside, the rules of CuPy outside.

It behaves as CuPy does wherever CuPy differs from NumPy, so a test on a machine without a GPU can
show that a program runs on one:

- it is not an ``np.ndarray``, does not become one implicitly, and does not mix with one;
- it has the functions, parameters and methods of CuPy 14.2 and no others (``cupy_api.json``);
- reductions return arrays of no dimension; reading a number waits for the device;
- an index out of range wraps around, the winner of two writes to one element is undefined, and
  sums over repeated indices are taken in random order;
- launches, transfers and waits are counted (``counting.py``).
"""
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from . import rules
from .counting import allocate, note
from .indexing import fill, place_of, scatter

ATTRIBUTES = {"shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides", "T", "mT"}
"""What an array tells without work on the device."""


_OWNERS: "WeakValueDictionary[int, FakeArray]" = WeakValueDictionary()
"""Arrays with memory of their own, by the id of their host array."""


class FakeArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array on the simulated device; ``get()`` returns a copy on the host.

    Parameters
    ----------
    host : ndarray
        The values. They are not copied.

    Attributes
    ----------
    base : FakeArray or None
        The array of which this one is a view; None if it has memory of its own.

    Raises
    ------
    ValueError
        If a device cannot hold the dtype.

    Examples
    --------
    >>> array = FakeArray(np.ones(2))
    >>> (array * 3).get()
    array([3., 3.])
    """

    __slots__ = ("__weakref__", "_host", "base")
    __array_priority__ = 100

    def __init__(self, host: "np.ndarray[Any, Any]") -> None:
        if host.dtype.char not in rules.NUMBERS:
            raise ValueError(f"Unsupported dtype {host.dtype}: a device holds numbers")
        self._host, b = host, host.base
        self.base: FakeArray | None = None
        if b is None:  # not a view of another array
            allocate(host.nbytes)
            _OWNERS[id(host)] = self
        elif isinstance(b, np.ndarray):
            owner = _OWNERS.get(id(b))
            self.base = FakeArray(b) if owner is None else owner

    # ---- attributes and methods

    def __getattr__(self, name: str) -> Any:
        if name in ATTRIBUTES:
            return _outside(getattr(self._host, name))
        if name.startswith("_") or rules.API["methods"].get(name) is None:
            raise AttributeError(f"CuPy's arrays have no {name!r}, or it is not simulated")
        return partial(_call, "methods", name, getattr(self._host, name), owner=self)

    @property
    def flags(self) -> SimpleNamespace:
        """Whether the array is contiguous; no ``writeable``, since all device memory is."""
        names = ("c_contiguous", "f_contiguous", "owndata")
        return SimpleNamespace(**{name: getattr(self._host.flags, name) for name in names})

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator["FakeArray"]:
        return (self[i] for i in range(len(self)))

    # ---- reading, which waits for the device

    def get(self) -> "np.ndarray[Any, Any]":
        """Return a copy on the host."""
        return self._read("get()").copy()  # type: ignore[no-any-return]

    def _read(self, what: str) -> Any:
        note("synchronizations", what)
        note("transfers", what, n_bytes=self._host.nbytes)
        return self._host

    def item(self) -> Any:
        """Return the only element as a Python number."""
        return self._read("item()").item()

    def tolist(self) -> Any:
        """Return nested lists of Python numbers."""
        return self.get().tolist()

    def __float__(self) -> float:
        return float(self._read("float()"))

    def __int__(self) -> int:
        return int(self._read("int()"))

    def __bool__(self) -> bool:
        if self._host.size != 1:
            raise ValueError(f"The truth value of {self.size} elements is ambiguous. Use a.any()")
        return bool(self._read("bool()"))

    def __repr__(self) -> str:
        return f"FakeArray({self.get()!r})"

    def __format__(self, spec: str) -> str:
        return format(self.get(), spec)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("a device array does not become a NumPy array implicitly; call .get(), "
                        "or numpy() on a tensor")

    # ---- copies

    def __deepcopy__(self, memo: Any = None) -> Any:
        return self.copy()

    __copy__ = __deepcopy__

    def __reduce__(self) -> Any:
        return FakeArray, (self.get(),)

    # ---- NumPy's functions that CuPy has

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = (),
                        **options: Any) -> Any:
        name = ufunc.__name__
        if name not in rules.API["functions"] or not all(map(_may_meet, (*inputs, *out))):
            return NotImplemented
        if isinstance(inputs[0], FakeArray) and (name, method) == ("add", "at"):
            return inputs[0].add_at(*inputs[1:])
        if isinstance(inputs[0], FakeArray) and (name, method) in rules.FOLDING:
            return getattr(inputs[0], rules.FOLDING[name, method])(**{"axis": 0, **options})
        if method != "__call__" or not options.keys() <= {"dtype", "casting"}:
            return NotImplemented
        if name in rules.COMPARING:
            inputs = tuple(x.item() if isinstance(x, np.ndarray) and not x.ndim else x
                           for x in inputs)
        return _compute(ufunc, inputs, out, options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not all(issubclass(kind, (FakeArray, np.ndarray)) for kind in types):
            return NotImplemented
        return _call(rules.table_of(function), function.__name__, function, *args, **kwargs)

    # ---- indexing

    def _place(self, index: Any, what: str) -> tuple[tuple[Any, ...], int]:
        """Return ``place_of``; count one kernel for an array, for several two more than arrays."""
        parts = index if isinstance(index, tuple) else (index,)
        place, n_arrays = place_of([_moved(part, "an index from the host", np.int32)
                                    for part in parts], self.shape)
        if n_arrays:
            note("launches", what, 1 if n_arrays == 1 else n_arrays + 2)
        return place, n_arrays

    def __getitem__(self, index: Any) -> Any:
        place, _ = self._place(index, "a gather")
        return FakeArray(np.asarray(self._host[place]))

    def __setitem__(self, index: Any, value: Any) -> None:
        place, n_arrays = self._place(index, "an assignment")
        if n_arrays:
            scatter(self._host, place, _moved(value, "values from the host"), add=False)
        elif isinstance(value, FakeArray) or (_may_meet(value) and not np.ndim(value)):
            fill(self._host[place], _moved(value, ""))
        else:
            raise ValueError(f"a {type(value).__name__} cannot be assigned to a part of a device "
                             "array; bring it to the device first")

    def add_at(self, index: Any, values: Any) -> None:
        """Add values at indices, as ``cupy.add.at``: repeated ones in a random order.

        Parameters
        ----------
        index : array, slice or tuple of these
            Where to add.
        values : array or number
            What to add; broadcast to the shape of ``self[index]``.

        Raises
        ------
        TypeError
            If ``cupy.add.at`` does not support the dtype.

        Examples
        --------
        >>> array = FakeArray(np.zeros(3))
        >>> array.add_at(FakeArray(np.array([0, 0, 2])), 1.)
        >>> array.get()
        array([2., 0., 1.])
        """
        place, n_arrays = self._place(index, "add.at")
        if not n_arrays:
            part = self[index]
            part += values
            return
        if self.dtype.char not in rules.ADDING:
            raise TypeError("cupy.add.at only supports int32, int64, float16, float32, float64, "
                            f"uint32, uint64 as data type, got {self.dtype}")
        scatter(self._host, place, _moved(values, "values from the host"), add=True)


# ---------------------------------------------------------------- operands and results

def _may_meet(x: Any) -> bool:
    """Whether CuPy's ufuncs handle ``x``; a NumPy array they handle by an error."""
    return isinstance(x, (FakeArray, np.ndarray, np.generic, bool, int, float, complex))


def _moved(x: Any, what: str, empty: Any = None) -> Any:
    """Return the NumPy array inside a device array, and anything else as it is.

    A list or a NumPy array is moved to the device first, as CuPy does with indices and with the
    values that are written at them.
    """
    if isinstance(x, FakeArray):
        return x._host
    if isinstance(x, slice):
        return slice(*(int(end) if isinstance(end, FakeArray) else end
                       for end in (x.start, x.stop, x.step)))
    if isinstance(x, list) or (isinstance(x, np.ndarray) and x.ndim):
        x = np.asarray(x, empty if not len(x) else None)
        note("transfers", what, n_bytes=x.nbytes)
    return x


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
    """Call a ufunc on the NumPy arrays inside."""
    if len(out) > 1:
        raise ValueError("The 'out' parameter must have exactly one array value")
    given = {"out": _inside(tuple(out))} if out else {}
    with np.errstate(all="ignore"):  # a GPU does not warn
        result = ufunc(*map(_inside, inputs), **given, **options)
    note("launches", ufunc.__name__)
    return out[0] if out else _outside(result)


def _call(table: str, name: str, function: Any, /, *args: Any, owner: FakeArray | None = None,
          **kwargs: Any) -> Any:
    """Call a function of NumPy, or a method of the array ``owner``, by the rules of CuPy."""
    rules.check(table, name, args, kwargs)
    if name in rules.COSTS["joining"] and not all(isinstance(x, FakeArray) for x in args[0]):
        raise TypeError(f"cupy.{name}: only device arrays can be joined")
    inputs = [x._host for x in (owner, *args) if isinstance(x, FakeArray)]
    if name == "repeat" and (len(inputs) > 1 or isinstance(kwargs.get("repeats"), FakeArray)):
        raise ValueError("cupy.ndarray cannot be specified as `repeats` argument.")
    with np.errstate(all="ignore"):
        result = function(*_inside(args), **{k: _inside(v) for k, v in kwargs.items()})
    rules.note_cost(name, args, "out" not in kwargs and rules.is_view(result, inputs))
    return _outside(np.asarray(result) if name in rules.COSTS["answering"] else result)
