"""Checkpoints: safetensors files, written whole or not at all."""
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np

from ..optim import Optimizer

if TYPE_CHECKING:
    from .learner import Learner

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


# ---------------------------------------------------------------- a learner's checkpoint


def checkpoint_path(learn: "Learner", file: str | Path) -> Path:
    """Where a learner keeps the checkpoint ``file``."""
    path = Path(learn.path) / learn.model_dir / file
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


def save(learn: "Learner", file: str | Path, with_opt: bool) -> Path:
    """Write weights, and the optimizer's state if it is wanted and there."""
    path = checkpoint_path(learn, file)
    opt = learn.opt.state_dict() if with_opt and learn.opt is not None else None
    save_arrays(path, join_state(learn.model.state_dict(), opt), type(learn.model).__name__)
    return path


def load(learn: "Learner", file: str | Path, strict: bool, with_opt: bool | None) -> None:
    """Read weights, and the optimizer's state if it fits; nothing changes if an error is raised."""
    path = checkpoint_path(learn, file)
    weights, opt_state = part_state(load_arrays(path))
    if with_opt and opt_state is None:
        raise ValueError(f"{path} holds no optimizer state; it was saved with with_opt=False, "
                         "or before a fit")
    opt = None if with_opt is False or opt_state is None else _fitting_opt(learn, opt_state)
    if with_opt and opt is None:
        raise ValueError(f"the optimizer state in {path} is of other layer groups or other "
                         "trainable parameters; freeze as it was, or load with_opt=False")
    learn.model.load_state_dict(weights, strict)
    if opt is not None and opt_state is not None:
        learn.opt = opt
        opt.load_state_dict(opt_state)


def _fitting_opt(learn: "Learner", state: Arrays) -> Optimizer | None:
    opt = learn.opt or learn.create_opt(0.)
    misfit = opt.misfit(state)
    if misfit:
        warn(f"optimizer state left out: {misfit}", stacklevel=4)
    return None if misfit else opt
