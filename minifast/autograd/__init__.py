"""Automatic differentiation: primitives with their rules, a tape, and the walk back over it."""
from . import ops
from .creation import cat, stack, tensor, where
from .derivatives import GradientError, grad, gradcheck
from .primitive import Primitive, ShapeError, primitive
from .tape import ChangedArrayError, GraphReleasedError, no_grad
from .tensor import Tensor, apply

__all__ = ["ChangedArrayError", "GradientError", "GraphReleasedError", "Primitive", "ShapeError",
           "Tensor", "apply", "cat", "grad", "gradcheck", "no_grad", "ops", "primitive", "stack",
           "tensor", "where"]
