"""Where the data sets come from: a folder you own, the cache, or the official archive.

MovieLens 100K belongs to GroupLens at the University of Minnesota. It is free for research,
must be acknowledged (Harper and Konstan, doi.org/10.1145/2827872), and may be neither
redistributed nor used commercially without permission. So minifast carries no copy of it:
`untar_data` fetches it from GroupLens, once. `planted_ratings` makes data of the same shape
that is free of such terms.
"""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter
from zipfile import BadZipFile

if TYPE_CHECKING:
    import pandas as pd


class URLs:
    """Addresses of the data sets that `untar_data` knows, under fastai's names.

    >>> URLs.ML_100k.rpartition("/")[2]
    'ml-100k.zip'
    """

    ML_100k = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"


@dataclass(frozen=True)
class _Archive:
    """What an address holds: its checksum, the folder inside, and files it must have."""

    sha256: str
    folder: str
    files: tuple[str, ...]


_ARCHIVES = {
    URLs.ML_100k: _Archive(
        sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        folder="ml-100k",
        files=("u.data", "u.item"),
    ),
}


class DataNotFoundError(FileNotFoundError):
    """The data set is on no disk that was searched, and could not be downloaded.

    The message names what was looked for, where, why the download failed, and three ways on.

    >>> issubclass(DataNotFoundError, OSError)
    True
    """


def untar_data(url: str = URLs.ML_100k, *, progress: bool = True) -> Path:
    """The folder that holds the data set of `url`, downloaded on first use.

    Searched in this order: `$MINIFAST_HOME/data`, then `data` in the user's cache folder.
    If neither has it, the archive is downloaded into the first of the two that applies, its
    SHA-256 is checked, and it is unpacked beside its final place and moved there in one step:
    an interrupted call leaves nothing that a later one would take for the data.

    `progress` draws a bar while downloading. Raises `ValueError` for an address that is not
    in `URLs`, `DataNotFoundError` if the data can be neither found nor downloaded.
    fastai: `untar_data(URLs.ML_100k)`, the same call.

    >>> untar_data("https://example.org/other.zip")
    Traceback (most recent call last):
    ValueError: no checksum is known for 'https://example.org/other.zip'; ...
    """
    archive = _known(url)
    for root in search_path():
        if not _missing(root / archive.folder, archive):
            return root / archive.folder
    target = search_path()[0] / archive.folder
    try:
        _download(url, archive, target, progress)
    # OSError covers the network and the disk, ValueError is pooch's for a wrong checksum
    except (OSError, ValueError, BadZipFile) as error:
        raise DataNotFoundError(_advice(url, archive, error)) from error
    return target


def movielens_100k(path: str | Path | None = None, row_order: str = "pandas") -> pd.DataFrame:
    """MovieLens's 100 000 ratings: columns userId, movieId, rating, timestamp, title.

    `path` is the folder that holds u.data and u.item, by default `untar_data(URLs.ML_100k)`.
    A random split picks rows by position, so their order is part of an experiment's result:

    - `"pandas"`: as pandas merges today: the order of u.data, first row user 196, movie 242.
    - `"post"`: grouped by movie, in order of each movie's first rating, so the five first rows
      are all "Kolya (1996)". pandas before 2.2 merged so, and posts written then show it.

    Raises `ValueError` for another `row_order`, `DataNotFoundError` if a file is missing.

    >>> movielens_100k(row_order="by title")
    Traceback (most recent call last):
    ValueError: row_order='by title' is unknown; use 'pandas' or 'post'.
    """
    import pandas as pd

    if row_order not in ("pandas", "post"):
        raise ValueError(f"row_order={row_order!r} is unknown; use 'pandas' or 'post'.")
    path = _movielens_folder(path)
    ratings = pd.read_csv(path / "u.data", sep="\t", header=None,
                          names=["userId", "movieId", "rating", "timestamp"])
    movies = pd.read_csv(path / "u.item", sep="|", header=None, encoding="latin-1",
                         usecols=[0, 1], names=["movieId", "title"])
    if row_order == "post":
        # factorize numbers the movies in order of first appearance
        ratings = ratings.iloc[pd.factorize(ratings["movieId"])[0].argsort(kind="stable")]
    return ratings.merge(movies, on="movieId")


def _movielens_folder(path: str | Path | None) -> Path:
    if path is None:
        return untar_data(URLs.ML_100k)
    archive = _ARCHIVES[URLs.ML_100k]
    missing = _missing(Path(path), archive)
    if missing:
        raise DataNotFoundError(
            f"{Path(path).absolute()} has no {' and no '.join(missing)}. Give the folder that "
            f"holds them, or leave out `path`: untar_data(URLs.ML_100k) then finds or gets it.")
    return Path(path)


def _known(url: str) -> _Archive:
    if url not in _ARCHIVES:
        raise ValueError(f"no checksum is known for {url!r}; untar_data gets only the addresses "
                         f"in URLs: {', '.join(_ARCHIVES)}. Unpack other archives by hand.")
    return _ARCHIVES[url]


def search_path() -> list[Path]:
    """The folders that may hold data sets, the preferred one first.

    >>> search_path()[-1].name
    'data'
    """
    home = os.environ.get("MINIFAST_HOME")
    homes = [Path(home).expanduser().absolute()] if home else []
    return [root / "data" for root in (*homes, Path(_quiet_pooch().os_cache("minifast")))]


def _quiet_pooch() -> Any:
    """pooch, without its lines on stderr: a bar or an error of ours says what happens."""
    with catch_warnings():
        simplefilter("ignore")  # in a notebook without widgets, tqdm warns while it is imported
        import pooch
    pooch.get_logger().setLevel("WARNING")
    return pooch


def _missing(folder: Path, archive: _Archive) -> list[str]:
    return [name for name in archive.files if not (folder / name).is_file()]


def _download(url: str, archive: _Archive, target: Path, progress: bool) -> None:
    """Fetch and unpack in a temporary folder on the target's disk, then move into place."""
    pooch = _quiet_pooch()
    _refuse_occupied(target, archive)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{archive.folder}-", dir=target.parent) as tmp:
        pooch.retrieve(url, known_hash=f"sha256:{archive.sha256}", fname="archive.zip", path=tmp,
                       downloader=pooch.HTTPDownloader(progressbar=progress),
                       processor=pooch.Unzip(extract_dir="unpacked"))
        _move(Path(tmp) / "unpacked" / archive.folder, target, archive)


def _refuse_occupied(target: Path, archive: _Archive) -> None:
    """A folder of the right name without the files is somebody's: never replaced, never used."""
    if target.exists() and any(target.iterdir()):
        raise FileExistsError(f"{target} is there, but has no "
                              f"{' and no '.join(_missing(target, archive))}; move it away")


def _move(folder: Path, target: Path, archive: _Archive) -> None:
    try:
        os.replace(folder, target)
    except OSError:
        # Another process may have put the data there meanwhile; then its copy is as good.
        if _missing(target, archive):
            raise


def _advice(url: str, archive: _Archive, error: Exception) -> str:
    searched = "".join(f"\n  {root / archive.folder}" for root in search_path())
    return (
        f"{archive.folder} (with {', '.join(archive.files)}) is in none of{searched}\n"
        f"and could not be downloaded from {url}\n"
        f"because of {type(error).__name__}: {error}\n"
        f"Three ways on:\n"
        f"  1. Get and unpack the archive by hand, and put its folder {archive.folder} at one "
        f"of the places above.\n"
        f"  2. Set MINIFAST_HOME to a folder that holds data/{archive.folder}.\n"
        f"  3. Work without it: minifast.datasets.planted.planted_ratings() makes ratings of the "
        f"same shape."
    )
