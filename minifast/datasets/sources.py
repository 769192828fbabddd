"""Data sets from your own folder, from the cache, or from the official archive.

MovieLens 100K belongs to GroupLens at the University of Minnesota. It is free for research,
must be acknowledged (Harper and Konstan, doi.org/10.1145/2827872), and may not be redistributed
or used commercially without permission. So minifast does not contain it: `untar_data` downloads
it from GroupLens, once. `planted_ratings` makes ratings of the same shape without such terms.
"""
from __future__ import annotations

import os
from csv import QUOTE_NONE
from io import BytesIO
from os.path import isfile, lexists
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from warnings import catch_warnings, simplefilter
from zipfile import BadZipFile

import numpy as np

from .files import named_errors
from .unpack import unpack

if TYPE_CHECKING:
    import pandas as pd


class URLs:
    """Addresses of the data sets that `untar_data` knows, under fastai's names.

    Examples
    --------
    >>> URLs.ML_100k.rpartition("/")[2]
    'ml-100k.zip'
    """

    ML_100k = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"


class _Archive(NamedTuple):
    """The checksum of an archive, the folder inside it, and the files that it must have."""

    sha256: str
    folder: str
    files: tuple[str, ...]
    most: int
    """The maximum size in bytes of the unpacked files."""


N_RATINGS = 100_000
_ARCHIVES = {URLs.ML_100k: _Archive(
    "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229", "ml-100k",
    ("u.data", "u.item"), 20_000_000)}


class DataNotFoundError(FileNotFoundError):
    """A data set that was neither found nor downloaded.

    The message says where it was looked for, why the download failed, and what to do.
    """


def untar_data(url: str = URLs.ML_100k, *, progress: bool = True) -> Path:
    """Return the folder of a data set, which is downloaded on first use.

    It is looked for in ``$MINIFAST_HOME/data``, then in ``data`` in the user's cache folder, and
    downloaded to the first of these that applies. The SHA-256 is checked, then the members of the
    archive (see `unpack`). It is unpacked next to its final place and moved there in one step, so
    an interrupted call leaves nothing that looks like the data.

    Parameters
    ----------
    url : str
        An address in `URLs`.
    progress : bool
        Whether to draw a bar while downloading.

    Returns
    -------
    Path
        The folder that holds the files.

    Raises
    ------
    ValueError
        If the address is not in `URLs`.
    DataNotFoundError
        If the data set is neither found nor downloaded. It is a FileNotFoundError.

    Notes
    -----
    fastai v1's ``untar_data``.

    Examples
    --------
    >>> untar_data("https://example.org/other.zip")
    Traceback (most recent call last):
    ValueError: no checksum is known for 'https://example.org/other.zip'; ...
    """
    if url not in _ARCHIVES:
        raise ValueError(f"no checksum is known for {url!r}; untar_data downloads only addresses "
                         f"in URLs: {', '.join(_ARCHIVES)}. Unpack other archives by hand.")
    archive = _ARCHIVES[url]
    folders = [root / archive.folder for root in search_path()]
    for folder in folders:
        if not _missing(folder, archive):
            return folder
    try:
        _download(url, archive, folders[0], progress)
    # OSError: the network or the disk; ValueError: pooch found a wrong checksum
    except (OSError, ValueError, BadZipFile) as error:
        raise DataNotFoundError(_advice(url, archive, folders, error)) from error
    return folders[0]


def movielens_100k(path: str | Path | None = None, row_order: str = "pandas") -> pd.DataFrame:
    """Read the 100 000 ratings of MovieLens 100K.

    Parameters
    ----------
    path : path, optional
        Folder with u.data and u.item; by default ``untar_data(URLs.ML_100k)``. Files of
        other ratings in the same format can be read too.
    row_order : "pandas" or "post"
        Order of the rows, on which the rows of a random split depend. "pandas" is the order of
        u.data, as pandas merges today; the first row is user 196, movie 242. "post" groups rows by
        movie, in order of each movie's first rating, as pandas before 2.2 merged them and blog
        posts of that time show; the first five rows are "Kolya (1996)".

    Returns
    -------
    pandas.DataFrame (100000, 5)
        Columns userId, movieId, rating, timestamp, title.

    Raises
    ------
    ValueError
        If `row_order` is neither of the two; if a file is damaged, truncated or in another format;
        if a movie has no title or two titles; without `path`, if there are not 100 000 ratings.
    DataNotFoundError
        If a file is missing. It is a FileNotFoundError.

    Examples
    --------
    >>> movielens_100k(row_order="by title")
    Traceback (most recent call last):
    ValueError: row_order='by title' is unknown; use 'pandas' or 'post'.
    """
    import pandas as pd

    if row_order not in ("pandas", "post"):
        raise ValueError(f"row_order={row_order!r} is unknown; use 'pandas' or 'post'.")
    folder = untar_data() if path is None else Path(path)
    if missing := _missing(folder, _ARCHIVES[URLs.ML_100k]):
        raise DataNotFoundError(
            f"{folder.absolute()} has no {missing}. Give the folder that holds them, or leave out "
            "`path`: untar_data(URLs.ML_100k) then finds or gets it.")
    ratings, movies = _table(folder / "u.data", RATING, sep="\t"), _movies(folder)
    if path is None and len(ratings) != N_RATINGS:
        raise ValueError(f"{folder / 'u.data'} has {len(ratings)} ratings, not {N_RATINGS}; "
                         f"{AGAIN}")
    ids = movies["movieId"]
    for wrong, how in ((ratings["movieId"][~ratings["movieId"].isin(ids)], "no title"),
                       (ids[ids.duplicated()], "two titles")):
        if len(wrong):
            raise ValueError(f"movie {wrong.iloc[0]} has {how} in {folder / 'u.item'}; {AGAIN}")
    if row_order == "post":
        # factorize numbers the movies in order of first appearance
        ratings = ratings.iloc[pd.factorize(ratings["movieId"])[0].argsort(kind="stable")]
    return ratings.merge(movies, on="movieId")


def movielens_100k_fold(fold: int, path: str | Path | None = None
                        ) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read an official split of MovieLens 100K: 80 000 ratings to train on, 20 000 to test on.

    The five test parts are disjoint, and together they contain all ratings.

    Parameters
    ----------
    fold : int
        Number of the split, from 1 to 5: files u1.base and u1.test, and so on.
    path : path, optional
        Folder with these files and u.item; by default ``untar_data(URLs.ML_100k)``.

    Returns
    -------
    train, test : pandas.DataFrame
        Columns userId, movieId, rating, timestamp, title.

    Raises
    ------
    ValueError
        If there is no such split, or a file is damaged.
    DataNotFoundError
        If a file is missing. It is a FileNotFoundError.

    Examples
    --------
    >>> movielens_100k_fold(6)
    Traceback (most recent call last):
    ValueError: fold=6 does not exist; the splits are 1 to 5.
    """
    if fold not in range(1, 6):
        raise ValueError(f"fold={fold!r} does not exist; the splits are 1 to 5.")
    folder = untar_data() if path is None else Path(path)
    names = [f"u{fold}.base", f"u{fold}.test", "u.item"]
    if missing := " and no ".join(name for name in names if not isfile(folder / name)):
        raise DataNotFoundError(f"{folder.absolute()} has no {missing}; the archive of "
                                "untar_data(URLs.ML_100k) has them all")
    movies = _movies(folder)
    train, test = (_table(folder / name, RATING, sep="\t").merge(movies, on="movieId")
                   for name in names[:2])
    return train, test


RATING = {"userId": "int64", "movieId": "int64", "rating": "int64", "timestamp": "int64"}
"""The columns of a file of ratings."""
AGAIN = "remove the folder and call untar_data(URLs.ML_100k) to get it again, or read files " \
        "of another form with pandas.read_csv"


def _table(file: Path, columns: dict[str, str], **kwargs: Any) -> pd.DataFrame:
    """Read a file of MovieLens with columns of these names and types."""
    import pandas as pd
    types = dict(enumerate(columns.values()))
    with named_errors(file, AGAIN), np.errstate(invalid="ignore"):  # pandas reports inf itself
        content = file.read_bytes()
        if not content.endswith((b"\n", b"\r")):
            raise ValueError("its last line is truncated")
        table: pd.DataFrame = pd.read_csv(BytesIO(content), header=None, dtype=types,
                                          quoting=QUOTE_NONE, keep_default_na=False, **kwargs)
        if table.shape[1] != len(columns) or (table.isna() | table.isin([""])).to_numpy().any():
            raise ValueError(f"a line does not have the fields {', '.join(columns)}")
    table.columns = pd.Index(columns)
    return table


def _movies(folder: Path) -> pd.DataFrame:
    """Read the titles of the movies."""
    return _table(folder / "u.item", {"movieId": "int64", "title": "str"}, sep="|",
                  encoding="latin-1", usecols=[0, 1])


def search_path() -> list[Path]:
    """Return the folders that may hold data sets, the preferred one first.

    Examples
    --------
    >>> search_path()[-1].name
    'data'
    """
    home = os.environ.get("MINIFAST_HOME")
    homes = [Path(home).expanduser().absolute()] if home else []
    return [root / "data" for root in (*homes, Path(_quiet_pooch().os_cache("minifast")))]


def _quiet_pooch() -> Any:
    """Import pooch, without its log lines on stderr."""
    with catch_warnings():
        simplefilter("ignore")  # importing tqdm warns in a notebook without widgets
        import pooch
    pooch.get_logger().setLevel("WARNING")
    return pooch


def _missing(folder: Path, archive: _Archive) -> str:
    """Return the names of the files that a folder lacks, as text."""
    return " and no ".join(name for name in archive.files if not isfile(folder / name))


def _download(url: str, archive: _Archive, target: Path, progress: bool) -> None:
    """Download and unpack in a temporary folder on the target's disk, then move into place."""
    if lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        raise FileExistsError(f"{target} is there, but has no {_missing(target, archive)}; "
                              "move it away")
    from ..checkpoints import durable
    pooch = _quiet_pooch()
    with durable.temporary_folder(target.parent, f".{archive.folder}-") as tmp:
        pooch.retrieve(url, known_hash=f"sha256:{archive.sha256}", fname="archive.zip", path=tmp,
                       downloader=pooch.HTTPDownloader(progressbar=progress))
        unpack(tmp / "archive.zip", tmp / "unpacked", archive.folder, archive.most)
        unpacked = tmp / "unpacked" / archive.folder
        if missing := _missing(unpacked, archive):
            raise BadZipFile(f"archive.zip has no {missing}")
        for path in (unpacked, *unpacked.rglob("*")):
            durable.sync(path)
        try:
            os.replace(unpacked, target)
            durable.sync(target.parent)
        except OSError:
            # another process may have put the data there in the meantime
            if _missing(target, archive):
                raise


def _advice(url: str, archive: _Archive, searched: list[Path], error: Exception) -> str:
    return "\n".join([
        f"{archive.folder} (with {', '.join(archive.files)}) is in none of",
        *(f"  {folder}" for folder in searched),
        f"and could not be downloaded from {url}",
        f"because of {type(error).__name__}: {error}",
        "There are three ways to go on:",
        "  1. Get and unpack the archive by hand, and put its folder at one of the places above.",
        f"  2. Set MINIFAST_HOME to a folder that holds data/{archive.folder}.",
        "  3. Work without it: minifast.datasets.planted.planted_ratings() makes similar ratings."])
