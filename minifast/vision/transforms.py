"""Data augmentation: random flips, rotation, zoom, perspective, brightness and contrast."""
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from ..autograd import ShapeError
from ..backend import Array, backend_of, generator
from .sampling import Matrices, check_padding_mode, sample

Range = float | tuple[float, float]
"""A number, or the interval from which a number is drawn for each image."""
Values = np.ndarray[Any, np.dtype[np.float64]]
"""A number per image, (n,)."""
Seed = int | np.random.Generator | None
Make = TypeVar("Make", bound=Callable[..., Any])
EPS = 1e-7
"""Pixels are limited to [EPS, 1 - EPS] before their logit is computed."""
WHOLE = ("k", "direction", "n_holes", "length")
"""Parameters that are whole numbers. Their intervals include both ends, as in fastai v1."""


@dataclass(frozen=True, repr=False)
class Transform:
    """A transform of images whose parameters are drawn at random for each image.

    Parameters
    ----------
    func : callable
        ``func((h, w), **values)`` returns a matrix per image, (n, k, k). Each value is (n,).
        ``Pixels`` takes another function.
    params : dict of str to float or (float, float)
        The parameters: numbers, or intervals from which they are drawn.
    p : float
        Probability with which an image is changed.
    log : bool
        Draw parameters uniformly on a logarithmic scale.

    Raises
    ------
    ValueError
        If ``p`` is not a probability, or an interval is reversed.

    Notes
    -----
    fastai v1's ``RandTransform``. Called with an image, it changes this image.

    Examples
    --------
    >>> def shift(size, pixels):
    ...     return np.array([[[1, 0, n], [0, 1, 0], [0, 0, 1]] for n in pixels])
    >>> tfm = Geometric(shift, {"pixels": 1})
    >>> apply_tfms([tfm], np.array([[[0., .5, 1.]]]), padding_mode="border").tolist()
    [[[0.5, 1.0, 1.0]]]
    """

    func: Callable[..., Any]
    params: Mapping[str, Range]
    p: float = 1.
    log: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"p is the probability of a transform, from 0 to 1; got {self.p}")
        for name, value in self.params.items():
            low, high = interval(value)
            if not low <= high:
                raise ValueError(f"{name} is a number or (low, high), got {value}")

    def draw(self, rng: np.random.Generator, n: int, size: tuple[int, int]) -> Matrices:
        """Return a matrix per image, the identity matrix for images that are not changed.

        Parameters
        ----------
        rng : Generator
            Source of the random numbers.
        n : int
            Number of images.
        size : (int, int)
            Their height and width.

        Returns
        -------
        ndarray (n, k, k)
            The matrices.

        Examples
        --------
        >>> flip_lr().draw(np.random.default_rng(0), 1, (4, 4)).tolist()
        [[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]
        """
        chosen = rng.random(n) < self.p
        drawn = self._values(rng, n)
        matrices: Matrices = self.func(size, **drawn) if drawn else self.func(size, n=n)
        matrices[~chosen] = np.eye(matrices.shape[1])
        return matrices

    def __call__(self, image: Any, seed: Seed = None) -> Any:
        """Return an image, or a batch of images, after this transform."""
        if hasattr(image, "apply_tfms"):
            return image.apply_tfms([self], seed=seed)
        return apply_tfms([self], image, seed)

    def __repr__(self) -> str:
        func, fixed = getattr(self.func, "func", self.func), getattr(self.func, "keywords", {})
        values = [f"{name}={value!r}" for name, value in {**fixed, **self.params}.items()]
        return f"{func.__name__.strip('_')}({', '.join([*values, f'p={self.p}'])})"

    def _values(self, rng: np.random.Generator, n: int) -> dict[str, Values]:
        """Draw all parameters for n images."""
        return {name: self._draw(rng, n, name, *interval(value))
                for name, value in self.params.items()}

    def _draw(self, rng: np.random.Generator, n: int, name: str, low: float, high: float
              ) -> Values:
        if name in WHOLE:
            return rng.integers(int(low), int(high), n, endpoint=True).astype(float)
        if self.log:
            return np.exp(rng.uniform(np.log(low), np.log(high), n))
        return rng.uniform(low, high, n)


class Geometric(Transform):
    """A transform of positions by matrices (n, 3, 3), for ``sampling.sample``."""


class Lighting(Transform):
    """A transform of logits l to a l + b, by matrices (n, 2, 2) with rows (a, b) and (0, 1)."""


class Pixels(Transform):
    """A transform of pixels: ``func(images, generator, **values)`` returns new images."""

    def change(self, x: Array, rng: np.random.Generator) -> Array:
        """Return images of which a random selection has changed.

        Parameters
        ----------
        x : array (n, c, h, w)
            The images, on any device; they are not modified.
        rng : Generator
            Source of the random numbers.

        Returns
        -------
        array (n, c, h', w')
            The images, on the same device.

        Examples
        --------
        >>> def inverted(x, rng):
        ...     return 1 - x
        >>> Pixels(inverted, {}).change(np.array([[[[0., .25]]]]), np.random.default_rng())
        array([[[[1.  , 0.75]]]])
        """
        chosen = np.flatnonzero(rng.random(len(x)) < self.p)
        if not len(chosen):
            return x
        values = self._values(rng, len(chosen))
        if len(chosen) == len(x):
            return self.func(x, rng, **values)
        x, chosen = x.copy(), backend_of(x).from_host(chosen)
        x[chosen] = self.func(x[chosen], rng, **values)
        return x


def interval(value: Range) -> tuple[float, float]:
    """Return a parameter as an interval.

    Parameters
    ----------
    value : float or (float, float)
        The parameter.

    Returns
    -------
    low, high : float
        The interval; both ends of a number are the number itself.

    Examples
    --------
    >>> interval(.5), interval((0, 1))
    ((0.5, 0.5), (0, 1))
    """
    return (value[0], value[1]) if isinstance(value, (tuple, list)) else (value, value)


def on_images(make: Make) -> Make:
    """Let a function that makes a transform also take an image first, and change it at once.

    Parameters
    ----------
    make : callable
        Returns a transform.

    Returns
    -------
    callable
        The same function; called with an image or an array of images as its first argument, it
        makes the transform from the other arguments and applies it.

    Notes
    -----
    In fastai v1, ``rotate(degrees=(-30, 30))`` is a transform and ``rotate(image, 30)`` an image.

    Examples
    --------
    >>> from minifast.vision import Image
    >>> brightness(Image(np.full((1, 1, 1), .5, np.float32)), .75).data.tolist()
    [[[0.75]]]
    """
    @wraps(make)
    def made(*args: Any, use_on_y: bool = True, **kwargs: Any) -> Any:  # targets do not change
        if args and (hasattr(args[0], "apply_tfms") or getattr(args[0], "ndim", 0) >= 3):
            return make(*args[1:], **kwargs)(args[0])
        return make(*args, **kwargs)
    return made  # type: ignore[return-value]


# ---------------------------------------------------------------- applying


def apply_tfms(tfms: Sequence[Any], x: Array, seed: Seed = None,
               padding_mode: str = "reflection") -> Array:
    """Apply transforms to images, with different random numbers for each image.

    Brightness and contrast are applied first, then all flips, rotations, zooms and warps together
    in one interpolation, then crops, cutouts and functions of the batch, in the order of the list.

    Parameters
    ----------
    tfms : list of Transform or callable
        The transforms. A function is called as ``f(images, generator)``.
    x : array (n, c, h, w) or (c, h, w)
        Images with values from 0 to 1, on any device.
    seed : int, numpy.random.Generator or None
        Source of the random numbers.
    padding_mode : {'zeros', 'border', 'reflection'}
        How pixels outside an image are filled.

    Returns
    -------
    array
        The images, on the device of ``x`` and, unless a transform crops or pads, with its shape.

    Raises
    ------
    ShapeError
        If ``x`` does not have the shape of images.
    TypeError
        If a transform is neither a Transform nor a function.
    ValueError
        If the padding mode is unknown.

    Notes
    -----
    fastai v1's ``apply_tfms``, for a whole batch. The order of the matrices in the list is the
    order in which v1 multiplies them.

    Examples
    --------
    >>> x = np.array([[[[0., .25], [.5, 1.]]]])
    >>> apply_tfms([rotate(90)], x)[0, 0].tolist()
    [[0.25, 1.0], [0.0, 0.5]]
    """
    check_padding_mode(padding_mode)
    check_tfms(tfms)
    if x.ndim == 3:
        return apply_tfms(tfms, x[None], seed, padding_mode)[0]
    if x.ndim != 4:
        raise ShapeError(f"transforms take images (n, c, h, w) or (c, h, w), got {x.shape}")
    rng = generator(seed)
    places, lights = _drawn(tfms, rng, len(x), x.shape[2:])
    x = _lit(x, lights)
    if any(isinstance(tfm, Geometric) for tfm in tfms):
        x = sample(x, places, padding_mode)
    for tfm in tfms:
        if not isinstance(tfm, Geometric | Lighting):
            x = tfm.change(x, rng) if isinstance(tfm, Pixels) else tfm(x, rng)
    return x


def check_tfms(tfms: Any) -> None:
    """Check a list of transforms.

    Parameters
    ----------
    tfms : list of Transform or callable
        The transforms.

    Raises
    ------
    TypeError
        If it is not a list of transforms.

    Examples
    --------
    >>> check_tfms([flip_lr(), rotate(10)])
    >>> check_tfms(flip_lr())
    Traceback (most recent call last):
    ...
    TypeError: transforms are a list such as get_transforms()[0], ...
    """
    if not isinstance(tfms, (list, tuple)) \
            or any(not isinstance(tfm, Transform) and not callable(tfm) for tfm in tfms):
        raise TypeError(f"transforms are a list such as get_transforms()[0], or [rotate(10), f] "
                        f"with a function f(images, generator); got {tfms!r}")


def _drawn(tfms: Sequence[Any], rng: np.random.Generator, n: int, size: tuple[int, int]
           ) -> tuple[Matrices, Matrices]:
    """Return the products of the matrices for positions and of those for logits."""
    places, lights = _unit(n, 3), _unit(n, 2)
    for tfm in tfms:
        if isinstance(tfm, Geometric):
            places = places @ tfm.draw(rng, n, size)
        elif isinstance(tfm, Lighting):
            lights = tfm.draw(rng, n, size) @ lights
    return places, lights


def _lit(x: Array, lights: Matrices) -> Array:
    """Change the logits of the images whose matrix is not the identity."""
    rows = np.flatnonzero((lights != np.eye(2)).any((1, 2)))
    if not len(rows):
        return x
    backend = backend_of(x)
    factor, shift = (backend.from_host(lights[rows, 0, i].astype(np.float32).reshape(-1, 1, 1, 1))
                     for i in (0, 1))
    x, rows = x.copy(), backend.from_host(rows)
    p = x[rows].clip(EPS, 1 - EPS)
    x[rows] = 1 / (1 + np.exp(-(factor * np.log(p / (1 - p)) + shift)))
    return x


def _unit(n: int, k: int) -> Matrices:
    return np.tile(np.eye(k), (n, 1, 1))


# ---------------------------------------------------------------- lighting


@on_images
def brightness(change: Range = .5, p: float = 1.) -> Lighting:
    """Make images brighter or darker: add log(change / (1 - change)) to the logits of pixels.

    Parameters
    ----------
    change : float or (float, float)
        Between 0 (black) and 1 (white); 0.5 changes nothing.
    p : float
        Probability with which an image is changed.

    Returns
    -------
    Transform
        The transform.

    Raises
    ------
    ValueError
        If ``change`` is not between 0 and 1.

    Examples
    --------
    >>> grey = np.full((1, 1, 1), .5, np.float32)
    >>> apply_tfms([brightness(.75)], grey).tolist()
    [[[0.75]]]
    """
    if not 0 < min(interval(change)) <= max(interval(change)) < 1:
        raise ValueError(f"the change of brightness must be between 0 and 1, got {change}")
    return Lighting(_brightness, {"change": change}, p)


def _brightness(_: tuple[int, int], change: Values) -> Matrices:
    m = _unit(len(change), 2)
    m[:, 0, 1] = np.log(change / (1 - change))
    return m


@on_images
def contrast(scale: Range = 1., p: float = 1.) -> Lighting:
    """Raise or lower contrast: multiply the logits of pixels.

    Parameters
    ----------
    scale : float or (float, float)
        The factor, drawn evenly on a logarithmic scale; 1 changes nothing.
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

    Examples
    --------
    >>> dark = np.full((1, 1, 1), .25)
    >>> apply_tfms([contrast(2.)], dark).round(2).tolist()  # from odds of 1 to 3 to 1 to 9
    [[[0.1]]]
    """
    check_above_zero("contrast", scale)
    return Lighting(_contrast, {"scale": scale}, p, log=True)


def _contrast(_: tuple[int, int], scale: Values) -> Matrices:
    m = _unit(len(scale), 2)
    m[:, 0, 0] = scale
    return m


# ---------------------------------------------------------------- positions


@on_images
def rotate(degrees: Range = 0., p: float = 1.) -> Geometric:
    """Rotate images about their centres, counter-clockwise.

    Parameters
    ----------
    degrees : float or (float, float)
        The angle.
    p : float
        Probability with which an image is changed.

    Returns
    -------
    Transform
        The transform.

    Examples
    --------
    >>> apply_tfms([rotate(180)], np.array([[[0., .5, 1.]]])).tolist()
    [[[1.0, 0.5, 0.0]]]
    """
    return Geometric(_rotate, {"degrees": degrees}, p)


def _rotate(_: tuple[int, int], degrees: Values) -> Matrices:
    m, angle = _unit(len(degrees), 3), np.deg2rad(degrees)
    m[:, 0, 0] = m[:, 1, 1] = np.cos(angle)
    m[:, 0, 1], m[:, 1, 0] = -np.sin(angle), np.sin(angle)
    return m


@on_images
def zoom(scale: Range = 1., row_pct: Range = .5, col_pct: Range = .5, p: float = 1.) -> Geometric:
    """Enlarge images.

    Parameters
    ----------
    scale : float or (float, float)
        The factor; below 1 images become smaller.
    row_pct, col_pct : float or (float, float)
        Which part remains visible, from 0 (top or left) to 1 (bottom or right).
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

    Examples
    --------
    >>> apply_tfms([zoom(2, col_pct=0)], np.array([[[0., .25, .5]]])).tolist()
    [[[0.0, 0.125, 0.25]]]
    """
    check_above_zero("zoom", scale)
    return Geometric(_zoom, {"scale": scale, "row_pct": row_pct, "col_pct": col_pct}, p)


@on_images
def rand_zoom(scale: Range = 1., p: float = 1.) -> Geometric:
    """Enlarge a random part of each image: ``zoom`` with random centres.

    Parameters
    ----------
    scale : float or (float, float)
        The factor.
    p : float
        Probability with which an image is changed.

    Returns
    -------
    Transform
        The transform.

    Examples
    --------
    >>> rand_zoom((1., 1.5), p=.75)
    zoom(scale=(1.0, 1.5), row_pct=(0.0, 1.0), col_pct=(0.0, 1.0), p=0.75)
    """
    return zoom(scale, (0., 1.), (0., 1.), p)


def _zoom(size: tuple[int, int], scale: Values, row_pct: Values, col_pct: Values) -> Matrices:
    return window(size, 1 / scale, 1 / scale, row_pct, col_pct)


def window(size: tuple[int, int], height: Values, width: Values, row_pct: Values, col_pct: Values
           ) -> Matrices:
    """Return the matrices that stretch a part of each image to the whole image.

    Parameters
    ----------
    size : (int, int)
        Height and width of the images in pixels.
    height, width : array (n,)
        Those of the part, as fractions of the image's.
    row_pct, col_pct : array (n,)
        Where the part is, from 0 (top or left) to 1 (bottom or right).

    Returns
    -------
    ndarray (n, 3, 3)
        The matrices.

    Examples
    --------
    >>> half, low = np.array([.5]), np.array([0.])
    >>> window((5, 5), half, half, low, low)[0].tolist()
    [[0.5, 0.0, -1.0], [0.0, 0.5, -1.0], [0.0, 0.0, 1.0]]
    """
    m = _unit(len(height), 3)
    parts = [(width, size[1], col_pct), (height, size[0], row_pct)]
    for i, (part, pixels, pct) in enumerate(parts):
        m[:, i, i] = part
        m[:, i, 2] = (1 - part) * (2 * pct - 1) * (pixels - 1) / 2
    return m


@on_images
def flip_lr(p: float = 1.) -> Geometric:
    """Flip images horizontally, exchanging left and right.

    Parameters
    ----------
    p : float
        Probability with which an image is changed.

    Returns
    -------
    Transform
        The transform.

    Examples
    --------
    >>> apply_tfms([flip_lr()], np.array([[[0., .5, 1.]]])).tolist()
    [[[1.0, 0.5, 0.0]]]
    """
    return Geometric(_flip, {}, p)


flip_affine = flip_lr
"""fastai v1's name for the same change, made by a matrix."""


def _flip(_: tuple[int, int], n: int) -> Matrices:
    return np.tile(np.diag([-1., 1., 1.]), (n, 1, 1))


@on_images
def dihedral(k: Range = (0, 7), p: float = 1.) -> Geometric:
    """Rotate and flip images in one of the eight ways that map a square to itself.

    Parameters
    ----------
    k : int or (int, int)
        The sum of 1 to exchange left and right, 2 to exchange top and bottom, and 4 to exchange
        rows and columns. From a pair (low, high), a number from low to high is drawn.
    p : float
        Probability with which an image is changed.

    Returns
    -------
    Transform
        The transform.

    Examples
    --------
    >>> apply_tfms([dihedral(4)], np.array([[[0., .25], [.5, 1.]]])).tolist()
    [[[0.0, 0.5], [0.25, 1.0]]]
    """
    return Geometric(_dihedral, {"k": k}, p)


dihedral_affine = dihedral
"""fastai v1's name for the same change, made by a matrix."""


def _dihedral(_: tuple[int, int], k: Values) -> Matrices:
    way = k.astype(int)
    m = np.zeros((len(k), 3, 3))
    x, y, swap, rows = 1. - 2 * (way & 1), 1. - (way & 2), way // 4 % 2, np.arange(len(k))
    m[rows, 0, swap], m[rows, 1, 1 - swap], m[:, 2, 2] = x, y, 1
    return m


@on_images
def symmetric_warp(magnitude: Range = 0., p: float = 1.) -> Geometric:
    """Show images as if seen from the side, from above or from below, by moving their corners.

    Parameters
    ----------
    magnitude : float or (float, float)
        How far each side grows or shrinks, where half the image's width is 1.
    p : float
        Probability with which an image is changed.

    Returns
    -------
    Transform
        The transform.

    Notes
    -----
    fastai v1's ``symmetric_warp``. The matrix is the solution of eight linear equations, two for
    each corner.

    Examples
    --------
    >>> x = np.array([[[0., .25], [.5, 1.]]])
    >>> bool((apply_tfms([symmetric_warp(0.)], x) == x).all())
    True
    """
    return Geometric(_warp, {f"m{i}": magnitude for i in range(4)}, p)


def _warp(size: tuple[int, int], m0: Values, m1: Values, m2: Values, m3: Values) -> Matrices:
    moved = np.stack([-1 - m3, -1 - m1, -1 - m2, 1 + m1, 1 + m3, -1 - m0, 1 + m2, 1 + m0], 1)
    return perspective(size, moved.reshape(-1, 4, 2))


CORNERS = np.array([[-1., -1], [-1, 1], [1, -1], [1, 1]])
"""Column and row of an image's corners, from its centre; half its width and height are 1."""


def perspective(size: tuple[int, int], moved: Values) -> Matrices:
    """Return the matrices that move the corners of images.

    Parameters
    ----------
    size : (int, int)
        Height and width of the images in pixels.
    moved : array (n, 4, 2)
        Where ``CORNERS`` are moved to.

    Returns
    -------
    ndarray (n, 3, 3)
        The matrices.

    Examples
    --------
    >>> perspective((3, 3), 2 * CORNERS[None])[0].diagonal()  # twice as large
    array([0.5, 0.5, 1. ])
    """
    n, (x, y) = len(moved), moved.transpose(2, 0, 1)
    equations = np.zeros((n, 4, 2, 8))
    for i in (0, 1):  # the first or second coordinate of a corner; the last unknown is 1
        equations[:, :, i, 3 * i:3 * i + 3] = np.stack([x, y, np.ones_like(x)], -1)
        equations[:, :, i, 6:] = -CORNERS[:, i, None] * np.stack([x, y], -1)
    unknowns = np.linalg.solve(equations.reshape(-1, 8, 8),
                               np.tile(CORNERS.reshape(8, 1), (n, 1, 1)))[..., 0]
    m: Matrices = np.concatenate([unknowns, np.ones((n, 1))], 1).reshape(-1, 3, 3)
    pixels = np.array([max(size[1] - 1, 1) / 2, max(size[0] - 1, 1) / 2, 1])
    m *= pixels[:, None] / pixels
    return m


def zooms_or_flips(tfm: Any) -> bool:
    """Return whether a transform zooms or flips, as test time augmentation itself does.

    Parameters
    ----------
    tfm : Transform or callable
        The transform.

    Returns
    -------
    bool
        Whether it zooms or flips.

    Examples
    --------
    >>> zooms_or_flips(zoom(1.2)), zooms_or_flips(rotate(10))
    (True, False)
    """
    return isinstance(tfm, Transform) and tfm.func in (_zoom, _flip, _dihedral)


def check_above_zero(name: str, scale: Range) -> None:
    """Check a factor.

    Parameters
    ----------
    name : str
        The transform, for the message.
    scale : float or (float, float)
        The factor.

    Raises
    ------
    ValueError
        If it is not above 0.

    Examples
    --------
    >>> check_above_zero("zoom", 0)
    Traceback (most recent call last):
    ValueError: the scale of zoom must be above 0, got 0
    """
    if not min(interval(scale)) > 0:
        raise ValueError(f"the scale of {name} must be above 0, got {scale}")


# ---------------------------------------------------------------- the usual list


def get_transforms(do_flip: bool = True, flip_vert: bool = False, max_rotate: float = 10.,
                   max_zoom: float = 1.1, max_lighting: float = .2, max_warp: float = .2,
                   p_affine: float = .75, p_lighting: float = .75, xtra_tfms: Any = None
                   ) -> tuple[list[Any], list[Any]]:
    """Return transforms that suit photographs, for training and for validation.

    Parameters
    ----------
    do_flip : bool
        Flip half of the images horizontally.
    flip_vert : bool
        Use flips in both directions and rotations by 90 degrees, as for images taken from above.
    max_rotate : float
        Largest angle in degrees, in both directions.
    max_zoom : float
        Largest enlargement.
    max_lighting : float
        Largest change of brightness and contrast, below 1.
    max_warp : float
        Largest movement of the corners.
    p_affine, p_lighting : float
        Probabilities of rotation, zoom and warp, and of the changes of lighting.
    xtra_tfms : Transform, callable or list of these, optional
        Further transforms, as for ``apply_tfms``.

    Returns
    -------
    train, valid : list
        The argument ``ds_tfms`` of ImageDataBunch. Validation images are not changed.

    Raises
    ------
    ValueError
        If a probability or ``max_lighting`` is out of range.

    Notes
    -----
    fastai v1's ``get_transforms``, without its crops, because images already have one size.

    Examples
    --------
    >>> train, valid = get_transforms(max_rotate=0, max_zoom=1, max_warp=0, max_lighting=0)
    >>> len(train), train[0].p, valid
    (1, 0.5, [])
    """
    if not 0 <= max_lighting < 1:
        raise ValueError(f"max_lighting must be at least 0 and below 1, got {max_lighting}")
    train: list[Any] = []
    if do_flip:
        train.append(dihedral_affine() if flip_vert else flip_affine(.5))
    if max_rotate:
        train.append(rotate((-max_rotate, max_rotate), p_affine))
    if max_zoom > 1:
        train.append(rand_zoom((1., max_zoom), p_affine))
    if max_warp:  # after the other geometric transforms, as v1 sorts them
        train.append(symmetric_warp((-max_warp, max_warp), p_affine))
    if max_lighting:
        train += [brightness(((1 - max_lighting) / 2, (1 + max_lighting) / 2), p_lighting),
                  contrast((1 - max_lighting, 1 / (1 - max_lighting)), p_lighting)]
    extra = xtra_tfms if isinstance(xtra_tfms, (list, tuple)) else [xtra_tfms]
    return train + [tfm for tfm in extra if tfm is not None], []
