"""Starting processes in which other source replaces modules of the library."""
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .replace import path_of

CHILD = Path(__file__).with_name("child.py")
TIMEOUT, GRACE = 20., 10.
"""Seconds after which a solution that does not end stops itself, and further seconds after which
it is stopped from outside."""


@dataclass
class Job:
    """What a process does.

    Parameters
    ----------
    command : str
        ``"probe"`` runs the probes of a unit, ``"run"`` a script or a module.
    files, texts : dict of str to str
        The file, or else the text, that replaces each module.
    unit : int
        The unit whose probes run.
    seeds : list of int
        Their seeds.
    arguments : list of str
        The script or the module to run, and its arguments.
    timeout : float
        Seconds.
    folder : str
        Where Python looks for modules first.
    """

    command: str
    files: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    unit: int = 0
    seeds: list[int] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    timeout: float = TIMEOUT
    folder: str = "."


@dataclass
class Ended:
    """How a process has ended.

    Parameters
    ----------
    code : int
        Its exit status.
    output : str
        What it has printed.
    results : dict, optional
        What its probes returned; None if it ended before that.
    stack : str
        Where it was when its time was up; empty otherwise.
    """

    code: int
    output: str
    results: dict[str, Any] | None
    stack: str


def start(job: Job, quiet: bool = True) -> Ended:
    """Run a job in a process of its own, and wait for it.

    Parameters
    ----------
    job : Job
        What to do.
    quiet : bool
        Whether to keep its output, instead of showing it.

    Returns
    -------
    Ended
        The end.
    """
    with TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        entries = {**asdict(job), "result": str(folder / "result.json"),
                   "stack": str(folder / "stack.txt"),
                   "forbidden": [str(path_of(name)) for name in [*job.files, *job.texts]]}
        (folder / "job.json").write_text(json.dumps(entries), encoding="utf-8")
        code, output = _wait(job, folder / "job.json", quiet)
        stack = _text(folder / "stack.txt") or ("ended from outside" if code is None else "")
        return Ended(1 if code is None else code, output, _read(folder / "result.json"), stack)


def _wait(job: Job, file: Path, quiet: bool) -> tuple[int | None, str]:
    """Return the status of the process and its output; no status if it had to be ended."""
    try:
        done = subprocess.run(
            [sys.executable, str(CHILD), str(file)], check=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if quiet else None, timeout=job.timeout + GRACE,
            stderr=subprocess.STDOUT if quiet else None, encoding="utf-8", errors="replace",
            env={**os.environ, "MINIFAST_FAST": "0", "PYTHONDONTWRITEBYTECODE": "1",
                 "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"})
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout or ""


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _read(path: Path) -> dict[str, Any] | None:
    """Return the results, None if there are none or they are not JSON."""
    try:
        results = json.loads(_text(path))
    except ValueError:
        return None
    return results if isinstance(results, dict) else None


def probe(unit: int, seeds: Sequence[int], files: Mapping[str, str] | None = None,
          texts: Mapping[str, str] | None = None, timeout: float = TIMEOUT) -> Ended:
    """Run the probes of a unit with other source instead of modules.

    Parameters
    ----------
    unit : int
        The unit.
    seeds : sequence of int
        Seeds of the probes.
    files, texts : mapping of str to str, optional
        The file, or the text, of each module that is replaced.
    timeout : float
        Seconds.

    Returns
    -------
    Ended
        The end.
    """
    return start(Job("probe", dict(files or {}), dict(texts or {}), unit, list(seeds),
                     timeout=timeout))
