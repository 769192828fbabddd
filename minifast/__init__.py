"""minifast: fastai v1's internals on NumPy or CuPy, small enough to read."""
from .autograd import (
    GradientError,
    GraphReleasedError,
    Primitive,
    ShapeError,
    Tensor,
    apply,
    cat,
    gradcheck,
    no_grad,
    primitive,
    stack,
    tensor,
    where,
)
from .backend import DeviceError, device
from .defaults import defaults

__version__ = "0.1.0"
__all__ = ["DeviceError", "GradientError", "GraphReleasedError", "Primitive", "ShapeError",
           "Tensor", "apply", "cat", "defaults", "device", "gradcheck", "no_grad", "primitive",
           "stack", "tensor", "where"]
