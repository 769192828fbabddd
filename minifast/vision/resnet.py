"""Small residual networks (He et al. 2016), for images of 8x8 to 32x32 pixels."""
from collections.abc import Sequence

from ..autograd import Tensor
from ..backend import generator
from ..nn.activation import ReLU
from ..nn.containers import Sequential
from ..nn.init import Seed, kaiming_normal_
from ..nn.linear import Linear
from ..nn.module import Module
from ..nn.norm import BatchNorm2d
from ..nn.shape import Flatten
from .blocks import conv_layer
from .conv import Conv2d
from .pool import AdaptiveAvgPool2d


def _conv(ni: int, nf: int, stride: int, seed: Seed) -> Conv2d:
    conv = Conv2d(ni, nf, 3, stride, 1, bias=False, seed=seed)
    kaiming_normal_(conv.weight, seed=seed)
    return conv


class BasicBlock(Module):
    """Two convolutions beside a shortcut; (bs, ni, h, w) to (bs, nf, h / stride, w / stride).

    The shortcut is the input itself, or a 1x1 convolution of it where the shape changes.
    torchvision's ``BasicBlock``.

    >>> from minifast import tensor
    >>> BasicBlock(2, 4, stride=2)(tensor([[[[0.] * 8] * 8] * 2])).shape
    (1, 4, 4, 4)
    """

    def __init__(self, ni: int, nf: int, stride: int = 1, seed: Seed = None) -> None:
        rng = generator(seed)
        self.conv1, self.bn1 = _conv(ni, nf, stride, rng), BatchNorm2d(nf)
        self.relu = ReLU()
        self.conv2, self.bn2 = _conv(nf, nf, 1, rng), BatchNorm2d(nf)
        self.downsample: Sequential | None = None
        if stride != 1 or ni != nf:
            self.downsample = conv_layer(ni, nf, 1, stride, use_activ=False, seed=rng)

    def forward(self, x: Tensor) -> Tensor:
        """(bs, ni, h, w) to (bs, nf, h / stride, w / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        z: Tensor = self.relu(y + shortcut)
        return z


def resnet(blocks: Sequence[int], widths: Sequence[int], n_in: int = 3, n_out: int = 10,
           seed: Seed = None) -> Sequential:
    """A residual network: stem, one stage per number in ``blocks``, mean, linear layer.

    Each stage but the first halves the image. Children: conv, batch norm, ReLU, the stages, pool,
    Flatten, Linear; so a body without its last three is ``net[:-3]``.

    >>> len(resnet([1, 1], [8, 16]))
    8
    """
    rng = generator(seed)
    stem = [_conv(n_in, widths[0], 1, rng), BatchNorm2d(widths[0]), ReLU()]
    stages, ni = [], widths[0]
    for i, (n, nf) in enumerate(zip(blocks, widths, strict=True)):
        first = BasicBlock(ni, nf, 1 if i == 0 else 2, rng)
        stages.append(Sequential(first, *(BasicBlock(nf, nf, seed=rng) for _ in range(n - 1))))
        ni = nf
    return Sequential(*stem, *stages, AdaptiveAvgPool2d(1), Flatten(), Linear(ni, n_out, seed=rng))


def resnet10(n_in: int = 3, n_out: int = 10, seed: Seed = None) -> Sequential:
    """Ten layers: (bs, n_in, h, w) to (bs, n_out).

    >>> len(resnet10()[:-3])
    5
    """
    return resnet([2, 2], [32, 64], n_in, n_out, seed)


def resnet20(n_in: int = 3, n_out: int = 10, seed: Seed = None) -> Sequential:
    """Twenty layers, as for CIFAR in He et al., section 4.2: (bs, n_in, h, w) to (bs, n_out).

    >>> len(resnet20()[:-3])
    6
    """
    return resnet([3, 3, 3], [16, 32, 64], n_in, n_out, seed)
