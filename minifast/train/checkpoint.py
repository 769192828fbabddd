"""Checkpoints: weights and optimizer state as named arrays in safetensors files."""
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from warnings import warn

import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]
SUFFIX = ".safetensors"


class CheckpointError(ValueError):
    """A file is not a checkpoint, or not a complete one."""


# ---------------------------------------------------------------- files of arrays


def save_arrays(path: Path, arrays: Mapping[str, Any], kind: str) -> None:
    """Write named arrays; an old file stays until the new one is complete.

    Parameters
    ----------
    path : Path
        The file.
    arrays : dict of str to array
        The arrays.
    kind : str
        The class of the model, kept as metadata.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
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
    """Read named arrays.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict of str to array
        The arrays, sorted by name.

    Raises
    ------
    FileNotFoundError
        If there is no such file; the message names the checkpoints in its folder.
    CheckpointError
        If the file is not a complete checkpoint.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in path.parent.glob(f"*{SUFFIX}")))
        raise FileNotFoundError(f"no checkpoint {path}; {path.parent} holds "
                                f"{names or 'no checkpoint'}")
    try:
        return dict(sorted(load(path.read_bytes()).items()))
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a whole checkpoint ({error}); it was cut short, "
                              "or something else wrote it. learn.save(...) writes a new one"
                              ) from error


def part_state(arrays: Arrays) -> tuple[Arrays, Arrays | None]:
    """Split the arrays of a checkpoint into the model's and the optimizer's, which can be None.

    Names without the prefixes ``model.`` and ``opt.`` are all taken for a model's.

    Examples
    --------
    >>> part_state({"w": np.zeros(1)})[1] is None
    True
    """
    if not all(name.startswith(("model.", "opt.")) for name in arrays):
        return arrays, None
    model, opt = ({name.removeprefix(prefix): array for name, array in arrays.items()
                   if name.startswith(prefix)} for prefix in ("model.", "opt."))
    return model, opt or None


# ---------------------------------------------------------------- a learner's checkpoints


def _path(learn: Any, file: str | Path) -> Path:
    path = Path(learn.path, learn.model_dir, file)
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


def save(learn: Any, file: str | Path, return_path: bool = False, with_opt: bool = True
         ) -> Path | None:
    """Write a checkpoint to ``<learn.path>/<learn.model_dir>/<file>.safetensors``.

    Parameters
    ----------
    learn : Learner
        The learner.
    file : str or Path
        The name.
    return_path : bool
        Whether to return the path.
    with_opt : bool
        Whether to write the optimizer's state too, if there is an optimizer.

    Returns
    -------
    Path or None
        The path, if asked for.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path = _path(learn, file)
    arrays = {f"model.{name}": array for name, array in learn.model.state_dict().items()}
    if with_opt and learn.opt is not None:
        arrays |= {f"opt.{name}": array for name, array in learn.opt.state_dict().items()}
    save_arrays(path, arrays, type(learn.model).__name__)
    return path if return_path else None


def load(learn: Any, file: str | Path, strict: bool = True, with_opt: bool | None = None) -> Any:
    """Read a checkpoint that ``save`` wrote. Nothing changes if an error is raised.

    Parameters
    ----------
    learn : Learner
        The learner.
    file : str or Path
        The name.
    strict : bool
        Whether the file must have exactly the names of the model.
    with_opt : bool, optional
        Whether to read the optimizer's state. By default it is read if it fits the layer groups
        and trainable parameters; otherwise a warning says that it is left out.

    Returns
    -------
    Learner
        The learner.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If the file is not a complete checkpoint.
    StateDictError
        If the weights do not fit the model.
    ValueError
        With ``with_opt=True``, if there is no optimizer state or it does not fit.
    """
    path = _path(learn, file)
    weights, state = part_state(load_arrays(path))
    if with_opt and state is None:
        raise ValueError(f"{path} holds no optimizer state; it was saved with with_opt=False, "
                         "or before a fit")
    opt = None if with_opt is False or state is None else _fitting_opt(learn, state)
    if with_opt and opt is None:
        raise ValueError(f"the optimizer state in {path} is of other layer groups or other "
                         "trainable parameters; freeze as it was, or load with_opt=False")
    learn.model.load_state_dict(weights, strict)
    if opt is not None:
        learn.opt = opt
        opt.load_state_dict(state)
    return learn


def _fitting_opt(learn: Any, state: Arrays) -> Any:
    """Return the learner's optimizer, or a new one, if the state fits it."""
    opt = learn.opt or learn.create_opt(0.)
    misfit = opt.misfit(state)
    if misfit:
        warn(f"optimizer state left out: {misfit}", stacklevel=3)
    return None if misfit else opt
