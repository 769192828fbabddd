"""Pairs of rows of one table, and the gradient of their products: each other."""

from ..backend import Array
from .ops import row_dot_bias
from .primitive import primitive
from .rows import Rows


def _partners(g: Array, y: Array, found: Array, rows: Array, shape: tuple[int, ...]) -> Rows:
    """The gradient of a row [u, b] is g [v, 1], and that of [v, c] is g [u, 1]: the rows that are
    there already, each in the place of its partner, and a number for each."""
    width = shape[1]
    values = found.reshape(-1, 2, width)[:, ::-1].copy().reshape(-1, width)
    values[:, -1] = 1
    return Rows(rows, values, shape, g.repeat(2))


@primitive(_partners)
def pair_dot_bias(found: Array, rows: Array, shape: tuple[int, ...]) -> Array:
    """u . v + b + c for each pair of rows of a table of that shape, to (bs,).

    ``found`` [u, b], [v, c], [u, b] ... (2 bs, n + 1) is what stands in the table at ``rows``.
    """
    u, v = found[::2], found[1::2]
    return row_dot_bias.forward(u[:, :-1], v[:, :-1], u[:, -1:], v[:, -1:])
