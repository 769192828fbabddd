"""The command line of the course."""
import argparse
import getpass
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import process
from .check import Report, check, json_of_all, junit_of_all
from .replace import source_of
from .run import bugs, finished, folder_of, run, run_with_bug, student_files
from .starter import cut
from .unit import Unit, load, numbers

EPILOG = """Examples:
  python -m minifast.course start 3             write the files of unit 3 to ./my_course/unit03
  python -m minifast.course check 3 --hint 1    check them, with a hint where something is wrong
  python -m minifast.course train 6             train the recommender with your functions
  python -m minifast.course train all           with those of all units that you have finished
  python -m minifast.course bugs 3 my_test.py   which faults does your test find?"""
FOLDER = Path("my_course")
PAGES = Path(__file__).with_name("pages"), Path(__file__).parents[2] / "course"
"""Where the notebooks are in an installed library, and in a clone."""


def start(unit: Unit, folder: Path, name: str | None) -> None:
    """Write the notebook and the starters of a unit; existing files are not changed.

    Parameters
    ----------
    unit : Unit
        The unit.
    folder : Path
        The student's folder.
    name : str, optional
        The student's name, which is kept in ``course.json``.
    """
    folder_of(unit, folder).mkdir(parents=True, exist_ok=True)
    settings = folder / "course.json"
    if name is not None or not settings.exists():
        settings.write_text(json.dumps({"student": name or _account()}), encoding="utf-8")
    texts = {path: (cut(source_of(module), unit.tasks[module]),
                    f"write {', '.join(unit.tasks[module])}")
             for module, path in student_files(unit, folder).items()}
    for page in PAGES:
        if (book := folder_of(unit, page) / "student.ipynb").is_file():
            texts[folder_of(unit, folder) / book.name] = book.read_text("utf-8"), "the notebook"
    for path, (text, todo) in texts.items():
        if path.exists():
            print(f"{path} is there already and stays as it is")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{path}: {todo}")
    print(f"Then: python -m minifast.course check {unit.number}")


def _account() -> str:
    """Return the name of the account, if the system knows it."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return "student"


def student_of(folder: Path) -> str:
    """Return the student's name from ``course.json``, by default that of the account."""
    try:
        return str(json.loads((folder / "course.json").read_text(encoding="utf-8"))["student"])
    except (OSError, ValueError, KeyError, TypeError):
        return _account()


def show(report: Report, hint: int) -> None:
    """Print a report.

    Parameters
    ----------
    report : Report
        The report.
    hint : int
        How strong a hint to give; 0 gives none.
    """
    told: set[str] = set()
    for finding in report.findings:
        print(f"{'ok   ' if finding.passed else 'WRONG'} {finding.claim}")
        if finding.passed:
            continue
        again = "Error: " in finding.message and finding.message in told
        told.add(finding.message)
        print(f"      {'the same error as above' if again else finding.message}")
        if hint and finding.hints and not again:
            print(f"      Hint: {finding.hints[min(hint, len(finding.hints)) - 1]}")
    if not hint and any(f.hints for f in report.findings if not f.passed):
        print("--hint 1 gives a hint for each, --hint 2 a stronger one")
    print(f"Unit {report.unit}: {report.score} properties hold ({report.seconds:.1f} s)")


def run_check(unit: Unit, options: argparse.Namespace) -> Report:
    """Check a unit, show the report, and keep it for ``status``.

    Parameters
    ----------
    unit : Unit
        The unit.
    options : Namespace
        The options of the command line.

    Returns
    -------
    Report
        The report.
    """
    folder = options.folder
    student = options.name or student_of(folder)
    report = check(unit, student_files(unit, folder), student, options.timeout)
    show(report, options.hint)
    if folder_of(unit, folder).is_dir():
        _write(folder_of(unit, folder) / "result.json", report.as_json())
    return report


def check_all(units: Sequence[Unit], options: argparse.Namespace) -> bool:
    """Check units, and write the reports to the files that the options name.

    Parameters
    ----------
    units : sequence of Unit
        One unit, or all: then those that are not started are left out.
    options : Namespace
        The options of the command line.

    Returns
    -------
    bool
        Whether the solutions are right.

    Raises
    ------
    ValueError
        If no unit is started.
    """
    started = [u for u in units if len(units) == 1 or folder_of(u, options.folder).is_dir()]
    if not started:
        raise ValueError(f"no unit is started in {options.folder}; `start 1` writes the first")
    reports = [run_check(unit, options) for unit in started]
    if len(units) > 1:
        print(f"{sum(r.passed for r in reports)} of {len(reports)} units are done "
              f"({sum(r.seconds for r in reports):.1f} s)")
    if options.json:
        _write(Path(options.json), json_of_all(reports) if len(units) > 1 else
               reports[0].as_json())
    if options.junit:
        Path(options.junit).write_text(junit_of_all(reports), encoding="utf-8")
    return all(report.passed for report in reports)


def _write(path: Path, report: dict[str, Any]) -> None:
    path.write_text(json.dumps(report, indent=1), encoding="utf-8")


def status(folder: Path) -> None:
    """Print which units are done."""
    for number in numbers():
        unit = load(number)
        try:
            result = json.loads((folder_of(unit, folder) / "result.json").read_text("utf-8"))
            text = f"{result['points']} of {result['of']} properties"
        except (OSError, ValueError, KeyError):
            text = "started" if folder_of(unit, folder).is_dir() else "not started"
        print(f"{number:2d}  {unit.title:<28} {text}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m minifast.course", epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str, unit: bool = True) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text)
        if unit:
            made.add_argument("unit", help="number of the unit, or all")
        made.add_argument("--folder", type=Path, default=FOLDER, help="your folder")
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


def _chosen(text: str) -> list[Unit]:
    """Return the unit of a number, or all units."""
    if text == "all":
        return [load(number) for number in numbers()]
    if not text.isdecimal():
        raise ValueError(f"a unit is a number, or all; got {text}")
    return [load(int(text))]


def _run(units: Sequence[Unit], options: argparse.Namespace) -> int:
    """Run the recommender or a script; return its exit status."""
    script = ["minifast.course.train"] if options.command == "train" else options.script
    if getattr(options, "bug", None):
        return run_with_bug(script, units[0], options.bug)
    if len(units) > 1 and not (units := finished(units, options.folder)):
        raise ValueError(f"no unit in {options.folder} passes its check")
    return run(script, units, options.folder)


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
        units = _chosen(options.unit)
        if options.command == "start":
            for unit in units:
                start(unit, options.folder, options.name)
        elif options.command == "check":
            sys.exit(not check_all(units, options))
        elif options.command == "bugs":
            survived = [unit for unit in units if not bugs(unit, options.test)]
            sys.exit(bool(survived))
        else:
            sys.exit(_run(units, options))
    except (ValueError, OSError) as error:
        sys.exit(f"{error}")
