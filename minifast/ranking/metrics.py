"""Measures of a ranked list: precision, recall, NDCG and others, for each user.

Each measure takes ``hits`` (n_users, k), which is True where an item of a user's list is relevant,
and ``relevant`` (n_users,), the number of all items that are relevant for the user, at least 1. It
returns an array (n_users,). The mean over users measures the ranker.
"""
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .rows import Bools, Ints

Floats = NDArray[Any]


def top_k(scores: Floats, known: Bools, k: int = 10) -> Ints:
    """Return the k items with the highest scores, without those that are known to the user.

    Parameters
    ----------
    scores : array (n_users, n_items)
        Scores, the higher the better.
    known : array (n_users, n_items) of bool
        Items that are not to be recommended.
    k : int
        The length of a list.

    Returns
    -------
    array (n_users, min(k, n_items)) of int
        Items, best first; of items with equal scores, the one with the lower number comes first.
        If fewer than k items are left for a user, the list ends with -1.

    Examples
    --------
    >>> top_k(np.array([[1., 3., 2., 0.]]), np.array([[False, True, False, False]]), k=2)
    array([[2, 0]])
    """
    scores = np.where(known, -np.inf, scores)
    best: Ints = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    left = np.isfinite(np.take_along_axis(scores, best, axis=1))
    return np.where(left, best, -1)


def precision_at_k(hits: Bools, relevant: Ints) -> Floats:
    """Return the share of the list that is relevant: hits / k.

    Parameters
    ----------
    hits : array (n_users, k) of bool
        Which places of the lists hold a relevant item.
    relevant : array (n_users,) of int
        How many relevant items each user has.

    Returns
    -------
    array (n_users,)
        Numbers from 0 to 1.

    Examples
    --------
    >>> precision_at_k(np.array([[True, False, True, False]]), np.array([3]))
    array([0.5])
    """
    return hits.mean(1)  # type: ignore[no-any-return]


def recall_at_k(hits: Bools, relevant: Ints) -> Floats:
    """Return the share of the relevant items that are in the list: hits / relevant.

    Parameters
    ----------
    hits : array (n_users, k) of bool
        Which places of the lists hold a relevant item.
    relevant : array (n_users,) of int
        How many relevant items each user has.

    Returns
    -------
    array (n_users,)
        Numbers from 0 to 1.

    Examples
    --------
    >>> recall_at_k(np.array([[True, False, True, False]]), np.array([8]))
    array([0.25])
    """
    return hits.sum(1) / relevant  # type: ignore[no-any-return]


def ndcg_at_k(hits: Bools, relevant: Ints) -> Floats:
    """Return the normalized discounted cumulative gain: the gain of a list / that of the best one.

    The gain of a hit at place i, counted from 1, is 1 / log2(i + 1). The best list begins with the
    relevant items.

    Parameters
    ----------
    hits : array (n_users, k) of bool
        Which places of the lists hold a relevant item.
    relevant : array (n_users,) of int
        How many relevant items each user has.

    Returns
    -------
    array (n_users,)
        Numbers from 0 to 1.

    Notes
    -----
    ``sklearn.metrics.ndcg_score`` with relevances of 0 and 1.

    References
    ----------
    Järvelin, K. and Kekäläinen, J. (2002). Cumulated gain-based evaluation of IR techniques. ACM
    Transactions on Information Systems 20(4).

    Examples
    --------
    >>> ndcg_at_k(np.array([[False, True]]), np.array([1])).round(4)
    array([0.6309])
    """
    k = hits.shape[1]
    gains = 1 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(gains)[np.minimum(relevant, k) - 1]
    return hits @ gains / best  # type: ignore[no-any-return]


def average_precision_at_k(hits: Bools, relevant: Ints) -> Floats:
    """Return the mean over the relevant items of the precision of the list down to each of them.

    A relevant item that is not in the list counts as 0. The sum is divided by min(k, relevant).

    Parameters
    ----------
    hits : array (n_users, k) of bool
        Which places of the lists hold a relevant item.
    relevant : array (n_users,) of int
        How many relevant items each user has.

    Returns
    -------
    array (n_users,)
        Numbers from 0 to 1; their mean is MAP@k.

    Examples
    --------
    >>> average_precision_at_k(np.array([[True, False, True]]), np.array([2])).round(4)
    array([0.8333])
    """
    k = hits.shape[1]
    precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return (precision * hits).sum(1) / np.minimum(relevant, k)  # type: ignore[no-any-return]


def hit_rate_at_k(hits: Bools, relevant: Ints) -> Floats:
    """Return 1 for a list with at least one relevant item, else 0.

    Parameters
    ----------
    hits : array (n_users, k) of bool
        Which places of the lists hold a relevant item.
    relevant : array (n_users,) of int
        How many relevant items each user has.

    Returns
    -------
    array (n_users,)
        1 or 0 for each user.

    Examples
    --------
    >>> hit_rate_at_k(np.array([[False, True]]), np.array([4]))
    array([1.])
    """
    found: Floats = hits.max(1).astype(np.float64)
    return found


MEASURES = {"precision": precision_at_k, "recall": recall_at_k, "ndcg": ndcg_at_k,
            "map": average_precision_at_k, "hit_rate": hit_rate_at_k}
"""The measures by their names in a table."""
