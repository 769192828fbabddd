"""Batch normalisation as one primitive (Ioffe and Szegedy 2015, section 3)."""
import numpy as np

from ..backend import Array
from .primitive import primitive


def as_rows(x: Array) -> Array:
    """(bs, n, ...) as (-1, n): the channels of every pixel. A view if channels lie last."""
    return x.transpose(0, *range(2, x.ndim), 1).reshape(-1, x.shape[1])


def as_images(rows: Array, bs: int, size: tuple[int, ...]) -> Array:
    """The way back: (-1, n) to (bs, n, ...), a view with channels last in memory."""
    return channels_second(rows.reshape(bs, *size, rows.shape[1]))


def channels_second(x: Array) -> Array:
    """(bs, ..., n) to (bs, n, ...): a view."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def column_sums(rows: Array) -> Array:
    """Sums over the first axis; of many rows as a matrix product, which takes a tenth of the time.
    """
    return rows.sum(0) if len(rows) < 1024 else np.ones_like(rows[:, 0]) @ rows


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and variance (n,) of every feature of x (bs, n, ...), over the batch and all places."""
    rows = as_rows(x)
    mean = column_sums(rows) / len(rows)
    centred = rows - mean
    return mean, column_sums(centred * centred) / len(rows)


def _standard(x: Array, mean: Array, var: Array, eps: float) -> Array:
    rows = as_rows(x) - mean
    rows /= np.sqrt(var + eps)
    return rows


def _to_weight(g: Array, y: Array, x: Array, weight: Array, bias: Array, mean: Array, var: Array,
               eps: float, own: bool) -> Array:
    return column_sums(as_rows(g) * _standard(x, mean, var, eps))


def _to_input(g: Array, y: Array, x: Array, weight: Array, bias: Array, mean: Array, var: Array,
              eps: float, own: bool) -> Array:
    rows, scale = as_rows(g), 1 / np.sqrt(var + eps)
    if own:  # x also moves its own mean and variance
        centred, n = as_rows(x) - mean, len(rows)
        along = column_sums(rows * centred) * scale * scale / n
        centred *= along
        centred += column_sums(rows) / n
        rows = rows - centred
    return as_images(rows * (scale * weight), len(x), x.shape[2:])


@primitive(_to_input, _to_weight,
           lambda g, y, x, weight, bias, mean, var, eps, own: column_sums(as_rows(g)))
def batch_norm(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float,
               own: bool) -> Array:
    """(x - mean) / sqrt(var + eps) * weight + bias for every feature of x (bs, n, ...).

    ``own`` says that mean and variance are those of x itself, which its gradient must follow
    too; otherwise they are numbers from elsewhere.
    """
    rows = _standard(x, mean, var, eps)
    rows *= weight
    rows += bias
    return as_images(rows, len(x), x.shape[2:])
