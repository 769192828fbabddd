"""What CuPy 14.2 offers, and what each of its functions costs; no array is touched here."""
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .counting import note

API = json.loads((Path(__file__).with_name("cupy_api.json")).read_text())
NUMBERS = "?bhilqBHILQefdFD"
"""Type characters of what a device can hold: no text, no dates, no objects."""
ADDING = "ilqILQefd"
"""Those that ``add.at`` adds."""
FREE = frozenset({"shape", "ndim", "size", "empty", "empty_like", "result_type", "can_cast",
                  "may_share_memory", "shares_memory"})
WAITING = frozenset({"unique", "nonzero", "flatnonzero", "argwhere", "bincount", "histogram",
                     "compress", "extract", "delete", "trim_zeros", "choose",
                     "percentile", "quantile", "setdiff1d", "union1d", "intersect1d"})
DECOMPOSING = frozenset({"cholesky", "cond", "det", "eig", "eigh", "eigvals", "eigvalsh", "inv",
                         "lstsq", "matrix_rank", "pinv", "qr", "slogdet", "solve", "svd"})
"""Of linear algebra: whether it went well is read back from the device."""
JOINING = frozenset({"concatenate", "concat", "stack", "vstack", "hstack", "dstack",
                     "column_stack"})
ANSWERING = frozenset({"array_equal", "array_equiv", "allclose", "count_nonzero"})
"""What NumPy answers with a Python value, CuPy with an array of no dimension."""
COMPARING = frozenset({"greater", "greater_equal", "less", "less_equal", "equal", "not_equal"})
FOLDING = {("add", "reduce"): "sum", ("multiply", "reduce"): "prod",
           ("add", "accumulate"): "cumsum", ("multiply", "accumulate"): "cumprod"}
"""What a ufunc's methods are in CuPy."""


def table_of(function: Any) -> str:
    """Which list of names a NumPy function is looked up in.

    >>> table_of(np.linalg.svd), table_of(np.exp2), table_of(np.where)
    ('linalg', 'functions', 'functions')
    """
    module: str = getattr(function, "__module__", None) or "numpy"
    return "functions" if module == "numpy" else module.rpartition(".")[2]


def check(table: str, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise TypeError for a function or a parameter that CuPy does not have."""
    if name not in API.get(table, {}):
        raise TypeError(f"CuPy 14.2 has no {name} in its {table.replace('_', ' ')}")
    known = API[table][name]
    if known is not None and not kwargs.keys() <= set(known):
        raise TypeError(f"cupy.{name} has no parameter "
                        f"{', '.join(sorted(kwargs.keys() - set(known)))}; it has {known}")
    if name in ("sort", "argsort") and kwargs.get("kind") not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    if name == "where" and isinstance(args[0], (list, tuple)):
        raise TypeError("cupy.where: the condition must be a device array, not a list")


def note_cost(table: str, name: str, args: tuple[Any, ...], given: bool) -> None:
    """Count a call: a launch unless its result was ``given`` (a view), a wait for some."""
    waits = name in WAITING or (table == "linalg" and name in DECOMPOSING) \
        or (name == "where" and len(args) == 1)
    if waits:
        note("synchronizations", name)
    if not given and name not in FREE:
        note("launches", name)


def is_view(result: Any, inputs: list["np.ndarray[Any, Any]"]) -> bool:
    """Whether a result (or each of several) lies in the memory of an input.

    >>> a = np.zeros((2, 3))
    >>> is_view(a.reshape(6), [a]), is_view(a.T.reshape(6), [a])
    (True, False)
    """
    parts = result if isinstance(result, (list, tuple)) else [result]
    return all(isinstance(part, np.ndarray) and any(np.may_share_memory(part, a) for a in inputs)
               for part in parts)
