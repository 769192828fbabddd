"""Picture files: read with Pillow, one folder per class."""
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np

from .pixels import check_one_size

Picture = np.ndarray[Any, np.dtype[np.uint8]]
Size = int | tuple[int, int] | None
NAMED = 20
"""How many names of pictures that cannot be read a warning lists."""


class UnreadableImageError(ValueError):
    """A file that should be a picture and cannot be read as one."""


def pillow() -> Any:
    """Pillow's module ``Image``; ImportError says how to install it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("picture files are read with Pillow: pip install 'minifast[vision]', "
                          "or give arrays to ImageDataBunch.from_arrays") from error
    return Image


def read_picture(file: str | Path, size: Size = None, grey: bool = False) -> Picture:
    """A file as bytes (h, w, 3), or (h, w) if ``grey``; ``size`` (h, w) or a number resizes it.

    FileNotFoundError, or UnreadableImageError if it is no picture, or not a whole one.
    """
    image = pillow()
    if not Path(file).is_file():
        raise FileNotFoundError(f"no picture {file}")
    try:
        with image.open(file) as picture:
            return picture_array(picture, size, grey)
    except (OSError, SyntaxError, ValueError, image.DecompressionBombError) as error:
        raise UnreadableImageError(f"{file} cannot be read as a picture ({error}); mend or remove "
                                   "it, or leave such files out: from_folder(..., "
                                   "skip_unreadable=True)") from error


def picture_array(picture: Any, size: Size = None, grey: bool = False) -> Picture:
    """A picture of Pillow's as bytes (h, w, 3), or (h, w) if ``grey``.

    ValueError for one with more than eight bits a pixel: Pillow would cut them off.
    """
    if picture.mode.startswith(("I", "F")):
        raise ValueError(f"its pixels are of Pillow's mode {picture.mode!r}, more than 8 bits; "
                         "save it with 8, or give floats to ImageDataBunch.from_arrays")
    converted = picture.convert("L" if grey else "RGB")
    if size is not None:
        height, width = _height_and_width(size)
        converted = converted.resize((width, height), pillow().Resampling.BILINEAR)
    return np.asarray(converted)


def _height_and_width(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"size is a number of pixels from 1 on, or (height, width); got {size}")
    return height, width


def read_folders(folders: Iterable[Path], size: Size = None, grey: bool = False,
                 skip_unreadable: bool = False) -> list[tuple[list[Picture], list[str]]]:
    """(pictures, labels) of each folder: a picture's label is the name of the folder it lies in.

    Files are taken by name, in sorted order; hidden ones and what is no picture by its ending
    are left out. FileNotFoundError if there are none.
    """
    if size is not None:
        _height_and_width(size)
    listed = [list(_pictures_by_class(folder)) for folder in folders]
    read = {file: _read_or_none(file, size, grey, skip_unreadable)
            for files in listed for file in files}
    _warn_of([file for file, picture in read.items() if picture is None])
    good = {file: picture for file, picture in read.items() if picture is not None}
    check_one_size(list(good.values()), [str(file) for file in good])
    kept = [[file for file in files if file in good] for files in listed]
    return [([good[file] for file in files], [file.parent.name for file in files])
            for files in kept]


def _read_or_none(file: Path, size: Size, grey: bool, skip_unreadable: bool) -> Picture | None:
    try:
        return read_picture(file, size, grey)
    except UnreadableImageError:
        if not skip_unreadable:
            raise
        return None


def _warn_of(files: list[Path]) -> None:
    if files:
        names = ", ".join(str(file) for file in files[:NAMED])
        more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
        warn(f"{len(files)} pictures cannot be read and are left out: {names}{more}",
             stacklevel=4)


def _pictures_by_class(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; pictures lie in train/<class>/ and "
                                "valid/<class>/, or in <class>/ with valid_pct=.2")
    endings = _endings()
    found = [file for inside in sorted(folder.iterdir()) if inside.is_dir()
             for file in sorted(inside.iterdir())
             if file.suffix.lower() in endings and not file.name.startswith(".")]
    if not found:
        raise FileNotFoundError(f"no pictures in {folder}: it should hold a folder for each class "
                                f"with the pictures in it; it holds {_contents(folder)}")
    yield from found


def _endings() -> set[str]:
    """Those of the formats that Pillow can open."""
    image = pillow()
    known: dict[str, str] = image.registered_extensions()
    return {ending for ending, form in known.items() if form in image.OPEN}


def _contents(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"
