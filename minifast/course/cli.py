"""The command line of the course."""
import argparse
import getpass
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import process
from .check import Report, check
from .replace import path_of, source_of
from .starter import cut
from .unit import Unit, load, numbers

EPILOG = """Examples:
  python -m minifast.course start 3             write the files of unit 3 to ./course/unit03
  python -m minifast.course check 3 --hint 1    check them, with a hint where something is wrong
  python -m minifast.course train 6             train the recommender with your functions
  python -m minifast.course bugs 3 my_test.py   which faults does your test find?"""


def _folder_of(unit: Unit, folder: Path) -> Path:
    """Return the folder of a student's files of a unit."""
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
    return {module: _folder_of(unit, folder) / path_of(module).name for module in unit.tasks}


def start(unit: Unit, folder: Path, name: str | None) -> None:
    """Write the starters of a unit; a file that is there stays as it is.

    Parameters
    ----------
    unit : Unit
        The unit.
    folder : Path
        The student's folder.
    name : str, optional
        The student's name, which is kept in ``course.json``.
    """
    _folder_of(unit, folder).mkdir(parents=True, exist_ok=True)
    settings = folder / "course.json"
    if name is not None or not settings.exists():
        settings.write_text(json.dumps({"student": name or getpass.getuser()}), encoding="utf-8")
    for module, path in student_files(unit, folder).items():
        names = unit.tasks[module]
        if path.exists():
            print(f"{path} is there already and stays as it is")
            continue
        path.write_text(cut(source_of(module), names), encoding="utf-8")
        print(f"{path}: write {', '.join(names)}")
    print(f"Then: python -m minifast.course check {unit.number}")


def student_of(folder: Path) -> str:
    """Return the student's name from ``course.json``, by default that of the account."""
    try:
        return str(json.loads((folder / "course.json").read_text(encoding="utf-8"))["student"])
    except (OSError, ValueError, KeyError, TypeError):
        return getpass.getuser()


def show(report: Report, hint: int) -> None:
    """Print a report.

    Parameters
    ----------
    report : Report
        The report.
    hint : int
        How strong a hint to give; 0 gives none.
    """
    for finding in report.findings:
        print(f"{'ok   ' if finding.passed else 'WRONG'} {finding.claim}")
        if finding.passed:
            continue
        print(f"      {finding.message}")
        if hint and finding.hints:
            print(f"      Hint: {finding.hints[min(hint, len(finding.hints)) - 1]}")
        elif finding.hints:
            print(f"      --hint 1 gives a hint, --hint {len(finding.hints)} the strongest")
    done = sum(f.passed for f in report.findings)
    print(f"Unit {report.unit}: {done} of {len(report.findings)} properties hold")


def run_check(unit: Unit, options: argparse.Namespace) -> bool:
    """Check a unit, show the report, and write it to files.

    Parameters
    ----------
    unit : Unit
        The unit.
    options : Namespace
        The options of the command line.

    Returns
    -------
    bool
        Whether the solution is right.
    """
    folder = options.folder
    student = options.name or student_of(folder)
    report = check(unit, student_files(unit, folder), student, options.timeout)
    show(report, options.hint)
    results = _folder_of(unit, folder) / "result.json"
    for path in filter(None, (options.json, results if results.parent.is_dir() else None)):
        Path(path).write_text(json.dumps(report.as_json(), indent=1), encoding="utf-8")
    if options.junit:
        Path(options.junit).write_text(report.as_junit(), encoding="utf-8")
    return report.passed


def status(folder: Path) -> None:
    """Print which units are done."""
    for number in numbers():
        unit = load(number)
        try:
            result = json.loads((_folder_of(unit, folder) / "result.json").read_text("utf-8"))
            text = f"{result['points']} of {result['of']} properties"
        except (OSError, ValueError, KeyError):
            text = "started" if _folder_of(unit, folder).is_dir() else "not started"
        print(f"{number:2d}  {unit.title:<28} {text}")


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
    arguments = ["pytest", "-q", "-x", "-p", "no:cacheprovider", str(test)]
    if (clean := _run(arguments, {})).code:
        print(f"These tests fail on the library itself:\n{clean.output[-2000:]}")
        return False
    found = []
    for bug in unit.bugs:
        ended = _run(arguments, {bug.module: bug.apply(source_of(bug.module))})
        found.append(ended.code != 0)
        print(f"{'found   ' if found[-1] else 'SURVIVES'} {bug.name}: {bug.symptom}")
    print(f"{sum(found)} of {len(found)} faults found")
    return all(found)


def _run(arguments: Sequence[str], texts: dict[str, str], quiet: bool = True,
         files: dict[str, str] | None = None, timeout: float = 300.) -> process.Ended:
    return process.start(process.Job("run", files or {}, texts, arguments=list(arguments),
                                     timeout=timeout), quiet)


def run_script(unit: Unit, folder: Path, script: list[str], bug: str | None) -> int:
    """Run a script with the student's functions, or with a fault, in the library.

    Parameters
    ----------
    unit : Unit
        The unit.
    folder : Path
        The student's folder.
    script : list of str
        The script and its arguments.
    bug : str, optional
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
    if bug is None:
        files = {name: str(path) for name, path in student_files(unit, folder).items()}
        return _run(script, {}, False, files, 3600.).code
    chosen = {b.name: b for b in unit.bugs}
    if bug not in chosen:
        raise ValueError(f"unit {unit.number} has no fault {bug!r}; it has {', '.join(chosen)}")
    text = chosen[bug].apply(source_of(chosen[bug].module))
    return _run(script, {chosen[bug].module: text}, False, timeout=3600.).code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m minifast.course", epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str, unit: bool = True) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text)
        if unit:
            made.add_argument("unit", type=int, help="number of the unit")
        made.add_argument("--folder", type=Path, default=Path("course"), help="your folder")
        return made
    command("start", "write the starters of a unit").add_argument("--name", help="your name")
    made = command("check", "check your solution of a unit")
    made.add_argument("--hint", type=int, default=0, help="1 for a hint, 2 for a stronger one")
    made.add_argument("--json", help="write the report to this file")
    made.add_argument("--junit", help="write the report to this file, as JUnit's XML")
    made.add_argument("--name", help="whose solution it is")
    made.add_argument("--timeout", type=float, default=process.TIMEOUT, help="seconds")
    command("status", "show which units are done", unit=False)
    made = command("bugs", "list the faults of a unit, or run your tests against them")
    made.add_argument("test", type=Path, nargs="?", help="a file of tests for pytest")
    command("train", "train the recommender with your functions in the library")
    made = command("run", "run a script with your functions, or with a fault, in the library")
    made.add_argument("--bug", help="the name of a fault, see `bugs`")
    made.add_argument("script", nargs="+", help="the script and its arguments, options after --")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments, by default those of the process.
    """
    options: Any = _parser().parse_args(arguments)
    try:
        if options.command == "status":
            status(options.folder)
            return
        unit = load(options.unit)
        if options.command == "start":
            start(unit, options.folder, options.name)
        elif options.command == "check":
            sys.exit(not run_check(unit, options))
        elif options.command == "bugs":
            sys.exit(not bugs(unit, options.test))
        elif options.command == "train":
            sys.exit(run_script(unit, options.folder, ["minifast.course.train"], None))
        else:
            sys.exit(run_script(unit, options.folder, options.script, options.bug))
    except (ValueError, OSError) as error:
        sys.exit(f"{error}")
