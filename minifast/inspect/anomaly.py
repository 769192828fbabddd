"""detect_anomaly: find the operation that made the first NaN, and arrays changed in place."""
import re
import sys
from collections.abc import Iterator
from contextvars import Token
from functools import partial
from linecache import getline
from typing import Any
from weakref import WeakSet

import numpy as np

from ..autograd import Tensor
from ..autograd.tape import ChangedArrayError, Node, Variable, changed, owner, recording
from ..backend import Array, transfer

PACKAGE = __name__.partition(".")[0]


class AnomalyError(FloatingPointError):
    """An operation or a derivative rule that produced NaN or infinity from finite numbers."""


class detect_anomaly:  # noqa: N801  (torch's name)
    """Context manager that examines every recorded operation. It is slow; use it for debugging.

    An error names the operation and the line of your code that ran it if

    - an operation or its derivative rule produces NaN or infinity from finite numbers, or
    - an array that a derivative rule reads was changed in place, by any means, between the forward
      and the backward pass. The error also names the two lines between which this happened.

    Notes
    -----
    The counterpart of ``torch.autograd.detect_anomaly``. It keeps copies of all saved arrays and
    compares them at every operation. Operations that are not recorded (``no_grad``, constants)
    are not examined.

    Examples
    --------
    >>> from minifast import tensor
    >>> x = tensor([1., 0.], requires_grad=True)
    >>> with np.errstate(divide="ignore"), detect_anomaly():
    ...     y = x.log()
    Traceback (most recent call last):
    minifast.inspect.anomaly.AnomalyError: 'log' made the first NaN or infinity...
    """

    def __init__(self) -> None:
        self.nodes: WeakSet[_ExaminedNode] = WeakSet()
        self.line = "the beginning"
        self._tokens: list[Token[Any] | None] = []

    def __enter__(self) -> "detect_anomaly":
        examine = partial(_ExaminedNode, self)
        self._tokens.append(recording.set(examine) if recording.get() else None)
        return self

    def __exit__(self, *error: object) -> None:
        if (token := self._tokens.pop()) is not None:
            recording.reset(token)

    def look(self) -> str:
        """Compare all arrays with their copies, and return the line of the user's code."""
        before, self.line = self.line, user_line()
        for node in list(self.nodes):
            node.look(f"between {before} and {self.line}")
        return self.line


class _ExaminedNode(Node):
    """A node that keeps copies of what it has saved."""

    def __init__(self, anomaly: detect_anomaly, *args: Any) -> None:
        super().__init__(*args)
        self.anomaly, self.line, self.where = anomaly, anomaly.look(), dict[str, str]()
        self.copies = [a.copy() if _is_array(a) else None for a in (self.output, *self.arrays)]
        anomaly.nodes.add(self)
        if not _finite(self.output):
            wrong = [i for i, a in enumerate(self.arrays) if not _finite(a)]
            if not wrong:
                raise AnomalyError(f"'{self.op.name}' made the first NaN or infinity from "
                                   f"finite inputs at {self.line}")
            if _has_nan(self.output):
                raise AnomalyError(f"'{self.op.name}' got NaN or infinity as input {wrong[0]} at "
                                   f"{self.line}; no recorded operation produced it, so find out "
                                   "where this input comes from")

    def look(self, where: str) -> None:
        """Mark the arrays that have changed since the last look, and keep where it was."""
        if self.inputs is None:  # released
            self.copies = []
        for i, (copy, array) in enumerate(zip(self.copies, (self.output, *self.arrays),
                                              strict=False)):
            if copy is not None and not _equal(array, copy):
                if changed.get(owner(array), (-1,))[0] < self.position:
                    changed.mark([array], depth=0)
                self.where[f"input {i - 1}" if i else "the output"] = where
                self.copies[i] = None  # found

    def gradients(self, g: Any, create_graph: bool = False) -> Iterator[tuple[Variable, Any]]:
        """Compare all arrays with their copies, then do as every node does."""
        self.anomaly.look()
        try:
            for x, dx in super().gradients(g, create_graph):
                if not _finite(dx) and _finite(g):
                    raise AnomalyError(f"the derivative rule of '{self.op.name}' made the first "
                                       "NaN or infinity from a finite gradient; the operation ran "
                                       f"at {self.line}")
                yield x, dx
        except ChangedArrayError as error:
            found_here = rf"by {re.escape(__file__)}:\d+ in look"
            where = self.where.get(str(error).partition(" of ")[0], "")
            seen = ChangedArrayError(re.sub(found_here, lambda _: where, str(error)))
            seen.add_note(f"the operation ran at {self.line}")
            raise seen from None


def user_line() -> str:
    """Return the innermost line of code outside minifast that led here.

    Examples
    --------
    >>> ".py:" in user_line()
    True
    """
    frame: Any = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE:
        frame = frame.f_back
    file, line = frame.f_code.co_filename, frame.f_lineno
    source = getline(file, line, frame.f_globals).strip()
    return f"{file}:{line}" + (f" ({source})" if source else "")


def _is_array(x: Any) -> bool:
    return hasattr(x, "dtype") and hasattr(x, "copy")


def _values(x: Any) -> Any:
    """Return the numbers of a tensor, a sparse gradient or an array on the host."""
    x = x.data if isinstance(x, Tensor) else getattr(x, "values", x)
    return transfer(x, "cpu") if _is_array(x) and not isinstance(x, np.generic) else x


def _finite(x: Any) -> bool:
    x = _values(x)
    is_float = isinstance(x, float) or (_is_array(x) and x.dtype.kind == "f")
    return not is_float or bool(np.isfinite(x).all())


def _has_nan(x: Any) -> bool:
    return bool(np.isnan(_values(x)).any())


def _equal(array: Array, copy: Array) -> bool:
    """Return whether two arrays hold the same bytes, so that NaN equals NaN."""
    here, there = (np.ascontiguousarray(_values(a)) for a in (array, copy))
    return here.tobytes() == there.tobytes()
