"""Collaborative filtering from start to end: train a recommender and look inside.

Each user and each item has a few numbers, its factors, and a bias. The dot product of the factors
plus the two biases, through a sigmoid, is the predicted rating. This script trains that model on
MovieLens 100K, or on synthetic ratings with a known truth where MovieLens cannot be downloaded.

    python examples/collab.py --data planted --factors 20 --epochs 3
    python -m minifast.distributed -n 2 examples/collab.py --data planted --distributed
"""
from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp
from time import perf_counter
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from minifast import DeviceError
from minifast.backend import default_device, get_backend
from minifast.collab import CollabLearner, collab_learner
from minifast.data import CollabDataBunch, random_split
from minifast.datasets import (
    DataNotFoundError,
    PlantedRatings,
    movielens_100k,
    planted_ratings,
    untar_data,
)
from minifast.distributed import only_rank_0_prints, to_distributed
from minifast.fold_in import add_user
from minifast.inspect import plot_embeddings
from minifast.inspect.finder import suggestions
from minifast.inspect.plots import plot_losses

LR, WD, Y_RANGE, VALID_PCT = 6e-3, .1, (0, 5.5), .1
YOURS = {"Blade Runner (1982)": 5, "Alien (1979)": 5, "2001: A Space Odyssey (1968)": 4,
         "Titanic (1997)": 2, "Liar Liar (1997)": 1}  # without these titles: the most rated ones
TOP, SHOWN, LABELS = 1000, 6, 15  # titles to look at, to show at each end, to name in the plot


@dataclass(frozen=True)
class Source:
    """Ratings (columns userId, title, rating), and their truth where it is known."""

    name: str
    ratings: pd.DataFrame
    truth: PlantedRatings | None = None


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        fail(message)


def fail(message: object) -> NoReturn:
    """End with one line on stderr and exit status 1."""
    sys.exit(f"collab.py: {' '.join(str(message).split())}")


def at_least(least: int) -> Any:
    """Return an argument type for whole numbers of at least ``least``."""
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)
    return number


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the options."""
    parser = Parser(prog="collab.py", description="Train a recommender and read what it learned.")
    parser.add_argument("--data", help="folder with MovieLens's u.data and u.item, or 'planted' "
                                       "for synthetic ratings (default: MovieLens, else planted)")
    parser.add_argument("--epochs", type=at_least(1), default=5, help="(default: 5)")
    parser.add_argument("--factors", type=at_least(2), default=40, help="per title (default: 40)")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where it works, else cpu)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="for plots (default: out)")
    parser.add_argument("--seed", type=at_least(0), default=42,
                        help="of split, initial weights, order of batches (default: 42)")
    parser.add_argument("--distributed", action="store_true", help="train on all ranks that "
                        "mpiexec or python -m minifast.distributed has started")
    return parser.parse_args(argv)


def writable(folder: Path) -> Path:
    """Return the folder, made if necessary, so that errors come before the training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        fail(f"cannot write to --out {folder}: {error.strerror}; choose another folder")
    return folder


def find_source(data: str | None) -> Source:
    """Return the ratings that ``--data`` names; by default MovieLens's, else planted ones."""
    if data == "planted":
        return plant()
    try:
        folder = Path(data) if data else untar_data(progress=sys.stderr.isatty())
    except DataNotFoundError as error:
        print("MovieLens 100K is not on this disk and could not be downloaded "
              f"({type(error.__cause__).__name__}): taking planted ratings instead.")
        return plant()
    return read(folder)


def read(folder: Path) -> Source:
    """Read MovieLens's ratings, in the order in which pandas merges them today."""
    # in the order of older versions, movielens_100k(folder, row_order="post"), seed 42 draws
    # another split: 1653 titles in training, not 1650, and a final loss near 0.816, not 0.805
    try:
        return Source("MovieLens 100K", movielens_100k(folder))
    except (OSError, ValueError) as error:
        fail(f"cannot read MovieLens from {folder}: {error}")


def plant() -> Source:
    """Make synthetic ratings of MovieLens's shape, the same in every run."""
    planted = planted_ratings()
    return Source("Planted ratings", planted.ratings, planted)


def make_learner(source: Source, factors: int, device: str, seed: int) -> CollabLearner:
    """Make batches of 64 and the dot product model."""
    data = CollabDataBunch.from_df(source.ratings, VALID_PCT, "userId", "title", "rating",
                                   seed=seed, device=device)
    return collab_learner(data, n_factors=factors, y_range=Y_RANGE, wd=WD, seed=seed)


def describe(source: Source, data: CollabDataBunch) -> None:
    """Print the sizes and five rows of a batch."""
    counts = source.ratings.nunique()
    print(f"{source.name}: {len(source.ratings):,} ratings by {counts['userId']:,} users of "
          f"{counts['title']:,} titles, on {data.device}.")
    heading("A batch")
    data.show_batch()


def find_rate(learn: CollabLearner, out: Path) -> Path | None:
    """Run the learning rate finder and plot its curve."""
    heading("Learning rate finder")
    with learn.no_logging():
        learn.lr_find()
    figure = learn.recorder.plot(skip_end=15, suggestion=True, return_fig=True)
    others = ", ".join(f"{k} {v:.0e}" for k, v in suggestions(learn.recorder).items())
    print(f"Other suggestions: {others}. All are rough; the training uses {LR:.0e}.")
    return None if figure is None else save(figure, out / "lr_finder.png")


def train(learn: CollabLearner, epochs: int, out: Path) -> Path:
    """Train with the one-cycle policy and plot the losses."""
    heading(f"Training, one cycle up to {LR:.0e}")
    learn.fit_one_cycle(epochs, LR)
    final = learn.validate()[0]
    print(f"Final validation loss {final:.4f}, an RMSE of {final ** .5:.3f} stars. Predicting the "
          f"mean rating for everyone gives {float(learn.data.valid_ds.y.var()):.4f}.")
    return save(plot_losses(learn.recorder, return_fig=True), out / "losses.png")


def most_rated(source: Source, data: CollabDataBunch) -> list[str]:
    """Return the titles with the most ratings, of those that the model knows."""
    known = set(data.classes["title"])
    return [t for t in source.ratings["title"].value_counts().index if t in known][:TOP]


def show_biases(learn: CollabLearner, source: Source, titles: list[str]) -> None:
    """Print the items with the lowest and the highest biases."""
    ratings = source.ratings.groupby("title")["rating"]
    table = pd.DataFrame({"bias": learn.bias(titles).numpy(), "mean": ratings.mean()[titles],
                          "ratings": ratings.count()[titles]}).sort_values("bias")
    heading(f"Biases of the {len(titles):,} most rated titles")
    show(ends(table))
    print(f"Correlation of bias and mean rating: {correlation(table['bias'], table['mean']):.3f}.")


def show_components(learn: CollabLearner, titles: list[str], out: Path) -> Path:
    """Print the first two principal components of the items' factors, and plot the titles."""
    weights = learn.weight(titles)
    points = weights.pca(2).numpy()
    shares = points.var(0) / weights.numpy().var(0).sum()
    for number, (column, share) in enumerate(zip(points.T, shares, strict=True), start=1):
        heading(f"Principal component {number} ({share:.0%} of the variance)")
        show(ends(pd.DataFrame({"value": column}, titles).sort_values("value")))
    figure = plot_embeddings(weights, titles, n_labels=LABELS, return_fig=True,
                             title=f"Factors of {len(titles):,} titles")
    return save(figure, out / "components.png")


def compare(learn: CollabLearner, source: Source, truth: PlantedRatings, titles: list[str],
            seed: int) -> None:
    """Compare what was learned with the planted truth."""
    valid = source.ratings.iloc[random_split(len(source.ratings), VALID_PCT, seed)[1]]
    score = truth.score(valid["userId"], valid["movieId"])
    learned, actual = (t.numpy() for t in learn.get_preds())
    users = learn.data.classes["userId"][1:].astype(int)
    items = pd.Index(truth.titles).get_indexer(pd.Index(titles))
    user_bias = learn.bias(users, is_item=False)
    heading("Against the planted truth")
    print(f"""\
correlation of item biases       {correlation(learn.bias(titles), truth.item_bias[items]):.3f}
correlation of user biases       {correlation(user_bias, truth.user_bias[users - 1]):.3f}
correlation of scores            {correlation(learned, score):.3f}   (on the validation rows)
mean squared error of the model  {np.square(learned - actual).mean():.4f}
of the planted score itself      {np.square(score - actual).mean():.4f}  (the rest is noise)""")


def recommend(learn: CollabLearner, source: Source, truth: PlantedRatings | None) -> None:
    """Print recommendations for the user of the first training row."""
    user = int(learn.data.classes["userId"][int(learn.data.train_ds.x[0][0])])
    rated = source.ratings[source.ratings["userId"] == user].sort_values("rating", kind="stable")
    found = learn.recommend(user, SHOWN).set_index("title")
    if truth is not None:
        items = pd.Index(truth.titles).get_indexer(found.index) + 1
        found["planted score"] = truth.score(user, items)
    heading(f"For user {user}, who has rated {len(rated)} titles")
    print(f"Among the best rated: {'; '.join(rated['title'][::-1][:3])}. Recommended:")
    show(found)


def recommend_to_you(learn: CollabLearner, titles: list[str]) -> None:
    """Learn a row for you from five ratings, with everything else frozen."""
    yours = {title: stars for title, stars in YOURS.items() if title in titles} \
        or dict(zip(titles, YOURS.values(), strict=False))
    you = add_user(learn, yours)
    heading(f"For you, now user {you} (change the ratings at the top of this script)")
    print(f"You gave {', '.join(f'{stars} to {title}' for title, stars in yours.items())}. "
          "Recommended:")
    show(learn.recommend(you, SHOWN).set_index("title"))


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n== {text}")


def ends(table: pd.DataFrame) -> pd.DataFrame:
    """Return the first and the last rows."""
    n = min(SHOWN, len(table) // 2)
    return pd.concat([table[:n], table[-n:]])


def show(table: pd.DataFrame) -> None:
    """Print a table with three decimals."""
    print(table.rename_axis(None).to_string(float_format="{:.3f}".format))


def correlation(a: Any, b: Any) -> float:
    """Return Pearson's correlation."""
    return float(np.corrcoef(a, b)[0, 1])


def save(figure: Any, path: Path) -> Path:
    """Write a plot and close it."""
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


def main(argv: list[str] | None = None) -> None:
    """Load data, train, and look inside."""
    start = perf_counter()
    plt.switch_backend("Agg")  # plots are written to files and need no display
    args = parse(argv)
    rank = only_rank_0_prints() if args.distributed else 0
    out = writable(args.out if rank == 0 else Path(mkdtemp()))
    try:
        device = get_backend(args.device or default_device()).name
        source = find_source(args.data)
        learn = make_learner(source, args.factors, device, args.seed)
        if args.distributed:
            to_distributed(learn)
    except (DeviceError, ValueError) as error:
        fail(error)
    describe(source, learn.data)
    plots = [find_rate(learn, out), train(learn, args.epochs, out)]
    titles = most_rated(source, learn.data)
    show_biases(learn, source, titles)
    plots.append(show_components(learn, titles, out))
    if source.truth is not None:
        compare(learn, source, source.truth, titles, args.seed)
    recommend(learn, source, source.truth)
    recommend_to_you(learn, titles)
    print(f"\nPlots: {', '.join(str(plot) for plot in plots if plot)}. "
          f"{perf_counter() - start:.1f} s in total.")


if __name__ == "__main__":
    main()
