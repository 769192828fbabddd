"""Send real SIGINTs to fits at random moments: ``python tests/interrupt_fits.py --n 500``.

A process trains; this one presses Ctrl-C once, or twice in a row, and the process compares its
weights with those after each whole step of a plain fit that nobody interrupts. After one SIGINT
all weights are of one step. After two, each is as before or as after the step at hand. Then the
learner trains on. The last line says how many fits were interrupted and how many were corrupted.
"""
import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from minifast.collab import collab_learner
from minifast.data import ArrayDataset, CollabDataBunch, DataBunch
from minifast.datasets import planted_ratings
from minifast.fast import deferred_table, deferred_updates
from minifast.nn import Linear, MSELossFlat, ReLU, Sequential
from minifast.optim import SGD, Adam
from minifast.train import Callback, Learner

Weights = list["np.ndarray[Any, Any]"]
TOLERANCE = 1e-6
"""How far deferred weights may be from those of the plain path, which trains in float64 too."""


def of_ratings(fast: bool, opt_func: Callable[..., Any]) -> Learner:
    """A learner whose four tables are deferred on the fast path."""
    deferred_updates.SMALLEST, deferred_table.SHARE = 1, 1e9
    frame = planted_ratings(n_users=60, n_items=40, n_ratings=600).ratings
    data = CollabDataBunch.from_df(frame, valid_pct=.1, seed=1, bs=8)
    data.train_dl.rng = np.random.default_rng(5)  # type: ignore[attr-defined]
    return collab_learner(data, n_factors=5, y_range=[0, 5.5], wd=.1, seed=0, opt_func=opt_func)


def of_numbers(fast: bool) -> Learner:
    """A network, whose parameters lie end to end on the fast path."""
    x = np.random.default_rng(0).normal(size=(600, 8))
    rows = ArrayDataset(x, x.sum(1))
    net = Sequential(Linear(8, 32, seed=1), ReLU(), Linear(32, 1, seed=2))
    return Learner(DataBunch.create(rows, rows, bs=8, seed=3), net, loss_func=MSELossFlat(), wd=.1)


KINDS: dict[str, tuple[bool, Callable[[bool], Learner]]] = {
    "plain": (False, partial(of_ratings, opt_func=Adam)),
    "deferred SGD": (True, partial(of_ratings, opt_func=partial(SGD, mom=.9))),
    "deferred Adam": (True, partial(of_ratings, opt_func=Adam)),
    "dense": (True, of_numbers)}
"""For each kind whether it is fast, and its learner."""


def make(kind: str, fast: bool) -> Learner:
    """A learner of a kind in float64, whose training is the same each time."""
    learn = KINDS[kind][1](fast)
    learn.fast = fast
    for p in learn.model.parameters():
        p.data = p.data.astype(np.float64)
    return learn


def weights(learn: Learner) -> Weights:
    """Copies of all weights."""
    return [p.data.copy() for p in learn.model.parameters()]


class Watch(Callback):
    """Keeps the weights of each step."""

    def __init__(self, learn: Learner) -> None:
        self.learn, self.steps = learn, [weights(learn)]

    def on_step_end(self) -> None:
        self.steps.append(weights(self.learn))


def fit(learn: Learner, callbacks: Any = None) -> None:
    with learn.no_logging():
        learn.fit_one_cycle(1, 1e-2, callbacks=callbacks)


# ---------------------------------------------------------------- the process that trains


def off(found: Weights, *steps: Weights) -> float:
    """The largest distance of a weight from its nearest value in some steps."""
    return max(float(np.min([abs(ours - step[i]) for step in steps], 0).max())
               for i, ours in enumerate(found))


def verdict(learn: Learner, steps: list[Weights], presses: int) -> str:
    """Where a fit has ended: at a whole step, within one, or ``corrupted``; it then trains on."""
    found, answer = weights(learn), "corrupted"
    distances = [off(found, step) for step in steps]
    if learn.opt is not None and learn.opt.interrupted:
        near = [off(found, *both) for both in pairwise(steps)]
        if presses > 1 and min(near) < TOLERANCE:
            answer = f"within {np.argmin(near)}"
        learn.opt.interrupted = False
    elif min(distances) < TOLERANCE:
        answer = f"whole {np.argmin(distances)}"
    clean = all(p.grad is None for p in learn.model.parameters()) \
        and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    fit(learn)
    finite = all(np.isfinite(w).all() for w in weights(learn))
    return answer if clean and finite else "corrupted"


def duration(kind: str) -> float:
    """Seconds that a fit takes."""
    learn, start = make(kind, KINDS[kind][0]), time.perf_counter()
    fit(learn)
    return time.perf_counter() - start


def train(kind: str) -> None:
    """Fit again and again.

    A line of input starts a fit and tells how often it is interrupted; a line of output says how
    it has ended.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    learn = make(kind, fast=False)
    watch = Watch(learn)
    fit(learn, [watch])
    print(min(duration(kind) for _ in range(5)), flush=True)
    for line in sys.stdin:
        learn = make(kind, KINDS[kind][0])
        try:
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                print("begin", flush=True)
                fit(learn)
                time.sleep(60)  # the SIGINT comes late
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        print(verdict(learn, watch.steps, int(line)), flush=True)


# ---------------------------------------------------------------- the process that interrupts


def interrupt(kind: str, n: int, rng: random.Random) -> list[str]:
    """Interrupt ``n`` fits of a kind and return their verdicts; every fourth fit twice in a row."""
    folder = Path(__file__).parents[1]
    child = subprocess.Popen(
        [sys.executable, __file__, "--kind", kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])})
    assert child.stdin is not None
    assert child.stdout is not None
    with child:
        duration, found = float(child.stdout.readline()), []
        for i in range(n):
            child.stdin.write(f"{1 + (i % 4 == 3)}\n")
            child.stdin.flush()
            assert child.stdout.readline() == "begin\n"
            time.sleep(rng.random() * duration)
            child.send_signal(signal.SIGINT)
            if i % 4 == 3:
                time.sleep(rng.random() * 5e-4)
                child.send_signal(signal.SIGINT)
            found.append(child.stdout.readline().strip() or "died")
            if child.poll() is not None:
                break
        child.stdin.close()
    return found


def main(n: int, seed: int = 0) -> Counter[str]:
    """Interrupt ``n`` fits, print a line for each kind, and return how many ended in which way."""
    rng, total = random.Random(seed), Counter[str]()
    for i, kind in enumerate(KINDS):
        found = interrupt(kind, n // len(KINDS) + (i < n % len(KINDS)), rng)
        ends = Counter(verdict.partition(" ")[0] for verdict in found)
        print(f"{kind:14} {dict(ends)}, at {len(set(found))} different steps", flush=True)
        total += ends
    bad = total["corrupted"] + total["died"]
    print(f"{total.total()} fits interrupted, {bad} corrupted")
    return total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kind:
        train(options.kind)
    else:
        ends = main(options.n, options.seed)
        sys.exit(bool(ends["corrupted"] + ends["died"]))
