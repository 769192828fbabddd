"""Building blocks of convolutional networks, as in fastai's layers."""
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..autograd import Tensor
from ..backend import generator
from ..nn import BatchNorm2d, Dropout, Flatten, Module, ReLU, Sequential, kaiming_normal_
from ..nn.init import Seed
from .conv import Conv2d, check_images
from .pool import AdaptiveAvgPool2d


def conv_layer(ni: int, nf: int, ks: int = 3, stride: int = 1, padding: int | None = None,
               bias: bool | None = None, bn: bool = True, use_activ: bool = True,
               seed: Seed = None) -> Sequential:
    """Return a convolution, a ReLU and batch norm: (bs, ni, h, w) to (bs, nf, h', w').

    Parameters
    ----------
    ni, nf : int
        Channels of the input and of the output.
    ks, stride : int
        The kernel's size and step in pixels.
    padding : int, optional
        Zeros added on each side; by default those that keep the size at stride 1.
    bias : bool, optional
        Whether the convolution has a bias; by default only without batch norm.
    bn, use_activ : bool
        Whether to add batch norm, and the ReLU.
    seed : int, numpy.random.Generator or None
        Source of the initial weights, which are Kaiming's.

    Returns
    -------
    Sequential
        The layers.

    Notes
    -----
    fastai v1's ``conv_layer``; ``bn`` stands for its ``norm_type``.

    Examples
    --------
    >>> [type(layer).__name__ for layer in conv_layer(1, 8)]
    ['Conv2d', 'ReLU', 'BatchNorm2d']
    """
    rng = generator(seed)
    conv = Conv2d(ni, nf, ks, stride, (ks - 1) // 2 if padding is None else padding,
                  bias=not bn if bias is None else bias, seed=rng)
    kaiming_normal_(conv.weight, seed=rng)
    if conv.bias is not None:
        conv.bias.data.fill(0)
    return Sequential(conv, *[ReLU()] * use_activ, *([BatchNorm2d(nf)] if bn else []))


class ResBlock(Module):
    """A residual block: x + layers(x), (bs, nf, h, w) to the same.

    The last batch norm starts with weights of 0, so a new block is the identity.

    Parameters
    ----------
    nf : int
        Channels.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    Notes
    -----
    fastai v1's ``res_block``, which it builds from ``SequentialEx`` and ``MergeLayer``.

    Examples
    --------
    >>> from minifast import tensor
    >>> ResBlock(1)(tensor([[[[1., 2.], [3., 4.]]]])).tolist()
    [[[[1.0, 2.0], [3.0, 4.0]]]]
    """

    def __init__(self, nf: int, seed: Seed = None) -> None:
        rng = generator(seed)
        self.layers = Sequential(conv_layer(nf, nf, seed=rng), conv_layer(nf, nf, seed=rng))
        self.layers[1][-1].weight.data.fill(0)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y


res_block = ResBlock
"""fastai's name."""


def simple_cnn(actns: Sequence[int], kernel_szs: Sequence[int] | None = None,
               strides: Sequence[int] | None = None, bn: bool = False, seed: Seed = None
               ) -> Sequential:
    """Return convolutions followed by the mean over the image: (bs, n, h, w) to (bs, n').

    Parameters
    ----------
    actns : list of int
        Channels of the input and of each convolution.
    kernel_szs, strides : list of int, optional
        One per convolution; 3 and 2 by default.
    bn : bool
        Add batch norm after all convolutions but the last.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    Returns
    -------
    Sequential
        The network.

    Raises
    ------
    ValueError
        If there are more or fewer kernel sizes or strides than convolutions.

    Notes
    -----
    fastai v1's ``simple_cnn``.

    Examples
    --------
    >>> from minifast import tensor
    >>> simple_cnn([1, 8, 16, 10])(tensor([[[[0.] * 8] * 8]])).shape
    (1, 10)
    """
    rng, n = generator(seed), len(actns) - 1
    kernels, steps = kernel_szs or [3] * n, strides or [2] * n
    if not n == len(kernels) == len(steps):
        raise ValueError(f"{len(actns)} widths {list(actns)} make {n} convolutions, but there are "
                         f"{len(kernels)} kernel sizes and {len(steps)} strides")
    layers = [conv_layer(ni, nf, ks, stride, bn=bn and i < n - 1, seed=rng)
              for i, ((ni, nf), ks, stride) in
              enumerate(zip(pairwise(actns), kernels, steps, strict=True))]
    return Sequential(*layers, AdaptiveAvgPool2d(1), Flatten())


class Dropout2d(Dropout):
    """Dropout of whole channels: (bs, c, h, w) to the same.

    Parameters
    ----------
    p : float
        Probability with which a channel is set to zero, in [0, 1).
    seed : int, numpy.random.Generator or None
        Source of the random numbers.

    See Also
    --------
    torch.nn.Dropout2d

    Examples
    --------
    >>> from minifast import tensor
    >>> images = Dropout2d(.5, seed=1)(tensor([[[[1., 1.]], [[1., 1.]], [[1., 1.]]]]))
    >>> images[0].tolist()
    [[[0.0, 0.0]], [[2.0, 2.0]], [[2.0, 2.0]]]
    """

    def forward(self, x: Tensor) -> Tensor:
        check_images(x.shape)
        if not self.training or not self.p:
            return x
        return x * super().forward(Tensor(np.ones_like(x.data[:, :, :1, :1])))
