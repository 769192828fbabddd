"""Pixels: images from arrays or from Pillow, as arrays of one shape."""
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from ..autograd import ShapeError, Tensor
from ..backend import transfer

Images = np.ndarray[Any, np.dtype[np.float32]]
"""(n, c, h, w)"""


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

    Parameters
    ----------
    image : Tensor, array or Pillow image
        The image.

    Returns
    -------
    ndarray
        The same values, in the same shape.

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
