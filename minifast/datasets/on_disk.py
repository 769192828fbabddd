"""Ratings that stay on disk: a file of rows, and a loader that reads them in random order."""
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from weakref import finalize

import numpy as np

from ..autograd import Tensor
from ..backend import transfer
from ..checkpoints.durable import temporary_folder
from ..data import ArrayDataset, DataLoader
from ..data.loader import Batch

ROW = np.dtype([("user", np.int32), ("item", np.int32), ("rating", np.float32)])
"""One rating in the file, 12 bytes."""
BLOCK = 1 << 12
"""Number of rows that are read at once."""
BUFFER = 1 << 22
"""Number of rows that are shuffled in memory at a time."""


class DiskDataset(ArrayDataset):
    """Ratings in a file of rows; columns are mapped into memory when they are used.

    Parameters
    ----------
    path : Path
        The file.
    folder : object, optional
        An object that removes the file when it is deleted with the data set.

    Examples
    --------
    >>> folder = TemporaryFolder()
    >>> path = folder.path / "train.rows"
    >>> np.array([(1, 2, 5.), (3, 4, 1.)], ROW).tofile(path)
    >>> dataset = DiskDataset(path, folder)
    >>> len(dataset), dataset.y.tolist()
    (2, [5.0, 1.0])
    """

    def __init__(self, path: Path, folder: Any = None) -> None:
        self.path, self.folder, self.checked = path, folder, None
        self.n = path.stat().st_size // ROW.itemsize

    def __len__(self) -> int:
        return self.n

    def _column(self, name: str) -> Any:
        rows = np.memmap(self.path, ROW, "r") if self.n else np.zeros(0, ROW)
        return rows[name]

    @property
    def x(self) -> Any:  # type: ignore[override]
        """Users and items (n,), mapped into memory."""
        return [self._column("user"), self._column("item")]

    @property
    def y(self) -> Any:
        """Ratings (n,), mapped into memory."""
        return self._column("rating")

    def to(self, device: str) -> "DiskDataset":
        """Return this data set: its rows stay on disk, and batches go to the device."""
        return self


class BufferedLoader(DataLoader):
    """Batches of ratings on disk, with one buffer of rows in memory.

    To shuffle, the loader reads blocks of the file in random order until a buffer holds BUFFER
    rows, shuffles the buffer, and takes batches from it. Each pass has a new order and uses every
    row once. Rows that are far apart in the file can be in the same batch only if their blocks
    are in the same buffer, so the rows of the file should be in random order already.

    Parameters
    ----------
    dataset : DiskDataset
        The rows.
    bs : int
        Number of rows in a batch.
    shuffle : bool
        Whether each pass has a new random order.
    drop_last : bool
        Whether to leave out a last batch of fewer than `bs` rows.
    seed : int or numpy.random.Generator, optional
        Source of the random orders.
    device : str
        The device of the batches.

    Examples
    --------
    >>> folder = TemporaryFolder()
    >>> path = folder.path / "train.rows"
    >>> np.array([(1, 2, 5.), (3, 4, 1.), (1, 4, 2.)], ROW).tofile(path)
    >>> [yb.tolist() for xb, yb in BufferedLoader(DiskDataset(path, folder), bs=2)]
    [[5.0, 1.0], [2.0]]
    """

    def __init__(self, dataset: DiskDataset, bs: int, shuffle: bool = False,
                 drop_last: bool = False, seed: Any = None, device: str = "cpu") -> None:
        super().__init__(dataset, bs, shuffle, drop_last, seed)
        self.device = device

    def __iter__(self) -> Iterator[Batch]:
        dataset: Any = self.dataset
        starts = np.arange(0, len(dataset), BLOCK)
        if self.shuffle:
            self.rng.shuffle(starts)
        buffer, left = np.empty(min(BUFFER, len(dataset)) + self.bs, ROW), 0
        for some in np.split(starts, range(BUFFER // BLOCK, len(starts), BUFFER // BLOCK)):
            end = left + _read(dataset.path, some, buffer[left:])
            if self.shuffle:
                self.rng.shuffle(buffer[left:end])
            whole = end // self.bs * self.bs
            yield from self._batches(buffer[:whole])
            left = end - whole
            buffer[:left] = buffer[whole:end]
        if left and not self.drop_last:
            yield from self._batches(buffer[:left])

    def _batches(self, rows: Any) -> Iterator[Batch]:
        for start in range(0, len(rows), self.bs):
            some = rows[start:start + self.bs]
            user, item, rating = (Tensor(transfer(some[name].copy(), self.device))
                                  for name in ROW.names or ())
            yield [user, item], rating


def _read(path: Path, starts: Any, out: Any) -> int:
    """Read the blocks that begin at some rows of a file into an array; return their rows."""
    places, n = memoryview(out).cast("B"), 0
    with path.open("rb") as file:
        for start in starts.tolist():
            file.seek(start * ROW.itemsize)
            n += file.readinto(places[n:n + BLOCK * ROW.itemsize])
    return n // ROW.itemsize


class TemporaryFolder:
    """A temporary folder that is removed when this object is deleted; copies are this object.

    If the process is killed, the folder stays until the next one is made next to it.

    Parameters
    ----------
    parent : Path, optional
        Where to make it, by default among the system's temporary folders.

    Examples
    --------
    >>> folder = TemporaryFolder()
    >>> folder.path.is_dir()
    True
    """

    def __init__(self, parent: Path | None = None) -> None:
        until_deleted = ExitStack()
        self.path = until_deleted.enter_context(
            temporary_folder(Path(gettempdir() if parent is None else parent), ".minifast-rows-"))
        finalize(self, until_deleted.close)

    def __copy__(self) -> "TemporaryFolder":
        return self

    def __deepcopy__(self, memo: Any) -> "TemporaryFolder":
        return self
