"""Functions of fastai v1's ``layers`` that return a convolution, batch norm, or pooling."""
from collections.abc import Callable
from inspect import signature
from typing import Any

from ..backend import generator
from ..nn import BatchNorm2d, Flatten, Sequential, kaiming_normal_
from ..nn.init import Seed
from .conv import Conv2d
from .pool import AdaptiveAvgPool2d


def conv2d(ni: int, nf: int, ks: int = 3, stride: int = 1, padding: int | None = None,
           bias: bool = False, init: Callable[..., Any] = kaiming_normal_, seed: Seed = None
           ) -> Conv2d:
    """Return an initialised convolution: (bs, ni, h, w) to (bs, nf, h', w').

    Parameters
    ----------
    ni, nf : int
        Channels of the input and of the output.
    ks, stride : int
        The kernel's size and step in pixels.
    padding : int, optional
        Zeros added on each side; by default ``ks // 2``.
    bias : bool
        Whether there is a bias; it starts at 0.
    init : callable
        Fills the weight: ``init(weight, seed=generator)``, or ``init(weight)`` if it takes no
        seed.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    Returns
    -------
    Conv2d
        The layer.

    Examples
    --------
    >>> conv2d(1, 8)
    Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
    """
    rng = generator(seed)
    layer = Conv2d(ni, nf, ks, stride, ks // 2 if padding is None else padding, bias=bias, seed=rng)
    init(layer.weight, **({"seed": rng} if "seed" in signature(init).parameters else {}))
    if layer.bias is not None:
        layer.bias.data.fill(0)
    return layer


def batchnorm_2d(nf: int, norm_type: Any = None) -> BatchNorm2d:
    """Return batch norm of images with fastai v1's initial weights: bias 0.001.

    Parameters
    ----------
    nf : int
        Channels.
    norm_type : NormType, optional
        ``NormType.BatchZero`` starts with weights of 0, everything else with 1.

    Returns
    -------
    BatchNorm2d
        The layer.

    Examples
    --------
    >>> batchnorm_2d(2).bias.detach()
    tensor([0.0010, 0.0010])
    """
    layer = BatchNorm2d(nf)
    layer.bias.data.fill(1e-3)
    layer.weight.data.fill(0 if getattr(norm_type, "name", norm_type) == "BatchZero" else 1)
    return layer


def PoolFlatten() -> Sequential:  # noqa: N802  (fastai's name)
    """Return the mean over each image's pixels as a layer: (bs, c, h, w) to (bs, c).

    Examples
    --------
    >>> [type(layer).__name__ for layer in PoolFlatten()]
    ['AdaptiveAvgPool2d', 'Flatten']
    """
    return Sequential(AdaptiveAvgPool2d(1), Flatten())
