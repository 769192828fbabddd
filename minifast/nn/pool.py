"""Pooling: a window of an image becomes one number."""
import numpy as np

from ..autograd import Tensor, apply, windows
from ..backend import Array
from .conv import Pair, check_images, pair, windows_out
from .module import Module


class _Pool2d(Module):
    """Base of pools with a window: subclasses reduce (bs * c, kernel pixels, windows)."""

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None,
                 padding: int | Pair = 0) -> None:
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        self.window = {"kernel": pair(kernel_size), "stride": pair(self.stride),
                       "padding": pair(padding, 0)}

    def forward(self, x: Tensor) -> Tensor:
        """(bs, c, h, w) to (bs, c, h', w')."""
        out = windows_out(x.shape, **self.window)
        bs, c, h, w = x.shape
        columns = apply(windows.unfold, x.reshape(bs * c, 1, h, w), **self.window)
        return self.reduce(columns).reshape(bs, c, *out)

    def reduce(self, columns: Tensor) -> Tensor:
        """(n, pixels, windows) to (n, windows)."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(_Pool2d):
    """The largest of each window; ``torch.nn.MaxPool2d``, without padding.

    >>> from minifast import tensor
    >>> MaxPool2d(2)(tensor([[[[1., 2.], [3., 4.]]]]))
    tensor([[[[4.]]]])
    """

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None) -> None:
        super().__init__(kernel_size, stride)

    def reduce(self, columns: Tensor) -> Tensor:
        """The largest."""
        return apply(windows.pick_max, columns, axis=1)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dilation=1, ceil_mode=False"


class AvgPool2d(_Pool2d):
    """The mean of each window, padding included; ``torch.nn.AvgPool2d``.

    >>> from minifast import tensor
    >>> AvgPool2d(2)(tensor([[[[1., 2.], [3., 4.]]]]))
    tensor([[[[2.5000]]]])
    """

    def reduce(self, columns: Tensor) -> Tensor:
        """The mean."""
        return columns.mean(1)


class AdaptiveAvgPool2d(Module):
    """Means of as many parts as ``sz`` says, whatever the image's size; (bs, c, h, w) to
    (bs, c, *sz). ``torch.nn.AdaptiveAvgPool2d``: part i of n pixels in o parts is
    floor(i n / o) to ceil((i + 1) n / o).

    >>> from minifast import tensor
    >>> AdaptiveAvgPool2d(1)(tensor([[[[1., 2.], [3., 4.]]]]))
    tensor([[[[2.5000]]]])
    """

    def __init__(self, sz: int | Pair = 1) -> None:
        self.sz, self.parts = sz, pair(sz)

    def forward(self, x: Tensor) -> Tensor:
        """(bs, c, h, w) to (bs, c, *sz)."""
        check_images(x.shape)
        if self.parts == (1, 1):
            return x.mean((2, 3), keepdims=True)
        down, across = (_parts(x.data, x.shape[2 + i], n) for i, n in enumerate(self.parts))
        return down @ x @ across.t()

    def extra_repr(self) -> str:
        return f"output_size={self.sz}"


def _parts(like: Array, n: int, parts: int) -> Tensor:
    """The matrix (parts, n) that takes the mean of each part."""
    part = np.arange(parts, like=like)[:, None]
    place = np.arange(n, like=like)
    start, stop = part * n // parts, -(-(part + 1) * n // parts)
    inside = (place >= start) & (place < stop)
    return Tensor((inside / (stop - start)).astype(like.dtype))
