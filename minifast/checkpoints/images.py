"""The data of an exported classifier of images: classes, size and normalisation, without images."""
from pathlib import Path
from typing import Any

from ..data import DataBunch
from .container import to_json


def image_data() -> Any:
    """Return ImageDataBunch, or an empty tuple if its room was removed."""
    try:
        from ..vision import ImageDataBunch
    except ImportError:
        return ()
    return ImageDataBunch


def images_to_json(data: DataBunch) -> dict[str, Any]:
    """Return a description of how a new image becomes a batch, as JSON types.

    Parameters
    ----------
    data : ImageDataBunch
        The data.

    Returns
    -------
    dict
        The description.

    Examples
    --------
    >>> data = image_data().single_from_classes(".", ["cat", "dog"], size=8)
    >>> description = images_to_json(data)
    >>> description["classes"], description["size"]
    (['cat', 'dog'], [8, 8])
    """
    images: Any = data
    channels, *size = images.image_shape
    resize, stats = images.resize.to_size(*size), images.stats
    return {"kind": "images", "classes": to_json(list(images.classes)), "channels": channels,
            "size": size, "resize_method": int(resize.method), "padding_mode": resize.padding_mode,
            "stats": None if stats is None else [s.tolist() for s in stats]}


def images_from_json(content: dict[str, Any], path: Path) -> Any:
    """Return data without images from the result of `images_to_json`.

    Parameters
    ----------
    content : dict
        The description.
    path : Path
        Folder of the learner's files.

    Returns
    -------
    ImageDataBunch
        The data; ``learn.predict`` prepares an image like the training images.

    Examples
    --------
    >>> data = image_data().single_from_classes(".", ["cat", "dog"], size=8)
    >>> images_from_json(images_to_json(data), Path(".")).classes
    ['cat', 'dog']
    """
    data = image_data().single_from_classes(
        path, content["classes"], size=tuple(content["size"]), grey=content["channels"] == 1,
        resize_method=content["resize_method"], padding_mode=content["padding_mode"])
    return data if content["stats"] is None else data.normalize(content["stats"])
