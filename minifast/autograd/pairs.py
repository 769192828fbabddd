"""Pairs of rows of one table, and the gradient of their products: each other."""

import numpy as np

from ..backend import Array
from .ops import row_dot_bias
from .primitive import primitive
from .rows import Rows


def _partners(g: Array, y: Array, found: Array, rows: Array, shape: tuple[int, ...]) -> Rows:
    """The gradient of a row [u, b] is g [v, 1], and that of [v, c] is g [u, 1]: the rows that are
    there already, each in the place of its partner, and a number for each."""
    width = shape[1]
    values = found.reshape(2, -1, width)[::-1].copy().reshape(-1, width)
    values[:, -1] = 1
    return Rows(rows, values, shape, np.concatenate((g, g)))


@primitive(_partners)
def pair_dot_bias(found: Array, rows: Array, shape: tuple[int, ...]) -> Array:
    """u . v + b + c for each pair of rows of a table of that shape, to (bs,).

    ``found`` (2 bs, n + 1) is what stands in the table at ``rows``: all [u, b], then all [v, c].
    """
    u, v = found.reshape(2, -1, shape[1])
    return row_dot_bias.forward(u[:, :-1], v[:, :-1], u[:, -1:], v[:, -1:])
