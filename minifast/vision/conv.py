"""Convolution: the same small linear layer applied at every position of an image."""
from math import sqrt

import numpy as np

from ..autograd import ShapeError, Tensor, apply, cat
from ..backend import generator
from ..nn import Module, Parameter, kaiming_uniform_, uniform_
from ..nn.init import Seed
from . import ops
from .ops import Pair, pair


def check_images(shape: tuple[int, ...]) -> None:
    """Check that a shape is that of images.

    Parameters
    ----------
    shape : tuple of int
        The shape to check.

    Raises
    ------
    ShapeError
        If it is not (bs, channels, height, width).

    Examples
    --------
    >>> check_images((1, 3, 8, 8))
    """
    if len(shape) != 4:
        raise ShapeError(f"images have shape (bs, channels, height, width), got {shape}; "
                         "use .unsqueeze(axis) to add an axis of length 1")


def check_window(shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair = (0, 0)
                 ) -> None:
    """Check that a kernel fits on images.

    Parameters
    ----------
    shape : (bs, c, h, w)
        The images' shape.
    kernel, stride, padding : (int, int)
        As for ``ops.output_size``.

    Raises
    ------
    ShapeError
        If the images have other axes, or the kernel is larger than the padded images.

    Examples
    --------
    >>> check_window((1, 1, 8, 8), (3, 3), (2, 2))
    """
    check_images(shape)
    if min(ops.output_size(shape, kernel, stride, padding)) < 1:
        raise ShapeError(f"a kernel of {kernel} does not fit on images of {shape[2:]} with padding "
                         f"{padding}; use larger images, more padding, or smaller strides before")


class Conv2d(Module):
    """Convolution with torch's initial weights: (bs, n_in, h, w) to (bs, n_out, h', w').

    Parameters
    ----------
    n_in, n_out : int
        Channels of the input and of the output.
    kernel_size, stride, padding : int or (int, int)
        The kernel's size, its step, and the zeros added on each side, in pixels.
    groups : int
        Split the channels into this many equal groups, each with its own convolution.
    bias : bool
        Add a bias (n_out,).
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    Raises
    ------
    ValueError
        If a size is too small, or ``groups`` does not divide both numbers of channels.

    See Also
    --------
    torch.nn.Conv2d

    Examples
    --------
    >>> from minifast import tensor
    >>> Conv2d(1, 4, 3, padding=1)(tensor([[[[0.] * 8] * 8]])).shape
    (1, 4, 8, 8)
    """

    def __init__(self, n_in: int, n_out: int, kernel_size: int | Pair, stride: int | Pair = 1,
                 padding: int | Pair = 0, groups: int = 1, bias: bool = True, seed: Seed = None
                 ) -> None:
        if groups < 1 or n_in % groups or n_out % groups:
            raise ValueError(f"{n_in} channels to {n_out} cannot be split into {groups} equal "
                             "groups; use a number that divides both")
        rng, self.groups = generator(seed), groups
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.stride, self.padding = pair(stride, "stride"), pair(padding, "padding", 0)
        shape = (n_out, n_in // groups, *self.kernel_size)
        self.weight = kaiming_uniform_(Parameter(np.empty(shape, np.float32)), sqrt(5), rng)
        bound = 1 / sqrt(np.prod(shape[1:]))
        self.bias = uniform_(Parameter(np.empty(n_out, np.float32), no_wd=True), -bound, bound,
                             rng) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        check_window(x.shape, self.kernel_size, self.stride, self.padding)
        n_out, n_in = len(self.weight) // self.groups, self.weight.shape[1]
        if x.shape[1] != n_in * self.groups:
            raise ShapeError(f"this convolution takes {n_in * self.groups} channels, got images "
                             f"of {x.shape}")
        own = [self.weight] if self.bias is None else [self.weight, self.bias]
        if self.groups == 1:
            return self._convolve(x, *own)
        return cat([self._convolve(x[:, i * n_in:(i + 1) * n_in],
                                   *(p[i * n_out:(i + 1) * n_out] for p in own))
                    for i in range(self.groups)], axis=1)

    def _convolve(self, x: Tensor, *own: Tensor) -> Tensor:
        return apply(ops.conv2d, x, *own, stride=self.stride, padding=self.padding)

    def extra_repr(self) -> str:
        n_out, n_in = self.weight.shape[0], self.weight.shape[1] * self.groups
        return (f"{n_in}, {n_out}, kernel_size={self.kernel_size}, stride={self.stride}"
                + (f", padding={self.padding}" if self.padding != (0, 0) else "")
                + (f", groups={self.groups}" if self.groups > 1 else "")
                + (", bias=False" if self.bias is None else ""))
