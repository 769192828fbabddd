"""Convolution: a small linear layer at every place of an image."""
from collections.abc import Iterator
from math import sqrt

import numpy as np

from ..autograd import ShapeError, Tensor, apply, cat
from ..backend import generator
from ..nn.init import Seed, kaiming_uniform_, uniform_
from ..nn.module import Module
from ..nn.parameter import Parameter
from . import ops as windows

Pair = tuple[int, int]


def pair(n: int | Pair, least: int = 1) -> Pair:
    """(n, n) for a number. ValueError if one is below ``least``.

    >>> pair(3)
    (3, 3)
    """
    down, across = n if isinstance(n, (tuple, list)) else (n, n)
    if min(down, across) < least:
        raise ValueError(f"kernels and strides are at least 1, paddings at least 0; got {n}")
    return down, across


def check_images(shape: tuple[int, ...]) -> None:
    """Raise ShapeError unless ``shape`` is that of images.

    >>> check_images((1, 3, 8, 8))
    """
    if len(shape) != 4:
        raise ShapeError(f"images have shape (bs, channels, height, width), got {shape}; "
                         "use .unsqueeze(axis) for an axis of length 1")


def windows_out(shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """How many places a kernel has on images of ``shape`` (bs, c, h, w): down, and across.

    >>> windows_out((1, 1, 8, 8), (3, 3), (2, 2), (1, 1))
    (4, 4)
    """
    check_images(shape)
    down, across = ((n + 2 * p - k) // s + 1 for n, k, s, p in
                    zip(shape[2:], kernel, stride, padding, strict=True))
    if down < 1 or across < 1:
        raise ShapeError(f"a kernel of {kernel} does not fit on images of {shape[2:]} with padding "
                         f"{padding}; use larger images, more padding, or fewer strides before")
    return down, across


class Conv2d(Module):
    """(bs, n_in, h, w) to (bs, n_out, h', w'); ``torch.nn.Conv2d`` with its initial weights.

    Every window of the image becomes a row, and one matrix product does the rest. With
    ``groups`` the channels fall into that many parts, each convolved by itself, in turn.

    >>> from minifast import tensor
    >>> Conv2d(1, 4, 3, padding=1)(tensor([[[[0.] * 8] * 8]])).shape
    (1, 4, 8, 8)
    """

    def __init__(self, n_in: int, n_out: int, kernel_size: int | Pair, stride: int | Pair = 1,
                 padding: int | Pair = 0, groups: int = 1, bias: bool = True, seed: Seed = None
                 ) -> None:
        if groups < 1 or n_in % groups or n_out % groups:
            raise ValueError(f"{n_in} channels to {n_out} do not fall into {groups} equal groups; "
                             "take a number of groups that divides both")
        rng, self.groups = generator(seed), groups
        self.kernel_size, self.stride = pair(kernel_size), pair(stride)
        self.padding = pair(padding, 0)
        shape = (n_out, n_in // groups, *self.kernel_size)
        self.weight = kaiming_uniform_(Parameter(np.empty(shape, np.float32)), sqrt(5), rng)
        self.bias: Parameter | None = None
        if bias:
            bound = 1 / sqrt(np.prod(shape[1:]))
            self.bias = uniform_(Parameter(np.empty(n_out, np.float32), no_wd=True),
                                 -bound, bound, rng)

    def forward(self, x: Tensor) -> Tensor:
        """(bs, n_in, h, w) to (bs, n_out, h', w')."""
        windows_out(x.shape, self.kernel_size, self.stride, self.padding)
        n_in = self.weight.shape[1] * self.groups
        if x.shape[1] != n_in:
            raise ShapeError(f"this convolution takes {n_in} channels, got images of {x.shape}")
        own = [self.weight] if self.bias is None else [self.weight, self.bias]
        if self.groups == 1:
            return self._convolve(x, *own)
        return cat([self._convolve(x[:, part], *(p[rows] for p in own))
                    for part, rows in zip(self._of_groups(n_in),
                                          self._of_groups(len(self.weight)),
                                          strict=True)], axis=1)

    def _convolve(self, x: Tensor, *own: Tensor) -> Tensor:
        return apply(windows.conv2d, x, *own, stride=self.stride, padding=self.padding)

    def _of_groups(self, n: int) -> Iterator[slice]:
        """Which of n channels each group has."""
        size = n // self.groups
        return (slice(i, i + size) for i in range(0, n, size))

    def extra_repr(self) -> str:
        n_out, n_in = self.weight.shape[0], self.weight.shape[1] * self.groups
        return (f"{n_in}, {n_out}, kernel_size={self.kernel_size}, stride={self.stride}"
                + (f", padding={self.padding}" if self.padding != (0, 0) else "")
                + (f", groups={self.groups}" if self.groups > 1 else "")
                + (", bias=False" if self.bias is None else ""))
