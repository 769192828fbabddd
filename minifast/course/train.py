"""The recommender that a student's functions train: ``python -m minifast.course train 6``."""
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..collab import CollabLearner, collab_learner
from ..data import CollabDataBunch
from ..datasets import movielens_100k, planted_ratings

if TYPE_CHECKING:
    import pandas as pd


def ratings() -> "tuple[str, pd.DataFrame]":
    """Return MovieLens 100K if ``$MINIFAST_HOME`` has it, else planted ratings, and their name."""
    folder = Path(os.environ.get("MINIFAST_HOME", "."), "data", "ml-100k")
    if folder.is_dir():
        return "MovieLens 100K", movielens_100k(folder)
    return "planted ratings", planted_ratings().ratings


def small_recommender(seed: int, bs: int = 64) -> CollabLearner:
    """Return a learner of 800 planted ratings, in float64 and on the plain path.

    Parameters
    ----------
    seed : int
        Source of the ratings, of their split and order, and of the initial weights.
    bs : int
        Rows in a batch.

    Returns
    -------
    CollabLearner
        The learner.

    Examples
    --------
    >>> small_recommender(1).fast
    False
    """
    planted = planted_ratings(n_users=40, n_items=30, n_ratings=800, seed=seed)
    data = CollabDataBunch.from_df(planted.ratings, seed=seed, bs=bs)
    learn = collab_learner(data, n_factors=5, y_range=[0, 5.5], wd=.1, seed=seed, fast=False,
                           add_time=False)
    for p in learn.model.parameters():
        p.data = p.data.astype("float64")
    return learn


def main() -> None:
    """Train the recommender of the notebook for five epochs on the plain path."""
    name, frame = ratings()
    data = CollabDataBunch.from_df(frame, seed=42, valid_pct=.1, item_name="title")
    learn = collab_learner(data, n_factors=40, y_range=[0, 5.5], wd=.1, seed=42, fast=False)
    print(f"{len(frame)} ratings: {name}")
    learn.fit_one_cycle(5, 5e-3)


if __name__ == "__main__":
    main()
