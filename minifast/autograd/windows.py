"""Primitives for images: every window of an image as a column, and the largest of each."""
import numpy as np

from ..backend import Array
from .primitive import primitive


def _windows(x: Array, kernel: tuple[int, int], stride: tuple[int, int]) -> Array:
    """A view (bs, c, kernel, out): every place of the kernel on the image, nothing copied."""
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(2, 3))
    return view[:, :, ::stride[0], ::stride[1]].transpose(0, 1, 4, 5, 2, 3)


def _padded(x: Array, padding: tuple[int, int]) -> Array:
    (bs, c, h, w), (above, left) = x.shape, padding
    if not above and not left:
        return x
    room = np.zeros_like(x, shape=(bs, c, h + 2 * above, w + 2 * left))
    room[:, :, above:above + h, left:left + w] = x
    return room


def _fold(g: Array, y: Array, x: Array, kernel: tuple[int, int], stride: tuple[int, int],
          padding: tuple[int, int]) -> Array:
    """Each pixel sums the gradients of all windows that it lay in: one slice per kernel place."""
    (bs, c, h, w), (above, left), (down, right) = x.shape, padding, stride
    back = np.zeros_like(x, shape=(bs, c, h + 2 * above, w + 2 * left))
    rows, columns = ((n - k) // s + 1 for n, k, s in zip(back.shape[2:], kernel, stride,
                                                         strict=True))
    g = g.reshape(bs, c, *kernel, rows, columns)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            back[:, :, i:i + down * rows:down, j:j + right * columns:right] += g[:, :, i, j]
    return back[:, :, above:above + h, left:left + w]


@primitive(_fold)
def unfold(x: Array, kernel: tuple[int, int], stride: tuple[int, int],
           padding: tuple[int, int]) -> Array:
    """Images (bs, c, h, w) to windows (bs, c * kernel pixels, windows); torch's ``F.unfold``."""
    windows = _windows(_padded(x, padding), kernel, stride)
    return windows.reshape(len(x), x.shape[1] * kernel[0] * kernel[1], -1)


def _first_of_the_largest(g: Array, y: Array, a: Array, axis: int) -> Array:
    places = np.arange(a.shape[axis], like=a).reshape([-1 if i == axis % a.ndim else 1
                                                       for i in range(a.ndim)])
    return np.expand_dims(g, axis) * (places == np.expand_dims(a.argmax(axis), axis))


@primitive(_first_of_the_largest)
def pick_max(a: Array, axis: int) -> Array:
    """The largest along ``axis``; the gradient goes to the first of equals, as in torch's pools."""
    return a.max(axis)
