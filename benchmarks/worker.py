"""A contestant's process: it makes its model and trains one round for each line of input.

    python -m benchmarks.worker MODULE '{"model": "dot", "folder": ...}'

Each line of input is a number of steps, each line of output a JSON object. Every contestant has a
process of its own because the number of BLAS threads is fixed when a process starts, and because
libraries slow each other down inside one process.
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
    """Return the peak memory of this process, libraries included."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    import resource  # not on Windows
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10


def answer(out: IO[str], **values: Any) -> None:
    """Write a JSON object as a line."""
    out.write(json.dumps(values) + "\n")
    out.flush()


def serve(out: IO[str], module: str, job: Job) -> None:
    """Make the contestant and train a round for each line of input."""
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
    """Serve; what libraries print goes to standard error."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module, job = sys.argv[1:]
    serve(out, module, Job(**json.loads(job)))


if __name__ == "__main__":
    main()
