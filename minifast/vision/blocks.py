"""Blocks that convolutional networks are built of, as in fastai's layers."""
from collections.abc import Sequence
from itertools import pairwise

from ..autograd import Tensor
from ..backend import Array, generator
from ..nn.activation import ReLU
from ..nn.containers import Sequential
from ..nn.dropout import Dropout
from ..nn.init import Seed, kaiming_normal_
from ..nn.module import Module
from ..nn.norm import BatchNorm2d
from ..nn.shape import Flatten
from .conv import Conv2d, check_images
from .pool import AdaptiveAvgPool2d


def conv_layer(ni: int, nf: int, ks: int = 3, stride: int = 1, padding: int | None = None,
               bias: bool | None = None, bn: bool = True, use_activ: bool = True,
               seed: Seed = None) -> Sequential:
    """Convolution, ReLU, batch norm, in this order; (bs, ni, h, w) to (bs, nf, h', w').

    ``padding`` keeps the size at stride 1 unless it is given; a bias comes without batch norm
    only. Weights are Kaiming's. fastai v1's ``conv_layer`` (``bn`` is its ``norm_type``).

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
    """What the two layers find is added to what they were given: x + layers(x).

    (bs, nf, h, w) to the same. The last batch norm starts at 0, so the block starts as nothing.
    fastai v1's ``res_block``, which builds it of ``SequentialEx`` and ``MergeLayer``.

    >>> from minifast import tensor
    >>> ResBlock(1)(tensor([[[[1., 2.], [3., 4.]]]])).tolist()
    [[[[1.0, 2.0], [3.0, 4.0]]]]
    """

    def __init__(self, nf: int, seed: Seed = None) -> None:
        rng = generator(seed)
        self.layers = Sequential(conv_layer(nf, nf, seed=rng), conv_layer(nf, nf, seed=rng))
        self.layers[1][-1].weight.data.fill(0)

    def forward(self, x: Tensor) -> Tensor:
        """(bs, nf, h, w) to the same."""
        y: Tensor = x + self.layers(x)
        return y


def res_block(nf: int, seed: Seed = None) -> ResBlock:
    """A ResBlock, under fastai's name.

    >>> res_block(8).layers[0][0].weight.shape
    (8, 8, 3, 3)
    """
    return ResBlock(nf, seed)


def simple_cnn(actns: Sequence[int], kernel_szs: Sequence[int] | None = None,
               strides: Sequence[int] | None = None, bn: bool = False, seed: Seed = None
               ) -> Sequential:
    """Convolutions from channels to channels, then the mean over the image: (bs, actns[-1]).

    Kernels are 3 and strides 2 unless given. ``bn`` puts batch norm behind all but the last.
    fastai v1's ``simple_cnn``.

    >>> from minifast import tensor
    >>> simple_cnn([1, 8, 16, 10])(tensor([[[[0.] * 8] * 8]])).shape
    (1, 10)
    """
    rng, n = generator(seed), len(actns) - 1
    kernels, steps = kernel_szs or [3] * n, strides or [2] * n
    if not n == len(kernels) == len(steps):
        raise ValueError(f"{len(actns)} widths {list(actns)} make {n} convolutions, for which "
                         f"there are {len(kernels)} kernel sizes and {len(steps)} strides")
    layers = [conv_layer(ni, nf, ks, stride, bn=bn and i < n - 1, seed=rng)
              for i, ((ni, nf), ks, stride) in
              enumerate(zip(pairwise(actns), kernels, steps, strict=True))]
    return Sequential(*layers, AdaptiveAvgPool2d(1), Flatten())


class Dropout2d(Dropout):
    """Whole channels of images (bs, c, h, w) become zero, each with probability ``p``.
    ``torch.nn.Dropout2d``.

    >>> from minifast import tensor
    >>> images = Dropout2d(.5, seed=1)(tensor([[[[1., 1.]], [[1., 1.]], [[1., 1.]]]]))
    >>> images[0].tolist()
    [[[0.0, 0.0]], [[2.0, 2.0]], [[2.0, 2.0]]]
    """

    def forward(self, x: Tensor) -> Tensor:
        """(bs, c, h, w) to the same."""
        check_images(x.shape)
        return super().forward(x)

    def _drawn(self, x: Array) -> Array:
        return x[:, :, :1, :1]
