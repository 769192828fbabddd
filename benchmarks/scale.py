"""Time and memory of training on MovieLens 25M's number of ratings, from a frame and from files.

    python -m benchmarks.scale
    python -m benchmarks.scale --ways csv --ratings 1000000 --users 10000 --items 5000

Each way runs in a process of its own: it reads the ratings, makes a DataBunch and a Learner, trains
on some batches and validates on some. Peak memory is that of the whole process so far, libraries
included. Another process writes the files to a temporary folder. Times are of one run.
"""
import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import machine, versions
from benchmarks.many_ratings import FACTORS, ITEMS, RATINGS, USERS, long_tailed
from benchmarks.worker import peak_bytes
from minifast import device
from minifast.callbacks import StopAfterNBatches
from minifast.collab import CollabLearner, collab_learner
from minifast.data import CollabDataBunch

if TYPE_CHECKING:
    import pandas as pd

BS, STEPS, WAYS = 4096, 100, ("frame", "parquet", "csv")
Sizes = tuple[int, int, int]
Stage = tuple[str, float, int]
"""Name, seconds, and peak memory in bytes at its end."""


class Stages(list[Stage]):
    """The stages of a run, with their times and the peak memory at their ends."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the stage that runs inside a ``with`` block."""
        start = perf_counter()
        yield
        self.append((name, perf_counter() - start, peak_bytes()))


def alone(work: Callable[..., Any], *args: Any) -> Any:
    """Return the result of ``work`` in a new process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def ratings_frame(sizes: Sizes) -> "pd.DataFrame":
    """Return the four columns of MovieLens's ratings.csv with the dtypes that pandas reads."""
    import pandas as pd
    x, y = long_tailed(*sizes)
    frame = {"userId": x.pop(0) + np.int64(1), "movieId": x.pop(0) + np.int64(1),
             "rating": y.astype(np.float64)}
    frame["timestamp"] = np.arange(len(y), dtype=np.int64) + 978_300_760
    return pd.DataFrame(frame, copy=False)


def write(way: str, sizes: Sizes, path: Path) -> None:
    """Write the ratings to a file."""
    frame = ratings_frame(sizes)
    if way == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)


def run(way: str, sizes: Sizes, path: Path, bs: int, steps: int) -> tuple[Stages, str]:
    """Return all stages of one way, and what is in memory at the end."""
    done = Stages([("Python and libraries", 0., peak_bytes())])
    options: dict[str, Any] = {"valid_pct": .1, "seed": 42, "bs": bs}
    frame: pd.DataFrame | None = None
    with device("cpu"):
        if way == "frame":
            with done.stage("ratings as a frame"):
                frame = ratings_frame(sizes)
            with done.stage("CollabDataBunch.from_df"):
                data = CollabDataBunch.from_df(frame, **options)
        else:
            with done.stage(f"CollabDataBunch.from_{way}"):
                data = getattr(CollabDataBunch, f"from_{way}")(path, **options)
        with done.stage("collab_learner"):
            learn = collab_learner(data, FACTORS, y_range=[0, 5.5], wd=.1, seed=0)
        train(learn, steps, done)
    return done, contents(learn, 0 if frame is None else int(frame.memory_usage().sum()))


def train(learn: CollabLearner, steps: int, done: Stages) -> None:
    """Train on some batches and validate on some."""
    with done.stage(f"{steps} batches train"), learn.no_logging():
        learn.fit_one_cycle(1, 5e-3, callbacks=[StopAfterNBatches(steps)])
    with done.stage(f"{steps} batches validate"):
        learn.validate(list(islice(learn.data.valid_dl, steps)))


def contents(learn: CollabLearner, frame: int) -> str:
    """Return a sentence on the size of what is in memory during training."""
    sets: list[Any] = [learn.data.train_ds, learn.data.valid_ds]
    ratings = sum(array.nbytes for ds in sets for array in (*ds.x, ds.y))
    weights = sum(p.data.nbytes for p in learn.model.parameters())
    order = 4 * len(sets[0])
    return (f"While it trains: frame {megabytes(frame)}, ratings {megabytes(ratings)}, order of a "
            f"pass {megabytes(order)}, weights {megabytes(weights)} and three times as much for "
            "gradients and Adam's averages.")


def megabytes(n: float) -> str:
    """Return a number of bytes as text."""
    return f"{n / 2**20:,.0f} MiB"


def table(way: str, done: Stages, note: str) -> Iterator[str]:
    """Yield the stages of one way, in Markdown."""
    yield from ("", f"From {'a frame' if way == 'frame' else f'a {way} file'}", "",
                "| stage | seconds | peak memory so far |", "|---|---|---|")
    yield from (f"| {name} | {seconds:.2f} | {megabytes(peak)} |" for name, seconds, peak in done)
    yield from ("", note)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="(default: all)")
    for name, size in (("users", USERS), ("items", ITEMS), ("ratings", RATINGS)):
        parser.add_argument(f"--{name}", type=int, default=size, help=f"(default: {size})")
    parser.add_argument("--bs", type=int, default=BS, help=f"rows in a batch (default: {BS})")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"batches (default: {STEPS})")
    args = parser.parse_args(argv)
    sizes = args.users, args.items, args.ratings
    print(machine("cpu"), versions(), "", f"{args.ratings:,} ratings, {args.users:,} users, "
          f"{args.items:,} items, {FACTORS} factors, batches of {args.bs}", sep="\n")
    with tempfile.TemporaryDirectory(prefix="minifast-benchmarks-") as folder:
        for way in args.ways:
            if way == "parquet" and find_spec("pyarrow") is None:
                print("", "(pyarrow, which reads Parquet files, is not installed)", sep="\n")
                continue
            path = Path(folder, f"ratings.{way}")
            if way != "frame":
                alone(write, way, sizes, path)
            done, note = alone(run, way, sizes, path, args.bs, args.steps)
            print(*table(way, done, note), sep="\n", flush=True)


if __name__ == "__main__":
    main()
