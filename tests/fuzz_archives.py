"""Read mutated archives and files of ratings: ``python tests/fuzz_archives.py --n 20000``.

Every mutant is either read, and then the result is exactly what the file says, or refused with a
documented exception that names the file, and then no file has changed and none is left over. There
are zip archives for ``untar_data``, folders for ``movielens_100k``, and CSV and Parquet files for
``from_csv`` and ``from_parquet``. All of them hold planted ratings.
"""
import argparse
import bz2
import gzip
import hashlib
import io
import lzma
import os
import random
import shutil
import stat
import sys
import tempfile
import tracemalloc
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import pandas as pd
import pooch
from tiny import host

from minifast.checkpoints import durable
from minifast.data import CollabDataBunch
from minifast.data.categories import UnknownColumnError
from minifast.datasets import DataNotFoundError, movielens_100k, planted_ratings, sources
from minifast.datasets import untar_data as untar

Tree = dict[str, bytes | str | None]
Refused = (DataNotFoundError, ValueError, TypeError, UnknownColumnError)
PLANTED = planted_ratings(n_users=30, n_items=20, n_ratings=200).ratings
COLUMNS = ["userId", "movieId", "rating"]
ODD = ["", "nan", "inf", "-inf", "-3", "1e39", "1e400", "x", "NA", "4,5", "99999999999999999999",
       "-99999999999999999999", "18446744073709551615", "9223372036854775808", "9007199254740993",
       "-1", "2.5", "2.0", "True", "\0", "3\0", '"', '"3"', "\ufeff3", " 3", "é", "0x10", "１"]
"""Fields that a file of ratings should not have."""


# ---------------------------------------------------------------- mutations of any file


def of_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flip, replace, remove, insert or repeat some bytes, or cut the end off."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at, n = rng.randrange(len(data) + 1), rng.choice([1, 2, 8, 40])
        if rng.random() < .3:  # a zip archive or a Parquet file has its directory at the end
            at = max(0, len(data) - rng.randrange(1, 400))
        part = bytes(data[at:at + n])
        data[at:at + n] = rng.choice([
            bytes(byte ^ 1 << rng.randrange(8) for byte in part[:1]) + part[1:],
            rng.randbytes(n), b"", rng.randbytes(n) + part, part * 10,
            *(number + part[4:] for number in (b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"))])
        if rng.random() < .1:
            del data[at:]
    return bytes(data)


def of_text(content: bytes, rng: random.Random) -> bytes:
    """Change fields, lines, separators, the header or the encoding of a table."""
    text, sep = content.decode("latin-1"), next(s for s in "\t|," if s.encode() in content)
    lines = [line.split(sep) for line in text.splitlines()]
    for _ in range(rng.choice([1, 1, 1, 3])):
        change_lines(lines, rng)
    end, sep = rng.choice(["\n"] * 6 + ["\r\n", "\r"]), rng.choice([sep] * 9 + [";"])
    last = rng.choice([end] * 8 + ["", end * 2])
    data = (end.join(sep.join(row) for row in lines) + last).encode("latin-1")
    if rng.random() < .1:
        with suppress(UnicodeError):
            data = data.decode().encode(rng.choice(["utf-8-sig", "utf-16", "utf-16-le", "utf-32"]))
    return rng.choice([data] * 19 + [b""])


def change_lines(lines: list[list[str]], rng: random.Random) -> None:
    """Change a field, a line, or a column of all lines."""
    at, odd = rng.randrange(len(lines)), rng.choice(ODD).encode().decode("latin-1")
    row, kind = lines[at], rng.randrange(8)
    column = rng.randrange(len(row) + 1)
    if kind < 3:
        row[column:column + 1] = [odd]
    elif kind == 3:
        lines[at] = rng.choice([row[:column], [*row, "7"], ["7", *row]])
    elif kind == 4:
        lines.insert(at, rng.choice([[], [""], [*row], ["#"], row[:1]]))
    elif kind == 5 and len(lines) > 1:
        del lines[at]
    elif kind == 6:
        new = rng.choice([[], [odd], ["7", "7"]])
        for some in lines:
            some[column:column + 1] = new
    else:
        rng.shuffle(lines)


# ---------------------------------------------------------------- what is read


def tree(folder: Path) -> Tree:
    """Return all that a folder holds: the bytes of files, the targets of links."""
    return {path.relative_to(folder).as_posix():
            os.readlink(path) if path.is_symlink() else None if path.is_dir()
            else path.read_bytes() for path in sorted(folder.rglob("*"))}


class Subject:
    """A file and its reader; ``matches`` says whether a result is what the file says."""

    file, refused = "mutant", Refused
    mutations: ClassVar[list[Callable[[bytes, random.Random], bytes]]] = [of_bytes]

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / self.file
        folder.mkdir(parents=True)
        self.disk = self.size = 0
        self.honest = self.made()

    def made(self) -> bytes:
        """Return an honest file."""
        raise NotImplementedError

    def prepare(self, content: bytes, rng: random.Random) -> None:
        """Put a mutant in its place."""
        self.path.write_bytes(content)

    def read(self) -> Any:
        """Return what the reader makes of it."""
        raise NotImplementedError

    def matches(self, result: Any, content: bytes) -> bool:
        """Return whether this is what the file says."""
        raise NotImplementedError

    def named(self, message: str) -> bool:
        """Return whether a refusal says which file it is about."""
        return self.file in message

    def allocated(self) -> int:
        """Return the bytes that another library than NumPy has allocated at most in ``read``."""
        return 0


# ---- zip archives


FOLDER = "ml-100k"
NAMES = [f"{FOLDER}/../../evil", "/tmp/evil", "../evil", f"/{FOLDER}/u.data", f"{FOLDER}/../u.data",
         f"{FOLDER}\\u.data", "C:\\evil", f"{FOLDER}/U.DATA", f"{FOLDER}/u.data", FOLDER, "u.data",
         f"{FOLDER}/{FOLDER}/u.data", f"{FOLDER}/u.data/", f"{FOLDER}/u.data/x", "/", ".", "..",
         f"{FOLDER.upper()}/u.data", f"{FOLDER}/" + "a" * 300, f"{FOLDER}/" + "a/" * 300 + "b",
         f"{FOLDER}/" + "a/" * 40 + "b",
         f"{FOLDER}//u.data", f"./{FOLDER}/u.data", f"{FOLDER}/u.data\0.txt", f"{FOLDER}/é",
         f"{FOLDER}/./u.item", f"{FOLDER}/C:evil", f"{FOLDER}/ "]


def of_members(content: bytes, rng: random.Random) -> bytes:
    """Write the archive anew with another name, type, content or number of members."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    for _ in range(rng.choice([1, 1, 2])):
        change_members(members, rng)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicate names
        with zipfile.ZipFile(buffer, "w") as archive:
            for info, data in members:
                archive.writestr(info, data, info.compress_type)
    return buffer.getvalue()


def change_members(members: list[tuple[zipfile.ZipInfo, bytes]], rng: random.Random) -> None:
    """Change, add or remove a member."""
    at, kind, name = rng.randrange(len(members)), rng.randrange(8), rng.choice(NAMES)
    info, data = members[at]
    if kind < 2:
        new = zipfile.ZipInfo(name), rng.choice([data, b"", b"evil"])
        members.insert(rng.randrange(len(members) + 1), new)
    elif kind == 2:
        info.filename = name
    elif kind == 3:
        kinds = [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK, stat.S_IFDIR, stat.S_IFSOCK]
        info.external_attr = (rng.choice(kinds) | 0o777) << 16
        members[at] = info, rng.choice([b"../../outside", b"/etc/passwd", data])
    elif kind == 4 and len(members) > 1:
        del members[at]
    elif kind == 5:
        members[at] = info, b"\0" * rng.choice([10 ** 5, 10 ** 6, 4 * 10 ** 6])
    elif kind == 6:
        info.compress_type = rng.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    else:
        members += rng.choice([[members[at]], [
            (zipfile.ZipInfo(f"{FOLDER}/{i}"), b"") for i in range(300)]])


def of_fields(content: bytes, rng: random.Random) -> bytes:
    """Change a field of a member: its flags, its method, its checksum, its declared sizes."""
    data, starts = bytearray(content), []
    while (at := content.find(b"PK\1\2", starts[-1] + 1 if starts else 0)) >= 0:
        starts.append(at)
    for at in rng.sample(starts, rng.choice([1, len(starts)])):
        field, size = rng.choice([(8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2),
                                  (32, 2), (34, 2), (38, 4), (42, 4), (24, 4), (8, 2)])
        values = [0, 1, 2, 8, 9, 12, 14, 0x41, 2048, 2 ** (8 * size) - 1, 2 ** (8 * size - 1) - 1]
        data[at + field:at + field + size] = rng.choice(values).to_bytes(size, "little")
    if rng.random() < .3:  # the end of the directory
        at = content.rfind(b"PK\5\6")
        data[at + rng.choice([4, 8, 10, 12, 16]):][:2] = rng.randbytes(2)
        data[at + 8:at + 12] = rng.choice([b"\xff" * 4, b"\0" * 4, data[at + 8:at + 12]])
    if rng.random() < .2:  # the headers of the members say the same
        for i in range(len(data) - 30):
            if data[i:i + 4] == b"PK\3\4":
                data[i + 6] ^= rng.choice([0, 1, 8, 64])
    return bytes(data)


def bomb(content: bytes, rng: random.Random) -> bytes:
    """Return an archive in which all members are the same large one, overlapping."""
    n, zeros = rng.choice([2, 50, 200]), b"\0" * 10 ** 6
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{FOLDER}/u.data", zeros)
        first = archive.infolist()[0]
        for i in range(n):
            info = zipfile.ZipInfo(f"{FOLDER}/u.data" if rng.random() < .5 else f"{FOLDER}/{i}")
            for name in ("compress_type", "CRC", "compress_size", "file_size", "header_offset"):
                setattr(info, name, getattr(first, name))
            archive.filelist.append(info)
        archive._didModify = True
    return buffer.getvalue()


@contextmanager
def measured(subject: "Archive") -> Iterator[None]:
    """Within this, note how much a temporary folder holds before it is removed."""
    original = durable.temporary_folder

    @contextmanager
    def noting(parent: Path, prefix: str) -> Iterator[Path]:
        with original(parent, prefix) as folder:
            try:
                yield folder
            finally:
                subject.disk = sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file())
    with mock.patch.object(durable, "temporary_folder", noting):
        yield


class Archive(Subject):
    """An archive whose checksum is right, on its way to a folder in one of several states."""

    file, refused = "mutant.zip", DataNotFoundError
    mutations: ClassVar[Any] = [of_bytes, of_members, of_members, of_fields, bomb]

    def made(self) -> bytes:
        folder = write_movielens(self.folder / FOLDER)
        (folder / "README").write_text("Planted ratings.\n" * 20)
        (folder / "more").mkdir()
        (folder / "more" / "u.user").write_text("1|24|M\n")
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for path in (folder, *sorted(folder.rglob("*"))):
                archive.write(path, path.relative_to(self.folder), method(path))
        self.size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder)
        return buffer.getvalue()

    def prepare(self, content: bytes, rng: random.Random) -> None:
        """Make the archive known, and the target nothing, a folder, a file or a link."""
        super().prepare(content, rng)
        self.disk = 0
        home, target = self.folder / "home", self.folder / "home" / "data" / FOLDER
        shutil.rmtree(home, ignore_errors=True)
        target.parent.mkdir(parents=True)
        state = rng.randrange(16)
        if state == 0:
            target.mkdir()
        elif state == 1:
            target.mkdir()
            (target / "u.data").write_text("half")
        elif state == 2:
            target.write_text("a file")
        elif state == 3:
            target.symlink_to("nowhere")
        elif state == 4:
            (target / "u.data").mkdir(parents=True)
        self.sha = hashlib.sha256(content).hexdigest() if state != 5 else "0" * 64
        self.target = target

    def download(self, url: str, output: str, pooch: Any) -> None:
        """Stand for pooch.HTTPDownloader."""
        shutil.copy(self.path, output)

    def read(self) -> Path:
        known = sources._Archive(self.sha, FOLDER, ("u.data", "u.item"), 2 * self.size)
        with mock.patch.dict(sources._ARCHIVES, {"http://archive/": known}), \
                mock.patch.dict(os.environ, MINIFAST_HOME=str(self.folder / "home")), \
                mock.patch.object(pooch, "HTTPDownloader", return_value=self.download), \
                mock.patch.object(pooch, "os_cache", return_value=self.folder / "cache"), \
                measured(self):
            return untar("http://archive/", progress=False)

    def matches(self, result: Path, content: bytes) -> bool:
        found = tree(self.folder)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            said = {f"home/data/{info.filename}": archive.read(info) for info in archive.infolist()
                    if not info.is_dir()}
        files = {name: data for name, data in found.items() if data is not None}
        return files == {**said, self.file: content} and result == self.target and \
            {"u.data", "u.item"} <= {path.name for path in result.iterdir()} and \
            not any(path.is_symlink() for path in result.rglob("*"))

    def named(self, message: str) -> bool:
        return all(word in message for word in ("http://archive/", "because of", "by hand"))


def method(path: Path) -> int:
    """Return a method of compression: one file is only stored."""
    return zipfile.ZIP_STORED if path.name == "README" else zipfile.ZIP_DEFLATED


# ---- folders in the form of MovieLens


def write_movielens(folder: Path) -> Path:
    """Write the planted ratings as u.data and u.item."""
    folder.mkdir(parents=True)
    PLANTED.assign(timestamp=881250949)[[*COLUMNS, "timestamp"]].to_csv(
        folder / "u.data", sep="\t", header=False, index=False)
    titles = PLANTED.drop_duplicates("movieId").sort_values("movieId")
    (folder / "u.item").write_text("".join(
        f"{row.movieId}|{row.title}|01-Jan-1995||0|1\n" for row in titles.itertuples()), "latin-1")
    return folder


class MovieLens(Subject):
    """The ratings of a folder."""

    file, refused = "u.data", (ValueError, DataNotFoundError)
    mutations: ClassVar[Any] = [of_bytes, of_text, of_text]

    def made(self) -> bytes:
        write_movielens(self.folder / FOLDER)
        self.path = self.folder / FOLDER / self.file
        return self.path.read_bytes()

    def read(self) -> pd.DataFrame:
        return movielens_100k(self.folder / FOLDER)

    def matches(self, result: pd.DataFrame, content: bytes) -> bool:
        lines, items = ([line.split(sep) for line in (self.folder / FOLDER / name).read_bytes()
                         .removeprefix(b"\xef\xbb\xbf").decode("latin-1").replace("\r\n", "\n")
                         .replace("\r", "\n").split("\n") if line.strip(" \t")]
                        for name, sep in (("u.data", "\t"), ("u.item", "|")))
        titles = {number(row[0]): row[1] for row in items}
        rows = [[number(field) for field in row] for row in lines]
        return result.to_numpy().tolist() == [[*row, titles[row[1]]] for row in rows]

    def named(self, message: str) -> bool:
        return "u.data" in message or "u.item" in message


class Titles(MovieLens):
    """The titles of a folder."""

    file = "u.item"


# ---- files of ratings


def packed(content: bytes, rng: random.Random) -> bytes:
    """Compress a table and change bytes, before or afterwards."""
    compress, table = rng.choice([gzip.compress, bz2.compress, lzma.compress]), \
        lzma.decompress(content)
    data = compress(table)
    return rng.choice([of_bytes(data, rng), data[:rng.randrange(len(data))],
                       compress(of_text(table, rng))])


class Csv(Subject):
    """Ratings in a CSV file, read in small chunks."""

    file = "mutant.csv"
    mutations: ClassVar[Any] = [of_bytes, of_text, of_text, of_text]
    options: ClassVar[dict[str, Any]] = {}

    def made(self) -> bytes:
        return PLANTED[[*COLUMNS, "title"]].to_csv(index=False).encode()

    def prepare(self, content: bytes, rng: random.Random) -> None:
        super().prepare(content, rng)
        self.rows = rng.choice([7, 64, 10 ** 6])

    def read(self) -> CollabDataBunch:
        return CollabDataBunch.from_csv(self.path, self.rows, valid_pct=0, bs=1, **self.options)

    def matches(self, result: CollabDataBunch, content: bytes) -> bool:
        frame = pd.read_csv(self.path, dtype=str, keep_default_na=False, index_col=False,
                            **self.options)
        return same(result, [[None if field.strip() in MISSING else field for field in row]
                             for row in frame.to_numpy().tolist()])


class Packed(Csv):
    """Ratings in a compressed CSV file."""

    file = "mutant.csv.xz"
    mutations: ClassVar[Any] = [packed]

    def made(self) -> bytes:
        return lzma.compress(super().made())

    def prepare(self, content: bytes, rng: random.Random) -> None:
        super().prepare(content, rng)
        self.options = {"compression": {b"\x1f": "gzip", b"B": "bz2", b"P": "zip"}.get(
            content[:1], "xz")}


MISSING = {"", "nan", "NA", "NaN", "<NA>", "None", "null", "N/A", "n/a", "-nan", "-NaN", "NULL",
           "#N/A", "#NA", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "#N/A N/A"}


def same(data: CollabDataBunch, rows: list[list[Any]]) -> bool:
    """Return whether users, items and ratings are those of the rows."""
    users, items, ratings = (host(a) for a in (*data.train_ds.x, data.train_ds.y))
    labels = [c.classes[codes] for c, codes in zip(data.categories, (users, items), strict=True)]
    return len(rows) == len(ratings) and all(
        alike(one, user) and alike(two, item) and np.float32(number(stars)) == rating
        for one, two, rating, (user, item, stars, *_) in zip(*labels, ratings, rows, strict=True))


def number(value: Any) -> Any:
    """Return the number that a text says, or itself; whole numbers are exact."""
    if isinstance(value, str):
        text = value.strip()
        for kind in (int, float):
            with suppress(ValueError):
                return kind(text)
        return {"true": 1, "false": 0}.get(text.lower(), value)
    return value


def alike(label: Any, said: Any) -> bool:
    """Return whether a label is what the file says; #na# is a missing one."""
    if said is None or said != said:
        return bool(label == "#na#")
    return str(label) == str(said) or number(str(label)) == number(said)


def of_columns(content: bytes, rng: random.Random) -> bytes:
    """Write the Parquet file anew with another type, order, name or content of a column."""
    import pyarrow.parquet as parquet
    table, at = parquet.read_table(io.BytesIO(content)), rng.randrange(3)
    kind = rng.randrange(9)
    if kind == 0:
        table = table.select(rng.choice([[0], [0, 1], [2, 1, 0], [3, 1, 2, 0]]))
    elif kind == 1:
        table = table.rename_columns(rng.choice([["a", "a", "b", "c"], ["", "b", "c", "d"],
                                                 ["é", "\0", "c", "d"]]))
    elif kind == 2:
        table = table.slice(0, rng.choice([0, 1, 64]))
    else:
        column = changed_column(table.column(at).to_pylist(), rng)
        table = table.set_column(at, table.column_names[at], column)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, row_group_size=rng.choice([16, 1000]),
                        compression=rng.choice(["none", "snappy", "zstd"]))
    return buffer.getvalue()


def changed_column(values: list[Any], rng: random.Random) -> Any:
    """Return a column with other values or of another type."""
    import pyarrow as pa
    odd: Any
    kind, some = rng.randrange(4), rng.sample(range(len(values)), rng.choice([1, 2, 5]))
    if kind == 3:
        return rng.choice([pa.array([[value] for value in values]), pa.nulls(len(values)),
                           pa.array([{"a": value} for value in values]),
                           pa.array([str(value).encode() for value in values]),
                           pa.array(values, pa.timestamp("s")), pa.array(values, pa.date32()),
                           pa.array(values).cast(pa.decimal128(25, 2))])
    odd, values = (
        ([2 ** 53 + 1, -2 ** 62, 2 ** 63 - 1, None, 0, -1], values),
        ([float("nan"), float("inf"), 1e39, 2.5, None, 1e300], [float(value) for value in values]),
        (ODD, [str(value) for value in values]))[kind]
    for at in some:
        values[at] = rng.choice(odd)
    array = pa.array(values)
    return array.dictionary_encode() if kind == 2 and rng.random() < .5 else array


class Parquet(Subject):
    """Ratings in a Parquet file."""

    file = "mutant.parquet"
    mutations: ClassVar[Any] = [of_bytes, of_columns]
    pools: ClassVar[list[Any]] = []  # pyarrow does not keep them alive

    def made(self) -> bytes:
        buffer = io.BytesIO()
        PLANTED[[*COLUMNS, "title"]].to_parquet(buffer, row_group_size=64)
        return buffer.getvalue()

    def read(self) -> CollabDataBunch:
        import pyarrow as pa
        self.pools.append(pa.proxy_memory_pool(pa.system_memory_pool()))
        pa.set_memory_pool(self.pools[-1])
        return CollabDataBunch.from_parquet(self.path, 50, valid_pct=0, bs=1)

    def allocated(self) -> int:
        return int(self.pools[-1].max_memory())

    def matches(self, result: CollabDataBunch, content: bytes) -> bool:
        import pyarrow.parquet as parquet
        names = parquet.read_schema(self.path).names[:3]
        table = parquet.read_table(self.path, columns=names, use_threads=False)
        return same(result, list(zip(*(table[name].to_pylist() for name in names), strict=True)))


SUBJECTS = {"archive": Archive, "ratings": MovieLens, "titles": Titles, "csv": Csv,
            "packed": Packed, "parquet": Parquet}


# ---------------------------------------------------------------- the experiment


def attempt(subject: Subject, content: bytes, rng: random.Random) -> str:
    """Read one mutant and say what came of it; all words but two of them are faults."""
    subject.prepare(content, rng)
    before = tree(subject.folder)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            result = subject.read()
        except subject.refused as error:
            if tree(subject.folder) != before:
                return "CHANGED BY A REFUSED FILE"
            if not subject.named(str(error)):
                return f"DOES NOT NAME THE FILE {type(error).__name__}: {error}"
            return f"WARNS {said[0].message}" if said else "refused"
        except Exception as error:
            return f"UNDOCUMENTED {type(error).__name__}: {error}"
    if said:
        return f"WARNS {said[0].message}"
    try:
        return "read" if subject.matches(result, content) else "NOT WHAT THE FILE SAYS"
    except Exception as error:
        return f"NOT WHAT THE FILE SAYS {type(error).__name__}: {error}"


def memory(subject: Subject, content: bytes, rng: random.Random) -> int:
    """Return the bytes that Python and NumPy allocate at most while a file is read."""
    subject.prepare(content, rng)
    tracemalloc.start()
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        subject.read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak + subject.allocated()


def fuzz(kind: str, n: int, seed: int, folder: Path, keep: Path | None = None) -> Counter[str]:
    """Return how many of n mutants of a kind came to what end, and keep those that are faults."""
    subject, found = SUBJECTS[kind](folder / kind), Counter[str]()
    if attempt(subject, subject.honest, random.Random(3)) != "read":
        return Counter({"THE HONEST FILE IS REFUSED": 1})
    honest = max(memory(subject, subject.honest, random.Random(3)) for _ in range(2))
    for i in range(n):
        rng = random.Random(f"{seed} {i}")
        content = rng.choice(subject.mutations)(subject.honest, rng)
        end = attempt(subject, content, rng)
        if subject.disk - len(content) > 2 * subject.size:
            end = "DISK"
        most = 2 * honest * max(1., len(content) / len(subject.honest))
        if end.islower() and i % 10 == 0 and memory(subject, content, rng) > most:
            end = "MEMORY"
        found[end if end.islower() else f"{end} (mutant {i})"] += 1
        if keep is not None and not end.islower():
            (keep / f"{kind}-{seed}-{i}").write_bytes(content)
    return found


def main(options: list[str]) -> int:
    """Print the figures, and return whether there is a fault among them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=400, help="mutants of each kind")
    parser.add_argument("--kind", choices=SUBJECTS, action="append", help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for mutants that are faults")
    args = parser.parse_args(options)
    faults, durable.sync = 0, lambda path: None  # thousands of files that need not last
    for kind in args.kind or SUBJECTS:
        with tempfile.TemporaryDirectory() as folder:
            found = fuzz(kind, args.n, args.seed, Path(folder), args.keep)
        faults += sum(count for end, count in found.items() if not end.islower())
        print(f"{kind}: {dict(found.most_common(20))}", flush=True)
    print(f"faults: {faults}")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
