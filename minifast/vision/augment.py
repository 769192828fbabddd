"""Data sets of images, and images that change each time they are drawn."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import Array, backend_of, generator
from ..data import ArrayDataset
from .files import Image
from .transforms import Seed, apply_tfms, check_tfms

Stats = tuple[np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.float32]]]
UNCHANGED = np.zeros(1, np.float32), np.ones(1, np.float32)
"""Mean and standard deviation of images that are not normalised."""


class ImageRows(ArrayDataset):
    """Images and their classes.

    A whole number as index gives an ``Image`` as it was before ``normalize``, with the name of its
    class. Other indices give arrays, for batches.

    Parameters
    ----------
    x : array (n, c, h, w)
        The images.
    y : array (n,)
        The numbers of their classes; -1 means none.
    classes : sequence of object, optional
        The names of all classes.

    Attributes
    ----------
    stats : (mean, std) or None
        The numbers (c,) that the images were normalised with.

    Notes
    -----
    fastai v1's ``LabelList`` of images, ``data.train_ds``.

    Examples
    --------
    >>> ImageRows(np.zeros((1, 3, 8, 8), np.float32), np.array([1]), ["cat", "dog"])[0]
    (Image (3, 8, 8), 'dog')
    """

    stats: Stats | None = None

    def __init__(self, x: Array, y: Array, classes: Sequence[Any] | None = None) -> None:
        super().__init__(x, y)
        self.classes = classes

    @property
    def c(self) -> int | None:
        """The number of classes."""
        return None if self.classes is None else len(self.classes)

    def __getitem__(self, rows: Any) -> tuple[Any, Any]:
        if not isinstance(rows, int | np.integer):
            return super().__getitem__(rows)
        row = range(len(self))[rows]  # counts from the end, and raises an IndexError
        x, y = self[row:row + 1]
        mean, std = on_device(self.stats or UNCHANGED, x)
        number = int(y[0])
        return Image(Tensor(x * std + mean)[0]), \
            number if self.classes is None else None if number < 0 else self.classes[number]

    def to(self, device: str) -> "ImageRows":
        """Return the same images on ``device``."""
        there = super().to(device)
        moved = ImageRows(there.x, there.y, self.classes)
        moved.stats = self.stats
        return moved


class TransformedImages(ImageRows):
    """The rows of another data set, with transforms drawn anew for each batch of images.

    Transforms get pixels from 0 to 1, even if the images are stored normalised.

    Parameters
    ----------
    source : ArrayDataset
        Images (n, c, h, w) and targets, which are shared.
    tfms : list of Transform or callable
        The transforms, as for ``apply_tfms``.
    seed : int, numpy.random.Generator or None
        Source of the random numbers. A resumed fit continues them.
    padding_mode : str
        As for ``apply_tfms``.
    stats : (mean, std), optional
        The numbers (c,) that the images were normalised with.

    Notes
    -----
    In fastai v1 a data set has ``tfms`` as well, and transforms one image at a time.

    Examples
    --------
    >>> from .transforms import flip_lr
    >>> plain = ArrayDataset(np.array([[[[0., 1.]]]]), np.zeros(1))
    >>> TransformedImages(plain, [flip_lr()])[:1][0].tolist()
    [[[[1.0, 0.0]]]]
    """

    def __init__(self, source: ArrayDataset, tfms: Sequence[Any], seed: Seed = None,
                 padding_mode: str = "reflection", stats: Stats | None = None) -> None:
        check_tfms(tfms)
        self.source, self.tfms, self.padding_mode, self.stats = source, tfms, padding_mode, stats
        self.rng = generator(seed)
        super().__init__(source.x, source.y, getattr(source, "classes", None))

    @property
    def x(self) -> Any:
        """The images before the transforms."""
        return self.source.x

    @x.setter
    def x(self, x: Any) -> None:
        self.source.x = x

    def __getitem__(self, rows: Any) -> tuple[Any, Any]:
        if isinstance(rows, int | np.integer):
            return super().__getitem__(rows)
        x, y = self.source[rows]
        if self.stats is None:
            return apply_tfms(self.tfms, x, self.rng, self.padding_mode), y
        mean, std = on_device(self.stats, x)
        return (apply_tfms(self.tfms, x * std + mean, self.rng, self.padding_mode) - mean) / std, y

    def to(self, device: str) -> "TransformedImages":
        """Return the same images on ``device``."""
        return TransformedImages(self.source.to(device), self.tfms, self.rng, self.padding_mode,
                                 self.stats)


def on_device(stats: Stats, x: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of channels, in a shape that broadcasts with images.

    Parameters
    ----------
    stats : (mean, std)
        Arrays (c,), on the host.
    x : array
        An array on the wanted device.

    Returns
    -------
    mean, std : array (c, 1, 1)
        On the device.

    Examples
    --------
    >>> on_device(UNCHANGED, np.zeros(1))[0].shape
    (1, 1, 1)
    """
    mean, std = (backend_of(x).from_host(s.reshape(-1, 1, 1)) for s in stats)
    return mean, std
