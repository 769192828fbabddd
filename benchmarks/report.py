"""Results as Markdown."""
from collections.abc import Iterator, Sequence
from statistics import median

from .contest import Result
from .families import Family
from .machine import machine, versions

READING = """\
Every contestant runs in a process of its own, with the number of threads that its line says; they
are asked in turn, a round each, and the first round of each does not count. Times are medians, with
the shortest and the longest beside them. The ratio is to the first line of minifast with the same
optimizer and the same number of threads: above 1, minifast is faster. Peak memory is that of the
whole process, libraries and mapped data included. The same last loss shows that the same work
was done; a Learner follows a schedule, and has a smoothed one. By hand is without a framework, in
NumPy (sums of rows in SciPy), with dense updates."""


def duration(seconds: float) -> str:
    """Three digits and a unit.

    >>> duration(.0001234), duration(2.5)
    ('123 us', '2.50 s')
    """
    for unit, size in (("s", 1.), ("ms", 1e-3)):
        if seconds >= size:
            return f"{digits(seconds / size)} {unit}"
    return f"{digits(seconds / 1e-6)} us"


def digits(value: float) -> str:
    """Three of them, or all before the point."""
    return f"{value:.{max(0, 3 - len(str(int(value))))}f}"


def base(result: Result, results: Sequence[Result]) -> Result | None:
    """The minifast that a contestant is compared with."""
    def kind(r: Result) -> tuple[str, str, int]:
        return r.case, r.contestant.optimizer, r.threads
    return next((r for r in results if r.contestant.library == "minifast"
                 and kind(r) == kind(result)), None)


def row(result: Result, results: Sequence[Result]) -> str:
    """A line of the table."""
    ours, middle = base(result, results), median(result.seconds)
    ratio = f"{middle / median(ours.seconds):.2f}" if ours else "-"
    loss = f"{result.loss:.4f}" if result.loss == result.loss else "-"
    peak = f"{result.peak / 2**20:.0f} MiB" if result.peak else "-"
    cells = (result.case, result.contestant.name, str(result.threads), duration(middle),
             f"{duration(min(result.seconds))} to {duration(max(result.seconds))}", ratio, peak,
             loss)
    return f"| {' | '.join(cells)} |"


def head(command: str) -> Iterator[str]:
    """The machine and how the tables came about."""
    yield f"# Benchmarks\n\n{machine('cpu')}\n\nCommand: `{command}`\n\n{READING}"


def table(family: Family, results: Sequence[Result]) -> Iterator[str]:
    """A family's table."""
    yield f"\n## {family.title}\n"
    yield f"| case | contestant | threads | time per {family.per} | shortest to longest " \
          "| ratio to minifast | peak memory | last loss |"
    yield "|---|---|---|---|---|---|---|---|"
    yield from (row(result, results) for result in results)


def foot(peers: dict[str, str], notes: dict[str, str]) -> Iterator[str]:
    """Who took part, and who could not."""
    here = ", ".join(f"{name} {version}" for name, version in sorted(peers.items())
                     if name != "numpy")
    yield f"\n{versions()}" + (f". Peers: {here}." if here else ".")
    for name, why in notes.items():
        yield f"\nNot measured: {name} ({why})."
