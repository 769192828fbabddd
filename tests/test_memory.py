"""Arrays that a step frees are not given back to the system."""
import gc
import platform
import subprocess
import sys

import pytest

from minifast.collab import collab_learner
from minifast.data import CollabDataBunch
from minifast.datasets import planted_ratings

PROGRAM = """
import resource, sys
import numpy as np
if sys.argv[1] == "with":
    from minifast.fast.accelerator import keep_memory
    keep_memory()

def step():
    arrays = [np.ones(3 << 18) for _ in range(4)]  # of 6 MiB

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(word: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, word], capture_output=True, text=True,
                          check=True)
    return int(done.stdout)


@pytest.mark.cpu_only("memory of the host")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's way with large blocks")
def test_a_step_finds_its_memory_again() -> None:
    assert page_faults("with") < .1 * page_faults("without")


@pytest.mark.parametrize("bs", [4, 64])  # with few rows in a batch, updates are deferred
def test_a_fit_leaves_no_arrays_to_the_cyclic_collector(bs: int) -> None:
    """What waits for the collector is memory that the next fit cannot use."""
    frame = planted_ratings(n_users=400, n_items=500, n_ratings=1000).ratings
    learn = collab_learner(CollabDataBunch.from_df(frame, bs=bs), n_factors=40)
    learn.fit_one_cycle(1)
    gc.collect()
    gc.disable()
    try:
        learn.fit_one_cycle(1)
        kinds = {type(o).__name__ for o in gc.get_objects() if type(o).__module__ in
                 ("minifast.fast.flat", "minifast.fast.store", "minifast.fast.deferred_table")}
    finally:
        gc.enable()
    assert kinds == set()
