"""Image files: finding them, and reading them with Pillow."""
import sys
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from warnings import warn

import numpy as np

from ..autograd import ShapeError, Tensor
from ..train.callback import listify
from . import pixels
from .pixels import on_host
from .resize import Pixels, Resize, ResizeMethod, Size, pillow
from .transforms import Seed, apply_tfms

Sizing = Callable[[Any], Pixels]
"""From a Pillow image to its pixels in the wanted size."""
NAMED = 20
"""How many unreadable files a warning names."""


class UnreadableImageError(ValueError):
    """A file that cannot be read as an image."""


# ---------------------------------------------------------------- finding


def get_image_files(c: str | Path, check_ext: bool = True, recurse: bool = False) -> list[Path]:
    """Return the image files of a folder, sorted.

    Parameters
    ----------
    c : str or Path
        The folder.
    check_ext : bool
        Only take files with the suffix of an image format.
    recurse : bool
        Look into subfolders as well.

    Returns
    -------
    list of Path
        The files. Hidden files and folders are left out.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.

    Notes
    -----
    fastai v1's function of this name, which does not sort.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("b.png", "a.jpg", "labels.csv"):
    ...         Path(folder, name).touch()
    ...     [file.name for file in get_image_files(folder)]
    ['a.jpg', 'b.png']
    """
    folder = Path(c)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    suffixes = _suffixes() if check_ext else None
    found = folder.rglob("*") if recurse else folder.iterdir()
    return sorted(file for file in found if file.is_file()
                  and not any(part.startswith(".") for part in file.relative_to(folder).parts)
                  and (suffixes is None or file.suffix.lower() in suffixes))


def _suffixes() -> set[str]:
    pil = pillow()
    return {suffix for suffix, name in pil.registered_extensions().items() if name in pil.OPEN}


def labelled_files(folder: Path, without: str | Path | None = None) -> tuple[list[Path], list[str]]:
    """Find image files in subfolders that are named after their classes.

    Parameters
    ----------
    folder : Path
        Folder that holds ``<class>/<image>``, at any depth.
    without : str or Path, optional
        A subfolder to leave out, such as that of the test images.

    Returns
    -------
    files, labels : list
        The files, and the names of the folders that hold them.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist or holds no image.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "cat").mkdir()
    ...     Path(folder, "cat", "tom.png").touch()
    ...     files, labels = labelled_files(Path(folder))
    >>> files[0].name, labels
    ('tom.png', ['cat'])
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; images are expected in train/<class>/ and "
                                "valid/<class>/, or in <class>/ with valid_pct=.2")
    found = [file for file in get_image_files(folder, recurse=True) if file.parent != folder
             and (without is None or not file.is_relative_to(folder / without))]
    if not found:
        names = sorted(path.name for path in folder.iterdir())
        held = ", ".join(names[:5]) + ", ..." * (len(names) > 5) or "nothing"
        raise FileNotFoundError(f"no images in {folder}: it should hold a folder of images for "
                                f"each class; it holds {held}")
    return found, [file.parent.name for file in found]


# ---------------------------------------------------------------- reading


def pillow_array(image: Any, resize: Sizing | None = None, grey: bool = False) -> Pixels:
    """Return the pixels of a Pillow image.

    Parameters
    ----------
    image : PIL.Image.Image
        The image, in any mode of at most 8 bits per channel.
    resize : callable, optional
        Brings the Pillow image to its size and returns the pixels, such as ``Resize(64)``.
    grey : bool
        Return grey levels (h, w) instead of colours (h, w, 3).

    Returns
    -------
    ndarray of uint8
        The pixels, (h, w) or (h, w, 3).

    Raises
    ------
    ValueError
        If the image has more than 8 bits per channel, which Pillow would cut off.

    Examples
    --------
    >>> image = Image(np.ones((3, 12, 8))).pillow()
    >>> pillow_array(image).shape, pillow_array(image, Resize(4), grey=True).shape
    ((12, 8, 3), (4, 4))
    """
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"its pixels have more than 8 bits (Pillow's mode {image.mode!r}); save "
                         "it with 8 bits, or pass floats to ImageDataBunch.from_arrays")
    return (resize or Resize())(image.convert("L" if grey else "RGB"))


def read_image(file: str | Path, resize: Sizing | None = None, grey: bool = False) -> Pixels:
    """Read an image file.

    Parameters
    ----------
    file : str or Path
        The file.
    resize : callable, optional
        As for ``pillow_array``.
    grey : bool
        As for ``pillow_array``.

    Returns
    -------
    ndarray of uint8
        The pixels, as from ``pillow_array``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    UnreadableImageError
        If it is not an image, or damaged.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Image(np.zeros((3, 12, 8))).pillow().save(f"{folder}/black.png")
    ...     read_image(f"{folder}/black.png", Resize(4)).shape
    (4, 4, 3)
    """
    pil = pillow()
    if not Path(file).is_file():
        raise FileNotFoundError(f"no image file {file}")
    try:
        with pil.open(file) as image:
            return pillow_array(image, resize, grey)
    except (OSError, SyntaxError, ValueError, pil.DecompressionBombError) as error:
        raise UnreadableImageError(f"{file} cannot be read as an image ({error}); repair it, or "
                                   "pass skip_unreadable=True to from_folder") from error


def read_images(parts: Sequence[Sequence[Path]], resize: Sizing | None = None, grey: bool = False,
                skip_unreadable: bool = False) -> list[dict[int, Pixels]]:
    """Read lists of image files.

    Parameters
    ----------
    parts : list of list of Path
        The files, for example of the training and of the validation images.
    resize : callable, optional
        As for ``pillow_array``.
    grey : bool
        As for ``pillow_array``.
    skip_unreadable : bool
        Skip files that cannot be read, with one warning for all of them.

    Returns
    -------
    list of dict
        For each list, the images by their positions in it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    UnreadableImageError
        If a file cannot be read, unless ``skip_unreadable``.
    ValueError
        If no file of a list can be read.
    ShapeError
        If images have several sizes.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Image(np.zeros((3, 12, 8))).pillow().save(f"{folder}/black.png")
    ...     train, valid = read_images([[Path(folder, "black.png")], []])
    >>> train[0].shape, valid
    ((12, 8, 3), {})
    """
    skipped: list[Path] | None = [] if skip_unreadable else None
    read = [dict(_read(files, resize, grey, skipped)) for files in parts]
    if skipped:
        more = f" and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
        warn(f"{len(skipped)} images cannot be read and are left out: "
             f"{', '.join(map(str, skipped[:NAMED]))}{more}", stacklevel=_level_of_caller())
    for files, images in zip(parts, read, strict=True):
        if files and not images:
            raise ValueError(f"none of the image files in {files[0].parent.parent} can be read")
    pixels.check_one_size({str(files[i]): image.shape for files, images in zip(parts, read,
                           strict=True) for i, image in images.items()})
    return read


def _read(files: Sequence[Path], resize: Sizing | None, grey: bool, skipped: list[Path] | None
          ) -> Iterable[tuple[int, Pixels]]:
    """Read files; those that cannot be read are added to ``skipped``, or an error if it is None."""
    for i, file in enumerate(files):
        try:
            yield i, read_image(file, resize, grey)
        except UnreadableImageError:
            if skipped is None:
                raise
            skipped.append(file)


def _level_of_caller() -> int:
    """Return the ``stacklevel`` at which the code outside this package is warned."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals["__name__"].startswith(f"{__package__}."):
        frame, level = frame.f_back, level + 1
    return level


# ---------------------------------------------------------------- one image


class Image:
    """One image.

    Parameters
    ----------
    px : Tensor or array (c, h, w)
        Its pixels, from 0 to 1, with 1 or 3 channels.

    Attributes
    ----------
    px, data : Tensor (c, h, w)
        The pixels.

    Raises
    ------
    ShapeError
        If the pixels have another layout.

    Notes
    -----
    fastai v1's ``vision.image.Image``.

    Examples
    --------
    >>> image = Image(np.zeros((3, 12, 8), np.float32))
    >>> image, image.shape, image.size
    (Image (3, 12, 8), (3, 12, 8), (12, 8))
    """

    def __init__(self, px: Any) -> None:
        self.px = px if isinstance(px, Tensor) else Tensor(px)
        if self.px.ndim != 3 or self.px.shape[0] not in (1, 3):
            raise ShapeError(f"an Image has pixels (channels, height, width) with 1 or 3 channels, "
                             f"got {self.px.shape}; transpose an array (height, width, channels) "
                             "with .transpose(2, 0, 1)")

    @property
    def data(self) -> Tensor:
        """The pixels (c, h, w)."""
        return self.px

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width."""
        return self.px.shape

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.px.shape[1], self.px.shape[2]

    def apply_tfms(self, tfms: Any, size: Size = None, resize_method: ResizeMethod | None = None,
                   padding_mode: str = "reflection", seed: Seed = None) -> Self:
        """Return the image in another size, after transforms.

        Parameters
        ----------
        tfms : list of Transform or callable, or Transform
            The transforms.
        size, resize_method, padding_mode : int, ResizeMethod, str
            As for ``Resize``.
        seed : int, numpy.random.Generator or None
            Source of the random numbers.

        Returns
        -------
        Image
            A new image.

        Examples
        --------
        >>> from minifast.vision import flip_lr
        >>> image = Image(np.array([[[0., .5, 1.]]]))
        >>> image.apply_tfms([flip_lr()]).px.data.tolist()
        [[[1.0, 0.5, 0.0]]]
        >>> image.apply_tfms(None, size=8)
        Image (1, 8, 8)
        """
        px = self.px.data
        if size is not None:
            bytes_ = Resize(size, resize_method, padding_mode)(self.pillow())
            px = pixels.image_array([bytes_])[0]
        return type(self)(apply_tfms(listify(tfms), px, seed, padding_mode))

    def show(self, ax: Any = None, figsize: tuple[float, float] | None = (3, 3),
             title: str | None = None, hide_axis: bool = True, cmap: str | None = "gray",
             y: Any = None, **kwargs: Any) -> None:
        """Draw the image: fastai v1's ``Image.show``.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure by default.
        figsize : (float, float), optional
            Width and height of a new figure in inches.
        title : str, optional
            The title; by default `y`.
        hide_axis : bool
            Whether to hide the axes.
        cmap : str, optional
            The colours of an image with one channel.
        y : object, optional
            The label.
        **kwargs
            Arguments of matplotlib's ``imshow``.

        Examples
        --------
        >>> Image(np.zeros((3, 12, 8), np.float32)).show(title="black")
        """
        heading = title if title is not None or y is None else str(y)
        show_image(self, ax, figsize, hide_axis, cmap, **kwargs).set_title(heading or "")

    def _repr_png_(self) -> bytes:
        """Return the image for IPython, as in v1."""
        found = BytesIO()
        self.pillow().save(found, "png")
        return found.getvalue()

    def pillow(self) -> Any:
        """Return the image as one of Pillow's, with 8 bits per channel."""
        px = (np.asarray(self).clip(0, 1) * 255).round().astype(np.uint8)
        return pillow().fromarray(px[..., 0] if px.shape[2] == 1 else px)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return the pixels (h, w, c), as a Pillow image does."""
        return np.array(on_host(self.px).transpose(1, 2, 0), dtype, copy=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.shape}"


def show_image(img: Any, ax: Any = None, figsize: tuple[float, float] | None = (3, 3),
               hide_axis: bool = True, cmap: str | None = "gray", **kwargs: Any) -> Any:
    """Draw an image: fastai v1's ``show_image``.

    Parameters
    ----------
    img : Image, Tensor or array (c, h, w)
        The image, with values from 0 to 1.
    ax, figsize, hide_axis, cmap : Axes, (float, float), bool, str
        As for ``Image.show``.
    **kwargs
        Arguments of matplotlib's ``imshow``.

    Returns
    -------
    matplotlib.axes.Axes
        Where it was drawn.

    Examples
    --------
    >>> show_image(np.zeros((1, 12, 8), np.float32)).get_title()
    ''
    """
    import matplotlib.pyplot as plt
    ax = plt.subplots(figsize=figsize)[1] if ax is None else ax
    px = np.asarray(img if isinstance(img, Image) else Image(img)).clip(0, 1)
    ax.imshow(px.squeeze(), cmap=cmap, **({"vmin": 0, "vmax": 1} | kwargs))
    if hide_axis:
        ax.axis("off")
    return ax


def open_image(fn: str | Path, div: bool = True, convert_mode: str = "RGB",
               cls: type[Image] = Image, after_open: Callable[[Any], Any] | None = None) -> Image:
    """Read an image file.

    Parameters
    ----------
    fn : str or Path
        The file.
    div : bool
        Divide by 255, so that pixels go from 0 to 1.
    convert_mode : {'RGB', 'L'}
        Colours or grey levels.
    cls : type
        The class of the result.
    after_open : callable, optional
        Called with the Pillow image; returns the one to use.

    Returns
    -------
    Image
        The image.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    UnreadableImageError
        If it is not an image, or damaged.
    ValueError
        If the mode is another one.

    Notes
    -----
    fastai v1's function of this name.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Image(np.zeros((3, 12, 8))).pillow().save(f"{folder}/black.png")
    ...     open_image(f"{folder}/black.png")
    Image (3, 12, 8)
    """
    if convert_mode not in ("RGB", "L"):
        raise ValueError(f"convert_mode is 'RGB' or 'L' (grey levels), got {convert_mode!r}")

    def resize(image: Any) -> Pixels:
        return np.asarray(image if after_open is None else after_open(image))
    x = _with_channels(read_image(fn, resize, convert_mode == "L"))
    return cls((x / np.float32(255 if div else 1)).transpose(2, 0, 1))


def _with_channels(x: Pixels) -> Pixels:
    return x[..., None] if x.ndim == 2 else x
