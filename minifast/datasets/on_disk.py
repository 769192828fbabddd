"""Ratings that stay on disk: a file of rows, and a loader that reads them in random order."""
from collections.abc import Iterable, Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any
from weakref import finalize

import numpy as np

from ..autograd import Tensor
from ..backend import transfer
from ..data import ArrayDataset, DataLoader
from ..data.categories import Categories
from ..data.loader import Batch
from ..data.ratings import read_numbers
from .streaming import LabelColumn

ROW = np.dtype([("user", np.int32), ("item", np.int32), ("rating", np.float32)])
"""One rating in the file, 12 bytes."""
BLOCK = 1 << 10
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

    def read(self, start: int, n: int) -> Any:
        """Return rows as an array of records.

        Parameters
        ----------
        start, n : int
            The first row, and how many to read.

        Returns
        -------
        array of ROW (n or fewer,)
            The rows.

        Examples
        --------
        >>> folder = TemporaryFolder()
        >>> path = folder.path / "train.rows"
        >>> np.array([(1, 2, 5.), (3, 4, 1.)], ROW).tofile(path)
        >>> DiskDataset(path, folder).read(1, 5).tolist()
        [(3, 4, 1.0)]
        """
        return np.fromfile(self.path, ROW, n, offset=start * ROW.itemsize)


class BufferedLoader(DataLoader):
    """Batches of ratings on disk, with one buffer of rows in memory.

    To shuffle, the loader reads blocks of the file in random order until a buffer holds BUFFER
    rows, shuffles the buffer, and takes batches from it. Each pass has a new order and uses every
    row once. Rows that are far apart in the file can be in the same batch only if their blocks
    are in the same buffer.

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
        rest = np.zeros(0, ROW)
        for rows in self._buffers():
            rows = np.concatenate([rest, rows])
            whole = len(rows) // self.bs * self.bs
            yield from self._batches(rows[:whole])
            rest = rows[whole:]
        if len(rest) and not self.drop_last:
            yield from self._batches(rest)

    def _buffers(self) -> Iterator[Any]:
        """Yield all rows, in shuffled buffers or in order."""
        dataset: Any = self.dataset
        starts = np.arange(0, len(dataset), BLOCK)
        if self.shuffle:
            self.rng.shuffle(starts)
        for first in range(0, len(starts), BUFFER // BLOCK):
            some = starts[first:first + BUFFER // BLOCK]
            rows = np.concatenate([dataset.read(start, BLOCK) for start in some.tolist()])
            yield rows[self.rng.permutation(len(rows))] if self.shuffle else rows

    def _batches(self, rows: Any) -> Iterator[Batch]:
        users, items, ratings = (np.ascontiguousarray(rows[name]) for name in ROW.names or ())
        for start in range(0, len(rows), self.bs):
            part = slice(start, start + self.bs)
            xb = [Tensor(transfer(column[part].copy(), self.device)) for column in (users, items)]
            yield xb, Tensor(transfer(ratings[part].copy(), self.device))


def write_columns(pieces: Iterable[Any], valid_pct: float, seed: Any, folder: Path | None
                  ) -> tuple[list[Categories], str, DiskDataset, DiskDataset]:
    """Write ratings that are given in pieces to a training file and a validation file.

    Each row becomes a validation row with probability ``valid_pct``, independently of the others.

    Parameters
    ----------
    pieces : iterable of (str, Series, Series, Series)
        For each piece, where it comes from, and its users, items and ratings.
    valid_pct : float
        Share of the validation rows.
    seed : int, optional
        Seed of the split.
    folder : Path, optional
        The folder to write to; by default, a temporary folder that is removed with the data.

    Returns
    -------
    categories : list of Categories
        The labels of users and items in the training rows.
    rating_name : str
        Name of the column of ratings.
    train, valid : DiskDataset
        The rows.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"user": [1, 2], "film": ["Brazil", "Alien"], "rating": [4., 5.]})
    >>> piece = "", df["user"], df["film"], df["rating"]
    >>> cats, name, train, valid = write_columns([piece], valid_pct=0, seed=0, folder=None)
    >>> cats[1].classes.tolist(), name, len(train), len(valid)
    (['#na#', 'Alien', 'Brazil'], 'rating', 2, 0)
    """
    owner: Any = TemporaryFolder(folder)
    paths = [owner.path / "train.rows", owner.path / "valid.rows"]
    rng = np.random.default_rng(seed)
    labels, seen = (LabelColumn(), LabelColumn()), (Seen(), Seen())
    with paths[0].open("wb") as train, paths[1].open("wb") as valid:
        for where, *columns, rating in pieces:
            rows = np.empty(len(rating), ROW)
            rows["rating"] = read_numbers(rating, where)
            for name, label, column in zip(ROW.names or (), labels, columns, strict=False):
                label.append(column, where)
                rows[name] = label.pop_codes()
            drawn = rng.random(len(rows)) < valid_pct
            rows[drawn].tofile(valid)
            kept = rows[~drawn]
            kept.tofile(train)
            for name, known in zip(ROW.names or (), seen, strict=False):
                known.add(kept[name])
    cats, final = zip(*(label.categories(known.array, where)
                        for label, known in zip(labels, seen, strict=True)), strict=True)
    for path in paths:
        _renumber(path, final)
    if folder is not None:  # only now, so that files in the folder are complete
        paths, owner = [path.replace(Path(folder, path.name)) for path in paths], None
    train_ds, valid_ds = (DiskDataset(path, owner) for path in paths)
    return list(cats), str(rating.name), train_ds, valid_ds


class TemporaryFolder:
    """A temporary folder that is removed when this object is deleted; copies are this object.

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
        if parent is not None:
            Path(parent).mkdir(parents=True, exist_ok=True)
        self.path = Path(mkdtemp(prefix="minifast-", dir=parent))
        finalize(self, rmtree, self.path, ignore_errors=True)

    def __copy__(self) -> "TemporaryFolder":
        return self

    def __deepcopy__(self, memo: Any) -> "TemporaryFolder":
        return self


class Seen:
    """Which codes have occurred, in an array that grows as needed."""

    def __init__(self) -> None:
        self.array = np.zeros(1, bool)

    def add(self, codes: Any) -> None:
        """Mark codes as seen; -1 is ignored.

        Parameters
        ----------
        codes : array (n,) of int
            The codes.

        Examples
        --------
        >>> seen = Seen()
        >>> seen.add(np.array([0, 2, -1]))
        >>> np.flatnonzero(seen.array)
        array([0, 2])
        """
        size = int(codes.max(initial=-1)) + 1
        if size > len(self.array):
            self.array = np.append(self.array, np.zeros(max(size, 2 * len(self.array)), bool))
        self.array[codes[codes >= 0]] = True


def _renumber(path: Path, final: Any) -> None:
    """Replace the numbers of labels in a file by those of the sorted labels."""
    with path.open("r+b") as file:
        while len(rows := np.fromfile(file, ROW, BUFFER // 4)):
            for name, numbers in zip(ROW.names or (), final, strict=False):
                rows[name] = numbers[rows[name]]
            file.seek(-rows.nbytes, 1)
            rows.tofile(file)
            file.flush()
            file.seek(0, 1)
