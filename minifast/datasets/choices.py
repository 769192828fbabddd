"""Planted ratings whose users choose what they rate, by popularity and by taste."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .planted import NOISE_SPREAD, PlantedRatings

if TYPE_CHECKING:
    import pandas as pd


def planted_choices(planted: PlantedRatings, taste: float = 1.5, seed: int = 0) -> pd.DataFrame:
    """Draw ratings again, of items that users choose because they expect to like them.

    In ``planted.ratings``, a user's taste has no influence on which items the user rates, so
    nothing predicts the choices better than popularity. Here, their probabilities are
    proportional to popularity * exp(taste * score). Each user rates as many items as before.

    Parameters
    ----------
    planted : PlantedRatings
        The truth, and the popularity of items.
    taste : float
        Influence of the score on the choice; at 0 it has none.
    seed : int
        Source of the choices and of the noise.

    Returns
    -------
    pandas.DataFrame (n_ratings, 4)
        Columns userId, movieId, rating and title, as in ``planted.ratings``; in random order.

    Examples
    --------
    >>> from minifast.datasets import planted_ratings
    >>> planted = planted_ratings(n_users=30, n_items=20, n_ratings=200)
    >>> chosen = planted_choices(planted)
    >>> float(planted.ratings.rating.mean().round(2)), float(chosen.rating.mean().round(2))
    (3.6, 3.72)
    """
    import pandas as pd
    rng = np.random.default_rng(seed)
    n_users, n_items = len(planted.user_bias), len(planted.item_bias)
    score = planted.score(np.arange(1, n_users + 1)[:, None], np.arange(1, n_items + 1))
    popularity = np.bincount(planted.ratings.movieId - 1, minlength=n_items)
    keys = taste * score + np.log(popularity) + rng.gumbel(size=score.shape)  # the highest win
    places = np.argsort(np.argsort(-keys, axis=1), axis=1)
    counts = np.bincount(planted.ratings.userId - 1, minlength=n_users)
    users, items = rng.permutation(np.argwhere(places < counts[:, None])).T
    stars = np.rint(score[users, items] + rng.normal(0, NOISE_SPREAD, len(users))).clip(1, 5)
    return pd.DataFrame({"userId": users + 1, "movieId": items + 1,
                         "rating": stars.astype(np.int64), "title": planted.titles[items]})
