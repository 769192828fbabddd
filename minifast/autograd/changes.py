"""What is known of changes in place: an array that an operation has saved must keep its values.

A clock numbers all nodes and all changes, so nothing has to be recorded in the forward pass: an
array is stale for a node if it changed after the node was made.
"""
import sys
from itertools import count
from types import CodeType
from typing import Any

import numpy as np

from ..backend import Array

clock = count()


class Changes(dict[int, tuple[int, CodeType, int]]):
    """When and where arrays were last changed in place, by their ids.

    The id of an array that is gone does no harm: another array that gets it is younger than the
    change, and so is every node that saves it.

    Attributes
    ----------
    last : int
        The number of the latest change.
    """

    last = -1

    def mark(self, arrays: list[Array], depth: int = 1) -> None:
        """Note that arrays are changed by the function that calls this one.

        Parameters
        ----------
        arrays : list of array
            The arrays.
        depth : int
            How many calls further up the line is that an error message names.
        """
        frame = sys._getframe(depth + 1)
        self.last = next(clock)
        change = self.last, frame.f_code, frame.f_lineno
        if len(self) > 10_000:
            self.clear()
        for array in arrays:
            self[id(array)] = change

    def of(self, array: Array) -> tuple[int, str]:
        """Return the number of the latest change of an array or of what it views, and the place."""
        keys = id(array), id(getattr(array, "base", None))
        found = [self[key] for key in keys if key in self]
        if not found:
            return -1, ""
        position, code, line = max(found, key=lambda change: change[0])
        return position, f"by {code.co_filename}:{line} in {code.co_name}"


changed = Changes()


class Unread:
    """Stands in for an array of which the shape and the type may be read, but not the values."""

    __array_ufunc__ = None  # NumPy's operators and functions refuse it

    def __init__(self, array: Array) -> None:
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.size: int = array.size
        self.like = np.zeros_like(array, shape=())

    def __len__(self) -> int:
        return int(self.shape[0])

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        """Make arrays of this shape or type; anything else would read the values."""
        if function in (np.empty_like, np.zeros_like, np.ones_like):
            return function(self.like, *args[1:], **{"shape": self.shape, **options})
        if function in (np.empty, np.zeros, np.ones):
            return function(*args, **options, like=self.like)
        raise TypeError(f"np.{function.__name__} reads the values")
