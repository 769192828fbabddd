"""Layers that reshape, and fastai v1's functions that return a layer."""
from ..autograd import Tensor
from ..nn import BatchNorm1d, Module


class View(Module):
    """Reshape a tensor: fastai v1's ``View``.

    Parameters
    ----------
    *size : int
        The new shape; one number may be -1.

    Examples
    --------
    >>> from minifast import tensor
    >>> View(2, -1)(tensor([1, 2, 3, 4]))
    tensor([[1, 2],
            [3, 4]])
    """

    def __init__(self, *size: int) -> None:
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(*self.size)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.size))


class ResizeBatch(Module):
    """Reshape each row, from (bs, ...) to ``(bs, *size)``: fastai v1's ``ResizeBatch``.

    Parameters
    ----------
    *size : int
        The new shape of a row; one number may be -1.

    Examples
    --------
    >>> from minifast import tensor
    >>> ResizeBatch(2, 1)(tensor([[1, 2], [3, 4]])).shape
    (2, 2, 1)
    """

    def __init__(self, *size: int) -> None:
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self.size)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.size))


class BatchNorm1dFlat(BatchNorm1d):
    """Batch norm over the last axis of a tensor (..., n): fastai v1's ``BatchNorm1dFlat``.

    Examples
    --------
    >>> from minifast import tensor
    >>> BatchNorm1dFlat(1)(tensor([[[1.], [3.]]])).detach()
    tensor([[[-1.0000],
             [ 1.0000]]])
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, x.shape[-1])).reshape(*x.shape)
