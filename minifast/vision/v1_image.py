"""Methods and functions of fastai v1 for one image; importing this adds the methods to Image."""
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import Tensor
from . import crops, transforms, warps
from .files import Image
from .pixels import on_host
from .resize import ResizeMethod

TRANSFORMS = (transforms.brightness, transforms.contrast, transforms.rotate, transforms.zoom,
              transforms.rand_zoom, transforms.flip_lr, transforms.dihedral,
              transforms.symmetric_warp, warps.squish, warps.perspective_warp, warps.skew,
              warps.tilt, warps.jitter, crops.pad, crops.crop, crops.crop_pad, crops.cutout,
              crops.rgb_randomize)
"""The transforms that are methods of an Image, as in ``image.rotate(30)``."""
FUNCTION = "image.apply_tfms([f]) with a function f(images, generator) of a batch (n, c, h, w)"
DRAWN = "nothing: numbers are drawn whenever the transform is applied; seed= repeats them"
HINTS = {**dict.fromkeys(("pixel", "lighting", "logit_px"), FUNCTION),
         **dict.fromkeys(("affine", "coord", "affine_mat", "flow"),
                         "minifast.vision.sampling.sample(images, matrices)"),
         "set_sample": "image.apply_tfms(tfms, padding_mode=...)",
         "refresh": "nothing: transforms are applied at once",
         **dict.fromkeys(("resolve", "resolved", "do_run"), DRAWN),
         "tfm": "transform.func", "kwargs": "transform.params"}
"""Attributes of v1's images and transforms that are absent, and what to write instead."""


def resize(image: Image, size: int | tuple[int, ...]) -> Image:
    """Return an image stretched to a size: fastai v1's ``Image.resize``.

    Parameters
    ----------
    image : Image
        The image.
    size : int, (int, int) or (int, int, int)
        Height and width, preceded by the channels if there are three numbers.

    Returns
    -------
    Image
        A new image.

    Examples
    --------
    >>> Image(np.zeros((3, 12, 8), np.float32)).resize(6)
    Image (3, 6, 6)
    """
    height, width = (size, size) if isinstance(size, int) else size[-2:]
    return image.apply_tfms(None, size=(height, width), resize_method=ResizeMethod.SQUISH)


def clone(image: Image) -> Image:
    """Return an image with a copy of the pixels.

    Parameters
    ----------
    image : Image
        The image.

    Returns
    -------
    Image
        The copy.

    Examples
    --------
    >>> Image(np.zeros((3, 12, 8), np.float32)).clone()
    Image (3, 12, 8)
    """
    return type(image)(image.px.data.copy())


def save(image: Image, fn: str | Path) -> None:
    """Write an image to a file, with 8 bits per channel.

    Parameters
    ----------
    image : Image
        The image.
    fn : str or Path
        The file; its suffix gives the format.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from minifast.vision import open_image
    >>> with TemporaryDirectory() as folder:
    ...     Image(np.zeros((3, 12, 8), np.float32)).save(f"{folder}/black.png")
    ...     open_image(f"{folder}/black.png")
    Image (3, 12, 8)
    """
    image.pillow().save(fn)


def missing_attribute(x: Any, name: str) -> Any:
    """Raise an error that says what to write instead of an attribute of v1's.

    Parameters
    ----------
    x : Image or Transform
        The object.
    name : str
        The attribute that it does not have.

    Returns
    -------
    object
        Nothing, except if another thread has just added the attribute.

    Raises
    ------
    AttributeError
        Always, apart from that.

    Examples
    --------
    >>> Image(np.zeros((3, 12, 8), np.float32)).flow
    Traceback (most recent call last):
    AttributeError: 'Image' object has no attribute 'flow'; write minifast.vision.sampling...
    """
    if name not in HINTS:  # Python's own error, or that of a property
        return object.__getattribute__(x, name)
    raise AttributeError(f"{type(x).__name__!r} object has no attribute {name!r}; write "
                         f"{HINTS[name]}", name=name, obj=x)


def pil2tensor(image: Any, dtype: Any) -> Tensor:
    """Return the pixels of a Pillow image or an array (h, w, c) as a tensor (c, h, w).

    Parameters
    ----------
    image : Pillow image or array (h, w) or (h, w, c)
        The image.
    dtype : type
        Type of the numbers, which are not divided by 255.

    Returns
    -------
    Tensor (c, h, w)
        The pixels.

    Notes
    -----
    fastai v1's ``pil2tensor``.

    Examples
    --------
    >>> pil2tensor(np.zeros((12, 8, 3), np.uint8), np.float32).shape
    (3, 12, 8)
    """
    x = np.asarray(image)
    return Tensor(np.ascontiguousarray(np.atleast_3d(x).transpose(2, 0, 1), dtype))


def image2np(image: Any) -> "np.ndarray[Any, Any]":
    """Return pixels (c, h, w) as an array (h, w, c), or (h, w) if there is one channel.

    Parameters
    ----------
    image : Tensor or array (c, h, w)
        The pixels.

    Returns
    -------
    ndarray
        The pixels, on the host.

    Notes
    -----
    fastai v1's ``image2np``.

    Examples
    --------
    >>> image2np(Tensor(np.zeros((1, 12, 8)))).shape
    (12, 8)
    """
    x = on_host(image).transpose(1, 2, 0)
    return x[..., 0] if x.shape[2] == 1 else x


for _method in (*TRANSFORMS, resize, clone, save):
    setattr(Image, _method.__name__, _method)
setattr(Image, "flip_affine", transforms.flip_lr)  # noqa: B010
setattr(Image, "dihedral_affine", transforms.dihedral)  # noqa: B010
setattr(Image, "device", property(lambda image: image.px.device))  # noqa: B010
for _kind in (Image, transforms.Transform):
    setattr(_kind, "__getattr__", missing_attribute)  # noqa: B010
