"""Resize Pillow images to one size by cropping, padding or stretching."""
from enum import IntEnum
from typing import Any

import numpy as np

from .ops import pair
from .sampling import check_padding_mode

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
"""(h, w, 3), or (h, w) for grey levels"""
Size = int | tuple[int, int] | None
PAD_MODES = {"zeros": "constant", "border": "edge", "reflection": "reflect"}
"""NumPy's names of the padding modes."""


class ResizeMethod(IntEnum):
    """How to resize an image that has another aspect ratio, as in fastai v1."""

    CROP = 1
    PAD = 2
    SQUISH = 3
    NO = 4


class Resize:
    """Resize images to one size.

    Parameters
    ----------
    size : int or (int, int), optional
        (height, width) in pixels; without it images keep their size.
    method : ResizeMethod, optional
        ``CROP`` scales an image until it covers the size and crops both sides. ``PAD`` scales it
        until it fits and fills the rest. ``SQUISH`` stretches it. By default, a size that is one
        number crops and a pair stretches, as in fastai v1.
    padding_mode : {'zeros', 'border', 'reflection'}
        How ``PAD`` fills the rest.
    mult : int, optional
        Round the size to a multiple of this number.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> Resize((32, 64)).method.name, Resize(50, mult=32).size
    ('SQUISH', (64, 64))
    """

    def __init__(self, size: Size = None, method: ResizeMethod | None = None,
                 padding_mode: str = "reflection", mult: int | None = None) -> None:
        check_padding_mode(padding_mode)
        default = ResizeMethod.SQUISH if isinstance(size, (tuple, list)) else ResizeMethod.CROP
        self.method = default if method is None else ResizeMethod(method)
        self.padding_mode = padding_mode
        self.size = None if size is None or self.method is ResizeMethod.NO \
            else _rounded(pair(size, "size"), mult)

    def __call__(self, image: Any) -> Pixels:
        """Return the pixels of a Pillow image in this size."""
        if self.size is None:
            return np.asarray(image)
        height, width = self.size
        scaled = self._scaled(self.size, image.height / height, image.width / width)
        if scaled != (image.height, image.width):
            image = image.resize(scaled[::-1], pillow().Resampling.BILINEAR)
        return _cut(self._padded(np.asarray(image), height, width), height, width)

    def to_size(self, height: int, width: int) -> "Resize":
        """Return the same method for another size; without a size, images are stretched.

        Parameters
        ----------
        height, width : int
            The size.

        Returns
        -------
        Resize
            The method for this size.

        Examples
        --------
        >>> resize = Resize(64).to_size(32, 48)
        >>> resize.size, resize.method.name
        ((32, 48), 'CROP')
        """
        method = ResizeMethod.SQUISH if self.size is None else self.method
        return Resize((height, width), method, self.padding_mode)

    def _scaled(self, size: tuple[int, int], down: float, across: float) -> tuple[int, int]:
        """Return height and width after scaling an image that is so many times as large."""
        if self.method is ResizeMethod.SQUISH:
            return size
        ratio = min(down, across) if self.method is ResizeMethod.CROP else max(down, across)
        return max(round(size[0] * down / ratio), 1), max(round(size[1] * across / ratio), 1)

    def _padded(self, x: Pixels, height: int, width: int) -> Pixels:
        missing = [max((n - have + 1) // 2, 0) for n, have in zip((height, width), x.shape,
                                                                  strict=False)]
        if not any(missing):
            return x
        edges = [(n, n) for n in missing] + [(0, 0)] * (x.ndim - 2)
        mode: Any = PAD_MODES[self.padding_mode]
        return np.pad(x, edges, mode=mode)


def _rounded(size: tuple[int, int], mult: int | None) -> tuple[int, int]:
    """Round to multiples of ``mult``, at least to ``mult``."""
    if mult is None:
        return size
    if mult < 1:
        raise ValueError(f"sizes are multiples of mult, 1 or more; got mult={mult}")
    height, width = (max(int(n / mult + .5), 1) * mult for n in size)
    return height, width


def _cut(x: Pixels, height: int, width: int) -> Pixels:
    top, left = (x.shape[0] - height + 1) // 2, (x.shape[1] - width + 1) // 2
    return x[top:top + height, left:left + width]


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
