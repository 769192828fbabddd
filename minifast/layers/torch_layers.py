"""Layers and initial weights under torch's names, which are added to ``nn`` and ``nn.init``."""
from functools import partial
from typing import TypeVar

import numpy as np

from .. import nn
from ..autograd import Tensor
from ..nn import Module, init

T = TypeVar("T", bound=Tensor)


class Identity(Module):
    """Return the input: ``torch.nn.Identity``."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Tanh(Module):
    """The hyperbolic tangent as a layer: ``torch.nn.Tanh``."""

    def forward(self, x: Tensor) -> Tensor:
        return x.tanh()


class Softmax(Module):
    """Positive outputs whose sum is 1 along an axis: ``torch.nn.Softmax``.

    Parameters
    ----------
    dim : int
        The axis.

    Examples
    --------
    >>> from minifast import tensor
    >>> Softmax(dim=1)(tensor([[0., 0.]]))
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return nn.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


def constant_(x: T, val: float) -> T:
    """Fill a tensor with a number, in place: ``torch.nn.init.constant_``.

    Parameters
    ----------
    x : Tensor
        The tensor.
    val : float
        The number.

    Returns
    -------
    Tensor
        The same tensor.

    Examples
    --------
    >>> from minifast import tensor
    >>> constant_(tensor([1., 2.]), 3)
    tensor([3., 3.])
    """
    return init.fill_(x, np.full(x.shape, val))


vars(nn).update(Identity=Identity, Tanh=Tanh, Softmax=Softmax)
vars(init).update(constant_=constant_, zeros_=partial(constant_, val=0),
                  ones_=partial(constant_, val=1))
