"""Rarer transforms that move pixels: squish, perspective, skew, tilt, jitter."""
import numpy as np

from ..backend import Array, backend_of
from .sampling import Matrices, sample_at
from .transforms import (
    CORNERS,
    Geometric,
    Pixels,
    Range,
    Values,
    check_above_zero,
    on_images,
    perspective,
    window,
)


@on_images
def squish(scale: Range = 1., row_pct: Range = .5, col_pct: Range = .5, p: float = 1.
           ) -> Geometric:
    """Stretch images in one direction.

    Parameters
    ----------
    scale : float or (float, float)
        The fraction of the width that remains visible and is stretched to the whole width. Above
        1, ``1 / scale`` is the fraction of the height.
    row_pct, col_pct : float or (float, float)
        Which part, from 0 (top or left) to 1 (bottom or right).
    p : float
        Probability with which an image is changed.

    Returns
    -------
    Transform
        The transform.

    Raises
    ------
    ValueError
        If ``scale`` is not above 0.

    Notes
    -----
    fastai v1's ``squish``.

    Examples
    --------
    >>> squish(np.array([[[0., .25, .5]]]), .5, col_pct=0).tolist()  # the left half
    [[[0.0, 0.125, 0.25]]]
    """
    check_above_zero("squish", scale)
    return Geometric(_squish, {"scale": scale, "row_pct": row_pct, "col_pct": col_pct}, p)


def _squish(size: tuple[int, int], scale: Values, row_pct: Values, col_pct: Values) -> Matrices:
    return window(size, np.minimum(1, 1 / scale), np.minimum(1, scale), row_pct, col_pct)


@on_images
def perspective_warp(magnitude: Range = 0., p: float = 1.) -> Geometric:
    """Move the four corners of images independently.

    Parameters
    ----------
    magnitude : float or (float, float)
        How far, drawn for each coordinate of each corner; half the width or height is 1.
    p : float
        Probability with which an image is changed.

    Returns
    -------
    Transform
        The transform.

    Notes
    -----
    fastai v1's ``perspective_warp``.

    Examples
    --------
    >>> x = np.array([[[0., .25], [.5, 1.]]])
    >>> bool((perspective_warp(x, 0.) == x).all())
    True
    """
    return Geometric(_perspective_warp, {f"m{i}": magnitude for i in range(8)}, p)


def _perspective_warp(size: tuple[int, int], **moves: Values) -> Matrices:
    return perspective(size, CORNERS + np.stack([*moves.values()], 1).reshape(-1, 4, 2))


@on_images
def skew(direction: Range = (0, 7), magnitude: Range = 0., p: float = 1.) -> Geometric:
    """Move one corner of images along one side.

    Parameters
    ----------
    direction : int or (int, int)
        The corner and the side. 0, 1: left or up at the top left; 2, 3: left or down at the bottom
        left; 4, 5: right or up at the top right; 6, 7: right or down at the bottom right.
    magnitude : float or (float, float)
        How far; half the width or height is 1.
    p : float
        Probability with which an image is changed.

    Returns
    -------
    Transform
        The transform.

    Notes
    -----
    fastai v1's ``skew``.

    Examples
    --------
    >>> skew(2, (-.2, .2), p=.5)
    skew(direction=2, magnitude=(-0.2, 0.2), p=0.5)
    """
    return Geometric(_skew, {"direction": direction, "magnitude": magnitude}, p)


def _skew(size: tuple[int, int], direction: Values, magnitude: Values) -> Matrices:
    corner, axis = np.divmod(direction.astype(int), 2)
    return _moved(size, magnitude, (corner, axis))


@on_images
def tilt(direction: Range = (0, 3), magnitude: Range = 0., p: float = 1.) -> Geometric:
    """Show images as if tilted to one side: move the two corners of a side apart.

    Parameters
    ----------
    direction : int or (int, int)
        The side: 0 right, 1 left, 2 bottom, 3 top.
    magnitude : float or (float, float)
        How far; half the width or height is 1.
    p : float
        Probability with which an image is changed.

    Returns
    -------
    Transform
        The transform.

    Notes
    -----
    fastai v1's ``tilt``.

    Examples
    --------
    >>> tilt((0, 3), .2)
    tilt(direction=(0, 3), magnitude=0.2, p=1.0)
    """
    return Geometric(_tilt, {"direction": direction, "magnitude": magnitude}, p)


SIDES = np.array([[2, 3], [0, 1], [1, 3], [0, 2]])
"""The corners of the right, left, bottom and top side."""


def _tilt(size: tuple[int, int], direction: Values, magnitude: Values) -> Matrices:
    side = direction.astype(int)
    axis = np.where(side < 2, 1, 0)
    return _moved(size, magnitude, *((SIDES[side, end], axis) for end in (0, 1)))


def _moved(size: tuple[int, int], magnitude: Values,
           *places: tuple["np.ndarray[tuple[int], np.dtype[np.int_]]",
                          "np.ndarray[tuple[int], np.dtype[np.int_]]"]) -> Matrices:
    """Move coordinates of corners, given as (corner, axis) for each image, away from the centre."""
    moved, rows = np.tile(CORNERS, (len(magnitude), 1, 1)), np.arange(len(magnitude))
    for corner, axis in places:
        moved[rows, corner, axis] += CORNERS[corner, axis] * magnitude
    return perspective(size, moved)


@on_images
def jitter(magnitude: Range = 0., p: float = 1.) -> Pixels:
    """Take each pixel from a random place nearby.

    Parameters
    ----------
    magnitude : float or (float, float)
        The largest distance in each direction; half the width or height is 1.
    p : float
        Probability with which an image is changed.

    Returns
    -------
    Transform
        The transform.

    Notes
    -----
    fastai v1's ``jitter``. Here the pixels are interpolated once more after rotations and zooms.

    Examples
    --------
    >>> x = np.array([[[0., .25], [.5, 1.]]])
    >>> bool((jitter(x, 0.) == x).all()), bool((jitter(x, .5) == x).all())
    (True, False)
    """
    return Pixels(_jitter, {"magnitude": magnitude}, p)


def _jitter(x: Array, rng: np.random.Generator, magnitude: Values) -> Array:
    n, _, h, w = x.shape
    grid = np.indices((h, w), np.float32)[:, None]
    half = (np.array([h, w]).reshape(2, 1, 1, 1) - 1) / 2
    places = grid + rng.uniform(-1, 1, (2, n, h, w)) * magnitude.reshape(-1, 1, 1) * half
    rows, columns = backend_of(x).from_host(places.astype(np.float32))
    return sample_at(x, rows, columns)
