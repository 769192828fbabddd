"""Changes in place: an array that an operation has saved must keep its values.

One clock numbers all nodes and all changes. An array is stale for a node if it changed after the
node was made, so the forward pass has nothing to record.
"""
import sys
from itertools import count
from typing import Any

from ..backend import Array

clock = count()


class Changes(dict[int, tuple[int, Any, int]]):
    """When and where arrays were last changed in place, by their ids.

    The id of an array that is gone does no harm: an array that gets it is younger than the change,
    and so is every node that saves it.

    Attributes
    ----------
    last : int
        The number of the latest change.
    """

    last = -1

    def mark(self, arrays: list[Array], depth: int = 1) -> None:
        """Note that the calling function changes arrays.

        Parameters
        ----------
        arrays : list of array
            The arrays.
        depth : int
            How many calls above that function the line is that an error message names.
        """
        frame = sys._getframe(depth + 1)
        self.last = next(clock)
        change = self.last, frame.f_code, frame.f_lineno
        for array in arrays:
            self[id(array)] = change

    def of(self, array: Array) -> tuple[int, str]:
        """Return the number and the place of the latest change of an array or of its base."""
        keys = id(array), id(getattr(array, "base", None))
        found = [self[key] for key in keys if key in self]
        position, code, line = max(found, default=(-1, None, 0))
        return position, f"by {code.co_filename}:{line} in {code.co_name}" if code else ""


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
