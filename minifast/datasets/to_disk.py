"""Ratings that arrive in pieces and are written to files in random order."""
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..data.categories import Categories
from ..data.ratings import read_numbers
from .on_disk import ROW, DiskDataset, TemporaryFolder
from .streaming import LabelColumn

PARTS = 64
"""Number of files that are shuffled, one after the other."""


def write_columns(pieces: Iterable[Any], valid_pct: float, seed: Any, folder: Path | None
                  ) -> tuple[list[Categories], str, DiskDataset, DiskDataset]:
    """Write ratings that are given in pieces to a training file and a validation file.

    Each row becomes a validation row with probability ``valid_pct``, independently of the others
    and of the division into pieces. Both files hold their rows in random order, so that
    neighbouring rows do not belong to one user.

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
    rng = np.random.default_rng(seed)
    files = [ShuffledFile(owner.path / name, order)
             for name, order in zip(("train.rows", "valid.rows"), rng.spawn(2), strict=True)]
    labels, seen = (LabelColumn(), LabelColumn()), (Seen(), Seen())
    for where, *columns, rating in pieces:
        rows = np.empty(len(rating), ROW)
        rows["rating"] = read_numbers(rating, where)
        for name, label, column in zip(ROW.names or (), labels, columns, strict=False):
            label.append(column, where)
            rows[name] = label.pop_codes()
        drawn = rng.random(len(rows)) < valid_pct
        for file, part in zip(files, (rows[~drawn], rows[drawn]), strict=True):
            file.append(part)
        for name, known in zip(ROW.names or (), seen, strict=False):
            known.add(rows[name][~drawn])
    cats, final = zip(*(label.categories(known.array, where)
                        for label, known in zip(labels, seen, strict=True)), strict=True)
    paths = [file.finish(final) for file in files]
    if folder is not None:  # only now, so that files in the folder are complete
        paths, owner = [path.replace(Path(folder, path.name)) for path in paths], None
    train_ds, valid_ds = (DiskDataset(path, owner) for path in paths)
    return list(cats), str(rating.name), train_ds, valid_ds


class ShuffledFile:
    """A file of rows in random order, written without having all of them in memory.

    Each row goes to one of PARTS files at random. In the end, each of these is read, shuffled,
    and appended to the file, so that all orders are equally likely.

    Parameters
    ----------
    path : Path
        The file. The parts are next to it until it is complete.
    rng : numpy.random.Generator
        Source of the random order.

    Examples
    --------
    >>> folder = TemporaryFolder()
    >>> file = ShuffledFile(folder.path / "train.rows", np.random.default_rng(0))
    >>> file.append(np.array([(0, 1, 5.), (1, 0, 3.)], ROW))
    >>> file.append(np.array([(1, 1, 4.)], ROW))
    >>> path = file.finish([np.array([2, 1, 0]), np.array([1, 2, 0])])
    >>> sorted(np.fromfile(path, ROW).tolist())
    [(1, 1, 3.0), (1, 2, 4.0), (2, 2, 5.0)]
    """

    def __init__(self, path: Path, rng: np.random.Generator) -> None:
        self.path, self.rng = path, rng
        self.parts = [path.with_suffix(f".{i}") for i in range(PARTS)]

    def append(self, rows: Any) -> None:
        """Distribute rows among the parts.

        Parameters
        ----------
        rows : array of ROW (n,)
            The rows.

        Examples
        --------
        >>> folder = TemporaryFolder()
        >>> file = ShuffledFile(folder.path / "train.rows", np.random.default_rng(0))
        >>> file.append(np.array([(0, 1, 5.)], ROW))
        >>> sum(part.stat().st_size for part in file.parts)
        12
        """
        counts = self.rng.multinomial(len(rows), [1 / PARTS] * PARTS)
        shuffled = rows[self.rng.permutation(len(rows))]
        for part, some in zip(self.parts, np.split(shuffled, counts.cumsum()[:-1]), strict=True):
            with part.open("ab") as file:
                some.tofile(file)

    def finish(self, final: Any) -> Path:
        """Write the file and remove its parts.

        Parameters
        ----------
        final : sequence of array of int
            For users and for items: the number that replaces each number.

        Returns
        -------
        Path
            The file.

        Examples
        --------
        >>> folder = TemporaryFolder()
        >>> file = ShuffledFile(folder.path / "train.rows", np.random.default_rng(0))
        >>> file.append(np.array([(0, 1, 5.)], ROW))
        >>> np.fromfile(file.finish([np.array([7, 8]), np.array([7, 8])]), ROW).tolist()
        [(7, 8, 5.0)]
        """
        with self.path.open("wb") as file:
            for part in self.parts:
                rows = np.fromfile(part, ROW)
                for name, numbers in zip(ROW.names or (), final, strict=False):
                    rows[name] = numbers[rows[name]]
                rows[self.rng.permutation(len(rows))].tofile(file)
                part.unlink()
        return self.path


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
