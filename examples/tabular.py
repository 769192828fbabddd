"""Train a neural network on a table, and compare it with linear regression on the same rows.

The table has ten measurements of each of 442 people with diabetes, and the progression of the
disease after one year (Efron and others 2004). It comes with scikit-learn, which this script needs;
nothing is downloaded. The table has no missing values, so the script removes some.

    python examples/tabular.py --epochs 20 --splits 10
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from minifast import DeviceError
from minifast.backend import default_device, get_backend
from minifast.data import DatasetType, random_split
from minifast.inspect.plots import plot_losses
from minifast.metrics import RMSE, R2Score
from minifast.tabular import (
    Categorify,
    FillMissing,
    Normalize,
    TabularDataBunch,
    TabularList,
    tabular_learner,
)
from minifast.train import Learner

NAMES = {"s1": "tc", "s2": "ldl", "s3": "hdl", "s4": "tch", "s5": "ltg", "s6": "glu"}
CATEGORIES, TARGET = ["sex"], "progression"
NUMBERS = ["age", "bmi", "bp", *NAMES.values()]
GAPS, SHARE, VALID_PCT = ["bmi", "ltg"], .15, .2
LR, WD, LAYERS, Y_RANGE = 1e-2, .1, [50, 20], (0, 350)


class Parser(argparse.ArgumentParser):
    """An argument parser that reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        fail(message)


def fail(message: object) -> NoReturn:
    """Print one line to stderr and exit with status 1."""
    sys.exit(f"tabular.py: {' '.join(str(message).split())}")


def at_least(least: int) -> Any:
    """Return an argument type for integers of at least ``least``."""
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least {least}")
        return int(text)
    return number


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="tabular.py", description="Train a network on a table.")
    parser.add_argument("--epochs", type=at_least(1), default=10, help="(default: 10)")
    parser.add_argument("--splits", type=at_least(2), default=5,
                        help="random train/validation splits for the comparison (default: 5)")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where it works, else cpu)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="plot folder (default: out)")
    parser.add_argument("--seed", type=at_least(0), default=42,
                        help="seed for missing values, splits, weights, batches (default: 42)")
    return parser.parse_args(argv)


def writable(folder: Path) -> Path:
    """Return ``folder``, created if necessary; exit if it is not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        fail(f"cannot write to --out {folder}: {error.strerror}; choose another folder")
    return folder


def patients(seed: int) -> pd.DataFrame:
    """Return the table in its original units, with missing values in two columns."""
    raw: pd.DataFrame = load_diabetes(as_frame=True, scaled=False).frame
    frame = raw.rename(columns={**NAMES, "target": TARGET})
    frame["sex"] = frame["sex"].astype(int)
    rng = np.random.default_rng(seed)
    for name in GAPS:
        frame.loc[rng.choice(len(frame), int(SHARE * len(frame)), replace=False), name] = np.nan
    return frame


def make_learner(frame: pd.DataFrame, device: str, seed: int) -> Learner:
    """Return a learner with a small network; a fifth of the rows is for validation."""
    items = TabularList.from_df(frame, cat_names=CATEGORIES, cont_names=NUMBERS,
                                procs=[FillMissing, Categorify, Normalize])
    data = items.split_by_rand_pct(VALID_PCT, seed).label_from_df(TARGET) \
        .databunch(bs=32, device=device, seed=seed)
    return tabular_learner(data, LAYERS, metrics=[RMSE(), R2Score()], ps=.1, y_range=Y_RANGE,
                           seed=seed, wd=WD)


def describe(frame: pd.DataFrame, data: TabularDataBunch) -> None:
    """Print the size of the table, the fitted processors and five rows of a batch."""
    gaps = ", ".join(f"{frame[name].isna().sum()} of {name}" for name in GAPS)
    print(f"{len(frame)} patients, {len(NUMBERS)} continuous columns, categories: "
          f"{', '.join(CATEGORIES)}; device {data.device}. Values removed: {gaps}.")
    heading(f"Processors, fitted on the {len(data.train_ds)} training rows")
    fill, _, scale = data.processor.procs
    if isinstance(fill, FillMissing) and isinstance(scale, Normalize):
        table = pd.DataFrame(scale.stats, ["mean", "std"]).T
        table.insert(0, "fill with", pd.Series({n: fill.values[n] for n in GAPS}))
        print(table.to_string(float_format="{:.2f}".format, na_rep="-"))
    for cats, (rows, width) in zip(data.categories, data.get_emb_szs(), strict=True):
        print(f"{cats.name}: {', '.join(cats.classes)}, an embedding of {rows} rows and {width} "
              "columns")
    heading("A batch in its original units")
    data.show_batch(ds_type=DatasetType.Fix)  # does not change the order of training


def train(learn: Learner, epochs: int, out: Path) -> Path:
    """Train with the one-cycle policy and plot the losses."""
    heading(f"Training, one cycle up to {LR:.0e}")
    learn.fit_one_cycle(epochs, LR)
    figure = plot_losses(learn.recorder, return_fig=True)
    figure.savefig(out / "tabular_losses.png", dpi=120)
    plt.close(figure)
    return out / "tabular_losses.png"


def ask(learn: Learner, frame: pd.DataFrame, seed: int) -> None:
    """Predict a patient of the validation rows, as measured and with changes."""
    rows = frame.iloc[random_split(len(frame), VALID_PCT, seed)[1]].dropna()
    row = rows.iloc[0]
    heading(f"Patient {rows.index[0]}: {TARGET} was {row[TARGET]:.0f}")
    changes: dict[str, dict[str, Any]] = {
        "as measured": {}, "bmi 10 higher": {"bmi": row["bmi"] + 10},
        "bmi missing": {"bmi": None}, "unknown category for sex": {"sex": 3}}
    for what, change in changes.items():
        predicted, _, _ = learn.predict({**row, **change})
        print(f"{what:35}{predicted:.0f}")


def linear_r2(frame: pd.DataFrame, seed: int) -> float:
    """Return R2 of linear regression on the same rows, with medians for missing values."""
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    model = make_pipeline(make_column_transformer(
        (numbers, NUMBERS), (OneHotEncoder(handle_unknown="ignore"), CATEGORIES)),
        LinearRegression())
    train, valid = (frame.iloc[rows] for rows in random_split(len(frame), VALID_PCT, seed))
    model.fit(train, train[TARGET])
    return float(r2_score(valid[TARGET], model.predict(valid)))


def network_r2(learn: Learner, epochs: int) -> float:
    """Train a new network and return its R2."""
    with learn.no_logging():
        learn.fit_one_cycle(epochs, LR)
    predicted, actual = (t.numpy() for t in learn.get_preds())
    return float(r2_score(actual, predicted))


def compare(frame: pd.DataFrame, epochs: int, splits: int, device: str, seed: int) -> None:
    """Compare both models on several random splits."""
    heading(f"R2 on {splits} random splits (1: perfect, 0: always predicts the mean)")
    scores = pd.DataFrame([(network_r2(make_learner(frame, device, s), epochs),
                            linear_r2(frame, s)) for s in range(seed, seed + splits)],
                          columns=["network", "linear regression"])
    scores["difference"] = scores["network"] - scores["linear regression"]
    mean, spread = scores.mean(), scores.std(ddof=0)
    table = pd.concat([scores, pd.DataFrame([mean, spread], ["mean", "std"])])
    print(table.to_string(float_format="{:.3f}".format))
    verdict = "smaller" if abs(mean["difference"]) < spread["difference"] else "larger"
    print(f"The mean difference, {mean['difference']:+.3f}, is {verdict} than its standard "
          "deviation over the splits.\nWith so few rows and nearly linear relations, a network "
          "is not expected to be better than linear regression.")


def heading(text: str) -> None:
    """Print a heading after an empty line."""
    print(f"\n== {text}")


def main(argv: list[str] | None = None) -> None:
    """Run the example."""
    start = perf_counter()
    plt.switch_backend("Agg")  # writes the plot to a file, needs no display
    args = parse(argv)
    out = writable(args.out)
    try:
        device = get_backend(args.device or default_device()).name
        frame = patients(args.seed)
        learn = make_learner(frame, device, args.seed)
    except (DeviceError, ValueError) as error:
        fail(error)
    if isinstance(learn.data, TabularDataBunch):
        describe(frame, learn.data)
    plot = train(learn, args.epochs, out)
    ask(learn, frame, args.seed)
    compare(frame, args.epochs, args.splits, device, args.seed)
    print(f"\nPlot: {plot}. {perf_counter() - start:.1f} s in total.")


if __name__ == "__main__":
    main()
