"""Find the files of a folder that are no images, as after a download."""
from pathlib import Path
from typing import Any

from .files import UnreadableImageError, get_image_files, read_image
from .resize import pillow


def verify_images(path: str | Path, delete: bool = True, max_size: int | None = None,
                  recurse: bool = False, max_workers: int = 1, **kwargs: Any) -> list[Path]:
    """Read all image files of a folder, and delete those that cannot be read.

    Parameters
    ----------
    path : str or Path
        The folder.
    delete : bool
        Whether to delete the unreadable files.
    max_size : int, optional
        Make larger images smaller, in their files, so that neither side is longer.
    recurse : bool
        Look into subfolders as well.
    max_workers : int
        Has no effect.
    **kwargs
        v1's other arguments, of which there are none here.

    Returns
    -------
    list of Path
        The unreadable files, which are also printed.

    Raises
    ------
    TypeError
        If another argument is given.

    Notes
    -----
    fastai v1's function of this name, which returns None.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "broken.png").touch()
    ...     [file.name for file in verify_images(folder)]
    /...broken.png cannot be read as an image
    ['broken.png']
    """
    if kwargs:
        raise TypeError(f"verify_images takes no {', '.join(kwargs)}=; files keep their names and "
                        "formats, so leave it out")
    unreadable = [file for file in get_image_files(path, recurse=recurse) if not _is_image(file)]
    for file in unreadable:
        print(f"{file} cannot be read as an image")
        if delete:
            file.unlink()
    for file in get_image_files(path, recurse=recurse) if max_size else []:
        if file not in unreadable:
            _shrink(file, max_size or 0)
    return unreadable


def _is_image(file: Path) -> bool:
    try:
        read_image(file)
    except UnreadableImageError:
        return False
    return True


def _shrink(file: Path, max_size: int) -> None:
    with pillow().open(file) as image:
        if max(image.size) > max_size:
            image.thumbnail((max_size, max_size))
            image.save(file)
