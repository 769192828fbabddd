"""The functions of CuPy 14.2, their parameters, and what each of them costs on a GPU."""
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .counting import note

API = json.loads((Path(__file__).with_name("cupy_api.json")).read_text())
NUMBERS = "?bhilqBHILQefdFD"
"""Characters of the dtypes that a device can hold: no text, no dates, no objects."""
ADDING = "ilqILQefd"
"""The dtypes that ``add.at`` supports."""
COSTS = json.loads((Path(__file__).with_name("costs.json")).read_text())
"""Functions that need no launch; that wait (those of linear algebra read their status back from the
device); that join arrays; that return a number in NumPy and an array of no dimension in CuPy."""
COMPARING = frozenset({"greater", "greater_equal", "less", "less_equal", "equal", "not_equal"})
FOLDING = {("add", "reduce"): "sum", ("multiply", "reduce"): "prod",
           ("add", "accumulate"): "cumsum", ("multiply", "accumulate"): "cumprod"}
"""The functions of CuPy that stand in for methods of ufuncs."""


def table_of(function: Any) -> str:
    """Return the name of the table in ``API`` that lists a NumPy function.

    Parameters
    ----------
    function : callable
        The function.

    Returns
    -------
    str
        The name of the table.

    Examples
    --------
    >>> table_of(np.linalg.svd), table_of(np.exp2), table_of(np.where)
    ('linalg', 'functions', 'functions')
    """
    module: str = getattr(function, "__module__", None) or "numpy"
    return "functions" if module == "numpy" else module.rpartition(".")[2]


def check(table: str, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Check that CuPy has a function and the parameters of a call.

    Parameters
    ----------
    table : str
        The table in ``API``.
    name : str
        The name of the function.
    args : tuple
        The positional arguments.
    kwargs : mapping
        The keyword arguments.

    Raises
    ------
    TypeError
        If CuPy does not have the function or a parameter.
    ValueError
        If CuPy does not accept the kind of sort.

    Examples
    --------
    >>> check("functions", "nanquantile", (), {})
    Traceback (most recent call last):
    TypeError: CuPy 14.2 has no nanquantile in its functions
    """
    if name not in API.get(table, {}):
        raise TypeError(f"CuPy 14.2 has no {name} in its {table.replace('_', ' ')}")
    known = API[table][name]
    if known is not None and (others := sorted(kwargs.keys() - set(known))):
        raise TypeError(f"cupy.{name} has no parameter {', '.join(others)}; it has {known}")
    if name in ("sort", "argsort") and kwargs.get("kind") not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    if name == "where" and isinstance(args[0], (list, tuple)):
        raise TypeError("cupy.where: the condition must be a device array, not a list")


def note_cost(name: str, args: tuple[Any, ...], given: bool) -> None:
    """Count what a call costs: one launch, and a wait where the host needs the result.

    Parameters
    ----------
    name : str
        The function.
    args : tuple
        The positional arguments.
    given : bool
        Whether the result is a view, which needs no launch.

    Examples
    --------
    >>> from minifast.devices.fakecuda.counting import count
    >>> with count() as counts:
    ...     note_cost("exp", (), given=False)
    >>> counts.launches
    1
    """
    if name in COSTS["waiting"] or (name == "where" and len(args) == 1):
        note("synchronizations", name)
    if not given and name not in COSTS["free"]:
        note("launches", name)


def is_view(result: Any, inputs: list["np.ndarray[Any, Any]"]) -> bool:
    """Tell whether a result, or each of several, shares memory with an input.

    Parameters
    ----------
    result : ndarray or sequence of ndarray
        What a function returned.
    inputs : list of ndarray
        The arrays it was called with.

    Returns
    -------
    bool
        True if no new array was made.

    Examples
    --------
    >>> a = np.zeros((2, 3))
    >>> is_view(a.reshape(6), [a]), is_view(a.T.reshape(6), [a])
    (True, False)
    """
    parts = result if isinstance(result, (list, tuple)) else [result]
    return all(isinstance(part, np.ndarray) and any(np.may_share_memory(part, a) for a in inputs)
               for part in parts)
