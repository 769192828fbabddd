"""Models with many rows: MovieLens 25M's size, and ten thousand to ten million rows."""
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from minifast.datasets.planted import ITEM_SPREAD, MEAN, NOISE_SPREAD, TASTE_SPREAD, USER_SPREAD

from .contest import Case
from .families import JAX, Family, Options, dot_weights, floor, ours, torch
from .job import Array, Job, save

USERS, ITEMS, RATINGS, FACTORS = 162_541, 59_047, 25_000_095, 50
ZEAL_TAIL = 1.25  # spread of log activity; MovieLens 25M: median 71 ratings, mean 154
FAME_TAIL = 3.3   # spread of log popularity; mean 423 ratings, most 81 491; here 75 000
ROWS, FEW_FACTORS, SOME_RATINGS = (10_000, 100_000, 1_000_000, 10_000_000), 7, 500_000
CHUNK = 1 << 20


def drawn(rng: np.random.Generator, weights: Array, n: int) -> Array:
    """Draw ``n`` row numbers with probabilities in proportion to their weights."""
    ends = np.cumsum(weights)
    rows: Array = np.searchsorted(ends, rng.random(n) * ends[-1], side="right")
    return rows.clip(max=len(weights) - 1)


def long_tailed(n_users: int, n_items: int, n_ratings: int) -> tuple[list[Array], Array]:
    """Return users and items in random order, and their ratings.

    It is like ``planted_ratings`` without a table of all pairs. So a pair may be repeated, and
    rare users and items may be missing.
    """
    rng = np.random.default_rng(0)
    zeal = np.exp(ZEAL_TAIL * rng.standard_normal(n_users))
    fame = np.exp(FAME_TAIL * (8 - rng.gamma(8, size=n_items)) / 8 ** .5)
    bias = [spread * rng.standard_normal(n, np.float32)
            for spread, n in ((USER_SPREAD, n_users), (ITEM_SPREAD, n_items))]
    taste = [rng.standard_normal(n, np.float32) for n in (n_users, n_items)]
    x: list[Array] = [np.empty(n_ratings, np.int32) for _ in range(2)]
    y = np.empty(n_ratings, np.float32)
    for start in range(0, n_ratings, CHUNK):
        place = slice(start, min(start + CHUNK, n_ratings))
        n = place.stop - start
        users, items = drawn(rng, zeal, n), drawn(rng, fame, n)
        score = MEAN + bias[0][users] + bias[1][items] \
            + TASTE_SPREAD * taste[0][users] * taste[1][items] \
            + NOISE_SPREAD * rng.standard_normal(n, np.float32)
        x[0][place], x[1][place], y[place] = users, items, np.rint(score).clip(1, 5)
    return x, y


def write(n_users: int, n_items: int, n_ratings: int, width: int, folder: Path) -> int:
    """Ratings and initial weights."""
    x, y = long_tailed(n_users, n_items, n_ratings)
    save(folder, x, y, dot_weights(n_users, n_items, width))
    return n_ratings


def movielens25m(options: Options) -> Iterator[Case]:
    """Yield steps at two sizes of batch, against the fastest forms of torch's optimizers.

    A round has half a million ratings: on a virtual machine, a thread that has slept needs some
    time before it has a core of its own again.
    """
    n_users, n_items, n_ratings = (options.sized(n) for n in (USERS, ITEMS, RATINGS))
    who = [ours(), floor(), torch("AdamW", "fused"), torch("AdamW", "foreach"), JAX,
           ours("SGD"), floor("SGD"), torch("SGD", "fused")]
    for bs in options.bs or (4096, 65536):
        job = Job("dot", bs=bs, lr=6e-3, wd=.1)
        steps = options.steps or max(5, CHUNK // 2 // bs)
        yield Case(f"{n_users} users, {n_items} items, batch {bs}", job, who, "movielens25m",
                   partial(write, n_users, n_items, n_ratings, FACTORS), steps, big=True)


def scaling(options: Options) -> Iterator[Case]:
    """Yield steps with the same batches on more and more rows, half of them users."""
    who = [ours(), floor(), torch("AdamW", "fused"), ours("SGD"), floor("SGD"),
           torch("SGD", "fused")]
    bs = (options.bs or (1024,))[0]
    for rows in (options.sized(n, 100) for n in ROWS):
        job = Job("dot", bs=bs, lr=6e-3, wd=.1)
        steps = options.steps or max(20, min(100, 10_000_000 // rows))
        yield Case(f"{rows} rows, batch {bs}", job, who, f"scaling-{rows}",
                   partial(write, rows // 2, rows - rows // 2, options.sized(SOME_RATINGS, 2000),
                           FEW_FACTORS), steps, big=True)


FAMILIES = {
    "movielens25m": Family("MovieLens 25M's size: 25 000 095 planted ratings, 50 factors", "step",
                           movielens25m),
    "scaling": Family("More and more rows of 8 numbers, half of them users", "step", scaling),
}
