"""Layers that reshape, and fastai v1's functions that return a layer."""
from ..autograd import Tensor
from ..nn import BatchNorm1d, Module, ReLU


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


def relu(inplace: bool = False, leaky: float | None = None) -> ReLU:
    """Return a ReLU; fastai v1's ``relu``.

    Parameters
    ----------
    inplace : bool
        Has no effect; accepted as in v1.
    leaky : float, optional
        The slope for negative numbers, which is not available here.

    Returns
    -------
    ReLU
        The layer.

    Raises
    ------
    ValueError
        If `leaky` is given.

    Examples
    --------
    >>> relu(True)
    ReLU()
    """
    if leaky:
        raise ValueError(f"relu(leaky={leaky}): there is no leaky ReLU here; write Lambda(lambda "
                         f"x: x.relu() - {leaky} * (-x).relu())")
    return ReLU(inplace)
