"""Constructors of ImageDataBunch from folders, lists of files, tables and file names."""
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..autograd import ShapeError
from ..data import ArrayDataset, DataLoader, random_split, split_by_idx
from .files import get_image_files, labelled_files, read_images
from .resize import Resize, ResizeMethod, Size

IGNORED = ("num_workers", "no_check")
"""Arguments of fastai v1 without effect: images are in memory, and they are checked."""
REFUSED = {"dl_tfms": "give transforms of images as ds_tfms=", "collate_fn": "batches are gathered "
           "at once", "tfm_y": "targets are classes, which transforms do not change",
           "item_cls": "files are read as images"}
"""Arguments of fastai v1 that are not accepted, and why."""


class FromFiles:
    """Base class of ImageDataBunch, with constructors that read image files.

    All of them take the keyword arguments of ``from_lists`` and of ``from_arrays``.
    """

    @classmethod
    @abstractmethod
    def from_arrays(cls, images: Any, labels: Any, **kwargs: Any) -> Self:
        """Make a bunch from images and labels in memory; see ``ImageDataBunch.from_arrays``.

        Parameters
        ----------
        images, labels : array or list
            The images, and one label per image.
        **kwargs
            Other arguments.

        Returns
        -------
        ImageDataBunch
            The bunch.

        Examples
        --------
        >>> from minifast.vision import ImageDataBunch
        >>> images = np.zeros((4, 8, 8), np.uint8)
        >>> ImageDataBunch.from_arrays(images, ["cat", "dog"] * 2, valid_pct=.25, bs=3).classes
        ['cat', 'dog']
        """

    @classmethod
    def from_lists(cls, path: str | Path, fnames: Sequence[str | Path], labels: Sequence[Any],
                   valid_pct: float = .2, seed: int | None = None,
                   valid_idx: Iterable[int] | None = None, test: str | Path | None = None,
                   size: Size = None, resize_method: ResizeMethod | None = None,
                   padding_mode: str = "reflection", mult: int | None = None, grey: bool = False,
                   skip_unreadable: bool = False, **kwargs: Any) -> Self:
        """Make a bunch from image files and their labels.

        Parameters
        ----------
        path : str or Path
            Folder of the data, for checkpoints and for file names that are not found as they are.
        fnames : list of str or Path (n,)
            The files.
        labels : list (n,)
            One label per file.
        valid_pct : float
            Fraction of the images to validate on, chosen at random.
        seed : int, optional
            Seed of the split, as in v1, and of the order of batches.
        valid_idx : list of int, optional
            Positions of the validation images, instead of a random choice.
        test : str or Path, optional
            Folder below ``path`` with images without labels, at any depth; their order is that of
            ``get_image_files(path/test, recurse=True)``.
        size : int or (int, int), optional
            (height, width) in pixels of the resized images. Without it, all images must already
            have the same size.
        resize_method : ResizeMethod, optional
            How: ``CROP``, ``PAD`` or ``SQUISH``, as for ``Resize``.
        padding_mode : {'zeros', 'border', 'reflection'}
            How ``PAD`` and transforms fill pixels outside an image.
        mult : int, optional
            Round the size to a multiple of this number.
        grey : bool
            Read grey levels: one channel instead of three.
        skip_unreadable : bool
            Skip files that cannot be read, with a warning, instead of raising an error.
        **kwargs
            Arguments of ``from_arrays``, such as ``ds_tfms`` and ``classes``, and of
            ``DataBunch.create``, such as ``bs``.

        Returns
        -------
        ImageDataBunch
            The bunch.

        Raises
        ------
        FileNotFoundError, UnreadableImageError
            If a file does not exist or cannot be read.
        ShapeError
            If images differ in size, or labels in number from the files.
        TypeError
            If an argument of fastai v1 is not accepted here.
        ValueError
            If labels are missing or fewer than two classes, or an argument is out of range.

        Notes
        -----
        fastai v1's ``from_lists``. A resized image is cropped at its centre, in training too.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from minifast.vision import Image, ImageDataBunch
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("cat_1.png", "dog_1.png", "cat_2.png"):
        ...         Image(np.zeros((3, 8, 8))).pillow().save(Path(folder, name))
        ...     names, labels = ["cat_1.png", "dog_1.png", "cat_2.png"], ["cat", "dog", "cat"]
        ...     data = ImageDataBunch.from_lists(folder, names, labels, valid_idx=[2], size=4, bs=2)
        >>> data.classes, len(data.train_ds), data.image_shape
        (['cat', 'dog'], 2, (3, 4, 4))
        """
        kwargs = _own_arguments(kwargs)
        resize = Resize(size, resize_method, padding_mode, mult)
        files, names = [_place(path, name) for name in fnames], list(labels)
        if len(files) != len(names):
            raise ShapeError(f"every image needs one label, got {len(files)} files and "
                             f"{len(names)} labels")
        split = random_split(len(files), valid_pct, seed) if valid_idx is None \
            else split_by_idx(len(files), valid_idx)
        tests = [] if test is None else get_image_files(Path(path, test), recurse=True)
        parts = [[files[i] for i in rows] for rows in split]
        *read, unlabelled = read_images([*parts, tests], resize, grey, skip_unreadable)
        (x, y), held = ((list(images.values()), [names[rows[i]] for i in images])
                        for rows, images in zip(split, read, strict=True))
        data = cls.from_arrays(x, y, valid_pct=0, valid=held if held[0] else None,
                               test=list(unlabelled.values()) or None, seed=seed, path=path,
                               padding_mode=padding_mode, **kwargs)
        data.resize = resize
        return data

    resize: Resize = Resize()
    """How files and pictures are resized to the size of the data."""

    @classmethod
    def from_folder(cls, path: str | Path, train: str | Path = "train",
                    valid: str | Path = "valid", valid_pct: float | None = None,
                    seed: int | None = None, **kwargs: Any) -> Self:
        """Make a bunch from image files in one folder per class.

        Parameters
        ----------
        path : str or Path
            Folder that holds ``<train>/<class>/<image>`` and ``<valid>/<class>/<image>``, or with
            ``valid_pct`` ``<class>/<image>``, at any depth.
        train, valid : str
            Names of the folders of training and validation images.
        valid_pct : float, optional
            Fraction of the images to validate on, chosen at random from all folders except that
            of the test images.
        seed : int, optional
            As for ``from_lists``.
        **kwargs
            Arguments of ``from_lists``.

        Returns
        -------
        ImageDataBunch
            The bunch.

        Raises
        ------
        FileNotFoundError, UnreadableImageError, ShapeError, ValueError
            As for ``from_lists``.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from minifast.vision import Image, ImageDataBunch
        >>> with TemporaryDirectory() as folder:
        ...     for part in ("train/cat", "train/dog", "valid/cat"):
        ...         Path(folder, part).mkdir(parents=True)
        ...         Image(np.zeros((3, 8, 8))).pillow().save(Path(folder, part, "1.png"))
        ...     data = ImageDataBunch.from_folder(folder, bs=2)
        >>> data.classes, len(data.train_ds), len(data.valid_ds)
        (['cat', 'dog'], 2, 1)
        """
        if valid_pct is not None:
            files, labels = labelled_files(Path(path), kwargs.get("test"))
            return cls.from_lists(path, files, labels, valid_pct, seed, **kwargs)
        (files, labels), (held, held_labels) = (labelled_files(Path(path, folder))
                                                for folder in (train, valid))
        return cls.from_lists(path, files + held, labels + held_labels, seed=seed,
                              valid_idx=range(len(files), len(files + held)), **kwargs)

    @classmethod
    def from_df(cls, path: str | Path, df: Any, folder: str | Path | None = None,
                label_delim: str | None = None, valid_pct: float = .2, seed: int | None = None,
                fn_col: int | str = 0, label_col: int | str = 1, suffix: str = "", **kwargs: Any
                ) -> Self:
        """Make a bunch from a frame with the names of image files and their labels.

        Parameters
        ----------
        path : str or Path
            Folder of the data.
        df : pandas.DataFrame
            A row per image.
        folder : str or Path, optional
            Folder of the images, below ``path``.
        label_delim : None
            Must be None: several labels per image are not supported.
        valid_pct, seed : float, int
            As for ``from_lists``.
        fn_col, label_col : int or str
            Position or name of the columns of file names and of labels.
        suffix : str
            Added to the file names.
        **kwargs
            Arguments of ``from_lists``.

        Returns
        -------
        ImageDataBunch
            The bunch.

        Raises
        ------
        ValueError
            If there are several labels per image.
        KeyError
            If there is no such column.
        FileNotFoundError, UnreadableImageError, ShapeError
            As for ``from_lists``.

        Notes
        -----
        fastai v1's ``from_df``.

        Examples
        --------
        >>> import pandas as pd
        >>> from tempfile import TemporaryDirectory
        >>> from minifast.vision import Image, ImageDataBunch
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("cat_1.png", "dog_1.png", "cat_2.png"):
        ...         Image(np.zeros((3, 8, 8))).pillow().save(Path(folder, name))
        ...     names, labels = ["cat_1", "dog_1", "cat_2"], ["cat", "dog", "cat"]
        ...     df = pd.DataFrame({"name": names, "label": labels})
        ...     data = ImageDataBunch.from_df(folder, df, suffix=".png", valid_pct=.4, bs=2)
        >>> data.classes, len(data.train_ds)
        (['cat', 'dog'], 2)
        """
        if label_delim is not None or isinstance(label_col, (list, tuple)):
            raise ValueError(f"an image has one label here, got label_delim={label_delim!r} and "
                             f"label_col={label_col!r}; keep one label per image")
        names, labels = _column(df, fn_col), _column(df, label_col)
        files = [Path(path, folder or "", f"{name}{suffix}") for name in names]
        return cls.from_lists(path, files, labels.tolist(), valid_pct, seed, **kwargs)

    @classmethod
    def from_csv(cls, path: str | Path, folder: str | Path | None = None,
                 label_delim: str | None = None, csv_labels: str | Path = "labels.csv",
                 valid_pct: float = .2, seed: int | None = None, fn_col: int | str = 0,
                 label_col: int | str = 1, suffix: str = "", delimiter: str | None = None,
                 header: Any = "infer", **kwargs: Any) -> Self:
        """Make a bunch from a CSV file with the names of image files and their labels.

        Parameters
        ----------
        path : str or Path
            Folder of the data.
        folder, label_delim : str or None
            As for ``from_df``.
        csv_labels : str or Path
            The CSV file, below ``path``.
        valid_pct, seed, fn_col, label_col, suffix : float, int or str
            As for ``from_df``.
        delimiter, header : str, int or None
            Delimiter and header of the file, as for ``pandas.read_csv``.
        **kwargs
            Arguments of ``from_lists``.

        Returns
        -------
        ImageDataBunch
            The bunch.

        Notes
        -----
        fastai v1's ``from_csv``.

        Examples
        --------
        >>> import pandas as pd
        >>> from tempfile import TemporaryDirectory
        >>> from minifast.vision import Image, ImageDataBunch
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("cat_1.png", "dog_1.png", "cat_2.png"):
        ...         Image(np.zeros((3, 8, 8))).pillow().save(Path(folder, name))
        ...     names, labels = ["cat_1", "dog_1", "cat_2"], ["cat", "dog", "cat"]
        ...     df = pd.DataFrame({"name": names, "label": labels})
        ...     df.to_csv(Path(folder, "labels.csv"), index=False)
        ...     data = ImageDataBunch.from_csv(folder, suffix=".png", valid_pct=.4, bs=2)
        >>> data.classes, len(data.train_ds)
        (['cat', 'dog'], 2)
        """
        import pandas as pd
        df = pd.read_csv(Path(path, csv_labels), header=header, sep=delimiter or ",")
        return cls.from_df(path, df, folder, label_delim, valid_pct, seed, fn_col, label_col,
                           suffix, **kwargs)

    @classmethod
    def from_name_func(cls, path: str | Path, fnames: Sequence[str | Path],
                       label_func: Callable[[Any], Any], valid_pct: float = .2,
                       seed: int | None = None, **kwargs: Any) -> Self:
        """Make a bunch from image files whose labels are computed from their names.

        Parameters
        ----------
        path : str or Path
            Folder of the data.
        fnames : list of str or Path
            The files.
        label_func : callable
            ``label_func(fname)`` returns the label.
        valid_pct, seed : float, int
            As for ``from_lists``.
        **kwargs
            Arguments of ``from_lists``.

        Returns
        -------
        ImageDataBunch
            The bunch.

        Notes
        -----
        fastai v1's ``from_name_func``.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from minifast.vision import Image, ImageDataBunch
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("cat_1.png", "dog_1.png", "cat_2.png"):
        ...         Image(np.zeros((3, 8, 8))).pillow().save(Path(folder, name))
        ...     files = get_image_files(folder)
        ...     data = ImageDataBunch.from_name_func(folder, files, lambda f: f.name[:3], bs=2)
        >>> data.classes
        ['cat', 'dog']
        """
        return cls.from_lists(path, fnames, [label_func(name) for name in fnames], valid_pct, seed,
                              **kwargs)

    @classmethod
    def from_name_re(cls, path: str | Path, fnames: Sequence[str | Path], pat: str,
                     valid_pct: float = .2, **kwargs: Any) -> Self:
        """Make a bunch from image files whose names contain their labels.

        Parameters
        ----------
        path : str or Path
            Folder of the data.
        fnames : list of str or Path
            The files.
        pat : str
            A regular expression; the label is its first group. It is searched in the whole path,
            with ``/`` between folders.
        valid_pct : float
            As for ``from_lists``.
        **kwargs
            Arguments of ``from_lists``.

        Returns
        -------
        ImageDataBunch
            The bunch.

        Raises
        ------
        ValueError
            If a file name does not contain the pattern.

        Notes
        -----
        fastai v1's ``from_name_re``.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from minifast.vision import Image, ImageDataBunch
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("cat_1.png", "dog_1.png", "cat_2.png"):
        ...         Image(np.zeros((3, 8, 8))).pillow().save(Path(folder, name))
        ...     files = get_image_files(folder)
        ...     data = ImageDataBunch.from_name_re(folder, files, "([a-z]+)_[0-9]+.png$", bs=2)
        >>> data.classes
        ['cat', 'dog']
        """
        pattern = re.compile(pat)

        def label(name: str | Path) -> str:
            text = name.as_posix() if isinstance(name, Path) else str(name)
            found = pattern.search(text)
            if found is None or not found.groups():
                raise ValueError(f"pat={pat!r} does not find a label in {text!r}; the label is its "
                                 r"first group, as in r'([^/]+)_\d+.jpg$'")
            return str(found[1])
        return cls.from_name_func(path, fnames, label, valid_pct, **kwargs)

    @classmethod
    def single_from_classes(cls, path: str | Path, classes: Sequence[Any], ds_tfms: Any = None,
                            size: Size = None, resize_method: ResizeMethod | None = None,
                            padding_mode: str = "reflection", grey: bool = False,
                            **kwargs: Any) -> Self:
        """Make a bunch without images, for a learner that only predicts.

        Parameters
        ----------
        path : str or Path
            Folder of the data.
        classes : list
            All classes, in order.
        ds_tfms : object, optional
            Has no effect: images are not transformed for predictions.
        size : int or (int, int)
            (height, width) of the images that the model was trained on.
        resize_method, padding_mode, grey : ResizeMethod, str, bool
            As for ``from_lists``.
        **kwargs
            Arguments of the class, such as ``device``.

        Returns
        -------
        ImageDataBunch
            The bunch.

        Raises
        ------
        ValueError
            If there is no ``size``.

        Notes
        -----
        fastai v1's ``single_from_classes``. After ``normalize(stats)``, ``learn.load`` and
        ``learn.predict`` work as with the data of the training.

        Examples
        --------
        >>> from minifast.vision import ImageDataBunch
        >>> data = ImageDataBunch.single_from_classes(".", ["cat", "dog"], size=64)
        >>> data.c, data.image_shape
        (2, (3, 64, 64))
        """
        resize = Resize(size, resize_method, padding_mode, kwargs.pop("mult", None))
        if resize.size is None:
            raise ValueError("a bunch without images does not know their size; pass size=")
        none = np.zeros((0, 1 if grey else 3, *resize.size), np.float32)
        rows = DataLoader(ArrayDataset(none, np.zeros(0, np.int64)), seed=0)
        make: Any = cls
        data: Self = make(rows, rows, path=path, classes=list(classes), **_own_arguments(kwargs))
        data.resize = resize
        return data


def _own_arguments(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Leave out v1's arguments that change nothing, and refuse those that would."""
    for name, why in REFUSED.items():
        if kwargs.get(name):
            raise TypeError(f"{name}={kwargs[name]!r} is not supported: {why}; leave it out")
    if (mode := kwargs.get("mode", "bilinear")) != "bilinear":
        raise TypeError(f"images are interpolated bilinearly, got mode={mode!r}; leave it out")
    return {name: value for name, value in kwargs.items()
            if name not in (*IGNORED, *REFUSED, "mode")}


def _place(path: str | Path, name: str | Path) -> Path:
    """Return a file as named, or below ``path``."""
    return Path(name) if Path(name).is_file() else Path(path, name)


def _column(df: Any, column: int | str) -> Any:
    """Return a column by its name or its position."""
    if column in df.columns:
        return df[column]
    if isinstance(column, int) and -df.shape[1] <= column < df.shape[1]:
        return df.iloc[:, column]
    raise KeyError(f"no column {column!r}; the frame has {', '.join(map(str, df.columns))}")
