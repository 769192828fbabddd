"""Archives and files of ratings that are damaged, or made to do harm."""
import gzip
import io
import os
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import fuzz_archives
import pandas as pd
import pytest
from fuzz_archives import FOLDER, Archive, tree, write_movielens

from minifast.data import CollabDataBunch
from minifast.datasets import DataNotFoundError, movielens_100k, sources

pytestmark = pytest.mark.cpu_only("files")


@pytest.fixture(autouse=True)
def without_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_archives.durable, "sync", lambda path: None)


@pytest.mark.parametrize("kind", fuzz_archives.SUBJECTS)
def test_mutants(kind: str, tmp_path: Path) -> None:
    found = fuzz_archives.fuzz(kind, 40, 0, tmp_path)
    assert {*found} <= {"read", "refused"}
    assert found["refused"] > 5


# ---------------------------------------------------------------- archives


class Fixed:
    """Stands for a random number: the target folder is not there yet."""

    def randrange(self, n: int) -> int:
        return n - 1


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def members(**contents: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    """Return the members of an archive, by the names without the folder."""
    return [(zipfile.ZipInfo(f"{FOLDER}/{name.replace('_', '.')}"), data)
            for name, data in {"u_data": b"ratings\n", "u_item": b"titles\n", **contents}.items()]


def zipped(*entries: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for info, data in entries:
            file.writestr(info, data, info.compress_type)
    return buffer.getvalue()


def refuse(archive: Archive, content: bytes, match: str) -> None:
    """Check that an archive is refused with this message, and that nothing is left."""
    archive.prepare(content, Fixed())  # type: ignore[arg-type]
    before = tree(archive.folder)
    with pytest.raises(DataNotFoundError, match=match):
        archive.read()
    assert tree(archive.folder) == before


def test_an_honest_archive(archive: Archive) -> None:
    content = zipped(*members())
    archive.prepare(content, Fixed())  # type: ignore[arg-type]
    assert archive.matches(archive.read(), content)


@pytest.mark.parametrize("name", ["/tmp/evil", "../evil", f"{FOLDER}/../evil", f"{FOLDER}//x",
                                  f"{FOLDER}/./x", "else/u.data", FOLDER])
def test_a_member_outside_of_the_folder(name: str, archive: Archive) -> None:
    content = zipped(*members(), (zipfile.ZipInfo(name), b"evil"))
    refuse(archive, content, f"archive.zip: '{name}' lies outside 'ml-100k'\n(.*\n)*.*by hand")


@pytest.mark.parametrize("name", ["a\\b", "C:b", "a/" * 60 + "b", "a" * 200])
def test_names_of_other_systems(name: str, archive: Archive) -> None:
    content = zipped(*members(), (zipfile.ZipInfo(f"{FOLDER}/{name}"), b"evil"))
    refuse(archive, content, "is a name that not all systems allow")


def test_two_members_of_one_name(archive: Archive) -> None:
    refuse(archive, zipped(*members(U_DATA=b"")), "two members have the name 'ml-100k/U.DATA'")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR])
def test_links_and_devices(kind: int, archive: Archive) -> None:
    entries = members()
    entries[0][0].external_attr = (kind | 0o777) << 16
    refuse(archive, zipped(*entries), "'ml-100k/u.data' is neither a file nor a folder")


def test_a_method_that_may_take_gigabytes_of_memory(archive: Archive) -> None:
    entries = members()
    entries[1][0].compress_type = zipfile.ZIP_LZMA
    refuse(archive, zipped(*entries), "u.item' is compressed with a method other than deflate")


def test_an_encrypted_member(archive: Archive) -> None:
    content = bytearray(zipped(*members()))
    content[content.find(b"PK\1\2") + 8] |= 1
    refuse(archive, bytes(content), "u.data' is encrypted")


def test_a_bomb(archive: Archive) -> None:
    entries = members(more=b"\0" * 10 ** 6)
    entries[-1][0].compress_type = zipfile.ZIP_DEFLATED
    refuse(archive, zipped(*entries), r"3 members of 10001\d\d bytes are more than the data set")
    assert archive.disk < 3000


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_member(missing: int, archive: Archive) -> None:
    entries = members()
    name = entries.pop(missing)[0].filename.partition("/")[2]
    refuse(archive, zipped(*entries), f"archive.zip has no {name}")


@pytest.mark.parametrize("state", ["a file", "a link"])
def test_a_target_that_is_no_folder(state: str, archive: Archive) -> None:
    archive.prepare(zipped(*members()), Fixed())  # type: ignore[arg-type]
    if state == "a file":
        archive.target.write_text("mine")
    else:
        archive.target.symlink_to("nowhere")
    before = tree(archive.folder)
    with pytest.raises(DataNotFoundError, match=r"is there, but has no u\.data and no u\.item; m"):
        archive.read()
    assert tree(archive.folder) == before


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permissions(archive: Archive) -> None:
    archive.prepare(zipped(*members()), Fixed())  # type: ignore[arg-type]
    for mode in (0o500, 0):
        archive.target.parent.chmod(mode)
        try:
            with pytest.raises(DataNotFoundError, match="PermissionError"):
                archive.read()
        finally:
            archive.target.parent.chmod(0o700)


KILLED = """
import sys, time, zipfile
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_archive_faults as faults

def wait(*args, **kwargs):
    print("now", flush=True)
    time.sleep(100)
archive = faults.Archive.__new__(faults.Archive)
archive.folder, archive.path, archive.size = Path({folder!r}), Path({folder!r}, "mutant.zip"), 1000
archive.sha = {sha!r}
if {within!r}:
    original = zipfile.ZipFile.extract
    def half(self, path):
        self.extract(self.namelist()[0], path)
        wait()
    zipfile.ZipFile.extractall = half
else:
    faults.fuzz_archives.durable.sync = wait
archive.read()
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
@pytest.mark.parametrize("within", [True, False], ids=["unpacking", "before the move"])
def test_a_kill_leaves_no_folder(within: bool, archive: Archive) -> None:
    content = zipped(*members())
    archive.prepare(content, Fixed())  # type: ignore[arg-type]
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(archive.folder),
                         sha=archive.sha, within=within)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"now\n"
        child.send_signal(signal.SIGKILL)
    left, = archive.target.parent.iterdir()
    assert left.name.startswith(".ml-100k-")
    assert archive.matches(archive.read(), content)
    assert [path.name for path in archive.target.parent.iterdir()] == ["ml-100k"]


# ---------------------------------------------------------------- folders of MovieLens


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_movielens(tmp_path / FOLDER)


def change(file: Path, edit: Callable[[bytes], bytes]) -> None:
    file.write_bytes(edit(file.read_bytes()))


@pytest.mark.parametrize(("name", "edit", "message"), [
    ("u.data", lambda b: b[:-3], "its last line is truncated"),
    ("u.item", lambda b: b[:-3], "its last line is truncated"),
    ("u.data", lambda b: b"", "its last line is truncated"),
    ("u.data", lambda b: b.replace(b"\t", b"\t7\t"), "a line does not have the fields userId"),
    ("u.data", lambda b: b.replace(b"\t", b","), "cannot be read"),
    ("u.data", lambda b: b + b"1\t2\t3\n", "cannot be read"),
    ("u.data", lambda b: b + b"1\t2\tgood\t4\n", "cannot be read"),
    ("u.data", lambda b: b + b"1\t2\tinf\t4\n", "cannot be read"),
    ("u.data", lambda b: b + b"1\t2\t2.5\t4\n", "cannot be read"),
    ("u.data", lambda b: b + b"1\t99999999999999999999\t3\t4\n", "cannot be read"),
    ("u.data", lambda b: b + b"1\t21\t3\t4\n", "movie 21 has no title in .*u.item"),
    ("u.item", lambda b: b + b"1|Another|\n", "movie 1 has two titles in .*u.item"),
    ("u.item", lambda b: b + b"21\n", "a line does not have the fields movieId, title")])
def test_damaged_files(name: str, edit: Callable[[bytes], bytes], message: str, folder: Path
                       ) -> None:
    change(folder / name, edit)
    with pytest.raises(ValueError, match=f"(?s){message}.*get.* again.*read_csv") as error:
        movielens_100k(folder)
    assert str(folder) in str(error.value)


def test_titles_are_texts(folder: Path) -> None:
    change(folder / "u.item", lambda b: b + b'21|"Quote|\n22|nan|\n23|NULL|\n')
    change(folder / "u.data", lambda b: b + b"1\t21\t3\t4\n1\t22\t3\t4\n1\t23\t3\t4\n")
    assert movielens_100k(folder).title.tolist()[-3:] == ['"Quote', "nan", "NULL"]


def test_without_a_path_all_ratings_must_be_there(folder: Path) -> None:
    with mock.patch.object(sources, "untar_data", return_value=folder), \
            pytest.raises(ValueError, match=r"u.data has 200 ratings, not 100000; remove the fold"):
        movielens_100k()


# ---------------------------------------------------------------- files of ratings

HEAD = "user,item,rating\n"


def read(tmp_path: Path, content: str | bytes, name: str = "r.csv", **kwargs: Any) -> Any:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return CollabDataBunch.from_csv(path, valid_pct=0, bs=1, **kwargs)


def test_more_fields_than_columns(tmp_path: Path) -> None:
    """Where pandas takes the first field for an index, and the others for the wrong columns."""
    text = HEAD + "0,2,3,4\n1,6,7,8\n"
    with pytest.raises(ValueError, match=r"r\.csv cannot be read \(rows have more fields than"):
        read(tmp_path, text)
    assert read(tmp_path, text, index_col=0).classes["user"].tolist() == ["#na#", "2", "6"]


@pytest.mark.parametrize("chunksize", [2, 10])
def test_large_ids_beside_missing_ones(chunksize: int, tmp_path: Path) -> None:
    """2^53 and 2^53 + 1 would become one user."""
    text = HEAD + ",1,3\n9007199254740993,1,3\n9007199254740992,1,3\n"
    with pytest.raises(ValueError, match=r"r.csv: column 'user' has whole numbers above .*Int64"):
        read(tmp_path, text, chunksize=chunksize)
    data = read(tmp_path, text, chunksize=chunksize, dtype={"user": "Int64"})
    assert data.classes["user"].tolist() == ["#na#", "9007199254740992", "9007199254740993"]


@pytest.mark.parametrize("name", ["r.csv.gz", "r.csv.bz2", "r.csv.xz", "r.csv.zip", "r.csv.tar"])
def test_damaged_compression(name: str, tmp_path: Path) -> None:
    whole = gzip.compress((HEAD + "1,2,3\n" * 1000).encode())
    for content in (whole[:40], whole[:12] + b"\xff" * 20, b"PK\5\6", b"", b"x" * 600):
        with pytest.raises(ValueError, match=rf"(?s){name} cannot be read .*compression="):
            read(tmp_path, content, name)


def test_a_rating_beyond_float32(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"r.csv, piece 1: .*infinite.*inf, in row 0"):
        read(tmp_path, HEAD + "1,2,1e39\n")
    with pytest.raises(ValueError, match="infinite"):
        CollabDataBunch.from_df(pd.DataFrame({"u": [1], "i": [1], "r": [1e39]}), bs=1)


def test_a_parquet_file_with_large_ids_and_gaps(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet
    users = pa.array([None, 2 ** 53 + 1, 2 ** 53], pa.int64())
    parquet.write_table(pa.table({"user": users, "item": [1] * 3, "rating": [3] * 3}),
                        tmp_path / "r.parquet")
    with pytest.raises(ValueError, match=r"r.parquet: column 'user' has whole numbers above"):
        CollabDataBunch.from_parquet(tmp_path / "r.parquet", bs=1)


def test_damaged_metadata_of_pandas(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    pd.DataFrame({"user": [1], "item": [1], "rating": [3]}).to_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"numpy_type": "int64"', b'"numpy_type": "int44"'))
    with pytest.raises(ValueError, match=r"r.parquet cannot be read \(data type 'int44'"):
        CollabDataBunch.from_parquet(path, bs=1)
