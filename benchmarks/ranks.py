"""Measure distributed training: ``python -m benchmarks.ranks [--ranks 1 2] [--repeats 3]``.

Each case trains with one rank and with more, in turns; each rank has one thread. For weak scaling
each rank has as many rows in a batch as one process; for strong scaling the ranks divide these
rows. The last tables are of messages alone: the time of an Allreduce by its size, what latency and
time per byte explain of it, and what they predict for more ranks.
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
ROWS = {"notebook": 1024, "resnet10": 64, "movielens25m": 4096}
"""Rows in a batch of one process."""
SIZES = 162_542, 59_048
"""Users and movies of MovieLens 25M."""
NETWORK = {"latency": 2e-6, "bandwidth": 12.5e9}
"""Assumed between computers: 100 Gbit/s InfiniBand, 2 us from program to program."""


# ------------------------------------------------------------------- what each rank does


def notebook(scale: float, bs: int) -> tuple[Any, int]:
    """The notebook's model."""
    from minifast.collab import CollabDataBunch, collab_learner
    from minifast.datasets import planted_ratings
    ratings = planted_ratings(943, 1682, int(100_000 * scale), seed=0).ratings
    data = CollabDataBunch.from_df(ratings, seed=42, bs=bs)
    return collab_learner(data, n_factors=40, y_range=[0, 5.5], wd=.1, seed=0), 6


def resnet10(scale: float, bs: int) -> tuple[Any, int]:
    """resnet10 on random pictures of 32 x 32 pixels."""
    from minifast.data import ArrayDataset, DataBunch
    from minifast.train import Learner
    from minifast.vision import resnet10
    rng = np.random.default_rng(0)
    n = int(64 * 16 * scale)
    ds = ArrayDataset(rng.normal(size=(n, 3, 32, 32)).astype(np.float32), rng.integers(0, 10, n))
    return Learner(DataBunch.create(ds, bs=bs), resnet10(seed=0)), 1


def movielens25m(scale: float, bs: int) -> tuple[Any, int]:
    """A model of MovieLens 25M's size with random ratings."""
    from minifast.collab import EmbeddingDotBias
    from minifast.data import ArrayDataset, DataBunch
    from minifast.nn import MSELossFlat
    from minifast.train import Learner
    rng = np.random.default_rng(0)
    n_users, n_items, n = *SIZES, int(4_000_000 * scale)
    chances = 1 / np.arange(1, n_items + 1) ** .9
    items = rng.choice(n_items, n, p=chances / chances.sum()).astype(np.int32)
    x = [rng.integers(0, n_users, n).astype(np.int32), items]
    data = DataBunch.create(ArrayDataset(x, rng.uniform(1, 5, n).astype(np.float32)), bs=bs,
                            loss_func=MSELossFlat())
    return Learner(data, EmbeddingDotBias(50, n_users, n_items, [0, 5.5], seed=0)), 1


CASES: dict[str, Callable[[float, int], tuple[Any, int]]] = {
    found.__name__: found for found in (notebook, resnet10, movielens25m)}


def rate(name: str, scale: float, strong: bool) -> dict[str, float]:
    """Train one case; return rows a second over all ranks, and bytes a rank sends in a step."""
    from minifast.distributed import world
    comm = world()
    learn, epochs = CASES[name](scale, ROWS[name] // (comm.size if strong else 1))
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
    learn, _ = movielens25m(1, ROWS["movielens25m"])
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


def rank_main(what: str, scale: float, repeats: int, strong: bool) -> None:
    """Do one measurement on this rank; rank 0 prints it as JSON."""
    from minifast.distributed import world
    found: Any = messages(repeats) if what == "messages" else rate(what, scale, strong)
    if world().rank == 0:
        print("found", json.dumps(found))


# ------------------------------------------------------------------- tables


def measure(what: str, ranks: int, scale: float, repeats: int, strong: bool = False) -> Any:
    """Start ``ranks`` processes that measure."""
    command = [sys.executable, "-m", "minifast.distributed", "-n", str(ranks), "-m",
               "benchmarks.ranks", "--rank", what, "--scale", str(scale), "--repeats", str(repeats),
               *(["--strong"] if strong else [])]
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


def exchange(name: str, n: int, sent: float, strong: bool) -> float:
    """Return the predicted seconds of a step's messages among ``n`` computers.

    Rows of large tables are gathered: each computer receives those of all others. When the joint
    batch reads many rows, whole tables are summed instead.
    """
    joint = ROWS[name] * (1 if strong else n)
    if name != "movielens25m":
        return allreduce(n, sent)
    if 4 * joint >= sum(SIZES):  # as minifast.fast.exchange decides
        return allreduce(n, sum(SIZES) * 51 * 4)
    received = (n - 1) * sent / (n if strong else 1)
    return float(np.log2(n) * NETWORK["latency"] + received / NETWORK["bandwidth"])


def main() -> None:
    """Print the tables."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.ranks", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; by default all")
    p.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--scale", type=float, default=1.)
    p.add_argument("--rank", help=argparse.SUPPRESS)
    p.add_argument("--strong", action="store_true", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.rank:
        rank_main(args.rank, args.scale, args.repeats, args.strong)
        return
    print("| case | scaling | rows of a rank | ranks | rows a second | times one rank | bytes a "
          "rank sends in a step |\n|---|---|---|---|---|---|---|")
    seconds: dict[str, tuple[float, float]] = {}
    for name in args.cases or CASES:
        kinds = [(n, strong) for n in args.ranks for strong in (False, True) if n > 1 or not strong]
        rounds = [{kind: measure(name, kind[0], args.scale, 1, kind[1]) for kind in kinds}
                  for _ in range(args.repeats)]
        one = args.ranks[0], False
        for n, strong in sorted(kinds, key=lambda kind: kind[1]):
            rows = median(found[n, strong]["rows"] for found in rounds)
            times = median(found[n, strong]["rows"] / found[one]["rows"] for found in rounds)
            print(f"| {name} | {'strong' if strong else 'weak'} | "
                  f"{ROWS[name] // (n if strong else 1)} | {n} | {rows:,.0f} | {times:.2f} | "
                  f"{rounds[0][n, strong]['bytes']:,.0f} |", flush=True)
        seconds[name] = ROWS[name] / median(found[one]["rows"] for found in rounds), \
            rounds[0][args.ranks[-1], False]["bytes"]
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
    print("\nPredicted for computers of their own (2 us latency, 100 Gbit/s), without overlap, if "
          "the time of computing is that of one rank, or with strong scaling divided by the ranks. "
          "Weak: efficiency; strong: times one rank.\n\n| case | step, ms | scaling | " +
          " | ".join(str(2 ** k) for k in range(1, 11)) + " |\n|---|---|---|" + "---|" * 10)
    for name, (step, sent) in seconds.items():
        ranks = [2 ** k for k in range(1, 11)]
        weak = [f"{step / (step + exchange(name, n, sent, False)):.0%}" for n in ranks]
        strong = [f"{step / (step / n + exchange(name, n, sent, True)):.1f}" for n in ranks]
        for kind, cells in (("weak", weak), ("strong", strong)):
            print(f"| {name} | {step * 1e3:.2f} | {kind} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
