"""Arrays that a step frees are not given back to the system."""
import platform
import subprocess
import sys

import pytest

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
