"""Every primitive operation, its derivative rules above its formula.

A rule takes the gradient ``g`` of the output, the output ``y``, then the inputs; it gives the
gradient of its own input. The engine undoes broadcasting and calls a rule only for an input
that needs a gradient. All other operations are composed of these.
"""
from typing import Any

import numpy as np

from ..backend import Array, backend_of
from .primitive import primitive

Axis = int | tuple[int, ...] | None

# ---------------------------------------------------------------- arithmetic, with broadcasting


@primitive(lambda g, y, a, b: g,
           lambda g, y, a, b: g)
def add(a: Array, b: Array) -> Array:
    return a + b


@primitive(lambda g, y, a, b: g,
           lambda g, y, a, b: -g)
def sub(a: Array, b: Array) -> Array:
    return a - b


@primitive(lambda g, y, a, b: g * b,
           lambda g, y, a, b: g * a)
def mul(a: Array, b: Array) -> Array:
    return a * b


@primitive(lambda g, y, a, b: g / b,
           lambda g, y, a, b: -g * y / b)
def div(a: Array, b: Array) -> Array:
    return a / b


@primitive(lambda g, y, a, b: g * b * a ** (b - 1),
           lambda g, y, a, b: g * y * np.log(a, dtype=y.dtype))
def pow_(a: Array, b: Array) -> Array:
    return a ** b


@primitive(lambda g, y, a: -g)
def neg(a: Array) -> Array:
    return -a


@primitive(lambda g, y, a, b: g * (a >= b),
           lambda g, y, a, b: g * (a < b))
def maximum(a: Array, b: Array) -> Array:
    return np.maximum(a, b)


@primitive(lambda g, y, a, b: g * (a <= b),
           lambda g, y, a, b: g * (a > b))
def minimum(a: Array, b: Array) -> Array:
    return np.minimum(a, b)


@primitive(None,
           lambda g, y, chosen, a, b: np.where(chosen, g, 0),
           lambda g, y, chosen, a, b: np.where(chosen, 0, g))
def where(chosen: Array, a: Array, b: Array) -> Array:
    return np.where(chosen, a, b)


# ---------------------------------------------------------------- functions of one number


@primitive(lambda g, y, a: g * y)
def exp(a: Array) -> Array:
    return np.exp(a)


@primitive(lambda g, y, a: g / a)
def log(a: Array) -> Array:
    return np.log(a)


@primitive(lambda g, y, a: g / (2 * y))
def sqrt(a: Array) -> Array:
    return np.sqrt(a)


@primitive(lambda g, y, a: g * np.sign(a))
def abs_(a: Array) -> Array:
    return np.abs(a)


@primitive(lambda g, y, a: g * (1 - y * y))
def tanh(a: Array) -> Array:
    return np.tanh(a)


@primitive(lambda g, y, a: g * (y > 0))
def relu(a: Array) -> Array:
    zero = np.zeros_like(a)  # with an array NumPy takes five times less time than with a number
    return np.maximum(a, zero, out=zero)


def _sigmoid(a: Array) -> Array:
    e = np.exp(-np.abs(a))  # at most 1, so it cannot overflow
    y = np.maximum(e, a >= 0)  # 1 where a >= 0, else e
    return y / (e + 1)


@primitive(lambda g, y, a: g * y * (1 - y))
def sigmoid(a: Array) -> Array:
    return _sigmoid(a)


@primitive(lambda g, y, a, low, high: g * (y - low) * (high - y) * (1 / (high - low)))
def sigmoid_range(a: Array, low: float, high: float) -> Array:
    y = _sigmoid(a)
    y *= high - low
    if low:
        y += low
    return y


@primitive(lambda g, y, a, low, high: g * (y == a))
def clip(a: Array, low: float | None, high: float | None) -> Array:
    return np.clip(a, low, high)


# ---------------------------------------------------------------- reductions


def _spread(g: Array, a: Array, axis: Axis, keepdims: bool) -> Array:
    """Give a reduced array its axes back, so that it broadcasts against what was reduced."""
    return g if keepdims or axis is None else np.expand_dims(g, axis)


def _share_of_ties(y: Array, a: Array, axis: Axis, keepdims: bool) -> Array:
    hit = a == _spread(y, a, axis, keepdims)
    return hit / hit.sum(axis=axis, keepdims=True, dtype=a.dtype)


@primitive(lambda g, y, a, axis=None, keepdims=False:
           np.broadcast_to(_spread(g, a, axis, keepdims), a.shape))
def sum_(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return a.sum(axis=axis, keepdims=keepdims)


@primitive(lambda g, y, a, axis=None, keepdims=False:
           np.broadcast_to(_spread(g * (y.size / a.size), a, axis, keepdims), a.shape))
def mean(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return a.mean(axis=axis, keepdims=keepdims)


@primitive(lambda g, y, a, axis=None, keepdims=False:
           _spread(g, a, axis, keepdims) * _share_of_ties(y, a, axis, keepdims))
def max_(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return a.max(axis=axis, keepdims=keepdims)


@primitive(lambda g, y, a, axis=None, keepdims=False:
           _spread(g, a, axis, keepdims) * _share_of_ties(y, a, axis, keepdims))
def min_(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return a.min(axis=axis, keepdims=keepdims)


# ---------------------------------------------------------------- shape


@primitive(lambda g, y, a, shape: g.reshape(a.shape))
def reshape(a: Array, shape: tuple[int, ...]) -> Array:
    return a.reshape(shape)


@primitive(lambda g, y, a, axes: g.transpose(np.argsort(axes).tolist()))
def transpose(a: Array, axes: tuple[int, ...]) -> Array:
    return a.transpose(axes)


@primitive(lambda g, y, a, shape: g)  # the engine sums a broadcast gradient back
def broadcast_to(a: Array, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(a, shape)


def _piece(g: Array, y: Array, position: int, *arrays: Array, axis: int) -> Array:
    start = sum(a.shape[axis] for a in arrays[:position])
    place = [slice(None)] * g.ndim
    place[axis] = slice(start, start + arrays[position].shape[axis])
    return g[tuple(place)]


@primitive(each=_piece)
def concatenate(*arrays: Array, axis: int) -> Array:
    return np.concatenate(arrays, axis=axis)


def _put_back(g: Array, y: Array, a: Array, index: Any) -> Array:
    back = np.zeros_like(a)
    backend_of(a).scatter_add(back, index, g)
    return back


@primitive(_put_back)
def getitem(a: Array, index: Any) -> Array:
    return a[index]


# ---------------------------------------------------------------- products and lookups


def _matmul_left(g: Array, y: Array, a: Array, b: Array) -> Array:
    if b.ndim == 1:
        return np.expand_dims(g, -1) * b
    return (np.expand_dims(g, -2) @ np.swapaxes(b, -1, -2))[..., 0, :] if a.ndim == 1 \
        else g @ np.swapaxes(b, -1, -2)


def _matmul_right(g: Array, y: Array, a: Array, b: Array) -> Array:
    if a.ndim == 1:
        return a * g if b.ndim == 1 else np.expand_dims(a, -1) * np.expand_dims(g, -2)
    if b.ndim == 1:
        return (np.swapaxes(a, -1, -2) @ np.expand_dims(g, -1))[..., 0]
    return np.swapaxes(a, -1, -2) @ g


@primitive(_matmul_left, _matmul_right)
def matmul(a: Array, b: Array) -> Array:
    return a @ b


@primitive(lambda g, y, x, w, b: g @ w,
           lambda g, y, x, w, b: g.reshape(-1, g.shape[-1]).T @ x.reshape(-1, x.shape[-1]),
           lambda g, y, x, w, b: g)
def linear(x: Array, w: Array, b: Array) -> Array:
    return x @ w.T + b


@primitive(lambda g, y, a, b: g[..., None] * b,
           lambda g, y, a, b: g[..., None] * a)
def row_dot(a: Array, b: Array) -> Array:
    return backend_of(a).row_dot(a, b)


@primitive(lambda g, y, u, v, b, c: g[..., None] * v,
           lambda g, y, u, v, b, c: g[..., None] * u,
           lambda g, y, u, v, b, c: g[..., None],
           lambda g, y, u, v, b, c: g[..., None])
def row_dot_bias(u: Array, v: Array, b: Array, c: Array) -> Array:
    """u . v + b + c for each row: factors (bs, n), biases (bs, 1), to (bs,)."""
    y = backend_of(u).row_dot(u, v)
    y += b.squeeze(-1)
    y += c.squeeze(-1)
    return y


@primitive(_put_back)
def lookup(table: Array, rows: Array) -> Array:
    return backend_of(table).gather(table, rows)


# ---------------------------------------------------------------- losses, fused


def _log_softmax(a: Array) -> Array:
    shifted = a - a.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


@primitive(lambda g, y, a: g - np.exp(y) * g.sum(axis=-1, keepdims=True))
def log_softmax(a: Array) -> Array:
    return _log_softmax(a)


def _softmax_minus_one_hot(g: Array, y: Array, a: Array, target: Array) -> Array:
    one_hot = np.arange(a.shape[1], like=target) == target[:, None]
    return (np.exp(_log_softmax(a)) - one_hot) * g[:, None]


@primitive(_softmax_minus_one_hot)
def cross_entropy(a: Array, target: Array) -> Array:
    """-log softmax(a)[target] for each row: scores (n, classes), classes (n,) to losses (n,)."""
    return -_log_softmax(a)[np.arange(len(target), like=target), target]


@primitive(lambda g, y, pred, target: (pred - target) * (g * (2 / pred.size)),
           lambda g, y, pred, target: (target - pred) * (g * (2 / pred.size)))
def mean_squared_error(pred: Array, target: Array) -> Array:
    difference = (pred - target).reshape(-1)
    return difference @ difference / difference.size


@primitive(lambda g, y, a, target: g * (_sigmoid(a) - target),
           lambda g, y, a, target: -g * a)
def binary_cross_entropy(a: Array, target: Array) -> Array:
    """-log p(target) of p = sigmoid(a), element by element, with no overflow for any a."""
    return np.maximum(a, 0) - a * target + np.log1p(np.exp(-np.abs(a)))
