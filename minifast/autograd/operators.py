"""The operators and functions of a tensor, in terms of the primitives."""
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..backend import Array
from . import ops
from .primitive import Primitive

if TYPE_CHECKING:
    from .tensor import Tensor

Axis: TypeAlias = int | tuple[int, ...] | None
Number: TypeAlias = int | float | bool
Operand: TypeAlias = Any
"""A tensor, an array or a number."""


class ShapeError(ValueError):
    """Shapes that do not fit an operation."""


def array_of(x: Any) -> Any:
    """The array of a tensor; anything else as it is."""
    return x.data if isinstance(x, Operators) else x


class Operators:
    """What can be written with a tensor: ``a + b``, ``a.sum(0)``, ``a[i]``.

    Where NumPy says ``axis`` and ``keepdims``, so do these methods. Each is one primitive or
    composed of several; ``Tensor`` says how a primitive is done.
    """

    __slots__ = ()
    data: Array

    def _do(self, op: Primitive, *inputs: Any, **options: Any) -> "Tensor":
        raise NotImplementedError

    def _wrap(self, array: Array) -> "Tensor":
        raise NotImplementedError

    def _compare(self, function: Callable[[Any, Any], Array], other: Operand) -> "Tensor":
        raise NotImplementedError

    # ---- what it is

    @property
    def shape(self) -> tuple[int, ...]:
        """Length along each axis, a tuple."""
        return self.data.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> "np.dtype[Any]":
        """NumPy's type of the numbers."""
        return self.data.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.data.ndim  # type: ignore[no-any-return]

    def numel(self) -> int:
        """Number of elements."""
        return int(self.data.size)

    def size(self, axis: int | None = None) -> tuple[int, ...] | int:
        """The shape, or one length of it, as torch says it."""
        return self.shape if axis is None else self.shape[axis]

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a tensor of shape () has no length; float(t) gives its number")
        return self.shape[0]

    # ---- arithmetic

    def __add__(self, other: Operand) -> "Tensor":
        return self._do(ops.add, self, other)

    def __radd__(self, other: Operand) -> "Tensor":
        return self._do(ops.add, other, self)

    def __sub__(self, other: Operand) -> "Tensor":
        return self._do(ops.sub, self, other)

    def __rsub__(self, other: Operand) -> "Tensor":
        return self._do(ops.sub, other, self)

    def __mul__(self, other: Operand) -> "Tensor":
        return self._do(ops.mul, self, other)

    def __rmul__(self, other: Operand) -> "Tensor":
        return self._do(ops.mul, other, self)

    def __truediv__(self, other: Operand) -> "Tensor":
        return self._do(ops.div, self, other)

    def __rtruediv__(self, other: Operand) -> "Tensor":
        return self._do(ops.div, other, self)

    def __pow__(self, other: Operand) -> "Tensor":
        return self._do(ops.pow_, self, other)

    def __rpow__(self, other: Operand) -> "Tensor":
        return self._do(ops.pow_, other, self)

    def __matmul__(self, other: Operand) -> "Tensor":
        return self._do(ops.matmul, self, other)

    def __rmatmul__(self, other: Operand) -> "Tensor":
        return self._do(ops.matmul, other, self)

    def __neg__(self) -> "Tensor":
        return self._do(ops.neg, self)

    def __abs__(self) -> "Tensor":
        return self._do(ops.abs_, self)

    # ---- comparisons: no gradient; a 0-d result is true or false

    def __lt__(self, other: Operand) -> "Tensor":
        return self._compare(operator.lt, other)

    def __le__(self, other: Operand) -> "Tensor":
        return self._compare(operator.le, other)

    def __gt__(self, other: Operand) -> "Tensor":
        return self._compare(operator.gt, other)

    def __ge__(self, other: Operand) -> "Tensor":
        return self._compare(operator.ge, other)

    def __eq__(self, other: object) -> "Tensor":  # type: ignore[override]
        return self._compare(operator.eq, other)

    def __ne__(self, other: object) -> "Tensor":  # type: ignore[override]
        return self._compare(operator.ne, other)

    def __invert__(self) -> "Tensor":
        return self._wrap(~self.data)

    def __and__(self, other: Operand) -> "Tensor":
        return self._compare(operator.and_, other)

    def __or__(self, other: Operand) -> "Tensor":
        return self._compare(operator.or_, other)

    # ---- functions of one number

    def exp(self) -> "Tensor":
        """e to the power of each element."""
        return self._do(ops.exp, self)

    def log(self) -> "Tensor":
        """Natural logarithm."""
        return self._do(ops.log, self)

    def sqrt(self) -> "Tensor":
        """Square root."""
        return self._do(ops.sqrt, self)

    def abs(self) -> "Tensor":
        """Absolute value; its derivative at 0 is taken as 0."""
        return self._do(ops.abs_, self)

    def tanh(self) -> "Tensor":
        """Hyperbolic tangent."""
        return self._do(ops.tanh, self)

    def sigmoid(self) -> "Tensor":
        """1 / (1 + exp(-x))."""
        return self._do(ops.sigmoid, self)

    def relu(self) -> "Tensor":
        """max(x, 0); its derivative at 0 is taken as 0, as in torch."""
        return self._do(ops.relu, self)

    def clip(self, low: Number | None = None, high: Number | None = None) -> "Tensor":
        """Bounded to [low, high]; torch's ``clamp``."""
        return self._do(ops.clip, self, low=low, high=high)

    # ---- reductions

    def sum(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """Sum over ``axis``, or over all."""
        return self._do(ops.sum_, self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """Mean over ``axis``, or over all."""
        return self._do(ops.mean, self, axis=axis, keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """Largest value; elements that tie share the gradient."""
        return self._do(ops.max_, self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """Smallest value; elements that tie share the gradient."""
        return self._do(ops.min_, self, axis=axis, keepdims=keepdims)

    def var(self, axis: Axis = None, keepdims: bool = False, correction: int = 1) -> "Tensor":
        """Variance, divided by n - correction as in torch (NumPy's default is 0)."""
        squares = (self - self.mean(axis, keepdims=True)) ** 2
        mean = squares.mean(axis, keepdims)
        n = self.numel() // max(mean.numel(), 1)
        return mean * (n / (n - correction)) if n > correction else mean * float("nan")

    def std(self, axis: Axis = None, keepdims: bool = False, correction: int = 1) -> "Tensor":
        """Standard deviation, the root of ``var``."""
        return self.var(axis, keepdims, correction).sqrt()

    def argmax(self, axis: int | None = None) -> "Tensor":
        """Position of the largest value."""
        return self._wrap(self.data.argmax(axis))

    def argmin(self, axis: int | None = None) -> "Tensor":
        """Position of the smallest value."""
        return self._wrap(self.data.argmin(axis))

    def argsort(self, axis: int = -1) -> "Tensor":
        """Positions in ascending order."""
        return self._wrap(np.argsort(self.data, axis=axis))

    def any(self) -> "Tensor":
        """Whether any element is true."""
        return self._wrap(self.data.any())

    def all(self) -> "Tensor":
        """Whether all elements are true."""
        return self._wrap(self.data.all())

    # ---- shape

    def reshape(self, *shape: int | tuple[int, ...]) -> "Tensor":
        """The same elements in another shape; torch's ``view`` as well."""
        return self._do(ops.reshape, self, shape=_flat(shape))

    def flatten(self) -> "Tensor":
        """One axis."""
        return self.reshape(-1)

    def squeeze(self, axis: int | None = None) -> "Tensor":
        """Without axes of length 1; with ``axis``, without that one if its length is 1."""
        drop = range(self.ndim) if axis is None else (_counted(axis, self.ndim),)
        return self.reshape(tuple(n for i, n in enumerate(self.shape) if n != 1 or i not in drop))

    def unsqueeze(self, axis: int) -> "Tensor":
        """With a new axis of length 1."""
        at = _counted(axis, self.ndim + 1)
        return self.reshape((*self.shape[:at], 1, *self.shape[at:]))

    def transpose(self, *axes: int | tuple[int, ...]) -> "Tensor":
        """Axes in another order, by default reversed."""
        return self._do(ops.transpose, self, axes=_flat(axes) or tuple(range(self.ndim))[::-1])

    def t(self) -> "Tensor":
        """A matrix transposed."""
        if self.ndim > 2:
            raise ShapeError(f"t() is for matrices; this tensor has shape {self.shape}. "
                             "Use .transpose(...)")
        return self.transpose()

    @property
    def T(self) -> "Tensor":  # noqa: N802  (NumPy's name)
        """Axes reversed."""
        return self.transpose()

    def broadcast_to(self, shape: tuple[int, ...]) -> "Tensor":
        """Repeated along axes of length 1, without a copy; torch's ``expand``."""
        return self._do(ops.broadcast_to, self, shape=shape)

    def __getitem__(self, index: Any) -> "Tensor":
        return self._do(ops.getitem, self, index=plain_index(index))

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))


def _flat(shape: Sequence[Any]) -> tuple[int, ...]:
    return tuple(shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape)


def _counted(axis: int, ndim: int) -> int:
    """The axis counted from the front."""
    if not -ndim <= axis < ndim:
        raise ShapeError(f"axis {axis} is out of range; it must lie in [{-ndim}, {ndim - 1}]")
    return axis % ndim


def plain_index(index: Any) -> Any:
    """An index with arrays in the place of tensors."""
    if isinstance(index, tuple):
        return tuple(plain_index(i) for i in index)
    if isinstance(index, (float, str)):  # CuPy would take 1.5 for 1
        raise IndexError(f"only integers, slices, ..., None, lists, arrays and tensors are "
                         f"indices, got {index!r}")
    return array_of(index)
