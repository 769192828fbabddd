"""DistributedTrainer: the callback that trains one model on all ranks."""
import pickle
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from zlib import crc32

import numpy as np

from ..autograd import Tensor
from ..backend import Array, transfer
from ..data import ArrayDataset
from ..nn.module import Buffer
from ..train import Learner, LearnerCallback
from ..train.callback import Changes
from .communicator import Communicator
from .gradients import sum_gradients
from .loader import Shards, sharded

LARGE = 1 << 26
"""The checksum of a column with more bytes than this is computed from a sample of its rows."""


class DistributedTrainer(LearnerCallback):
    """Train one model on all ranks, each on its rows of every batch.

    ``n`` ranks with a batch size of ``bs`` compute the same as one process with ``n * bs``. The
    loss of each rank is weighted by its share of the rows, and gradients are summed over the
    ranks before the step. In validation, outputs and targets of all ranks are joined, so losses
    and metrics are computed from all rows. The weights are bit-identical on all ranks.

    Parameters
    ----------
    learn : Learner
        The learner. Its training data are sharded from now on.
    comm : Communicator
        The ranks.

    Raises
    ------
    ValueError
        At the start of a fit, if ranks differ in version, model, data or arguments; at the end of
        an epoch, if their weights differ.

    Notes
    -----
    fastai v1's ``DistributedTrainer`` around torch's ``DistributedDataParallel``.

    Examples
    --------
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.distributed import world
    >>> from minifast.nn import Linear
    >>> rows = ArrayDataset(np.ones((4, 2), np.float32), np.ones(4, np.float32))
    >>> learn = Learner(DataBunch.create(rows, bs=2, device="cpu"), Linear(2, 1, seed=0))
    >>> learn.callbacks = [DistributedTrainer(learn, world())]
    >>> with learn.no_logging():
    ...     learn.fit(1, 1e-2)
    """

    _order = -15  # after accumulation, before the recorder and what uses gradients

    def __init__(self, learn: Learner, comm: Communicator) -> None:
        super().__init__(learn)
        self.comm = comm
        self.train, self.valid = Shards(comm), Shards(comm)
        self.apart = False  # whether running statistics may differ among ranks
        self.shard()

    def shard(self) -> None:
        """Shard the loaders for training and validation."""
        data = self.learn.data
        data.train_dl = sharded(data.train_dl, self.train)
        data.valid_dl = sharded(data.valid_dl or [], self.valid)

    # ---- the beginning and the end

    def on_train_begin(self, n_epochs: int, callbacks: Any = ()) -> None:
        learn = self.learn
        self.shard()
        self.train.done()  # a validation within a training batch does not belong to it
        self.sums = getattr(learn.loss_func, "reduction", "mean") == "sum"
        check_alike(self.comm, {**description(learn), "number of epochs": n_epochs,
                                "callbacks": [type(cb).__name__ for cb in callbacks]})
        self.broadcast()

    def broadcast(self) -> None:
        """Give rank 0's weights and optimizer state to all ranks, unless all have the same."""
        learn = self.learn
        state = learn.model.state_dict(), learn.opt and learn.opt.state_dict()
        if len(set(self.comm.objects(_checksum_of_all(state)))) == 1:
            return
        weights, opt = self.comm.from_first(state)
        learn.model.load_state_dict(weights)
        if learn.opt is not None:
            learn.opt.load_state_dict(opt)
            getattr(learn.opt, "restart", int)()  # of the fast path

    def on_train_end(self, exception: BaseException | bool) -> None:
        if exception and self.comm.size > 1:
            self.comm.abort_after(exception)

    def on_epoch_begin(self, epoch: int, callbacks: Any) -> None:
        check_alike(self.comm, {"epoch": epoch})
        for shards in (self.train, self.valid):
            shards.active += 1
        self.same_random_state(callbacks)

    def same_random_state(self, callbacks: Any) -> None:
        """Give rank 0's random state to the loader, layers and callbacks of all ranks.

        Parameters
        ----------
        callbacks : list of Callback
            The callbacks of the fit.

        Examples
        --------
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.distributed import world
        >>> from minifast.nn import Linear
        >>> rows = ArrayDataset(np.ones((4, 2), np.float32), np.ones(4, np.float32))
        >>> learn = Learner(DataBunch.create(rows, bs=2, device="cpu"), Linear(2, 1, seed=0))
        >>> DistributedTrainer(learn, world()).same_random_state([])
        """
        layers = _generators(self.learn.model.modules())
        all_of_them = (*layers, *_generators([self.learn.data.train_dl, *callbacks]))
        states = self.comm.from_first([rng.bit_generator.state for rng in all_of_them])
        for rng, state in zip(all_of_them, states, strict=True):
            rng.bit_generator.state = state
        self.own = layers

    def on_epoch_end(self) -> None:
        for shards in (self.train, self.valid):
            shards.active -= 1
        self.average_statistics()
        weights = self.learn.model.state_dict()
        check_alike(self.comm, {f"values of {name}": _checksum(array)
                                for name, array in weights.items()})

    # ---- a batch

    def on_batch_begin(self, train: bool, smoothener: Any) -> None:
        while self.own:  # layers draw other numbers on each rank; a resumed epoch begins here
            rng: Any = self.own.pop()
            rng.bit_generator.state = rng.bit_generator.jumped(self.comm.rank).state
        self.shards = self.valid if self.valid.rows else self.train
        self.average = smoothener.average
        if not train and self.apart:
            self.average_statistics()
        self.apart = train

    def average_statistics(self) -> None:
        """Replace the running statistics of batch norm by their means over all ranks."""
        for module in self.learn.model.modules():
            for buffer in vars(module).values():
                if isinstance(buffer, Buffer) and buffer.data.dtype.kind == "f":
                    first, *others = self.comm.gather(buffer.data[None])
                    change = sum(other - first for other in others) / self.comm.size
                    buffer.data[...] = (first + change)[0]  # equal values stay as they are
        self.apart = False

    def on_loss_begin(self, train: bool, last_output: Any, last_target: Any) -> Changes:
        if train or not self.shards.rows:  # a loader that is not sharded: all ranks have all rows
            return None
        return {"last_output": self._joint(last_output), "last_target": self._joint(last_target)}

    def _joint(self, value: Any) -> Any:
        """Return the rows of all ranks, without one that does not count."""
        if isinstance(value, (list, tuple)):
            return type(value)(self._joint(item) for item in value)
        rows = value.data[:self.shards.own]
        return Tensor(np.concatenate(self.comm.gather(rows)))

    def on_backward_begin(self, last_loss: Tensor, smoothener: Any) -> Changes:
        if not self.shards.rows:
            raise RuntimeError("this batch is not divided among the ranks: the training loader was "
                               "replaced during the fit. Replace data.train_dl before it")
        share = min(self.shards.own, 1) if self.sums else \
            self.shards.own / max(self.shards.rows, 1)
        total = self.comm.sum(np.array([float(last_loss) * share if share else 0.]))[0]
        self.total = last_loss.dtype.type(total)
        smoothener.average = smoothener.beta * self.average + (1 - smoothener.beta) * self.total
        smooth = Tensor(smoothener.average / (1 - smoothener.beta ** smoothener.n))
        if not np.isfinite(total):
            share = total  # then all ranks see that the loss of one of them is not finite
        return {"last_loss": last_loss * share, "smooth_loss": smooth}

    def on_backward_end(self, skip_bwd: bool = False, skip_step: bool = False) -> Changes:
        if not (skip_bwd or skip_step):
            sum_gradients(self.comm, self.learn.model, self.learn.optimizer, self.shards.rows)
        return {"last_loss": Tensor(np.asarray(self.total))}


# ---------------------------------------------------------------- what must be the same


def check_alike(comm: Communicator, values: Mapping[str, Any]) -> None:
    """Check that values are the same on all ranks.

    Parameters
    ----------
    comm : Communicator
        The ranks.
    values : dict of str to object
        The values, by what they mean.

    Raises
    ------
    ValueError
        If a value differs; the error is raised on all ranks.

    Examples
    --------
    >>> from minifast.distributed import world
    >>> check_alike(world(), {"batch size": 64})
    """
    first, *others = comm.objects(dict(values))
    for rank, found in enumerate(others, start=1):
        for name in (*first, *found):
            if first.get(name) != found.get(name):
                raise ValueError(f"rank {rank} differs from rank 0 in {name}: {found.get(name)} "
                                 f"and {first.get(name)}. All ranks must run the same program on "
                                 "the same data")


def description(learn: Learner) -> dict[str, Any]:
    """Return the values that must be the same on all ranks when a fit begins.

    Parameters
    ----------
    learn : Learner
        The learner.

    Returns
    -------
    dict of str to object
        The values, by what they mean.

    Examples
    --------
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.distributed import world
    >>> from minifast.nn import Linear
    >>> rows = ArrayDataset(np.ones((4, 2), np.float32), np.ones(4, np.float32))
    >>> learn = Learner(DataBunch.create(rows, bs=2, device="cpu"), Linear(2, 1, seed=0))
    >>> description(learn)["parameter weight"]
    '(1, 2) float32'
    """
    from .. import __version__
    parameters = {f"parameter {name}": f"{p.shape} {p.dtype}{'' if p.requires_grad else ' frozen'}"
                  for name, p in learn.model.named_parameters()}
    sizes = {"number of batches": len(learn.data.train_dl),
             "number of validation batches": len(learn.data.valid_dl or [])}
    opt = learn.opt and {name: learn.opt.get_hyper(name) for name in learn.opt.hypers[-1]}
    return {"minifast's version": __version__, "NumPy's version": np.__version__,
            **parameters, **sizes, "hyper-parameters": opt,
            "the fast path": learn.fast, "the training data": list(_digest(learn.data.train_dl)),
            "the validation data": list(_digest(learn.data.valid_dl))}


def _digest(dl: Any) -> Iterator[int]:
    """Yield a checksum of each array of a loader's data set."""
    ds = getattr(dl, "dataset", None)
    if isinstance(ds, ArrayDataset):
        columns: list[Array] = [*(ds.x if isinstance(ds.x, list) else [ds.x]), ds.y]
        for column in columns:
            step = max(column.nbytes // LARGE, 1)
            yield _checksum(transfer(column[::step], "cpu"))


def _generators(owners: Iterable[Any]) -> list[np.random.Generator]:
    found = [getattr(owner, "rng", None) for owner in owners]
    return [rng for rng in found if isinstance(rng, np.random.Generator)]


def _checksum(array: Any) -> int:
    return crc32(np.ascontiguousarray(array).data)


def _checksum_of_all(state: Any) -> int:
    """Return a checksum of an object and of all arrays in it."""
    buffers: list[pickle.PickleBuffer] = []
    found = crc32(pickle.dumps(state, protocol=5, buffer_callback=buffers.append))
    for buffer in buffers:
        found = crc32(buffer.raw(), found)
    return found
