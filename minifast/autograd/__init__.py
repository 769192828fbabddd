"""Automatic differentiation: primitives with their rules, a tape, and the walk back over it."""
from . import ops as ops
from .creation import cat as cat, stack as stack, tensor as tensor, where as where
from .derivatives import GradientError as GradientError, grad as grad, gradcheck as gradcheck
from .primitive import Primitive as Primitive, ShapeError as ShapeError, primitive as primitive
from .tape import (ChangedArrayError as ChangedArrayError, GraphReleasedError as GraphReleasedError,
                   no_grad as no_grad)
from .tensor import Tensor as Tensor, apply as apply
