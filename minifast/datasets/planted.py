"""Synthetic ratings with a known truth, in the shape of MovieLens.

They are drawn from the model that collaborative filtering fits, so that what a learner finds can
be compared with the truth:

    score  = mean + user_bias + item_bias + user_factors . item_factors
    rating = score + noise, rounded and clipped to 1..5

The constants were chosen by comparison with MovieLens 100K: the numbers of ratings per film and per
user, the frequency of each rating, the error of a factor model.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

MEAN = 3.54            # mean score, in stars
USER_SPREAD = 0.46     # standard deviation of the user biases, in stars
ITEM_SPREAD = 0.57     # of the item biases
TASTE_SPREAD = 0.45    # of user_factors . item_factors
NOISE_SPREAD = 0.88    # of the noise
FAME_PULL = 0.5        # correlation of an item's fame and its bias: popular films are better liked
FAME_TAIL = 1.65       # standard deviation of the items' log popularity
ZEAL_TAIL = 1.02       # of the users' log activity
LEAST_PER_USER = 20    # as in MovieLens, if there are enough ratings

WORDS = json.loads(Path(__file__).with_name("titles.json").read_text())
"""Adjectives and nouns of the titles."""


@dataclass(frozen=True, eq=False)
class PlantedRatings:
    """Ratings and the truth that they were drawn from; made by `planted_ratings`.

    Row 0 of an array belongs to id 1. The truth is float32, in stars. Factors can be learned only
    up to a rotation: compare their products, or the biases.

    Attributes
    ----------
    ratings : pandas.DataFrame (n_ratings, 4)
        Columns userId and movieId (both from 1), rating (1 to 5) and title. Each pair occurs at
        most once. Rows are in random order.
    titles : array (n_items,)
        The items' titles, all different.
    user_factors : array (n_users, n_factors)
    item_factors : array (n_items, n_factors)
    user_bias : array (n_users,)
    item_bias : array (n_items,)
    mean : float
        Mean score without factors.

    Examples
    --------
    >>> planted = planted_ratings(n_users=30, n_items=20, n_ratings=200)
    >>> planted.titles[planted.ratings.movieId[0] - 1] == planted.ratings.title[0]
    True
    """

    ratings: pd.DataFrame
    titles: NDArray[np.object_]
    user_factors: Floats
    item_factors: Floats
    user_bias: Floats
    item_bias: Floats
    mean: float

    def score(self, user_ids: ArrayLike, item_ids: ArrayLike) -> Floats:
        """Return the score of items by users, without noise: the best possible prediction.

        Parameters
        ----------
        user_ids, item_ids : int or array
            Ids from 1, as in `ratings`. They broadcast against each other.

        Returns
        -------
        array of float32
            Scores in stars, not clipped to 1..5.

        Raises
        ------
        ValueError
            If an id does not exist.

        Examples
        --------
        >>> planted = planted_ratings(n_users=30, n_items=20, n_ratings=200)
        >>> planted.score(7, [1, 2, 3]).shape
        (3,)
        """
        users = _rows("user", user_ids, len(self.user_bias))
        items = _rows("item", item_ids, len(self.item_bias))
        taste: Floats = (self.user_factors[users] * self.item_factors[items]).sum(-1)
        return np.float32(self.mean) + self.user_bias[users] + self.item_bias[items] + taste


def planted_ratings(n_users: int = 943, n_items: int = 1682, n_ratings: int = 100_000,
                    n_factors: int = 5, seed: int = 42) -> PlantedRatings:
    """Draw ratings in the shape of MovieLens 100K from biases and factors.

    Few items are rated by nearly everyone, and many by hardly anyone. Each user has at least 20
    ratings if the sizes allow it, else at least one; each item has at least one. About 6, 11,
    27, 34 and 21 % of the ratings are 1 to 5 stars. At the default sizes, the mean squared error
    is near 1.27 for a constant, 0.90 for biases alone, 0.82 for a good factor model, and 0.72 for
    the planted score: the rest is noise.

    Parameters
    ----------
    n_users, n_items, n_ratings, n_factors : int
        Sizes. Memory is a few arrays (n_users, n_items).
    seed : int
        Source of all randomness.

    Returns
    -------
    PlantedRatings
        The ratings and their truth.

    Raises
    ------
    ValueError
        If `n_ratings` is too small to give each user and item a rating, or larger than the number
        of pairs.

    Examples
    --------
    >>> planted_ratings().ratings.shape
    (100000, 4)
    """
    import pandas as pd
    _check_sizes(n_users, n_items, n_ratings, n_factors)
    rng = np.random.default_rng(seed)
    fame = _skewed(rng, n_items, shape=16)
    users, items = _who_rates_what(rng, fame, n_users, n_ratings)
    user_bias = _centred(USER_SPREAD * _skewed(rng, n_users, shape=3), users)
    quality = FAME_PULL * fame + sqrt(1 - FAME_PULL**2) * _skewed(rng, n_items, shape=3)
    item_bias = _centred(ITEM_SPREAD * quality, items)
    factors = _factors(rng, n_users, n_factors), _factors(rng, n_items, n_factors)
    noise = NOISE_SPREAD * _skewed(rng, n_ratings, shape=2)
    titles = _titles(rng, n_items)
    ratings = pd.DataFrame({"userId": users + 1, "movieId": items + 1})
    planted = PlantedRatings(ratings, titles, *factors, user_bias, item_bias, MEAN)
    score = planted.score(ratings.userId, ratings.movieId)
    ratings["rating"] = np.rint(score + noise).clip(1, 5).astype(np.int64)
    ratings["title"] = titles[items]
    return planted


def _check_sizes(n_users: int, n_items: int, n_ratings: int, n_factors: int) -> None:
    if min(n_users, n_items, n_factors) < 1:
        raise ValueError(f"n_users={n_users}, n_items={n_items} and n_factors={n_factors} must "
                         f"each be at least 1.")
    fewest = min(n_users + n_items, n_users * n_items)
    if not fewest <= n_ratings <= n_users * n_items:
        raise ValueError(
            f"n_ratings={n_ratings} does not fit {n_users} users and {n_items} items: give "
            f"{fewest} (one for each of them) to {n_users * n_items} (every pair once).")


def _skewed(rng: Generator, size: int, shape: float) -> NDArray[np.float64]:
    """Draw numbers (size,) of mean 0 and standard deviation 1, with a long tail below."""
    return (shape - rng.gamma(shape, size=size)) / sqrt(shape)


def _centred(bias: NDArray[np.float64], rated: Ints) -> Floats:
    """Subtract the mean over the ratings from the biases, so that `mean` is the mean score."""
    return (bias - bias[rated].mean()).astype(np.float32)  # type: ignore[no-any-return]


def _factors(rng: Generator, rows: int, n_factors: int) -> Floats:
    """Draw factors (rows, n_factors), strongest first, whose products have TASTE_SPREAD."""
    strength = np.linspace(1, 0.5, n_factors)
    # the product of two normals of standard deviation s has s**2, and variances add up
    strength *= sqrt(TASTE_SPREAD / sqrt((strength**4).sum()))
    return (rng.standard_normal((rows, n_factors)) * strength).astype(np.float32)


def _who_rates_what(rng: Generator, fame: NDArray[np.float64], n_users: int,
                    n_ratings: int) -> tuple[Ints, Ints]:
    """Draw `n_ratings` distinct pairs with probabilities proportional to activity * popularity.

    Each pair gets an exponential waiting time of that rate, and the pairs with the shortest times
    are taken.

    References
    ----------
    Efraimidis and Spirakis, Weighted random sampling with a reservoir, 2006.
    """
    n_items = len(fame)
    zeal = np.exp(ZEAL_TAIL * rng.standard_normal(n_users))
    wait = rng.exponential(size=(n_users, n_items)) / np.outer(zeal, np.exp(FAME_TAIL * fame))
    # take each user's first few pairs, and each item's first, in any case
    least = int(np.clip((n_ratings - n_items) // (5 * n_users), 1, LEAST_PER_USER))
    np.put_along_axis(wait, np.argpartition(wait, least - 1, axis=1)[:, :least], 0, axis=1)
    np.put_along_axis(wait, wait.argmin(0)[None], 0, axis=0)
    # sort them, as the order that argpartition leaves depends on the processor
    pairs = np.sort(np.argpartition(wait, n_ratings - 1, axis=None)[:n_ratings])
    users, items = np.divmod(rng.permutation(pairs), n_items)
    return users, items


def _titles(rng: Generator, n_items: int) -> NDArray[np.object_]:
    """Return different titles: each adjective and noun once, then sequels "2", "3" and so on."""
    names = rng.permutation([" ".join(pair) for pair in product(*WORDS.values())])
    years = 1998 - rng.geometric(0.1, size=n_items).clip(max=70)
    titles = []
    for index, year in enumerate(years):
        part, place = divmod(index, len(names))
        titles.append(f"{names[place]}{f' {part + 1}' if part else ''} ({year})")
    return np.array(titles, dtype=object)


def _rows(name: str, ids: ArrayLike, count: int) -> Ints:
    """Return the row numbers, from 0, of ids that count from 1."""
    numbers = np.asarray(ids, dtype=np.int64)
    if len(wrong := numbers[(numbers < 1) | (numbers > count)]):
        raise ValueError(f"{name} id {wrong[0]} does not exist; ids go from 1 to {count}.")
    return numbers - 1
