"""Checkpoints: weights and optimizer state as named arrays in safetensors files."""
import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np

from ..nn import StateDictError

Arrays = dict[str, np.ndarray[Any, Any]]
SUFFIX = ".safetensors"
POSITIVE, FRACTION = (0., np.inf), (0., np.nextafter(1, 0))
BUFFERS = {"running_var": POSITIVE}
STATE = {"square": POSITIVE, "lr": POSITIVE, "wd": POSITIVE, "eps": POSITIVE, "mom": FRACTION,
         "beta": FRACTION}
"""The lowest and highest numbers that training can produce, by the last part of a name."""


class CheckpointError(StateDictError):
    """A file is not a complete checkpoint, or does not fit the learner. It is a ValueError."""


# ---------------------------------------------------------------- files of arrays


def save_arrays(path: Path, arrays: Mapping[str, Any], kind: str, **metadata: str) -> None:
    """Write named arrays; an old file stays until the new one is complete.

    If ``path`` is a symbolic link, the file that it points to is replaced. With
    ``minifast.checkpoints``, the file is flushed to disk, and leftovers of killed processes are
    removed.

    Parameters
    ----------
    path : Path
        The file.
    arrays : dict of str to array
        The arrays.
    kind : str
        The class of the model, kept as metadata.
    **metadata : str
        Additional metadata.

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save_arrays(Path(folder, "a.safetensors"), {"w": np.ones(2)}, "Linear")
    ...     load_arrays(Path(folder, "a.safetensors"))
    {'w': array([1., 1.])}
    """
    from safetensors.numpy import save
    content = save({k: np.ascontiguousarray(v).reshape(np.shape(v)) for k, v in arrays.items()},
                   metadata={"format": "minifast", "kind": kind, **metadata})
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if find_spec("minifast.checkpoints") is not None:
            import_module("minifast.checkpoints.durable").write(target, content)
        else:
            part = target.with_name(f".saving-{target.name}")
            part.write_bytes(content)
            os.replace(part, target)
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

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save_arrays(Path(folder, "a.safetensors"), {"w": np.ones(2)}, "Linear")
    ...     list(load_arrays(Path(folder, "a.safetensors")))
    ['w']
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in path.parent.glob(f"*{SUFFIX}")))
        raise FileNotFoundError(f"no checkpoint {path}; {path.parent} holds {names or 'none'}")
    try:
        return dict(sorted(load(path.read_bytes()).items()))
    except (SafetensorError, KeyError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{path} is not a whole checkpoint ({error}); it was cut short, or "
                              "something else wrote it. learn.save() writes a new one") from error


def part_state(arrays: Arrays) -> tuple[Arrays, Arrays | None]:
    """Split the arrays of a checkpoint into the model's and the optimizer's, which can be None.

    If any name has none of the prefixes ``model.``, ``opt.`` and ``fit.``, all arrays are the
    model's.

    Parameters
    ----------
    arrays : dict of str to array
        The arrays.

    Returns
    -------
    model, opt : dict of str to array
        Without the prefixes.

    Examples
    --------
    >>> part_state({"w": np.zeros(1)})[1] is None
    True
    """
    if not all(name.startswith(("model.", "opt.", "fit.")) for name in arrays):
        return arrays, None
    model, opt = ({name.removeprefix(prefix): array for name, array in arrays.items()
                   if name.startswith(prefix)} for prefix in ("model.", "opt."))
    return model, opt or None


# ---------------------------------------------------------------- checks before loading


def check_state(path: Path, model: Any, weights: Arrays, strict: bool = True, opt: Any = None,
                state: Arrays | None = None) -> None:
    """Check the contents of a checkpoint without changing anything.

    Parameters
    ----------
    path : Path
        The file, for the message.
    model : Module
        The model.
    weights : dict of str to array
        Its new weights and buffers.
    strict : bool
        Whether the names must be exactly those of the model.
    opt : Optimizer, optional
        The optimizer.
    state : dict of str to array, optional
        Its new state.

    Raises
    ------
    CheckpointError
        If something does not fit, is not finite, or is out of range.

    Examples
    --------
    >>> from minifast.nn import Linear
    >>> model = Linear(2, 1)
    >>> check_state(Path("a.safetensors"), model, model.state_dict())
    """
    try:
        new, *_ = model.check_state_dict(weights, strict)
        new_state = {} if opt is None else opt.check_state_dict(state)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    _check_numbers(path, weights, new, model.state_dict(), BUFFERS)
    _check_numbers(path, state or {}, new_state, {}, STATE)


def _check_numbers(path: Path, saved: Arrays, new: Arrays, own: Arrays,
                   ranges: Mapping[str, tuple[float, float]]) -> None:
    """Raise CheckpointError if training cannot produce the arrays, also as converted to ``new``.

    Where the present array is infinite, as in a mask, the new one may have the same infinity.
    """
    wrong = []
    for name, array in new.items():
        low, high = ranges.get(name.rpartition(".")[2], (-np.inf, np.inf))
        good = np.isfinite(array) & (array >= low) & (array <= high)
        if len(bad := array[~(good | (array == own.get(name, np.nan)))]):
            wrong.append(f"{name} has {len(bad)} of {array.size} numbers such as {bad[0]}")
        elif saved[name].dtype.kind != array.dtype.kind:
            wrong.append(f"{name} is of type {saved[name].dtype}")
    if wrong:
        raise CheckpointError(f"training cannot continue from {path}: {', '.join(wrong)}. "
                              "Training had diverged when it was saved, or the file is damaged; "
                              "load an earlier checkpoint")


# ---------------------------------------------------------------- a learner's checkpoints


def path_of(learn: Any, file: str | Path) -> Path:
    """Return the path of the checkpoint that ``save`` and ``load`` use for a name.

    Parameters
    ----------
    learn : Learner
        The learner.
    file : str or Path
        The name, or an absolute path.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the name leads out of the model folder.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> learn.path = Path("work")
    >>> path_of(learn, "stage-1").as_posix()
    'work/models/stage-1.safetensors'
    """
    folder, inside = Path(learn.path, learn.model_dir), os.path.normpath(file)
    if inside.partition(os.sep)[0] in (".", ".."):
        raise ValueError(f"{str(file)!r} names no file in the model folder {folder}; give a name "
                         "such as 'stage-1', or an absolute path to go elsewhere")
    path = folder / inside
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


def save(learn: Any, file: str | Path, return_path: bool = False, with_opt: bool = True
         ) -> Path | None:
    """Write a checkpoint to ``<learn.path>/<learn.model_dir>/<file>.safetensors``.

    The old file stays until the new one is complete and on disk. A model that has diverged can be
    saved, but ``load`` refuses it.

    Parameters
    ----------
    learn : Learner
        The learner.
    file : str or Path
        The name, or an absolute path.
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
    ValueError
        If a name such as ``'../x'`` leads out of the model folder.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     learn.path = Path(folder)
    ...     learn.save("stage-1", return_path=True).name
    'stage-1.safetensors'
    """
    path = path_of(learn, file)
    arrays = {f"model.{name}": array for name, array in learn.model.state_dict().items()}
    if with_opt and learn.opt is not None:
        arrays |= {f"opt.{name}": array for name, array in learn.opt.state_dict().items()}
    save_arrays(path, arrays, type(learn.model).__name__)
    return path if return_path else None


def load(learn: Any, file: str | Path, strict: bool = True, with_opt: bool | None = None) -> Any:
    """Read a checkpoint that ``save`` wrote, or weights in any safetensors file.

    Everything is checked before anything changes, so an error leaves the learner as it was.

    Parameters
    ----------
    learn : Learner
        The learner.
    file : str or Path
        The name, or an absolute path.
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
        If the file is not a complete checkpoint, does not fit the model, or holds numbers from
        which training cannot continue, such as NaN. With ``with_opt=True``, also if there is no
        optimizer state or it does not fit. It is a StateDictError and a ValueError.
    ValueError
        If a name such as ``'../x'`` leads out of the model folder.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> from tempfile import TemporaryDirectory
    >>> before = learn.model.weight.numpy().copy()
    >>> with TemporaryDirectory() as folder, learn.no_logging():
    ...     learn.path = Path(folder)
    ...     learn.save("stage-1")
    ...     learn.fit(1)
    ...     same = learn.load("stage-1") is learn
    >>> same, np.array_equal(learn.model.weight.numpy(), before)
    (True, True)
    """
    path = path_of(learn, file)
    weights, state = part_state(load_arrays(path))
    if with_opt and state is None:
        raise CheckpointError(f"{path} holds no optimizer state; it was saved with with_opt=False, "
                         "or before a fit")
    opt = None if with_opt is False or state is None else _fitting_opt(learn, state)
    if with_opt and opt is None:
        raise CheckpointError(f"the optimizer state in {path} is of other layer groups or other "
                         "trainable parameters; freeze as it was, or load with_opt=False")
    check_state(path, learn.model, weights, strict, opt, state)
    learn.model.load_state_dict(weights, strict)
    if opt is not None:
        learn.opt = opt
        opt.load_state_dict(state)
    return learn


def _fitting_opt(learn: Any, state: Arrays) -> Any:
    """Return the learner's optimizer, or a new one, if the state fits it."""
    opt = learn.opt or learn.create_opt(0.)
    if misfit := opt.misfit(state):
        warn(f"optimizer state left out: {misfit}", stacklevel=3)
    return None if misfit else opt
