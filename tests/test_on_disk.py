"""Ratings that stay on disk: the same rows and labels, a random order, bounded memory."""
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from host import host

from minifast.collab import CollabDataBunch, collab_learner
from minifast.datasets import on_disk, planted_ratings

NAMES = {"user_name": "userId", "item_name": "movieId", "rating_name": "rating"}


@pytest.fixture(scope="module")
def ratings() -> pd.DataFrame:
    return planted_ratings(120, 90, 3000, seed=0).ratings


@pytest.fixture
def file(ratings: pd.DataFrame, tmp_path: Path) -> Path:
    ratings.to_parquet(tmp_path / "ratings.parquet")
    return tmp_path / "ratings.parquet"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_disk, "BLOCK", 64)
    monkeypatch.setattr(on_disk, "BUFFER", 640)


def bunch(file: Path, **kwargs: Any) -> CollabDataBunch:
    options = {"in_memory": False, "seed": 1, "bs": 64, "chunksize": 500, **NAMES, **kwargs}
    return CollabDataBunch.from_parquet(file, **options)


def table(data: CollabDataBunch, dl: Any) -> pd.DataFrame:
    """A pass over a loader, with labels instead of numbers."""
    parts = [(*map(host, xb), host(yb)) for xb, yb in data.batches(dl)]
    users, items, stars = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return pd.DataFrame({"userId": data.classes["userId"][users].astype(int),
                         "movieId": data.classes["movieId"][items].astype(int), "rating": stars})


def in_order(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, frame[list(NAMES.values())].astype(float).to_numpy()))


def test_both_parts_together_are_the_file(file: Path, ratings: pd.DataFrame) -> None:
    data = bunch(file, valid_pct=.3)
    found = pd.concat([table(data, data.fix_dl), table(data, data.valid_dl)])
    # a validation row whose label is in no training row has the number 0, which is '#na#'
    assert in_order(found) == in_order(ratings)
    assert abs(len(data.valid_ds) - 900) < 4 * (3000 * .3 * .7) ** .5


def test_labels_of_validation_rows_alone_are_unknown(tmp_path: Path) -> None:
    frame = pd.DataFrame({"userId": np.repeat(np.arange(300), 2), "movieId": 1, "rating": 3.})
    frame.to_parquet(tmp_path / "r.parquet")
    data = bunch(tmp_path / "r.parquet", valid_pct=.6)
    known = set(data.classes["userId"][1:].astype(int))
    users = {int(data.classes["userId"][i]) for i in np.asarray(data.train_ds.x[0])}
    assert users == known
    assert (np.asarray(data.valid_ds.x[0]) == 0).any()
    assert len(known) < 300


def test_a_pass_has_every_row_once_in_an_order_of_its_own(file: Path) -> None:
    data = bunch(file, valid_pct=0, bs=8)
    first, second = (table(data, data.train_dl) for _ in range(2))
    assert len(first) == 3000
    assert in_order(first) == in_order(second) == in_order(table(data, data.fix_dl))
    assert not first.equals(second)
    again = bunch(file, valid_pct=0, bs=8)
    assert first.equals(table(again, again.train_dl))


def test_batches_mix_distant_rows(tmp_path: Path) -> None:
    n = 6400
    pd.DataFrame({"userId": np.arange(n), "movieId": 0, "rating": 1.}).to_parquet(
        tmp_path / "r.parquet")
    data = bunch(tmp_path / "r.parquet", valid_pct=0)
    for _ in range(2):
        spreads = [float(np.std(host(xb[0]))) for xb, _ in data.train_dl]
        assert np.mean(spreads) > .95 * n / 12 ** .5  # that of rows drawn from the whole file


def test_each_batch_meets_many_users_of_a_file_sorted_by_user(tmp_path: Path) -> None:
    pd.DataFrame({"userId": np.repeat(np.arange(100), 64), "movieId": 0, "rating": 1.}).to_parquet(
        tmp_path / "r.parquet")
    data = bunch(tmp_path / "r.parquet", valid_pct=.2, bs=64)
    for dl in (data.train_dl, data.valid_dl):
        counts = [len(np.unique(host(xb[0]))) for xb, yb in dl if len(yb) == 64]
        assert min(counts) > 35  # 64 rows drawn from all rows: 47 on average


@pytest.mark.parametrize("drop_last", [True, False])
def test_lengths(file: Path, drop_last: bool) -> None:
    data = bunch(file, valid_pct=0)
    dl = on_disk.BufferedLoader(data.train_ds, 128, True, drop_last, 0, data.device)
    sizes = [len(yb) for _, yb in dl]
    assert len(sizes) == len(dl)
    assert sizes == [128] * 23 + ([] if drop_last else [56])


def test_a_learner_trains_and_recommends(file: Path) -> None:
    data = bunch(file)
    learn = collab_learner(data, n_factors=5, y_range=[0, 5.5], wd=.1, seed=0)
    with learn.no_logging():
        learn.fit_one_cycle(3, 2e-2)
    assert learn.validate()[0] < host(data.valid_ds.y).var()
    user = int(data.classes["userId"][1])
    rated = set(table(data, data.fix_dl).query("userId == @user")["movieId"])
    assert not rated & set(learn.recommend(user, 5)["movieId"].astype(int))


def test_files_are_kept_in_a_folder_or_removed_with_the_data(file: Path, tmp_path: Path) -> None:
    kept = bunch(file, folder=tmp_path / "kept")
    assert sorted(p.name for p in (tmp_path / "kept").iterdir()) == ["train.rows", "valid.rows"]
    assert (tmp_path / "kept/train.rows").stat().st_size == 12 * len(kept.train_ds)
    temporary = bunch(file)
    place = temporary.train_ds.path
    assert place.is_file()
    del temporary
    assert not place.exists()


def test_copies_of_the_data_keep_the_files(file: Path) -> None:
    data = bunch(file)
    copied = deepcopy(data)
    del data
    assert len(table(copied, copied.valid_dl)) == len(copied.valid_ds)


def test_conversions_into_one_folder_do_not_disturb_each_other(ratings: pd.DataFrame,
                                                               tmp_path: Path) -> None:
    def convert(pieces: Any) -> CollabDataBunch:
        return CollabDataBunch.from_pieces(pieces, in_memory=False, seed=1, folder=tmp_path / "a",
                                           **NAMES)

    def pieces() -> Iterator[pd.DataFrame]:
        yield ratings[:1000]
        assert len(convert([ratings]).valid_ds) == len(expected.valid_ds)
        yield ratings[1000:]

    expected = convert([ratings])
    found = convert(pieces())
    assert in_order(table(found, found.fix_dl)) == in_order(table(expected, expected.fix_dl))


def test_an_error_leaves_no_files(ratings: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="missing or infinite"):
        CollabDataBunch.from_pieces([ratings, ratings.assign(rating=np.nan)], in_memory=False,
                                    folder=tmp_path / "a", **NAMES)
    assert not list((tmp_path / "a").iterdir())


KILLED = """
import os, signal
import pandas as pd
from minifast.data import CollabDataBunch
from minifast.datasets import methods

def pieces():
    yield pd.DataFrame({"user": [1, 2], "item": [3, 4], "rating": [5., 1.]})
    os.kill(os.getpid(), signal.SIGKILL)

CollabDataBunch.from_pieces(pieces(), in_memory=False)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL and no locks of folders")
def test_what_a_killed_conversion_leaves_is_removed(file: Path, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    kept = bunch(file)
    subprocess.run([sys.executable, "-c", KILLED], check=False,
                   env={**os.environ, "TMPDIR": str(tmp_path / "temporary")})
    assert len(list((tmp_path / "temporary").iterdir())) == 2
    other = bunch(file)
    assert {Path(ds.path).parent for ds in (kept.train_ds, other.train_ds)} == \
        {*(tmp_path / "temporary").iterdir()}


def test_valid_idx_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match="give valid_pct, not valid_idx"):
        bunch(file, valid_idx=[1, 2])


LIMITED = """
import resource, sys
from minifast.collab import collab_learner
from minifast.data import CollabDataBunch
from minifast.datasets import on_disk

def train(file, kind):
    data = CollabDataBunch.from_parquet(file, in_memory=kind == 'memory', seed=0, bs=8192,
                                        chunksize=1 << 17)
    with (learn := collab_learner(data, n_factors=4, seed=0)).no_logging():
        learn.fit(1, 1e-3)
    return len(data.train_ds)

small, large, kind = sys.argv[1:]
on_disk.BUFFER = 1 << 21
train(small, 'disk')  # imports everything, and starts threads
used = int(open('/proc/self/statm').read().split()[5]) * 4096  # data and stack
resource.setrlimit(resource.RLIMIT_DATA, (used + (64 << 20),) * 2)
print(train(large, kind))
"""


def write_ratings(path: Path, n: int) -> Path:
    rng = np.random.default_rng(0)
    pd.DataFrame({"user": rng.integers(0, 500, n, np.int32), "item": rng.integers(0, 400, n,
                  np.int32), "rating": rng.integers(1, 6, n).astype(np.float32)}
                 ).to_parquet(path, row_group_size=1 << 18)
    return path


@pytest.mark.cpu_only("memory is the host's")
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory differ between systems")
def test_a_file_larger_than_the_limit_of_memory_trains(tmp_path: Path) -> None:
    files = [write_ratings(tmp_path / name, n) for name, n in (("small", 600_000),
                                                               ("large", 8_000_000))]
    results = {kind: subprocess.run([sys.executable, "-c", LIMITED, *map(str, files), kind],
                                    capture_output=True, text=True, check=False)
               for kind in ("disk", "memory")}
    assert results["disk"].returncode == 0, results["disk"].stderr[-2000:]
    assert abs(int(results["disk"].stdout) - 6_400_000) < 10_000
    assert "MemoryError" in results["memory"].stderr or "allocate" in results["memory"].stderr
