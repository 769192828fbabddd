"""Recommend ten titles to each user, in six ways, and count how many of them the user likes.

A fifth of the ratings is held out. A recommended title is a hit if it is among these, with 4 stars
or more. The script compares lists by popularity, by mean rating, by predicted rating, by predicted
rating plus popularity, and by two models that learn to rank. First it takes synthetic ratings,
whose best possible list is known, then an official split of MovieLens 100K if it is there.

    python examples/ranking.py --fold 1 --seed 0
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from minifast.collab import CollabLearner, collab_learner
from minifast.data import CollabDataBunch, DatasetType, random_split
from minifast.datasets import (
    DataNotFoundError,
    movielens_100k_fold,
    planted_choices,
    planted_ratings,
    untar_data,
)
from minifast.ranking import bpr_learner, evaluate_ranking, popularity_aware, rank_learner

TASTE, VALID_PCT, SHOWN = 1.5, .1, 5
COLUMNS = ["precision@10", "recall@10", "ndcg@10", "coverage@10"]
Ranker = Callable[[Any], Any]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        fail(message)


def fail(message: object) -> NoReturn:
    """End with one line on stderr and exit status 1."""
    sys.exit(f"ranking.py: {' '.join(str(message).split())}")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the options."""
    parser = Parser(prog="ranking.py", description="Compare ways to recommend.")
    parser.add_argument("--data", default="both", help="'planted', a folder with MovieLens's "
                                                       "files, or 'both' (default)")
    parser.add_argument("--fold", type=int, choices=range(1, 6), default=1,
                        help="official split of MovieLens (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    return parser.parse_args(argv)


# ---------------------------------------------------------------- data


def planted(seed: int) -> tuple[pd.DataFrame, pd.DataFrame, Any]:
    """Return synthetic ratings to train and to test on, and the best ranker of them."""
    truth = planted_ratings()
    ratings = planted_choices(truth, TASTE, seed)
    train, test = (ratings.iloc[rows] for rows in random_split(len(ratings), .2, seed))
    popularity = np.log(np.bincount(truth.ratings.movieId, minlength=len(truth.titles) + 1)[1:])

    def best(data: CollabDataBunch) -> Ranker:
        """Rank by the probabilities with which users chose their titles."""
        users, titles = (cats.classes for cats in data.categories)
        rows = pd.Index(truth.titles).get_indexer(pd.Index(titles))  # -1 for #na#

        def scores(numbers: Any) -> Any:
            ids = users[numbers].astype(int)[:, None]
            return TASTE * truth.score(ids, rows.clip(0) + 1) + popularity[rows]
        return scores
    return train, test, best


def movielens(folder: str, fold: int) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return an official split, or None if MovieLens is not there and was not asked for."""
    try:
        found = untar_data(progress=sys.stderr.isatty()) if folder == "both" else folder
        return movielens_100k_fold(fold, found)
    except (OSError, ValueError) as error:
        if folder != "both":
            fail(f"cannot read MovieLens from {folder}: {error}")
        reason = error.__cause__ if isinstance(error, DataNotFoundError) and error.__cause__ \
            else error
        print(f"\nMovieLens 100K is not on this disk and could not be downloaded\n"
              f"({type(reason).__name__}), so there is no second table.")
        return None


# ---------------------------------------------------------------- learners


def train(learn: CollabLearner, epochs: int, lr: float) -> CollabLearner:
    """Train with the one-cycle policy, without a table."""
    with learn.no_logging():
        learn.fit_one_cycle(epochs, lr)
    return learn


def compare(train_rows: pd.DataFrame, test: pd.DataFrame, seed: int,
            best: Callable[[CollabDataBunch], Ranker] | None = None) -> None:
    """Train, and print the table and two lists for one user."""
    rows = random_split(len(train_rows), VALID_PCT, seed)
    bunch: Any = CollabDataBunch  # minifast.datasets adds from_frames
    data = bunch.from_frames(*(train_rows.iloc[part] for part in rows), test, item_name="title",
                             rating_name="rating", seed=seed)
    start = perf_counter()
    ratings = train(collab_learner(data, 40, y_range=(0, 5.5), wd=.1, seed=seed), 5, 5e-3)
    aware: Any = popularity_aware(ratings)
    rankers: dict[str, Any] = {
        "predicted rating": ratings,
        f"rating + {aware.model.weight} log popularity": aware,
        "BPR": train(bpr_learner(data, wd=.4, seed=seed), 10, 2e-2),
        "rank_learner": train(rank_learner(data, seed=seed), 40, 2e-2)}
    seconds = perf_counter() - start
    known = {} if best is None else {"the best possible": best(data)}
    table = evaluate_ranking({**rankers, **known}, data, DatasetType.Test)
    print(table[COLUMNS].round(3).to_string())
    print(f"Trained in {seconds:.0f} s; the predicted ratings have a test RMSE of "
          f"{ratings.validate(data.test_dl)[0] ** .5:.3f} stars.")
    show_lists(rankers, data, test)


def show_lists(rankers: dict[str, CollabLearner], data: CollabDataBunch, test: pd.DataFrame
               ) -> None:
    """Print the lists of one user, with a star at each hit."""
    user = next(one for one in test.userId.value_counts().index
                if one in data.categories[0].numbers)
    liked = set(test.title[(test.userId == user) & (test.rating >= 4)])
    for name in ("predicted rating", "rank_learner"):
        titles = rankers[name].recommend(user, SHOWN).title
        print(f"\nFor user {user}, by {name} (* liked, of the ratings held out):")
        for title in titles:
            print(f"  {'*' if title in liked else ' '} {title}")


def main(argv: list[str] | None = None) -> None:
    """Compare on planted ratings, then on MovieLens."""
    args = parse(argv)
    if args.data in ("both", "planted"):
        print("Planted ratings: users choose by popularity and taste\n")
        train_rows, test, best = planted(args.seed)
        compare(train_rows, test, args.seed, best)
    if args.data != "planted" and (split := movielens(args.data, args.fold)):
        print(f"\nMovieLens 100K, split u{args.fold}\n")
        compare(*split, args.seed)


if __name__ == "__main__":
    main()
