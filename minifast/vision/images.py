"""Images: from arrays or folders of pictures to batches."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..autograd import ShapeError, Tensor
from ..backend import Array, backend_of
from ..data.bunch import DataBunch, DatasetType
from ..data.loader import ArrayDataset, DataLoader
from ..data.split import random_split
from .picture_files import Size, picture_array, read_folders, read_picture
from .pictures import show_pictures
from .pixels import Images, as_images, on_host

Self = TypeVar("Self", bound="ImageDataBunch")
Codes = np.ndarray[Any, np.dtype[np.int64]]
Stats = tuple[Images, Images]
PIECE = 1024
"""How many pictures at a time are summed in float64."""


class ImageDataBunch(DataBunch):
    """Images with a class each, as batches (bs, channels, height, width), (bs,); v1's
    ``ImageDataBunch``.

    All pictures are kept in memory, as float32. ``stats`` is (mean, std) per channel once
    ``normalize`` was called.
    """

    stats: Stats | None = None

    # ---- where they come from

    @classmethod
    def from_arrays(cls: type[Self], images: Any, labels: Any, valid_pct: float = .2,
                    valid: tuple[Any, Any] | None = None, test: Any = None,
                    classes: Sequence[Any] | None = None, seed: int | None = None,
                    path: str | Path = ".", bs: int = 64, val_bs: int | None = None,
                    device: str | None = None) -> Self:
        """From pictures (n, h, w) or (n, h, w, channels) and a label each.

        Bytes become 0 to 1, floats stay (``as_images``). ``valid`` is (images, labels); without
        it a random ``valid_pct`` of the rows, drawn with ``seed``, validates. Labels may be
        anything that can be sorted; ``classes`` are all that occur unless they are given, and
        targets are numbers of classes. ``test`` are images without labels.

        >>> digits = np.zeros((8, 4, 4), np.uint8)
        >>> data = ImageDataBunch.from_arrays(digits, list("abababab"), valid_pct=.25, bs=2)
        >>> data.classes, data.c, len(data.train_ds), tuple(data.train_ds.x.shape)
        (['a', 'b'], 2, 6, (6, 1, 4, 4))
        """
        x, names = _pictures_and_labels(images, labels)
        given = None if valid is None else _valid_pair(valid, x)
        classes = _classes([*names, *(given[1] if given else [])], classes)
        y = _codes(names, classes)
        if given is None:
            rows, held = random_split(len(x), valid_pct, seed)
            train, checked = ArrayDataset(x[rows], y[rows]), ArrayDataset(x[held], y[held])
        else:
            train = ArrayDataset(x, y)
            checked = ArrayDataset(given[0], _codes(given[1], classes))
        unlabelled = None if test is None else _without_labels(test, x)
        return cls.create(train, checked, unlabelled, bs, val_bs, None if given is None else seed,
                          device, path=path, classes=classes)

    @classmethod
    def from_folder(cls: type[Self], path: str | Path, train: str = "train", valid: str = "valid",
                    valid_pct: float | None = None, size: Size = None, seed: int | None = None,
                    skip_unreadable: bool = False, grey: bool = False, **kwargs: Any) -> Self:
        """From picture files, in a folder per class: ``path/train/<class>/<picture>`` and
        ``path/valid/<class>/<picture>``; with ``valid_pct``, ``path/<class>/<picture>``.

        ``size`` is a number of pixels or (height, width). A file that cannot be read is an
        error (UnreadableImageError), or left out with a warning if ``skip_unreadable``.
        ``kwargs`` go to ``from_arrays``. fastai v1's ``ImageDataBunch.from_folder``, which crops
        to keep proportions where this stretches.
        """
        folder = Path(path)
        parts = [folder / train, folder / valid] if valid_pct is None else [folder]
        read = read_folders(parts, size, grey, skip_unreadable)
        for part, (pictures, _) in zip(parts, read, strict=True):
            if not pictures:
                raise ValueError(f"none of the pictures in {part} can be read")
        split: dict[str, Any] = {"valid": read[1]} if valid_pct is None \
            else {"valid_pct": valid_pct}
        pictures, labels = read[0]
        return cls.from_arrays(pictures, labels, seed=seed, path=folder, **split, **kwargs)

    # ---- normalisation

    def normalize(self: Self, stats: tuple[Any, Any] | None = None) -> Self:
        """Every channel to mean 0 and standard deviation 1, in all loaders; returns the bunch.

        ``stats`` (mean, std) are those of the training rows unless given, one number per
        channel. A second call is an error.

        >>> pictures = np.arange(32, dtype=np.float32).reshape(8, 2, 2)
        >>> data = ImageDataBunch.from_arrays(pictures, [0, 1] * 4, valid_pct=0, bs=4).normalize()
        >>> [f"{s[0]:.3f}" for s in data.stats]
        ['15.500', '9.233']
        """
        if self.stats is not None:
            mean, std = (s.tolist() for s in self.stats)
            raise ValueError(f"these images are normalised already, with mean {mean} and std {std};"
                             " normalize() is called once")
        x = self.train_ds.x
        self.stats = _checked_stats(_channel_stats(x) if stats is None else stats, x.shape[1])
        loaders = [self.train_dl, self.valid_dl, self.fix_dl, self.test_dl]
        for ds in {id(dl.dataset): dl.dataset for dl in loaders
                   if isinstance(dl, DataLoader)}.values():
            ds.x = self._normalized(ds.x)
        return self

    def _normalized(self, x: Array) -> Array:
        if self.stats is None:
            return x
        mean, std = (backend_of(x).from_host(s.reshape(-1, 1, 1)) for s in self.stats)
        return (x - mean) / std

    def denormalized(self, x: Any) -> Images:
        """Images (n, c, h, w) of a batch as they were before ``normalize``, on the host."""
        images: Images = on_host(x)
        if self.stats is None:
            return images
        mean, std = (s.reshape(-1, 1, 1) for s in self.stats)
        return images * std + mean

    # ---- single images, and pictures to look at

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        c, h, w = self.train_ds.x.shape[1:]
        return c, h, w

    def one_item(self, item: Any) -> Tensor:
        """One picture as a batch (1, c, h, w), prepared as the data were.

        An array (h, w) or (h, w, channels) keeps its size; a file's name or a picture of
        Pillow's is brought to the size and the channels of the data.
        """
        c, *size = self.image_shape
        if isinstance(item, (str, Path)):
            item = read_picture(item, (size[0], size[1]), grey=c == 1)
        elif type(item).__module__.startswith("PIL."):
            item = picture_array(item, (size[0], size[1]), grey=c == 1)
        x = as_images([item])
        if x.shape[1] != c:
            raise ShapeError(f"these data have images of {c} channels, {self.image_shape}; got a "
                             f"picture of shape {np.shape(item)} with {x.shape[1]}")
        return Tensor(self._normalized(x)).to(self.device)

    def show_batch(self, rows: int = 3, ds_type: DatasetType = DatasetType.Train,
                   figsize: tuple[float, float] | None = None) -> None:
        """Draw the first pictures of a batch, ``rows`` times ``rows``, with their classes."""
        if rows < 1:
            raise ValueError(f"show_batch draws rows x rows pictures, got rows={rows}")
        xb, yb = self.one_batch(ds_type)
        codes = yb.numpy()[:rows * rows].tolist()
        titles = [str(code if self.classes is None else self.classes[code]) for code in codes]
        self.show_items(xb[:rows * rows], titles, figsize=figsize)

    def show_items(self, images: Any, titles: Sequence[str], heading: str | None = None,
                   figsize: tuple[float, float] | None = None) -> Any:
        """Draw images of a batch as they were before ``normalize``.

        Parameters
        ----------
        images : Tensor of shape (n, c, h, w)
            The images.
        titles : sequence of str
            A title for each image.
        heading : str, optional
            The title of the figure.
        figsize : tuple of float, optional
            Width and height of the figure in inches.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        return show_pictures(self.denormalized(images), titles, heading, figsize)


# ---------------------------------------------------------------- labels


def _pictures_and_labels(images: Any, labels: Any) -> tuple[Images, list[Any]]:
    x, names = as_images(images), _as_list(labels)
    if len(names) != len(x) or any(isinstance(name, list) for name in names):
        raise ShapeError(f"every picture needs one label, got {len(x)} pictures and labels of "
                         f"shape {np.shape(labels)}")
    missing = [i for i, name in enumerate(names) if name is None or name != name]
    if missing:
        raise ValueError(f"{len(missing)} labels are missing, the first ({names[missing[0]]}) is "
                         f"that of picture {missing[0]}; leave these pictures out")
    return x, names


def _as_list(labels: Any) -> list[Any]:
    """Python's own numbers and texts, whatever they come in."""
    names = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    return [name.item() if isinstance(name, np.generic) else name for name in names]


def _valid_pair(valid: Any, x: Images) -> tuple[Images, list[Any]]:
    if not isinstance(valid, (tuple, list)) or len(valid) != 2:
        raise TypeError(f"valid is a pair (images, labels), got {type(valid).__name__}")
    images, names = _pictures_and_labels(*valid)
    return _like_training(images, x, "validation"), names


def _without_labels(test: Any, x: Images) -> ArrayDataset:
    images = _like_training(as_images(test), x, "test")
    return ArrayDataset(images, np.zeros(len(images), np.int64))


def _like_training(images: Images, x: Images, which: str) -> Images:
    if images.shape[1:] != x.shape[1:]:
        raise ShapeError(f"{which} images (channels, height, width) are {images.shape[1:]}, "
                         f"training images {x.shape[1:]}; bring them to one size")
    return images


def _classes(names: list[Any], given: Sequence[Any] | None) -> list[Any]:
    try:
        classes = sorted(set(names)) if given is None else _as_list(given)
    except TypeError as error:
        kinds = sorted({type(name).__name__ for name in names})
        raise TypeError(f"labels of types {', '.join(kinds)} cannot be put in order; convert them "
                        "to one type, or pass classes=") from error
    if len(set(classes)) < max(2, len(classes)):
        raise ValueError(f"a classifier needs two classes or more, each named once; got {classes}")
    return classes


def _codes(names: list[Any], classes: list[Any]) -> Codes:
    number = {name: i for i, name in enumerate(classes)}
    for i, name in enumerate(names):
        if name not in number:
            raise ValueError(f"label {name!r} of picture {i} is not one of the classes {classes}; "
                             "labels are classes themselves, not their numbers: write "
                             "[classes[i] for i in labels] if yours are")
    return np.array([number[name] for name in names], np.int64)


# ---------------------------------------------------------------- statistics


def _channel_stats(x: Array) -> tuple[Any, Any]:
    """Mean and standard deviation of each channel, summed in float64, some pictures at a time."""
    pieces = [x[i:i + PIECE] for i in range(0, len(x), PIECE)]
    n = x.size // x.shape[1]
    mean = sum(piece.sum((0, 2, 3), dtype=np.float64) for piece in pieces) / n
    var = sum(((piece - mean[:, None, None]) ** 2).sum((0, 2, 3)) for piece in pieces) / n
    return on_host(mean), on_host(var ** .5)


def _checked_stats(stats: Any, channels: int) -> Stats:
    mean, std = (np.array(s, np.float32).reshape(-1) for s in stats)
    if mean.shape != (channels,) or std.shape != (channels,):
        raise ShapeError(f"these images have {channels} channels; stats are (mean, std) with "
                         f"{channels} numbers each, got {mean.size} and {std.size}")
    if not (std > 0).all():
        raise ValueError(f"standard deviations are above 0, got {std.tolist()}: a channel without "
                         "contrast cannot be normalised; leave it out, or pass stats=")
    return mean, std
