"""A process of its own, in which a student's functions replace the library's.

It is run as a script, before any part of minifast is imported: ``python child.py job.json``.
"""
import faulthandler
import json
import os
import runpy
import sys
import traceback
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

FORBIDDEN_EVENTS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty",
                    "os.posix_spawn", "os.spawn", "os.startfile", "_winapi.CreateProcess")


def main(job_file: str) -> None:
    """Do what a job says, and write the results.

    Parameters
    ----------
    job_file : str
        A JSON file with the entries of ``process.Job``.
    """
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    sys.path[0] = job["folder"]  # instead of the folder of this file
    stack = open(job["stack"], "w", encoding="utf-8")  # noqa: SIM115  (open until the end)
    faulthandler.dump_traceback_later(job["timeout"], exit=True, file=stack)
    _load("replace").install({name: Path(file) for name, file in job["files"].items()},
                             job["texts"])
    if job["command"] == "probe":
        keep_out(job["forbidden"])
        results = probe(job["unit"], job["seeds"])
        Path(job["result"]).write_text(json.dumps(results), encoding="utf-8")
    else:
        sys.argv = job["arguments"]
        runpy.run_path(sys.argv[0], run_name="__main__") if sys.argv[0].endswith(".py") \
            else runpy.run_module(sys.argv[0], run_name="__main__")


def _load(name: str) -> Any:
    """Import a file next to this one without its package, which would import the library."""
    from importlib.util import module_from_spec, spec_from_file_location
    spec: Any = spec_from_file_location(f"_course_{name}", Path(__file__).with_name(f"{name}.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keep_out(paths: Iterable[str]) -> None:
    """Forbid this process to open files and to start processes.

    Parameters
    ----------
    paths : iterable of str
        The files of the library that the student's replace.
    """
    kept = {_without_ending(path) for path in paths}
    kept |= {os.path.join(os.path.dirname(path), "__pycache__", os.path.basename(path))
             for path in kept}

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in FORBIDDEN_EVENTS:
            raise PermissionError("a solution does not start processes")
        if event == "open" and isinstance(arguments[0], (str, bytes)) \
                and _without_ending(arguments[0]) in kept:
            raise PermissionError("a solution does not read the library's")
    sys.addaudithook(refuse)


def _without_ending(path: str | bytes) -> str:
    """Return the real path of a file of source or bytecode up to the first dot of its name."""
    folder, name = os.path.split(os.path.realpath(os.fsdecode(path)))
    return os.path.normcase(os.path.join(folder, name.partition(".")[0]))


def probe(number: int, seeds: Iterable[int]) -> dict[str, Any]:
    """Return what the probes of a unit return.

    Parameters
    ----------
    number : int
        The unit.
    seeds : iterable of int
        Each probe runs once with each.

    Returns
    -------
    dict
        By the name of the probe, a list with the values for each seed, or a dictionary with the
        ``error`` and where it was raised. An error while importing is under ``""``.
    """
    try:
        unit = import_module("minifast.course.unit").load(number)
        encode = import_module("minifast.course.values").encode
    except BaseException as error:  # a student's file may do anything
        return {"": describe(error)}
    import numpy as np
    results: dict[str, Any] = {}
    for item in unit.properties:
        try:
            results[item.name] = [encode(item.probe(np.random.default_rng(seed)))
                                  for seed in seeds]
        except BaseException as error:
            results[item.name] = describe(error)
    return results


def describe(error: BaseException) -> dict[str, Any]:
    """Return an error as a text, with the lines that led to it."""
    kind = type(error).__name__
    text = f"{kind}: {error}" if str(error) else kind
    lines = [[frame.filename, frame.lineno, frame.name]
             for frame in traceback.extract_tb(error.__traceback__)]
    return {"error": text, "lines": lines}


if __name__ == "__main__":
    main(sys.argv[1])
