"""Scripts with a student's functions in the library, and tests against faults in it."""
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import process
from .check import check
from .combine import combine
from .replace import path_of, source_of
from .unit import Unit

LONGEST_TEST = 60.
"""Seconds after which tests are ended; a fault may make a loop endless."""


def folder_of(unit: Unit, folder: Path) -> Path:
    """Return the folder of a student's files of a unit.

    Parameters
    ----------
    unit : Unit
        The unit.
    folder : Path
        The student's folder.

    Returns
    -------
    Path
        The folder.
    """
    return folder / f"unit{unit.number:02d}"


def student_files(unit: Unit, folder: Path) -> dict[str, Path]:
    """Return the student's file for each module of the tasks.

    Parameters
    ----------
    unit : Unit
        The unit.
    folder : Path
        The student's folder.

    Returns
    -------
    dict of str to Path
        The files by the names of the modules.
    """
    return {module: folder_of(unit, folder) / path_of(module).name for module in unit.tasks}


def finished(units: Iterable[Unit], folder: Path, timeout: float = process.TIMEOUT) -> list[Unit]:
    """Return the units whose solutions pass their checks, and print whose functions are used.

    Parameters
    ----------
    units : iterable of Unit
        The units to look for.
    folder : Path
        The student's folder.
    timeout : float
        Seconds until a solution is assumed never to end.

    Returns
    -------
    list of Unit
        Those whose files are there and pass.
    """
    found = []
    for unit in units:
        report = check(unit, student_files(unit, folder), timeout=timeout)
        started = folder_of(unit, folder).is_dir()
        why = f"{report.score} properties hold" if started else "not started"
        names = ", ".join(name for names in unit.tasks.values() for name in names)
        print(f"unit {unit.number:2d}: yours: {names}" if report.passed else
              f"unit {unit.number:2d}: the library's ({why})", flush=True)
        found += [unit] * report.passed
    return found


def sources(units: Sequence[Unit], folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return what replaces the library's modules.

    Parameters
    ----------
    units : sequence of Unit
        The units whose functions are the student's.
    folder : Path
        The student's folder.

    Returns
    -------
    files, texts : dict of str to str
        The student's file for a module of one unit, and a text for a module of several.

    Raises
    ------
    ValueError
        If two solutions cannot be combined.
    """
    files: dict[str, dict[str, Path]] = {}
    for unit in units:
        for module, path in student_files(unit, folder).items():
            files.setdefault(module, {})[f"unit {unit.number}"] = path
    alone = {name: str(*paths.values()) for name, paths in files.items() if len(paths) == 1}
    return alone, {
        name: combine(source_of(name), {label: path.read_text(encoding="utf-8-sig")
                                        for label, path in paths.items()})
        for name, paths in files.items() if name not in alone}


def run(script: Sequence[str], units: Sequence[Unit], folder: Path) -> int:
    """Run a script with the student's functions in the library.

    Parameters
    ----------
    script : sequence of str
        The script or module, and its arguments.
    units : sequence of Unit
        The units whose functions are the student's.
    folder : Path
        The student's folder.

    Returns
    -------
    int
        The exit status of the script.
    """
    return _run(script, *sources(units, folder), quiet=False, timeout=3600.).code


def run_with_bug(script: Sequence[str], unit: Unit, name: str) -> int:
    """Run a script with a fault in the library.

    Parameters
    ----------
    script : sequence of str
        The script or module, and its arguments.
    unit : Unit
        The unit.
    name : str
        The name of a fault of the unit.

    Returns
    -------
    int
        The exit status of the script.

    Raises
    ------
    ValueError
        If the unit has no such fault.
    """
    chosen = {bug.name: bug for bug in unit.bugs}
    if name not in chosen:
        raise ValueError(f"unit {unit.number} has no fault {name!r}; it has {', '.join(chosen)}")
    bug = chosen[name]
    texts = {bug.module: bug.apply(source_of(bug.module))}
    return _run(script, {}, texts, quiet=False, timeout=3600.).code


def bugs(unit: Unit, test: Path | None) -> bool:
    """Run a student's tests against the faults of a unit.

    Parameters
    ----------
    unit : Unit
        The unit.
    test : Path, optional
        A file of tests; without one the symptoms are listed.

    Returns
    -------
    bool
        Whether the tests pass on the library, and each fault is found.
    """
    if test is None:
        for bug in unit.bugs:
            print(f"{bug.name}: {bug.symptom}")
        return True
    # without the options of a folder above, such as several processes, which would have no faults
    arguments = ["pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider", "-o", "addopts=",
                 str(test)]
    if (clean := _run(arguments, {}, {})).code:
        print(f"These tests fail on the library itself:\n{clean.output[-2000:]}")
        return False
    found = []
    for bug in unit.bugs:
        ended = _run(arguments, {}, {bug.module: bug.apply(source_of(bug.module))})
        found.append(ended.code != 0)
        print(f"{'found   ' if found[-1] else 'SURVIVES'} {bug.name}: {bug.symptom}", flush=True)
    print(f"{sum(found)} of {len(found)} faults found")
    return all(found)


def _run(arguments: Sequence[str], files: dict[str, str], texts: dict[str, str],
         quiet: bool = True, timeout: float = LONGEST_TEST) -> process.Ended:
    return process.start(process.Job("run", files, texts, arguments=list(arguments),
                                     timeout=timeout), quiet)
