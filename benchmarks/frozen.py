"""Time and memory that a frozen body saves in a training step of a residual network.

    python -m benchmarks.frozen
    python -m benchmarks.frozen --size 32

A ``resnet10`` is trained on random images in three ways: all of it; with a frozen body whose batch
norm trains (``train_bn=True``, the default); with a body frozen to the bit (``train_bn=False``).
The head, which always trains, is the last three layers: mean, Flatten, Linear. A step is forward,
loss, backward and the optimizer's step. The three take turns, so a busy machine slows all of them;
times are medians. The peak is the most memory that a step has allocated at any moment, as
``tracemalloc`` reports it: weights, optimizer state and the batch are not in it.
"""
import argparse
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np

from minifast import Tensor, device
from minifast.data import DataBunch
from minifast.nn import CrossEntropyFlat
from minifast.train import Learner
from minifast.vision import resnet10

from .machine import machine, versions

Step = Callable[[], None]


def learner(bs: int, size: int, train_bn: bool, frozen: bool) -> Learner:
    """Return a network in two groups, after one step of training."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(bs, 3, size, size)).astype(np.float32)
    net = resnet10(seed=0)
    learn = Learner(DataBunch([(x, rng.integers(0, 10, bs))]), net, loss_func=CrossEntropyFlat(),
                    train_bn=train_bn).split(net[-3:][0])
    learn.freeze_to(1 if frozen else 0)
    with learn.no_logging():
        learn.fit(1, 1e-3)
    return learn


def step(learn: Learner, xb: Tensor, yb: Tensor) -> None:
    """Run forward, loss, backward and update."""
    learn.loss_func(learn.model(xb), yb).backward()
    learn.optimizer.step()
    learn.optimizer.zero_grad()


def steps(bs: int, size: int) -> dict[str, Step]:
    """Return a step of each of the three ways."""
    ways = {"all of it trains": (True, False), "body frozen, train_bn=True": (True, True),
            "body frozen, train_bn=False": (False, True)}
    learners = {name: learner(bs, size, *options) for name, options in ways.items()}
    return {name: partial(step, learn, *learn.data.one_batch()) for name, learn in learners.items()}


def seconds(work: Step) -> float:
    """Return the seconds of one run."""
    start = perf_counter()
    work()
    return perf_counter() - start


def peak_bytes(work: Step) -> int:
    """Return the most bytes that one run has allocated at any moment."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def measure(bs: int, size: int, repeats: int) -> dict[str, tuple[float, int]]:
    """Return median seconds and peak bytes of a step, for each way."""
    ways = steps(bs, size)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            times[name].append(seconds(work))
    return {name: (median(times[name]), peak_bytes(work)) for name, work in ways.items()}


def table(bs: int, size: int, repeats: int) -> list[str]:
    """Return the report, in Markdown."""
    found = measure(bs, size, repeats)
    time_of_all, peak_of_all = next(iter(found.values()))
    lines = [machine("cpu"), versions(), "",
             f"resnet10, batches of {bs} images of {size} x {size}, median of {repeats} steps", "",
             "| what trains | step, ms | saved | peak, MB | saved |", "|---|---|---|---|---|"]
    lines += [f"| {name} | {time * 1e3:.2f} | {1 - time / time_of_all:.0%} | {peak / 1e6:.2f} | "
              f"{1 - peak / peak_of_all:.0%} |" for name, (time, peak) in found.items()]
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bs", type=int, default=64, help="images in a batch (default: 64)")
    parser.add_argument("--size", type=int, default=8, help="of an image's side (default: 8)")
    parser.add_argument("--repeats", type=int, default=40, help="steps of each way (default: 40)")
    args = parser.parse_args(argv)
    with device("cpu"):
        print("\n".join(table(args.bs, args.size, args.repeats)))


if __name__ == "__main__":
    main()
