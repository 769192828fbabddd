"""Which rows train and which validate."""
from typing import Any

import numpy as np

Rows = np.ndarray[Any, np.dtype[np.signedinteger[Any]]]


def row_type(n: int) -> type[np.signedinteger[Any]]:
    """The type for numbers of ``n`` rows: int32 as long as it can count them.

    >>> row_type(25_000_000).__name__
    'int32'
    """
    return np.int32 if n < 1 << 31 else np.int64


def random_split(n: int, valid_pct: float = .2, seed: int | None = None) -> tuple[Rows, Rows]:
    """(training rows, validation rows) of ``n`` rows, as fastai v1's ``split_by_rand_pct``.

    A ``seed`` is given to NumPy's global generator, as v1 does, so the same seed draws the same
    rows there and here. The first ``int(valid_pct * n)`` of a permutation validate, in that
    order; the training rows are in ascending order.

    >>> random_split(10, .3, seed=42)[1]
    array([8, 1, 5], dtype=int32)
    """
    check_share(valid_pct)
    if seed is not None:
        np.random.seed(seed)
    valid = _drawn(n, int(valid_pct * n))
    train = np.ones(n, bool)
    train[valid] = False
    return np.arange(n, dtype=valid.dtype)[train], valid


def check_share(valid_pct: float) -> None:
    """ValueError unless ``valid_pct`` is a share that leaves rows to train on.

    >>> check_share(.2)
    """
    if not 0 <= valid_pct < 1:
        raise ValueError(f"valid_pct is the share of rows to validate on, in [0, 1); "
                         f"got {valid_pct}")


def _drawn(n: int, count: int) -> Rows:
    """The first ``count`` of np.random.permutation(n), which would need eight bytes a row."""
    rows = np.arange(n, dtype=row_type(n))
    np.random.shuffle(rows)
    return rows[:count].copy()
