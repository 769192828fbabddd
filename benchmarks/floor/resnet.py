"""A residual network: images (bs, height, width, channels), convolutions as matrix products."""
from collections.abc import Callable, Mapping

import numpy as np

from ..job import Array
from .flat import Flat
from .mlp import cross_entropy

Back = Callable[[Array], Array]
"""Take the output's gradient, return the input's; write the parameters' gradients."""


def windows(x: Array, ks: int, stride: int) -> Array:
    """Return the windows of a convolution: (bs * places, ks * ks * channels)."""
    if ks == 1:
        return x[:, ::stride, ::stride].reshape(-1, x.shape[-1])
    bs, h, w, c = x.shape
    padded = np.zeros((bs, h + 2, w + 2, c), np.float32)
    padded[:, 1:-1, 1:-1] = x
    seen = np.lib.stride_tricks.sliding_window_view(padded, (ks, ks), (1, 2))
    seen = seen[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)
    return seen.reshape(-1, ks * ks * c)


def turned(w: Array, ks: int) -> Array:
    """Return a kernel (ks * ks * in, out) for the backward pass: (ks * ks * out, in)."""
    w = w.reshape(ks, ks, -1, w.shape[1])[::-1, ::-1]
    return w.transpose(0, 1, 3, 2).reshape(-1, w.shape[2])


def spread(g: Array, shape: tuple[int, ...], stride: int) -> Array:
    """Put zeros between the rows and columns that a kernel with a stride left out."""
    if stride == 1:
        return g
    room = np.zeros((*shape[:3], g.shape[-1]), np.float32)
    room[:, ::stride, ::stride] = g
    return room


class ResNet:
    """The network; weights have the names of ``minifast.vision.resnet10``."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self.kernels = {name: a.shape[2] for name, a in weights.items() if a.ndim == 4}
        # a kernel (out, in, ks, ks) as a matrix (ks * ks * in, out)
        self.flat = Flat({name: a.transpose(2, 3, 1, 0).reshape(-1, len(a)) if a.ndim == 4 else a
                          for name, a in weights.items() if name.endswith(("weight", "bias"))})
        self.running = {name: a for name, a in weights.items() if "running" in name}
        self.blocks = sorted({name[:3] for name in self.kernels if "conv1" in name})

    def conv(self, name: str, x: Array, stride: int = 1) -> tuple[Array, Back]:
        """Apply a convolution without bias."""
        w, ks = self.flat.data[f"{name}.weight"], self.kernels[f"{name}.weight"]
        y = windows(x, ks, stride) @ w
        size = [-(-n // stride) for n in x.shape[1:3]]

        def back(g: Array) -> Array:
            seen = windows(x, ks, stride)  # anew: keeping them all is slower than copying twice
            np.matmul(seen.T, g.reshape(-1, g.shape[-1]), out=self.flat.grad[f"{name}.weight"])
            if name == "0":
                return g  # nobody needs the gradient of the images
            return (windows(spread(g, x.shape, stride), ks, 1) @ turned(w, ks)).reshape(x.shape)
        return y.reshape(len(x), *size, -1), back

    def norm(self, name: str, x: Array) -> tuple[Array, Back]:
        """Apply batch norm (Ioffe and Szegedy 2015), with running statistics."""
        shape, x = x.shape, x.reshape(-1, x.shape[-1])
        n = len(x)
        mean = np.ones(n, np.float32) @ x / n  # a product sums columns faster than sum(0)
        x = x - mean
        var = np.einsum("nc,nc->c", x, x) / n
        scale = 1 / np.sqrt(var + np.float32(1e-5))
        x *= scale
        for kind, value in (("mean", mean), ("var", var * (n / (n - 1)))):
            running = self.running[f"{name}.running_{kind}"]
            running += np.float32(.1) * (value - running)
        weight = self.flat.data[f"{name}.weight"]

        def back(g: Array) -> Array:
            g = g.reshape(x.shape)
            d_bias, d_weight = self.flat.grad[f"{name}.bias"], self.flat.grad[f"{name}.weight"]
            np.matmul(np.ones(n, np.float32), g, out=d_bias)
            np.einsum("nc,nc->c", g, x, out=d_weight)
            dx = x * (d_weight / -n)
            dx += g
            dx -= d_bias / n
            dx *= weight * scale
            return dx.reshape(shape)
        y = x * weight
        y += self.flat.data[f"{name}.bias"]
        return y.reshape(shape), back

    def conv_norm(self, conv: str, norm: str, x: Array, stride: int = 1) -> tuple[Array, Back]:
        """Apply a convolution and batch norm."""
        y, conv_back = self.conv(conv, x, stride)
        z, norm_back = self.norm(norm, y)
        return z, lambda g: conv_back(norm_back(g))

    def block(self, name: str, x: Array) -> tuple[Array, Back]:
        """Apply two convolutions beside a shortcut."""
        changes = f"{name}.downsample.0.weight" in self.kernels
        stride = 2 if changes else 1
        y, back1 = self.conv_norm(f"{name}.conv1", f"{name}.bn1", x, stride)
        inner = np.maximum(y, 0, out=y)
        z, back2 = self.conv_norm(f"{name}.conv2", f"{name}.bn2", inner)
        side, side_back = self.conv_norm(f"{name}.downsample.0", f"{name}.downsample.1", x, 2) \
            if changes else (x, lambda g: g)
        z += side
        np.maximum(z, 0, out=z)

        def back(g: Array) -> Array:
            g = g * (z > 0)
            return back1(back2(g) * (inner > 0)) + side_back(g)
        return z, back

    def backward(self, x: list[Array], y: Array) -> float:
        """Return the cross entropy; write its gradient into the flat gradient."""
        h, stem_back = self.conv_norm("0", "1", x[0].transpose(0, 2, 3, 1))
        stem = np.maximum(h, 0, out=h)
        backs: list[Back] = []
        for name in self.blocks:
            h, back = self.block(name, h)
            backs.append(back)
        pixels, pooled = h.shape[1] * h.shape[2], h.mean((1, 2))
        w = self.flat.data["7.weight"]
        loss, g = cross_entropy(pooled @ w.T + self.flat.data["7.bias"], y)
        np.matmul(g.T, pooled, out=self.flat.grad["7.weight"])
        g.sum(0, out=self.flat.grad["7.bias"])
        g = np.broadcast_to((g @ w / pixels)[:, None, None], h.shape)
        for back in reversed(backs):
            g = back(g)
        stem_back(g * (stem > 0))
        return loss
