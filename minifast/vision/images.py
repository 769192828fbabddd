"""ImageDataBunch: batches of labelled images."""
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..autograd import ShapeError, Tensor
from ..backend import Array
from ..data import DataBunch, DataLoader, DatasetType, random_split, split_by_idx
from . import pixels
from .augment import UNCHANGED, ImageRows, Stats, TransformedImages, on_device
from .files import Image, pillow_array, read_image
from .from_files import FromFiles
from .pixels import Images

imagenet_stats = [.485, .456, .406], [.229, .224, .225]
"""Mean and standard deviation of the red, green and blue of ImageNet, for ``normalize``."""
cifar_stats = [.491, .482, .447], [.247, .243, .261]
"""Those of CIFAR-10."""
mnist_stats = [.15] * 3, [.15] * 3
"""Those that fastai v1 uses for MNIST, read as colours."""


class ImageDataBunch(FromFiles, DataBunch):
    """Images with one class each: batches (bs, c, h, w) and class numbers (bs,).

    All images are kept in memory as float32. ``from_arrays`` makes a bunch of arrays,
    ``from_folder``, ``from_lists``, ``from_df``, ``from_csv``, ``from_name_re`` and
    ``from_name_func`` read files.

    Parameters
    ----------
    train_dl, valid_dl, fix_dl, test_dl, path, device, c, classes, loss_func : Any
        As for ``DataBunch``.

    Attributes
    ----------
    stats : (ndarray, ndarray) or None
        Mean and standard deviation of each channel, once ``normalize`` has been called.

    Notes
    -----
    fastai v1's ``ImageDataBunch``.
    """

    stats: Stats | None = None

    # ---- constructors

    @classmethod
    def from_arrays(cls, images: Any, labels: Any, valid_pct: float = .2,
                    valid: tuple[Any, Any] | None = None, test: Any = None,
                    classes: Sequence[Any] | None = None, seed: int | None = None,
                    valid_idx: Iterable[int] | None = None, ds_tfms: Any = None,
                    padding_mode: str = "reflection", **kwargs: Any) -> Self:
        """Make a bunch from images and labels in memory.

        Parameters
        ----------
        images : array or list
            Images (n, h, w) or (n, h, w, c), as for ``image_array``.
        labels : list or array (n,)
            One label per image, of any type that can be sorted.
        valid_pct : float
            Fraction of the images to validate on, chosen at random.
        valid : (images, labels), optional
            The validation set, instead of a random one.
        test : array or list, optional
            Images without labels.
        classes : list, optional
            All classes, in order; by default the sorted labels.
        seed : int, optional
            Seed of the random split, of the order of batches and of the transforms.
        valid_idx : list of int, optional
            Positions of the validation images, instead of a random choice.
        ds_tfms : (list, list), optional
            Transforms of the training images, drawn anew for each batch, and of all others, such
            as ``get_transforms()`` returns.
        padding_mode : {'zeros', 'border', 'reflection'}
            What transforms see outside an image.
        **kwargs
            Arguments of ``DataBunch.create``: ``bs``, ``val_bs``, ``device``, ``path``.

        Returns
        -------
        ImageDataBunch
            The bunch.

        Raises
        ------
        ShapeError
            If images differ in size or labels in number.
        TypeError
            If labels cannot be sorted, or ``valid`` or ``ds_tfms`` is not a pair.
        ValueError
            If labels are missing or unknown, or there are fewer than two classes.

        Examples
        --------
        >>> digits = np.zeros((8, 4, 4), np.uint8)
        >>> data = ImageDataBunch.from_arrays(digits, list("abababab"), valid_pct=.25, bs=2)
        >>> data.classes, data.c, len(data.train_ds), tuple(data.train_ds.x.shape)
        (['a', 'b'], 2, 6, (6, 1, 4, 4))
        """
        x, names = _labelled(images, labels)
        if valid is not None and (not isinstance(valid, (tuple, list)) or len(valid) != 2):
            raise TypeError(f"valid is a pair (images, labels), got {type(valid).__name__}")
        valid_x, valid_names = (x[:0], []) if valid is None else _labelled(*valid)
        test_x = x[:0] if test is None else pixels.image_array(test)
        sets = {"training": x, "validation": valid_x, "test": test_x}
        pixels.check_one_size({f"the {k} set": v.shape[1:] for k, v in sets.items()})
        classes = _class_list(names + valid_names, classes)
        y, valid_y = _class_numbers(names, classes), _class_numbers(valid_names, classes)
        if valid is None:
            rows, held = random_split(len(x), valid_pct, seed) if valid_idx is None \
                else split_by_idx(len(x), valid_idx)
            x, y, valid_x, valid_y = x[rows], y[rows], x[held], y[held]
        test_y = np.full(len(test_x), -1)
        train_ds, valid_ds, test_ds = (ImageRows(a, b, classes) for a, b in (
            (x, y), (valid_x, valid_y), (test_x, test_y)))
        data = cls.create(train_ds, valid_ds, test_ds if len(test_x) else None, seed=seed,
                          classes=classes, **kwargs)
        return data if ds_tfms is None else data._with_tfms(ds_tfms, padding_mode, seed)

    def _with_tfms(self, ds_tfms: Any, padding_mode: str, seed: int | None) -> Self:
        if not isinstance(ds_tfms, (tuple, list)) or len(ds_tfms) != 2:
            raise TypeError("ds_tfms is a pair of lists, (training, validation), such as "
                            f"get_transforms() returns; got {ds_tfms!r}")
        train, valid = (tfms or [] for tfms in ds_tfms)
        for dl, tfms in ((self.train_dl, train), (self.valid_dl, valid), (self.fix_dl, valid),
                         (self.test_dl, valid)):
            if tfms and isinstance(dl, DataLoader):  # its own stream, separate from the shuffling
                dl.dataset = TransformedImages(dl.dataset, tfms, None if seed is None else
                                               np.random.default_rng([seed, 1]), padding_mode)
        return self

    # ---- normalisation

    def normalize(self, stats: tuple[Any, Any] | None = None) -> Self:
        """Bring every channel to mean 0 and standard deviation 1, in all loaders.

        Parameters
        ----------
        stats : (mean, std), optional
            Numbers per channel to use instead of those of the training images.

        Returns
        -------
        ImageDataBunch
            This bunch.

        Raises
        ------
        ValueError
            On a second call, or if a standard deviation is 0.
        ShapeError
            If there is not one number per channel.

        Examples
        --------
        >>> images = np.arange(32, dtype=np.float32).reshape(8, 2, 2)
        >>> data = ImageDataBunch.from_arrays(images, [0, 1] * 4, valid_pct=0, bs=4).normalize()
        >>> [f"{s[0]:.3f}" for s in data.stats]
        ['15.500', '9.233']
        """
        if self.stats is not None:
            raise ValueError(f"these images are already normalised, with mean "
                             f"{self.stats[0].tolist()} and std {self.stats[1].tolist()}; "
                             "normalize() is called once")
        x = self.train_ds.x
        self.stats = _checked_stats(_channel_stats(x) if stats is None else stats, x.shape[1])
        loaders = [self.train_dl, self.valid_dl, self.fix_dl, self.test_dl]
        found: set[Any] = {dl.dataset for dl in loaders if isinstance(dl, DataLoader)}
        sources = {getattr(ds, "source", ds) for ds in found}
        for ds in sources:
            ds.x = self._normalized(ds.x)
        for ds in {*found, *sources}:
            ds.stats = self.stats
        return self

    def batch_stats(self, funcs: Sequence[Callable[[Tensor, int], Any]] | None = None,
                    ds_type: DatasetType = DatasetType.Train) -> list[Any]:
        """Return statistics of each channel of one batch.

        Parameters
        ----------
        funcs : list of callable, optional
            Called as ``f(x, 1)`` for the channels' pixels x (c, m); mean and standard deviation
            by default.
        ds_type : DatasetType
            The loader to take the batch from.

        Returns
        -------
        list of Tensor (c,)
            A result per function.

        Notes
        -----
        fastai v1's ``batch_stats``, from which it normalises; here ``normalize`` takes all
        training images.

        Examples
        --------
        >>> images = np.arange(32, dtype=np.float32).reshape(8, 2, 2)
        >>> data = ImageDataBunch.from_arrays(images, [0, 1] * 4, valid_pct=0, bs=8)
        >>> data.batch_stats()
        [tensor([15.5000]), tensor([9.3808])]
        """
        x = self.one_batch(ds_type)[0].cpu()
        channels = x.transpose(1, 0, 2, 3).reshape(x.shape[1], -1)
        return [f(channels, 1) for f in funcs or (Tensor.mean, Tensor.std)]

    def to(self, device: str) -> Self:
        """Move all images to ``device``; those that two loaders share stay shared."""
        super().to(device)
        fixed = getattr(self.fix_dl, "dataset", None)
        if isinstance(self.train_ds, TransformedImages) and fixed is not None:
            self.train_ds.source = getattr(fixed, "source", fixed)
        return self

    def _normalized(self, x: Array) -> Array:
        mean, std = on_device(self.stats or UNCHANGED, x)
        return (x - mean) / std

    def denormalized(self, x: Any) -> Images:
        """Return images (n, c, h, w) of a batch as they were before ``normalize``, on the host.

        Parameters
        ----------
        x : Tensor or array (n, c, h, w)
            The images.

        Returns
        -------
        ndarray (n, c, h, w)
            The images, with the values that they had.

        Examples
        --------
        >>> images = np.arange(32, dtype=np.float32).reshape(8, 2, 2)
        >>> data = ImageDataBunch.from_arrays(images, [0, 1] * 4, valid_pct=0, bs=4)
        >>> _ = data.normalize(([10.], [2.]))
        >>> data.denormalized(data.train_ds.x[:1]).tolist()
        [[[[0.0, 1.0], [2.0, 3.0]]]]
        """
        mean, std = (s.reshape(-1, 1, 1) for s in self.stats or UNCHANGED)
        return np.asarray(pixels.on_host(x) * std + mean)

    def norm(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return a batch (images, classes) with normalised images: fastai v1's ``norm``.

        Parameters
        ----------
        batch : (Tensor, Tensor)
            Images (bs, c, h, w) and classes (bs,).

        Returns
        -------
        images, classes : Tensor
            The normalised images, and the same classes.

        Examples
        --------
        >>> images = np.arange(32, dtype=np.float32).reshape(8, 2, 2)
        >>> data = ImageDataBunch.from_arrays(images, [0, 1] * 4, valid_pct=0, bs=4)
        >>> _ = data.normalize(([10.], [2.]))
        >>> data.norm((Tensor(images[:1, None] + 10), Tensor([0])))[0].data.tolist()
        [[[[0.0, 0.5], [1.0, 1.5]]]]
        """
        return Tensor(self._normalized(batch[0].data)), batch[1]

    def denorm(self, x: Any) -> Tensor:
        """Return images as they were before ``normalize``, on the CPU: fastai v1's ``denorm``.

        Parameters
        ----------
        x : Tensor or array (n, c, h, w)
            The images.

        Returns
        -------
        Tensor (n, c, h, w)
            The images, with the values that they had.

        Examples
        --------
        >>> images = np.arange(32, dtype=np.float32).reshape(8, 2, 2)
        >>> data = ImageDataBunch.from_arrays(images, [0, 1] * 4, valid_pct=0, bs=4)
        >>> _ = data.normalize(([10.], [2.]))
        >>> data.denorm(data.train_ds.x[:1])
        tensor([[[[0., 1.],
                  [2., 3.]]]])
        """
        return Tensor(self.denormalized(x))

    # ---- single images and plots

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The images' (channels, height, width)."""
        c, h, w = self.train_ds.x.shape[1:]
        return c, h, w

    def one_item(self, item: Any) -> Tensor:
        """Return one image as a batch, prepared like the training images.

        Parameters
        ----------
        item : array, Tensor, Image, Pillow image, str or Path
            An array (h, w) or (h, w, c) keeps its size; a file, an ``Image`` or a Pillow image is
            brought to the size and the channels of the data.

        Returns
        -------
        Tensor (1, c, h, w)
            The batch, on the device of the data.

        Raises
        ------
        ShapeError
            If an array has another number of channels.
        """
        c, *size = self.image_shape
        resize = self.resize.to_size(size[0], size[1])
        if isinstance(item, (str, Path)):
            item = read_image(item, resize, grey=c == 1)
        elif isinstance(item, Image) or type(item).__module__.startswith("PIL."):
            item = pillow_array(item.pillow() if isinstance(item, Image) else item, resize,
                                grey=c == 1)
        x = pixels.image_array([item])
        if x.shape[1] != c:
            raise ShapeError(f"these data have images of {c} channels, {self.image_shape}; got an "
                             f"image of shape {np.shape(item)} with {x.shape[1]}")
        return Tensor(self._normalized(x)).to(self.device)

    def show_batch(self, rows: int = 3, ds_type: DatasetType = DatasetType.Train,
                   reverse: bool = False, figsize: tuple[float, float] | None = None) -> None:
        """Draw the first images of a batch with their classes.

        Parameters
        ----------
        rows : int
            Rows and columns of the grid.
        ds_type : DatasetType
            The loader to take the batch from.
        reverse : bool
            Whether to draw its last images, the last one first.
        figsize : (float, float), optional
            Width and height in inches.

        Raises
        ------
        ValueError
            If ``rows`` is below 1.
        """
        if rows < 1:
            raise ValueError(f"show_batch draws rows x rows images, got rows={rows}")
        xb, yb = (t[::-1] if reverse else t for t in self.one_batch(ds_type))
        titles = [str(self.decode(y)) for y in yb[:rows * rows]]
        self.show_items(xb[:rows * rows], titles, figsize=figsize)

    def show_items(self, x: Any, titles: Sequence[str], heading: str | None = None,
                   figsize: tuple[float, float] | None = None) -> Any:
        """Draw images of a batch as a square grid, as they were before ``normalize``.

        Values 0 to 1 go from black to white; if there are others, the range of all images does.

        Parameters
        ----------
        x : Tensor or array (n, c, h, w)
            The images.
        titles : list of str
            A title per image.
        heading : str, optional
            The figure's title.
        figsize : (float, float), optional
            Width and height in inches.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.

        Examples
        --------
        >>> images = np.arange(32, dtype=np.float32).reshape(8, 2, 2)
        >>> data = ImageDataBunch.from_arrays(images, [0, 1] * 4, valid_pct=0, bs=4)
        >>> _ = data.normalize(([10.], [2.]))
        >>> figure = data.show_items(data.train_ds.x[:4], ["0", "1", "0", "1"])
        >>> [axes.get_title() for axes in figure.axes]
        ['0', '1', '0', '1']
        """
        from ..inspect.image_grid import image_grid
        return image_grid(self.denormalized(x), titles, heading, figsize)


# ---------------------------------------------------------------- labels


def _labelled(images: Any, labels: Any) -> tuple[Images, list[Any]]:
    """Return images as one array and their labels as a list."""
    x, names = pixels.image_array(images), _python_list(labels)
    if len(names) != len(x) or any(isinstance(name, list) for name in names):
        raise ShapeError(f"every image needs one label, got {len(x)} images and labels of shape "
                         f"{np.shape(labels)}")
    if missing := [i for i, name in enumerate(names) if name is None or name != name]:
        raise ValueError(f"{len(missing)} labels are missing, the first ({names[missing[0]]}) is "
                         f"that of image {missing[0]}; leave these images out")
    return x, names


def _python_list(labels: Any) -> list[Any]:
    """Return labels from a list or any array as Python's own numbers and strings."""
    names = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    return [name.item() if isinstance(name, np.generic) else name for name in names]


def _class_list(names: list[Any], given: Sequence[Any] | None) -> list[Any]:
    try:
        classes = sorted(set(names)) if given is None else _python_list(given)
    except TypeError as error:
        kinds = sorted({type(name).__name__ for name in names})
        raise TypeError(f"labels of types {', '.join(kinds)} cannot be sorted; convert them to "
                        "one type, or pass classes=") from error
    if len(set(classes)) < max(2, len(classes)):
        raise ValueError(f"a classifier needs at least two different classes; got {classes}")
    return classes


def _class_numbers(names: list[Any], classes: list[Any]) -> "np.ndarray[Any, Any]":
    number = {name: i for i, name in enumerate(classes)}
    for i, name in enumerate(names):
        if name not in number:
            raise ValueError(f"label {name!r} of image {i} is not one of the classes {classes}; "
                             "if your labels are numbers of classes, pass [classes[i] for i in y]")
    return np.array([number[name] for name in names], np.int64)


# ---------------------------------------------------------------- statistics


def _channel_stats(x: Array) -> tuple[Any, Any]:
    """Return mean and standard deviation of each channel, computed in float64."""
    channels = [x[:, i] for i in range(x.shape[1])]  # one at a time takes less memory
    return ([float(channel.mean(dtype=np.float64)) for channel in channels],
            [float(channel.std(dtype=np.float64)) for channel in channels])


def _checked_stats(stats: Any, channels: int) -> Stats:
    mean, std = (np.array(s, np.float32).reshape(-1) for s in stats)
    if mean.shape != (channels,) or std.shape != (channels,):
        raise ShapeError(f"these images have {channels} channels; stats are (mean, std) with "
                         f"{channels} numbers each, got {mean.size} and {std.size}")
    if not (std > 0).all():
        raise ValueError(f"standard deviations are above 0, got {std.tolist()}: a channel whose "
                         "pixels are all equal cannot be normalised; drop it, or pass stats=")
    return mean, std
