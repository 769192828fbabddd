"""Primitives for images: convolution and pooling.

A batch of images has shape (bs, channels, height, width). The output of a convolution lies in
memory with the channels last: each window is then made of a few long runs, which are fast to copy,
and the windows of the whole batch form one matrix. NumPy's functions keep this layout.
"""
from collections.abc import Iterator
from functools import reduce
from math import prod

import numpy as np

from ..autograd import primitive
from ..autograd.ops import floats
from ..backend import Array
from ..nn.norm import as_images, as_rows, channels_second, column_sums

Pair = tuple[int, int]
"""(height, width), or (down, across)."""
CHUNK = 1 << 20
"""Elements of the window matrix that are computed at a time. They stay in the processor's cache,
and memory does not grow with the batch."""


def pair(n: int | Pair, name: str, least: int = 1) -> Pair:
    """Return ``(n, n)`` for a number, and a pair as it is.

    Parameters
    ----------
    n : int or (int, int)
        A size in pixels.
    name : str
        The argument's name, for the error message.
    least : int
        The smallest number allowed.

    Returns
    -------
    (int, int)
        (down, across).

    Raises
    ------
    ValueError
        If a number is below ``least``.

    Examples
    --------
    >>> pair(3, "stride")
    (3, 3)
    """
    down, across = n if isinstance(n, (tuple, list)) else (n, n)
    if min(down, across) < least:
        raise ValueError(f"{name} is a number or a pair of numbers, at least {least}; got {n}")
    return down, across


def output_size(shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair = (0, 0)) -> Pair:
    """Return how many positions a kernel takes down and across the images.

    Parameters
    ----------
    shape : (bs, c, h, w)
        The images' shape.
    kernel, stride, padding : (int, int)
        The kernel's size, its step, and the rows and columns of zeros added on each side.

    Returns
    -------
    (int, int)
        Height and width of the output.

    Examples
    --------
    >>> output_size((1, 1, 8, 8), (3, 3), (2, 2), (1, 1))
    (4, 4)
    """
    down, across = ((n + 2 * p - k) // s + 1 for n, k, s, p in
                    zip(shape[2:], kernel, stride, padding, strict=True))
    return down, across


def _zeros(like: Array, shape: tuple[int, ...]) -> Array:
    """Return zeros (bs, n, h, w) with the channels last in memory."""
    bs, n, *size = shape
    return channels_second(np.zeros_like(like, shape=(bs, *size, n), order="C"))


def _padded(x: Array, padding: Pair) -> Array:
    """Add zeros around the images; a negative padding crops them instead."""
    (top, left), (crop_h, crop_w) = [max(p, 0) for p in padding], [max(-p, 0) for p in padding]
    x = x[:, :, crop_h:x.shape[2] - crop_h, crop_w:x.shape[3] - crop_w]
    bs, c, h, w = x.shape
    if not top and not left:
        return x
    padded = _zeros(x, (bs, c, h + 2 * top, w + 2 * left))
    padded[:, :, top:top + h, left:left + w] = x
    return padded


def _kernel_views(x: Array, kernel: Pair, stride: Pair) -> Iterator[Array]:
    """Yield for each pixel of the kernel a view (bs, c, h', w') of what it covers everywhere."""
    (down, across), (rows, columns) = stride, output_size(x.shape, kernel, stride)
    for i, j in np.ndindex(kernel):
        yield x[:, :, i:i + down * rows:down, j:j + across * columns:across]


# ---------------------------------------------------------------- convolution


def _im2col(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Copy every window to a row: (bs * h' * w', height * width * c)."""
    view = np.lib.stride_tricks.sliding_window_view(_padded(x, padding), kernel, axis=(2, 3))
    view = view[:, :, ::stride[0], ::stride[1]].transpose(0, 2, 3, 4, 5, 1)
    return view.reshape(-1, kernel[0] * kernel[1] * x.shape[1])


def _chunks(x: Array, elements: int) -> Iterator[slice]:
    """Return slices of a batch whose window matrix has ``elements`` in total.

    On a processor with caches a slice makes up about CHUNK of them; on a GPU it is the whole batch.
    """
    n = max(1, len(x) * CHUNK // max(elements, 1) if isinstance(x, np.ndarray) else len(x))
    return (slice(start, start + n) for start in range(0, max(len(x), 1), n))


def _convolve(x: Array, w: Array, stride: Pair, padding: Pair) -> Array:
    """Return conv2d without a bias, for a chunk of the batch at a time."""
    kernel = w.shape[2], w.shape[3]
    size = output_size(x.shape, kernel, stride, padding)
    weight = w.transpose(0, 2, 3, 1).reshape(len(w), -1).T  # in the order of a window's row
    rows = [_im2col(x[chunk], kernel, stride, padding) @ weight
            for chunk in _chunks(x, len(x) * prod(size) * len(weight))]
    return as_images(rows[0] if len(rows) == 1 else np.concatenate(rows), len(x), size)


# <u, _conv_input(g, x, w)> = <conv2d(u, w), g> = <_conv_weight(g, u, w), w>, and alike for
# _conv_weight: this gives the rules of the rules
@primitive(lambda u, _, g, y, x, w, *b, **at: conv2d(u, w, **at),  # type: ignore[has-type]
           None, None,
           lambda u, _, g, y, x, w, *b, **at:
           _conv_weight(g, y, u, w, **at),  # type: ignore[has-type]
           None)
def _conv_input(g: Array, y: Array, x: Array, w: Array, *bias: Array, stride: Pair, padding: Pair
                ) -> Array:
    """Convolve the gradient with the flipped kernel, at every position."""
    kernel, dense = (w.shape[2], w.shape[3]), g
    if stride != (1, 1):  # zeros at the positions that the stride skipped
        size = output_size(x.shape, kernel, (1, 1), padding)
        dense = _zeros(g, (len(g), g.shape[1], *size))
        dense[:, :, ::stride[0], ::stride[1]] = g
    flipped = w[:, :, ::-1, ::-1].swapaxes(0, 1)
    top, left = (k - 1 - p for k, p in zip(kernel, padding, strict=True))
    return _convolve(dense, flipped, (1, 1), (top, left))


@primitive(lambda u, _, g, y, x, w, *b, **at: conv2d(x, u, **at),  # type: ignore[has-type]
           None,
           lambda u, _, g, y, x, w, *b, **at: _conv_input(g, y, x, u, **at),
           None, None)
def _conv_weight(g: Array, y: Array, x: Array, w: Array, *bias: Array, stride: Pair, padding: Pair
                 ) -> Array:
    n_out, n_in, height, width = w.shape
    elements = len(x) * prod(g.shape[2:]) * prod(w.shape[1:])
    total = sum(as_rows(g[chunk]).T @ _im2col(x[chunk], (height, width), stride, padding)
                for chunk in _chunks(x, elements))
    return total.reshape(n_out, height, width, n_in).transpose(0, 3, 1, 2)


@primitive(_conv_input, _conv_weight,
           lambda g, y, x, w, b, stride, padding: column_sums(as_rows(g)))
def conv2d(x: Array, w: Array, *bias: Array, stride: Pair, padding: Pair) -> Array:
    """Multiply every window by the weights, as one matrix product; torch's ``F.conv2d``.

    The rule for the weights builds the window matrix again: to keep it would take as many times
    the images' memory as the kernel has pixels.

    Parameters
    ----------
    x : (bs, n_in, h, w)
        Images.
    w : (n_out, n_in, height, width)
        Weights.
    *bias : (n_out,)
        None or one.
    stride, padding : (int, int)
        As for ``output_size``.

    Returns
    -------
    (bs, n_out, h', w')
    """
    y = _convolve(x, w, stride, padding)
    for b in bias:
        y += b[:, None, None]
    return y


# ---------------------------------------------------------------- pooling


@primitive(lambda v, _, u, out, g, y, x, **at:
           _to_first_max(v, y, x, **at),  # type: ignore[has-type]
           None, None, None, None)
def _at_first_max(u: Array, _: Array, g: Array, y: Array, x: Array, kernel: Pair, stride: Pair
                  ) -> Array:
    """Return u where ``_to_first_max`` puts the gradient."""
    found, unassigned = np.zeros_like(y), np.ones_like(y, dtype=bool)
    for seen, there in zip(*(_kernel_views(a, kernel, stride) for a in (x, u)), strict=True):
        hit = (seen == y) & unassigned
        unassigned ^= hit
        found += there * hit
    return found


@primitive(_at_first_max, None, None)
def _to_first_max(g: Array, y: Array, x: Array, kernel: Pair, stride: Pair) -> Array:
    grad, unassigned = np.zeros_like(x), np.ones_like(y, dtype=bool)
    for seen, to in zip(*(_kernel_views(a, kernel, stride) for a in (x, grad)), strict=True):
        hit = (seen == y) & unassigned
        unassigned ^= hit
        to += g * hit
    return grad


@primitive(_to_first_max)
def max_pool2d(x: Array, kernel: Pair, stride: Pair) -> Array:
    """Return the maximum of each window; torch's ``F.max_pool2d``.

    If a window has several maxima, the first one gets the gradient.

    Parameters
    ----------
    x : (bs, c, h, w)
        Images.
    kernel, stride : (int, int)
        As for ``output_size``.

    Returns
    -------
    (bs, c, h', w')
    """
    return reduce(np.maximum, _kernel_views(x, kernel, stride))


@primitive(lambda u, _, g, y, x, **at: avg_pool2d(u, **at),  # type: ignore[has-type]
           None, None)
def _to_all(g: Array, y: Array, x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    grad, share = _padded(np.zeros_like(x), padding), g / prod(kernel)
    for to in _kernel_views(grad, kernel, stride):
        to += share
    return _padded(grad, (-padding[0], -padding[1]))


@primitive(_to_all)
def avg_pool2d(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Return the mean of each window, padding included; torch's ``F.avg_pool2d``.

    Parameters
    ----------
    x : (bs, c, h, w)
        Images.
    kernel, stride, padding : (int, int)
        As for ``output_size``.

    Returns
    -------
    (bs, c, h', w')
    """
    padded = _padded(floats(x), padding)
    return reduce(np.add, _kernel_views(padded, kernel, stride)) / prod(kernel)
