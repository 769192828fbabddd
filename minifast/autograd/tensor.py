"""Tensor: an array that records how it was computed."""
import operator
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from ..backend import Array, backend_of, transfer
from . import ops
from .display import show_tensor
from .primitive import Primitive, ShapeError, as_tuple, checked_axis, explain
from .tape import Node, changed, recording, walk_back

Operand: TypeAlias = Any  # a tensor, an array or a number
Operator: TypeAlias = Callable[["Tensor", Operand], "Tensor"]
Number: TypeAlias = int | float


def _operators(op: Primitive) -> tuple[Operator, Operator, Operator]:
    """Return the methods for ``a + b``, for ``b + a`` and for ``a += b``.

    The last one changes the array itself, as in torch, unless the operation is recorded.
    """
    def in_place(a: "Tensor", b: Operand) -> "Tensor":
        if recording.get() and a.requires_grad and a.node is None:
            raise RuntimeError(f"{op.name} in place would change a leaf that requires a gradient; "
                               "do it in `with no_grad():`, or write a = a + b instead of a += b")
        if (result := apply(op, a, b)).requires_grad:
            return result
        changed.mark([a.data])
        np.copyto(a.data, result.data)
        return a
    return lambda a, b: apply(op, a, b), lambda a, b: apply(op, b, a), in_place


def _comparison(function: Callable[[Any, Any], Any]) -> Operator:
    """Return the method for a comparison, whose result is a constant."""
    return lambda a, b: _constant(function, a, b)


class Tensor:
    """An array with a gradient; ``torch.Tensor`` on NumPy or CuPy.

    NumPy's functions accept tensors and are differentiated (``np.exp(t)``). Where NumPy has
    ``axis`` and ``keepdims``, so have the methods here.

    Parameters
    ----------
    data : array
        The values. An array is kept as it is, not copied, unless its bytes are not in the
        machine's order; a NumPy scalar or a list becomes an array.
    requires_grad : bool
        Whether ``backward`` computes a gradient.

    Attributes
    ----------
    data : array
        The values.
    grad : array or None
        The gradient; None before the first ``backward`` and after ``zero_grad``. A tensor after
        ``backward(create_graph=True)``.
    requires_grad : bool
        Whether a gradient is wanted.
    node : Node or None
        The operation that made the tensor; None for a leaf.

    Raises
    ------
    TypeError
        If a gradient is asked for, but ``data`` has no float type.

    Examples
    --------
    >>> w = Tensor(np.array([1., 2.]), requires_grad=True)
    >>> (w * w).sum().backward()
    >>> w.grad
    array([2., 4.])
    """

    __slots__ = ("__weakref__", "data", "grad", "node", "requires_grad")
    __array_priority__ = 1000

    def __init__(self, data: Array, requires_grad: bool = False) -> None:
        is_array = hasattr(data, "dtype") and not isinstance(data, np.generic)
        self.data: Array = data if is_array else np.asarray(data)
        if not self.data.dtype.isnative:
            self.data = self.data.astype(self.data.dtype.newbyteorder("="))
        self.grad: Array | None = None
        self.node: Node | None = None
        self.requires_grad = False
        if requires_grad:
            self.requires_grad_()

    # ---- properties

    @property
    def shape(self) -> tuple[int, ...]:
        """Length along each axis."""
        return self.data.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> "np.dtype[Any]":
        """NumPy's type of the numbers."""
        return self.data.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.data.ndim  # type: ignore[no-any-return]

    @property
    def device(self) -> str:
        """Where the array is: ``'cpu'`` or ``'cuda'``."""
        return backend_of(self.data).name

    def numel(self) -> int:
        """Return the number of elements."""
        return int(self.data.size)

    def size(self, axis: int | None = None) -> tuple[int, ...] | int:
        """Return the shape, or the length along ``axis``, as torch does.

        Parameters
        ----------
        axis : int, optional
            The axis.

        Returns
        -------
        tuple of int or int
            The lengths along all axes, or along one.

        Examples
        --------
        >>> Tensor(np.zeros((2, 3))).size(), Tensor(np.zeros((2, 3))).size(1)
        ((2, 3), 3)
        """
        return self.shape if axis is None else self.shape[axis]

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a tensor of shape () has no length; float(t) gives its number")
        return self.shape[0]

    def __repr__(self) -> str:
        maker = self.node.op.name if self.node else ""
        return show_tensor(self.numpy(), self.requires_grad, maker)

    # ---- conversion to numbers and arrays

    def numpy(self) -> "np.ndarray[Any, Any]":
        """Return the array on the host; on the CPU the tensor's own, not a copy."""
        return backend_of(self.data).to_host(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> "np.ndarray[Any, Any]":
        if self.requires_grad:
            raise TypeError("NumPy would lose this tensor's gradient; "
                            "use tensor.detach() if that is what you want")
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or ufunc.nout != 1:
            raise TypeError(f"np.{ufunc.__name__} takes tensors only in plain calls, without "
                            f".{method} or options; use a tensor's method, or tensor.numpy()")
        if ufunc.__name__ in ops.UFUNCS:
            return apply(ops.UFUNCS[ufunc.__name__], *inputs)
        result = _constant(ufunc, *inputs)
        if result.dtype.kind == "f" and ufunc.__name__ not in ops.STEPS \
                and any(getattr(x, "requires_grad", False) for x in inputs):
            raise TypeError(f"np.{ufunc.__name__} has no derivative rule: this tensor's gradient "
                            "would be lost; use tensor.detach(), or write a primitive for it")
        return result

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Differentiate the functions in ``ops.FUNCTIONS``; pass arrays to all others."""
        return ops.FUNCTIONS.get(function.__name__, function._implementation)(*args, **kwargs)

    def item(self) -> Any:
        """Return the only element as a Python number. On a GPU this waits for the device.

        Returns
        -------
        int, float or bool
            The number.

        Raises
        ------
        ShapeError
            If there is not exactly one element.
        """
        if self.numel() != 1:
            raise ShapeError(f"a tensor of shape {self.shape} is not one number; "
                             "use t.tolist(), or reduce it first")
        return self.data.item()

    def tolist(self) -> Any:
        """Return nested lists of Python numbers."""
        return self.numpy().tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return operator.index(self.item())

    def __bool__(self) -> bool:
        if self.numel() != 1:
            raise ValueError(f"a tensor of shape {self.shape} is not one truth value; "
                             "use t.any() or t.all()")
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and not self.ndim else repr(self)

    __hash__ = object.__hash__

    def to(self, device: str) -> "Tensor":
        """Return the tensor on ``device``; itself if it is there already.

        Parameters
        ----------
        device : str
            Such as ``'cpu'`` or ``'cuda'``.

        Returns
        -------
        Tensor
            A tensor without history if it had to be copied.

        Examples
        --------
        >>> x = Tensor(np.zeros(2))
        >>> x.to(x.device) is x
        True
        """
        if device == self.device:
            return self
        return Tensor(transfer(self.data, device), self.requires_grad)

    def cpu(self) -> "Tensor":
        """Return the tensor on the CPU."""
        return self.to("cpu")

    def astype(self, dtype: Any) -> "Tensor":
        """Return a copy with another number type; differentiable from float to float.

        Parameters
        ----------
        dtype : dtype
            NumPy's type of the numbers.

        Returns
        -------
        Tensor
            The copy.

        Examples
        --------
        >>> Tensor(np.float32([1.5, 2])).astype(int)
        tensor([1, 2])
        """
        to_float = np.dtype(dtype).kind == "f"
        return apply(ops.astype, self, dtype=dtype) if to_float else Tensor(self.data.astype(dtype))

    def float(self) -> "Tensor":
        """Return the tensor as float32, differentiable."""
        return self if self.data.dtype == np.float32 else self.astype(np.float32)

    def long(self) -> "Tensor":
        """Return the tensor as int64."""
        return self if self.data.dtype == np.int64 else self.astype(np.int64)

    # ---- gradients

    def detach(self) -> "Tensor":
        """Return a tensor with the same array and no history."""
        return Tensor(self.data)

    def clone(self) -> "Tensor":
        """Return a copy with its own array, differentiable."""
        return self * 1 if self.requires_grad else Tensor(self.data.copy())

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Set ``requires_grad`` and return the tensor.

        Parameters
        ----------
        requires_grad : bool
            Whether ``backward`` computes a gradient.

        Returns
        -------
        Tensor
            This tensor.

        Raises
        ------
        TypeError
            If the tensor does not hold floats.

        Examples
        --------
        >>> Tensor(np.float32([1, 2])).requires_grad_()
        tensor([1., 2.], requires_grad=True)
        """
        if requires_grad and self.dtype.kind != "f":
            raise TypeError(f"only floats have gradients; this tensor holds {self.dtype}. "
                            "Convert it first: tensor.float()")
        self.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Set the gradient to None."""
        self.grad = None

    def backward(self, gradient: Operand | None = None, retain_graph: bool = False,
                 create_graph: bool = False) -> None:
        """Compute the derivative of this tensor by every leaf, and add it to the leaf's ``grad``.

        Parameters
        ----------
        gradient : Tensor or array, optional
            Where the walk starts, of this tensor's shape; needed unless there is one element.
        retain_graph : bool
            Whether to keep the graph for another call; otherwise it is released.
        create_graph : bool
            Whether ``grad`` becomes a tensor with a graph of its own, so that it can be
            differentiated again. The graph of this tensor is kept. `grad` does the same without
            changing the leaves.

        Raises
        ------
        RuntimeError
            If the tensor does not depend on one that requires a gradient.
        ShapeError
            If ``gradient`` has the wrong shape, or is needed and missing.
        ChangedArrayError
            If an array that is needed was changed in place after the forward pass.

        Examples
        --------
        >>> x = Tensor(np.float32([1, 2]), requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        array([2., 4.], dtype=float32)
        """
        start = self._start(gradient, create_graph)
        walk_back(self, start, retain_graph or create_graph, create_graph)

    def _start(self, gradient: Operand | None, create_graph: bool) -> Any:
        """Return the gradient of this tensor, as an array, or as a tensor with create_graph."""
        if not self.requires_grad:
            raise RuntimeError("this tensor does not depend on one that requires a gradient; "
                               "set requires_grad=True on a leaf, or unfreeze the model")
        if create_graph and not recording.get():
            raise RuntimeError("create_graph=True records a graph; call it outside no_grad")
        if gradient is None:
            if self.data.size != 1:
                raise ShapeError(f"backward() starts from one number; this tensor has shape "
                                 f"{self.shape}. Use .mean() or .sum(), or pass gradient=")
            ones = np.ones_like(self.data)
            return Tensor(ones) if create_graph else ones
        if not hasattr(gradient, "dtype"):
            gradient = transfer(np.asarray(gradient), self.device)
        if np.shape(gradient) != self.shape:
            raise ShapeError(f"gradient of shape {np.shape(gradient)} for a tensor of {self.shape}")
        start = apply(ops.add, np.zeros_like(self.data), gradient)  # checks the device
        return start if create_graph else start.data

    def accumulate(self, gradient: Array) -> None:
        """Add to ``grad``. The first gradient is kept, not copied.

        Parameters
        ----------
        gradient : array or Tensor
            A gradient of the tensor's shape.

        Examples
        --------
        >>> x = Tensor(np.float32([1, 2]), requires_grad=True)
        >>> x.accumulate(np.float32([3, 4]))
        >>> x.accumulate(np.float32([3, 4]))
        >>> x.grad
        array([6., 8.], dtype=float32)
        """
        if self.grad is None:
            self.grad = gradient[...]  # an array also if NumPy made a scalar
        elif isinstance(gradient, Tensor) or isinstance(self.grad, Tensor):
            self.grad = self.grad + gradient
        else:
            self.grad += gradient

    # ---- arithmetic

    __add__, __radd__, __iadd__ = _operators(ops.add)
    __sub__, __rsub__, __isub__ = _operators(ops.sub)
    __mul__, __rmul__, __imul__ = _operators(ops.mul)
    __truediv__, __rtruediv__, __itruediv__ = _operators(ops.div)
    __pow__, __rpow__, __ipow__ = _operators(ops.pow_)
    __matmul__, __rmatmul__ = _operators(ops.matmul)[:2]

    def __neg__(self) -> "Tensor":
        return apply(ops.neg, self)

    def __abs__(self) -> "Tensor":
        return apply(ops.abs_, self)

    # ---- comparison, without gradients

    __lt__ = _comparison(operator.lt)
    __le__ = _comparison(operator.le)
    __gt__ = _comparison(operator.gt)
    __ge__ = _comparison(operator.ge)
    __eq__ = _comparison(operator.eq)  # type: ignore[assignment]
    __ne__ = _comparison(operator.ne)  # type: ignore[assignment]
    __and__ = _comparison(operator.and_)
    __or__ = _comparison(operator.or_)

    def __invert__(self) -> "Tensor":
        return Tensor(~self.data)

    # ---- functions of each element

    @staticmethod
    def _apply(op: Primitive, *inputs: Any, **options: Any) -> "Tensor":
        return apply(op, *inputs, **options)

    def exp(self) -> "Tensor":
        """Return e to the power of each element."""
        return apply(ops.exp, self)

    def log(self) -> "Tensor":
        """Return the natural logarithm."""
        return apply(ops.log, self)

    def sqrt(self) -> "Tensor":
        """Return the square root."""
        return apply(ops.sqrt, self)

    def abs(self) -> "Tensor":
        """Return the absolute value; its derivative at 0 is 0."""
        return apply(ops.abs_, self)

    def tanh(self) -> "Tensor":
        """Return the hyperbolic tangent."""
        return apply(ops.tanh, self)

    def sigmoid(self) -> "Tensor":
        """Return 1 / (1 + exp(-x))."""
        return apply(ops.sigmoid, self)

    def relu(self) -> "Tensor":
        """Return max(x, 0); its derivative at 0 is 0, as in torch."""
        return apply(ops.relu, self)

    def clip(self, low: Number | None = None, high: Number | None = None) -> "Tensor":
        """Return the elements bounded to [low, high]; torch's ``clamp``.

        Parameters
        ----------
        low, high : number, optional
            The bounds; None for no bound.

        Returns
        -------
        Tensor
            The bounded elements.

        Examples
        --------
        >>> Tensor(np.float32([-2, .5, 2])).clip(0, 1)
        tensor([0.0000, 0.5000, 1.0000])
        """
        return apply(ops.clip, self, low=low, high=high)

    # ---- reductions

    def sum(self, axis: ops.Axis = None, keepdims: bool = False, **other: Any) -> "Tensor":
        """Return the sum.

        Parameters
        ----------
        axis : int or tuple of int, optional
            The axes to reduce; all by default.
        keepdims : bool
            Whether to keep the reduced axes with length 1.
        **other
            Refused; torch's ``dim`` and ``keepdim`` are ``axis`` and ``keepdims``.

        Returns
        -------
        Tensor
            The sums.

        Examples
        --------
        >>> Tensor(np.float32([[1, 2], [3, 4]])).sum(axis=0)
        tensor([4., 6.])
        """
        return apply(ops.sum_, self, axis=axis, keepdims=keepdims, **other)

    def mean(self, axis: ops.Axis = None, keepdims: bool = False, **other: Any) -> "Tensor":
        """Return the mean.

        Parameters
        ----------
        axis : int or tuple of int, optional
            The axes to reduce; all by default.
        keepdims : bool
            Whether to keep the reduced axes with length 1.
        **other
            Refused; torch's ``dim`` and ``keepdim`` are ``axis`` and ``keepdims``.

        Returns
        -------
        Tensor
            The means.

        Examples
        --------
        >>> Tensor(np.float32([[1, 2], [3, 4]])).mean(axis=1, keepdims=True)
        tensor([[1.5000],
                [3.5000]])
        """
        return apply(ops.mean, self, axis=axis, keepdims=keepdims, **other)

    def max(self, axis: ops.Axis = None, keepdims: bool = False, **other: Any) -> "Tensor":
        """Return the largest value; elements that tie share the gradient.

        Parameters
        ----------
        axis : int or tuple of int, optional
            The axes to reduce; all by default.
        keepdims : bool
            Whether to keep the reduced axes with length 1.
        **other
            Refused; torch's ``dim`` and ``keepdim`` are ``axis`` and ``keepdims``.

        Returns
        -------
        Tensor
            The largest values.

        Examples
        --------
        >>> Tensor(np.float32([[1, 2], [3, 4]])).max(axis=0)
        tensor([3., 4.])
        """
        return apply(ops.max_, self, axis=axis, keepdims=keepdims, **other)

    def min(self, axis: ops.Axis = None, keepdims: bool = False, **other: Any) -> "Tensor":
        """Return the smallest value; elements that tie share the gradient.

        Parameters
        ----------
        axis : int or tuple of int, optional
            The axes to reduce; all by default.
        keepdims : bool
            Whether to keep the reduced axes with length 1.
        **other
            Refused; torch's ``dim`` and ``keepdim`` are ``axis`` and ``keepdims``.

        Returns
        -------
        Tensor
            The smallest values.

        Examples
        --------
        >>> Tensor(np.float32([[1, 2], [3, 4]])).min(axis=0)
        tensor([1., 2.])
        """
        return apply(ops.min_, self, axis=axis, keepdims=keepdims, **other)

    def var(self, axis: ops.Axis = None, keepdims: bool = False, correction: int = 1,
            **other: Any) -> "Tensor":
        """Return the variance.

        Parameters
        ----------
        axis : int or tuple of int, optional
            The axes to reduce; all by default.
        keepdims : bool
            Whether to keep the reduced axes with length 1.
        correction : int
            The divisor is n - correction; 1 as in torch, where NumPy's default is 0.
        **other
            Refused; torch's ``dim`` and ``keepdim`` are ``axis`` and ``keepdims``.

        Returns
        -------
        Tensor
            The variances.

        Examples
        --------
        >>> x = Tensor(np.float32([1, 2, 3]))
        >>> x.var().item(), round(x.var(correction=0).item(), 4)
        (1.0, 0.6667)
        """
        mean = ((self - self.mean(axis, keepdims=True)) ** 2).mean(axis, keepdims, **other)
        n = self.numel() // max(mean.numel(), 1)
        return mean * (n / (n - correction)) if n > correction else mean * float("nan")

    def std(self, axis: ops.Axis = None, keepdims: bool = False, correction: int = 1,
            **other: Any) -> "Tensor":
        """Return the standard deviation, the square root of ``var``.

        Where the result is 0, its derivative is 0, as in torch.

        Parameters
        ----------
        axis : int or tuple of int, optional
            The axes to reduce; all by default.
        keepdims : bool
            Whether to keep the reduced axes with length 1.
        correction : int
            The divisor of the variance is n - correction.
        **other
            Refused; torch's ``dim`` and ``keepdim`` are ``axis`` and ``keepdims``.

        Returns
        -------
        Tensor
            The standard deviations.

        Examples
        --------
        >>> Tensor(np.float32([1, 3, 5])).std()
        tensor(2.)
        """
        var = self.var(axis, keepdims, correction, **other)
        return apply(ops.where, var.data == 0, var, (var + (var.data == 0)).sqrt())

    def argmax(self, axis: int | None = None, **other: Any) -> "Tensor":
        """Return the position of the largest value.

        Parameters
        ----------
        axis : int, optional
            The axis along which to look; by default the position counts over all elements.
        **other
            Refused; torch's ``dim`` and ``keepdim`` are ``axis`` and ``keepdims``.

        Returns
        -------
        Tensor
            Whole numbers, without a gradient.

        Examples
        --------
        >>> Tensor(np.float32([[1, 2], [4, 3]])).argmax(axis=1)
        tensor([1, 0])
        """
        return _constant(np.argmax, self, axis=axis, **other)

    def argmin(self, axis: int | None = None, **other: Any) -> "Tensor":
        """Return the position of the smallest value.

        Parameters
        ----------
        axis : int, optional
            The axis along which to look; by default the position counts over all elements.
        **other
            Refused; torch's ``dim`` and ``keepdim`` are ``axis`` and ``keepdims``.

        Returns
        -------
        Tensor
            Whole numbers, without a gradient.

        Examples
        --------
        >>> Tensor(np.float32([[1, 2], [4, 3]])).argmin(axis=1)
        tensor([0, 1])
        """
        return _constant(np.argmin, self, axis=axis, **other)

    def argsort(self, axis: int = -1, **other: Any) -> "Tensor":
        """Return the positions in ascending order.

        Parameters
        ----------
        axis : int
            The axis along which to sort.
        **other
            Refused; torch's ``dim`` and ``keepdim`` are ``axis`` and ``keepdims``.

        Returns
        -------
        Tensor
            Whole numbers, without a gradient.

        Examples
        --------
        >>> Tensor(np.float32([3, 1, 2])).argsort()
        tensor([1, 2, 0])
        """
        return _constant(np.argsort, self, axis=axis, **other)

    def any(self) -> "Tensor":
        """Return whether any element is true."""
        return Tensor(self.data.any())

    def all(self) -> "Tensor":
        """Return whether all elements are true."""
        return Tensor(self.data.all())

    def pca(self, k: int = 2) -> "Tensor":
        """Return the ``k`` principal components of the rows: (n, f) to (n, k).

        Columns are centred, then rotated to the directions of largest variance, largest first.
        The sign of a column is arbitrary. Not differentiable; fastai adds it to torch's tensors.

        Parameters
        ----------
        k : int
            The number of components.

        Returns
        -------
        Tensor
            The coordinates (n, k).

        Raises
        ------
        ShapeError
            If this is not a matrix, or a side is shorter than ``k``.

        Examples
        --------
        >>> Tensor(np.array([[0., 1.], [1., 3.], [2., 5.]])).pca(1).shape
        (3, 1)
        """
        if self.ndim != 2 or not 0 < k <= min(self.shape):
            raise ShapeError(f"pca({k}) needs a matrix with both sides at least {k}; "
                             f"this tensor has shape {self.shape}")
        centred = self.data - self.data.mean(0)
        directions = np.linalg.svd(centred.T, full_matrices=False)[0]
        return Tensor(centred @ directions[:, :k])

    # ---- shape

    def reshape(self, *shape: int | tuple[int, ...]) -> "Tensor":
        """Return the same elements in another shape; also torch's ``view``.

        Parameters
        ----------
        *shape : int or tuple of int
            The lengths along the axes; one of them may be -1, which stands for what remains.

        Returns
        -------
        Tensor
            The elements in the new shape.

        Examples
        --------
        >>> Tensor(np.float32([1, 2, 3, 4])).reshape(2, -1)
        tensor([[1., 2.],
                [3., 4.]])
        """
        return apply(ops.reshape, self, shape=as_tuple(shape))

    view = reshape  # torch's name

    def flatten(self) -> "Tensor":
        """Return the elements along one axis."""
        return self.reshape(-1)

    def squeeze(self, axis: int | None = None) -> "Tensor":
        """Return the tensor without axes of length 1, or without ``axis`` if its length is 1.

        Parameters
        ----------
        axis : int, optional
            The axis to remove; all axes of length 1 by default.

        Returns
        -------
        Tensor
            The same elements.

        Examples
        --------
        >>> Tensor(np.zeros((1, 2, 1))).squeeze(0).shape
        (2, 1)
        """
        shape = self.data.shape
        if axis is not None and shape[checked_axis(axis, len(shape))] != 1:
            return self
        return apply(ops.reshape, self, shape=self.data.squeeze(axis).shape)

    def unsqueeze(self, axis: int) -> "Tensor":
        """Return the tensor with a new axis of length 1.

        Parameters
        ----------
        axis : int
            The position of the new axis.

        Returns
        -------
        Tensor
            The same elements.

        Examples
        --------
        >>> Tensor(np.zeros((2, 3))).unsqueeze(-1).shape
        (2, 3, 1)
        """
        at = checked_axis(axis, self.ndim + 1)
        return self.reshape((*self.shape[:at], 1, *self.shape[at:]))

    def transpose(self, *axes: int | tuple[int, ...]) -> "Tensor":
        """Return the tensor with its axes in another order, by default reversed.

        Parameters
        ----------
        *axes : int or tuple of int
            The old axes in their new order.

        Returns
        -------
        Tensor
            The same elements.

        Examples
        --------
        >>> Tensor(np.zeros((2, 3, 4))).transpose(0, 2, 1).shape
        (2, 4, 3)
        """
        order = as_tuple(axes) or tuple(range(self.ndim))[::-1]
        return apply(ops.transpose, self, axes=order)

    def t(self) -> "Tensor":
        """Return the transpose of a matrix.

        Returns
        -------
        Tensor
            The transpose.

        Raises
        ------
        ShapeError
            If there are more than two axes.
        """
        if self.ndim > 2:
            raise ShapeError(f"t() is for matrices; this tensor has shape {self.shape}. "
                             "Use .transpose(...)")
        return self.transpose()

    @property
    def T(self) -> "Tensor":  # noqa: N802  (NumPy's name)
        """The tensor with its axes reversed."""
        return self.transpose()

    def broadcast_to(self, shape: tuple[int, ...]) -> "Tensor":
        """Return the tensor repeated along axes of length 1, without a copy; torch's ``expand``.

        Parameters
        ----------
        shape : tuple of int
            The new shape.

        Returns
        -------
        Tensor
            The repeated elements.

        Examples
        --------
        >>> Tensor(np.float32([1, 2])).broadcast_to((2, 2))
        tensor([[1., 2.],
                [1., 2.]])
        """
        return apply(ops.broadcast_to, self, shape=shape)

    def __getitem__(self, index: Any) -> "Tensor":
        return apply(ops.getitem, self, index=_plain_index(index))

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))


def apply(op: Primitive, *inputs: Any, **options: Any) -> Tensor:
    """Compute a primitive, and record it if an input requires a gradient.

    Parameters
    ----------
    op : Primitive
        The operation.
    *inputs : Tensor, array or number
        What is differentiated. Other objects with ``requires_grad`` and ``node`` are allowed;
        they are passed to the operation as they are.
    **options
        Further arguments, without a gradient.

    Returns
    -------
    Tensor
        The result.

    Raises
    ------
    ShapeError, DeviceError, IndexError or TypeError
        If the operation fails; the message has the operation, the shapes and a remedy.

    Examples
    --------
    >>> apply(ops.exp, Tensor(np.zeros(2)))
    tensor([1., 1.], dtype=float64)
    """
    arrays, needs_grad = [], False
    for x in inputs:
        arrays.append(x.data if isinstance(x, Tensor) else x)
        needs_grad = needs_grad or getattr(x, "requires_grad", False)
    try:
        output = op.forward(*arrays, **options)
        if output.dtype.char == "d" and "dtype" not in options:
            output = _narrow(output, arrays)
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise explain(op.name, arrays, options, error) from error
    result = Tensor(output)
    if needs_grad and (make_node := recording.get()):
        result.requires_grad = True
        result.node = make_node(op, inputs, arrays, output, options)
    return result


def _narrow(output: Array, arrays: list[Any]) -> Array:
    """Return float32 unless an input is float64; NumPy makes float64 of float32 and int64."""
    wide = any(hasattr(a, "dtype") and a.dtype.char == "d" and not isinstance(a, float)
               for a in arrays)  # of either byte order
    return output if wide else output.astype(np.float32)


def _constant(function: Callable[..., Array], *inputs: Any, **options: Any) -> Tensor:
    """Return a function of the inputs' arrays, without a gradient."""
    arrays = [x.data if isinstance(x, Tensor) else x for x in inputs]
    try:
        return Tensor(function(*arrays, **options))
    except (TypeError, ValueError) as error:
        raise explain(function.__name__.strip("_"), arrays, options, error) from error


def _plain_index(index: Any) -> Any:
    """Return an index with arrays in place of tensors."""
    if isinstance(index, tuple):
        return tuple(_plain_index(i) for i in index)
    if isinstance(index, (float, str)):  # CuPy would read 1.5 as 1
        raise IndexError(f"only integers, slices, ..., None, lists, arrays and tensors are "
                         f"indices, got {index!r}")
    return index.data if isinstance(index, Tensor) else index
