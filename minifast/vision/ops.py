"""Primitives for images: convolution, the windows of a pool, the largest of each.

An image batch has shape (bs, channels, height, width). In memory channels lie last, wherever a
convolution has made it: then a window is a few long stretches, which are copied fast, and all
windows below each other are one matrix. NumPy's functions keep that order by themselves.
"""
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import repeat
from math import prod

import numpy as np

from ..autograd import primitive
from ..backend import Array, backend_of
from ..nn.norm import as_images, as_rows, channels_second, column_sums

Pair = tuple[int, int]
PIECE = 1 << 20
"""Elements of window rows that are made at a time: they are still in the cache when they are
multiplied, and need no more memory for larger images."""


def _zeros(x: Array, shape: tuple[int, ...]) -> Array:
    """Zeros (bs, n, ...) like those of x, with channels last in memory."""
    bs, n, *size = shape
    return channels_second(np.zeros_like(x, shape=(bs, *size, n), order="C"))


def _padded(x: Array, padding: Pair) -> Array:
    """Zeros around the images; a negative padding cuts pixels off instead."""
    cut, (above, left) = [max(-p, 0) for p in padding], [max(p, 0) for p in padding]
    x = x[:, :, cut[0]:x.shape[2] - cut[0], cut[1]:x.shape[3] - cut[1]]
    bs, c, h, w = x.shape
    if not above and not left:
        return x
    room = _zeros(x, (bs, c, h + 2 * above, w + 2 * left))
    room[:, :, above:above + h, left:left + w] = x
    return room


def _places(x: Array, kernel: Pair, stride: Pair) -> Iterator[Array]:
    """For each pixel of the kernel: what it sees at all places of the kernel, as a view."""
    (down, right), (height, width) = stride, kernel
    rows, columns = ((n - k) // s + 1 for n, k, s in zip(x.shape[2:], kernel, stride,
                                                         strict=True))
    for i in range(height):
        for j in range(width):
            yield x[:, :, i:i + down * rows:down, j:j + right * columns:right]


def _fold(gradients: Iterable[Array], x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Each pixel of x sums the gradients of all windows that it lay in."""
    (h, w), (above, left) = x.shape[2:], padding
    back = _padded(np.zeros_like(x), padding)
    for seen, g in zip(_places(back, kernel, stride), gradients, strict=True):
        seen += g
    return back[:, :, above:above + h, left:left + w]


# ---------------------------------------------------------------- convolution


def _window_rows(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """One row per window, its pixels in order, the channels of each: (bs * places, k * c)."""
    view = np.lib.stride_tricks.sliding_window_view(_padded(x, padding), kernel, axis=(2, 3))
    view = view[:, :, ::stride[0], ::stride[1]].transpose(0, 2, 3, 4, 5, 1)
    return view.reshape(-1, kernel[0] * kernel[1] * x.shape[1])


def _weight_rows(w: Array) -> Array:
    """(n_out, n_in, height, width) to (n_out, k * n_in), in the order of a window's row."""
    return w.transpose(0, 2, 3, 1).reshape(len(w), -1)


def _pieces(x: Array, elements: int) -> Iterator[slice]:
    """Images at a time, when the window rows of all have so many elements: on a processor with
    caches about PIECE, on a GPU all."""
    fitting = len(x) * PIECE // max(elements, 1)
    n = max(1, fitting if backend_of(x).has_cache else len(x))
    return (slice(start, start + n) for start in range(0, max(len(x), 1), n))


def _convolve(x: Array, w: Array, stride: Pair, padding: Pair) -> Array:
    kernel, weights = (w.shape[2], w.shape[3]), _weight_rows(w).T
    size = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in
                 zip(x.shape[2:], kernel, stride, padding, strict=True))
    rows = [_window_rows(x[part], kernel, stride, padding) @ weights
            for part in _pieces(x, len(x) * prod(size) * len(weights))]
    return as_images(rows[0] if len(rows) == 1 else np.concatenate(rows), len(x), size)


def _conv_input(g: Array, y: Array, x: Array, w: Array, *bias: Array, stride: Pair, padding: Pair
                ) -> Array:
    """A convolution too: of the gradient, with the kernel turned round, at every place."""
    at_every_place = g
    if stride != (1, 1):  # zeros where the kernel did not stand
        size = (n + 2 * p - k + 1 for n, p, k in
                zip(x.shape[2:], padding, w.shape[2:], strict=True))
        at_every_place = _zeros(g, (len(g), g.shape[1], *size))
        at_every_place[:, :, ::stride[0], ::stride[1]] = g
    turned = w[:, :, ::-1, ::-1].swapaxes(0, 1)
    above, left = (k - 1 - p for k, p in zip(w.shape[2:], padding, strict=True))
    return _convolve(at_every_place, turned, (1, 1), (above, left))


def _conv_weight(g: Array, y: Array, x: Array, w: Array, *bias: Array, stride: Pair, padding: Pair
                 ) -> Array:
    n_out, n_in, *kernel = w.shape
    elements = len(x) * prod(g.shape[2:]) * w[0].size
    total = sum(as_rows(g[part]).T @ _window_rows(x[part], (kernel[0], kernel[1]), stride, padding)
                for part in _pieces(x, elements))
    return total.reshape(n_out, *kernel, n_in).transpose(0, 3, 1, 2)


@primitive(_conv_input, _conv_weight,
           lambda g, y, x, w, b, stride, padding: column_sums(as_rows(g)))
def conv2d(x: Array, w: Array, *bias: Array, stride: Pair, padding: Pair) -> Array:
    """Every window of the images (bs, n_in, h, w) times the weights (n_out, n_in, *kernel), as
    one matrix product, and a bias (n_out,) if there is one; torch's ``F.conv2d``.

    The rule for the weights lays the windows out anew: keeping them would take the memory of
    the images as many times as the kernel has pixels.
    """
    y = _convolve(x, w, stride, padding)
    for b in bias:
        y += b[:, None, None]
    return y


# ---------------------------------------------------------------- pools


def _to_largest(g: Array, y: Array, x: Array, kernel: Pair, stride: Pair) -> Array:
    back, free = np.zeros_like(x), np.ones_like(y, dtype=bool)
    for seen, place in zip(_places(x, kernel, stride), _places(back, kernel, stride), strict=True):
        hit = (seen == y) & free  # of equals only the first
        free ^= hit
        place += g * hit
    return back


@primitive(_to_largest)
def max_pool2d(x: Array, kernel: Pair, stride: Pair) -> Array:
    """The largest of each window, (bs, c, h, w) to (bs, c, h', w'). The gradient goes to the
    first of equals, as in torch's ``F.max_pool2d``."""
    return reduce(np.maximum, _places(x, kernel, stride))


@primitive(lambda g, y, x, kernel, stride, padding:
           _fold(repeat(g / prod(kernel), prod(kernel)), x, kernel, stride, padding))
def avg_pool2d(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """The mean of each window, padding included; torch's ``F.avg_pool2d``."""
    return reduce(np.add, _places(_padded(x, padding), kernel, stride)) / prod(kernel)


def _first_of_the_largest(g: Array, y: Array, a: Array, axis: int) -> Array:
    places = np.arange(a.shape[axis], like=a).reshape([-1 if i == axis % a.ndim else 1
                                                       for i in range(a.ndim)])
    return np.expand_dims(g, axis) * (places == np.expand_dims(a.argmax(axis), axis))


@primitive(_first_of_the_largest)
def pick_max(a: Array, axis: int) -> Array:
    """The largest along ``axis``; the gradient goes to the first of equals."""
    return a.max(axis)
