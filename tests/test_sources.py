"""untar_data against a server of our own, on this machine: what works, and what may go wrong."""
import hashlib
import io
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest

from minifast.datasets import sources
from minifast.datasets.sources import DataNotFoundError, URLs, movielens_100k, untar_data


def zipped(names: tuple[str, ...] = ("u.data", "u.item"), folder: str = "ml-100k") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(f"{folder}/{name}", f"{name} of the little archive\n" * 2000)
    return buffer.getvalue()


@dataclass
class Server:
    """Serves `body` under any path; sends only `stop_after` bytes of it; counts requests."""

    url: str = ""
    body: bytes = field(default_factory=zipped)
    stop_after: int | None = None
    requests: int = 0
    delay: float = 0.0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests += 1
            time.sleep(state.delay)
            self.send_response(200)
            self.send_header("Content-Length", str(len(state.body)))
            self.end_headers()
            self.wfile.write(state.body[:state.stop_after])

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the test's output."""

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_port}/ml-100k.zip"
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture
def closed_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address of this machine where nobody listens: bound, so that no other can take it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/ml-100k.zip"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty MINIFAST_HOME, and an empty cache folder beside it."""
    monkeypatch.setenv("MINIFAST_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "home"


@pytest.fixture
def know(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], None]:
    """Enters the checksum of `body` for `url` in the table of known archives."""
    def enter(url: str, body: bytes) -> None:
        archive = sources._Archive(hashlib.sha256(body).hexdigest(), "ml-100k",
                                   ("u.data", "u.item"), 1_000_000)
        monkeypatch.setitem(sources._ARCHIVES, url, archive)
    return enter


def by_hand(folder: Path, names: tuple[str, ...] = ("u.data", "u.item")) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("put here by hand\n")
    return folder


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def nothing_left(home: Path) -> bool:
    """No file and no folder but the two that are made to hold data sets."""
    return {path.relative_to(home).as_posix() for path in home.rglob("*")} <= {"data"}


# ----------------------------------------------------------------------------- where it looks

def test_the_official_archive_is_pinned() -> None:
    archive = sources._ARCHIVES[URLs.ML_100k]
    assert URLs.ML_100k == "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
    assert archive.sha256 == "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
    assert archive.folder == "ml-100k"


def test_home_is_searched_first_then_the_cache(home: Path, tmp_path: Path) -> None:
    in_cache = by_hand(tmp_path / "cache" / "minifast" / "data" / "ml-100k")
    assert untar_data(URLs.ML_100k) == in_cache
    in_home = by_hand(home / "data" / "ml-100k")
    assert untar_data(URLs.ML_100k) == in_home


@pytest.mark.parametrize("unset", [True, False])
def test_without_home_the_cache_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unset: bool
) -> None:
    by_hand(home / "data" / "ml-100k")
    in_cache = by_hand(tmp_path / "cache" / "minifast" / "data" / "ml-100k")
    if unset:
        monkeypatch.delenv("MINIFAST_HOME")
    else:
        monkeypatch.setenv("MINIFAST_HOME", "")
    assert untar_data(URLs.ML_100k) == in_cache


def test_a_relative_home_is_made_absolute(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_home = by_hand(home / "data" / "ml-100k")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIFAST_HOME", "home")
    assert untar_data(URLs.ML_100k) == in_home


def test_an_unknown_address_is_refused(home: Path) -> None:
    with pytest.raises(ValueError, match=r"no checksum is known for 'http://x\.org/a\.zip'"):
        untar_data("http://x.org/a.zip")
    assert not home.exists()


# --------------------------------------------------------------------------------- downloading

def test_download_once_then_from_disk(
    home: Path, server: Server, know: Callable[[str, bytes], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    know(server.url, server.body)
    folder = untar_data(server.url, progress=False)
    assert folder == home / "data" / "ml-100k"
    assert (folder / "u.item").read_text() == "u.item of the little archive\n" * 2000
    assert sorted(files_under(home)) == [folder / "u.data", folder / "u.item"]
    assert [path.name for path in (home / "data").iterdir()] == ["ml-100k"]
    assert untar_data(server.url) == folder
    assert server.requests == 1
    assert "%" not in capsys.readouterr().err


def test_without_home_it_goes_to_the_cache(
    home: Path, tmp_path: Path, server: Server, know: Callable[[str, bytes], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    know(server.url, server.body)
    monkeypatch.delenv("MINIFAST_HOME")
    folder = untar_data(server.url, progress=False)
    assert folder == tmp_path / "cache" / "minifast" / "data" / "ml-100k"
    assert not home.exists()


def test_a_download_removes_what_a_killed_one_left(
    home: Path, server: Server, know: Callable[[str, bytes], None]
) -> None:
    know(server.url, server.body)
    (home / "data" / ".ml-100k-killed" / "unpacked").mkdir(parents=True)
    (home / "data" / ".ml-100k-killed" / "archive.zip").write_bytes(b"half of it")
    untar_data(server.url, progress=False)
    assert [path.name for path in (home / "data").iterdir()] == ["ml-100k"]


def test_progress_draws_a_bar(
    home: Path, server: Server, know: Callable[[str, bytes], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    know(server.url, server.body)
    untar_data(server.url, progress=True)
    assert "100%" in capsys.readouterr().err


def test_wrong_checksum_leaves_nothing(
    home: Path, server: Server, know: Callable[[str, bytes], None]
) -> None:
    know(server.url, server.body)
    right = server.body
    server.body = zipped(("u.data", "u.item", "u.evil"))
    with pytest.raises(DataNotFoundError, match="does not match the known hash"):
        untar_data(server.url, progress=False)
    assert nothing_left(home)
    server.body = right
    assert (untar_data(server.url, progress=False) / "u.data").is_file()


@pytest.mark.parametrize("sent", [0, 1, 70_000])
@pytest.mark.parametrize("progress", [False, True])
def test_broken_transfer_leaves_nothing(
    home: Path, server: Server, know: Callable[[str, bytes], None], sent: int, progress: bool
) -> None:
    assert sent < len(server.body)
    know(server.url, server.body)
    server.stop_after = sent
    with pytest.raises(DataNotFoundError, match="could not be downloaded"):
        untar_data(server.url, progress=progress)
    assert nothing_left(home)
    server.stop_after = None
    assert (untar_data(server.url, progress=progress) / "u.data").is_file()


def test_a_zip_that_is_none_leaves_nothing(
    home: Path, server: Server, know: Callable[[str, bytes], None]
) -> None:
    server.body = b"not a zip, though the checksum is right"
    know(server.url, server.body)
    with pytest.raises(DataNotFoundError, match="BadZipFile"):
        untar_data(server.url, progress=False)
    assert nothing_left(home)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError("No space left on device")])
def test_interrupted_unzip_leaves_nothing(
    home: Path, server: Server, know: Callable[[str, bytes], None],
    monkeypatch: pytest.MonkeyPatch, stop: type[BaseException] | BaseException,
) -> None:
    def half(archive: zipfile.ZipFile, path: str) -> None:
        archive.extract(archive.namelist()[0], path)
        assert files_under(home / "data")          # half-written while it runs
        raise stop

    know(server.url, server.body)
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extractall", half)
        with pytest.raises((KeyboardInterrupt, DataNotFoundError)):
            untar_data(server.url, progress=False)
    assert nothing_left(home)
    assert (untar_data(server.url, progress=False) / "u.data").is_file()


def test_two_at_once_both_get_the_data(
    home: Path, server: Server, know: Callable[[str, bytes], None]
) -> None:
    know(server.url, server.body)
    server.delay = 0.2                             # so that both find the disk empty
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: untar_data(server.url, progress=False), range(2)))
    assert server.requests == 2
    assert folders == [home / "data" / "ml-100k"] * 2
    assert sorted(path.name for path in folders[0].iterdir()) == ["u.data", "u.item"]
    assert [path.name for path in (home / "data").iterdir()] == ["ml-100k"]


def test_a_half_filled_folder_is_neither_used_nor_replaced(
    home: Path, server: Server, know: Callable[[str, bytes], None]
) -> None:
    know(server.url, server.body)
    folder = by_hand(home / "data" / "ml-100k", ("u.data",))
    with pytest.raises(DataNotFoundError, match=r"has no u\.item; move it away"):
        untar_data(server.url, progress=False)
    assert server.requests == 0
    assert (folder / "u.data").read_text() == "put here by hand\n"
    assert files_under(home) == [folder / "u.data"]


# ------------------------------------------------------------------------------------- offline

def test_offline_the_error_names_three_ways_on(
    home: Path, tmp_path: Path, closed_url: str, know: Callable[[str, bytes], None]
) -> None:
    know(closed_url, b"")
    with pytest.raises(OSError, match="could not be downloaded") as caught:
        untar_data(closed_url, progress=False)
    assert type(caught.value) is DataNotFoundError
    text = str(caught.value)
    assert "ml-100k (with u.data, u.item)" in text
    assert str(home / "data" / "ml-100k") in text
    assert str(tmp_path / "cache" / "minifast" / "data" / "ml-100k") in text
    assert closed_url in text
    assert "ConnectionError" in text
    assert "1. Get and unpack the archive by hand" in text
    assert "2. Set MINIFAST_HOME" in text
    assert "3. Work without it: minifast.datasets.planted.planted_ratings()" in text
    assert nothing_left(home)


def test_a_place_that_cannot_be_written_gets_the_same_error(
    home: Path, server: Server, know: Callable[[str, bytes], None]
) -> None:
    know(server.url, server.body)
    home.write_text("a file where the folder should be")
    with pytest.raises(DataNotFoundError, match=r"2\. Set MINIFAST_HOME"):
        untar_data(server.url, progress=False)


# ----------------------------------------------------------------------------------- MovieLens

def split(n: int, valid_pct: float = 0.1, seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """fastai v1's: the head of a legacy permutation validates, the rest in row order trains."""
    valid = np.random.RandomState(seed).permutation(n)[:int(valid_pct * n)]
    return np.setdiff1d(np.arange(n), valid), valid


@pytest.mark.parametrize(("row_order", "trained", "only_valid"),
                         [("post", 1653, 11), ("pandas", 1650, 14)])
def test_row_order_decides_which_titles_are_trained(
    movielens: Path, row_order: str, trained: int, only_valid: int
) -> None:
    ratings = movielens_100k(movielens, row_order)
    train, valid = split(len(ratings))
    titles = set(ratings.title[train])
    assert len(train) == 90_000
    assert len(titles) == trained
    assert len(set(ratings.title[valid]) - titles) == only_valid


def test_post_order_is_the_posts(movielens: Path) -> None:
    ratings = movielens_100k(movielens, "post")
    assert list(ratings.columns) == ["userId", "movieId", "rating", "timestamp", "title"]
    assert list(ratings.index) == list(range(100_000))
    assert ratings.head().values.tolist() == [
        [196, 242, 3, 881250949, "Kolya (1996)"], [63, 242, 3, 875747190, "Kolya (1996)"],
        [226, 242, 5, 883888671, "Kolya (1996)"], [154, 242, 3, 879138235, "Kolya (1996)"],
        [306, 242, 5, 876503793, "Kolya (1996)"]]


def test_post_order_validates_the_recorded_rows(movielens: Path) -> None:
    """First validation rows of recorded fastai runs: positions in the vocabularies, ratings."""
    ratings = movielens_100k(movielens, "post")
    train, valid = split(len(ratings))
    users, titles = (sorted(set(ratings[name][train])) for name in ("userId", "title"))
    rows = ratings.iloc[valid[:5]]
    assert [(users.index(u) + 1, titles.index(t) + 1, y)
            for u, t, y in zip(rows.userId, rows.title, rows.rating, strict=True)] == \
        [(498, 275, 3), (642, 1151, 5), (58, 8, 4), (495, 278, 3), (618, 1139, 3)]


def test_pandas_order_is_that_of_the_file(movielens: Path) -> None:
    raw = np.loadtxt(movielens / "u.data", dtype=np.int64)
    ratings = movielens_100k(movielens)
    np.testing.assert_array_equal(ratings.iloc[:, :4].to_numpy(), raw)
    assert ratings.title.nunique() == 1664
    assert ratings.title.notna().all()


def test_both_orders_hold_the_same_rows(movielens: Path) -> None:
    post, plain = (movielens_100k(movielens, order) for order in ("post", "pandas"))
    key = ["userId", "movieId"]
    assert post.sort_values(key).reset_index(drop=True).equals(
        plain.sort_values(key).reset_index(drop=True))


def test_the_default_folder_is_untar_datas(
    movielens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIFAST_HOME", str(movielens.parents[1]))
    assert len(movielens_100k()) == 100_000


def test_a_folder_without_the_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"has no u\.data and no u\.item") as caught:
        movielens_100k(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_row_order_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="row_order='old' is unknown"):
        movielens_100k(tmp_path, "old")
