"""Tables of text with aligned columns."""
from collections.abc import Iterable, Sequence


class Text(str):
    """A string that a notebook shows as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def text_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows of text as a table between horizontal rules.

    Parameters
    ----------
    head : sequence of str
        The heads of the columns.
    rows : iterable of sequence of str
        The cells of each row, one per column.

    Returns
    -------
    str
        The table. A column is as wide as its widest cell.

    Examples
    --------
    >>> print(text_table(["name", "n"], [["a", "10"]]))
    ________
    name  n
    ________
    a     10
    ________
    """
    cells = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    rule = "_" * max(map(len, lines))
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])
