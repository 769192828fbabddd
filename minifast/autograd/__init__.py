"""Derivatives of array code: primitives with their rules, a tape, and the walk back over it."""
from . import normalize as normalize
from . import ops as ops
from .check import GradientError as GradientError
from .check import gradcheck as gradcheck
from .creation import cat as cat
from .creation import stack as stack
from .creation import tensor as tensor
from .creation import where as where
from .operators import ShapeError as ShapeError
from .primitive import Primitive as Primitive
from .primitive import primitive as primitive
from .rows import Rows as Rows
from .tape import GraphReleasedError as GraphReleasedError
from .tape import no_grad as no_grad
from .tensor import Tensor as Tensor
from .tensor import apply as apply
from .tensor import record as record
