"""The README's table of speed: ratios computed from docs/benchmarks.md.

    python -m benchmarks.readme     writes the table between its two markers

``python -m benchmarks --save`` does the same after it has written docs/benchmarks.md.
"""
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .contest import ROOT

README, REPORT = ROOT / "README.md", ROOT / "docs/benchmarks.md"
START, END = "<!-- speed -->", "<!-- /speed -->"
TORCH, FASTAI = "torch loop, {optimizer} ", "fastai collab_learner"


@dataclass(frozen=True)
class Line:
    """A line of the table: its words, its case in the report as a pattern, the contestant."""

    words: str
    case: str
    contestant: str
    optimizer: str = "AdamW"


LINES = [
    Line("Notebook, batch size 64", r"\d+ ratings, batch 64", "minifast Learner"),
    Line("Notebook, batch size 64, plain path", r"\d+ ratings, batch 64",
         "minifast Learner, plain"),
    Line("Notebook, batch size 1024", r"\d+ ratings, batch 1024", "minifast Learner"),
    Line("Notebook, batch size 16384", r"\d+ ratings, batch 16384", "minifast Learner"),
    Line("A student's own model with four embeddings, batch size 64",
         r"own model, \d+ ratings, batch 64", "minifast loop, AdamW"),
    Line("MovieLens 25M's size, batch size 4096", r"\d+ users, \d+ items, batch 4096",
         "minifast loop, AdamW"),
    Line("MovieLens 25M's size, batch size 4096, SGD", r"\d+ users, \d+ items, batch 4096",
         "minifast loop, SGD", "SGD"),
    Line("MovieLens 25M's size, batch size 65536", r"\d+ users, \d+ items, batch 65536",
         "minifast loop, AdamW"),
    Line("MLP 784-512-256-10, batch size 128", r"MLP, batch 128", "minifast loop, AdamW"),
    Line("resnet10 on 8 x 8 pixels, batch size 64", r"resnet10, batch 64", "minifast loop, AdamW"),
]


def cells(report: str) -> Iterator[list[str]]:
    """Yield the cells of the report's rows that were measured with one thread."""
    for row in re.findall(r"^\| (.*) \|$", report, re.MULTILINE):
        found = row.split(" | ")
        if len(found) == 8 and found[2] == "1" and re.fullmatch(r"[\d.]+", found[5]):
            yield found


def ratio(rows: Sequence[Sequence[str]], line: Line, peer: str) -> float | None:
    """Return the time of the fastest of a library's forms, divided by minifast's.

    Parameters
    ----------
    rows : sequence of sequence of str
        Cells of the report.
    line : Line
        The line of the table.
    peer : str
        How the names of the library's contestants begin.

    Returns
    -------
    float or None
        None if the report does not have both.
    """
    of_case = [row for row in rows if re.fullmatch(line.case, row[0])]
    ours = [float(row[5]) for row in of_case if row[1] == line.contestant]
    theirs = [float(row[5]) for row in of_case
              if row[1].startswith(peer.format(optimizer=line.optimizer))]
    return min(theirs) / ours[0] if ours and theirs else None


def table(report: str) -> str:
    """Return the README's table for the text of a report; lines not measured are left out."""
    rows = list(cells(report))
    lines = ["| Training with one thread | torch, fastest raw loop | fastai 2 |", "|---|---|---|"]
    for line in LINES:
        found = [ratio(rows, line, peer) for peer in (TORCH, FASTAI)]
        if found[0] is not None:
            lines.append(f"| {line.words} | {' | '.join(map(shown, found))} |")
    return "\n".join(lines)


def shown(value: float | None) -> str:
    """Return a ratio with two digits, and nothing for None.

    >>> shown(2.188), shown(17.27), shown(None)
    ('2.2', '17', '')
    """
    return "" if value is None else f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


def with_table(readme: str, report: str) -> str:
    """Return the text of the README with the table between the markers replaced.

    Parameters
    ----------
    readme, report : str
        The texts of the README and of the report.

    Returns
    -------
    str
        The new text of the README.

    Raises
    ------
    ValueError
        If the README lacks the markers.
    """
    if START not in readme or END not in readme.partition(START)[2]:
        raise ValueError(f"the README has no table of speed between {START} and {END}")
    before, _, rest = readme.partition(START)
    return f"{before}{START}\n{table(report)}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Write the table into the README."""
    README.write_text(with_table(README.read_text(), REPORT.read_text()))


if __name__ == "__main__":
    main()
