"""Class methods that this package adds to CollabDataBunch: ratings in pieces or in parts."""
from array import array
from collections.abc import Iterable, Iterator
from contextlib import closing
from inspect import signature
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import ArrayDataset, CollabDataBunch, DataLoader, random_split, split_by_idx
from ..data.categories import check_columns
from ..data.ratings import column_names, read_numbers
from ..data.split import check_valid_pct
from .files import CHUNK, csv_chunks, parquet_chunks
from .on_disk import BufferedLoader
from .streaming import LabelColumn, take
from .to_disk import write_columns

if TYPE_CHECKING:
    import pandas as pd


def from_pieces(cls: type[CollabDataBunch], pieces: "Iterable[pd.DataFrame]",
                valid_pct: float = .2, user_name: str | None = None, item_name: str | None = None,
                rating_name: str | None = None, test: "pd.DataFrame | None" = None,
                seed: int | None = None, path: Any = ".", bs: int = 64, val_bs: int | None = None,
                device: str | None = None, source: str = "the ratings",
                valid_idx: Iterable[int] | None = None, in_memory: bool = True,
                folder: Any = None) -> CollabDataBunch:
    """Make batches from frames that arrive one after the other.

    The result is that of ``from_df`` with all of them in one frame, but only one piece has to
    be in memory at a time. Afterwards, a rating takes 12 bytes.

    Parameters
    ----------
    pieces : iterable of pandas.DataFrame
        The ratings. The first piece decides which columns are taken.
    valid_pct, user_name, item_name, rating_name, test, seed, path, bs, val_bs, device : optional
        As in ``from_df``.
    source : str
        What error messages call the pieces.
    valid_idx : iterable of int, optional
        Positions of the validation rows, counted through all pieces.
    in_memory : bool
        Whether the ratings are kept in memory. With False, they are written to a file in random
        order, and batches are read from there through a buffer that is shuffled; see
        `minifast.datasets.on_disk.BufferedLoader`.
    folder : path, optional
        Where to write the files of ``in_memory=False``; by default a temporary folder that is
        removed when the data are deleted.

    Returns
    -------
    CollabDataBunch
        Its training and validation rows are two parts of the same three arrays.

    Raises
    ------
    TypeError
        If a piece is not a frame, or a column mixes types of labels.
    UnknownColumnError, ValueError
        As in ``from_df``, and if ``valid_idx`` is given for ratings that stay on disk.

    Examples
    --------
    >>> import pandas as pd
    >>> halves = (pd.DataFrame({"user": [user] * 2, "item": ["a", "b"], "rating": [5, 3]})
    ...           for user in (7, 3))
    >>> CollabDataBunch.from_pieces(halves, valid_pct=0, bs=2).classes["user"].tolist()
    ['#na#', '3', '7']
    """
    check_valid_pct(valid_pct)
    found = _columns(pieces, [user_name, item_name, rating_name], test, source)
    options = {"path": path, "bs": bs, "val_bs": val_bs, "device": device, "seed": seed}
    if not in_memory:
        if valid_idx is not None:
            raise ValueError("ratings that stay on disk are split row by row: give valid_pct, not "
                             "valid_idx")
        return _on_disk(cls, found, valid_pct, folder, test, options)
    labels, y = (LabelColumn(), LabelColumn()), array("f")
    for where, *columns, rating in found:
        y.frombytes(read_numbers(rating, where).tobytes())
        for label, column in zip(labels, columns, strict=True):
            label.append(column, where)
    train, valid = random_split(len(y), valid_pct, seed) if valid_idx is None else \
        (rows.astype(np.int32) for rows in split_by_idx(len(y), valid_idx))
    n, order = len(train), np.concatenate([train, valid])
    del train, valid  # order has them
    ratings = take(np.asarray(y), order)
    del y
    categories, codes = zip(*(label.finish(order, n, f"{source}: ") for label in labels),
                            strict=True)
    rows = ArrayDataset(codes, ratings)
    return cls.from_encoded(list(categories), rating.name, ArrayDataset(*rows[:n]),
                            ArrayDataset(*rows[n:]), test, **options)


def _on_disk(cls: type[CollabDataBunch], pieces: Iterator[Any], valid_pct: float, folder: Any,
             test: "pd.DataFrame | None", options: dict[str, Any]) -> CollabDataBunch:
    """Make batches of ratings that stay in files."""
    cats, name, train, valid = write_columns(pieces, valid_pct, options["seed"], folder)
    data = cls.from_encoded(cats, name, train, valid, test, **options)
    bs, dl = options["bs"], data.train_dl
    rng = dl.rng if isinstance(dl, DataLoader) else None
    val_bs = options["val_bs"] or bs
    data.train_dl = BufferedLoader(train, bs, True, True, rng, data.device)
    data.fix_dl = BufferedLoader(train, val_bs, device=data.device)
    data.valid_dl = BufferedLoader(valid, val_bs, device=data.device)
    return data


OPTIONS = signature(from_pieces).parameters.keys() - {"cls", "pieces"}


def from_csv(cls: Any, file: Any, chunksize: int = CHUNK, **kwargs: Any) -> CollabDataBunch:
    r"""Make batches from a CSV file, without having all of it in memory.

    Parameters
    ----------
    file : path or file object
        The ratings. MovieLens 25M is
        ``CollabDataBunch.from_csv("ml-25m/ratings.csv", seed=42, bs=4096)``.
    chunksize : int
        Rows to read at a time.
    **kwargs
        Arguments of ``from_df`` and of ``pandas.read_csv``.

    Returns
    -------
    CollabDataBunch
        As ``from_pieces`` returns it.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    TypeError, UnknownColumnError, ValueError
        As in ``from_pieces``; ValueError also if pandas cannot read the file.

    Examples
    --------
    >>> from io import StringIO
    >>> text = StringIO("1::b::5::978300760\n1::a::3::978302109\n2::b::4::978301968")
    >>> names = ["userId", "movieId", "rating", "timestamp"]
    >>> data = CollabDataBunch.from_csv(text, valid_pct=0, bs=2, sep="::", header=None,
    ...                                 names=names, engine="python")
    >>> data.classes["movieId"].tolist()
    ['#na#', 'a', 'b']
    """
    ours = {name: kwargs.pop(name) for name in OPTIONS & kwargs.keys()}
    with closing(csv_chunks(file, chunksize, **kwargs)) as chunks:
        return from_pieces(cls, chunks, **{"source": _name(file), **ours})


def from_parquet(cls: Any, file: Any, chunksize: int = CHUNK, **kwargs: Any) -> CollabDataBunch:
    """Make batches from three columns of a Parquet file, without having all of it in memory.

    It needs pyarrow: ``pip install 'minifast[parquet]'``.

    Parameters
    ----------
    file : path
        The ratings.
    chunksize : int
        Rows to read at a time.
    **kwargs
        Arguments of ``from_df``.

    Returns
    -------
    CollabDataBunch
        As ``from_pieces`` returns it.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ImportError
        If pyarrow is not installed.
    TypeError, UnknownColumnError, ValueError
        As in ``from_pieces``; ValueError also if pyarrow cannot read the file.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> rows = [(1, "a", 5.), (1, "b", 3.), (2, "a", 4.), (2, "b", 1.)]
    >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ratings.to_parquet(f"{folder}/ratings.parquet")
    ...     data = CollabDataBunch.from_parquet(f"{folder}/ratings.parquet", valid_pct=.25, bs=2)
    >>> len(data.train_ds), len(data.valid_ds)
    (3, 1)
    """
    wanted = [kwargs.get(name) for name in ("user_name", "item_name", "rating_name")]
    with closing(parquet_chunks(file, chunksize, wanted)) as chunks:
        return from_pieces(cls, chunks, **{"source": _name(file), **kwargs})


def from_frames(cls: type[CollabDataBunch], train: "pd.DataFrame",
                valid: "pd.DataFrame | None" = None, test: "pd.DataFrame | None" = None,
                **kwargs: Any) -> CollabDataBunch:
    """Make batches from a split that is given as frames.

    Parameters
    ----------
    train, valid, test : pandas.DataFrame
        The ratings of each part, with the same columns. ``learn.validate()`` measures the
        validation rows, ``learn.validate(data.test_dl)`` the test rows.
    **kwargs
        Other arguments of ``from_df``. Without `valid`, its ``valid_pct`` is 0 by default.

    Returns
    -------
    CollabDataBunch
        Users and items are numbered by the training rows alone.

    Raises
    ------
    TypeError, UnknownColumnError, ValueError
        As in ``from_df``; TypeError also for ``valid_idx`` or, if `valid` is given, ``valid_pct``.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(1, "a", 5), (1, "b", 3), (2, "a", 4), (2, "b", 1)]
    >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    >>> CollabDataBunch.from_frames(ratings[:2], ratings[2:3], ratings[3:], bs=2)
    CollabDataBunch;
    <BLANKLINE>
    Train: 2 rows in 1 batches of 2
    <BLANKLINE>
    Valid: 1 rows in 1 batches of 2
    <BLANKLINE>
    Test: 1 rows in 1 batches of 2
    <BLANKLINE>
    Path: .; device: cpu
    """
    import pandas as pd
    if valid is None:
        return cls.from_df(train, test=test, **{"valid_pct": 0, **kwargs})
    if given := {"valid_idx", "valid_pct"} & kwargs.keys():
        raise TypeError(f"from_frames() was given validation rows and {given.pop()}; leave one out")
    check_columns(valid.columns, column_names(train.columns, [
        kwargs.get(f"{part}_name") for part in ("user", "item", "rating")]), "valid: ")
    ratings = pd.concat([train, valid], ignore_index=True)
    return cls.from_df(ratings, test=test, valid_idx=range(len(train), len(ratings)), **kwargs)


for _method in (from_pieces, from_csv, from_parquet, from_frames):
    setattr(CollabDataBunch, _method.__name__, classmethod(_method))


def _name(file: Any) -> str:
    """Return what errors call a file: its path, or the type of a file object."""
    return str(file) if isinstance(file, (str, PathLike)) else f"the {type(file).__name__}"


def _columns(pieces: "Iterable[pd.DataFrame]", wanted: list[str | None],
             test: "pd.DataFrame | None", source: str) -> Iterator[Any]:
    """Yield where a piece comes from and its three columns, for each piece that has rows."""
    names: list[str] = []
    for number, piece in enumerate(pieces, start=1):
        where = f"{source}, piece {number}: "
        if not hasattr(piece, "columns"):
            raise TypeError(f"{where}a piece is a frame, got {type(piece).__name__}; one frame "
                            "alone goes to from_df")
        if len(piece):
            if not names:
                names = column_names(piece.columns, wanted, where)
                if test is not None:
                    check_columns(test.columns, names[:2])
            check_columns(piece.columns, names, where)
            yield where, *(piece[name] for name in names)
    if not names:
        raise ValueError(f"{source} has 0 rows; check how it was read and filtered")
