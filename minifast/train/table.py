"""The table that grows by a row each epoch."""
from html import escape
from typing import Any

from ..autograd.display import as_html, in_notebook, show_html


def format_time(seconds: float) -> str:
    """MM:SS, or H:MM:SS from an hour on.

    >>> format_time(65), format_time(3661)
    ('01:05', '1:01:01')
    """
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m:02d}:{s:02d}"


def format_cell(value: Any) -> str:
    """fastai's cells: six decimals, ``#na#`` for what is missing.

    >>> format_cell(3), format_cell(.81707), format_cell(None)
    ('3', '0.817070', '#na#')
    """
    if value is None:
        return "#na#"
    return f"{value:.6f}" if isinstance(value, float) else str(value)


class EpochTable:
    """One row per epoch: lines in a terminal, an HTML table that grows in a notebook.

    >>> EpochTable(["epoch", "train_loss"]).write([0, .5])
    epoch     train_loss
    0         0.500000
    """

    def __init__(self, names: list[str], silent: bool = False) -> None:
        self.names, self.silent = names, silent
        self.widths = [max(8, len(name)) + 2 for name in names]
        self.rows: list[list[str]] = []
        self._handle: Any = None
        if not silent and not in_notebook():
            self._print(names)

    def _print(self, cells: list[str]) -> None:
        print("".join(cell.ljust(max(width, len(cell) + 2))
                      for cell, width in zip(cells, self.widths, strict=False)), flush=True)

    def write(self, row: list[Any]) -> None:
        """Add a row."""
        cells = [format_cell(value) for value in row]
        self.rows.append(cells)
        if self.silent:
            return
        if not in_notebook():
            self._print(cells)
        elif self._handle is None:
            self._handle = show_html(self.html(), display_id=f"epochs-{id(self)}")
        else:
            self._handle.update(as_html(self.html()))

    def html(self) -> str:
        """The table so far."""
        def line(cells: list[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells) + "</tr>"
        body = "".join(line(row, "td") for row in self.rows)
        return f'<table border="1" class="dataframe">{line(self.names, "th")}{body}</table>'
