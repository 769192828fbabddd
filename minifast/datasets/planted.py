"""Made-up ratings with a known truth: MovieLens's shape, our own numbers and titles.

Ratings are drawn from the very model that collaborative filtering fits, so what a learner
finds can be laid beside what was planted:

    score  = mean + user_bias + item_bias + user_factors . item_factors
    rating = score + noise, rounded, kept within 1..5

The constants below were chosen by comparing with MovieLens 100K: how many ratings a film
and a person have, how often each of 1..5 is given, how well a factor model can do.
"""
from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

MEAN = 3.54            # the average score, in stars
USER_SPREAD = 0.46     # standard deviation of the user biases, in stars
ITEM_SPREAD = 0.57     # of the item biases
TASTE_SPREAD = 0.45    # of user_factors . item_factors
NOISE_SPREAD = 0.88    # of what one person says about one film, beyond all that
FAME_PULL = 0.5        # correlation of an item's fame with its bias: much seen, better liked
FAME_TAIL = 1.65       # spread of log popularity of the items
ZEAL_TAIL = 1.02       # spread of log activity of the users
LEAST_PER_USER = 20    # as in MovieLens, where the data are large enough for it

ADJECTIVES = (
    "Amber", "Borrowed", "Brass", "Candlelit", "Careless", "Chalk", "Clockwork", "Copper",
    "Crooked", "Distant", "Drowsy", "Eleventh", "Feathered", "Forgetful", "Frozen", "Gentle",
    "Gilded", "Hollow", "Idle", "Inland", "Ivory", "Lopsided", "Marbled", "Midsummer", "Mossy",
    "Nameless", "Northbound", "Obedient", "Paper", "Patient", "Pewter", "Quarrelsome", "Quilted",
    "Reluctant", "Rusted", "Salted", "Second-Hand", "Sleepless", "Snowbound", "Tangled",
    "Threadbare", "Unposted", "Velvet", "Wandering", "Windless")
NOUNS = (
    "Almanac", "Archipelago", "Balcony", "Barometer", "Beekeeper", "Bellringer", "Caravan",
    "Cartographer", "Chandelier", "Clarinet", "Compass", "Corridor", "Dovecote", "Ferryman",
    "Fountain", "Gardener", "Glassblower", "Greenhouse", "Haystack", "Inkwell", "Isthmus",
    "Jeweller", "Kettle", "Lamplighter", "Lighthouse", "Locksmith", "Marionette", "Meridian",
    "Milliner", "Observatory", "Orchard", "Pavilion", "Pendulum", "Quarry", "Regatta",
    "Saxophone", "Signalman", "Staircase", "Telegram", "Trapeze", "Umbrella", "Viaduct",
    "Waltz", "Weathervane", "Zeppelin")


@dataclass(frozen=True, eq=False)
class PlantedRatings:
    """Ratings, and the truth they were drawn from.

    `ratings` has the columns userId, movieId (both count from 1), rating (1..5) and title,
    every (user, item) pair at most once, rows in random order. The truth is float32, in
    stars, row 0 for id 1: `user_factors` (n_users, n_factors), `item_factors`
    (n_items, n_factors), `user_bias` (n_users,), `item_bias` (n_items,), and `mean`, the
    average score before taste. `titles` (n_items,) are all different.

    Factors can be learned only up to a rotation: compare their products, or the biases.

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
        """The noise-free score, in stars, of items by users: the best a learner could know.

        Ids count from 1 as in `ratings` and broadcast against each other. The score is not
        cut off at 1 and 5, as ratings are. `ValueError` for an id that does not exist.

        >>> planted = planted_ratings(n_users=30, n_items=20, n_ratings=200)
        >>> planted.score(7, [1, 2, 3]).shape
        (3,)
        """
        users = _rows("user", user_ids, len(self.user_bias))
        items = _rows("item", item_ids, len(self.item_bias))
        return _score(users, items, self.user_factors, self.item_factors,
                      self.user_bias, self.item_bias, self.mean)


def planted_ratings(n_users: int = 943, n_items: int = 1682, n_ratings: int = 100_000,
                    n_factors: int = 5, seed: int = 42) -> PlantedRatings:
    """Ratings shaped like MovieLens 100K, drawn from biases and factors that are handed back.

    Like MovieLens they have few films that nearly everyone saw and many that hardly anyone
    did, 20 or more ratings per user (fewer, but at least one, where the sizes do not allow
    it), and about 6, 11, 27, 34 and 21 % of 1 to 5 stars. Every item is rated at least once.
    At the default sizes a constant is off by a mean squared error near 1.27, biases alone
    near 0.90, a good factor model near 0.82, and the planted score itself 0.72: the rest is
    noise that nobody can learn.

    All randomness comes from `seed`. Memory: a few arrays of n_users * n_items numbers.
    Raises `ValueError` if `n_ratings` distinct pairs do not exist, or are too few to give
    every user and every item one.

    >>> planted_ratings().ratings.shape
    (100000, 4)
    """
    _check_sizes(n_users, n_items, n_ratings, n_factors)
    rng = np.random.default_rng(seed)
    fame = _skewed(rng, n_items, shape=16)
    users, items = _who_rates_what(rng, fame, n_users, n_ratings)
    user_bias = _centred(USER_SPREAD * _skewed(rng, n_users, shape=3), users)
    item_bias = _centred(ITEM_SPREAD * _quality(rng, fame), items)
    user_factors = _factors(rng, n_users, n_factors)
    item_factors = _factors(rng, n_items, n_factors)
    score = _score(users, items, user_factors, item_factors, user_bias, item_bias, MEAN)
    stars = _stars(rng, score)
    titles = _titles(rng, n_items)
    return PlantedRatings(_frame(users, items, stars, titles), titles,
                          user_factors, item_factors, user_bias, item_bias, MEAN)


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
    """Mean 0, standard deviation 1, a long tail below: a gamma variable, turned round."""
    return (shape - rng.gamma(shape, size=size)) / sqrt(shape)


def _quality(rng: Generator, fame: NDArray[np.float64]) -> NDArray[np.float64]:
    """How good the items are, in standard deviations: in part it goes with their fame."""
    return FAME_PULL * fame + sqrt(1 - FAME_PULL**2) * _skewed(rng, len(fame), shape=3)


def _centred(bias: NDArray[np.float64], rated: Ints) -> Floats:
    """The bias less its average over the ratings, so that `mean` is the average score."""
    centred: Floats = (bias - bias[rated].mean()).astype(np.float32)
    return centred


def _factors(rng: Generator, rows: int, n_factors: int) -> Floats:
    """Factors (rows, n_factors), strongest first; a product of two sides has TASTE_SPREAD."""
    strength = np.linspace(1, 0.5, n_factors)
    # a product of two normals of spread s has spread s**2, and variances add up
    strength *= sqrt(TASTE_SPREAD / sqrt((strength**4).sum()))
    return (rng.standard_normal((rows, n_factors)) * strength).astype(np.float32)


def _who_rates_what(rng: Generator, fame: NDArray[np.float64], n_users: int,
                    n_ratings: int) -> tuple[Ints, Ints]:
    """Rows of `n_ratings` distinct pairs: each waits its time, the first to come are taken.

    A pair's waiting time is exponential with rate zeal * fame, so keen users and famous items
    come often, yet never twice (Efraimidis and Spirakis 2006: sampling without replacement).
    """
    n_items = len(fame)
    zeal = np.exp(ZEAL_TAIL * rng.standard_normal(n_users))
    wait = rng.exponential(size=(n_users, n_items)) / np.outer(zeal, np.exp(FAME_TAIL * fame))
    # nobody goes without: each user's soonest few, and each item's soonest, need not wait
    least = int(np.clip((n_ratings - n_items) // (5 * n_users), 1, LEAST_PER_USER))
    np.put_along_axis(wait, np.argpartition(wait, least - 1, axis=1)[:, :least], 0, axis=1)
    np.put_along_axis(wait, wait.argmin(0)[None], 0, axis=0)
    # sorted first: in what order argpartition leaves them depends on the processor
    pairs = np.sort(np.argpartition(wait, n_ratings - 1, axis=None)[:n_ratings])
    users, items = np.divmod(rng.permutation(pairs), n_items)
    return users, items


def _score(users: Ints, items: Ints, user_factors: Floats, item_factors: Floats,
           user_bias: Floats, item_bias: Floats, mean: float) -> Floats:
    taste = (user_factors[users] * item_factors[items]).sum(-1)
    score: Floats = np.float32(mean) + user_bias[users] + item_bias[items] + taste
    return score


def _stars(rng: Generator, score: Floats) -> Ints:
    noise = NOISE_SPREAD * _skewed(rng, len(score), shape=2)
    return np.rint(score + noise).clip(1, 5).astype(np.int64)


def _titles(rng: Generator, n_items: int) -> NDArray[np.object_]:
    """Different titles: each adjective and noun once, then the sequels "2", "3" and so on."""
    names = [" ".join(pair) for pair in product(ADJECTIVES, NOUNS)]
    order = rng.permutation(len(names))
    years = 1998 - rng.geometric(0.1, size=n_items).clip(max=70)
    titles = []
    for index, year in enumerate(years):
        part, place = divmod(index, len(names))
        titles.append(f"{names[order[place]]}{f' {part + 1}' if part else ''} ({year})")
    return np.array(titles, dtype=object)


def _frame(users: Ints, items: Ints, stars: Ints, titles: NDArray[np.object_]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"userId": users + 1, "movieId": items + 1, "rating": stars,
                         "title": titles[items]})


def _rows(name: str, ids: ArrayLike, count: int) -> Ints:
    """The rows of ids that count from 1; 0 must not quietly mean the last row."""
    numbers = np.asarray(ids, dtype=np.int64)
    wrong = numbers[(numbers < 1) | (numbers > count)]
    if wrong.size:
        raise ValueError(f"{name} id {wrong[0]} does not exist; ids go from 1 to {count}.")
    return numbers - 1
