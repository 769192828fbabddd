"""Derivatives of array code: primitives with their rules, a tape, and the walk back over it."""
from . import normalize, ops, windows
from .check import GradientError, gradcheck
from .creation import cat, stack, tensor, where
from .operators import ShapeError
from .primitive import Primitive, primitive
from .rows import Rows
from .tape import GraphReleasedError, no_grad
from .tensor import Tensor, apply, record

__all__ = ["GradientError", "GraphReleasedError", "Primitive", "Rows", "ShapeError", "Tensor",
           "apply", "cat", "gradcheck", "no_grad", "normalize", "ops", "primitive", "record",
           "stack", "tensor", "where", "windows"]
