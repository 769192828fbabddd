"""A contestant's process: makes its model, then trains a round whenever a line asks for it.

    python -m benchmarks.worker MODULE '{"model": "dot", "folder": ...}'

Each line of input is a number of steps, each line of output a JSON object. The number of
threads of a BLAS is fixed when its process starts, and libraries slow each other when they
share one; so every contestant has a process of its own.
"""
import gc
import json
import os
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import IO, Any

from .job import Job

STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """The most memory this process has held, libraries included."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    import resource  # not on Windows
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10


def answer(out: IO[str], **values: Any) -> None:
    """Send a line."""
    out.write(json.dumps(values) + "\n")
    out.flush()


def serve(out: IO[str], module: str, job: Job) -> None:
    """Make the contestant, and train as often as asked."""
    try:
        contestant = import_module(module)
        train = contestant.make(job)
    except ImportError as error:
        answer(out, missing=str(error))
        return
    package = contestant.PACKAGE
    answer(out, versions={package: version(package)} if package else {})
    gc.collect()
    for line in sys.stdin:
        start = perf_counter()
        loss = train(int(line))
        answer(out, seconds=perf_counter() - start, loss=float(loss), peak=peak_bytes())


def main() -> None:
    """Serve, with what libraries print going to the errors."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module, job = sys.argv[1:]
    serve(out, module, Job(**json.loads(job)))


if __name__ == "__main__":
    main()
