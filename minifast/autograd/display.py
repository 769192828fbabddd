"""Output: tensors printed as torch prints them, and tables in notebooks and terminals."""
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

HostArray: TypeAlias = "np.ndarray[Any, Any]"
Writer: TypeAlias = Callable[[Any], str]
# characters in a line; arrays of more than MANY elements show EDGE of them at each end of an axis
LINE, MANY, EDGE = 80, 1000, 3

# ---------------------------------------------------------------- tensors


def show_tensor(array: HostArray, requires_grad: bool = False, maker: str = "") -> str:
    """Return the text that torch prints for a tensor, such as ``tensor(-0.3661)``.

    Numbers have four decimals, none if all are whole, and exponents if they differ much in size.

    Parameters
    ----------
    array : ndarray
        The values.
    requires_grad : bool
        Whether the tensor requires a gradient.
    maker : str
        The operation that made it; empty for a leaf.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> show_tensor(np.array([-.3661, 2.], np.float32), requires_grad=True)
    'tensor([-0.3661,  2.0000], requires_grad=True)'
    """
    short = array.size > MANY
    write, width = _style(_edges(array) if short else array)
    body = _block(array, lambda x: write(x).rjust(width), width, len("tensor("), short) \
        if array.size else "[]"
    return _with_notes("tensor(" + body, _notes(array, requires_grad, maker)) + ")"


def _edges(array: HostArray) -> HostArray:
    """Return the elements of a large array that are shown."""
    for axis, n in enumerate(array.shape):
        if n > 2 * EDGE:
            array = array.take([*range(EDGE), *range(n - EDGE, n)], axis)
    return array


def _style(array: HostArray) -> tuple[Writer, int]:
    """Return the function that writes one number, and the width of the widest."""
    if array.dtype.kind != "f":
        return str, max(map(len, map(str, array.flat)), default=1)
    sized = array[np.isfinite(array) & (array != 0)].astype(np.float64)
    write = _float_style(np.abs(sized))
    return write, max(map(len, map(write, sized)), default=1)


def _float_style(sizes: HostArray) -> Writer:
    whole = bool((sizes == np.floor(sizes)).all())
    if sizes.size and (sizes.max() > 1e8 or sizes.max() / sizes.min() > 1000
                       or (not whole and sizes.min() < 1e-4)):
        return "{:.4e}".format
    if whole:
        return lambda x: f"{x:.0f}." if np.isfinite(x) else str(float(x))
    return "{:.4f}".format


def _block(array: HostArray, write: Writer, width: int, indent: int, short: bool) -> str:
    """Return the array in brackets, its rows below each other, indented by ``indent``."""
    if not array.ndim:
        return write(array[()])
    cut = short and len(array) > 2 * EDGE
    shown = [*array[:EDGE], *array[-EDGE:]] if cut else array
    rows = [_block(row, write, width, indent + 1, short) for row in shown]
    if array.ndim > 1:
        per_line, below = 1, "," + "\n" * (array.ndim - 1)
    else:
        per_line, below = max(1, (LINE - indent) // (width + 2)), ",\n"
    if cut:
        rows.insert(EDGE, " ..." if array.ndim == 1 else "...")
    lines = [", ".join(rows[i:i + per_line]) for i in range(0, len(rows), per_line)]
    return "[" + (below + " " * (indent + 1)).join(lines) + "]"


def _notes(array: HostArray, requires_grad: bool, maker: str) -> list[str]:
    """Return what is printed after the numbers."""
    usual = array.dtype in ((np.float32, np.int64, np.bool_) if array.size else (np.float32,))
    notes = [f"size={array.shape}"] if not array.size and array.ndim != 1 else []
    notes += [] if usual else [f"dtype={array.dtype}"]
    if maker:
        return [*notes, f"grad_fn=<{maker}>"]
    return [*notes, "requires_grad=True"] if requires_grad else notes


def _with_notes(text: str, notes: list[str]) -> str:
    """Append the notes; one that does not fit starts a new line."""
    column = len(text) - text.rfind("\n") + 1
    for note in notes:
        fits = column + len(note) + 2 <= LINE
        text += f", {note}" if fits else f",\n{' ' * len('tensor(')}{note}"
        column = column + len(note) + 2 if fits else len("tensor(") + len(note)
    return text


# ---------------------------------------------------------------- notebooks and terminals


def in_notebook() -> bool:
    """Return whether the code runs in a Jupyter kernel.

    Examples
    --------
    >>> in_notebook()
    False
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


def show_table(table: Any) -> None:
    """Show a frame without its index: HTML in a notebook, text in a terminal.

    See ``cell_writer`` for how numbers are written.

    Parameters
    ----------
    table : pandas.DataFrame
        The frame.

    Examples
    --------
    >>> import pandas as pd
    >>> show_table(pd.DataFrame({"userId": [1], "target": [3.]}))
     userId  target
          1     3.0
    """
    writers = [cell_writer(table.iloc[:, i]) for i in range(table.shape[1])]
    show, write = (show_html, table.to_html) if in_notebook() else (print, table.to_string)
    show(write(index=False, formatters=writers))


def cell_writer(column: Any) -> Writer | None:
    """Return the function that writes the numbers of a column as people do.

    All numbers have the same decimals, one or more: as few as show them exactly, but not more
    than two, or three digits of the largest. Columns of huge or tiny numbers have exponents.

    Parameters
    ----------
    column : pandas.Series (n,)
        Cells of a table: floats, arrays, or something else.

    Returns
    -------
    callable or None
        Returns the text of a cell; None if pandas should write the cells.

    Examples
    --------
    >>> import pandas as pd
    >>> [cell_writer(pd.Series(values))(values[0]) for values in
    ...  ([4., 3.], [3.8712, 4.2], [-1e-7, 52.5], [.01234, .0511], [-7.5, 2.25])]
    [' 4.0', ' 3.87', ' 0.0', ' 0.0123', '-7.50']
    """
    if column.dtype == object and any(getattr(cell, "ndim", 0) for cell in column):
        return lambda cell: np.array2string(getattr(cell, "numpy", lambda: cell)(), threshold=6,
                                            edgeitems=2, precision=3, suppress_small=True)
    if column.dtype.kind != "f":
        return None
    known = column[np.isfinite(column)].to_numpy(np.float64)
    if not 1e-4 <= (largest := np.abs(known).max(initial=0) or 1.) < 1e7:
        return "{: .2e}".format
    most = max(2, 2 - int(np.floor(np.log10(largest))))
    exact = (n for n in range(1, most) if np.abs(known.round(n) - known).max() <= 1e-6 * largest)
    decimals = next(exact, most) if len(known) else 1
    return lambda x: f"{round(float(x), decimals) + 0.: .{decimals}f}"  # not -0.0


def show_html(html: str, display_id: str | None = None, update: bool = False) -> None:
    """Show HTML in a notebook.

    Parameters
    ----------
    html : str
        The text.
    display_id : str, optional
        A name under which the output can be replaced.
    update : bool
        Whether to replace the output of this name.

    Examples
    --------
    >>> show_html("<b>bold</b>")
    <IPython.core.display.HTML object>
    """
    from IPython.display import HTML, display
    display(HTML(html), display_id=display_id, update=update)  # type: ignore[no-untyped-call]


class DisplayLine:
    """A file object for a progress bar in a notebook: each line replaces the one before.

    When the bar clears its line, nothing is left in the saved output.
    """

    encoding = "utf-8"
    handle: Any = None

    def write(self, text: str) -> None:
        """Show ``text`` in place of the line before.

        Parameters
        ----------
        text : str
            The line.

        Examples
        --------
        >>> DisplayLine().write("epoch 1/2")
        {'text/plain': 'epoch 1/2'}
        """
        line = {"text/plain": text.strip("\r\n ")}
        if self.handle is not None:
            self.handle.update(line, raw=True)
        elif line["text/plain"]:
            from IPython.display import display
            self.handle = display(line, raw=True, display_id=True)  # type: ignore[no-untyped-call]
