"""Surprise's benchmark with rows for minifast, and the gain of each part of the model.

Surprise, a library of recommenders, compares its algorithms on MovieLens 100K by their means over
five folds. Here minifast's models run on the same folds, and scikit-surprise's SVD too if it is
installed. The dot product models of all folds are trained side by side, which gives the same
numbers as one after the other in less time, as the folds are equally large
(``train_side_by_side``). The second table builds the model step by step, as chapter 8 of the
fastai book does.

    python examples/surprise_table.py --only table --folds 2
    python examples/surprise_table.py --only table --seeds 8

On a busy machine, set OPENBLAS_NUM_THREADS=1: matrix products then wait for no second core.
"""
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from minifast.autograd import Tensor, apply, ops
from minifast.backend import default_device
from minifast.collab import CollabLearner, EmbeddingDotBias, collab_learner
from minifast.data import ArrayDataset, CollabDataBunch, DataBunch, DataLoader, DatasetType
from minifast.datasets import DataNotFoundError, movielens_100k, planted_ratings, untar_data
from minifast.inspect.style import legend_below, plot_style
from minifast.nn import Buffer, Module, embedding, mse_loss, sigmoid_range
from minifast.train import Learner

Array = np.ndarray[Any, Any]
FOLDS, SEED, Y_RANGE = 5, 42, (0., 5.5)
LADDER = (("dot product", None, False, 0.), ("+ y_range", Y_RANGE, False, 0.),
          ("+ biases", Y_RANGE, True, 0.), ("+ weight decay 0.1", Y_RANGE, True, .1))


@dataclass(frozen=True)
class Recipe:
    """A model and its training; the model is a BothWays if ``both_ways``."""

    name: str
    factors: int
    epochs: int
    lr: float
    wd: float
    bs: int
    both_ways: bool = False
    item: str = "movieId"


# Items are titles in the notebook (18 films have two ids) and ids elsewhere. Weight decay acts at
# every step, so large batches, which make few steps, need more of it. All recipes but the first
# were tuned on the training rows of fold 1 alone: 72,000 to train on and 8,000 to compare by.
RECIPES = (Recipe("dot product, as in the notebook", 40, 5, 6e-3, .1, 64, item="title"),
           Recipe("dot product, larger batches", 40, 6, 9e-3, .4, 512),
           Recipe("who rated what, both ways, quick", 16, 6, 4e-2, 1.6, 4096, both_ways=True),
           Recipe("who rated what, both ways", 20, 20, 1e-2, 1.6, 2048, both_ways=True))


class BothWays(Module):
    """The dot product model with implicit feedback: who rated what, whatever the rating.

    A user's factors are their own row plus the rows of a second table for the items that they
    rated, summed and divided by the root of their number. Items get the same from the users who
    rated them. Only training rows count.

    References
    ----------
    SVD++: Koren, 2008, doi.org/10.1145/1401890.1401944, eq. 15.
    """

    def __init__(self, factors: int, data: CollabDataBunch, seed: int) -> None:
        rng = np.random.default_rng(seed)
        users, items = (len(column) for column in data.categories)
        self.own = EmbeddingDotBias(factors, users, items, None, rng)
        self.chosen, self.choosers = embedding(items, factors, rng), embedding(users, factors, rng)
        rated = np.zeros((users, items), np.float32)
        rated[tuple(Tensor(column).numpy() for column in data.train_ds.x)] = 1
        self.by_user, self.by_item = Buffer(share(rated)), Buffer(share(rated.T))

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Map users (bs,) and items (bs,) to ratings (bs,)."""
        own = self.own
        all_users = own.u_weight.weight + self.by_user @ self.chosen.weight
        all_items = own.i_weight.weight + self.by_item @ self.choosers.weight
        dot = (apply(ops.lookup, all_users, users) * apply(ops.lookup, all_items, items)).sum(1)
        return sigmoid_range(dot + (own.u_bias(users) + own.i_bias(items)).squeeze(-1), *Y_RANGE)


def share(rated: Array) -> Array:
    """Divide rows of 0 and 1 by the root of their sums; rows of zeros stay."""
    return np.ascontiguousarray(rated / np.sqrt(np.maximum(rated.sum(1, keepdims=True), 1)))


def make_folds(n: int) -> list[Array]:
    """Return the test rows of surprise.model_selection.KFold(5, random_state=0), in its order."""
    return np.array_split(np.random.RandomState(0).permutation(n), FOLDS)


def make_learner(recipe: Recipe, train: pd.DataFrame, test: pd.DataFrame, seed: int = SEED
                 ) -> CollabLearner:
    """Make a learner from the ratings of ``train``, which can predict those of ``test``."""
    np.random.seed(seed)  # the order of batches with which the published rows were made
    data = CollabDataBunch.from_df(train, 0, "userId", recipe.item, "rating", test, None,
                                   bs=min(recipe.bs, len(train)), val_bs=2048)
    if not recipe.both_ways:
        return collab_learner(data, recipe.factors, y_range=Y_RANGE, wd=recipe.wd, seed=seed)
    return CollabLearner(data, BothWays(recipe.factors, data, seed), wd=recipe.wd)


class SideBySide:
    """A loader that joins the training batches of several folds: one of each in every batch.

    They are the batches of the folds' own loaders, but the ids of each fold begin where those of
    the fold before end. Folds may differ by a row: the smallest decides the number of steps and
    of rows.
    """

    def __init__(self, data: Sequence[CollabDataBunch]) -> None:
        own: list[Any] = [one.train_dl for one in data]
        self.steps, self.bs = min(map(len, own)), min(dl.bs for dl in own)
        sizes = [[len(column) for column in one.categories] for one in data]
        starts = np.cumsum([[0, 0], *sizes], 0).tolist()
        self.passes = [whole_pass(dl, *start) for dl, start in zip(own, starts, strict=False)]

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[list[Array], Array]]:
        folds = [self._cut(*batch) for dl in self.passes for batch in dl]
        users, items, stars = (np.concatenate(column, 1) for column in zip(*folds, strict=True))
        for k in range(self.steps):
            yield [users[k], items[k]], stars[k]

    def _cut(self, x: list[Tensor], y: Tensor) -> list[Array]:
        """Cut a pass in one batch into columns (steps, bs)."""
        n = self.steps * self.bs
        return [column.data[:n].reshape(self.steps, self.bs) for column in (*x, y)]


def whole_pass(dl: DataLoader, *starts: int) -> DataLoader:
    """Make a loader of the same rows in the same order, all in one batch, with ids from ``starts``.

    The two loaders share a random generator, so use only one of them.
    """
    x = [column + start for column, start in zip(dl.dataset.x, starts, strict=True)]
    return DataLoader(ArrayDataset(x, dl.dataset.y), len(dl.dataset), shuffle=True, seed=dl.rng)


def train_side_by_side(recipe: Recipe, learners: Sequence[CollabLearner]
                       ) -> Sequence[CollabLearner]:
    """Train the dot product models of several folds as one model, whose tables hold all rows.

    Each fold gets the numbers that it would get alone, if all have the same number of batches: a
    rating looks up rows of its own fold, the loss is the sum of the folds' means, and Adam and
    weight decay treat each number by itself. It is faster, because a step on 64 ratings spends
    its time in function calls, and one on 320 makes as many of them.
    """
    model, n = deepcopy(learners[0].model), len(learners)
    tables = [[part.data for part in parts]
              for parts in zip(*(learn.model.parameters() for learn in learners), strict=True)]
    for whole, parts in zip(model.parameters(), tables, strict=True):
        whole.data = np.concatenate(parts)
    train(recipe, Learner(DataBunch(SideBySide([learn.data for learn in learners])), model,
                          loss_func=lambda *batch: n * mse_loss(*batch), wd=recipe.wd))
    for whole, parts in zip(model.parameters(), tables, strict=True):
        ends = np.cumsum([len(part) for part in parts])[:-1].tolist()
        for part, rows in zip(parts, np.split(whole.data, ends), strict=True):
            part[:] = rows
    return learners


def train(recipe: Recipe, learn: Learner) -> Learner:
    """Train as the recipe says, without output, and return the learner."""
    with learn.no_logging():
        learn.fit_one_cycle(recipe.epochs, recipe.lr)
    return learn


def our_predictions(recipe: Recipe, ratings: pd.DataFrame, folds: list[Array], seed: int = SEED
                    ) -> Iterator[Array]:
    """Yield each fold's predictions by a model of the other rows, clipped to 1..5."""
    learners = (make_learner(recipe, others(ratings, fold), ratings.iloc[fold], seed)
                for fold in folds)
    trained: Iterable[Learner] = (train(recipe, learn) for learn in learners)
    if not recipe.both_ways:
        trained = train_side_by_side(recipe, list(learners))
    for learn in trained:
        yield learn.get_preds(DatasetType.Test)[0].numpy().clip(1, 5)


def others(ratings: pd.DataFrame, fold: Array) -> pd.DataFrame:
    """Return the rows that are not in a fold."""
    rest = np.ones(len(ratings), bool)
    rest[fold] = False
    return ratings[rest]


def their_predictions(algorithm: Callable[..., Any], ratings: pd.DataFrame, folds: list[Array],
                      seed: int) -> Iterator[Array]:
    """Yield the predictions of an algorithm of Surprise, which makes the same folds."""
    from surprise import Dataset, Reader
    from surprise.model_selection import KFold
    data = Dataset.load_from_df(ratings[["userId", "movieId", "rating"]], Reader())
    for _, (train, test) in zip(folds, KFold(FOLDS, random_state=0).split(data), strict=False):
        yield np.array([p.est for p in algorithm(random_state=seed).fit(train).test(test)])


def their_algorithms(svdpp: bool) -> dict[str, Callable[..., Any]]:
    """Return Surprise's SVD, and SVD++ if wanted; nothing if it is not installed."""
    try:
        from surprise import SVD, SVDpp
    except ImportError:
        return {}
    return {"Surprise's SVD": SVD,
            **({"Surprise's SVD++": partial(SVDpp, cache_ratings=True)} if svdpp else {})}


def timed(predictions: Callable[[int], Iterator[Array]], seeds: range
          ) -> tuple[list[list[Array]], float]:
    """Return the predictions for the folds for each seed, and the mean seconds of a seed."""
    start = perf_counter()
    made = [list(predictions(seed)) for seed in seeds]
    return made, (perf_counter() - start) / len(seeds)


def rmse(errors: Array) -> float:
    """Return the root of the mean square."""
    return float(np.square(errors).mean() ** .5)


def unknown_rows(ratings: pd.DataFrame, fold: Array) -> Array:
    """Return which rows (n,) of a fold have a user or an item that no training row has."""
    rest, test = others(ratings, fold), ratings.iloc[fold]
    known = test["userId"].isin(rest["userId"]) & test["movieId"].isin(rest["movieId"])
    return np.asarray(~known)


def show_row(name: str, errors: list[list[Array]], seconds: float, unknown: Array
             ) -> tuple[float, float]:
    """Print a row of the table, with means over the seeds; return its RMSE, and +- over folds."""
    each = np.array([[rmse(e) for e in of_seed] for of_seed in errors])
    mae = np.mean([np.abs(e).mean() for of_seed in errors for e in of_seed])
    seeds = f"{each.mean(1).std(ddof=1):.4f}" if len(each) > 1 else ""
    there = f"{np.mean([rmse(np.concatenate(e)[unknown]) for e in errors]):>9.2f}" \
        if unknown.any() else ""
    print(f"{name:<33}{each.mean():>7.4f}{each.mean(0).std():>11.4f}{seeds:>11}{mae:>8.4f}"
          f"{seconds:>9.1f}{there}", flush=True)
    return float(each.mean()), float(each.mean(0).std())


def run_table(ratings: pd.DataFrame, folds: list[Array], seeds: range, svdpp: bool, out: Path
              ) -> Path:
    """Print Surprise's rows and minifast's, and plot error over time."""
    print(f"\n== Surprise's protocol, {len(folds)} of {FOLDS} folds (KFold, random_state=0), means "
          f"over {len(seeds)} seed{'s' * (len(seeds) > 1)}")
    print(f"{'':<33}{'RMSE':>7}{'+- folds':>11}{'+- seeds':>11}{'MAE':>8}{'seconds':>9}"
          f"{'unknown':>9}")
    unknown = np.concatenate([unknown_rows(ratings, fold) for fold in folds])
    theirs = {name: partial(their_predictions, algorithm, ratings, folds)
              for name, algorithm in their_algorithms(svdpp).items()}
    ours = {recipe.name: partial(our_predictions, recipe, ratings, folds) for recipe in RECIPES}
    points, stars = {}, ratings["rating"].to_numpy()
    for name, predictions in {**theirs, **ours}.items():
        made, seconds = timed(predictions, seeds)
        errors = [[p - stars[fold] for p, fold in zip(of_seed, folds, strict=True)]
                  for of_seed in made]
        points[name] = seconds, *show_row(name, errors, seconds, unknown)
    print("+-: standard deviation over the folds, and over the seeds of weights and batches "
          "(--seeds N).\n"
          f"Seconds: all folds, with preparation and predictions, on {os.cpu_count()} cores. The "
          "folds of a dot product model\nare trained side by side, with the results of separate "
          "trainings; all others are trained one by one.\n"
          f"Unknown: RMSE on the {unknown.sum()} of {len(unknown):,} test rows whose user or item "
          "is in no training row.\nminifast looks up row 0 for them, which gets no gradient and "
          "decays to zero. The prediction then depends\nonly on the bias of the known user or item."
          + ("" if theirs else "\nTo add Surprise's own rows, install scikit-surprise."))
    return draw(out / "surprise_table.png", points, xlabel="seconds", ylabel="RMSE (stars)",
                title="Mean and standard deviation over the folds")


def run_ladder(ratings: pd.DataFrame, out: Path) -> Path:
    """Print the gain of each of the four models, and plot validation losses by epoch."""
    print("\n== The dot product model, step by step: one split, 10 % validate, 5 epochs up to 5e-3")
    print(f"{'':<20}{'training':>9}{'validation':>12}{'gain':>9}{'RMSE':>8}")
    curves: dict[str, Any] = {}
    valid = np.nan
    for name, *settings in LADDER:
        learn = climb(ratings, *settings)
        before, train, valid = valid, learn.validate(learn.data.fix_dl)[0], learn.validate()[0]
        gain = f"{before - valid:>+9.4f}" if curves else " " * 9
        print(f"{name:<20}{train:>9.4f}{valid:>12.4f}{gain}{valid ** .5:>8.4f}", flush=True)
        curves[name] = range(1, 6), [float(x) for x in learn.recorder.val_losses if x is not None]
    print("Losses are mean squared errors. If only the training loss falls, the model overfits.")
    return draw(out / "ladder.png", curves, xticks=range(1, 6), xlabel="epoch",
                ylabel="validation loss\n(mean squared error)", title="One split")


def climb(ratings: pd.DataFrame, y_range: tuple[float, float] | None, biases: bool, wd: float
          ) -> CollabLearner:
    """Train a learner with or without a range and biases."""
    data = CollabDataBunch.from_df(ratings, .1, "userId", "title", "rating", seed=SEED)
    learn = collab_learner(data, 40, y_range=y_range, wd=wd, seed=SEED)
    model: Any = learn.model
    if not biases:
        model.freeze("u_bias", "i_bias")
        model.u_bias.weight.data[:] = model.i_bias.weight.data[:] = 0
    with learn.no_logging():
        learn.fit_one_cycle(5, 5e-3)
    return learn


def draw(path: Path, curves: dict[str, Any], **labels: Any) -> Path:
    """Write a plot of named curves (x, y) or (x, y, spread); ``labels`` are those of the axes."""
    with plot_style():
        figure, axes = plt.subplots()
        for (name, points), marker in zip(curves.items(), cycle("os^Dv<>p*h")):
            x, y, spread = (*points, None)[:3]
            axes.errorbar(x, y, spread, fmt=f"{marker}-", capsize=3, label=name)
        axes.set(**labels)
        legend_below(figure, axes, len(curves))
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        fail(message)


def fail(message: object) -> NoReturn:
    """End with one line on stderr and exit status 1."""
    sys.exit(f"surprise_table.py: {' '.join(str(message).split())}")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the options."""
    parser = Parser(prog="surprise_table.py",
                    description="Add rows for minifast to Surprise's benchmark.")
    parser.add_argument("--data", help="folder with MovieLens's u.data and u.item, or 'planted' "
                                       "for synthetic ratings (default: MovieLens, else planted)")
    parser.add_argument("--folds", type=int, choices=range(1, FOLDS + 1), default=FOLDS,
                        help=f"how many of the {FOLDS} to run (default: all)")
    parser.add_argument("--seeds", type=int, choices=range(1, 21), default=1, metavar="N",
                        help=f"means over N trainings, from seed {SEED} on (default: 1)")
    parser.add_argument("--only", choices=["table", "ladder"], help="(default: both)")
    parser.add_argument("--svdpp", action="store_true",
                        help="include Surprise's SVD++, which takes minutes")
    parser.add_argument("--out", type=Path, default=Path("out"), help="for plots (default: out)")
    return parser.parse_args(argv)


def find_ratings(data: str | None) -> tuple[str, pd.DataFrame]:
    """Return the ratings that ``--data`` names; by default MovieLens's, else planted ones."""
    if data != "planted":
        try:
            folder = Path(data) if data else untar_data(progress=sys.stderr.isatty())
            return "MovieLens 100K", movielens_100k(folder)
        except (OSError, ValueError) as error:
            if data or not isinstance(error, DataNotFoundError):
                fail(f"cannot read MovieLens from {data or 'its folder'}: {error}")
            print("MovieLens 100K is not on this disk and could not be downloaded "
                  f"({type(error.__cause__).__name__}): taking planted ratings instead.")
    return "Planted ratings", planted_ratings().ratings


def main(argv: list[str] | None = None) -> None:
    """Print the table and the ladder."""
    start = perf_counter()
    plt.switch_backend("Agg")  # plots are written to files and need no display
    args = parse(argv)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=args.out).close()
    except OSError as error:
        fail(f"cannot write to --out {args.out}: {error.strerror}; choose another folder")
    name, ratings = find_ratings(args.data)
    print(f"{name}: {len(ratings):,} ratings, {default_device()}.")
    plots, folds = [], make_folds(len(ratings))[:args.folds]
    if args.only != "ladder":
        seeds = range(SEED, SEED + args.seeds)
        plots.append(run_table(ratings, folds, seeds, args.svdpp, args.out))
    if args.only != "table":
        plots.append(run_ladder(ratings, args.out))
    print(f"\nPlots: {', '.join(map(str, plots))}. {perf_counter() - start:.1f} s in total.")


if __name__ == "__main__":
    main()
