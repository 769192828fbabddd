"""Transforms that pad images, cut out parts of them, or replace parts of them."""
from functools import partial
from typing import Any

import numpy as np

from ..autograd import ShapeError
from ..backend import Array, backend_of
from .ops import pair
from .resize import PAD_MODES
from .sampling import Matrices, check_padding_mode
from .transforms import (
    EPS,
    Geometric,
    Pixels,
    Range,
    Transform,
    Values,
    interval,
    on_images,
    rand_zoom,
    window,
    zoom,
)

Size = int | tuple[int, int]
"""Height and width in pixels; a number stands for both."""
TRIES = 8
"""How many parts ``zoom_squish`` draws to find one inside the image."""
ANYWHERE = 0., 1.


# ---------------------------------------------------------------- pad and crop


@on_images
def pad(padding: int, mode: str = "reflection") -> Pixels:
    """Add pixels on all four sides.

    Parameters
    ----------
    padding : int
        Number of pixels on each side.
    mode : {'zeros', 'border', 'reflection'}
        How they are filled: black, with the nearest pixel, or mirrored at the edges.

    Returns
    -------
    Transform
        The transform.

    Raises
    ------
    ValueError
        If ``padding`` is negative, or the mode is unknown.

    Notes
    -----
    fastai v1's ``pad``, which pads before all other transforms.

    Examples
    --------
    >>> pad(np.array([[[.25, .5]]]), 1, mode="zeros").tolist()
    [[[0.0, 0.0, 0.0, 0.0], [0.0, 0.25, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]]
    """
    check_padding_mode(mode)
    if padding < 0:
        raise ValueError(f"pad cannot add {padding} pixels on each side; to remove some, "
                         "use crop(size=...)")
    return Pixels(partial(_pad, padding=padding, mode=mode), {})


def _pad(x: Array, _: Any, padding: int, mode: str) -> Array:
    return _padded(x, padding, padding, mode)


def _padded(x: Array, down: int, across: int, padding_mode: str) -> Array:
    mode: Any = PAD_MODES[padding_mode]
    return np.pad(x, ((0, 0), (0, 0), (down, down), (across, across)), mode=mode)


@on_images
def crop(size: Size, row_pct: Range = .5, col_pct: Range = .5) -> Pixels:
    """Cut a part out of each image.

    Parameters
    ----------
    size : int or (int, int)
        Its height and width in pixels.
    row_pct, col_pct : float or (float, float)
        Which part, from 0 (top or left) to 1 (bottom or right).

    Returns
    -------
    Transform
        The transform. Applied to smaller images, it raises a ShapeError.

    Notes
    -----
    fastai v1's ``crop``.

    Examples
    --------
    >>> crop(np.array([[[0., .25, .5]]]), (1, 2), col_pct=1).tolist()
    [[[0.25, 0.5]]]
    """
    return Pixels(partial(_crop, size=pair(size, "size")), {"row_pct": row_pct, "col_pct": col_pct})


def _crop(x: Array, _: Any, size: tuple[int, int], row_pct: Values, col_pct: Values) -> Array:
    h, w = size
    if x.shape[2] < h or x.shape[3] < w:
        raise ShapeError(f"a crop of size {size} does not fit into images of size {x.shape[2:]}; "
                         "use crop_pad, which adds pixels")
    tops, lefts = (((room + 1) * pct.clip(0, 1 - EPS)).astype(int).tolist()
                   for room, pct in ((x.shape[2] - h, row_pct), (x.shape[3] - w, col_pct)))
    return np.stack([image[:, top:top + h, left:left + w]
                     for image, top, left in zip(x, tops, lefts, strict=True)])


@on_images
def crop_pad(size: Size | None = None, padding_mode: str = "reflection", row_pct: Range = .5,
             col_pct: Range = .5) -> Pixels:
    """Give images a fixed size: pad those that are smaller, then crop.

    Parameters
    ----------
    size : int or (int, int), optional
        Height and width in pixels. Without it, images keep their size.
    padding_mode : {'zeros', 'border', 'reflection'}
        How added pixels are filled.
    row_pct, col_pct : float or (float, float)
        Which part remains, from 0 (top or left) to 1 (bottom or right).

    Returns
    -------
    Transform
        The transform.

    Raises
    ------
    ValueError
        If the padding mode is unknown.

    Notes
    -----
    fastai v1's ``crop_pad``, which takes the size of ``apply_tfms`` by default.

    Examples
    --------
    >>> crop_pad(np.array([[[0., .25, .5]]]), 2, padding_mode="border").tolist()
    [[[0.25, 0.5], [0.25, 0.5]]]
    """
    check_padding_mode(padding_mode)
    whole = None if size is None else pair(size, "size")
    return Pixels(partial(_crop_pad, size=whole, padding_mode=padding_mode),
                  {"row_pct": row_pct, "col_pct": col_pct})


def _crop_pad(x: Array, rng: Any, size: tuple[int, int] | None, padding_mode: str,
              row_pct: Values, col_pct: Values) -> Array:
    if size in (None, x.shape[2:]):
        return x
    down, across = (max((wanted - n + 1) // 2, 0)
                    for wanted, n in zip(size, x.shape[2:], strict=True))
    return _crop(_padded(x, down, across, padding_mode), rng, size, row_pct, col_pct)


# ---------------------------------------------------------------- at random places


def rand_crop(size: Size | None = None, padding_mode: str = "reflection") -> Pixels:
    """Give images a fixed size by ``crop_pad`` at random places.

    Parameters
    ----------
    size, padding_mode : int or (int, int), str
        As for ``crop_pad``.

    Returns
    -------
    Transform
        The transform.

    Examples
    --------
    >>> rand_crop(28).change(np.zeros((2, 3, 32, 32)), np.random.default_rng()).shape
    (2, 3, 28, 28)
    """
    return crop_pad(size, padding_mode, ANYWHERE, ANYWHERE)


def rand_pad(padding: int, size: Size, mode: str = "reflection") -> list[Transform]:
    """Move images by a few pixels: add pixels on all sides, then crop at a random place.

    Parameters
    ----------
    padding : int
        How many pixels are added on each side.
    size : int or (int, int)
        Height and width of the result in pixels.
    mode : {'zeros', 'border', 'reflection'}
        How added pixels are filled.

    Returns
    -------
    list of Transform
        Two transforms.

    Notes
    -----
    fastai v1's ``rand_pad``.

    Examples
    --------
    >>> rand_pad(4, 32)
    [pad(padding=4, mode='reflection', p=1.0), crop(size=(32, 32), row_pct=(0.0, 1.0), ...)]
    """
    return [pad(padding, mode), crop(size, ANYWHERE, ANYWHERE)]


def zoom_crop(scale: Range, do_rand: bool = False, p: float = 1.) -> list[Transform]:
    """Enlarge images at their centres, or at random places.

    Parameters
    ----------
    scale : float or (float, float)
        The factor.
    do_rand : bool
        Whether the places are random.
    p : float
        Probability with which an image is enlarged.

    Returns
    -------
    list of Transform
        Two transforms; the second changes nothing if the images have the same size.

    Notes
    -----
    fastai v1's ``zoom_crop``.

    Examples
    --------
    >>> zoom_crop((1., 1.2))[0]
    zoom(scale=(1.0, 1.2), row_pct=0.5, col_pct=0.5, p=1.0)
    """
    return [rand_zoom(scale, p), rand_crop()] if do_rand else [zoom(scale, p=p), crop_pad()]


class ZoomSquish(Geometric):
    """Shows a random part of each image, stretched to the whole image; see ``rand_resize_crop``."""

    def draw(self, rng: np.random.Generator, n: int, size: tuple[int, int]) -> Matrices:
        (_, most), (low, high) = map(interval, self.params.values())
        side = rng.uniform(1, most, (n, TRIES)) ** -.5
        ratio = rng.uniform(low, high, (n, TRIES)) ** .5
        ratio = np.where(rng.random((n, TRIES)) < .5, 1 / ratio, ratio)
        matrices: Matrices = self.func(size, side / ratio, side * ratio, *rng.random((2, n)))
        return matrices


def _zoom_squish(size: tuple[int, int], heights: Values, widths: Values, row_pct: Values,
                 col_pct: Values) -> Matrices:
    """Return the matrices of the first parts (n, TRIES) that are inside, or of the middle."""
    inside, rows = (heights <= 1) & (widths <= 1), np.arange(len(heights))
    first = inside.argmax(1)
    found, h, w = (tries[rows, first] for tries in (inside, heights, widths))
    square = min(1, size[1] / size[0]), min(1, size[0] / size[1])
    return window(size, np.where(found, h, square[0]), np.where(found, w, square[1]),
                  np.where(found, row_pct, .5), np.where(found, col_pct, .5))


def rand_resize_crop(size: Size, max_scale: float = 2., ratios: tuple[float, float] = (.75, 1.33)
                     ) -> list[Transform]:
    """Show a random part of each image, with another aspect ratio, and crop it.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the result in pixels.
    max_scale : float
        The largest factor by which the area is enlarged.
    ratios : (float, float)
        Aspect ratios.

    Returns
    -------
    list of Transform
        Two transforms.

    Notes
    -----
    fastai v1's ``rand_resize_crop``. The first of eight random parts that lies inside the image is
    shown; if there is none, the largest square in the middle.

    Examples
    --------
    >>> rand_resize_crop(24)
    [zoom_squish(max_scale=(1, 2.0), ratios=(0.75, 1.33), p=1.0), crop(size=(24, 24), ...)]
    """
    return [ZoomSquish(_zoom_squish, {"max_scale": (1, max_scale), "ratios": ratios}), crop(size)]


# ---------------------------------------------------------------- replace pixels


@on_images
def cutout(n_holes: Range = 1, length: Range = 40, p: float = 1.) -> Pixels:
    """Make squares of images black, at random places.

    Parameters
    ----------
    n_holes : int or (int, int)
        Number of squares.
    length : int or (int, int)
        Their side in pixels. A square that reaches beyond the edge is cut off there.
    p : float
        Probability with which an image is changed.

    Returns
    -------
    Transform
        The transform.

    Notes
    -----
    fastai v1's ``cutout``.

    References
    ----------
    DeVries and Taylor 2017, Improved regularization of convolutional neural networks with cutout.

    Examples
    --------
    >>> bool(cutout(np.ones((1, 4, 4)), n_holes=1, length=8).any())
    False
    """
    return Pixels(_cutout, {"n_holes": n_holes, "length": length}, p)


def _cutout(x: Array, rng: np.random.Generator, n_holes: Values, length: Values) -> Array:
    x, (h, w) = x.copy(), x.shape[2:]
    for image, n, side in zip(x, n_holes.astype(int), length, strict=True):
        for row, column in rng.integers((h, w), size=(n, 2)):
            top, left = (max(int(at - side / 2), 0) for at in (row, column))
            image[:, top:int(row + side / 2), left:int(column + side / 2)] = 0
    return x


@on_images
def rgb_randomize(channel: int | None = None, thresh: float = .3, p: float = 1.) -> Pixels:
    """Replace a channel of images with noise.

    Parameters
    ----------
    channel : int, optional
        Which channel; by default a random one for each image.
    thresh : float
        The noise is below a number drawn from 0 to ``thresh``.
    p : float
        Probability with which an image is changed.

    Returns
    -------
    Transform
        The transform.

    Notes
    -----
    fastai v1's ``rgb_randomize``, which never chooses the last channel by itself.

    Examples
    --------
    >>> x = rgb_randomize(np.ones((3, 4, 4)), channel=2)
    >>> x[:2].min() == 1, x[2].max() < .3
    (np.True_, np.True_)
    """
    return Pixels(partial(_rgb_randomize, channel=channel, thresh=thresh), {}, p)


def _rgb_randomize(x: Array, rng: np.random.Generator, channel: int | None, thresh: float) -> Array:
    n, c, h, w = x.shape
    noise = rng.random((n, h, w)) * rng.uniform(0, thresh, (n, 1, 1))
    chosen = rng.integers(c, size=n) if channel is None else np.full(n, channel)
    x, from_host = x.copy(), backend_of(x).from_host
    x[from_host(np.arange(n)), from_host(chosen)] = from_host(noise.astype(np.float32))
    return x
