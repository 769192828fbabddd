"""Rank by predicted rating and popularity together."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import Array
from ..collab import CollabLearner
from ..data import DatasetType
from ..nn import Buffer, Module
from .evaluate import evaluate_ranking, most_popular, scores_of
from .metrics import Floats

WEIGHTS = tuple(np.linspace(0, 2, 21).round(1).tolist())


class PopularityAware(Module):
    """A model's predictions plus weight * log(1 + number of ratings of the item).

    Parameters
    ----------
    model : Module
        Maps users and items, (bs,) each, to ratings.
    counts : array (n_items,)
        How many ratings each item has.
    weight : float
        How many stars are added if an item has e times as many ratings.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.collab import EmbeddingDotBias
    >>> model = EmbeddingDotBias(2, 3, 3, seed=0)
    >>> aware = PopularityAware(model, np.array([0, 7, 0]), weight=.5)
    >>> (aware(tensor([1]), tensor([1])) - model(tensor([1]), tensor([1]))).detach()
    tensor([1.0397])
    """

    def __init__(self, model: Module, counts: Array, weight: float) -> None:
        self.model, self.weight = model, weight
        self.log_counts = Buffer(np.log1p(counts).astype(np.float32))

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        ratings: Tensor = self.model(users, items)
        return ratings.reshape(-1) + self.log_counts[items] * self.weight


def popularity_aware(learn: CollabLearner, weights: Sequence[float] = WEIGHTS, k: int = 10,
                     threshold: float = 4) -> CollabLearner:
    """Return a learner that recommends by predicted rating + weight * log(1 + popularity).

    A rating model predicts how much a user likes an item after choosing it. It does not predict
    whether the user chooses it, and popular items are chosen more often. The weight is the one
    with the best NDCG at k on the validation rows, so use other rows to measure the improvement.
    Meanwhile, the predictions for all pairs of users and items are kept in memory.

    Parameters
    ----------
    learn : CollabLearner
        A trained learner for ratings, with validation rows. It does not change.
    weights : sequence of float
        The weights to try.
    k : int
        The length of a list.
    threshold : float
        The lowest rating that counts as relevant.

    Returns
    -------
    CollabLearner
        A learner on the same data. Its model is a `PopularityAware` that contains the model of
        `learn`; the attribute ``weight`` is the weight that was chosen.

    Raises
    ------
    ValueError
        If there are no validation rows with ratings of at least the threshold.

    Examples
    --------
    >>> from minifast.collab import CollabDataBunch, collab_learner
    >>> from minifast.datasets import planted_ratings
    >>> ratings = planted_ratings(60, 40, 900).ratings
    >>> data = CollabDataBunch.from_df(ratings, seed=1)
    >>> aware = popularity_aware(collab_learner(data, 5, y_range=(0, 5.5), seed=0))
    >>> len(aware.recommend(7, n=3))
    3
    """
    data, counts = learn.data, most_popular(learn.data)
    n_users, n_items = map(len, data.categories)
    ratings = scores_of(learn, np.arange(n_users), n_items)

    def found(weight: float) -> float:
        scores: Floats = ratings + weight * np.log1p(counts)
        table = evaluate_ranking(scores, data, DatasetType.Valid, k, threshold, baselines=False)
        return float(table[f"ndcg@{k}"].iloc[0])
    kwargs: Any = {"loss_func": learn.loss_func, "opt_func": learn.opt_func, "wd": learn.wd}
    model = PopularityAware(learn.model, counts, max(weights, key=found))
    return CollabLearner(data, model, **kwargs)
