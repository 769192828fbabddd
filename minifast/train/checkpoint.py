"""Checkpoints: safetensors files, written whole or not at all."""
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]
SUFFIX = ".safetensors"


class CheckpointError(ValueError):
    """A file that is no checkpoint, or not a whole one."""


def save_arrays(path: Path, arrays: Mapping[str, Any], kind: str) -> None:
    """Write named arrays to ``path``; the old file stays until the new one is complete."""
    from safetensors.numpy import save
    content = save({k: np.ascontiguousarray(v).reshape(np.shape(v)) for k, v in arrays.items()},
                   metadata={"format": "minifast", "kind": kind})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
            part = Path(folder) / path.name
            part.write_bytes(content)
            os.replace(part, path)
    except OSError as error:
        raise type(error)(f"cannot write {path}: {error}. Choose a folder that you may write to: "
                          "learn.path = ..., or learn.model_dir = ...") from error


def load_arrays(path: Path) -> Arrays:
    """Read named arrays. FileNotFoundError names what is there; CheckpointError what is wrong."""
    from safetensors import SafetensorError
    from safetensors.numpy import load
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path}; {_what_is_there(path.parent)}")
    try:
        return dict(sorted(load(path.read_bytes()).items()))  # in no order as they come
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a whole checkpoint ({error}); it was cut short, "
                              "or something else wrote it. learn.save(...) writes a new one"
                              ) from error


def _what_is_there(folder: Path) -> str:
    names = sorted(file.stem for file in folder.glob(f"*{SUFFIX}"))
    return f"{folder} holds {', '.join(names)}" if names else f"{folder} holds no checkpoint"


def join_state(model: Arrays, opt: Arrays | None) -> Arrays:
    """One dictionary for model and optimizer: their names with a prefix each.

    >>> list(join_state({"w": np.zeros(1)}, {"0.steps": np.ones(1)}))
    ['model.w', 'opt.0.steps']
    """
    joined = {f"model.{name}": array for name, array in model.items()}
    return joined | {f"opt.{name}": array for name, array in (opt or {}).items()}


def part_state(arrays: Arrays) -> tuple[Arrays, Arrays | None]:
    """(model, optimizer or None): the way back. Plain weights without prefixes are a model.

    >>> part_state({"w": np.zeros(1)})[1] is None
    True
    """
    if not all(name.startswith(("model.", "opt.")) for name in arrays):
        return arrays, None

    def part(prefix: str) -> Arrays:
        return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    return part("model."), part("opt.") or None
