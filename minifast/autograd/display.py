"""How a tensor prints: in torch's form, which is what fastai's notebooks show."""
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

HostArray: TypeAlias = "np.ndarray[Any, Any]"
Writer: TypeAlias = Callable[[Any], str]
LINE, MANY, EDGE = 80, 1000, 3
"""Characters in a line; elements from which on only the first and last three are shown."""


def show_tensor(array: HostArray, requires_grad: bool = False, maker: str = "") -> str:
    """``tensor(-0.3661)``: the text that torch prints for these numbers.

    Four decimals, none if all numbers are whole, powers of ten if they are of very different
    size; a long array is shown by its edges.
    """
    short = array.size > MANY
    write, width = _style(_edges(array) if short else array)
    body = _block(array, lambda x: write(x).rjust(width), width, len("tensor("), short) \
        if array.size else "[]"
    return _with_notes("tensor(" + body, _notes(array, requires_grad, maker)) + ")"


def _edges(array: HostArray) -> HostArray:
    for axis, n in enumerate(array.shape):
        if n > 2 * EDGE:
            array = array.take([*range(EDGE), *range(n - EDGE, n)], axis)
    return array


def _style(array: HostArray) -> tuple[Writer, int]:
    """How one number is written, and how wide the widest is."""
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
    return _whole if whole else "{:.4f}".format


def _whole(x: float) -> str:
    return f"{x:.0f}." if np.isfinite(x) else str(float(x))


def _block(array: HostArray, write: Writer, width: int, indent: int, short: bool) -> str:
    """The array in brackets, its rows below each other, ``indent`` characters from the left."""
    if not array.ndim:
        return write(array[()])
    rows = [_block(row, write, width, indent + 1, short) for row in _shown(array, short)]
    if array.ndim > 1:
        per_line, below = 1, "," + "\n" * (array.ndim - 1)
    else:
        per_line, below = max(1, (LINE - indent) // (width + 2)), ",\n"
    if short and len(array) > 2 * EDGE:
        rows.insert(EDGE, " ..." if array.ndim == 1 else "...")
    lines = [", ".join(rows[i:i + per_line]) for i in range(0, len(rows), per_line)]
    return "[" + (below + " " * (indent + 1)).join(lines) + "]"


def _shown(array: HostArray, short: bool) -> list[Any]:
    return [*array[:EDGE], *array[-EDGE:]] if short and len(array) > 2 * EDGE else list(array)


def _notes(array: HostArray, requires_grad: bool, maker: str) -> list[str]:
    """What is said after the numbers."""
    usual = array.dtype in ((np.float32, np.int64, np.bool_) if array.size else (np.float32,))
    notes = [f"size={array.shape}"] if not array.size and array.ndim != 1 else []
    notes += [] if usual else [f"dtype={array.dtype}"]
    if maker:
        return [*notes, f"grad_fn=<{maker}>"]
    return [*notes, "requires_grad=True"] if requires_grad else notes


def _with_notes(text: str, notes: list[str]) -> str:
    column = len(text) - text.rfind("\n") + 1
    for note in notes:
        fits = column + len(note) + 2 <= LINE
        text += f", {note}" if fits else f",\n{' ' * len('tensor(')}{note}"
        column = column + len(note) + 2 if fits else len("tensor(") + len(note)
    return text
