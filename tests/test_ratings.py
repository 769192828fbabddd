"""Ratings in one frame and in pieces: the same numbers, in one array a column."""
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from labels import LABELS, SPLIT, N, assert_same, columns, many
from tiny import host, ratings, ratings_data

from minifast.autograd import tensor
from minifast.backend import default_device
from minifast.collab import collab_learner
from minifast.data import (
    ArrayDataset,
    CollabDataBunch,
    DataLoader,
    DatasetType,
    UnknownColumnError,
    random_split,
)
from minifast.datasets import streaming
from minifast.nn import Embedding
from minifast.train import Learner


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in slices of seven rows, so that forty rows take several."""
    monkeypatch.setattr(streaming, "SLICE", 7)


def cut(frame: pd.DataFrame, *sizes: int) -> Iterator[pd.DataFrame]:
    """A frame in pieces of these sizes, the last as long as what remains."""
    ends = [0, *np.cumsum(sizes), len(frame)]
    for start, stop in pairwise(ends):
        yield frame.iloc[start:stop]


# ------------------------------------------------------------------------- labels of every type

def by_hand(labels: list[Any], train: Any) -> tuple[list[Any], list[int]]:
    """The labels of the training rows in order, and the number of each row's label."""
    known = sorted({labels[i] for i in train if not pd.isna(labels[i])})
    return known, [0 if pd.isna(label) or label not in known else known.index(label) + 1
                   for label in labels]


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_every_type(kind: str) -> None:
    frame = many(kind)
    train, valid = random_split(N, .3, seed=3)
    expected, known = [], []
    for name in ("user", "item"):
        labels, codes = by_hand(frame[name].tolist(), train)
        known.append(labels)
        expected.append(codes)
    data = CollabDataBunch.from_df(frame, **SPLIT)
    table = [*expected, frame.rating.tolist()]
    assert columns(data) == [[column[i] for i in rows] for rows in (train, valid)
                             for column in table]
    assert [cats.labels.tolist() for cats in data.categories] == known
    for sizes in ([1], [20, 3], [0, 39], [10] * 3):
        assert_same(CollabDataBunch.from_pieces(cut(frame, *sizes), **SPLIT), data)


def test_some_labels_are_in_validation_rows_only() -> None:
    """Else the tests above would say nothing about them."""
    data = CollabDataBunch.from_df(pd.DataFrame({
        "user": range(N), "item": list("ab") * (N // 2), "rating": 1.}), **SPLIT)
    assert host(data.valid_ds.x[0]).tolist() == [0] * 12
    assert sorted(host(data.train_ds.x[0]).tolist()) == [*range(1, 29)]


def test_whole_numbers_become_floats_where_another_piece_has_a_gap() -> None:
    whole = pd.DataFrame({"user": [7, 3, 7, 5], "item": [1, 2, 1, 2], "rating": 1.})
    holed = whole.assign(user=[9., np.nan, 7., 3.])
    data = CollabDataBunch.from_pieces([whole, holed], valid_pct=0, bs=2)
    assert_same(data, CollabDataBunch.from_df(pd.concat([whole, holed]), valid_pct=0, bs=2))
    assert data.classes["user"].tolist() == ["#na#", "3.0", "5.0", "7.0", "9.0"]
    assert data.categories[0].index("7") == 3
    nothing = holed.assign(user=np.nan)  # pandas takes a piece without labels for floats
    for pieces in ([nothing, whole], [whole, nothing], [nothing, whole.astype({"user": str})]):
        data = CollabDataBunch.from_pieces(pieces, valid_pct=0, bs=2)
        assert data.classes["user"].tolist() == ["#na#", "3", "5", "7"]


def test_signed_and_unsigned_pieces() -> None:
    """pandas would join them as floats."""
    low = pd.DataFrame({"user": [5, 3], "item": [1, 1], "rating": 1.})
    high = low.assign(user=np.array([2**63 + 1, 5], np.uint64))
    data = CollabDataBunch.from_pieces([low, high], valid_pct=0, bs=2)
    assert data.categories[0].labels.tolist() == [3, 5, 2**63 + 1]
    assert host(data.train_ds.x[0]).tolist() == [2, 1, 3, 2]


def test_columns_are_those_of_the_first_piece() -> None:
    first, second = cut(ratings(), 6)
    data = CollabDataBunch.from_pieces([first, second.assign(when=0)[["when", *first]]],
                                       valid_pct=.25, seed=3, bs=4)
    assert_same(data, ratings_data())
    with pytest.raises(UnknownColumnError, match=r"^the ratings, piece 2: no column 'item'; the "
                                                 "frame has user, rating"):
        CollabDataBunch.from_pieces([first, second[["user", "rating"]]], bs=4)


# ------------------------------------------------------------------------------- one array each


@pytest.mark.cpu_only("on a device each set has its own part of the array")
def test_both_sets_are_parts_of_one_array() -> None:
    data = CollabDataBunch.from_pieces([many("int64")], **SPLIT)
    for train, valid in [*zip(data.train_ds.x, data.valid_ds.x, strict=True),
                         (data.train_ds.y, data.valid_ds.y)]:
        assert train.base is valid.base
        assert len(train.base) == N
        assert train.itemsize == 4


def test_ids_are_int32_in_every_loader() -> None:
    data = CollabDataBunch.from_df(many("texts"), test=many("texts"), **SPLIT)
    for kind in DatasetType:
        (users, items), y = data.one_batch(kind)
        assert (users.dtype, items.dtype, y.dtype) == (np.int32, np.int32, np.float32)
        assert users.device == default_device()


@pytest.mark.cpu_only("memory of the host")
@pytest.mark.parametrize("as_pieces", [False, True])
def test_no_second_copy_is_made(as_pieces: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """12 bytes a row stay: at the most, 20 are there at once, and slices."""
    n, slice_rows = 400_000, 20_000
    monkeypatch.setattr(streaming, "SLICE", slice_rows)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": rng.integers(0, 3000, n), "item": rng.integers(0, 500, n),
                          "rating": rng.random(n)})
    pieces = cut(frame, *[n // 8] * 7) if as_pieces else [frame]
    tracemalloc.start()
    try:
        data = CollabDataBunch.from_pieces(pieces, .1, seed=1, bs=64, device="cpu")
        stays, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(data.train_ds) == 360_000
    assert stays < 12 * n + 2e6
    assert peak < 20 * n + 60 * slice_rows + 2e6


def test_a_set_of_two_loaders_moves_once() -> None:
    data = CollabDataBunch.from_df(many("int64"), device="cpu", **SPLIT)
    before = columns(data)
    data.to("fakecuda")
    assert data.train_dl.dataset is data.fix_dl.dataset  # type: ignore[attr-defined]
    assert data.one_batch()[1].device == "fakecuda"
    assert columns(data) == before == columns(data.to("cpu"))


@pytest.mark.parametrize("n", [1, 7, 100])
def test_passes_have_the_orders_of_the_generator(n: int) -> None:
    ds = ArrayDataset(np.arange(n), np.arange(n)).to(default_device())
    dl, expected = DataLoader(ds, 8, shuffle=True, seed=5), np.random.default_rng(5)
    for _ in range(2):
        order = np.concatenate([host(y) for _, y in dl]).tolist()
        assert order == expected.permutation(n).tolist()


@pytest.mark.parametrize("n", [1, 10, 1000])
def test_the_split_is_a_permutation_of_numpy_s_and_leaves_its_state_alone(n: int) -> None:
    np.random.seed(7)
    train, valid = random_split(n, .3, seed=42)
    after = np.random.rand()
    np.random.seed(7)
    assert after == np.random.rand()
    np.random.seed(42)
    drawn = np.random.permutation(n)
    assert valid.tolist() == drawn[:int(.3 * n)].tolist()
    assert train.tolist() == sorted(drawn[int(.3 * n):].tolist())
    assert train.dtype == valid.dtype == np.int32


# ------------------------------------------------------------------------------ ids of any width


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"])
def test_an_embedding_takes_ids_of_any_integer_type(dtype: str) -> None:
    """100 * 7 is too large for int8: the place of a row may not be computed in the ids' type."""
    layer, ids = Embedding(120, 7, seed=0), np.array([[100, 3], [100, 119]])
    layer(tensor(ids.astype(dtype))).sum().backward()
    expected = np.zeros((120, 7), np.float32)
    expected[[3, 100, 119]] = np.array([[1.], [2.], [1.]])
    np.testing.assert_array_equal(host(layer.weight.grad), expected)
    np.testing.assert_array_equal(host(layer(tensor(ids.astype(dtype)))), host(layer.weight)[ids])


@pytest.mark.parametrize("wrong", [-1, 5, 2**31 - 1])
def test_int32_ids_out_of_range(wrong: int) -> None:
    ids = np.array([0, wrong], np.int32)
    ds = ArrayDataset([ids, np.array([1, 1], np.int32)], np.ones(2, np.float32))
    learn = collab_learner(ratings_data(), 2)
    learn.data.train_dl = DataLoader(ds.to(learn.data.device), 2)
    with pytest.raises(IndexError, match=f"id {wrong} is out of range"), learn.no_logging():
        learn.fit(1)


@pytest.mark.cpu_only("the simulated device sums gradients in any order")
def test_training_does_not_depend_on_the_type_of_ids() -> None:
    def trained(dtype: str) -> Learner:
        data = ratings_data()
        for dl in (data.train_dl, data.valid_dl):
            ds = dl.dataset  # type: ignore[attr-defined]
            ds.x = [column.astype(dtype) for column in ds.x]
        data.train_dl = DataLoader(data.train_ds, 4)
        learn = collab_learner(data, 3, y_range=[0, 5.5], seed=0)
        with learn.no_logging():
            learn.fit_one_cycle(2, .1)
        return learn
    one, other = trained("int32"), trained("int64")
    assert one.recorder.val_losses == other.recorder.val_losses
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert host(a).tobytes() == host(b).tobytes()


# -------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("none", ["ratings.csv", [1, 2, 3], None])
def test_a_frame_that_is_none(none: Any) -> None:
    with pytest.raises(TypeError, match=f"must be a frame, got {type(none).__name__}; read a file"):
        CollabDataBunch.from_df(none)


def test_labels_that_cannot_be_hashed() -> None:
    lists = ratings().assign(item=[[1]] * 16)
    for make in (CollabDataBunch.from_df, lambda frame: CollabDataBunch.from_pieces([frame])):
        with pytest.raises(TypeError, match=r"'item' holds values that cannot be labels \(unhash"):
            make(lists)


def test_pieces_that_are_none() -> None:
    with pytest.raises(TypeError, match="a piece is a frame, got str; one frame alone goes to fro"):
        CollabDataBunch.from_pieces(ratings())  # type: ignore[arg-type]
    for none in ([], [ratings()[:0]] * 2):
        with pytest.raises(ValueError, match=r"^the log has 0 rows"):
            CollabDataBunch.from_pieces(none, source="the log")


def test_whole_numbers_that_floats_cannot_tell_apart() -> None:
    whole = pd.DataFrame({"user": [2**53 + 1, 1], "item": 1, "rating": 1.})
    with pytest.raises(ValueError, match=r"'user' has whole numbers above .* floats.*'Int64'"):
        CollabDataBunch.from_pieces([whole, whole.assign(user=[np.nan, 3])], bs=1)
