"""Measure distributed training: ``python -m benchmarks.ranks [--ranks 1 2] [--repeats 3]``.

Each case trains with one rank and with more, in turns; each rank has one thread and the same
number of rows in a batch. The last tables are of messages alone: the time of an Allreduce by its
size, what latency and time per byte explain of it, and what they predict for more ranks.
"""
import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from statistics import median
from subprocess import run
from time import perf_counter
from typing import Any

import numpy as np

MESSAGES = (1, 1 << 8, 1 << 12, 1 << 15, 1 << 17, 1 << 20, 1 << 22)
"""Numbers of float32 in a message."""
NETWORK = {"latency": 2e-6, "bandwidth": 12.5e9}
"""Assumed between computers: 100 Gbit/s InfiniBand, 2 us from program to program."""


# ------------------------------------------------------------------- what each rank does


def notebook(scale: float) -> tuple[Any, int]:
    """The notebook's model; 1024 rows a rank."""
    from minifast.collab import CollabDataBunch, collab_learner
    from minifast.datasets import planted_ratings
    ratings = planted_ratings(943, 1682, int(100_000 * scale), seed=0).ratings
    data = CollabDataBunch.from_df(ratings, seed=42, bs=1024)
    return collab_learner(data, n_factors=40, y_range=[0, 5.5], wd=.1, seed=0), 6


def resnet10(scale: float) -> tuple[Any, int]:
    """resnet10 on random pictures of 32 x 32 pixels; 64 rows a rank."""
    from minifast.data import ArrayDataset, DataBunch
    from minifast.train import Learner
    from minifast.vision import resnet10
    rng = np.random.default_rng(0)
    n = int(64 * 16 * scale)
    ds = ArrayDataset(rng.normal(size=(n, 3, 32, 32)).astype(np.float32), rng.integers(0, 10, n))
    return Learner(DataBunch.create(ds, bs=64), resnet10(seed=0)), 1


def movielens25m(scale: float) -> tuple[Any, int]:
    """A model of MovieLens 25M's size with random ratings; 4096 rows a rank."""
    from minifast.collab import EmbeddingDotBias
    from minifast.data import ArrayDataset, DataBunch
    from minifast.nn import MSELossFlat
    from minifast.train import Learner
    rng = np.random.default_rng(0)
    n_users, n_items, n = 162_542, 59_048, int(400_000 * scale)
    chances = 1 / np.arange(1, n_items + 1) ** .9
    items = rng.choice(n_items, n, p=chances / chances.sum()).astype(np.int32)
    x = [rng.integers(0, n_users, n).astype(np.int32), items]
    data = DataBunch.create(ArrayDataset(x, rng.uniform(1, 5, n).astype(np.float32)), bs=4096,
                            loss_func=MSELossFlat())
    return Learner(data, EmbeddingDotBias(50, n_users, n_items, [0, 5.5], seed=0)), 1


CASES: dict[str, Callable[[float], tuple[Any, int]]] = {
    found.__name__: found for found in (notebook, resnet10, movielens25m)}


def rate(name: str, scale: float) -> dict[str, float]:
    """Train one case; return rows a second over all ranks, and bytes a rank sends in a step."""
    from minifast.distributed import world
    comm = world()
    learn, epochs = CASES[name](scale)
    if comm.size > 1:
        learn.to_distributed()
    steps = len(learn.data.train_dl) * epochs
    with learn.no_logging():
        learn.fit(1, 1e-3)
        comm.wait()
        sent, start = comm.sent, perf_counter()
        learn.fit(epochs, 1e-3)
        seconds = perf_counter() - start
    rows = steps * learn.data.batch_size * comm.size
    return {"rows": rows / seconds, "bytes": (comm.sent - sent) / steps}


def touched() -> int:
    """Return the mean number of bytes in the rows of 25M's tables that a rank's batch reads."""
    learn, _ = movielens25m(1)
    rows = [len(np.unique(ids.numpy())) for xb, _ in learn.data.train_dl for ids in xb]
    return sum(rows) * 51 * 4 // len(learn.data.train_dl)


def messages(repeats: int) -> list[float]:
    """Return the seconds of an Allreduce of each size."""
    from minifast.distributed import world
    comm, times = world(), []
    for size in MESSAGES:
        array, n = np.zeros(size, np.float32), max(5, min(200, (1 << 22) // size))
        comm.wait()
        rounds = []
        for _ in range(repeats + 1):
            start = perf_counter()
            for _ in range(n):
                comm.sum(array)
            rounds.append((perf_counter() - start) / n)
        times.append(min(rounds))
    return times


def rank_main(what: str, scale: float, repeats: int) -> None:
    """Do one measurement on this rank; rank 0 prints it as JSON."""
    from minifast.distributed import world
    found: Any = messages(repeats) if what == "messages" else rate(what, scale)
    if world().rank == 0:
        print("found", json.dumps(found))


# ------------------------------------------------------------------- tables


def measure(what: str, ranks: int, scale: float, repeats: int) -> Any:
    """Start ``ranks`` processes that measure."""
    command = [sys.executable, "-m", "minifast.distributed", "-n", str(ranks), "-m",
               "benchmarks.ranks", "--rank", what, "--scale", str(scale), "--repeats", str(repeats)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = run(command, capture_output=True, text=True, env=env, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("found ")]
    if not lines:
        raise RuntimeError(f"{what} with {ranks} ranks failed: {done.stderr[-500:]}")
    return json.loads(lines[0].removeprefix("found "))


def alpha_beta(times: Sequence[float]) -> tuple[float, float]:
    """Return latency and seconds per byte that fit the times best, as relative errors."""
    size = 4 * np.array(MESSAGES)
    design = np.stack([np.ones(len(size)), size], 1) / np.array(times)[:, None]
    found = np.linalg.lstsq(design, np.ones(len(size)), rcond=None)[0]
    return float(found[0]), float(found[1])


def allreduce(n: int, size: float) -> float:
    """Return the predicted seconds of an Allreduce among ``n`` computers.

    A ring sends 2 (n - 1) / n times the bytes of the array; a tree has 2 log2(n) steps of latency.
    """
    return float(2 * np.log2(n) * NETWORK["latency"] + 2 * (n - 1) / n * size /
                 NETWORK["bandwidth"])


def main() -> None:
    """Print the tables."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.ranks", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; by default all")
    p.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--scale", type=float, default=1.)
    p.add_argument("--rank", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.rank:
        rank_main(args.rank, args.scale, args.repeats)
        return
    print("| case | ranks | rows a second | times one rank | bytes a rank sends in a step |\n"
          "|---|---|---|---|---|")
    seconds: dict[str, tuple[float, float]] = {}
    for name in args.cases or CASES:
        rounds = [{n: measure(name, n, args.scale, 1) for n in args.ranks}
                  for _ in range(args.repeats)]
        for n in args.ranks:
            rows = median(found[n]["rows"] for found in rounds)
            times = median(found[n]["rows"] / found[args.ranks[0]]["rows"] for found in rounds)
            print(f"| {name} | {n} | {rows:,.0f} | {times:.2f} | {rounds[0][n]['bytes']:,.0f} |",
                  flush=True)
        bs = {"notebook": 1024, "resnet10": 64, "movielens25m": 4096}[name]
        one = bs / median(found[args.ranks[0]]["rows"] for found in rounds)
        seconds[name] = one, rounds[0][args.ranks[-1]]["bytes"]
    if not args.cases or "movielens25m" in args.cases:
        print(f"\nA rank's batch reads rows of {touched():,} bytes of 25M's tables.")
    times = measure("messages", max(args.ranks), args.scale, args.repeats)
    latency, per_byte = alpha_beta(times)
    print(f"\nAllreduce among {max(args.ranks)} ranks of this machine; the fit is "
          f"{latency * 1e6:.1f} us + {per_byte * 1e9:.3f} ns a byte:\n\n"
          "| bytes | measured, us | fit, us |\n|---|---|---|")
    for size, found in zip(MESSAGES, times, strict=True):
        fit = latency + per_byte * 4 * size
        print(f"| {4 * size:,} | {found * 1e6:,.1f} | {fit * 1e6:,.1f} |")
    print("\nPredicted efficiency for ranks on computers of their own (2 us latency, 100 Gbit/s), "
          "without overlap:\n\n| case | step, ms | " + " | ".join(
              str(2 ** k) for k in range(1, 11)) + " |\n|---|---|" + "---|" * 10)
    for name, (one, sent) in seconds.items():
        shares = [one / (one + allreduce(2 ** k, sent)) for k in range(1, 11)]
        print(f"| {name} | {one * 1e3:.2f} | " + " | ".join(f"{s:.0%}" for s in shares) + " |")


if __name__ == "__main__":
    main()
