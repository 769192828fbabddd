"""Fit one learner again and again and watch the memory: ``python tests/soak.py --fits 100``.

Prints the resident memory of the process after some fits, by how much that of the last fit is
above that of the tenth, and how many objects the cyclic collector finds at the end. It is off
until then, so that whatever only it could free would show.
"""
import argparse
import gc
import sys
from pathlib import Path

from minifast.collab import collab_learner
from minifast.data import CollabDataBunch
from minifast.datasets import planted_ratings
from minifast.train import Learner

FIRST = 10
"""The fit that later ones are compared with: caches are filled by then."""
STATUS = Path("/proc/self/status")


def resident() -> float:
    """MiB of memory of this process; Linux only."""
    return next(int(line.split()[1]) / 1024 for line in STATUS.read_text().splitlines()
                if line.startswith("VmRSS"))


def learner(fast: bool) -> Learner:
    """A learner whose tables are deferred on the fast path."""
    frame = planted_ratings(n_users=600, n_items=400, n_ratings=4000).ratings
    data = CollabDataBunch.from_df(frame, seed=1)
    learn = collab_learner(data, n_factors=40, y_range=[0, 5.5], wd=.1, seed=0)
    learn.fast = fast
    return learn


def soak(n_fits: int, fast: bool, show: bool = False) -> tuple[float, int]:
    """Fit, and return by which factor memory has grown since the tenth fit, and the garbage."""
    learn, first = learner(fast), 0.
    gc.collect()
    gc.disable()
    try:
        for i in range(1, n_fits + 1):
            with learn.no_logging():
                learn.fit_one_cycle(1, 5e-3)
            if i == FIRST:
                first = resident()
            if show and i in (1, FIRST, n_fits // 2, n_fits):
                print(f"fit {i:4}: {resident():7.2f} MiB", flush=True)
        return resident() / first, gc.collect()
    finally:
        gc.enable()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fits", type=int, default=100)
    n_fits, bad = parser.parse_args().fits, False
    for fast in (False, True):
        print("the fast path" if fast else "the plain path")
        grown, garbage = soak(n_fits, fast, show=True)
        print(f"fit {n_fits} has {100 * (grown - 1):+.2f} % more memory than fit {FIRST}; "
              f"{garbage} objects were left to the cyclic collector")
        bad |= grown > 1.02 or garbage > 0
    sys.exit(bad)
