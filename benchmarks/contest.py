"""Contestants in processes of their own that take turns, so a busy machine slows all alike."""
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .job import Job

ROOT = Path(__file__).parents[1]
THREAD_SETTINGS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS",
                   "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Contestant:
    """One way to do a job: ``library`` chooses the Python that runs ``module``."""

    name: str
    library: str
    module: str
    optimizer: str = "AdamW"
    how: str = ""


@dataclass(frozen=True)
class Case:
    """A job, its contestants and its data.

    ``write(folder)`` makes the data and returns the number of rows. A round is ``steps`` steps,
    or an epoch if that is 0. Cases with the same ``data`` share a folder. In a ``big`` case only
    the processes with one number of threads are alive at a time.
    """

    name: str
    job: Job
    contestants: Sequence[Contestant]
    data: str
    write: Callable[[Path], int]
    steps: int = 0
    big: bool = False


@dataclass
class Result:
    """Seconds of every round, per step or per epoch, and peak memory in bytes."""

    case: str
    contestant: Contestant
    threads: int
    seconds: list[float] = field(default_factory=list)
    loss: float = float("nan")
    peak: int = 0


class NotHereError(Exception):
    """A contestant that cannot take part; the message says why."""


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a contestant's process: its threads, and no GPU."""
    return {**os.environ, **{name: str(threads) for name in THREAD_SETTINGS},
            "PYTHONPATH": str(ROOT), "MINIFAST_DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": "",
            "JAX_PLATFORMS": "cpu"}


class Worker:
    """A contestant's process."""

    def __init__(self, contestant: Contestant, job: Job, python: str) -> None:
        wd = 0. if contestant.optimizer == "SGD" else job.wd  # torch's SGD cannot decouple it
        job = replace(job, optimizer=contestant.optimizer, how=contestant.how, wd=wd)
        self.errors = Path(job.folder, f"{contestant.name}, {job.threads}.txt")
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [python, "-m", "benchmarks.worker", contestant.module, json.dumps(asdict(job))],
                cwd=ROOT, env=environment(job.threads), text=True, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors)
        self.versions: dict[str, str] = {}

    def hello(self) -> None:
        """Wait until the process is ready; raise NotHereError if its library is missing."""
        answer = self._read()
        if "missing" in answer:
            raise NotHereError(answer["missing"])
        self.versions = answer["versions"]

    def round(self, steps: int) -> dict[str, Any]:
        """Train a round; return seconds, loss and peak memory."""
        print(steps, file=self.process.stdin, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            last = self.errors.read_text().strip().splitlines()[-1:]
            raise NotHereError(f"its process ended: {''.join(last) or 'no reason given'}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with suppress(OSError):  # it may have ended with a request unread
                    pipe.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Contest:
    """Run cases, and collect ``versions`` of the libraries and ``notes`` on those missing.

    ``pythons`` are the interpreters by library, by default this one. ``libraries``, if given,
    are the only ones that take part.
    """

    repeats: int = 5
    threads: Sequence[int] = (1, 2)
    pythons: Mapping[str, str] = field(default_factory=dict)
    libraries: Sequence[str] = ()
    versions: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def python(self, library: str) -> str:
        """Return the interpreter for a library."""
        return self.pythons.get(library, sys.executable)

    def run(self, case: Case, folder: Path) -> Iterator[Result]:
        """Yield all results of a case."""
        folder = folder / case.data
        rows = case.write(folder) if not folder.exists() else 0
        count = folder / "rows.txt"
        if rows:
            count.write_text(str(rows))
        steps = case.steps or int(count.read_text()) // case.job.bs
        at_once = [[n] for n in self.threads] if case.big else [self.threads]
        for threads in at_once:
            yield from self._together(case, replace(case.job, folder=str(folder)), threads, steps)

    def _together(self, case: Case, job: Job, threads: Sequence[int], steps: int) -> list[Result]:
        with ExitStack() as stack:
            running: list[tuple[Worker, Result]] = []
            for contestant in case.contestants:
                if self.libraries and contestant.library not in self.libraries:
                    continue
                for n in threads:
                    if worker := self._start(contestant, replace(job, threads=n), stack):
                        running.append((worker, Result(case.name, contestant, n)))
            for repeat in range(self.repeats + 1):
                running = [pair for pair in running if self._round(*pair, case, steps, repeat > 0)]
            return [result for _, result in running]

    def _round(self, worker: Worker, result: Result, case: Case, steps: int, counts: bool) -> bool:
        """Run a round of one contestant; return whether its process is still alive."""
        try:
            answer = worker.round(steps)
        except (OSError, NotHereError) as error:
            self.notes[f"{result.contestant.name}, {case.name}"] = str(error)
            return False
        if counts:
            result.seconds.append(answer["seconds"] / (case.steps or 1))
        result.loss, result.peak = answer["loss"], answer["peak"]
        return True

    def _start(self, contestant: Contestant, job: Job, stack: ExitStack) -> Worker | None:
        try:
            worker = Worker(contestant, job, self.python(contestant.library))
            stack.callback(worker.close)
            worker.hello()
        except (OSError, NotHereError) as error:
            self.notes[contestant.name] = str(error)
            return None
        self.versions |= worker.versions
        return worker
