"""Transform a batch of images by a matrix per image: rotation, zoom, flip, perspective."""
from typing import Any

import numpy as np

from ..autograd import ShapeError
from ..backend import Array, backend_of

PADDING_MODES = ("zeros", "border", "reflection")
"""How pixels outside an image are filled: black, nearest pixel, or mirrored at the edges."""
Matrices = np.ndarray[Any, np.dtype[np.float64]]
"""(n, 3, 3), on the host."""


def sample(x: Array, matrices: Matrices, padding_mode: str = "reflection") -> Array:
    """Return images whose pixels are taken from other positions in the given images.

    A matrix maps the position (column, row, 1) of a pixel in the result to the position from which
    its value is taken, both measured in pixels from the centre of the image. Between pixels, a
    value is interpolated from its four neighbours (bilinear interpolation).

    Parameters
    ----------
    x : array (n, c, h, w)
        Images, on any device.
    matrices : array (n, 3, 3)
        A matrix per image, on the host.
    padding_mode : {'zeros', 'border', 'reflection'}
        How pixels outside an image are filled.

    Returns
    -------
    array (n, c, h, w)
        The images, on the same device. Values from positions that are whole numbers do not change.

    Raises
    ------
    ShapeError
        If there is not one matrix per image.
    ValueError
        If the padding mode is unknown.

    Notes
    -----
    fastai v1 uses torch's ``grid_sample`` with ``align_corners=True``, where the range [-1, 1] ends
    at the centres of the outer pixels.

    Examples
    --------
    >>> x = np.arange(4.).reshape(1, 1, 2, 2)
    >>> sample(x, np.array([[[-1., 0, 0], [0, 1, 0], [0, 0, 1]]]))[0, 0].tolist()
    [[1.0, 0.0], [3.0, 2.0]]
    """
    check_padding_mode(padding_mode)
    if x.ndim != 4 or matrices.shape != (len(x), 3, 3):
        raise ShapeError(f"images (n, c, h, w) need matrices (n, 3, 3), got {x.shape} and "
                         f"{matrices.shape}")
    rows, columns = _places(matrices, x)
    if padding_mode == "zeros":  # positions that are farther away are moved to this black edge
        x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        rows, columns = rows + 1, columns + 1
    elif padding_mode == "reflection":
        rows, columns = _reflected(rows, x.shape[2]), _reflected(columns, x.shape[3])
    return _between_pixels(x, rows.clip(0, x.shape[2] - 1), columns.clip(0, x.shape[3] - 1))


def sample_at(x: Array, rows: Array, columns: Array) -> Array:
    """Return images whose pixels are taken from the given positions, mirrored at the edges.

    Parameters
    ----------
    x : array (n, c, h, w)
        Images, on any device.
    rows, columns : array (n, h', w')
        For each pixel of the result the position of its value, counted from the first pixel.

    Returns
    -------
    array (n, c, h', w')
        The images, on the same device.

    Examples
    --------
    >>> x = np.array([[[[0., .25, .5]]]])
    >>> sample_at(x, np.array([[[0., 0.]]]), np.array([[[.5, 3.]]])).tolist()
    [[[[0.125, 0.25]]]]
    """
    rows, columns = _reflected(rows, x.shape[2]), _reflected(columns, x.shape[3])
    return _between_pixels(x, rows.clip(0, x.shape[2] - 1), columns.clip(0, x.shape[3] - 1))


def check_padding_mode(padding_mode: str) -> None:
    """Check a padding mode.

    Parameters
    ----------
    padding_mode : str
        The mode.

    Raises
    ------
    ValueError
        If it is unknown.

    Examples
    --------
    >>> check_padding_mode("border")
    >>> check_padding_mode("wrap")
    Traceback (most recent call last):
    ...
    ValueError: padding_mode is one of 'zeros', 'border', 'reflection'; got 'wrap'
    """
    if padding_mode not in PADDING_MODES:
        raise ValueError(f"padding_mode is one of {', '.join(map(repr, PADDING_MODES))}; "
                         f"got {padding_mode!r}")


def _places(matrices: Matrices, x: Array) -> tuple[Array, Array]:
    """Return rows and columns (n, h, w) from which the pixels are taken."""
    h, w = x.shape[2:]
    m = backend_of(x).from_host(matrices.astype(np.float32))[:, :, :, None, None]
    across = np.arange(w, dtype=np.float32, like=x) - (w - 1) / 2
    down = (np.arange(h, dtype=np.float32, like=x) - (h - 1) / 2)[:, None]
    column, row, depth = (m[:, i, 0] * across + m[:, i, 1] * down + m[:, i, 2] for i in range(3))
    return row / depth + (h - 1) / 2, column / depth + (w - 1) / 2


def _reflected(place: Array, size: int) -> Array:
    """Mirror positions outside 0 to size - 1 at the outer pixels."""
    last = max(size - 1, 1)
    return last - abs(abs(place) % (2 * last) - last)


def _between_pixels(x: Array, rows: Array, columns: Array) -> Array:
    """Return values (n, c, h', w') at positions (n, h', w') within the images."""
    n, c, h, w = x.shape
    above, before = np.floor(rows), np.floor(columns)
    down, across = (rows - above)[:, None], (columns - before)[:, None]
    top, left = above.astype(np.int32), before.astype(np.int32)
    bottom, right = np.minimum(top + 1, h - 1), np.minimum(left + 1, w - 1)
    planes = (np.arange(n * c, like=x) * (h * w)).reshape(n, c, 1, 1)
    flat = x.reshape(-1)

    def at(row: Array, column: Array) -> Array:
        return flat.take(planes + (row * w + column)[:, None])
    upper = at(top, left) * (1 - across) + at(top, right) * across
    lower = at(bottom, left) * (1 - across) + at(bottom, right) * across
    return upper * (1 - down) + lower * down
