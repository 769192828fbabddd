"""CheckpointCallback: saves a fit while it runs, and resumes it where it was stopped."""
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from ..train import LRFinder, Recorder
from ..train.callback import Changes, LearnerCallback
from ..train.checkpoint import path_of
from .fit_state import SavedFit, description, save_fit
from .random_state import generators, random_state, set_random_state


class CheckpointCallback(LearnerCallback):
    """Save a fit every few epochs or batches, so that it can be resumed.

    A checkpoint holds the weights, the optimizer's state, the position in the schedule, all random
    generators and the history of the recorder. With ``resume=True``, the same call of ``fit`` or
    ``fit_one_cycle``, on a learner that was created in the same way, continues after the last
    checkpoint, and ends with the same bytes as if it had not been stopped. Without a checkpoint,
    the fit starts from the beginning; if the fit is already complete, the call loads its result.
    ``learn.validate`` and ``learn.lr_find`` neither read nor write checkpoints.

    Parameters
    ----------
    learn : Learner
        The learner that is trained.
    every : int
        The number of epochs or batches between saves. The end of the fit is always saved, and
        with ``resume`` also its beginning.
    unit : {'epoch', 'batch'}
        The unit of ``every``.
    name : str or Path
        Name of the checkpoint, as for ``learn.save``. Each fit of a program needs another name.
    resume : bool
        Whether to continue from the checkpoint, if there is one.

    Raises
    ------
    ValueError
        If ``every`` is not a positive integer, or ``unit`` is something else; when a fit begins,
        if this learner has already completed a fit of this name.
    CheckpointError
        When a fit begins, if the checkpoint is damaged or belongs to another fit. In this case
        nothing changes.

    Notes
    -----
    On the fast path, deferred embeddings are materialized whenever a checkpoint is written. This
    rounds, so the last digits of results depend on ``every``.

    Examples
    --------
    >>> from functools import partial
    >>> often = partial(CheckpointCallback, every=500, unit="batch")  # for callback_fns=[...]
    """

    _order = 1000  # after all others, so that a checkpoint includes their changes

    def __init__(self, learn: Any, every: int = 1, unit: str = "epoch", name: Any = "fit",
                 resume: bool = False) -> None:
        before = vars(learn).get("checkpoint_callback")
        super().__init__(learn)
        if unit not in ("epoch", "batch") or every != int(every) or every < 1:
            raise ValueError("checkpoints are written every=1, 2, ... unit='epoch' or 'batch'; got "
                             f"every={every!r}, unit={unit!r}")
        self.every, self.unit, self.name, self.resume = every, unit, name, resume
        self.ended: set[Any] = set() if before is None else before.ended
        self.active, self.passes = False, 0
        self.rest: RestOfEpoch | None = None

    def on_train_begin(self, callbacks: Sequence[Any], n_epochs: int, epoch: int, smoothener: Any
                       ) -> Changes:
        recorded, searching = (any(isinstance(callback, kind) for callback in callbacks)
                               for kind in (Recorder, LRFinder))
        self.active = recorded and not searching  # a validation has no recorder
        if not self.active:
            return None
        self.path, self.passes, self.rest = path_of(self.learn, self.name), 0, None
        self.callbacks = [callback for callback in callbacks if callback is not self]
        self.smoothener, self.n_epochs = smoothener, n_epochs
        self.generators = generators(self.learn, self.callbacks)
        self.fit = description(self.learn, n_epochs, self.callbacks)
        if self.resume and self.path in self.ended:
            raise ValueError(f"this learner has already completed the fit {self.name!r}; give the "
                             "next one another name, or pass resume=False to train again")
        if self.resume and self.path.is_file():
            return self._go_on(SavedFit(self.path, self.learn, self.callbacks, self.fit))
        if self.resume:  # so that this learner can begin again if it is stopped before a save
            self.random_at_epoch = random_state(self.generators)
            self._save(epoch, 0, 0)
        return None

    def _go_on(self, saved: SavedFit) -> Changes:
        saved.restore(self.smoothener)
        self._restart()
        place = saved.content["place"]
        self.passes = place["passes"]
        if place["num_batch"]:
            self.rest = RestOfEpoch(self.learn.data, self.generators, place["num_batch"],
                                    saved.content["random_at_epoch"], saved.content["random"])
        if place["ended"]:
            self.ended.add(self.path)
        return {"epoch": place["epoch"], "iteration": place["iteration"],
                "stop_training": place["ended"]}

    def on_epoch_begin(self) -> Changes:
        if self.rest is None or not self.active:
            self.random_at_epoch = random_state(self.generators) if self.active else {}
            return None
        self.random_at_epoch, rest, self.rest = self.rest.at_epoch, self.rest, None
        self.learn.data.train_dl = rest
        return {"num_batch": rest.n}

    def on_batch_end(self, train: bool, epoch: int, iteration: int, num_batch: int,
                     stop_epoch: bool) -> None:
        due = train and self.unit == "batch" and (iteration + 1) % self.every == 0
        if self.active and due and not stop_epoch:
            self._save(epoch, iteration + 1, num_batch + 1)

    def on_epoch_end(self, epoch: int, iteration: int, stop_training: bool) -> Changes:
        if not self.active:
            return None
        self.passes += 1
        ended = stop_training or self.passes >= self.n_epochs
        if ended or (self.unit == "epoch" and self.passes % self.every == 0):
            self._save(epoch + 1, iteration, 0, ended)
        if ended:
            self.ended.add(self.path)
        return {"stop_training": ended}  # a resumed fit needs fewer passes

    def on_train_end(self) -> None:
        if isinstance(rest := self.learn.data.train_dl, RestOfEpoch):
            self.learn.data.train_dl = rest.dl

    def _save(self, epoch: int, iteration: int, num_batch: int, ended: bool = False) -> None:
        getattr(self.learn, "before_saving", int)()  # in a distributed fit, on all ranks
        place = {"epoch": epoch, "iteration": iteration, "num_batch": num_batch,
                 "passes": self.passes, "ended": ended}
        content = {"fit": self.fit, "place": place, "random_at_epoch": self.random_at_epoch,
                   "random": random_state(self.generators)}
        if getattr(self.learn, "writes_files", True):  # in a distributed fit, one rank does
            save_fit(self.path, self.learn, self.callbacks, self.smoothener, content)
        else:
            self.learn.model.state_dict()  # reading makes the fast path round, on all ranks
        self._restart()

    def _restart(self) -> None:
        """Restart the fast path, so that it computes the same after a save as after a load."""
        restart = getattr(self.learn.optimizer, "restart", None)
        if restart is not None:
            restart()


class RestOfEpoch:
    """A training loader in the middle of an epoch; iterating restores the original loader.

    Parameters
    ----------
    data : DataBunch
        The data, whose training loader it replaces.
    found : dict of str to Generator
        The random generators.
    n : int
        The number of completed batches.
    at_epoch, now : dict
        The states of the generators when the epoch began, and after the n batches.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.ones((8, 2), np.float32)
    >>> learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4), Linear(2, 1, seed=0))
    >>> found = generators(learn)
    >>> start = random_state(found)
    >>> learn.data.train_dl = RestOfEpoch(learn.data, found, 1, start, start)
    >>> len(list(learn.data.train_dl)), len(list(learn.data.train_dl))
    (1, 2)
    """

    def __init__(self, data: Any, found: Any, n: int, at_epoch: Any, now: Any) -> None:
        self.data, self.dl, self.generators = data, data.train_dl, found
        self.n, self.at_epoch, self.now = n, at_epoch, now

    def __len__(self) -> int:
        return len(self.dl)

    def __iter__(self) -> Iterator[Any]:
        self.data.train_dl = self.dl
        set_random_state(self.generators, self.at_epoch)
        batches = iter(self.dl)
        for _ in islice(batches, self.n):
            pass
        set_random_state(self.generators, self.now)
        yield from batches

    def __getattr__(self, name: str) -> Any:
        return getattr(self.dl, name)


def resuming(learn: Any, callbacks: Sequence[Any], resume: bool | str) -> list[CheckpointCallback]:
    """Set ``resume`` of the CheckpointCallback in ``callbacks``, or return a new one.

    Parameters
    ----------
    learn : Learner
        The learner.
    callbacks : sequence of Callback
        The callbacks of a fit.
    resume : True or str
        True, or the name of the checkpoint.

    Returns
    -------
    list of CheckpointCallback
        Callbacks to add.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.ones((8, 2), np.float32)
    >>> learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4), Linear(2, 1, seed=0))
    >>> resuming(learn, [], "second")[0].name
    'second'
    """
    found = [callback for callback in callbacks if isinstance(callback, CheckpointCallback)]
    made = [] if found else [CheckpointCallback(learn)]
    for callback in (*found, *made):
        callback.resume = True
        callback.name = resume if isinstance(resume, str) else callback.name
    return made
