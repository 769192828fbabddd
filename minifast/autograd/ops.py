"""The primitives: each operation with its derivative rules above its formula.

A rule gets the gradient ``g`` of the output, the output ``y`` and the inputs, and returns the
gradient of one input. The tape undoes broadcasting, and calls a rule only for an input that needs
a gradient. All other operations are composed of these.

Rules run on arrays, or on tensors if their results are to be differentiated again. A rule that
fills an array in place is therefore itself a primitive, with its own rule.
"""
from functools import cache, partial
from math import prod
from types import EllipsisType, NoneType
from typing import Any, TypeAlias

import numpy as np

from ..backend import Array, backend_of
from .primitive import Primitive, primitive

Axis: TypeAlias = int | tuple[int, ...] | None


def floats(a: Array) -> Array:
    """Return integers as float32, as torch does; NumPy's root of uint8 would be float16.

    Parameters
    ----------
    a : array
        Numbers of any type.

    Returns
    -------
    array
        ``a`` itself if it holds floats.

    Examples
    --------
    >>> floats(np.array([1, 2])).dtype
    dtype('float32')
    """
    return a if getattr(a, "dtype", np.dtype(float)).kind == "f" else a.astype(np.float32)


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


# the first rule is 0 at b = 0, the second is 0 at a = 0 unless b < 0, as in torch
@primitive(lambda g, y, a, b: g * b * a ** (b - (b != 0)),
           lambda g, y, a, b: g * y * np.log(a + ((b >= 0) & (a == 0)).astype(y.dtype)))
def pow_(a: Array, b: Array) -> Array:
    return a ** b


@primitive(lambda g, y, a: -g)
def neg(a: Array) -> Array:
    return -a


@primitive(lambda g, y, a, b: g * ~(a < b),
           lambda g, y, a, b: g * ~(a >= b))
def maximum(a: Array, b: Array) -> Array:
    return np.maximum(a, b)


@primitive(lambda g, y, a, b: g * ~(a > b),
           lambda g, y, a, b: g * ~(a <= b))
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
    return np.exp(floats(a))


@primitive(lambda g, y, a: g / a)
def log(a: Array) -> Array:
    return np.log(floats(a))


@primitive(lambda g, y, a: g / (2 * y))
def sqrt(a: Array) -> Array:
    return np.sqrt(floats(a))


@primitive(lambda g, y, a: g * np.sign(a))
def abs_(a: Array) -> Array:
    return np.abs(a)


@primitive(lambda g, y, a: g * (1 - y * y))
def tanh(a: Array) -> Array:
    return np.tanh(floats(a))


@primitive(lambda g, y, a: g * (y != 0))  # NaN passes the gradient on, as in torch
def relu(a: Array) -> Array:
    return np.maximum(a, np.zeros_like(a))  # faster than with the number 0


@primitive(lambda g, y, a: g * y * (1 - y))
def sigmoid(a: Array) -> Array:
    a = a if a.dtype.kind == "f" else floats(a)
    e = np.exp(-np.abs(a))  # at most 1, so it does not overflow
    return np.exp(np.minimum(a, 0)) / (e + 1)  # the numerator is 1 where a >= 0, else e


@primitive(lambda g, y, a: g * sigmoid(a))
def softplus(a: Array) -> Array:
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(floats(a))))


@primitive(lambda g, y, a, low, high: g * (y - low) * (high - y) * (1 / (high - low)))
def sigmoid_range(a: Array, low: float, high: float) -> Array:
    return sigmoid.forward(a) * (high - low) + low


@primitive(lambda g, y, a, low, high: g * (y == a))
def clip(a: Array, low: float | None, high: float | None) -> Array:
    return np.clip(a, low, high)


@primitive(lambda g, y, a, dtype: g)  # the tape converts it back
def astype(a: Array, dtype: Any) -> Array:
    return a.astype(dtype)


# ---------------------------------------------------------------- reductions


def _restore_axes(g: Array, axis: Axis, keepdims: bool) -> Array:
    """Give a reduced array its axes back, with length 1."""
    return g if keepdims or axis is None else np.expand_dims(g, axis)


@primitive(lambda g, y, spread, of, a, **axes: g.sum(**axes), None, None)
def _spread(g: Array, y: Array, a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Give the gradient to all elements."""
    spread = np.empty_like(a)
    spread[...] = _restore_axes(g, axis, keepdims)
    return spread


def _to_largest(g: Array, y: Array, a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Give the gradient to the elements that equal ``y``; elements that tie share it."""
    hit = (a == _restore_axes(y, axis, keepdims)).astype(a.dtype)
    return _restore_axes(g, axis, keepdims) * (hit / hit.sum(axis=axis, keepdims=True))


@primitive(_spread)
def sum_(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return a.sum(axis=axis, keepdims=keepdims)


@primitive(lambda g, y, a, **axes:
           _spread(g * (prod(y.shape) / max(prod(a.shape), 1)), y, a, **axes))
def mean(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return a.mean(axis=axis, keepdims=keepdims)


@primitive(_to_largest)
def max_(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return a.max(axis=axis, keepdims=keepdims)


@primitive(_to_largest)
def min_(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return a.min(axis=axis, keepdims=keepdims)


# ---------------------------------------------------------------- shape


@primitive(lambda g, y, a, shape: g.reshape(a.shape))
def reshape(a: Array, shape: tuple[int, ...]) -> Array:
    return a.reshape(shape)


@primitive(lambda g, y, a, axes: g.transpose(np.argsort([i % y.ndim for i in axes]).tolist()))
def transpose(a: Array, axes: tuple[int, ...]) -> Array:
    return a.transpose(axes)


@primitive(lambda g, y, a, shape: g)  # the tape undoes broadcasting
def broadcast_to(a: Array, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(a, shape)


def _part(g: Array, y: Array, *arrays: Array, axis: int, position: int) -> Array:
    start = sum(a.shape[axis] for a in arrays[:position])
    index = [slice(None)] * g.ndim
    index[axis] = slice(start, start + arrays[position].shape[axis])
    return g[tuple(index)]


@cache
def concatenate(n: int) -> Primitive:
    """Return the operation that joins ``n`` arrays.

    Parameters
    ----------
    n : int
        The number of arrays.

    Returns
    -------
    Primitive
        An operation with ``n`` inputs and the option ``axis``.

    Examples
    --------
    >>> concatenate(2)(np.ones(1), np.zeros(2), axis=0)
    array([1., 0., 0.])
    """
    @primitive(*(partial(_part, position=i) for i in range(n)))
    def concatenate(*arrays: Array, axis: int) -> Array:
        return np.concatenate(arrays, axis=axis)
    return concatenate


@primitive(lambda g, y, values, of, a, index: g[index], None, None)
def _add_at(g: Array, y: Array, a: Array, index: Any) -> Array:
    """Zeros, plus ``g`` at ``index``; an index that occurs twice gets both gradients."""
    total = np.zeros(a.shape, a.dtype, like=a)
    backend_of(total).scatter_add(total, index, g)
    return total


@primitive(lambda g, y, values, of, a, index: g[index], None, None)
def _put_at(g: Array, y: Array, a: Array, index: Any) -> Array:
    """Like ``_add_at``, but assign where the index, of numbers and slices, repeats no element."""
    for part in index if isinstance(index, tuple) else (index,):
        if not isinstance(part, (int, slice, EllipsisType, NoneType)):
            return _add_at(g, y, a, index)
    total = np.zeros(a.shape, a.dtype, like=a)
    total[index] = g
    return total


@primitive(_put_at)
def getitem(a: Array, index: Any) -> Array:
    return a[index]


@primitive(_add_at)
def lookup(table: Array, ids: Array) -> Array:
    return backend_of(table).gather(table, ids)


# ---------------------------------------------------------------- matrix products


def _t(a: Array) -> Array:
    """Transpose each matrix of a stack."""
    return a.transpose(*range(a.ndim - 2), -1, -2)


def _matmul_left(g: Array, y: Array, a: Array, b: Array) -> Array:
    if b.ndim == 1:
        return g[..., None] * b
    return (g[..., None, :] @ _t(b))[..., 0, :] if a.ndim == 1 else g @ _t(b)


def _matmul_right(g: Array, y: Array, a: Array, b: Array) -> Array:
    if a.ndim == 1:
        return a * g if b.ndim == 1 else a[..., None] * g[..., None, :]
    if b.ndim == 1:
        return (_t(a) @ g[..., None])[..., 0]
    return _t(a) @ g


@primitive(_matmul_left, _matmul_right)
def matmul(a: Array, b: Array) -> Array:
    return a @ b


@primitive(lambda g, y, x, w, b: g @ w,
           lambda g, y, x, w, b: g.reshape(-1, g.shape[-1]).T @ x.reshape(-1, x.shape[-1]),
           lambda g, y, x, w, b: g)
def linear(x: Array, w: Array, b: Array) -> Array:
    return x @ w.T + b


# ---------------------------------------------------------------- losses, fused


def _log_softmax(a: Array) -> Array:
    """Return the logarithm of the softmax along the last axis, without overflow."""
    shifted = a - a.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _softmax_minus_one_hot(g: Array, y: Array, a: Array, target: Array) -> Array:
    """Return the gradient of the scores: each row times its own element of g (n,)."""
    one_hot = np.arange(a.shape[1], like=target) == target[:, None]
    return (np.exp(_log_softmax(a)) - one_hot) * g[:, None]


@primitive(_softmax_minus_one_hot)
def cross_entropy(a: Array, target: Array) -> Array:
    """-log softmax(a)[target] of each row: (n, classes) and (n,) to (n,)."""
    return -_log_softmax(a)[np.arange(len(target), like=target), target]


@primitive(lambda g, y, pred, target: (pred - target) * (g * (2 / max(prod(pred.shape), 1))),
           lambda g, y, pred, target: (target - pred) * (g * (2 / max(prod(pred.shape), 1))))
def mean_squared_error(pred: Array, target: Array) -> Array:
    difference = (pred - target).reshape(-1)
    return difference @ difference / difference.size


@primitive(lambda g, y, a, target: g * (sigmoid(a) - target),
           lambda g, y, a, target: -g * a)
def binary_cross_entropy(a: Array, target: Array) -> Array:
    """-log p(target) with p = sigmoid(a), element by element, without overflow."""
    return np.maximum(a, 0) - a * target + np.log1p(np.exp(-np.abs(a)))


# ---------------------------------------------------------------- NumPy's functions

# the primitive for each of NumPy's functions, by the name of the function
UFUNCS = {"add": add, "subtract": sub, "multiply": mul, "divide": div, "power": pow_,
          "negative": neg, "matmul": matmul, "exp": exp, "log": log, "sqrt": sqrt,
          "absolute": abs_, "tanh": tanh, "maximum": maximum, "minimum": minimum}
# functions whose derivative is 0 wherever it exists: their results are constants
STEPS = {"sign", "floor", "ceil", "rint", "trunc"}
FUNCTIONS: dict[str, Any] = {}
"""Functions of tensors by the name of NumPy's function; creation.py fills it."""
