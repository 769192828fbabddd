"""Times of new processes for an import and for a first epoch, and sizes of installed packages.

Every time is measured from the start of a process to its answer.
"""
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from . import notebook
from .contest import ROOT, Contest, Contestant, NotHereError, Result, Worker, environment
from .families import FASTAI, JAX, LEARNER, TORCH, Family, Options, floor

IMPORTS = [Contestant(code or "Python without imports", library, code) for library, code in (
    ("minifast", "from minifast.collab import *"), ("minifast", "import minifast"),
    ("numpy", "import numpy"), ("numpy", ""), ("torch", "import torch"),
    ("fastai", "from fastai.collab import *"), ("jax", "import jax"))]
FIRST_EPOCH = [LEARNER, floor(), TORCH[0], JAX, FASTAI]
SIZES = {"minifast": "minifast", "torch": "torch", "fastai": "fastai", "jax": "jax",
         "scikit-surprise": "surprise", "": "minifast"}

Once = Callable[[Contestant], dict[str, float]]


def import_once(contest: Contest, contestant: Contestant) -> dict[str, float]:
    """Run a line of code in a new process."""
    command = [contest.python(contestant.library), "-c", contestant.module]
    done = subprocess.run(command, cwd=ROOT, env=environment(1), capture_output=True, text=True,
                          check=False)
    if done.returncode:
        raise NotHereError(done.stderr.strip().splitlines()[-1])
    return {}


def measured(contest: Contest, case: str, who: list[Contestant], once: Once) -> list[Result]:
    """Run processes in turn; the first of each does not count, since it reads files from disk."""
    results = [Result(case, c, 1) for c in who
               if not contest.libraries or c.library in contest.libraries]
    for repeat in range(contest.repeats + 1):
        for result in list(results):
            start = perf_counter()
            try:
                answer = once(result.contestant)
            except (OSError, NotHereError) as error:
                contest.notes[result.contestant.name] = str(error)
                results.remove(result)
                continue
            if repeat:
                result.seconds.append(perf_counter() - start)
            result.loss, result.peak = answer.get("loss", result.loss), int(answer.get("peak", 0))
    return results


def results(contest: Contest, options: Options) -> Iterator[Result]:
    """Yield the times of imports and of first epochs of the notebook's training."""
    yield from measured(contest, "import", IMPORTS, lambda who: import_once(contest, who))
    with tempfile.TemporaryDirectory(prefix="minifast-benchmarks-") as name:
        case, = notebook.cases((64,), [], replace(options, bs=()))
        job = replace(case.job, folder=name)
        steps = case.write(Path(name)) // job.bs

        def first_epoch(contestant: Contestant) -> dict[str, float]:
            worker = Worker(contestant, job, contest.python(contestant.library))
            try:
                worker.hello()
                contest.versions |= worker.versions
                return worker.round(steps)
            finally:
                worker.close()
        yield from measured(contest, "start to first epoch", FIRST_EPOCH, first_epoch)


def sizes(contest: Contest, options: Options) -> Iterator[str]:
    """Yield a table of the disk space of each library with its dependencies."""
    yield "\n| installed, with all dependencies | size |\n|---|---|"
    for package, library in SIZES.items():
        if contest.libraries and library not in contest.libraries:
            continue
        command = [contest.python(library), "-m", "benchmarks.installed", *package.split()]
        with suppress(OSError, subprocess.CalledProcessError):  # those who could not are named
            done = subprocess.run(command, cwd=ROOT, env=environment(1), capture_output=True,
                                  text=True, check=True)
            if n_bytes := int(done.stdout):
                yield f"| {package or 'minifast alone'} | {n_bytes / 2**20:.1f} MiB |"


FAMILIES = {
    "startup": Family("Before anything trains: new processes", "process", after=sizes,
                      results=results),
}
