"""Files of arrays with a description: safetensors with JSON and a checksum as metadata."""
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..train.checkpoint import Arrays, CheckpointError, load_arrays, save_arrays

FORMAT = 1
"""Version of the format. It increases when older versions of minifast would misread a file."""


def write_container(path: Path, kind: str, arrays: Mapping[str, Any], content: Mapping[str, Any]
                    ) -> None:
    """Write arrays and a description.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        The kind of the file.
    arrays : mapping of str to array
        The arrays.
    content : mapping
        The description, of JSON types.

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_container(Path(folder, "a"), "toy", {"w": np.ones(2)}, {"epochs": 3})
    ...     arrays, content = read_container(Path(folder, "a"), "toy")
    >>> arrays["w"], content["epochs"]
    (array([1., 1.]), 3)
    """
    text = json.dumps({"format_version": FORMAT, "minifast_version": __version__, **content})
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    save_arrays(path, arrays, kind, content=text, sha256=digest(kind, text, arrays))


def read_container(path: Path, kind: str) -> tuple[Arrays, dict[str, Any]]:
    """Read a file that `write_container` wrote.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        The expected kind.

    Returns
    -------
    arrays : dict of str to array
        The arrays.
    content : dict
        The description.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If the file is incomplete, of another kind, changed since it was written, or in a later
        format.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_container(Path(folder, "a"), "toy", {"w": np.ones(2)}, {})
    ...     list(read_container(Path(folder, "a"), "toy")[0])
    ['w']
    """
    arrays = load_arrays(path)
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    found = header.get("__metadata__") or {}
    if found.get("kind") != kind or not {"content", "sha256"} <= found.keys():
        raise CheckpointError(f"{path} is not a {kind}, but {found.get('kind', 'something else')}")
    if found["sha256"] != digest(kind, found["content"], arrays):
        raise CheckpointError(f"{path} was changed since it was written: its checksum does not "
                              "match. Use another copy or an older file")
    content = json.loads(found["content"])
    if not (isinstance(content, dict) and type(content.get("format_version")) is int):
        raise CheckpointError(f"{path} does not say which format it has")
    if content["format_version"] > FORMAT:
        raise CheckpointError(f"{path} has format {content['format_version']}, and this minifast "
                              f"reads formats up to {FORMAT}; minifast "
                              f"{content.get('minifast_version')} wrote it, so update to that")
    return arrays, content


def digest(kind: str, text: str, arrays: Mapping[str, "np.ndarray[Any, Any]"]) -> str:
    """Return the SHA-256 of a description and of arrays with their names, types and shapes.

    Parameters
    ----------
    kind, text : str
        The kind of the file, and the description.
    arrays : mapping of str to array
        The arrays.

    Returns
    -------
    str
        The checksum.

    Examples
    --------
    >>> digest("fit", "{}", {"w": np.zeros(2)})[:8]
    '8d50e3ab'
    """
    found = sha256(f"{kind}\n{text}\n".encode())
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.name} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


# ---------------------------------------------------------------- values as JSON


def to_json(value: Any) -> Any:
    """Return a value as JSON types; `from_json` is the inverse.

    Parameters
    ----------
    value : object
        None, a number, a string, an array of numbers, or a list, tuple or dictionary of these.

    Returns
    -------
    object
        The value for `json.dumps`.

    Raises
    ------
    TypeError
        If the value is of another type.

    Examples
    --------
    >>> to_json({1: (2, np.float32(.5))})
    {'dict': [[1, {'tuple': [2, 0.5]}]]}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return to_json(value.item())
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return {"array": value.tolist(), "dtype": value.dtype.name}
    if isinstance(value, (list, tuple)):
        items = [to_json(item) for item in value]
        return items if isinstance(value, list) else {"tuple": items}
    if type(value) is dict:
        return {"dict": [[to_json(key), to_json(item)] for key, item in value.items()]}
    raise TypeError(f"a {type(value).__name__}")


def from_json(value: Any) -> Any:
    """Return the value that `to_json` converted.

    Parameters
    ----------
    value : object
        The result of `to_json`.

    Returns
    -------
    object
        The value.

    Examples
    --------
    >>> from_json(to_json({1: (2, .5)}))
    {1: (2, 0.5)}
    """
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.array(value["array"], value["dtype"])
    if "tuple" in value:
        return tuple(from_json(item) for item in value["tuple"])
    return {from_json(key): from_json(item) for key, item in value["dict"]}
