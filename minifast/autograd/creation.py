"""Functions that make tensors from numbers or from other tensors."""
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..backend import default_device, get_backend
from . import ops
from .tensor import Operand, Tensor, apply


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False,
           device: str | None = None) -> Tensor:
    """Return a tensor with a copy of ``data``.

    Python floats become float32 and ints int64; an array keeps its type, as in torch.

    Parameters
    ----------
    data : number, list, array or Tensor
        The values.
    dtype : dtype, optional
        The number type.
    requires_grad : bool
        Whether ``backward`` computes its gradient.
    device : str, optional
        Where to put it. By default where the given tensor is, or on the default device.

    Returns
    -------
    Tensor
        The new tensor.

    Raises
    ------
    TypeError
        If ``dtype`` is a number.

    Examples
    --------
    >>> tensor([1, 2.5])
    tensor([1.0000, 2.5000])
    """
    if isinstance(data, (list, tuple)) and any(isinstance(x, Tensor) for x in data):
        data = [x.tolist() if isinstance(x, Tensor) else x for x in data]
    if isinstance(dtype, (int, float)):
        raise TypeError(f"{dtype} is not a dtype; for two numbers write tensor([{data}, {dtype}])")
    device = device or (data.device if isinstance(data, Tensor) else default_device())
    host = data.numpy() if isinstance(data, Tensor) else data
    array = np.array(host, dtype=dtype)
    if dtype is None and array.dtype == np.float64 and not hasattr(host, "dtype"):
        array = array.astype(np.float32)
    return Tensor(get_backend(device).from_host(array), requires_grad)


def cat(tensors: Sequence[Tensor], axis: int = 0, **other: Any) -> Tensor:
    """Join tensors along an existing axis; ``torch.cat``.

    Parameters
    ----------
    tensors : sequence of Tensor
        Tensors of the same shape except along ``axis``.
    axis : int
        The axis.
    **other
        Refused; torch's ``dim`` is ``axis``.

    Returns
    -------
    Tensor
        The joined tensor.

    Examples
    --------
    >>> cat([tensor([1]), tensor([2, 3])])
    tensor([1, 2, 3])
    """
    return apply(ops.concatenate(len(tensors)), *tensors, axis=axis, **other)


def stack(tensors: Sequence[Tensor], axis: int = 0, **other: Any) -> Tensor:
    """Join tensors of one shape along a new axis; ``torch.stack``.

    Parameters
    ----------
    tensors : sequence of Tensor
        Tensors of one shape.
    axis : int
        The position of the new axis.
    **other
        Refused; torch's ``dim`` is ``axis``.

    Returns
    -------
    Tensor
        The joined tensor.

    Examples
    --------
    >>> stack([tensor([1, 2]), tensor([3, 4])]).shape
    (2, 2)
    """
    return cat([t.unsqueeze(axis) for t in tensors], axis, **other)


def where(condition: Operand, a: Operand, b: Operand) -> Tensor:
    """Choose between two tensors element by element; ``torch.where``.

    Parameters
    ----------
    condition : Tensor, array or list of bool
        Which elements come from ``a``.
    a, b : Tensor, array or number
        The values where ``condition`` is true, and where it is false. All three are broadcast.

    Returns
    -------
    Tensor
        The chosen values.

    Examples
    --------
    >>> where(tensor([True, False]), tensor([1., 2.]), 0.)
    tensor([1., 0.])
    """
    return apply(ops.where, tensor(condition) if isinstance(condition, list) else condition, a, b)


ops.FUNCTIONS |= {name: getattr(Tensor, name) for name in (
    "sum", "mean", "max", "min", "clip", "reshape", "transpose", "squeeze", "broadcast_to",
    "argmax", "argmin", "argsort", "any", "all")} | {
    "where": where, "concatenate": cat, "stack": stack, "amax": Tensor.max, "amin": Tensor.min,
    "expand_dims": lambda a, axis: a.reshape(np.expand_dims(a.data, axis).shape),
    "size": lambda a, axis=None: np.size(a.data, axis), "var": partial(Tensor.var, correction=0),
    "std": partial(Tensor.std, correction=0)}
