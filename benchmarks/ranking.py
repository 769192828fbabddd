"""Quality of recommendations on MovieLens 100K's official splits, beside implicit and EASE.

    python -m benchmarks.ranking                the table of docs/ranking.md
    python -m benchmarks.ranking --folds 1 --tune 0

It needs ``pip install implicit scipy`` and the files of MovieLens 100K; without implicit, its rows
are left out. Hyper-parameters are chosen on two random parts, of a fifth each, of the training rows
of u1, by NDCG@10; test rows are used for the table alone. Time is processor time of one training.
"""
import argparse
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import product
from time import process_time
from typing import Any

import numpy as np
import pandas as pd

from minifast.collab import collab_learner
from minifast.data import CollabDataBunch, DatasetType
from minifast.datasets import movielens_100k_fold
from minifast.ranking import (
    PopularityAware,
    bpr_learner,
    evaluate_ranking,
    item_mean,
    items_of_users,
    most_popular,
    rank_learner,
)

THRESHOLD, K, SEED = 4, 10, 0
Make = Callable[..., Any]
"""Called with data and hyper-parameters; returns what `evaluate_ranking` takes."""


def liked(data: CollabDataBunch) -> Any:
    """Return 1 for the liked training items of each user, (n_users, n_items), else 0."""
    rows = items_of_users(data, data.train_ds, threshold=THRESHOLD)
    return rows.mask(np.arange(rows.n_users)).astype(np.float32)


# ---------------------------------------------------------------- minifast


def trained(make: Make, epochs: int, lr: float, data: CollabDataBunch, **options: Any) -> Any:
    """Return a learner after a one-cycle fit without validation."""
    learn = make(data, seed=SEED, **options)
    valid, learn.data.valid_dl = learn.data.valid_dl, None
    with learn.no_logging():
        learn.fit_one_cycle(epochs, lr)
    learn.data.valid_dl = valid
    return learn


ratings = partial(trained, partial(collab_learner, n_factors=40, y_range=(0, 5.5), wd=.1), 5, 5e-3)
"""The rating model of the notebook."""


def aware(data: CollabDataBunch, weight: float) -> Any:
    """Return the rating model with a weight of popularity."""
    learn = ratings(data)
    learn.model = PopularityAware(learn.model, most_popular(data), weight)
    return learn


# ---------------------------------------------------------------- others


def als(data: CollabDataBunch, factors: int, alpha: float, regularization: float) -> Any:
    """implicit's alternating least squares."""
    from implicit.als import AlternatingLeastSquares
    model = AlternatingLeastSquares(factors, regularization, alpha, iterations=15, num_threads=1,
                                    random_state=SEED)
    return fitted(model, data)


def library_bpr(data: CollabDataBunch, factors: int, learning_rate: float, regularization: float
                ) -> Any:
    """implicit's BPR."""
    from implicit.bpr import BayesianPersonalizedRanking
    model = BayesianPersonalizedRanking(factors, learning_rate, regularization, iterations=100,
                                        num_threads=1, random_state=SEED)
    return fitted(model, data)


def fitted(model: Any, data: CollabDataBunch) -> Any:
    """Return all scores of a model of implicit."""
    from scipy.sparse import csr_matrix
    model.fit(csr_matrix(liked(data)), show_progress=False)
    return model.user_factors @ model.item_factors.T


def ease(data: CollabDataBunch, decay: float) -> Any:
    """EASE (Steck, 2019), a linear autoencoder with a closed form; no factors."""
    x = liked(data).astype(np.float64)
    inverse = np.linalg.inv(x.T @ x + decay * np.eye(x.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return x @ weights


# ---------------------------------------------------------------- the contest


def grid(**values: Any) -> list[dict[str, Any]]:
    """Return all combinations of values."""
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


CONTESTANTS: dict[str, tuple[Make, list[dict[str, Any]]]] = {
    "most popular": (most_popular, [{}]),
    "item mean, damped": (item_mean, grid(damping=[5, 20, 50])),
    "rating model": (ratings, [{}]),
    "rating model, popularity-aware": (aware, grid(weight=[.3, .6, 1., 1.5])),
    "minifast bpr_learner": (partial(trained, bpr_learner, 10, 2e-2),
                             grid(n_factors=[32, 64], wd=[.2, .4, .8])),
    "minifast rank_learner": (partial(trained, rank_learner, 40, 2e-2),
                              grid(dropout=[.5, .6, .7, .8], wd=[1.5, 2., 3.])),
    "implicit BPR": (library_bpr, grid(factors=[64], learning_rate=[.003, .01, .03],
                                       regularization=[.01, .03, .1, .3])),
    "implicit ALS": (als, grid(factors=[32, 64], alpha=[6, 12, 24],
                               regularization=[40, 60, 90, 130])),
    "EASE": (ease, grid(decay=[200, 300, 500])),
}


def contestants() -> Iterator[tuple[str, Make, list[dict[str, Any]]]]:
    """Yield those that can run."""
    for name, (make, options) in CONTESTANTS.items():
        if not name.startswith("implicit") or find_spec("implicit"):
            yield name, make, options


def bunch(train: pd.DataFrame, seed: int = SEED, **kwargs: Any) -> CollabDataBunch:
    """Make batches of ratings."""
    return CollabDataBunch.from_frames(train, item_name="movieId", seed=seed, **kwargs)


def measure(ranker: Any, data: CollabDataBunch, ds_type: DatasetType) -> Any:
    """Return the measures of a ranker."""
    return evaluate_ranking(ranker, data, ds_type, K, THRESHOLD, baselines=False).iloc[0]


def tune(make: Make, options: list[dict[str, Any]], parts: list[CollabDataBunch]) -> dict[str, Any]:
    """Return the options with the best NDCG on the validation rows."""
    def quality(chosen: dict[str, Any]) -> float:
        return sum(measure(make(part, **chosen), part, DatasetType.Valid)[f"ndcg@{K}"]
                   for part in parts)
    return max(options, key=quality) if len(options) > 1 else options[0]


def main() -> None:
    """Tune, train and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranking")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--tune", type=int, default=2, help="validation parts; 0 takes the first "
                                                            "options of each grid")
    args = parser.parse_args()
    first = movielens_100k_fold(1)[0]
    parts = [bunch(first, seed, valid_pct=.2) for seed in range(args.tune)]
    folds = [bunch(train, test=test)
             for train, test in map(movielens_100k_fold, range(1, args.folds + 1))]
    rows, ndcg = {}, {}
    for name, make, options in contestants():
        chosen = tune(make, options, parts) if parts else options[0]
        table = pd.DataFrame([run(make, chosen, data) for data in folds])
        rows[name], ndcg[name] = summary(table), table[f"ndcg@{K}"]
        print(f"{name}: {rows[name]}, of {len(options)} options {chosen}", flush=True)
    print(markdown(pd.DataFrame(rows).T))
    print("NDCG by fold:", pd.DataFrame(ndcg).T.round(4).to_string(), sep="\n")


def run(make: Make, options: dict[str, Any], data: CollabDataBunch) -> dict[str, float]:
    """Return the measures on a test set, and the time of the training."""
    start = process_time()
    ranker = make(data, **options)
    spent = process_time() - start
    return {**measure(ranker, data, DatasetType.Test), "seconds": spent}


def summary(table: pd.DataFrame) -> dict[str, str]:
    """Return mean and standard deviation over the folds, as text."""
    res = {column: f"{table[column].mean():.3f} ± {table[column].std(ddof=0):.3f}"
           for column in (f"precision@{K}", f"recall@{K}", f"ndcg@{K}")}
    return {**res, f"coverage@{K}": f"{table[f'coverage@{K}'].mean():.2f}",
            "seconds": f"{table.seconds.mean():.1f}"}


def markdown(table: pd.DataFrame) -> str:
    """Return a frame as a table of Markdown."""
    lines = [["", *table.columns], ["---"] * (len(table.columns) + 1),
             *([name, *row] for name, row in zip(table.index, table.to_numpy(), strict=True))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
