"""Which rows train and which validate."""
from collections.abc import Iterable
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
        Seed of the split; without it, the rows are drawn from NumPy's global generator.

    Returns
    -------
    train : array (n_train,) of int32, or of int64 where int32 cannot number the rows
        Training rows, ascending.
    valid : array (int(valid_pct * n),) of the same type
        Validation rows, in the order drawn.

    Raises
    ------
    ValueError
        If `valid_pct` is outside [0, 1).

    Notes
    -----
    The same seed draws the same rows as fastai v1's ``split_by_rand_pct``, which seeds NumPy's
    global generator. Here a seed does not change that generator, so splits in several threads do
    not affect each other.

    Examples
    --------
    >>> random_split(10, .3, seed=42)[1]
    array([8, 1, 5], dtype=int32)
    """
    check_valid_pct(valid_pct)
    rng = np.random if seed is None else np.random.RandomState(seed)
    rows: Rows = np.arange(n, dtype=np.int32 if n <= 2 ** 31 else np.int64)
    rng.shuffle(rows)  # the order of permutation(n), in half the memory
    n_valid = int(valid_pct * n)
    return np.sort(rows[n_valid:]), rows[:n_valid].copy()


def split_by_idx(n: int, valid_idx: Iterable[int]) -> tuple[Rows, Rows]:
    """Split ``n`` rows into training rows and the given validation rows.

    Parameters
    ----------
    n : int
        Number of rows.
    valid_idx : iterable of int
        Positions of the validation rows.

    Returns
    -------
    train : array (n_train,) of int64
        Training rows, ascending.
    valid : array (n_valid,) of int64
        Validation rows, as given.

    Raises
    ------
    TypeError
        If positions are not integers.
    ValueError
        If a position is out of range or occurs twice, or if no row is left to train on.

    Examples
    --------
    >>> split_by_idx(4, [3, 1])
    (array([0, 2]), array([3, 1]))
    """
    valid = np.asarray(list(valid_idx))
    if len(valid) and valid.dtype.kind not in "iu":
        raise TypeError(f"valid_idx must be positions, got {valid.tolist()[0]!r}; turn a mask "
                        "into positions with np.flatnonzero(mask)")
    if len(wrong := valid[(valid < 0) | (valid >= n)]):
        raise ValueError(f"valid_idx has {wrong[0]}; positions go from 0 to {n - 1}")
    valid = valid.astype(np.int64)
    times = np.bincount(valid, minlength=n)
    if times.max(initial=0) > 1:
        raise ValueError(f"valid_idx has row {times.argmax()} {times.max()} times; give each once")
    if not len(train := np.flatnonzero(times == 0)):
        raise ValueError(f"valid_idx names all {n} rows; leave some to train on")
    return train, valid


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

    Examples
    --------
    >>> check_valid_pct(.1)
    >>> check_valid_pct(10)
    Traceback (most recent call last):
    ValueError: valid_pct is the share of validation rows, in [0, 1); got 10
    """
    if not 0 <= valid_pct < 1:
        raise ValueError(f"valid_pct is the share of validation rows, in [0, 1); got {valid_pct}")
