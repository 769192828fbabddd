"""Compare rankers by their lists of the best items for each user."""
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from ..autograd import Tensor
from ..collab import CollabLearner
from ..data import CollabDataBunch, DatasetType
from .metrics import MEASURES, Floats, top_k
from .rows import Bools, Ints, ItemsOfUsers, columns, items_of_users

Ranker: TypeAlias = CollabLearner | Callable[[Ints], Floats] | Floats
"""A learner; a function from users (bs,) to scores (bs, n_items); or scores (n_users, n_items), or
(n_items,) if they are the same for all. Users and items are numbered as in the data, from 1."""
CHUNK = 256  # users whose scores are in memory at a time


def evaluate_ranking(rankers: Ranker | Mapping[str, Ranker], data: CollabDataBunch,
                     ds_type: DatasetType = DatasetType.Valid, k: int = 10, threshold: float = 4,
                     baselines: bool = True) -> Any:
    """Measure lists of k items for each user on ratings that were held out.

    An item is relevant for a user if the user's rating in the held-out rows is at least the
    threshold. A list has the k items with the highest scores, without those that the user has
    rated in the training rows and, for a test set, in the validation rows. Every measure except
    coverage is a mean over users with at least one relevant item and at least one of these other
    rows. An item without training rows can be relevant, although no ranker can list it.

    Parameters
    ----------
    rankers : ranker, or mapping of str to ranker
        The rankers to compare. A ranker is a CollabLearner, a function from users (bs,) to scores
        (bs, n_items), or an array of scores (n_users, n_items) or (n_items,).
    data : CollabDataBunch
        The ratings. Each learner must number users and items in the same way.
    ds_type : DatasetType
        The held-out rows: ``Valid``, or ``Test`` if the data have test rows with ratings.
    k : int
        The length of a list.
    threshold : float
        The lowest rating that counts as relevant.
    baselines : bool
        Whether to add `most_popular` and `item_mean`, as the first rows of the table.

    Returns
    -------
    pandas.DataFrame
        A row for each ranker, with precision, recall, NDCG, MAP and hit rate at k (see
        `minifast.ranking.metrics`), and coverage, the share of all items that are in any list.

    Raises
    ------
    ValueError
        If k is below 1 or above the number of items, no held-out rating reaches the threshold, or
        scores have the wrong shape.

    Notes
    -----
    LightFM and cornac average over the same users; cornac leaves out items without training rows.
    implicit divides the hits of precision by min(k, relevant), which gives higher numbers. Ranking
    only the held-out items, or these and a sample of others, gives much higher numbers. Compare
    numbers only if they follow the same rules.

    Examples
    --------
    >>> from minifast.datasets import planted_ratings
    >>> ratings = planted_ratings(60, 40, 900).ratings
    >>> data = CollabDataBunch.from_df(ratings, seed=1)
    >>> evaluate_ranking({"chance": np.random.default_rng(0).random(len(data.categories[1]))},
    ...                  data)["precision@10"].round(3).to_dict()
    {'most popular': 0.196, 'item mean': 0.16, 'chance': 0.062}
    """
    import pandas as pd
    if not 0 < k < len(data.categories[1]):
        raise ValueError(f"k is the length of a list, from 1 to {len(data.categories[1]) - 1}, the "
                         f"number of items; got {k}")
    named = dict(rankers) if isinstance(rankers, Mapping) else {"ranker": rankers}
    if baselines:
        named = {"most popular": most_popular(data), "item mean": item_mean(data), **named}
    held_out = data.dl(ds_type).dataset  # type: ignore[attr-defined]
    relevant = items_of_users(data, held_out, threshold=threshold)
    others = [data.train_ds, data.valid_ds if ds_type is DatasetType.Test else None]
    known = items_of_users(data, *others)
    if not len(users := np.flatnonzero(relevant.counts[1:] * known.counts[1:]) + 1):
        raise ValueError(f"no user has a rating of at least {threshold} among the {len(held_out)} "
                         f"rows held out ({ds_type.name}); lower threshold, or hold out more")
    table = {name: _measure(ranker, users, known, relevant, k) for name, ranker in named.items()}
    return pd.DataFrame.from_dict(table, orient="index")


def _measure(ranker: Ranker, users: Ints, known: ItemsOfUsers, relevant: ItemsOfUsers, k: int
             ) -> dict[str, float]:
    """Return the means of all measures for a ranker, and its coverage."""
    shown, found = np.zeros(known.n_items, bool), []
    for some in np.array_split(users, -(-len(users) // CHUNK)):
        lists = top_k(scores_of(ranker, some, known.n_items), _excluded(known, some), k)
        hits, n_relevant = _hits(lists, relevant, some)
        found.append([measure(hits, n_relevant) for measure in MEASURES.values()])
        shown[lists[lists > 0]] = True
    means = np.concatenate(found, axis=1).mean(1).tolist()
    table = {f"{name}@{k}": mean for name, mean in zip(MEASURES, means, strict=True)}
    return {**table, f"coverage@{k}": float(shown[1:].mean())}


def _excluded(known: ItemsOfUsers, users: Ints) -> Bools:
    """Return which items (bs, n_items) are not to be listed: the known ones, and ``#na#``."""
    mask = known.mask(users)
    mask[:, 0] = True
    return mask


def _hits(lists: Ints, relevant: ItemsOfUsers, users: Ints) -> tuple[Bools, Ints]:
    """Return which places of the lists hold a relevant item, and how many are relevant in all."""
    mask, (rows, items) = relevant.mask(users), relevant.pairs(users)
    unknown = np.bincount(rows[items == 0], minlength=len(users))  # they all have number 0
    hits = np.take_along_axis(mask, lists, axis=1) & (lists > 0)
    return hits, mask[:, 1:].sum(1) + unknown


def scores_of(ranker: Ranker, users: Ints, n_items: int) -> Floats:
    """Return a ranker's scores of all items.

    Parameters
    ----------
    ranker : CollabLearner, callable or array
        The ranker, see `evaluate_ranking`.
    users : array (bs,) of int
        Numbers of users.
    n_items : int
        Number of items, ``#na#`` included.

    Returns
    -------
    array (bs, n_items)
        The scores.

    Raises
    ------
    ValueError
        If the scores have the wrong shape.

    Examples
    --------
    >>> scores_of(np.array([0., 3., 1.]), np.array([4, 7]), n_items=3)
    array([[0., 3., 1.],
           [0., 3., 1.]])
    """
    if isinstance(ranker, CollabLearner):
        scores: Any = np.stack([ranker._scores(user) for user in users.tolist()])
    elif callable(ranker):
        scores = ranker(users)
    else:
        table = np.asarray(ranker)
        scores = np.tile(table, (len(users), 1)) if table.ndim == 1 else table[users]
    if scores.shape != (len(users), n_items):
        raise ValueError(f"scores of {len(users)} users need shape {(len(users), n_items)}, a "
                         f"column for each item and one for #na#, got {scores.shape}")
    return scores  # type: ignore[no-any-return]


# ---------------------------------------------------------------- baselines


def most_popular(data: CollabDataBunch, threshold: float = -np.inf) -> Floats:
    """Return the number of training ratings of each item, as scores.

    Parameters
    ----------
    data : CollabDataBunch
        The ratings.
    threshold : float
        The lowest rating that counts.

    Returns
    -------
    array (n_items,)
        The numbers of ratings.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(1, "a", 5), (1, "b", 3), (2, "b", 4), (3, "b", 1)]
    >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    >>> most_popular(CollabDataBunch.from_df(ratings, valid_pct=0, bs=2))
    array([0., 1., 3.])
    """
    items = columns(data.train_ds, threshold)[1]
    return np.bincount(items, minlength=len(data.categories[1])).astype(np.float64)


def item_mean(data: CollabDataBunch, damping: float = 10) -> Floats:
    """Return the mean training rating of each item, as scores.

    Parameters
    ----------
    data : CollabDataBunch
        The ratings.
    damping : float
        The mean is computed as if the item had this many additional ratings, all equal to the
        mean of all ratings. A single rating of 5 stars then does not put an item first.

    Returns
    -------
    array (n_items,)
        The damped means.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(1, "a", 5), (1, "b", 3), (2, "b", 4), (3, "b", 4)]
    >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    >>> item_mean(CollabDataBunch.from_df(ratings, valid_pct=0, bs=2), damping=1)
    array([4.  , 4.5 , 3.75])
    """
    items, ratings = columns(data.train_ds)[1], Tensor(data.train_ds.y).numpy()
    n, mean = most_popular(data), float(ratings.mean())
    total = np.bincount(items, weights=ratings, minlength=len(n))
    means: Floats = (total + damping * mean) / (n + damping)
    return means
