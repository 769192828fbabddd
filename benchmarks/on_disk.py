"""Train on ratings larger than memory: ``python -m benchmarks.on_disk [--rows 100000000]``.

A Parquet file of planted ratings is written in pieces, sorted by user as real ones are. One
process then trains on it with ``in_memory=False`` while the system limits its data to 1.5 GiB,
another one in memory without a limit. Times are those of the first seed; losses are means over
the seeds of split, order and weights, with their standard deviation.
"""
import argparse
import json
import os
import sys
from pathlib import Path
from statistics import mean, stdev
from subprocess import run
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

USERS, ITEMS, FACTORS, PIECE = 162_541, 59_047, 8, 1 << 21
LIMIT = 3 << 29
"""Bytes of data that the limited process may have: 1.5 GiB."""


def write(path: Path, rows: int) -> None:
    """Write planted ratings: a dot product of user and item, two biases, and noise."""
    import pyarrow as pa
    import pyarrow.parquet as parquet
    rng = np.random.default_rng(0)
    u, v = (rng.normal(size=(n, FACTORS)).astype(np.float32) / FACTORS ** .5
            for n in (USERS, ITEMS))
    bias_u, bias_v = (rng.normal(size=n).astype(np.float32) * .4 for n in (USERS, ITEMS))
    chances = 1 / np.arange(1, ITEMS + 1) ** .9
    edges = np.cumsum(chances / chances.sum())
    schema = pa.schema([("user", pa.int32()), ("item", pa.int32()), ("rating", pa.float32())])
    with parquet.ParquetWriter(path, schema) as out:
        for start in range(0, rows, PIECE):
            n = min(PIECE, rows - start)
            users = ((start + np.arange(n)) * USERS // rows).astype(np.int32)
            items = np.minimum(np.searchsorted(edges, rng.random(n)), ITEMS - 1).astype(np.int32)
            score = 3.5 + (u[users] * v[items]).sum(1) + bias_u[users] + bias_v[items]
            noisy = score + rng.normal(size=n).astype(np.float32) * .7
            stars = np.clip(np.round(noisy * 2) / 2, .5, 5).astype(np.float32)
            out.write_table(pa.table([users, items, stars], schema), row_group_size=1 << 20)


def train(path: Path, in_memory: bool, batches: int, bs: int, seed: int) -> dict[str, Any]:
    """Train for some batches; return times, memory and losses."""
    import resource

    import pyarrow.parquet  # noqa: F401  before the limit

    from minifast.callbacks import StopAfterNBatches
    from minifast.collab import collab_learner
    from minifast.data import CollabDataBunch
    from minifast.datasets import methods  # noqa: F401  adds from_parquet
    if not in_memory:  # what counts is what has been asked for, used or not
        resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    start = perf_counter()
    data = CollabDataBunch.from_parquet(path, valid_pct=.01, seed=seed, bs=bs, in_memory=in_memory)
    loaded = perf_counter()
    learn = collab_learner(data, n_factors=FACTORS, y_range=[0, 5.5], wd=.01, seed=seed)
    with learn.no_logging():
        learn.fit(1, 1e-3, callbacks=StopAfterNBatches(20))
        began = perf_counter()
        n = min(batches, len(data.train_dl))
        learn.fit(1, 5e-3, callbacks=StopAfterNBatches(n) if n < len(data.train_dl) else None)
        seconds = perf_counter() - began
        if n < len(data.train_dl):  # then the fit has not validated
            learn.validate()
    loss = float(learn.validate()[0])
    return {"load": loaded - start, "rate": n * bs / seconds, "loss": loss,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)}


def main() -> None:
    """Print the tables."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.on_disk", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=100_000_000)
    p.add_argument("--batches", type=int, default=4000)
    p.add_argument("--bs", type=int, default=4096)
    p.add_argument("--seeds", type=int, default=1)
    p.add_argument("--train", nargs=3, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.train:
        kind, file, seed = args.train
        print(json.dumps(train(Path(file), kind == "memory", args.batches, args.bs, int(seed))))
        return
    with TemporaryDirectory() as folder:
        file = Path(folder, "ratings.parquet")
        write(file, args.rows)
        print(f"{args.rows:,} ratings in {file.stat().st_size / (1 << 20):,.0f} MiB of Parquet; "
              f"{args.batches} batches of {args.bs}\n\n| ratings | limit | load, s | "
              "rows a second | peak, GiB | validation loss |\n|---|---|---|---|---|---|")
        for kind, limit in (("disk", "1.5 GiB"), ("memory", "none")):
            runs = [measure(kind, file, seed, args.batches, args.bs) for seed in range(args.seeds)]
            losses = [each["loss"] for each in runs]
            spread = f" ± {stdev(losses):.4f}" if len(losses) > 1 else ""
            print(f"| {kind} | {limit} | {runs[0]['load']:.0f} | {runs[0]['rate']:,.0f} | "
                  f"{runs[0]['peak']:.2f} | {mean(losses):.4f}{spread} |", flush=True)


def measure(kind: str, file: Path, seed: int, batches: int, bs: int) -> dict[str, Any]:
    """Train in a process of its own."""
    done = run([sys.executable, "-m", "benchmarks.on_disk", "--train", kind, str(file), str(seed),
                "--batches", str(batches), "--bs", str(bs)],
               env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"},  # mimalloc asks for 1 GiB
               capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{kind}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
