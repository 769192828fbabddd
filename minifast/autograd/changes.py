"""Changes in place: an array that an operation has saved must keep its values.

One clock numbers all nodes and all changes. An array is stale for a node if it changed after the
node was made, so the forward pass has nothing to record.
"""
import sys
from itertools import count
from typing import Any

from ..backend import Array

clock = count()


class Changes(dict[int, tuple[int, str]]):
    """When and where arrays were last changed in place, by their ids.

    The id of an array that is gone does no harm: an array that gets it is younger than the change,
    and so is every node that saves it.

    Attributes
    ----------
    last : int
        The number of the latest change.
    """

    last = -1

    def mark(self, arrays: list[Array], depth: int = 1, where: str = "") -> None:
        """Note that arrays change.

        Parameters
        ----------
        arrays : list of array
            The arrays.
        depth : int
            How many calls above the calling function the line is that an error message names.
        where : str
            Words for that place, if it is not a line above.
        """
        frame, self.last = sys._getframe(depth + 1), next(clock)
        where = where or f"by {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        for array in arrays:
            self[id(array)] = self.last, where

    def of(self, array: Array) -> tuple[int, str]:
        """Return the number and the place of the latest change of an array or of its base."""
        base = getattr(array, "base", None)
        return max(self.get(id(array), (-1, "")), self.get(id(base), (-1, "")))


changed = Changes()


class Unread:
    """Stands in for an array of which the shape and the type may be read, but not the values."""

    __array_ufunc__ = __eq__ = __ne__ = None  # type: ignore[assignment]  # operators refuse it

    def __init__(self, array: Array) -> None:
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self._array = array

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Array:
        """Make an array like it; a function that would read the values does not know ``like``."""
        if function.__name__.endswith("_like"):
            return function(self._array, *args[1:], **options)
        return function(*args, **options, like=self._array)
