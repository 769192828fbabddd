"""Building blocks of convolutional networks, as in fastai's layers."""
from collections.abc import Callable, Sequence
from enum import Enum
from itertools import pairwise
from typing import Any

import numpy as np

from ..autograd import Tensor, cat
from ..backend import generator
from ..nn import Dropout, Flatten, Module, ReLU, Sequential, kaiming_normal_
from ..nn.init import Seed
from .conv import check_images
from .pool import AdaptiveAvgPool2d
from .v1_layers import batchnorm_2d, conv2d


class NormType(Enum):
    """Kinds of normalisation in fastai v1; only ``Batch`` and ``BatchZero`` are available here."""

    Batch = 1
    BatchZero = 2
    Weight = 3
    Spectral = 4


class LeakyReLU(Module):
    """x where x is positive, else a small part of it: ``torch.nn.LeakyReLU``.

    Parameters
    ----------
    negative_slope : float
        The part, at most 1.
    inplace : bool
        Has no effect; accepted as in torch.

    Examples
    --------
    >>> from minifast import tensor
    >>> LeakyReLU(.1)(tensor([-1., 2.]))
    tensor([-0.1000,  2.0000])
    """

    def __init__(self, negative_slope: float = .01, inplace: bool = False) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        return x.relu() - self.negative_slope * (-x).relu()

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


def relu(inplace: bool = False, leaky: float | None = None) -> ReLU | LeakyReLU:
    """Return a ReLU, or a leaky one: fastai v1's ``relu``.

    Parameters
    ----------
    inplace : bool
        Has no effect; accepted as in v1.
    leaky : float, optional
        The slope for negative numbers.

    Returns
    -------
    ReLU or LeakyReLU
        The layer.

    Examples
    --------
    >>> relu(True), relu(leaky=.1)
    (ReLU(), LeakyReLU(negative_slope=0.1))
    """
    return LeakyReLU(leaky) if leaky else ReLU(inplace)


def conv_layer(ni: int, nf: int, ks: int = 3, stride: int = 1, padding: int | None = None,
               bias: bool | None = None, is_1d: bool = False,
               norm_type: NormType | None = NormType.Batch, use_activ: bool = True,
               leaky: float | None = None, transpose: bool = False,
               init: Callable[..., Any] = kaiming_normal_, self_attention: bool = False,
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
    is_1d : bool
        Layers for sequences are not available.
    norm_type : NormType, optional
        ``NormType.Batch`` adds batch norm; with ``NormType.BatchZero`` its weights start at 0.
    use_activ : bool
        Whether to add the ReLU.
    leaky : float, optional
        Slope of the ReLU for negative numbers, by default 0.
    transpose : bool
        Transposed convolutions are not available.
    init : callable
        Fills the convolution's weight: ``init(weight)`` or ``init(weight, seed=generator)``.
    self_attention : bool
        Attention is not available.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    Returns
    -------
    Sequential
        The layers.

    Raises
    ------
    ValueError
        If a layer is asked for that is not available.

    Notes
    -----
    fastai v1's ``conv_layer``, whose batch norm starts with biases of 0.001.

    Examples
    --------
    >>> [type(layer).__name__ for layer in conv_layer(1, 8)]
    ['Conv2d', 'ReLU', 'BatchNorm2d']
    """
    _refuse({"is_1d": is_1d, "transpose": transpose, "self_attention": self_attention}, norm_type)
    bn = norm_type is not None
    conv = conv2d(ni, nf, ks, stride, (ks - 1) // 2 if padding is None else padding,
                  not bn if bias is None else bias, init, seed)
    activ = [relu(leaky=leaky)] * use_activ
    return Sequential(conv, *activ, *([batchnorm_2d(nf, norm_type)] if bn else []))


def _refuse(options: dict[str, bool], norm_type: NormType | None) -> None:
    for name, value in options.items():
        if value:
            raise ValueError(f"conv_layer({name}={value}) is not available: there are convolutions "
                             "of images without transposition and attention only; leave it out")
    if norm_type not in (None, NormType.Batch, NormType.BatchZero):
        raise ValueError(f"norm_type is NormType.Batch, NormType.BatchZero or None, got "
                         f"{norm_type!r}; other normalisations are not available")


class ResBlock(Module):
    """A residual block: x + layers(x), (bs, nf, h, w) to the same.

    The last batch norm starts with weights of 0, so that a new block changes x by its bias only.

    Parameters
    ----------
    nf : int
        Channels.
    dense : bool
        Append x to the channels of layers(x) instead of adding it: (bs, 2 nf, h, w).
    norm_type : NormType, optional
        As for ``conv_layer``.
    bottle : bool
        Have half as many channels between the two convolutions.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.
    **conv_kwargs
        Other arguments of ``conv_layer``, such as ``leaky``.

    Notes
    -----
    fastai v1's ``res_block``, which it builds from ``SequentialEx`` and ``MergeLayer``.

    Examples
    --------
    >>> from minifast import tensor
    >>> ResBlock(1)(tensor([[[[1., 2.], [3., 4.]]]]))[0, 0, 0].detach()
    tensor([1.0010, 2.0010])
    """

    def __init__(self, nf: int, dense: bool = False,
                 norm_type: NormType | None = NormType.Batch, bottle: bool = False,
                 seed: Seed = None, **conv_kwargs: Any) -> None:
        rng, inner, self.dense = generator(seed), nf // 2 if bottle else nf, dense
        last = NormType.BatchZero if not dense and norm_type is NormType.Batch else norm_type
        self.layers = Sequential(
            conv_layer(nf, inner, norm_type=norm_type, seed=rng, **conv_kwargs),
            conv_layer(inner, nf, norm_type=last, seed=rng, **conv_kwargs))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return cat([y, x], 1) if self.dense else x + y


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
    layers = [conv_layer(ni, nf, ks, stride, seed=rng,
                         norm_type=NormType.Batch if bn and i < n - 1 else None)
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
