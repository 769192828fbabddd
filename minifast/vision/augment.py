"""Images that change each time they are drawn from a data set."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Array, backend_of, generator
from ..data import ArrayDataset
from .transforms import Seed, apply_tfms, check_tfms

Stats = tuple[np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.float32]]]
UNCHANGED = np.zeros(1, np.float32), np.ones(1, np.float32)
"""Mean and standard deviation of images that are not normalised."""


class TransformedImages(ArrayDataset):
    """The rows of another data set; each time, the images of a batch are transformed anew.

    Transforms see pixels from 0 to 1, also when the images are kept normalised.

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
        super().__init__(source.x, source.y)

    @property
    def x(self) -> Any:
        """The images before the transforms."""
        return self.source.x

    @x.setter
    def x(self, x: Any) -> None:
        self.source.x = x

    def __getitem__(self, rows: Any) -> tuple[Any, Array]:
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
