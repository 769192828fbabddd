"""Hessian-vector products of one scalar for every operation, in any library with torch's words.

The scalar is sum(w op(q(x), ...)^2) with q(x) = x^2 / 2 + 0.5, which makes every operation smooth
and curved, and all its inputs positive.
"""
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

SHAPES: dict[str, list[tuple[int, ...]]] = {
    "add": [(3, 4), (4,)], "sub": [(3, 1), (4,)], "mul": [(3, 4), (3, 1)], "div": [(3, 4), (4,)],
    "pow": [(3, 4), (3, 4)], "pow, 3": [(3, 4)], "neg": [(3, 4)], "maximum": [(3, 4), (3, 4)],
    "minimum": [(3, 4), (4,)], "where": [(3, 4), (3, 4)], "exp": [(3, 4)], "log": [(3, 4)],
    "sqrt": [(3, 4)], "abs": [(3, 4)], "tanh": [(3, 4)], "relu": [(3, 4)], "sigmoid": [(3, 4)],
    "sigmoid_range": [(3, 4)], "clip": [(3, 4)], "sum": [(3, 4)], "sum, axis": [(2, 3, 4)],
    "mean": [(3, 4)], "mean, axes": [(2, 3, 4)], "var": [(3, 4)], "std, axis": [(3, 4)],
    "max": [(3, 4)], "max, axis": [(3, 4)], "min, axis": [(3, 4)], "reshape": [(3, 4)],
    "transpose": [(2, 3, 4)], "broadcast_to": [(3, 1)], "concatenate": [(3, 4), (3, 2)],
    "getitem, slices": [(3, 4)], "getitem, repeated": [(3, 4)], "lookup": [(5, 3)],
    "matmul": [(3, 4), (4, 2)], "matmul, stacks": [(5, 3, 4), (4, 2)],
    "matmul, vectors": [(4,), (4,)], "matmul, a vector": [(5, 3, 4), (4,)],
    "linear": [(3, 4), (2, 4), (2,)], "softmax": [(3, 4)], "cross_entropy": [(4, 5)],
    "mean_squared_error": [(3, 4), (3, 4)], "binary_cross_entropy": [(3, 4), (3, 4)],
    "batch_norm": [(5, 3), (3,), (3,)], "batch_norm, images": [(2, 3, 4, 2), (3,), (3,)],
    "conv2d": [(2, 3, 6, 5), (4, 3, 3, 2), (4,)], "max_pool2d": [(2, 3, 6, 5)],
    "avg_pool2d": [(2, 3, 6, 5)]}
"""The shapes of the inputs of each operation."""
IDS = [2, 0, 2, 4]


def arrays(name: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The inputs of an operation, and a direction for each."""
    rng = np.random.default_rng(len(name))
    return tuple([rng.normal(size=shape) for shape in SHAPES[name]] for _ in range(2))


def products(op: Callable[..., Any], grad: Callable[..., Sequence[Any]], inputs: Sequence[Any],
             directions: Sequence[Any], weights: Callable[[tuple[int, ...]], Any]) -> Sequence[Any]:
    """The Hessian of the scalar times the directions, an array for each input."""
    y = op(*[x * x / 2 + .5 for x in inputs])
    slopes = grad((weights(tuple(y.shape)) * y * y).sum(), inputs, create_graph=True)
    return grad(sum((s * v).sum() for s, v in zip(slopes, directions, strict=True)), inputs)


def weights(shape: tuple[int, ...]) -> np.ndarray:
    """The weights of an output."""
    return np.random.default_rng(1).uniform(.5, 1.5, shape)
