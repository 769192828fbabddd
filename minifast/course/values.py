"""Values that probes return: written as JSON, and compared."""
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor

TOLERANCE = {"float16": 1e-2, "float32": 2e-5, "float64": 1e-9}
"""The largest difference, as a share of the largest number of an array."""
SMALL = 1e-2
"""Arrays of smaller numbers are compared as if this were the largest, so that numbers that are
zero up to rounding pass, whatever the rounding is."""


def encode(values: Sequence[Any]) -> list[dict[str, Any]]:
    """Return values as JSON can hold them.

    Parameters
    ----------
    values : sequence
        Tensors, arrays, numbers, texts or None.

    Returns
    -------
    list of dict
        For each its type, its shape and its elements.

    Examples
    --------
    >>> encode([np.float32(.5)])
    [{'dtype': 'float32', 'shape': [], 'data': [0.5]}]
    """
    arrays = [np.asarray(x.numpy() if isinstance(x, Tensor) else x) for x in values]
    return [{"dtype": str(a.dtype), "shape": list(a.shape), "data": a.ravel().tolist()}
            if a.dtype.kind in "fiub" else {"dtype": "text", "shape": [], "data": [str(x)]}
            for a, x in zip(arrays, values, strict=True)]


def difference(expected: dict[str, Any], got: dict[str, Any]) -> str:
    """Return how an encoded value differs from the expected one; an empty text if it does not.

    Parameters
    ----------
    expected, got : dict
        What ``encode`` returns for one value.

    Returns
    -------
    str
        A sentence that does not reveal the expected number.

    Examples
    --------
    >>> one, two = encode([np.ones(2), np.array([1., 2.])])
    >>> difference(one, two)
    'at [1] your number 2 is off by 1'
    """
    if got["data"] == ["None"] != expected["data"]:
        return "you get None: is a `return` missing?"
    if expected["shape"] != got["shape"]:
        return f"the shape should be {tuple(expected['shape'])}, yours is {tuple(got['shape'])}"
    if expected["dtype"] != got["dtype"]:
        return f"the type should be {expected['dtype']}, yours is {got['dtype']}"
    if expected["dtype"] not in TOLERANCE:
        if expected["data"] == got["data"]:
            return ""
        return "this does not hold" if got["data"] in ([False], ["False"]) else \
            f"you get {_short(expected['data'], got['data'])}, which is not right"
    right, ours = (np.array(x["data"], np.float64) for x in (expected, got))
    scale = np.abs(right[np.isfinite(right)]).max(initial=SMALL)
    with np.errstate(invalid="ignore"):
        off = np.where((right == ours) | (np.isnan(right) & np.isnan(ours)), 0., ours - right)
    wrong = ~(np.abs(off) <= TOLERANCE[expected["dtype"]] * scale)
    if not wrong.any():
        return ""
    at = int(np.flatnonzero(wrong)[0])
    place = list(map(int, np.unravel_index(at, expected["shape"]))) if expected["shape"] else []
    error = f"is off by {off[at]:.3g}" if np.isfinite(off[at]) else "is not right"
    return f"{f'at {place} ' if place else ''}your number {ours[at]:.6g} {error}"


def error_of(call: Callable[..., Any], *arguments: Any) -> str:
    """Return the name of the error that a call raises, for probes that expect an error.

    Parameters
    ----------
    call : callable
        The function.
    *arguments
        Its arguments.

    Returns
    -------
    str
        The name; ``"nothing"`` if there is no error.

    Raises
    ------
    NotImplementedError
        If the function is still to be written.

    Examples
    --------
    >>> error_of(float, "x"), error_of(float, "1")
    ('ValueError', 'nothing')
    """
    try:
        call(*arguments)
    except NotImplementedError:
        raise
    except Exception as error:
        return type(error).__name__
    return "nothing"


def _short(expected: list[Any], got: list[Any]) -> str:
    """Return what a student got as text; if long, only the part where it begins to differ."""
    right, ours = (str(data[0] if len(data) == 1 else data) for data in (expected, got))
    if len(ours) <= 60:
        return ours or "an empty text"
    same = next((i for i, (a, b) in enumerate(zip(right, ours, strict=False)) if a != b), 0)
    start = max(0, same - 20)
    return "..." * (start > 0) + ours[start:start + 54] + "..." * (start + 54 < len(ours))
