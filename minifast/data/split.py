"""Which rows train and which validate."""
from typing import Any, TypeAlias

import numpy as np

Rows: TypeAlias = "np.ndarray[Any, np.dtype[np.signedinteger[Any]]]"
"""Row numbers (n,)."""


def random_split(n: int, valid_pct: float = .2, seed: int | None = None) -> tuple[Rows, Rows]:
    """Split ``n`` rows at random into training and validation rows.

    Parameters
    ----------
    n : int
        Number of rows.
    valid_pct : float
        Share of the rows to validate on, in [0, 1).
    seed : int, optional
        Seed for NumPy's global generator; without it, the generator goes on from its state.

    Returns
    -------
    train : array (n_train,) of int32
        Training rows, ascending.
    valid : array (int(valid_pct * n),) of int32
        Validation rows, in the order drawn.

    Raises
    ------
    ValueError
        If `valid_pct` is outside [0, 1).

    Notes
    -----
    The same seed draws the same rows as fastai v1's ``split_by_rand_pct``.

    Examples
    --------
    >>> random_split(10, .3, seed=42)[1]
    array([8, 1, 5], dtype=int32)
    """
    check_valid_pct(valid_pct)
    if seed is not None:
        np.random.seed(seed)
    rows = np.arange(n, dtype=np.int32)
    np.random.shuffle(rows)  # the order of np.random.permutation(n), in half the memory
    n_valid = int(valid_pct * n)
    return np.sort(rows[n_valid:]), rows[:n_valid].copy()


def check_valid_pct(valid_pct: float) -> None:
    """Check that a share of validation rows is in [0, 1).

    Parameters
    ----------
    valid_pct : float
        The share.

    Raises
    ------
    ValueError
        If it is outside.
    """
    if not 0 <= valid_pct < 1:
        raise ValueError(f"valid_pct is the share of rows to validate on, in [0, 1); "
                         f"got {valid_pct}")
