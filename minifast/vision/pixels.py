"""Pixels: images from arrays, from Pillow or from files, as arrays of one shape."""
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np

from ..autograd import ShapeError, Tensor
from ..backend import transfer
from .ops import pair

Images = np.ndarray[Any, np.dtype[np.float32]]
"""(n, c, h, w)"""
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
"""(h, w, 3), or (h, w) for grey levels"""
Size = int | tuple[int, int] | None
NAMED = 20
"""How many unreadable files a warning names."""


class UnreadableImageError(ValueError):
    """A file that cannot be read as an image."""


# ---------------------------------------------------------------- arrays


def image_array(images: Any) -> Images:
    """Return images as one float32 array, channels first.

    Parameters
    ----------
    images : array, Tensor or list
        Images (n, h, w) or (n, h, w, c) with 1 or 3 channels, or a list of arrays, tensors or
        Pillow's images of one size. uint8 is divided by 255, floats are kept.

    Returns
    -------
    ndarray (n, c, h, w)
        On the host.

    Raises
    ------
    ShapeError
        If the images have another layout or several sizes.
    TypeError
        If the pixels are neither uint8 nor floats.
    ValueError
        If a pixel is NaN or infinite.

    Examples
    --------
    >>> image_array(np.full((2, 8, 8, 3), 255, np.uint8)).shape
    (2, 3, 8, 8)
    """
    x = _stacked(images)
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4 or x.shape[3] not in (1, 3) or not x.size:
        raise ShapeError(_layout_message(x.shape if len(x) else (0,)))
    if len(bad := np.flatnonzero(~np.isfinite(x).all((1, 2, 3)))):
        raise ValueError(f"{len(bad)} images have pixels that are NaN or infinite, the first is "
                         f"image {bad[0]}; leave them out")
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def _stacked(images: Any) -> Images:
    if not isinstance(images, (list, tuple)) \
            and getattr(images, "dtype", None) != np.dtype(object):
        return _floats(on_host(images))
    arrays = [_floats(on_host(image)) for image in images]
    check_one_size({f"image {i}": array.shape for i, array in enumerate(arrays)})
    return np.stack(arrays) if arrays else np.zeros(0, np.float32)


def on_host(image: Any) -> "np.ndarray[Any, Any]":
    """Return a tensor, an array of any device or a Pillow image as a NumPy array.

    Examples
    --------
    >>> on_host(Tensor(np.zeros(2)))
    array([0., 0.])
    """
    array = image.data if isinstance(image, Tensor) else image
    return transfer(array, "cpu") if hasattr(array, "dtype") else np.asarray(array)


def _floats(x: "np.ndarray[Any, Any]") -> Images:
    if x.dtype == np.uint8:
        return x.astype(np.float32) / np.float32(255)
    if x.dtype.kind == "f":
        return x.astype(np.float32, copy=False)
    raise TypeError(f"pixels are uint8 (0 to 255) or floats, got {x.dtype}; convert them with "
                    ".astype(np.uint8) or .astype(np.float32)")


def check_one_size(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that images have one size.

    Parameters
    ----------
    shapes : dict of str to tuple
        The images' shapes under their names.

    Raises
    ------
    ShapeError
        Names two images of different shapes.

    Examples
    --------
    >>> check_one_size({"a.png": (8, 8), "b.png": (8, 8)})
    """
    for (first, expected), (name, shape) in pairwise(shapes.items()):
        if shape != expected:
            raise ShapeError(f"images of a batch have one size, but {first} has shape {expected} "
                             f"and {name} has {shape}; resize them, in from_folder with size=")


def _layout_message(shape: tuple[int, ...]) -> str:
    if 0 in shape:
        return f"images of shape {shape} have no pixels; check how they were read"
    hint = "use images[None] for a single image" if len(shape) != 4 \
        else "move the channels to the end with .transpose(0, 2, 3, 1)" if shape[1] in (1, 3) \
        else "leave out a fourth channel (transparency) with [..., :3]"
    return (f"images have shape (n, height, width), or (n, height, width, channels) with 1 or 3 "
            f"channels; got {shape}; {hint}")


# ---------------------------------------------------------------- Pillow and files


def pillow() -> Any:
    """Return Pillow's module ``Image``.

    Returns
    -------
    module
        ``PIL.Image``.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("image files are read with Pillow: pip install 'minifast[vision]', "
                          "or pass arrays to ImageDataBunch.from_arrays") from error
    return Image


def pillow_array(image: Any, size: Size = None, grey: bool = False) -> Pixels:
    """Return the pixels of a Pillow image.

    Parameters
    ----------
    image : PIL.Image.Image
        The image, in any mode of at most 8 bits per channel.
    size : int or (int, int), optional
        (height, width) in pixels to stretch the image to.
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
    """
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"its pixels have more than 8 bits (Pillow's mode {image.mode!r}); save "
                         "it with 8 bits, or pass floats to ImageDataBunch.from_arrays")
    converted = image.convert("L" if grey else "RGB")
    if size is not None:
        height, width = pair(size, "size")
        converted = converted.resize((width, height), pillow().Resampling.BILINEAR)
    return np.asarray(converted)


def read_image(file: str | Path, size: Size = None, grey: bool = False) -> Pixels:
    """Read an image file.

    Parameters
    ----------
    file : str or Path
        The file.
    size : int or (int, int), optional
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
    """
    pil = pillow()
    if not Path(file).is_file():
        raise FileNotFoundError(f"no image file {file}")
    try:
        with pil.open(file) as image:
            return pillow_array(image, size, grey)
    except (OSError, SyntaxError, ValueError, pil.DecompressionBombError) as error:
        raise UnreadableImageError(f"{file} cannot be read as an image ({error}); repair it, or "
                                   "pass skip_unreadable=True to from_folder") from error


def read_folders(folders: Iterable[Path], size: Size = None, grey: bool = False,
                 skip_unreadable: bool = False) -> list[tuple[list[Pixels], list[str]]]:
    """Read folders with a subfolder of image files for each class.

    Files are read in sorted order. Hidden files and those that do not have the suffix of an image
    format are ignored.

    Parameters
    ----------
    folders : list of Path
        Folders that hold ``<class>/<image>``.
    size : int or (int, int), optional
        As for ``pillow_array``.
    grey : bool
        As for ``pillow_array``.
    skip_unreadable : bool
        Skip files that cannot be read, with one warning for all of them.

    Returns
    -------
    list of (images, labels)
        For each folder its images and the names of their subfolders.

    Raises
    ------
    FileNotFoundError
        If a folder does not exist or holds no image.
    UnreadableImageError
        If a file cannot be read, unless ``skip_unreadable``.
    ValueError
        If no file of a folder can be read.
    ShapeError
        If the images of a folder have several sizes.
    """
    if size is not None:
        pair(size, "size")
    listed = {folder: _image_files(folder) for folder in folders}
    skipped: list[Path] | None = [] if skip_unreadable else None
    read = {folder: dict(_read(files, size, grey, skipped)) for folder, files in listed.items()}
    if skipped:
        more = f" and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
        warn(f"{len(skipped)} images cannot be read and are left out: "
             f"{', '.join(map(str, skipped[:NAMED]))}{more}", stacklevel=3)
    for folder, images in read.items():
        if not images:
            raise ValueError(f"none of the image files in {folder} can be read")
        check_one_size({str(file): image.shape for file, image in images.items()})
    return [(list(images.values()), [file.parent.name for file in images])
            for images in read.values()]


def _read(files: Iterable[Path], size: Size, grey: bool, skipped: list[Path] | None
          ) -> Iterator[tuple[Path, Pixels]]:
    """Read files; those that cannot be read are added to ``skipped``, or an error if it is None."""
    for file in files:
        try:
            yield file, read_image(file, size, grey)
        except UnreadableImageError:
            if skipped is None:
                raise
            skipped.append(file)


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; images are expected in train/<class>/ and "
                                "valid/<class>/, or in <class>/ with valid_pct=.2")
    pil = pillow()
    suffixes = {suffix for suffix, name in pil.registered_extensions().items() if name in pil.OPEN}
    found = [file for subfolder in sorted(folder.iterdir()) if subfolder.is_dir()
             for file in sorted(subfolder.iterdir())
             if file.suffix.lower() in suffixes and not file.name.startswith(".")]
    if not found:
        names = sorted(path.name for path in folder.iterdir())
        held = ", ".join(names[:5]) + ", ..." * (len(names) > 5) or "nothing"
        raise FileNotFoundError(f"no images in {folder}: it should hold a folder of images for "
                                f"each class; it holds {held}")
    return found
