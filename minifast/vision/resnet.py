"""Small residual networks for images of 8 x 8 to 32 x 32 pixels (He et al. 2016)."""
from collections.abc import Sequence
from typing import NoReturn

from ..autograd import Tensor
from ..backend import generator
from ..nn import BatchNorm2d, Flatten, Linear, Module, ReLU, Sequential
from ..nn.init import Seed
from .blocks import conv_layer
from .pool import AdaptiveAvgPool2d


class BasicBlock(Module):
    """Two convolutions and a shortcut: (bs, ni, h, w) to (bs, nf, h / stride, w / stride).

    The shortcut is the input itself, or its 1 x 1 convolution where the shape changes.

    Parameters
    ----------
    ni, nf : int
        Channels of the input and of the output.
    stride : int
        Step of the first convolution.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    Notes
    -----
    torchvision's ``BasicBlock``.

    Examples
    --------
    >>> from minifast import tensor
    >>> BasicBlock(2, 4, stride=2)(tensor([[[[0.] * 8] * 8] * 2])).shape
    (1, 4, 4, 4)
    """

    def __init__(self, ni: int, nf: int, stride: int = 1, seed: Seed = None) -> None:
        rng = generator(seed)
        self.conv1, self.bn1 = _conv_bn(ni, nf, 3, stride, rng)
        self.relu = ReLU()
        self.conv2, self.bn2 = _conv_bn(nf, nf, 3, 1, rng)
        self.downsample = None if stride == 1 and ni == nf \
            else Sequential(*_conv_bn(ni, nf, 1, stride, rng))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        z: Tensor = self.relu(y + shortcut)
        return z


def _conv_bn(ni: int, nf: int, ks: int, stride: int, rng: Seed) -> tuple[Module, BatchNorm2d]:
    """Return a convolution without bias, and batch norm with torchvision's initial weights."""
    conv, = conv_layer(ni, nf, ks, stride, bias=False, norm_type=None, use_activ=False, seed=rng)
    return conv, BatchNorm2d(nf)


def resnet(blocks: Sequence[int], widths: Sequence[int], n_in: int = 3, n_out: int = 10,
           seed: Seed = None) -> Sequential:
    """Return a residual network: (bs, n_in, h, w) to (bs, n_out).

    Its children are a convolution, batch norm, ReLU, the stages, a pool, Flatten and Linear, so
    ``net[:-3]`` is the network without its head. Each stage but the first halves the image.

    Parameters
    ----------
    blocks, widths : list of int
        Number of blocks and of channels of each stage.
    n_in, n_out : int
        Channels of the images, and number of outputs.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    Returns
    -------
    Sequential
        The network.

    Examples
    --------
    >>> len(resnet([1, 1], [8, 16]))
    8
    """
    rng, ni = generator(seed), widths[0]
    layers = [*_conv_bn(n_in, ni, 3, 1, rng), ReLU()]
    for i, (n, nf) in enumerate(zip(blocks, widths, strict=True)):
        first = BasicBlock(ni, nf, 1 if i == 0 else 2, rng)
        layers.append(Sequential(first, *(BasicBlock(nf, nf, seed=rng) for _ in range(n - 1))))
        ni = nf
    return Sequential(*layers, AdaptiveAvgPool2d(1), Flatten(), Linear(ni, n_out, seed=rng))


def resnet10(n_in: int = 3, n_out: int = 10, seed: Seed = None) -> Sequential:
    """Return a residual network of ten layers: (bs, n_in, h, w) to (bs, n_out).

    Parameters
    ----------
    n_in, n_out : int
        Channels of the images, and number of outputs.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    Returns
    -------
    Sequential
        The network.

    Examples
    --------
    >>> len(resnet10()[:-3])
    5
    """
    return resnet([2, 2], [32, 64], n_in, n_out, seed)


def resnet20(n_in: int = 3, n_out: int = 10, seed: Seed = None) -> Sequential:
    """Return a residual network of twenty layers: (bs, n_in, h, w) to (bs, n_out).

    Parameters
    ----------
    n_in, n_out : int
        Channels of the images, and number of outputs.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    Returns
    -------
    Sequential
        The network.

    References
    ----------
    He et al. (2016), "Deep residual learning for image recognition", section 4.2.

    Examples
    --------
    >>> len(resnet20()[:-3])
    6
    """
    return resnet([3, 3, 3], [16, 32, 64], n_in, n_out, seed)


class _Models:
    """The architectures, as v1 names them."""

    resnet10, resnet20 = staticmethod(resnet10), staticmethod(resnet20)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"there is no models.{name}; there are resnet10 and resnet20, for "
                             "small images, and vision.resnet(blocks, widths) makes others")


models = _Models()
"""v1's name for architectures: ``models.resnet10``, ``models.resnet20``."""
