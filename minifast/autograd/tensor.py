"""Tensor: an array that remembers how it was made."""
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Array, DeviceError, backend_of, mixed_devices, transfer
from . import ops
from .display import show_tensor
from .operators import Operand, Operators, ShapeError, array_of
from .primitive import Primitive
from .rows import Rows
from .tape import Node, recording, walk_back


class Tensor(Operators):
    """An array with a gradient: ``torch.Tensor`` on top of NumPy or CuPy.

    ``data`` is the array, ``grad`` the gradient's array (None before a ``backward``, and after
    ``zero_grad``), ``requires_grad`` says whether one is wanted, ``node`` what made it.
    NumPy's functions work on it and are differentiated (``np.exp(t)``); where NumPy says
    ``axis`` and ``keepdims``, so does this class.

    >>> w = Tensor(np.array([1., 2.]), requires_grad=True)
    >>> (w * w).sum().backward()
    >>> w.grad
    array([2., 4.])
    """

    __slots__ = ("__weakref__", "data", "grad", "node", "requires_grad")
    __array_priority__ = 1000

    def __init__(self, data: Array, requires_grad: bool = False) -> None:
        self.data: Array = data if type(data) is np.ndarray else _as_array(data)
        self.grad: Array | None = None
        self.node: Node | None = None
        self.requires_grad = requires_grad
        if requires_grad and self.data.dtype.kind != "f":
            raise TypeError(f"only floats have gradients; this tensor holds {self.data.dtype}. "
                            "Convert it first: tensor.float()")

    # ---- what it is

    @property
    def device(self) -> str:
        """``'cpu'`` or ``'cuda'``: where the array lives."""
        return backend_of(self.data).name

    def __repr__(self) -> str:
        maker = self.node.op.name if self.node else ""
        return show_tensor(self.numpy(), self.requires_grad, maker)

    # ---- to numbers and arrays

    def numpy(self) -> "np.ndarray[Any, Any]":
        """The array, on the host; on the CPU it is the tensor's own, not a copy."""
        return backend_of(self.data).to_host(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> "np.ndarray[Any, Any]":
        if self.requires_grad:
            raise TypeError("NumPy would lose this tensor's gradient; "
                            "use tensor.detach() if that is what you want")
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or ufunc.nout != 1:
            return NotImplemented
        op = _UFUNCS.get(ufunc.__name__)
        return _without_rule(ufunc, inputs) if op is None else apply(op, *inputs)

    def item(self) -> Any:
        """The only element, as a Python number. On a GPU this waits for the device."""
        if self.numel() != 1:
            raise ShapeError(f"a tensor of shape {self.shape} is not one number; "
                             "use t.tolist(), or reduce it first")
        return self.data.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
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
        """On ``device``; the tensor itself if it is there already."""
        if device == self.device:
            return self
        return Tensor(transfer(self.data, device), self.requires_grad)

    def cpu(self) -> "Tensor":
        """On the CPU."""
        return self.to("cpu")

    def astype(self, dtype: Any) -> "Tensor":
        """With another number type. No gradient flows back through it."""
        return Tensor(self.data.astype(dtype))

    def float(self) -> "Tensor":
        """As float32."""
        return self if self.dtype == np.float32 else self.astype(np.float32)

    def long(self) -> "Tensor":
        """As int64."""
        return self if self.dtype == np.int64 else self.astype(np.int64)

    # ---- gradients

    def detach(self) -> "Tensor":
        """The same array without its history."""
        return Tensor(self.data)

    def clone(self) -> "Tensor":
        """A copy with its own array, differentiable."""
        return self * 1 if self.requires_grad else Tensor(self.data.copy())

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Ask for a gradient, or ask no longer."""
        self.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def backward(self, gradient: Operand | None = None, retain_graph: bool = False) -> None:
        """Give every leaf behind this tensor d(self)/d(leaf), added to its ``grad``.

        A tensor with more than one element needs ``gradient``, of its shape. The graph is
        released on the way; ``retain_graph=True`` keeps it for another call.
        """
        if not self.requires_grad:
            raise RuntimeError("this tensor does not depend on one that requires a gradient; "
                               "set requires_grad=True on a leaf, or unfreeze the model")
        walk_back(self, self._first_gradient(gradient), retain_graph)

    def _first_gradient(self, gradient: Operand | None) -> Array:
        if gradient is not None:
            g = gradient if hasattr(gradient, "dtype") \
                else transfer(np.asarray(gradient), self.device)
            if np.shape(g) != self.shape:
                raise ShapeError(f"gradient of shape {np.shape(g)} for a tensor of {self.shape}")
            return _without_gradient(operator.add, (np.zeros_like(self.data), g)).data
        if self.data.size != 1:
            raise ShapeError(f"backward() starts from one number; this tensor has shape "
                             f"{self.shape}. Use .mean() or .sum(), or pass gradient=")
        g = np.empty_like(self.data)
        g.fill(1)  # in half the time of ones_like
        return g

    def accumulate(self, gradient: "Array | Rows") -> None:
        """Add to ``grad``; the first time into an array that nobody else owns."""
        first = self.grad is None
        grad: Array = self.gradient_array() if first else self.grad
        self.grad = grad
        if isinstance(gradient, Rows):
            if first:
                grad.fill(0)
            gradient.add_to(grad)
        elif first:
            grad[...] = gradient
        else:
            grad += gradient

    def gradient_array(self) -> Array:
        """Where the gradient goes: an array of this tensor's own, not yet filled."""
        return np.empty_like(self.data)

    # ---- operations

    def _do(self, op: Primitive, *inputs: Any, **options: Any) -> "Tensor":
        return apply(op, *inputs, **options)

    def _wrap(self, array: Array) -> "Tensor":
        return Tensor(array)

    def _compare(self, function: Callable[[Any, Any], Array], other: Operand) -> "Tensor":
        return _without_gradient(function, (self, other))

    def pca(self, k: int = 2) -> "Tensor":
        """Principal components: rows (n, f) to coordinates (n, k), as fastai adds to tensors.

        Columns are centred, then turned to the directions of largest variance, largest first;
        the sign of a column is arbitrary. Not differentiable.

        >>> Tensor(np.array([[0., 1.], [1., 3.], [2., 5.]])).pca(1).shape
        (3, 1)
        """
        if self.ndim != 2 or not 0 < k <= min(self.shape):
            raise ShapeError(f"pca({k}) needs a matrix with both sides at least {k}; "
                             f"this tensor has shape {self.shape}")
        centred = self.data - self.data.mean(0)
        directions = np.linalg.svd(centred.T, full_matrices=False)[0]
        return Tensor(centred @ directions[:, :k])


def _as_array(data: Any) -> Array:
    """An array of any library as it is; one of NumPy's for its numbers, and for lists."""
    return np.asarray(data) if isinstance(data, np.generic) or not hasattr(data, "dtype") else data


_UFUNCS = {"add": ops.add, "subtract": ops.sub, "multiply": ops.mul, "divide": ops.div,
           "power": ops.pow_, "negative": ops.neg, "matmul": ops.matmul, "exp": ops.exp,
           "log": ops.log, "sqrt": ops.sqrt, "absolute": ops.abs_, "tanh": ops.tanh,
           "maximum": ops.maximum, "minimum": ops.minimum}


def _without_rule(ufunc: Any, inputs: tuple[Any, ...]) -> Tensor:
    """A NumPy function that has no derivative here: fine for comparisons and for constants."""
    result = _without_gradient(ufunc, inputs)
    if result.dtype.kind == "f" and any(getattr(x, "requires_grad", False) for x in inputs):
        raise TypeError(f"np.{ufunc.__name__} has no derivative rule, so this tensor's gradient "
                        "would be lost; use tensor.detach(), or write a primitive for it")
    return result


def _without_gradient(function: Any, inputs: tuple[Any, ...]) -> Tensor:
    arrays = [array_of(x) for x in inputs]
    try:
        return Tensor(function(*arrays))
    except (TypeError, ValueError) as error:
        raise _explain(function.__name__.strip("_"), arrays, {}, error) from error


# ---------------------------------------------------------------- doing an operation

def apply(op: Primitive, *inputs: Any, **options: Any) -> Tensor:
    """Do ``op`` and, if an input requires a gradient, put a node on the tape.

    Inputs may be tensors, arrays and numbers; options are no inputs and have no gradient.

    >>> apply(ops.exp, Tensor(np.zeros(2)))
    tensor([1., 1.], dtype=float64)
    """
    arrays = [x.data if isinstance(x, Tensor) else x for x in inputs]
    try:
        output = op.forward(*arrays, **options)
    except (TypeError, ValueError, IndexError) as error:
        raise _explain(op.name, arrays, options, error) from error
    if output.dtype is _FLOAT64:
        output = _no_wider(output, arrays)
    return record(op, inputs, arrays, output, options)


def record(op: Primitive, inputs: tuple[Any, ...], arrays: list[Any], output: Array,
           options: dict[str, Any]) -> Tensor:
    """``output`` as a tensor, with a node on the tape if an input requires a gradient."""
    result = Tensor(output)
    for x in inputs:
        if getattr(x, "requires_grad", False):
            if recording.get():
                result.requires_grad = True
                result.node = Node(op, inputs, arrays, output, options)
            break
    return result


_FLOAT64 = np.dtype(np.float64)


def _no_wider(output: Array, arrays: list[Any]) -> Array:
    """float32 unless an array was float64: NumPy makes float64 of float32 and int64."""
    wide = any(getattr(a, "dtype", None) is _FLOAT64 and not isinstance(a, float) for a in arrays)
    return output if wide else output.astype(np.float32)


def _explain(name: str, arrays: list[Any], options: dict[str, Any],
             error: Exception) -> Exception:
    """An error in minifast's words: the operation, the shapes, and what to do."""
    devices = mixed_devices(arrays)
    if len(devices) > 1:
        return DeviceError(f"{name}: inputs on different devices, "
                           f"{' and '.join(sorted(devices))}; bring them together with "
                           "tensor.to(device)")
    shapes = " and ".join(str(a.shape) for a in arrays if hasattr(a, "shape"))
    given = "".join(f", {k}={v!r}" for k, v in options.items())
    if isinstance(error, ValueError):
        return ShapeError(f"{name}: shapes {shapes} do not fit together{given} ({error}); "
                          "print the shapes, and use .reshape(...) or .t() to line the axes up")
    kind = IndexError if isinstance(error, IndexError) else TypeError
    return kind(f"{name}: inputs of shapes {shapes}{given}: {error}")
