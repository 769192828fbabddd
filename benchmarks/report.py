"""The report: results as Markdown."""
from collections.abc import Iterator, Sequence
from statistics import median

from .contest import Result
from .families import Family
from .machine import machine, versions

READING = """\
Every contestant runs in a process of its own, with the number of threads in its line. They take
turns, one round each; the first round of each does not count. Times are medians, followed by the
shortest and the longest. The ratio is the time divided by that of the first line of minifast with
the same optimizer and the same number of threads: above 1, minifast is faster. Peak memory is that
of the whole process, including libraries and mapped data. Equal last losses show that the same work
was done; the loss of a Learner is smoothed, and its training follows a schedule. A loop of minifast
enters the fast path once, before its first round; "plain" is training without the fast path.
"NumPy by hand" uses no framework: NumPy, SciPy for sums of rows, and dense updates."""


def duration(seconds: float) -> str:
    """Return seconds as text with three digits and a unit.

    >>> duration(.0001234), duration(2.5)
    ('123 us', '2.50 s')
    """
    for unit, size in (("s", 1.), ("ms", 1e-3)):
        if seconds >= size:
            return f"{digits(seconds / size)} {unit}"
    return f"{digits(seconds / 1e-6)} us"


def digits(value: float) -> str:
    """Return a number with three digits, or with all digits before the point."""
    return f"{value:.{max(0, 3 - len(str(int(value))))}f}"


def base(result: Result, results: Sequence[Result]) -> Result | None:
    """Return the result of minifast that another one is compared with."""
    def kind(r: Result) -> tuple[str, str, int]:
        return r.case, r.contestant.optimizer, r.threads
    return next((r for r in results if r.contestant.library == "minifast"
                 and kind(r) == kind(result)), None)


def row(result: Result, results: Sequence[Result]) -> str:
    """Return a line of the table."""
    ours, middle = base(result, results), median(result.seconds)
    ratio = f"{middle / median(ours.seconds):.2f}" if ours else "-"
    loss = f"{result.loss:.4f}" if result.loss == result.loss else "-"
    peak = f"{result.peak / 2**20:.0f} MiB" if result.peak else "-"
    cells = (result.case, result.contestant.name, str(result.threads), duration(middle),
             f"{duration(min(result.seconds))} to {duration(max(result.seconds))}", ratio, peak,
             loss)
    return f"| {' | '.join(cells)} |"


def head(command: str) -> Iterator[str]:
    """Yield the machine, the command and how to read the tables."""
    yield f"# Benchmarks\n\n{machine('cpu')}\n\nCommand: `{command}`\n\n{READING}"


def table(family: Family, results: Sequence[Result]) -> Iterator[str]:
    """Yield a family's table."""
    yield f"\n## {family.title}\n"
    yield f"| case | contestant | threads | time per {family.per} | shortest to longest " \
          "| ratio to minifast | peak memory | last loss |"
    yield "|---|---|---|---|---|---|---|---|"
    yield from (row(result, results) for result in results)


def foot(peers: dict[str, str], notes: dict[str, str]) -> Iterator[str]:
    """Yield the versions of all who took part, and why others did not."""
    here = ", ".join(f"{name} {version}" for name, version in sorted(peers.items())
                     if name != "numpy")
    yield f"\n{versions()}" + (f". Peers: {here}." if here else ".")
    for name, why in notes.items():
        yield f"\nNot measured: {name} ({why})."
