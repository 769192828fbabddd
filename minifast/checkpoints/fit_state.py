"""The state of a fit as arrays and JSON: everything that it needs to continue, and its history."""
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import Tensor, stack
from ..backend import backend_of, get_backend
from ..train import Recorder, Scheduler
from ..train.checkpoint import CheckpointError, check_state, part_state
from ..train.recorder import GrowingTable, ProgressBar
from .container import from_json, read_container, to_json, write_container
from .random_state import check_random_state, generators, set_random_state

KIND = "fit"
LISTS = ("lrs", "moms", "group_lrs")
HISTORY = ("val_losses", "metrics", "nb_batches")
"""LISTS of a recorder are saved as arrays, its HISTORY as JSON."""
PLACE = ("epoch", "iteration", "num_batch", "passes", "ended")
"""The position of a fit."""


# ---------------------------------------------------------------- writing


def save_fit(path: Path, learn: Any, callbacks: Iterable[Any], smoothener: Any,
             content: Mapping[str, Any]) -> None:
    """Write the state of a fit between two batches.

    Parameters
    ----------
    path : Path
        The file.
    learn : Learner
        The learner that is trained.
    callbacks : iterable of Callback
        The callbacks of the fit.
    smoothener : SmoothenValue
        The smoothed loss.
    content : mapping
        Position, random states and other values to save, of JSON types.

    Examples
    --------
    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> from minifast.checkpoints.random_state import random_state
    >>> from minifast.train.callback import SmoothenValue
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.ones((8, 2), np.float32)
    >>> learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4), Linear(2, 1, seed=0))
    >>> with learn.no_logging():
    ...     learn.fit(1)
    >>> now, place = random_state(generators(learn)), dict.fromkeys(PLACE, 0)
    >>> content = {"fit": description(learn, 1, []), "place": place, "random": now,
    ...            "random_at_epoch": now}
    >>> smooth = SmoothenValue(.98)
    >>> with TemporaryDirectory() as folder:
    ...     save_fit(Path(folder, "fit"), learn, [], smooth, content)
    ...     saved = SavedFit(Path(folder, "fit"), learn, [], content["fit"])
    >>> saved.content["n_smooth"]
    0
    """
    arrays = {f"model.{name}": array for name, array in learn.model.state_dict().items()}
    arrays |= {f"opt.{name}": array for name, array in learn.optimizer.state_dict().items()}
    arrays |= {f"fit.grad.{name}": backend_of(p.grad).to_host(p.grad)
               for name, p in learn.model.named_parameters() if p.grad is not None}
    arrays["fit.smooth"] = Tensor(smoothener.average).numpy()
    recorder = learn.recorder
    arrays["fit.losses"] = stack(list(map(_as_tensor, recorder.losses))).numpy() \
        if recorder.losses else np.zeros(0)
    arrays |= {f"fit.{name}": np.array(getattr(recorder, name), np.float64) for name in LISTS}
    history = {name: getattr(recorder, name) for name in HISTORY}
    write_container(path, KIND, arrays, {
        **content, "n_smooth": smoothener.n, "history": to_json(history),
        "rows": [] if recorder.table is None else recorder.table.rows[1:],
        "callbacks": [to_json(plain_values(callback)) for callback in callbacks]})


def _as_tensor(loss: Any) -> Tensor:
    return loss if isinstance(loss, Tensor) else Tensor(loss)


def plain_values(callback: Any) -> dict[str, Any]:
    """Return the attributes of a callback that are numbers, strings, or lists of these.

    The result is empty for a Recorder and a ProgressBar.

    Parameters
    ----------
    callback : Callback
        The callback.

    Returns
    -------
    dict of str to object
        The values by name.

    Examples
    --------
    >>> from minifast.train import Callback
    >>> callback = Callback()
    >>> callback.best, callback.learn = .5, object()
    >>> plain_values(callback)
    {'best': 0.5}
    """
    own = {} if isinstance(callback, (Recorder, ProgressBar)) else vars(callback)
    return {name: value for name, value in own.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    try:
        to_json(value)
    except TypeError:
        return False
    return True


def description(learn: Any, n_epochs: int, callbacks: Iterable[Any]) -> dict[str, Any]:
    """Return what must be the same when a fit is resumed, as JSON types.

    Parameters
    ----------
    learn : Learner
        The learner at the beginning of the fit.
    n_epochs : int
        The number of epochs.
    callbacks : iterable of Callback
        Its callbacks.

    Returns
    -------
    dict of str to object
        A description by topic.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.ones((8, 2), np.float32)
    >>> learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4), Linear(2, 1, seed=0))
    >>> with learn.no_logging():
    ...     learn.fit(1)
    >>> description(learn, 5, [])["batches"]
    2
    """
    opt, data, callbacks = learn.optimizer, learn.data, list(callbacks)
    return {
        "epochs": n_epochs, "batches": len(data.train_dl), "batch size": data.batch_size,
        "rows": len(getattr(data.train_dl, "dataset", ())),
        "categories": {str(cats.name): [len(cats), _text_digest(cats.classes)]
                       for cats in getattr(data, "categories", [])},
        "model": type(learn.model).__name__, "optimizer": [f.__name__ for f in opt.steps],
        "bn_wd": opt.bn_wd, "hyper-parameters": to_json(opt.hypers),
        "callbacks": [type(callback).__name__ for callback in callbacks],
        "schedules": [to_json(plain_values(callback)) for callback in callbacks
                      if isinstance(callback, Scheduler)]}


def _text_digest(labels: Iterable[Any]) -> str:
    return sha256("\n".join(map(str, labels)).encode()).hexdigest()[:16]


# ---------------------------------------------------------------- reading


class SavedFit:
    """The state of a fit, read from a file and checked; ``restore`` copies it into the learner.

    Parameters
    ----------
    path : Path
        The file.
    learn : Learner
        The learner, at the beginning of the same fit.
    callbacks : sequence of Callback
        Its callbacks.
    expected : dict
        Its `description`.

    Raises
    ------
    CheckpointError
        If the file is damaged or belongs to another fit. In this case nothing changes.

    Examples
    --------
    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> from minifast.checkpoints.random_state import random_state
    >>> from minifast.train.callback import SmoothenValue
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.ones((8, 2), np.float32)
    >>> learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4), Linear(2, 1, seed=0))
    >>> with learn.no_logging():
    ...     learn.fit(1)
    >>> now, place = random_state(generators(learn)), dict.fromkeys(PLACE, 0)
    >>> content = {"fit": description(learn, 1, []), "place": place, "random": now,
    ...            "random_at_epoch": now}
    >>> smooth = SmoothenValue(.98)
    >>> with TemporaryDirectory() as folder:
    ...     save_fit(Path(folder, "fit"), learn, [], smooth, content)
    ...     saved = SavedFit(Path(folder, "fit"), learn, [], content["fit"])
    >>> sorted(saved.weights)
    ['bias', 'weight']
    """

    def __init__(self, path: Path, learn: Any, callbacks: Iterable[Any],
                 expected: dict[str, Any]) -> None:
        self.learn, self.callbacks = learn, list(callbacks)
        arrays, self.content = read_container(path, KIND)
        self.weights, self.state = part_state(arrays)
        self.arrays = {name.removeprefix("fit."): array for name, array in arrays.items()
                       if name.startswith("fit.")}
        differing = list(_differences(self.content.get("fit"), expected))
        if differing:
            raise CheckpointError(f"{path} is of another fit: {'; '.join(differing)}. Repeat the "
                                  "call that was stopped, or name this fit, as in resume='second'")
        self.generators = generators(learn, self.callbacks)
        self._check(path)

    def _check(self, path: Path) -> None:
        check_state(path, self.learn.model, self.weights, True, self.learn.optimizer, self.state)
        try:
            for name in ("random", "random_at_epoch"):
                check_random_state(self.generators, self.content[name])
            self.values = [from_json(values) for values in self.content["callbacks"]]
            self.history = from_json(self.content["history"])
            self.lists = {name: self.arrays[name].tolist() for name in LISTS}
            self.average, self.losses = self.arrays["smooth"], self.arrays["losses"]
            self._check_kinds()
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError
                ) as error:
            raise CheckpointError(f"{path} does not fit this learner: {error}") from error

    def _check_kinds(self) -> None:
        """Raise ValueError if the JSON has other types than `save_fit` writes."""
        counts = [self.content["n_smooth"], *(self.content["place"][name] for name in PLACE)]
        whole = all(isinstance(n, int) and n >= 0 for n in counts)
        known = len(self.values) == len(self.callbacks) and all(
            isinstance(values, dict) and all(isinstance(name, str) for name in values)
            for values in self.values)
        lists = [*self.content["rows"], *map(self.history.get, HISTORY)]
        if not (whole and known and all(isinstance(x, list) for x in lists)
                and len(self.history) == len(HISTORY) and self.average.shape == ()):
            raise ValueError("a part of its description is missing or of another kind")

    def restore(self, smoothener: Any) -> None:
        """Restore the saved state of the learner, its callbacks and the random generators.

        Parameters
        ----------
        smoothener : SmoothenValue
            The smoothed loss of the fit.

        Examples
        --------
        >>> import numpy as np
        >>> from tempfile import TemporaryDirectory
        >>> from minifast.checkpoints.random_state import random_state
        >>> from minifast.train.callback import SmoothenValue
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import Linear
        >>> from minifast.train import Learner
        >>> x = np.ones((8, 2), np.float32)
        >>> learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4), Linear(2, 1, seed=0))
        >>> with learn.no_logging():
        ...     learn.fit(1)
        >>> now, place = random_state(generators(learn)), dict.fromkeys(PLACE, 0)
        >>> content = {"fit": description(learn, 1, []), "place": place, "random": now,
        ...            "random_at_epoch": now}
        >>> smooth = SmoothenValue(.98)
        >>> with TemporaryDirectory() as folder:
        ...     save_fit(Path(folder, "fit"), learn, [], smooth, content)
        ...     saved = SavedFit(Path(folder, "fit"), learn, [], content["fit"])
        >>> with learn.no_logging():
        ...     saved.restore(smooth)
        >>> len(learn.recorder.losses)
        2
        """
        learn, from_host = self.learn, get_backend(self.learn.data.device).from_host
        learn.optimizer.load_state_dict(self.state)
        learn.model.load_state_dict(self.weights)
        for name, p in learn.model.named_parameters():
            grad = self.arrays.get(f"grad.{name}")
            p.grad = None if grad is None else from_host(np.array(grad))
        if self.content["n_smooth"]:  # before the first loss it has no number type
            smoothener.n, smoothener.average = self.content["n_smooth"], from_host(self.average)
        for callback, values in zip(self.callbacks, self.values, strict=True):
            vars(callback).update(values)
        vars(learn.recorder).update(self.history, **self.lists)
        learn.recorder.losses = [Tensor(from_host(np.asarray(loss))) for loss in self.losses]
        self._show_rows()
        set_random_state(self.generators, self.content["random"])

    def _show_rows(self) -> None:
        """Show the table rows of the completed epochs."""
        if self.content["rows"]:
            recorder = self.learn.recorder
            recorder.table = GrowingTable(recorder.names, self.learn.silent_table)
            for row in self.content["rows"]:
                recorder.table.write(row)


def _differences(saved: Any, now: Mapping[str, Any]) -> Iterator[str]:
    for topic, value in now.items():
        there = saved.get(topic) if isinstance(saved, dict) else None
        if there != value:
            yield f"{topic}: {there} in the file, {value} here"
