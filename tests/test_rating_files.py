"""Ratings in CSV and Parquet files: the same as their frame, read in pieces, with clear errors."""
import gzip
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from labels import LABELS, SPLIT, UUIDS, assert_same, many
from tiny import ratings

import minifast.datasets  # noqa: F401  (adds from_csv and the like to CollabDataBunch)
from minifast.collab import collab_learner
from minifast.data import CollabDataBunch, DatasetType

# ------------------------------------------------------------------------------------ CSV files

OPTIONS = inspect.signature(CollabDataBunch.from_pieces).parameters


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a text or a frame as a file."""
    def to_file(content: Any, name: str = "ratings.csv", **kwargs: Any) -> Path:
        path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content)
        else:
            content.to_csv(path, **{"index": False, **kwargs})
        return path
    return to_file


@pytest.mark.parametrize("kind", ["int64", "uint64", "texts", "texts with gaps",
                                  "floats with gaps", "bool", "dates"])
@pytest.mark.parametrize("chunksize", [3, 40, 1000])
def test_a_csv_file_is_its_frame(kind: str, chunksize: int, write: Callable[..., Path]) -> None:
    path = write(many(kind).assign(timestamp=978300760))
    expected = CollabDataBunch.from_df(pd.read_csv(path), **SPLIT)
    assert_same(CollabDataBunch.from_csv(path, chunksize, **SPLIT), expected)
    assert_same(CollabDataBunch.from_csv(str(path), **SPLIT), expected)


def test_arguments_of_read_csv_are_passed_on(write: Callable[..., Path]) -> None:
    frame = many("int64")
    expected = CollabDataBunch.from_df(frame, **SPLIT)
    names = ["user", "item", "rating"]
    plain = write(frame, "u.data", sep="\t", header=False)
    assert_same(CollabDataBunch.from_csv(plain, 9, sep="\t", header=None, names=names, **SPLIT),
                expected)
    indexed = write(frame, index=True)
    assert_same(CollabDataBunch.from_csv(indexed, 9, index_col=0, **SPLIT), expected)
    assert_same(CollabDataBunch.from_csv(indexed, 9, usecols=names, **SPLIT), expected)
    packed = indexed.parent / "ratings.csv.gz"
    packed.write_bytes(gzip.compress(write(frame).read_bytes()))
    assert_same(CollabDataBunch.from_csv(packed, 9, **SPLIT), expected)
    few = CollabDataBunch.from_csv(packed, 9, nrows=20, **SPLIT)
    assert_same(few, CollabDataBunch.from_df(frame[:20], **SPLIT))
    turned = write(frame[["rating", "item", "user"]])
    assert_same(CollabDataBunch.from_csv(turned, 9, user_name="user", rating_name="rating",
                                         **SPLIT), expected)
    as_text = CollabDataBunch.from_csv(packed, 9, dtype={"user": str}, test=frame[:4].astype(
        {"user": str}), **SPLIT)
    assert_same(as_text, CollabDataBunch.from_df(frame.astype({"user": str}), **SPLIT))
    assert as_text.path == Path(".")
    assert len(as_text.dl(DatasetType.Test)) == 1


def test_no_argument_of_ours_is_one_of_read_csv() -> None:
    assert not OPTIONS.keys() & inspect.signature(pd.read_csv).parameters.keys()
    shared = inspect.signature(CollabDataBunch.from_df).parameters.keys() - {"ratings", "v1"}
    assert OPTIONS.keys() == shared | {"pieces", "source", "in_memory", "folder"}


def test_a_learner_trains_on_a_file(write: Callable[..., Path]) -> None:
    data = CollabDataBunch.from_csv(write(many("uuids")), 11, **SPLIT)
    learn = collab_learner(data, 2, y_range=[0, 3], seed=0)
    with learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
    assert learn.recommend(str(UUIDS[1]), 3)["prediction"].between(0, 3).all()


HEAD = "user,item,rating\n"
GOOD = "1,a,4\n2,b,3\n"
PLACE = r"ratings.csv, piece 3: .*"


@pytest.mark.parametrize(("text", "kwargs", "error", "message"), [
    (HEAD + GOOD * 2 + "3,c,\n", {}, ValueError,
     PLACE + r"'rating' has 1 missing.*nan, in row 4.*dropna\(subset=\['rating'\]\).*from_pieces"),
    (HEAD + GOOD * 2 + "3,c,4\n1,a,good\n", {}, ValueError,
     PLACE + r"'rating' holds (object|str) \(for example 'good' in row 5\).*to_num.*rating_name"),
    (HEAD + GOOD * 2 + "3,c,inf\n", {}, ValueError, PLACE + "'rating' has 1 .*inf, in row 4"),
    (HEAD + GOOD * 2 + "4,b,2\nx3,c,1\n", {}, TypeError,
     PLACE + r"'user' holds labels of type string, 'x3' in row 5, and of type number before, such "
     r"as 1; .*dtype=\{'user': str\}"),
    (HEAD + GOOD * 2 + "4,7,2\n", {}, TypeError,
     PLACE + r"'item' holds labels of type number, 7 in row 4, and of type string before, such as "
     r"'a'; .*dtype=\{'item': str\}"),
    (HEAD + GOOD * 2 + "4,b,2,1,1\n", {}, ValueError, r"ratings.csv cannot be read \(.*line 6.*s"),
    (HEAD + GOOD, {"dtype": {"item": int}}, ValueError, r"ratings.csv cannot be read \(.*'a'.*dt"),
    (HEAD + GOOD, {"chunksize": 0}, ValueError, r"ratings.csv cannot be read \(.*chunksize"),
    (HEAD + GOOD, {"user_name": "usr"}, KeyError,
     "ratings.csv, piece 1: no column 'usr'; the frame has user, item, rating"),
    (HEAD + GOOD, {"test": ratings()[["item"]]}, KeyError, "no column 'user'; the frame has item"),
    ("user,rating\n1,4\n", {}, ValueError, r"ratings.csv, piece 1: .*three columns.*\['user', 'ra"),
    (HEAD.replace(",", ";") + "1;a;4\n", {}, ValueError, "three columns.*user;item;rating"),
    (HEAD, {}, ValueError, "ratings.csv has 0 rows; check how it was read"),
    ("", {}, ValueError, r"ratings.csv cannot be read \(No columns"),
    (HEAD + GOOD, {"bs": 3}, ValueError, "2 training rows are fewer than one batch of 3"),
    (HEAD + GOOD, {"bsz": 3}, TypeError, "bsz"),
    (HEAD + GOOD + GOOD.replace("1", "x"), {"valid_pct": 2}, ValueError, r"valid_pct.*got 2")])
def test_csv_files_that_cannot_be_used(text: str, kwargs: Any, error: type[Exception],
                                       message: str, write: Callable[..., Path]) -> None:
    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    with pytest.raises(error, match=message):
        CollabDataBunch.from_csv(write(text), **{"chunksize": 2, "bs": 2, "valid_pct": 0, **kwargs})
    if "bs" not in kwargs:  # how many rows there are is known once they were read and split
        assert np.random.rand() == expected


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for make in (CollabDataBunch.from_csv, CollabDataBunch.from_parquet):
        with pytest.raises(FileNotFoundError, match=r"nothing\.here"):
            make(tmp_path / "nothing.here")


# -------------------------------------------------------------------------------- Parquet files


@pytest.mark.parametrize("kind", [kind for kind in LABELS if kind != "uuids"])
@pytest.mark.parametrize("chunksize", [3, 1000])
def test_a_parquet_file_is_its_frame(kind: str, chunksize: int, tmp_path: Path) -> None:
    many(kind).assign(timestamp=978300760).to_parquet(tmp_path / "r.parquet", row_group_size=16)
    expected = CollabDataBunch.from_df(pd.read_parquet(tmp_path / "r.parquet"), **SPLIT)
    assert_same(CollabDataBunch.from_parquet(tmp_path / "r.parquet", chunksize, **SPLIT), expected)


def test_three_columns_of_a_parquet_file_are_read(tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet
    asked = []

    class Watched(pyarrow.parquet.ParquetFile):  # type: ignore[misc]
        def iter_batches(self, *args: Any, **kwargs: Any) -> Any:
            asked.append(kwargs["columns"])
            return super().iter_batches(*args, **kwargs)
    monkeypatch.setattr(pyarrow.parquet, "ParquetFile", Watched)
    frame, path = many("texts").assign(when=0, text="long"), tmp_path / "r.parquet"
    expected = CollabDataBunch.from_df(frame, **SPLIT)
    frame[["when", "rating", "item", "user"]].to_parquet(path)
    made = CollabDataBunch.from_parquet(path, 9, user_name="user", item_name="item",
                                        rating_name="rating", **SPLIT)
    assert_same(made, expected)
    assert asked == [["user", "item", "rating"]]
    frame.set_index("user").to_parquet(path)
    made = CollabDataBunch.from_parquet(path, user_name="user", item_name="item",
                                        rating_name="rating", **SPLIT)
    assert_same(made, expected)


def test_parquet_files_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    many("int64").assign(rating=[1.] * 30 + [np.nan] * 10).to_parquet(path)
    with pytest.raises(ValueError, match=r"r.parquet, piece 4: .*10 missing.*nan, in row 30\)"):
        CollabDataBunch.from_parquet(path, 10)
    with pytest.raises(KeyError, match=r"r.parquet: no column 'usr'; the frame has user, item, ra"):
        CollabDataBunch.from_parquet(path, user_name="usr")
    many("int64")[["user", "item"]].to_parquet(path)
    with pytest.raises(ValueError, match=r"r.parquet: ratings need three columns.*\['user', 'item"):
        CollabDataBunch.from_parquet(path)
    many("int64")[:0].to_parquet(path)
    with pytest.raises(ValueError, match=r"r.parquet has 0 rows"):
        CollabDataBunch.from_parquet(path)
    path.write_text("user,item,rating\n1,2,3\n")
    with pytest.raises(ValueError, match=r"r.parquet cannot be read \(.*arquet.*one Parquet file"):
        CollabDataBunch.from_parquet(path)
    with pytest.raises(ValueError, match=r"cannot be read \(.*several go to from_pieces"):
        CollabDataBunch.from_parquet(tmp_path)


def test_without_pyarrow_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                             ) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'minifast\[parquet\]', or .* from_csv"):
        CollabDataBunch.from_parquet(tmp_path / "r.parquet")
