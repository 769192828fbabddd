"""Layers that only reshape, and a layer made from any function."""
from collections.abc import Callable
from typing import Any

from ..autograd import Tensor
from .module import Module


class Flatten(Module):
    """(bs, ...) to (bs, -1); with ``full``, to one axis. fastai's ``Flatten``.

    >>> from minifast import tensor
    >>> Flatten()(tensor([[[1., 2.], [3., 4.]]])).shape
    (1, 4)
    """

    def __init__(self, full: bool = False) -> None:
        self.full = full

    def forward(self, x: Tensor) -> Tensor:
        """(bs, ...) to (bs, n), or to (bs * n,)."""
        return x.reshape(-1) if self.full else x.reshape(x.shape[0], -1)


class Lambda(Module):
    """A function as a layer; fastai's ``Lambda``.

    >>> from minifast import tensor
    >>> Lambda(lambda x: x * 2)(tensor([1.]))
    tensor([2.])
    """

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func

    def forward(self, *inputs: Any) -> Any:
        """Whatever the function gives."""
        return self.func(*inputs)
