"""Models, losses and processors as JSON and arrays, without pickle.

Only classes and functions of minifast are written and read, by their names. Reading calls nothing
that the file names: the attributes of an object are restored directly, as ``copy`` does.
"""
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np

from ..data.categories import Categories
from ..nn import Buffer, FlattenedLoss, Module, Parameter
from ..train.checkpoint import Arrays
from .container import from_json, to_json


class NotExportableError(TypeError):
    """A part of a learner that a file cannot hold, because it is not minifast's."""


def to_object_json(value: Any, place: str, kinds: Iterable[type]) -> Any:
    """Return an object as JSON types, with parameters and buffers as the names of their arrays.

    Parameters
    ----------
    value : object
        A model, a loss, a processor, or an attribute of one of these.
    place : str
        Its path, for the names of arrays and for errors; empty for the model.
    kinds : iterable of type
        Classes that may occur, in addition to layers and losses.

    Returns
    -------
    object
        The object for `json.dumps`.

    Raises
    ------
    NotExportableError
        If a part is a function, or an instance of a class, that is not minifast's.

    Examples
    --------
    >>> from minifast.nn import ReLU
    >>> to_object_json(ReLU(), "", ())
    {'object': 'minifast.nn.layers.ReLU', 'attributes': {}}
    """
    kinds = (Module, FlattenedLoss, *kinds)
    if isinstance(value, kinds):
        own = {name: item for name, item in vars(value).items() if name != "forward_hooks"}
        return {"object": _name_of(type(value), place), "attributes": {
            name: to_object_json(item, f"{place}.{name}" if place else name, kinds)
            for name, item in own.items()}}
    if isinstance(value, list) and any(isinstance(item, kinds) for item in value):
        return {"list": [to_object_json(item, f"{place}.{i}", kinds)
                         for i, item in enumerate(value)]}
    if isinstance(value, dict) and any(isinstance(item, Categories) for item in value.values()):
        return {"items": [[key, to_object_json(item, place, kinds)] for key, item in value.items()]}
    return _leaf(value, place)


def _leaf(value: Any, place: str) -> dict[str, Any]:
    """Return the JSON of a value that contains no other objects."""
    if isinstance(value, (Parameter, Buffer)):
        return {"tensor": place, "no_wd": getattr(value, "no_wd", None)}
    if isinstance(value, Categories):
        return {"categories": value.name, "labels": _labels(value.labels, value.name)}
    if type(value).__name__.endswith("Index") and hasattr(value, "tolist"):
        return {"index": _labels(value, place)}
    if isinstance(value, np.random.Generator):
        return {"generator": None}
    if hasattr(value, "__qualname__"):
        return {"function": _name_of(value, place)}
    try:
        return {"value": to_json(value)}
    except TypeError as error:
        raise NotExportableError(f"{place or 'the model'} is {error}, which an exported file "
                                 "cannot hold") from error


def _name_of(thing: Any, place: str) -> str:
    name = f"{thing.__module__}.{thing.__qualname__}"
    if not name.startswith("minifast.") or "<" in name:
        raise NotExportableError(f"{place or 'the model'} is {name}, which is not part of minifast")
    return name


def _labels(index: Any, name: Any) -> list[Any]:
    labels: list[Any] = index.tolist()
    if odd := [label for label in labels if not isinstance(label, (str, bool, int, float))]:
        raise NotExportableError(f"a label of {name!r} is {odd[0]!r}, a {type(odd[0]).__name__}; "
                                 "only numbers and strings can be exported")
    return labels


def from_object_json(value: Any, arrays: Arrays, kinds: Iterable[type]) -> Any:
    """Return the object that `to_object_json` converted.

    Parameters
    ----------
    value : object
        The result of `to_object_json`.
    arrays : dict of str to array
        The saved arrays. Weights and buffers get their shapes and types, and zeros.
    kinds : iterable of type
        Classes that may occur, in addition to layers and losses.

    Returns
    -------
    object
        The object, with new random generators.

    Raises
    ------
    ValueError
        If another class occurs.

    Examples
    --------
    >>> from minifast.nn import ReLU
    >>> type(from_object_json(to_object_json(ReLU(), "", ()), {}, ())).__name__
    'ReLU'
    """
    def back(value: Any) -> Any:
        return from_object_json(value, arrays, kinds)
    if "object" in value:
        made: Any = object.__new__(_class(value["object"], (Module, FlattenedLoss, *kinds)))
        vars(made).update({name: back(item) for name, item in value["attributes"].items()})
        return made
    if "list" in value:
        return [back(item) for item in value["list"]]
    if "items" in value:
        return {key: back(item) for key, item in value["items"]}
    return _leaf_back(value, arrays)


def _leaf_back(value: Any, arrays: Arrays) -> Any:
    """Return the value that `_leaf` converted."""
    if "tensor" in value:
        array = np.zeros_like(arrays[value["tensor"]])
        return Buffer(array) if value["no_wd"] is None else Parameter(array, value["no_wd"])
    if "categories" in value:
        return Categories(value["categories"], value["labels"])
    if "index" in value:
        import pandas as pd
        return pd.Index(value["index"])
    if "generator" in value:
        return np.random.default_rng()
    return _find(value["function"]) if "function" in value else from_json(value["value"])


def _find(name: str) -> Any:
    """Return the class or function of minifast with this name."""
    module, _, rest = name.rpartition(".")
    if not name.startswith("minifast."):
        raise ValueError(f"{name} is not part of minifast")
    try:
        return getattr(import_module(module), rest)
    except ImportError:  # a method: the class is before the last dot
        module, _, cls = module.rpartition(".")
        return getattr(getattr(import_module(module), cls), rest)


def _class(name: str, kinds: tuple[type, ...]) -> type:
    found = _find(name)
    if not (isinstance(found, type) and issubclass(found, kinds)):
        raise ValueError(f"{name} is not a class of layers, losses or processors")
    return found
