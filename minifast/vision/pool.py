"""Pooling: a window of an image becomes one number."""
import numpy as np

from ..autograd import Tensor, apply, cat
from ..backend import Array
from ..nn import Module
from . import ops as windows
from .conv import Pair, check_images, pair, windows_out


class _Pool2d(Module):
    """Base of pools with a window of ``kernel_size`` that moves by ``stride``, by default its size.
    """

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None,
                 padding: int | Pair = 0) -> None:
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        self.window = {"kernel": pair(kernel_size), "stride": pair(self.stride),
                       "padding": pair(padding, 0)}

    def forward(self, x: Tensor) -> Tensor:
        """(bs, c, h, w) to (bs, c, h', w')."""
        windows_out(x.shape, **self.window)
        return self.pool(x)

    def pool(self, x: Tensor) -> Tensor:
        """One number for each window."""
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

    def pool(self, x: Tensor) -> Tensor:
        """The largest."""
        return apply(windows.max_pool2d, x, kernel=self.window["kernel"],
                     stride=self.window["stride"])

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dilation=1, ceil_mode=False"


class AvgPool2d(_Pool2d):
    """The mean of each window, padding included; ``torch.nn.AvgPool2d``.

    >>> from minifast import tensor
    >>> AvgPool2d(2)(tensor([[[[1., 2.], [3., 4.]]]]))
    tensor([[[[2.5000]]]])
    """

    def pool(self, x: Tensor) -> Tensor:
        """The mean."""
        return apply(windows.avg_pool2d, x, **self.window)


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


class AdaptiveMaxPool2d(Module):
    """The largest of as many parts as ``sz`` says, whatever the image's size; (bs, c, h, w) to
    (bs, c, *sz). ``torch.nn.AdaptiveMaxPool2d``; the parts are those of AdaptiveAvgPool2d.

    >>> from minifast import tensor
    >>> AdaptiveMaxPool2d(1)(tensor([[[[1., 2.], [3., 4.]]]]))
    tensor([[[[4.]]]])
    """

    def __init__(self, sz: int | Pair = 1) -> None:
        self.sz, self.parts = sz, pair(sz)

    def forward(self, x: Tensor) -> Tensor:
        """(bs, c, h, w) to (bs, c, *sz)."""
        check_images(x.shape)
        if self.parts == (1, 1):
            return _largest(x)
        rows, columns = (_bounds(n, parts) for n, parts in
                         zip(x.shape[2:], self.parts, strict=True))
        return cat([cat([_largest(x[:, :, above:below, left:right]) for left, right in columns],
                        axis=3) for above, below in rows], axis=2)

    def extra_repr(self) -> str:
        return f"output_size={self.sz}"


def _bounds(n: int, parts: int) -> list[tuple[int, int]]:
    """Start and stop of each part."""
    return [(i * n // parts, -(-(i + 1) * n // parts)) for i in range(parts)]


def _largest(x: Tensor) -> Tensor:
    """(bs, c, h, w) to (bs, c, 1, 1): the first of equals gets the gradient."""
    bs, c, h, w = x.shape
    return apply(windows.pick_max, x.reshape(bs, c, h * w), axis=2).reshape(bs, c, 1, 1)


class AdaptiveConcatPool2d(Module):
    """Both at once: the largest of each part, then its mean; (bs, c, h, w) to (bs, 2 c, *sz).

    fastai's ``AdaptiveConcatPool2d``: the channels of the maximum come first.

    >>> from minifast import tensor
    >>> AdaptiveConcatPool2d()(tensor([[[[1., 2.], [3., 4.]]]])).tolist()
    [[[[4.0]], [[2.5]]]]
    """

    def __init__(self, sz: int | Pair | None = None) -> None:
        self.output_size = sz or 1
        self.ap = AdaptiveAvgPool2d(self.output_size)
        self.mp = AdaptiveMaxPool2d(self.output_size)

    def forward(self, x: Tensor) -> Tensor:
        """(bs, c, h, w) to (bs, 2 c, *sz)."""
        return cat([self.mp(x), self.ap(x)], axis=1)
