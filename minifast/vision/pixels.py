"""Pixels: pictures in whatever form they come, as one array that a network takes."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import ShapeError, Tensor
from ..backend import transfer

Images = np.ndarray[Any, np.dtype[np.float32]]


def as_images(pictures: Any) -> Images:
    """Pictures (n, h, w) or (n, h, w, 1 or 3), or a list of such, as float32 (n, c, h, w).

    Bytes (uint8) become 0 to 1, floats stay what they are. ShapeError for another layout or for
    pictures of several sizes, TypeError for other numbers, ValueError for NaN and infinity.

    >>> as_images(np.full((2, 8, 8, 3), 255, np.uint8)).shape
    (2, 3, 8, 8)
    """
    x = _as_one_array(pictures)
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4 or x.shape[3] not in (1, 3) or not x.size:
        raise ShapeError(_other_layout(x.shape if len(x) else (0,)))
    bad = np.flatnonzero(~np.isfinite(x).all((1, 2, 3)))
    if len(bad):
        raise ValueError(f"{len(bad)} pictures have pixels that are NaN or infinite, the first "
                         f"is number {bad[0]}; leave them out")
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def _as_one_array(pictures: Any) -> Images:
    if not isinstance(pictures, (list, tuple)) \
            and getattr(pictures, "dtype", None) != np.dtype(object):
        return _floats(on_host(pictures))
    arrays = [_floats(on_host(picture)) for picture in pictures]
    check_one_size(arrays, [f"picture {i}" for i in range(len(arrays))])
    return np.stack(arrays) if arrays else np.zeros(0, np.float32)


def on_host(picture: Any) -> "np.ndarray[Any, Any]":
    """A tensor, an array of any device or a picture of Pillow's as NumPy's array.

    >>> on_host(Tensor(np.zeros(2)))
    array([0., 0.])
    """
    array = picture.data if isinstance(picture, Tensor) else picture
    return transfer(array, "cpu") if hasattr(array, "dtype") else np.asarray(array)


def _floats(x: "np.ndarray[Any, Any]") -> Images:
    if x.dtype == np.uint8:
        return x.astype(np.float32) / np.float32(255)
    if x.dtype.kind == "f":
        return x.astype(np.float32, copy=False)
    raise TypeError(f"pixels are uint8 (0 to 255) or floats, got {x.dtype}; convert them with "
                    ".astype(np.uint8) or .astype(np.float32)")


def check_one_size(arrays: Sequence[Any], names: Sequence[str]) -> None:
    """ShapeError unless all pictures have the shape of the first; it names the first two that
    differ.

    >>> check_one_size([np.zeros((8, 8))] * 2, ["a.png", "b.png"])
    """
    for array, name in zip(arrays, names, strict=True):
        if array.shape != arrays[0].shape:
            raise ShapeError(f"pictures of several sizes: {names[0]} has shape {arrays[0].shape}, "
                             f"{name} has {array.shape}. A batch needs one size: resize them, in "
                             "from_folder with size=")


def _other_layout(shape: tuple[int, ...]) -> str:
    if 0 in shape:
        return f"there are no pixels in pictures of shape {shape}; look at how they were read"
    hint = "use pictures[None] for a single one"
    if len(shape) == 4:
        hint = "move channels to the end with .transpose(0, 2, 3, 1)" if shape[1] in (1, 3) \
            else "leave out a fourth channel (transparency) with [..., :3]"
    return (f"pictures have shape (n, height, width), or (n, height, width, channels) with 1 or "
            f"3 channels; got {shape}; {hint}")
