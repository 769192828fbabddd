"""Checking a solution: its probes must return what the library's functions return."""
import ast
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any
from xml.etree import ElementTree as Xml
from zlib import crc32

from . import process
from .unit import Property, Unit, load
from .values import difference


@dataclass
class Finding:
    """The result of one property.

    Parameters
    ----------
    name, claim : str
        The property.
    passed : bool
        Whether it holds.
    message : str
        What is wrong, in a sentence.
    hints : tuple of str
        Hints, the weakest first.
    """

    name: str
    claim: str
    passed: bool
    message: str = ""
    hints: tuple[str, ...] = ()


@dataclass
class Report:
    """The result of a check.

    Parameters
    ----------
    unit : int
        The unit.
    student : str
        Whose solution it is.
    findings : list of Finding
        One for each property; only one if the solution could not be run.
    seconds : float
        How long it took.
    """

    unit: int
    student: str
    findings: list[Finding]
    seconds: float = 0.

    @property
    def passed(self) -> bool:
        """Whether all properties hold."""
        return all(finding.passed for finding in self.findings)

    @property
    def points(self) -> tuple[int, int]:
        """How many properties hold, and how many there are, even if none could be tried."""
        return sum(f.passed for f in self.findings), len(load(self.unit).properties)

    @property
    def score(self) -> str:
        """The points as a text."""
        return "{} of {}".format(*self.points)

    def as_json(self) -> dict[str, Any]:
        """Return the report for a JSON file, without the hints."""
        findings = [{k: v for k, v in asdict(f).items() if k != "hints"} for f in self.findings]
        points, of = self.points
        return {"unit": self.unit, "student": self.student, "passed": self.passed,
                "points": points, "of": of, "seconds": round(self.seconds, 2),
                "properties": findings}

    def as_junit(self) -> Xml.Element:
        """Return the report as an element of JUnit's XML."""
        suite = Xml.Element("testsuite", name=f"unit {self.unit}", tests=str(len(self.findings)),
                            failures=str(sum(not f.passed for f in self.findings)),
                            time=f"{self.seconds:.2f}")
        for finding in self.findings:
            case = Xml.SubElement(suite, "testcase", classname=f"unit{self.unit:02d}",
                                  name=finding.claim)
            if not finding.passed:
                Xml.SubElement(case, "failure", message=finding.message)
        return suite


def json_of_all(reports: Sequence[Report]) -> dict[str, Any]:
    """Return the reports of several units for a JSON file.

    Parameters
    ----------
    reports : sequence of Report
        One or more reports of one student.

    Returns
    -------
    dict
        The sums, and under ``"units"`` the reports.
    """
    points, of = (sum(numbers) for numbers in zip(*(r.points for r in reports), strict=True))
    return {"student": reports[0].student, "passed": all(r.passed for r in reports),
            "points": points, "of": of, "seconds": round(sum(r.seconds for r in reports), 2),
            "units": [r.as_json() for r in reports]}


def junit_of_all(reports: Sequence[Report]) -> str:
    """Return reports as JUnit's XML, without characters that XML does not allow.

    Parameters
    ----------
    reports : sequence of Report
        The reports.

    Returns
    -------
    str
        The text.
    """
    suites = Xml.Element("testsuites")
    suites.extend(report.as_junit() for report in reports)
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f]", "?", Xml.tostring(suites, encoding="unicode"))


def seed_of(student: str, unit: int) -> int:
    """Return the seed of a student's inputs, so that answers are not shared.

    Parameters
    ----------
    student : str
        The student's name.
    unit : int
        The unit.

    Returns
    -------
    int
        The seed.

    Examples
    --------
    >>> seed_of("Ada", 3) == seed_of("Ada", 3) != seed_of("Grace", 3)
    True
    """
    return crc32(f"{student} {unit}".encode())


def check(unit: Unit, files: dict[str, Path], student: str = "",
          timeout: float = process.TIMEOUT) -> Report:
    """Check a solution.

    The probes run with inputs that depend on the student's name, and once more with inputs that
    nobody knows in advance.

    Parameters
    ----------
    unit : Unit
        The unit.
    files : dict of str to Path
        The student's file for each module of the tasks.
    student : str
        The student's name.
    timeout : float
        Seconds until a solution is assumed never to end.

    Returns
    -------
    Report
        What was found.
    """
    begin = perf_counter()
    if (problem := _cannot_run(files)) is not None:
        return Report(unit.number, student, [problem], perf_counter() - begin)
    seeds = [seed_of(student, unit.number), secrets.randbits(32)]
    ended = process.probe(unit.number, seeds, {name: str(path) for name, path in files.items()},
                          timeout=timeout)
    expected = process.probe(unit.number, seeds).results or {}
    findings = judge(unit, ended, expected, [str(path) for path in files.values()])
    return Report(unit.number, student, findings, perf_counter() - begin)


def _cannot_run(files: dict[str, Path]) -> Finding | None:
    for path in files.values():
        if not path.is_file():
            return Finding("file", "The file is there", False,
                           f"there is no {path}; `start` writes it")
        try:
            ast.parse(path.read_bytes())  # as Python reads it, with a mark of Notepad's too
        except (SyntaxError, ValueError) as error:
            return Finding("syntax", "Python can read the file", False, f"{path}: {error}")
    return None


def judge(unit: Unit, ended: process.Ended, expected: dict[str, Any], files: list[str]
          ) -> list[Finding]:
    """Return a finding for each property.

    Parameters
    ----------
    unit : Unit
        The unit.
    ended : Ended
        The process with the student's functions.
    expected : dict
        The results with the library's functions.
    files : list of str
        The student's files.

    Returns
    -------
    list of Finding
        The findings; a single one if the process did not get to an end.
    """
    if ended.stack:
        return [Finding("time", "The solution ends", False,
                        f"time is up{_place_of_stack(ended.stack, files)}: is there a loop that "
                        "never ends?")]
    results = ended.results
    if results is None:
        return [Finding("end", "The solution runs", False,
                        f"the process ended with status {ended.code} before the check was done: "
                        "a solution does not end Python")]
    if "" in results:
        return [Finding("import", "The file can be imported", False,
                        _error(results[""], files))]
    return [_judge_one(item, results.get(item.name), expected[item.name], files)
            for item in unit.properties]


def _judge_one(item: Property, got: Any, expected: Any, files: list[str]) -> Finding:
    message = _compare(expected, got, files)
    return Finding(item.name, item.claim, not message, message, item.hints)


def _compare(expected: Any, got: Any, files: list[str]) -> str:
    if isinstance(got, dict) and "error" in got:
        return _error(got, files)
    try:
        if [len(run) for run in got] != [len(run) for run in expected]:
            return "the check got another number of results than it should"
        pairs = [pair for runs in zip(expected, got, strict=True)
                 for pair in zip(*runs, strict=True)]
        return next(filter(None, (difference(*pair) for pair in pairs)), "")
    except (TypeError, KeyError, ValueError):
        return "the check did not get its results"


def _error(described: Any, files: list[str]) -> str:
    """Return an error with the student's line that led to it."""
    own = [f"line {line} of {Path(file).name}, in {name}"
           for file, line, name in described["lines"] if file in files]
    if "NotImplementedError: write this" in described["error"]:
        return f"it is still to be written ({own[-1]})" if own else "it is still to be written"
    return f"{described['error']}" + (f" ({own[-1]})" if own else "")


def _place_of_stack(stack: str, files: list[str]) -> str:
    files = [file.encode("ascii", "backslashreplace").decode() for file in files]  # as in stack
    for file, line, name in re.findall(r'File "(.+)", line (\d+) in (.+)', stack):
        if file in files:
            return f" in {name}, line {line} of {Path(file).name}"
    return ""
