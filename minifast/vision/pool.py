"""Pooling: each window of an image becomes one number."""
import numpy as np

from ..autograd import Tensor, apply, cat
from ..nn import Module
from . import ops
from .conv import check_images, check_window
from .ops import Pair, pair


class Pool2d(Module):
    """Base class of pools whose window moves over the image in steps of ``stride``.

    Parameters
    ----------
    kernel_size : int or (int, int)
        The window's size in pixels.
    stride : int or (int, int), optional
        The window's step; its size by default.
    padding : int or (int, int)
        Zeros added on each side.

    Examples
    --------
    >>> Pool2d(2, padding=1)
    Pool2d(kernel_size=2, stride=2, padding=1)
    """

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None,
                 padding: int | Pair = 0) -> None:
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        self.window = {"kernel": pair(kernel_size, "kernel_size"),
                       "stride": pair(self.stride, "stride"),
                       "padding": pair(padding, "padding", 0)}

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(Pool2d):
    """Maximum of each window: (bs, c, h, w) to (bs, c, h', w').

    Parameters
    ----------
    kernel_size, stride : int or (int, int)
        The window's size and step in pixels; without ``stride`` the windows do not overlap.

    See Also
    --------
    torch.nn.MaxPool2d

    Examples
    --------
    >>> from minifast import tensor
    >>> MaxPool2d(2)(tensor([[[[1., 2.], [3., 4.]]]]))
    tensor([[[[4.]]]])
    """

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None) -> None:
        super().__init__(kernel_size, stride)
        del self.window["padding"]

    def forward(self, x: Tensor) -> Tensor:
        check_window(x.shape, **self.window)
        return apply(ops.max_pool2d, x, **self.window)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dilation=1, ceil_mode=False"


class AvgPool2d(Pool2d):
    """Mean of each window, padding included: (bs, c, h, w) to (bs, c, h', w').

    Parameters
    ----------
    kernel_size, stride, padding : int or (int, int)
        The window's size and step, and the zeros added on each side, in pixels; without
        ``stride`` the windows do not overlap.

    See Also
    --------
    torch.nn.AvgPool2d

    Examples
    --------
    >>> from minifast import tensor
    >>> AvgPool2d(2)(tensor([[[[1., 2.], [3., 4.]]]]))
    tensor([[[[2.5000]]]])
    """

    def forward(self, x: Tensor) -> Tensor:
        check_window(x.shape, **self.window)
        return apply(ops.avg_pool2d, x, **self.window)


class AdaptivePool2d(Module):
    """Base class of pools whose output has a given size, whatever the image's size.

    The image is divided into regions: region i of o covers pixels floor(i n / o) to
    ceil((i + 1) n / o) of n, so neighbours may overlap.

    Parameters
    ----------
    sz : int or (int, int)
        The output's height and width.

    Examples
    --------
    >>> from minifast import tensor
    >>> class AdaptiveSumPool2d(AdaptivePool2d):
    ...     def reduce(self, x):
    ...         return x.sum((2, 3), keepdims=True)
    >>> AdaptiveSumPool2d((1, 2))(tensor([[[[1., 2.], [3., 4.]]]]))
    tensor([[[[4., 6.]]]])
    """

    def __init__(self, sz: int | Pair = 1) -> None:
        self.sz, self.size = sz, pair(sz, "sz")

    def forward(self, x: Tensor) -> Tensor:
        check_images(x.shape)
        if self.size == (1, 1):
            return self.reduce(x)
        rows, columns = ([slice(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
                         for n, count in zip(x.shape[2:], self.size, strict=True))
        return cat([cat([self.reduce(x[:, :, down, across]) for across in columns], axis=3)
                    for down in rows], axis=2)

    def reduce(self, x: Tensor) -> Tensor:
        """Return one number for each channel of a region: (bs, c, h, w) to (bs, c, 1, 1).

        Parameters
        ----------
        x : Tensor
            The region (bs, c, h, w).

        Returns
        -------
        Tensor
            The numbers (bs, c, 1, 1).

        Examples
        --------
        >>> from minifast import tensor
        >>> AdaptiveAvgPool2d().reduce(tensor([[[[1., 2.], [3., 4.]]]]))
        tensor([[[[2.5000]]]])
        """
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"output_size={self.sz}"


class AdaptiveAvgPool2d(AdaptivePool2d):
    """Mean of each region: (bs, c, h, w) to ``(bs, c, *sz)``.

    Parameters
    ----------
    sz : int or (int, int)
        The output's height and width.

    See Also
    --------
    torch.nn.AdaptiveAvgPool2d

    Examples
    --------
    >>> from minifast import tensor
    >>> AdaptiveAvgPool2d(1)(tensor([[[[1., 2.], [3., 4.]]]]))
    tensor([[[[2.5000]]]])
    """

    def reduce(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdims=True)


class AdaptiveMaxPool2d(AdaptivePool2d):
    """Maximum of each region: (bs, c, h, w) to ``(bs, c, *sz)``.

    If a region has several maxima, the first one gets the gradient.

    Parameters
    ----------
    sz : int or (int, int)
        The output's height and width.

    See Also
    --------
    torch.nn.AdaptiveMaxPool2d

    Examples
    --------
    >>> from minifast import tensor
    >>> AdaptiveMaxPool2d(1)(tensor([[[[1., 2.], [3., 4.]]]]))
    tensor([[[[4.]]]])
    """

    def reduce(self, x: Tensor) -> Tensor:
        bs, c, h, w = x.shape
        flat = x.reshape(bs * c, h * w)
        rows = np.arange(bs * c, like=x.data)
        return flat[rows, flat.data.argmax(1)].reshape(bs, c, 1, 1)


class AdaptiveConcatPool2d(Module):
    """Maxima and means of each region, joined: (bs, c, h, w) to ``(bs, 2 c, *sz)``.

    Parameters
    ----------
    sz : int or (int, int), optional
        The output's height and width; 1 by default.

    Notes
    -----
    fastai v1's ``AdaptiveConcatPool2d``: the maxima come first.

    Examples
    --------
    >>> from minifast import tensor
    >>> AdaptiveConcatPool2d()(tensor([[[[1., 2.], [3., 4.]]]])).tolist()
    [[[[4.0]], [[2.5]]]]
    """

    def __init__(self, sz: int | Pair | None = None) -> None:
        self.output_size = sz or 1
        self.ap = AdaptiveAvgPool2d(self.output_size)
        self.mp = AdaptiveMaxPool2d(self.output_size)

    def forward(self, x: Tensor) -> Tensor:
        return cat([self.mp(x), self.ap(x)], axis=1)
