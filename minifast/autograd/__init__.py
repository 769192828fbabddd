"""Automatic differentiation: primitives with their rules, a tape, and the walk back over it."""
from . import ops as ops
from .creation import cat as cat
from .creation import stack as stack
from .creation import tensor as tensor
from .creation import where as where
from .derivatives import GradientError as GradientError
from .derivatives import grad as grad
from .derivatives import gradcheck as gradcheck
from .primitive import Primitive as Primitive
from .primitive import ShapeError as ShapeError
from .primitive import primitive as primitive
from .tape import ChangedArrayError as ChangedArrayError
from .tape import GraphReleasedError as GraphReleasedError
from .tape import no_grad as no_grad
from .tensor import Tensor as Tensor
from .tensor import apply as apply
