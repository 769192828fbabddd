"""ShardedLoader: the rows of each joint batch that belong to one rank."""
from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np

from ..backend import backend_of
from ..data import ArrayDataset, DataLoader
from ..data.loader import Batch, to_tensors
from ..train.callback import listify
from .communicator import Communicator


class Shards:
    """The size of the current joint batch, and of this rank's part of it, for loaders.

    Parameters
    ----------
    comm : Communicator
        The ranks.

    Attributes
    ----------
    rows : int
        Rows of the current joint batch, that is, on all ranks; 0 outside a pass.
    own : int
        How many of them belong to this rank. If a short last batch has no row for a rank, the
        rank computes one row of it, which does not count.
    active : int
        How many epochs or validations are running, one within the other. Outside them,
        batches have the rows of all ranks.

    Examples
    --------
    >>> from minifast.distributed import world
    >>> shards = Shards(world())
    >>> shards.rows, shards.own
    (0, 0)
    """

    def __init__(self, comm: Communicator) -> None:
        self.comm, self.rows, self.own, self.active = comm, 0, 0, 0

    def part(self, n: int) -> slice:
        """Return which of the ``n`` rows of a joint batch this rank reads, at least one.

        Parameters
        ----------
        n : int
            Rows of the joint batch.

        Returns
        -------
        slice
            The rows of this rank; outside a fit, all of them.

        Examples
        --------
        >>> from minifast.distributed import world
        >>> Shards(world()).part(10)
        slice(None, 10, None)
        """
        if not self.active:
            return slice(n)
        rank, size = self.comm.rank, self.comm.size
        start, stop = n * rank // size, n * (rank + 1) // size
        self.rows, self.own = n, stop - start
        return slice(start, stop) if stop > start else slice(1)

    def done(self) -> None:
        """Forget the batch at the end of a pass."""
        self.rows = self.own = 0


class ShardedLoader(DataLoader):
    """One rank's rows of each joint batch, the batch that all ranks read together.

    With ``n`` ranks, a joint batch has ``n * bs`` rows. They are the rows that one process with
    this batch size would read, because all ranks draw the same order from the same generator.

    Parameters
    ----------
    dl : DataLoader
        The loader, with the batch size of one rank.
    shards : Shards
        Holds the sizes of the current batch.

    See Also
    --------
    torch.utils.data.distributed.DistributedSampler : The counterpart.

    Examples
    --------
    >>> from minifast.distributed import world
    >>> dl = DataLoader(ArrayDataset(np.arange(5.), np.arange(5.)), bs=2)
    >>> [len(yb) for xb, yb in ShardedLoader(dl, Shards(world()))]
    [2, 2, 1]
    """

    def __init__(self, dl: DataLoader, shards: Shards) -> None:
        self.dl, self.shards = dl, shards
        self.rng = dl.rng  # checkpoints look for generators among the attributes

    def __getattr__(self, name: str) -> Any:
        if name in ("dl", "shards"):  # while a copy is made
            raise AttributeError(name)
        return getattr(self.dl, name)

    @property
    def dataset(self) -> ArrayDataset:
        """The rows of all ranks."""
        return self.dl.dataset

    @dataset.setter
    def dataset(self, dataset: ArrayDataset) -> None:
        self.dl.dataset = dataset

    @property
    def bs(self) -> int:
        """Rows of a batch of one rank."""
        return self.dl.bs

    @bs.setter
    def bs(self, bs: int) -> None:
        self.dl.bs = bs

    @property
    def rows(self) -> int:
        """Rows of the current joint batch."""
        return self.shards.rows

    @property
    def joint(self) -> DataLoader:
        """A loader of the joint batches, as one process would read them."""
        return _joint(self.dl, self.shards.comm.size)

    def __len__(self) -> int:
        return len(self.joint)

    def __iter__(self) -> Iterator[Batch]:
        joint = self.joint
        order = joint._shuffled() if joint.shuffle else \
            backend_of(joint.dataset.y).from_host(np.arange(len(joint.dataset)))
        try:
            for start in range(0, len(joint) * joint.bs, joint.bs):
                rows = order[start:start + joint.bs]
                xb, yb = joint.dataset[rows[self.shards.part(len(rows))]]
                yield to_tensors((xb, yb), backend_of(order).name)
        finally:
            self.shards.done()


class ShardedBatches:
    """One rank's rows of the batches of any other loader; every rank reads whole batches.

    Parameters
    ----------
    dl : sized iterable of (xb, yb)
        The loader. Its batches are the joint batches; each rank takes its rows of them.
    shards : Shards
        Holds the sizes of the current batch.

    Examples
    --------
    >>> from minifast.distributed import world
    >>> batches = [(np.zeros((4, 2)), np.zeros(4))]
    >>> [len(yb) for xb, yb in ShardedBatches(batches, Shards(world()))]
    [4]
    """

    def __init__(self, dl: Any, shards: Shards) -> None:
        self.dl, self.shards, self.rng = dl, shards, getattr(dl, "rng", None)

    def __getattr__(self, name: str) -> Any:
        if name in ("dl", "shards"):  # while a copy is made
            raise AttributeError(name)
        return getattr(self.dl, name)

    def __len__(self) -> int:
        return len(self.dl)

    @property
    def rows(self) -> int:
        """Rows of the current joint batch."""
        return self.shards.rows

    def __iter__(self) -> Iterator[Any]:
        try:
            for xb, yb in self.dl:
                part = self.shards.part(len(listify(yb)[0]))
                yield _take(xb, part), _take(yb, part)
        finally:
            self.shards.done()


def _take(batch: Any, part: slice) -> Any:
    return [x[part] for x in batch] if isinstance(batch, (list, tuple)) else batch[part]


def sharded(dl: Any, shards: Shards) -> Any:
    """Return a loader of one rank's rows.

    Parameters
    ----------
    dl : DataLoader or sized iterable of (xb, yb)
        The loader; if it is sharded, the loader that it wraps is sharded anew.
    shards : Shards
        Holds the sizes of the current batch.

    Returns
    -------
    ShardedLoader or ShardedBatches
        The loader of this rank's rows.

    Examples
    --------
    >>> from minifast.distributed import world
    >>> type(sharded([], Shards(world()))).__name__
    'ShardedBatches'
    """
    if isinstance(dl, (ShardedLoader, ShardedBatches)):  # learners may share their data
        return dl if dl.shards is shards else type(dl)(dl.dl, shards)
    if isinstance(dl, DataLoader):
        if type(dl).__iter__ is DataLoader.__iter__:
            return ShardedLoader(dl, shards)
        dl = _joint(dl, shards.comm.size)
    return ShardedBatches(dl, shards)


def _joint(dl: DataLoader, size: int) -> DataLoader:
    """Return a loader with a larger batch size; a loader inside it also gets this size."""
    joint: Any = copy(dl)
    joint.bs = dl.bs * size
    if isinstance(inner := vars(joint).get("dl"), DataLoader):
        joint.dl = _joint(inner, size)
    return joint  # type: ignore[no-any-return]
