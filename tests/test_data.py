"""From frames and arrays to batches: the split, the categories, the loaders, the bunches."""
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny import batches, host, ratings, ratings_data, ratings_learner, rows

from minifast import Tensor
from minifast.autograd import display, tensor
from minifast.data import (
    ArrayDataset,
    Categories,
    CollabDataBunch,
    DataBunch,
    DataLoader,
    DatasetType,
    emb_sz_rule,
    random_split,
)
from minifast.datasets import movielens_100k
from minifast.nn import BCEWithLogitsFlat, CrossEntropyFlat, Linear, MSELossFlat
from minifast.train import Learner

# ------------------------------------------------------------------------------------- the split


def test_the_split_of_the_post() -> None:
    train, valid = random_split(100_000, .1, seed=42)
    assert valid[:10].tolist() == [75721, 80184, 19864, 76699, 92991, 76434, 84004, 80917,
                                   60767, 50074]
    assert (len(train), len(valid)) == (90_000, 10_000)


def test_validation_rows_keep_the_drawn_order_and_training_rows_ascend() -> None:
    train, valid = random_split(10, .99, seed=42)
    assert valid.tolist() == [8, 1, 5, 0, 7, 2, 9, 4, 3]
    assert train.tolist() == [6]
    train, valid = random_split(10, .35, seed=42)
    assert valid.tolist() == [8, 1, 5]
    assert train.tolist() == [0, 2, 3, 4, 6, 7, 9]


def test_a_seed_is_the_split_s_own_and_none_goes_on_from_numpy_s_state() -> None:
    np.random.seed(42)
    expected = np.random.permutation(10)
    np.random.seed(7)
    before = np.random.get_state()[1].tolist()
    assert random_split(10, .5, seed=42)[1].tolist() == expected[:5].tolist()
    assert np.random.get_state()[1].tolist() == before
    np.random.seed(42)
    assert random_split(10, .3)[1].tolist() == expected[:3].tolist()


@pytest.mark.parametrize(("n", "dtype"), [(2 ** 31, np.int32), (2 ** 31 + 1, np.int64)])
def test_as_many_rows_as_int32_has_numbers(n: int, dtype: type,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    """The last row is n - 1. As int32 it would be negative from 2^31 on."""
    monkeypatch.setattr(np, "arange", lambda n, dtype: np.array([0, n - 1]).astype(dtype))
    train, valid = random_split(n, 0.)
    assert train.tolist() == [0, n - 1]
    assert train.dtype == valid.dtype == dtype


def test_nothing_to_validate_on() -> None:
    train, valid = random_split(10, 0, seed=42)
    assert train.tolist() == list(range(10))
    assert len(valid) == 0
    assert len(random_split(10, .09, seed=42)[1]) == 0  # int() rounds down


# ------------------------------------------------------------------------------------ categories


def test_ints_are_in_numeric_order_and_shown_as_text() -> None:
    cats = Categories("user", [10, 9, 10, 2])
    assert cats.classes.tolist() == ["#na#", "2", "9", "10"]
    assert len(cats) == 4
    assert cats.classes.dtype.kind == "U"
    codes = cats.encode([2, 9, 10, 11])
    assert codes.tolist() == [1, 2, 3, 0]
    assert codes.dtype == np.int64


TEXTS = ["b", "B", "a", "'Til"]


@pytest.mark.parametrize("labels", [
    TEXTS, np.array(TEXTS), np.array(TEXTS, object), pd.array(TEXTS, dtype="string"),
    pd.Series(TEXTS).to_numpy(), pd.array([*TEXTS, None], dtype="string")],
    ids=["list", "str", "object", "string", "series", "string with a gap"])
def test_texts_are_in_code_point_order(labels: Any) -> None:
    cats = Categories("title", labels)
    assert cats.classes.tolist() == ["#na#", "'Til", "B", "a", "b"]
    assert cats.classes.dtype == object
    assert cats.encode(labels).tolist()[:4] == [4, 2, 3, 1]
    assert cats.encode(["A", None, float("nan"), "b"]).tolist() == [0, 0, 0, 4]


INTS = [30, 4, 4]


@pytest.mark.parametrize("labels", [
    INTS, np.array(INTS, np.int8), np.array(INTS, np.uint64), np.array(INTS, object),
    pd.array(INTS, dtype="Int64"), pd.array([*INTS, None], dtype="Int64")],
    ids=["list", "int8", "uint64", "object", "Int64", "Int64 with a gap"])
def test_ints_of_any_type(labels: Any) -> None:
    cats = Categories("user", labels)
    assert cats.classes.tolist() == ["#na#", "4", "30"]
    assert cats.encode(labels).tolist()[:3] == [2, 1, 1]
    assert cats.encode(np.array([4., np.nan, 5.])).tolist() == [1, 0, 0]


def test_ints_that_a_missing_one_made_floats() -> None:
    cats = Categories("user", [30., np.nan, 4.])
    assert cats.classes.tolist() == ["#na#", "4.0", "30.0"]
    assert cats.encode([30., np.nan, 4.]).tolist() == [2, 0, 1]
    assert [cats.index(label) for label in (4, 4., "4", "4.0")] == [1] * 4
    assert Categories("x", [.5, 1.5]).index(.5) == 1


@pytest.mark.parametrize("label", [5, "5", 5., np.int64(5), np.int8(5), np.str_("5")])
def test_a_label_is_found_by_whatever_equals_it(label: Any) -> None:
    assert Categories("user", [5, 40]).index(label) == 1


def test_an_unknown_label_is_named_with_its_neighbours() -> None:
    cats = Categories("title", ["Fargo (1996)", "Contact (1997)", "Scream (1996)"])
    with pytest.raises(KeyError, match=r"'Fargo \(1997\)' is not among the 3 values of 'title'.*"
                                       r"near it: 'Fargo \(1996\)'"):
        cats.index("Fargo (1997)")
    with pytest.raises(KeyError, match=r"near it: 'Fargo \(1996\)'"):
        cats.index("fargo")  # without its year
    with pytest.raises(KeyError, match=r"validation rows only\)"):
        cats.index("Heat")
    for label in ("#na#", None, float("nan"), 5):
        with pytest.raises(KeyError, match="not among the 3 values"):
            cats.index(label)


def test_labels_without_an_order() -> None:
    with pytest.raises(TypeError, match=r"'user' cannot be put in order.*int, str.*convert"):
        Categories("user", [1, "a"])


def test_nothing_to_learn_from() -> None:
    cats = Categories("user", [])
    assert cats.classes.tolist() == ["#na#"]
    assert cats.encode([1, 2]).tolist() == [0, 0]


def test_embedding_widths() -> None:
    golden = {2: 2, 3: 3, 5: 4, 10: 6, 50: 14, 100: 21, 944: 74, 1000: 77, 1654: 102, 10_000: 278,
              50_000: 600, 10**7: 600}
    assert {n: emb_sz_rule(n) for n in golden} == golden


# --------------------------------------------------------------------------------------- loaders


def numbers(n: int) -> ArrayDataset:
    return ArrayDataset([np.arange(n), np.arange(n) * 10], np.arange(n, dtype=np.float32))


def seen(dl: DataLoader) -> list[list[int]]:
    return [[int(v) for v in yb] for _, yb in dl]


@pytest.mark.parametrize("bs", [1, 4])
@pytest.mark.parametrize("n", [1, 7, 8, 9])
@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_has_each_row_once(n: int, shuffle: bool, bs: int) -> None:
    dl = DataLoader(numbers(n), bs, shuffle=shuffle, seed=0)
    for _ in range(2):
        got = seen(dl)
        assert sorted(chain.from_iterable(got)) == list(range(n))
        assert len(got) == len(dl) == -(-n // bs)
        assert all(len(batch) == bs for batch in got[:-1])


@pytest.mark.parametrize("shuffle", [False, True])
def test_drop_last_leaves_out_the_short_batch(shuffle: bool) -> None:
    dl = DataLoader(numbers(11), 4, shuffle=shuffle, drop_last=True, seed=0)
    assert [len(batch) for batch in seen(dl)] == [4, 4]
    assert len(dl) == 2
    assert len(set(chain.from_iterable(seen(dl)))) == 8
    assert len(DataLoader(numbers(3), 4, drop_last=True)) == 0


def test_inputs_and_targets_stay_together() -> None:
    for (a, b), y in DataLoader(numbers(9), 4, shuffle=True):
        assert (a.numpy() * 10 == b.numpy()).all()
        assert (a.numpy() == y.numpy()).all()


def test_each_epoch_has_an_order_of_its_own_and_a_seed_gives_it_again() -> None:
    dl, twin = (DataLoader(numbers(64), 8, shuffle=True, seed=3) for _ in range(2))
    epochs = [seen(dl) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert epochs == [seen(twin) for _ in range(3)]
    assert epochs[0] != seen(DataLoader(numbers(64), 8, shuffle=True, seed=4))


def test_numpys_seed_fixes_the_order_where_none_is_given() -> None:
    def first() -> list[list[int]]:
        np.random.seed(1)
        return seen(DataLoader(numbers(64), 8, shuffle=True))
    assert first() == first()


def test_a_batch_is_one_gather_for_each_array() -> None:
    class Watched(ArrayDataset):
        def __getitem__(self, chosen: Any) -> Any:
            asked.append(chosen)
            return super().__getitem__(chosen)
    asked: list[Any] = []
    ds = Watched(numbers(20).x, numbers(20).y)
    batches = [yb.tolist() for _, yb in DataLoader(ds, 8, shuffle=True)]
    assert [len(rows) for rows in asked] == [len(batch) for batch in batches] == [8, 8, 4]
    assert sorted(np.concatenate(batches).tolist()) == ds.y.tolist()
    asked.clear()
    assert len(list(DataLoader(ds, 8))) == 3
    assert asked == [slice(0, 8), slice(8, 16), slice(16, 24)]


@pytest.mark.parametrize("shuffle", [False, True])
def test_changing_a_batch_in_place_does_not_change_the_data(shuffle: bool) -> None:
    ds = numbers(10)
    for (a, _), y in DataLoader(ds, 4, shuffle=shuffle):
        a += 1
        y *= 2
        assert not np.shares_memory(a.data, ds.x[0])
        assert not np.shares_memory(y.data, ds.y)
    assert ds.y.tolist() == numbers(10).y.tolist()


def test_a_loader_can_be_passed_over_twice_at_once() -> None:
    dl = DataLoader(numbers(8), 4)
    pairs = [(a[1].tolist(), b[1].tolist()) for a, b in zip(dl, dl, strict=True)]
    assert all(a == b for a, b in pairs)


def test_arrays_of_one_data_set_have_one_length() -> None:
    with pytest.raises(ValueError, match=r"same length, got \[3, 4\]"):
        ArrayDataset(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="at least one row, got bs=0"):
        DataLoader(numbers(3), 0)


# --------------------------------------------------------------------------------------- bunches


def test_a_bunch_of_batches_of_arrays_or_tensors() -> None:
    as_arrays = batches(3)
    as_tensors = [(tensor(x), tensor(y)) for x, y in as_arrays]
    nested = [[[x[:, :2], x], y] for x, y in as_arrays]
    for made in (as_arrays, as_tensors, nested):
        data = DataBunch(made)
        assert len(data.train_dl) == 3
        assert data.empty_val
        assert data.c is None
        assert data.loss_func is None
        assert data.batch_size is None
        assert data.train_ds is None
        xb, yb = data.one_batch()
        xb = xb[-1] if isinstance(xb, list) else xb
        assert type(xb) is type(yb) is Tensor
        assert xb.device == data.device
        np.testing.assert_array_equal(xb.numpy(), as_arrays[0][0])
    pair, _ = DataBunch(nested).one_batch()
    assert isinstance(pair, list)
    assert [t.shape for t in pair] == [(4, 2), (4, 3)]


@pytest.mark.parametrize("name", ["cpu", "fakecuda"])
def test_batches_come_on_the_device_of_the_bunch(name: str) -> None:
    """Wherever the rows of its loaders lie."""
    data = DataBunch(DataLoader(ArrayDataset(*rows(4)), 2), batches(1), device=name)
    for kind in (DatasetType.Train, DatasetType.Valid):
        assert {part.device for part in data.one_batch(kind)} == {name}
    item = data.one_item([1., 2., 3.])
    assert (item.tolist(), item.device) == ([[1, 2, 3]], name)


def test_any_sized_iterable_is_a_loader() -> None:
    class Twice:
        def __len__(self) -> int:
            return 2

        def __iter__(self) -> Any:
            yield from batches(2)
    learn = Learner(DataBunch(Twice(), Twice()), Linear(3, 1), loss_func=MSELossFlat())
    with learn.no_logging():
        learn.fit(2)
    assert learn.recorder.nb_batches == [2, 2]
    assert None not in learn.recorder.val_losses


Y = {"floats": np.zeros(6, np.float32), "classes": np.array([0, 2, 1, 0, 2, 1]),
     "labels": np.zeros((6, 4), np.int64), "columns": np.zeros((6, 2), np.float64)}


@pytest.mark.parametrize(("kind", "loss", "c"), [
    ("floats", MSELossFlat, 1), ("columns", MSELossFlat, 2),
    ("classes", CrossEntropyFlat, 3), ("labels", BCEWithLogitsFlat, 4)])
def test_the_loss_and_c_come_from_the_targets(kind: str, loss: Any, c: int) -> None:
    data = DataBunch.create(ArrayDataset(np.zeros((6, 3)), Y[kind]), bs=2)
    assert repr(data.loss_func) == repr(loss())
    assert data.c == c
    own = MSELossFlat()
    given = DataBunch(data.train_dl, loss_func=own, classes=list("pqrst"))
    assert given.loss_func is own
    assert given.c == 5
    assert DataBunch(data.train_dl, c=7).c == 7
    nothing = ArrayDataset(np.zeros((0, 3)), Y[kind][:0])
    assert DataBunch(DataLoader(nothing, 2)).c == (0 if kind == "classes" else c)


def test_the_loaders_of_a_bunch() -> None:
    data = DataBunch.create(ArrayDataset(*rows(11)), ArrayDataset(*rows(7, seed=1)),
                            ArrayDataset(*rows(5, seed=2)), bs=4, val_bs=3, seed=0)
    sizes = {kind: [len(yb) for _, yb in data.dl(kind)] for kind in DatasetType}
    assert sizes == {DatasetType.Train: [4, 4], DatasetType.Valid: [3, 3, 1],
                     DatasetType.Test: [3, 2], DatasetType.Fix: [3, 3, 3, 2]}
    x, y = rows(11)
    np.testing.assert_array_equal(np.concatenate([yb.numpy() for _, yb in data.fix_dl]), y)
    assert not np.array_equal(data.one_batch()[0].numpy(), x[:4])
    np.testing.assert_array_equal(data.one_batch(DatasetType.Valid)[1].numpy(),
                                  rows(7, seed=1)[1][:3])
    assert (len(data.train_ds), len(data.valid_ds), data.batch_size) == (11, 7, 4)


def test_what_is_not_there_is_said() -> None:
    data = DataBunch(batches(1))
    with pytest.raises(ValueError, match=r"no Test set: test_dl is None; .* as test="):
        data.dl(DatasetType.Test)
    with pytest.raises(ValueError, match="the Valid loader has no batch"):
        data.one_batch(DatasetType.Valid)


def test_a_bunch_says_what_it_holds() -> None:
    text = repr(ratings_data(path="somewhere"))
    for part in ("CollabDataBunch", "Train: 12 rows in 3 batches", "Valid: 4 rows in 1 batches",
                 "Path: somewhere"):
        assert part in text
    assert "Train: 3 batches" in repr(DataBunch(batches(3)))


def test_decoding_a_prediction() -> None:
    scores = tensor([.1, .7, .2])
    classes = DataBunch.create(ArrayDataset(np.zeros((6, 3)), Y["classes"]), bs=2)
    assert classes.analyze_pred(scores).item() == classes.decode(classes.analyze_pred(scores)) == 1
    named = DataBunch(classes.train_dl, classes=["cat", "dog", "eel"])
    assert named.decode(named.analyze_pred(scores)) == "dog"
    two = DataBunch(batches(1), c=2)
    assert two.analyze_pred(tensor([.4, .6])).item() == 1
    numbers = DataBunch(batches(1))
    assert numbers.decode(numbers.analyze_pred(tensor([.5]))) == .5


# ------------------------------------------------------------------------------- from ratings on


def test_the_sixteen_ratings_as_fastai_has_them() -> None:
    data = ratings_data()
    assert {k: v.tolist() for k, v in data.classes.items()} == {
        "user": ["#na#", "1", "2", "3", "4"], "item": ["#na#", "a", "c", "d", "e"]}
    users, items = data.valid_ds.x
    assert np.stack([users, items], 1).tolist() == [[2, 4], [4, 0], [2, 0], [1, 0]]
    assert data.valid_ds.y.tolist() == [3, 4, 2, 3]
    frame, kept = ratings(), [0, 2, 3, 5, 6, 8, 9, 10, 11, 12, 14, 15]
    codes = {"#na#": 0, "a": 1, "c": 2, "d": 3, "e": 4}
    assert data.train_ds.x[0].tolist() == frame.user[kept].tolist()
    assert data.train_ds.x[1].tolist() == [codes[i] for i in frame.item[kept]]
    assert data.train_ds.y.tolist() == frame.rating[kept].tolist()


def test_a_batch_of_ratings() -> None:
    data = ratings_data()
    assert type(data) is CollabDataBunch
    (users, items), y = data.one_batch()
    assert [(t.shape, t.dtype) for t in (users, items, y)] == [
        ((4,), np.int32), ((4,), np.int32), ((4,), np.float32)]
    assert data.c == 1
    assert repr(data.loss_func) == repr(MSELossFlat())
    assert data.path == Path(".")
    assert data.get_emb_szs() == [(5, 4), (5, 4)]
    assert data.get_emb_szs({"item": 9}) == [(5, 4), (5, 9)]


def test_columns_are_the_first_three_or_the_named_ones() -> None:
    frame = ratings()
    turned = frame[["rating", "item", "user"]].assign(when=0)
    data = CollabDataBunch.from_df(turned, seed=3, valid_pct=.25, bs=4, user_name="user",
                                   rating_name="rating")
    assert list(data.classes) == ["user", "item"]
    assert data.rating_name == "rating"
    expected = ratings_data()
    for a, b in zip(data.train_ds.x, expected.train_ds.x, strict=True):
        np.testing.assert_array_equal(host(a), host(b))
    assert list(CollabDataBunch.from_df(frame.assign(when=0), bs=4).classes) == ["user", "item"]


def test_batch_sizes_and_defaults() -> None:
    frame = pd.concat([ratings()] * 25, ignore_index=True)
    data = CollabDataBunch.from_df(frame)
    assert (len(data.train_ds), len(data.valid_ds)) == (320, 80)
    assert (len(data.train_dl), len(data.valid_dl), data.batch_size) == (5, 2, 64)
    data = CollabDataBunch.from_df(frame, bs=30, val_bs=70)
    assert [len(data.dl(kind)) for kind in (DatasetType.Train, DatasetType.Valid,
                                            DatasetType.Fix)] == [10, 2, 5]
    assert data.test_dl is None
    plain = DataBunch.create(ArrayDataset(*rows(70)), ArrayDataset(*rows(70)))
    for dl in (plain.train_dl, plain.valid_dl, DataLoader(plain.train_ds)):
        assert len(next(iter(dl))[1]) == 64


def test_a_frame_is_left_as_it_was_and_its_index_does_not_matter() -> None:
    frame = ratings()
    shuffled = frame.set_index(np.arange(16)[::-1] * 7)
    before = shuffled.copy(deep=True)
    data = CollabDataBunch.from_df(shuffled, seed=3, valid_pct=.25, bs=4)
    pd.testing.assert_frame_equal(shuffled, before)
    np.testing.assert_array_equal(host(data.train_ds.y), host(ratings_data().train_ds.y))


@pytest.mark.parametrize("dtype", ["int8", "float64", "bool", "Int64", "Float32"])
def test_ratings_of_any_number_type(dtype: str) -> None:
    frame = ratings().assign(rating=np.tile([1, 0], 8))
    data = CollabDataBunch.from_df(frame.astype({"rating": dtype}), valid_pct=0, bs=4)
    assert data.train_ds.y.dtype == np.float32
    assert data.train_ds.y.tolist() == frame.rating.tolist()


def test_a_rating_that_is_no_number_is_shown() -> None:
    frame = ratings().astype({"rating": str})
    with pytest.raises(ValueError, match=r"must be numbers.*'5' in row 0.*pd\.to_numeric"):
        CollabDataBunch.from_df(frame)
    frame.loc[7, "rating"] = "good"
    with pytest.raises(ValueError, match=r"must be numbers.*'good' in row 7"):
        CollabDataBunch.from_df(frame)


def test_a_missing_user_or_item_becomes_na() -> None:
    frame = ratings().astype({"user": float})
    frame.loc[0, "user"], frame.loc[1, "item"] = np.nan, None
    data = CollabDataBunch.from_df(frame, valid_pct=0, bs=4)
    assert data.train_ds.x[0][:3].tolist() == [0, 1, 1]
    assert data.train_ds.x[1][:3].tolist() == [1, 0, 3]


def test_without_validation_rows() -> None:
    data = ratings_data(valid_pct=0)
    assert data.empty_val
    assert len(data.train_ds) == 16
    assert len(data.classes["item"]) == 6


def test_a_test_frame_has_the_training_numbers_and_no_ratings() -> None:
    test = pd.DataFrame({"item": ["e", "b", "zz"], "user": [1, 4, 99]})
    data = ratings_data(test=test)
    assert [x.tolist() for x in data.dl(DatasetType.Test).dataset.x] == [[1, 4, 0], [4, 0, 0]]
    learn = ratings_learner()
    learn.data.test_dl = data.test_dl
    preds, targets = learn.get_preds(DatasetType.Test)
    assert preds.shape == (3,)
    assert np.isnan(host(targets)).all()
    assert np.isnan(learn.validate(data.test_dl)[0])


def test_a_test_frame_s_ratings_are_its_targets() -> None:
    data = ratings_data(test=ratings().iloc[[3, 9, 2]])
    assert host(data.test_dl.dataset.y).tolist() == [1, 2, 4]
    learn = ratings_learner()
    expected = float(((learn.get_preds()[0].numpy() - learn.get_preds()[1].numpy()) ** 2).mean())
    learn.data.test_dl = CollabDataBunch.from_df(
        ratings(), .25, seed=3, bs=4, test=ratings().iloc[random_split(16, .25, 3)[1]]).test_dl
    assert learn.validate(learn.data.test_dl)[0] == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="missing or infinite"):
        ratings_data(test=ratings().assign(rating=np.nan))


def test_an_official_split() -> None:
    data = CollabDataBunch.from_df(ratings(), valid_idx=[2, 0, 5], bs=4)
    assert host(data.valid_ds.y).tolist() == [4, 5, 5]
    assert len(data.train_ds) == 13
    pieces = CollabDataBunch.from_pieces([ratings()[:7], ratings()[7:]], valid_idx=[2, 0, 5], bs=4)
    for part in ("train_ds", "valid_ds"):
        for ours, theirs in zip(getattr(data, part)[:][0], getattr(pieces, part)[:][0],
                                strict=True):
            np.testing.assert_array_equal(host(ours), host(theirs))
    for wrong, text in (([16], "has 16; positions go from 0"), ([1, 1], "row 1 2 times"),
                        (range(16), "names all 16 rows")):
        with pytest.raises(ValueError, match=text):
            CollabDataBunch.from_df(ratings(), valid_idx=wrong)
    with pytest.raises(TypeError, match=r"np\.flatnonzero"):
        CollabDataBunch.from_df(ratings(), valid_idx=[True] * 16)


@pytest.mark.parametrize("names", [{"user_name": "item"}, {"rating_name": "user"},
                                   {"item_name": "rating"}])
def test_a_column_has_one_meaning(names: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="occurs twice"):
        ratings_data(**names)


@pytest.mark.parametrize("twice", ["rating", "user"])
def test_two_columns_of_one_name(twice: str) -> None:
    frame = pd.concat([ratings(), ratings()[[twice]]], axis=1)
    with pytest.raises(ValueError, match=f"column '{twice}' occurs twice"):
        CollabDataBunch.from_df(frame, bs=4)
    frame = pd.concat([ratings(), ratings()[["item"]].set_axis(["when"], axis=1),
                       ratings()[["item"]].set_axis(["when"], axis=1)], axis=1)
    assert len(CollabDataBunch.from_df(frame, 0, bs=4).train_ds) == 16  # not one of the three


def test_pairs_are_no_data_sets() -> None:
    x, y = np.zeros((8, 2)), np.zeros(8)
    with pytest.raises(TypeError, match=r"a data set is an object .*, got tuple; write "
                                        r"ArrayDataset\(x, y\)"):
        DataBunch.create((x, y), (x, y), bs=4)
    with pytest.raises(TypeError, match=r"row 0 of a list is a ndarray; a row is \(x, y\), or a "):
        DataBunch.create(ArrayDataset(x, y), [x, y], bs=4)


def test_no_validation_loader() -> None:
    learn = ratings_learner()
    learn.data.valid_dl = None
    assert learn.data.empty_val
    with learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
        learn.lr_find(num_it=2)
    learn.data.to("cpu")
    assert "Valid" not in repr(learn.data)
    with pytest.raises(ValueError, match="no Valid set: valid_dl is None"):
        learn.validate()
    with pytest.raises(ValueError, match="no Valid set"):
        learn.get_preds()
    assert learn.validate([]) == [None]


# ---------------------------------------------------------------------------------- showing them


def test_a_batch_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    ratings_data().show_batch(3)
    head, *body = capsys.readouterr().out.splitlines()
    assert head.split() == ["user", "item", "target"]
    assert len(body) == 3
    frame = ratings()
    known = {(str(u), i, f"{float(r)}") for u, i, r in frame.itertuples(index=False)}
    assert {tuple(line.split()) for line in body} <= known


def test_a_batch_in_a_notebook(monkeypatch: pytest.MonkeyPatch,
                               capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []
    monkeypatch.setattr(display, "in_notebook", lambda: True)
    monkeypatch.setattr(display, "show_html", shown.append)
    ratings_data(bs=6).show_batch()
    (table,) = shown
    assert table.startswith("<table")
    assert table.count("<tr") == 1 + 5
    assert [f"<th>{name}</th>" in table for name in ("user", "item", "target")] == [True] * 3
    assert table.count(".0</td>") == 5
    assert capsys.readouterr().out == ""


def test_no_more_rows_than_the_batch_has(capsys: pytest.CaptureFixture[str]) -> None:
    ratings_data().show_batch(99, DatasetType.Valid)
    body = capsys.readouterr().out.splitlines()[1:]
    assert [line.split() for line in body] == [
        ["2", "e", "3.0"], ["4", "#na#", "4.0"], ["2", "#na#", "2.0"], ["1", "#na#", "3.0"]]


def test_five_rows_unless_told_otherwise() -> None:
    for data in (ratings_data(bs=6), DataBunch(batches(1, bs=6))):
        assert len(data.batch_table(*data.one_batch())) == 5


def test_plain_batches_are_shown_too(capsys: pytest.CaptureFixture[str]) -> None:
    DataBunch(batches(1)).show_batch(2)
    assert capsys.readouterr().out.splitlines()[0].split() == ["x0", "target"]


def test_the_last_rows_of_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    ratings_data().show_batch(3, DatasetType.Valid, reverse=True)
    body = capsys.readouterr().out.splitlines()[1:]
    assert [line.split() for line in body] == [
        ["1", "#na#", "3.0"], ["2", "#na#", "2.0"], ["4", "#na#", "4.0"]]


@pytest.mark.parametrize(("values", "texts"), [
    ([3., 5.], ["3.0", "5.0"]), ([3.8712, 4.], ["3.87", "4.00"]),
    ([-4.76837e-07, 52.5], ["0.0", "52.5"]), ([0., -1e-7, 3.87], ["0.00", "0.00", "3.87"]),
    ([.0123, .95], ["0.012", "0.950"]), ([744.353, 6.5], ["744.35", "6.50"]),
    ([1e-7, 2e-6], ["1.00e-07", "2.00e-06"]), ([0., 0.], ["0.0", "0.0"]),
    ([3.25e9, 1.], ["3.25e+09", "1.00e+00"]), ([float("nan"), 2.5], ["NaN", "2.5"]),
    ([float("nan")], ["NaN"]), ([], [])])
@pytest.mark.parametrize("dtype", ["float32", "float64", "Float64"])
def test_numbers_as_people_write_them(values: list[float], texts: list[str], dtype: str,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    display.show_table(pd.DataFrame({"n": range(len(values)),
                                     "value": pd.array(values, dtype=dtype)}))
    out = capsys.readouterr().out.replace("<NA>", "NaN").splitlines()[1:]
    assert [line.split()[1] for line in out if values] == texts


def test_words_in_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """NumPy's strings have a shape too."""
    words = pd.Series([np.str_("ant"), np.str_("bee"), None], dtype=object)
    display.show_table(pd.DataFrame({"word": words, "on": [True, False, True]}))
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["ant", "True"], ["bee", "False"], ["None", "True"]]


def test_arrays_in_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    cells = [np.array([1e-8, 2.], np.float32), np.arange(100.)]
    display.show_table(pd.DataFrame({"x": cells}))
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        "x", "[0. 2.]", "[ 0.  1. ... 98. 99.]"]


class ZMQInteractiveShell:
    """The class of the shell of a Jupyter kernel, by name."""


class ColabShell(ZMQInteractiveShell):
    """Google Colab derives its own."""


class TerminalInteractiveShell:
    """IPython in a terminal."""


@pytest.mark.parametrize(("shell", "expected"), [
    (ZMQInteractiveShell(), True), (ColabShell(), True), (TerminalInteractiveShell(), False),
    (None, False)])
def test_where_output_goes(shell: Any, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class IPython:
        get_ipython = staticmethod(lambda: shell)
    monkeypatch.setitem(display.sys.modules, "IPython", IPython)
    assert display.in_notebook() is expected


# ------------------------------------------------------------------------------------- MovieLens


@pytest.fixture(scope="module")
def post(movielens: Path) -> CollabDataBunch:
    """The post's data, in the row order of its time."""
    frame = movielens_100k(movielens, row_order="post")
    return CollabDataBunch.from_df(frame, seed=42, valid_pct=.1, item_name="title")


def test_sizes_of_the_post(post: CollabDataBunch) -> None:
    assert [len(c) for c in post.classes.values()] == [944, 1654]
    assert list(post.classes) == ["userId", "title"]
    assert (len(post.train_ds), len(post.valid_ds)) == (90_000, 10_000)
    assert (len(post.train_dl), len(post.valid_dl)) == (1406, 157)
    assert post.get_emb_szs() == [(944, 74), (1654, 102)]


def test_numbers_of_some_titles(post: CollabDataBunch) -> None:
    titles = post.categories[1]
    assert titles.index("Star Wars (1977)") == 1388
    assert titles.index("Schindler's List (1993)") == 1272
    assert titles.classes[1] == "'Til There Was You (1997)"
    assert post.classes["userId"][[1, 2, 943]].tolist() == ["1", "2", "943"]


def test_first_rows_of_the_post(post: CollabDataBunch) -> None:
    train, valid = (np.stack([host(x) for x in ds.x], 1)[:5].tolist()
                    for ds in (post.train_ds, post.valid_ds))
    assert train == [[196, 820], [63, 820], [226, 820], [154, 820], [306, 820]]
    assert valid == [[498, 275], [642, 1151], [58, 8], [495, 278], [618, 1139]]
    assert post.valid_ds.y[:5].tolist() == [3, 5, 4, 3, 3]


def test_titles_that_only_validation_rows_have(movielens: Path, post: CollabDataBunch) -> None:
    unseen = {"post": 11, "pandas": 14}
    for row_order, n in unseen.items():
        frame = movielens_100k(movielens, row_order=row_order)
        data = CollabDataBunch.from_df(frame, seed=42, valid_pct=.1, item_name="title")
        assert len(data.classes["title"]) == 1664 - n + 1
        assert int((data.valid_ds.x[1] == 0).sum()) >= n
        assert (data.train_ds.x[1] > 0).all()
    assert int((post.valid_ds.x[1] == 0).sum()) == 11
