"""Tensors made from numbers, and from other tensors."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import default_device, get_backend
from . import ops
from .operators import Operand
from .tensor import Tensor, apply


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False,
           device: str | None = None) -> Tensor:
    """A tensor from numbers, lists, arrays or tensors; always a copy.

    Python floats become float32 and ints int64; an array keeps its type, as in torch. It lies on
    ``device``, by default where the given tensor lies, or on the default device.

    >>> tensor([1, 2.5])
    tensor([1.0000, 2.5000])
    """
    if isinstance(data, (list, tuple)) and any(isinstance(x, Tensor) for x in data):
        data = [x.tolist() if isinstance(x, Tensor) else x for x in data]
    device = device or (data.device if isinstance(data, Tensor) else default_device())
    host = data.numpy() if isinstance(data, Tensor) else data
    array = np.array(host, dtype=dtype)
    if dtype is None and array.dtype == np.float64 and not hasattr(host, "dtype"):
        array = array.astype(np.float32)
    return Tensor(get_backend(device).from_host(array), requires_grad)


def cat(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors laid end to end along ``axis``; torch's ``cat``.

    >>> cat([tensor([1]), tensor([2, 3])])
    tensor([1, 2, 3])
    """
    return apply(ops.concatenate, *tensors, axis=axis)


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis; torch's ``stack``.

    >>> stack([tensor([1, 2]), tensor([3, 4])]).shape
    (2, 2)
    """
    return cat([t.unsqueeze(axis) for t in tensors], axis)


def where(chosen: Operand, a: Operand, b: Operand) -> Tensor:
    """``a`` where ``chosen`` is true, else ``b``.

    >>> where(tensor([True, False]), tensor([1., 2.]), 0.)
    tensor([1., 0.])
    """
    return apply(ops.where, tensor(chosen) if isinstance(chosen, list) else chosen, a, b)
