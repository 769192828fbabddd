"""Data sets from a folder of yours, from the cache, or from the official archive.

MovieLens 100K belongs to GroupLens at the University of Minnesota. It is free for research,
must be acknowledged (Harper and Konstan, doi.org/10.1145/2827872), and may not be redistributed
or used commercially without permission. So minifast does not contain it: `untar_data` downloads
it from GroupLens, once. `planted_ratings` makes ratings of the same shape without such terms.
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from warnings import catch_warnings, simplefilter
from zipfile import BadZipFile

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


_ARCHIVES = {URLs.ML_100k: _Archive(
    "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229", "ml-100k",
    ("u.data", "u.item"))}


class DataNotFoundError(FileNotFoundError):
    """A data set that was neither found nor downloaded.

    The message says where it was looked for, why the download failed, and what to do.
    """


def untar_data(url: str = URLs.ML_100k, *, progress: bool = True) -> Path:
    """Return the folder of a data set, which is downloaded on first use.

    It is looked for in ``$MINIFAST_HOME/data``, then in ``data`` in the user's cache folder, and
    downloaded to the first of these that applies. The SHA-256 is checked. The archive is unpacked
    next to its final place and moved there in one step, so an interrupted call leaves nothing
    that looks like the data.

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
        raise ValueError(f"no checksum is known for {url!r}; untar_data gets only the addresses "
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
        Folder with u.data and u.item; by default ``untar_data(URLs.ML_100k)``.
    row_order : "pandas" or "post"
        Order of the rows, on which the rows of a random split depend. "pandas" is the order of
        u.data, as pandas merges today; the first row is user 196, movie 242. "post" groups rows
        by movie, in order of each movie's first rating, as pandas merged before 2.2 and as posts
        of that time show; the first five rows are "Kolya (1996)".

    Returns
    -------
    pandas.DataFrame (100000, 5)
        Columns userId, movieId, rating, timestamp, title.

    Raises
    ------
    ValueError
        If `row_order` is neither of the two.
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
    path = untar_data() if path is None else Path(path)
    if missing := _missing(path, _ARCHIVES[URLs.ML_100k]):
        raise DataNotFoundError(
            f"{path.absolute()} has no {missing}. Give the folder that holds them, or leave out "
            "`path`: untar_data(URLs.ML_100k) then finds or gets it.")
    ratings = pd.read_csv(path / "u.data", sep="\t", header=None,
                          names=["userId", "movieId", "rating", "timestamp"])
    movies = pd.read_csv(path / "u.item", sep="|", header=None, encoding="latin-1",
                         usecols=[0, 1], names=["movieId", "title"])
    if row_order == "post":
        # factorize numbers the movies in order of first appearance
        ratings = ratings.iloc[pd.factorize(ratings["movieId"])[0].argsort(kind="stable")]
    return ratings.merge(movies, on="movieId")


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
    return " and no ".join(name for name in archive.files if not (folder / name).is_file())


def _download(url: str, archive: _Archive, target: Path, progress: bool) -> None:
    """Download and unpack in a temporary folder on the target's disk, then move into place."""
    if target.exists() and any(target.iterdir()):  # not to be replaced
        raise FileExistsError(f"{target} is there, but has no {_missing(target, archive)}; "
                              "move it away")
    from ..checkpoints.durable import temporary_folder
    pooch = _quiet_pooch()
    with temporary_folder(target.parent, f".{archive.folder}-") as tmp:
        pooch.retrieve(url, known_hash=f"sha256:{archive.sha256}", fname="archive.zip", path=tmp,
                       downloader=pooch.HTTPDownloader(progressbar=progress),
                       processor=pooch.Unzip(extract_dir="unpacked"))
        try:
            os.replace(tmp / "unpacked" / archive.folder, target)
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
