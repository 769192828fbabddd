"""Tables: what the processors learn from training rows, batches, predictions, bad input."""
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from host import host

from minifast import ShapeError, Tensor
from minifast.backend import backend_of, default_device
from minifast.data import DatasetType, UnknownColumnError
from minifast.metrics import RMSE, accuracy
from minifast.nn import CrossEntropyFlat, TabularModel
from minifast.optim import SGD
from minifast.tabular import (
    Categorify,
    CategoryList,
    FillMissing,
    FloatList,
    Normalize,
    TabularDataBunch,
    TabularList,
    TabularProc,
    TabularProcessor,
    tabular_learner,
)

ROOT = Path(__file__).parents[1]
PROCS = [FillMissing, Categorify, Normalize]
VALID = [15, 3, 8, 11]
TRAIN = [i for i in range(16) if i not in VALID]


def people() -> pd.DataFrame:
    """Sixteen rows, whose index is not their position. Row 15, a validation row, has a town that
    no training row has; height has gaps in training rows, weight in row 3, a validation row, only.
    """
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "town": [*"abcabcabcabcab", None, "z"], "floor": [3, 1, 2, 3] * 4,
        "height": rng.normal(170, 10, 16), "weight": rng.normal(70, 5, 16).round(1),
        "price": rng.normal(size=16), "kind": [*"xyxyxyxy"] * 2}, index=range(100, 116))
    frame.loc[[101, 105, 108], "height"] = np.nan
    frame.loc[103, "weight"] = np.nan
    return frame


def people_data(df: pd.DataFrame | None = None, dep_var: str = "price", **kwargs: Any
                ) -> TabularDataBunch:
    given = {"valid_idx": VALID, "procs": PROCS, "cat_names": ["town", "floor"],
             "cont_names": ["height", "weight"], "bs": 4, "seed": 0, **kwargs}
    return TabularDataBunch.from_df(".", people() if df is None else df, dep_var, **given)


def arrays(data: TabularDataBunch, ds_type: DatasetType = DatasetType.Fix
           ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all ids, numbers and targets of a loader."""
    ds: Any = data.dl(ds_type).dataset  # type: ignore[attr-defined]
    return host(ds.x[0]), host(ds.x[1]), host(ds.y)


# -------------------------------------------------------------------------------- the processors


def test_statistics_are_those_of_the_training_rows() -> None:
    df = people()
    training = df.iloc[TRAIN]
    fill, _, scale = people_data(df).processor.procs
    medians = training[["height", "weight"]].median()
    assert fill.values == medians.to_dict()  # type: ignore[attr-defined]
    filled = training[["height", "weight"]].fillna(medians)
    assert filled["height"].mean() != pytest.approx(df["height"].fillna(medians["height"]).mean())
    for name, stats in scale.stats.items():  # type: ignore[attr-defined]
        assert stats == pytest.approx((filled[name].mean(), filled[name].std()), rel=1e-12)


@pytest.mark.parametrize(("ds_type", "rows"), [(DatasetType.Fix, TRAIN),
                                               (DatasetType.Valid, VALID)])
def test_numbers_are_filled_then_scaled(ds_type: DatasetType, rows: list[int]) -> None:
    df = people()[["height", "weight"]]
    filled = df.fillna(df.iloc[TRAIN].median())
    training = filled.iloc[TRAIN]
    expected = ((filled - training.mean()) / (training.std() + 1e-7)).iloc[rows]
    _, numbers, y = arrays(people_data(), ds_type)
    np.testing.assert_array_equal(numbers, expected.to_numpy(np.float32))
    np.testing.assert_array_equal(y, people()["price"].iloc[rows].to_numpy(np.float32))


def test_training_numbers_have_mean_0_and_deviation_1() -> None:
    _, numbers, _ = arrays(people_data())
    np.testing.assert_allclose(numbers.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(numbers.std(0, ddof=1), 1, rtol=1e-6)


def test_categories_are_numbered_from_1_and_strangers_are_0() -> None:
    data = people_data()
    assert [c.classes.tolist() for c in data.categories] == [
        ["#na#", "a", "b", "c"], ["#na#", "1", "2", "3"], ["#na#", "False", "True"]]
    ids, _, _ = arrays(data)
    towns = people()["town"].iloc[TRAIN].map({"a": 1, "b": 2, "c": 3}).fillna(0)
    assert ids[:, 0].tolist() == towns.tolist()
    assert (ids[:, 0] == 0).sum() == 1  # row 14 has no town
    assert ids[:, 1].tolist() == people()["floor"].iloc[TRAIN].tolist()
    assert arrays(data, DatasetType.Valid)[0][:, 0].tolist() == [0, 1, 3, 3]  # 15 is of town z


def test_gaps_in_training_rows_get_a_column_others_do_not() -> None:
    data = people_data()
    assert data.cat_names == ["town", "floor", "height_na"]
    assert data.cont_names == ["height", "weight"]
    assert arrays(data)[0][:, 2].tolist() == [2 if i in (1, 5) else 1 for i in TRAIN]
    assert arrays(data, DatasetType.Valid)[0][:, 2].tolist() == [1, 1, 2, 1]


def test_ways_to_fill() -> None:
    rows = pd.DataFrame({"n": [1., 1., 2., 6., None]})

    def filled(proc: Any) -> list[list[float]]:
        table = TabularProcessor([proc, Categorify], [], ["n"])
        ids, numbers = table.fit(rows)
        return [ids.shape[1], numbers[-1, 0].item()]  # type: ignore[list-item]
    assert filled(FillMissing) == [1, 1.5]
    assert filled(FillMissing(fill_strategy="mode", add_col=False)) == [0, 1]
    assert filled(FillMissing(fill_strategy="constant", fill_val=-9)) == [1, -9]
    assert filled(partial(FillMissing, fill_strategy="constant", add_col=False)) == [0, 0]


def test_processors_run_in_the_order_given() -> None:
    rows = pd.DataFrame({"n": [1., 2., 9., None]})
    scaled_first = TabularProcessor([Normalize, FillMissing, Categorify], [], ["n"])
    raw = rows["n"]
    expected = (2 - raw.mean()) / (raw.std() + 1e-7)  # the median, of scaled values
    assert scaled_first.fit(rows)[1][-1, 0] == pytest.approx(expected)
    assert TabularProcessor(None, [], ["n"]).fit(rows[:3])[1].ravel().tolist() == [1, 2, 9]


def test_a_processor_of_ones_own() -> None:
    class Logarithm(TabularProc):
        def apply_train(self, frame: pd.DataFrame) -> None:
            frame[self.cont_names] = np.log(frame[self.cont_names])

        def undo(self, frame: pd.DataFrame) -> None:
            frame[self.cont_names] = np.exp(frame[self.cont_names])
    data = people_data(procs=[FillMissing, Categorify, Logarithm(), Normalize])
    table = data.processor.undo(list(arrays(data)[:2]))
    weights = people()["weight"].iloc[TRAIN]
    np.testing.assert_allclose(table["weight"], weights, rtol=1e-6)


def test_neither_the_frame_nor_a_processor_is_changed() -> None:
    df, procs = people(), [FillMissing(), Categorify(), Normalize()]
    before = [dict(vars(proc)) for proc in procs]
    people_data(df, procs=procs)
    pd.testing.assert_frame_equal(df, people())
    assert [vars(proc) for proc in procs] == before


# ----------------------------------------------------------------------------------- the batches


def test_a_batch() -> None:
    data = people_data()
    (ids, numbers), y = data.one_batch()
    assert [t.shape for t in (ids, numbers, y)] == [(4, 3), (4, 2), (4,)]
    assert [str(t.dtype) for t in (ids, numbers, y)] == ["int64", "float32", "float32"]
    assert {backend_of(t.data).name for t in (ids, numbers, y)} == {default_device()}
    assert data.device == default_device()
    assert (len(data.train_dl), len(data.valid_dl), len(data.train_ds)) == (3, 1, 12)


def test_a_table_of_numbers_alone_or_of_categories_alone() -> None:
    df = people()[["weight", "floor", "price"]].fillna(60)
    numbers = TabularDataBunch.from_df(".", df, "price", VALID, [Normalize], bs=4)
    assert numbers.cont_names == ["weight", "floor"]  # all that is not named
    floors = TabularDataBunch.from_df(".", df, "price", VALID, Categorify, ["floor"], [], bs=4)
    for data, widths in ((numbers, (0, 2)), (floors, (1, 0))):
        (ids, x), _ = data.one_batch()
        assert (ids.shape[1], x.shape[1]) == widths
        learn = tabular_learner(data, [5], seed=0)
        with learn.no_logging():
            learn.fit(1, 1e-3)
        assert learn.predict(df.iloc[0])[1].shape == (1,)


def test_embedding_sizes() -> None:
    data = people_data()
    assert data.get_emb_szs() == [(4, 3), (4, 3), (3, 3)]  # round(1.6 n^0.56)
    assert data.get_emb_szs({"floor": 7}) == [(4, 3), (4, 7), (3, 3)]
    with pytest.raises(UnknownColumnError, match=r"'flor'.*town, floor, height_na"):
        data.get_emb_szs({"flor": 7})


@pytest.mark.parametrize(("dep_var", "convert", "classes", "codes"), [
    ("kind", None, ["x", "y"], [0, 1, 0, 0]),
    ("floor", None, [1, 2, 3], [2, 0, 1, 2]),
    ("floor", bool, None, None),
    ("kind", "category", ["x", "y"], [0, 1, 0, 0]),
    ("price", None, None, None),
    ("floor", "float32", None, None)])
def test_targets(dep_var: str, convert: Any, classes: list[Any] | None, codes: list[int]) -> None:
    df = people()
    if convert is bool:
        df["floor"] = df["floor"] > 2
        classes, codes = [False, True], [1, 0, 0, 1]
    elif convert:
        df[dep_var] = df[dep_var].astype(convert)
    data = people_data(df, dep_var, cat_names=["town"])
    assert data.classes == classes
    _, _, y = arrays(data)
    if classes is None:
        assert (data.c, y.dtype, repr(data.loss_func)) == (
            1, np.float32, "FlattenedLoss of MSELoss()")
    else:
        assert (data.c, y.dtype, y[:4].tolist()) == (len(classes), np.int64, codes)
        assert repr(data.loss_func) == "FlattenedLoss of CrossEntropyLoss()"


def test_targets_as_one_says() -> None:
    numbers = people_data(dep_var="floor", cat_names=["town"], label_cls=FloatList)
    assert (numbers.c, numbers.classes) == (1, None)
    assert arrays(numbers)[2][:4].tolist() == [3, 1, 2, 3]
    given = people_data(dep_var="kind", classes=["y", "never seen", "x"])
    assert (given.c, arrays(given)[2][:4].tolist()) == (3, [2, 0, 2, 2])


def test_a_batch_is_shown_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    data = people_data(dep_var="kind")
    data.show_batch(3, DatasetType.Valid)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["town", "floor", "height_na", "height", "weight", "target"]
    df = people().iloc[VALID]
    weight = people()["weight"].iloc[TRAIN].median()
    for line, row, na in zip(lines, df.iloc, ("False", "False", "True"), strict=False):
        town, floor, height_na, height, shown, kind = line.split()
        assert town == ("#na#" if row["town"] == "z" else row["town"])
        assert (floor, height_na, kind) == (str(row["floor"]), na, row["kind"])
        assert float(shown) == (weight if np.isnan(row["weight"]) else row["weight"])
        assert na == "True" or float(height) == pytest.approx(row["height"], abs=.005 + 1e-6)
    frame = data.batch_table(*data.one_batch(DatasetType.Valid), rows=2)
    np.testing.assert_allclose(frame["height"], df["height"].iloc[:2], atol=1e-3)


def test_rows_to_be_predicted() -> None:
    test_df = people().iloc[[15, 0]].drop(columns="price")
    data = people_data(test_df=test_df)
    ids, numbers, y = arrays(data, DatasetType.Test)
    assert ids[:, 0].tolist() == [0, 1]
    np.testing.assert_array_equal(numbers[1], arrays(data)[1][0])
    assert np.isnan(y).all()
    named = people_data(test_df=people().iloc[[15, 0]])
    np.testing.assert_array_equal(arrays(named, DatasetType.Test)[2],
                                  people()["price"].iloc[[15, 0]].to_numpy(np.float32))
    assert tabular_learner(data, [5]).get_preds(DatasetType.Test)[0].shape == (2, 1)


def test_nothing_to_validate_on() -> None:
    data = people_data(valid_idx=[])
    assert data.empty_val
    assert len(data.train_ds) == 16


def test_the_steps_of_a_tabular_list_lead_to_the_same_bunch() -> None:
    df = people()
    items = TabularList.from_df(df, ["town", "floor"], ["height", "weight"], PROCS,
                                path="somewhere")
    data = items.split_by_idx(VALID).label_from_df("price") \
        .add_test(TabularList.from_df(df[:3])).databunch(bs=4, seed=0)
    other = people_data(test_df=df[:3])
    assert data.path == Path("somewhere")
    for ds_type in (DatasetType.Fix, DatasetType.Valid, DatasetType.Test):
        for a, b in zip(arrays(data, ds_type), arrays(other, ds_type), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(host(data.one_batch()[1]), host(other.one_batch()[1]))
    labels = TabularList.from_df(df, ["town"], ["height", "weight"], PROCS) \
        .split_by_rand_pct(.25, seed=42).label_from_df("floor", FloatList)
    rows = np.random.RandomState(42).permutation(16)[:4]
    y = arrays(labels.databunch(bs=4), DatasetType.Valid)[2]
    assert y.tolist() == df["floor"].iloc[rows].tolist()


@pytest.mark.parametrize(("steps", "missing"), [
    (lambda items: items, "split_by_rand_pct"),
    (lambda items: items.split_by_idx([1]), "label_from_df")])
def test_a_step_that_is_missing(steps: Callable[[TabularList], TabularList], missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        steps(TabularList.from_df(people())).databunch()


# ------------------------------------------------------------------------ the model, the learner


def planted(n: int = 800, seed: int = 0) -> pd.DataFrame:
    """Targets that depend on group, number and gap; the group decides the sign.

    No part of the range is rare, so that what a model answers there does not hang on rounding.
    """
    rng = np.random.default_rng(seed)
    group, x = rng.choice(list("pqrs"), n), rng.uniform(0, 100, n)
    sign = pd.Series(group).map({"p": 1., "q": -1., "r": 1., "s": -1.}).to_numpy()
    gone = rng.random(n) < .2
    value = np.where(gone, 3, sign * (x - 50) / 20) + rng.normal(scale=.1, size=n)
    return pd.DataFrame({"group": group, "x": np.where(gone, np.nan, x), "value": value,
                         "big": np.where(value > 0, "yes", "no")})


def planted_learner(dep_var: str, **kwargs: Any) -> Any:
    items = TabularList.from_df(planted(), cat_names=["group"], cont_names=["x"], procs=PROCS)
    data = items.split_by_rand_pct(.25, 1).label_from_df(dep_var).databunch(bs=50, seed=0)
    learn = tabular_learner(data, [40, 20], seed=0, **kwargs)
    with learn.no_logging():
        learn.fit_one_cycle(12, 1e-2)
    return learn


def test_a_planted_rule_is_found() -> None:
    """Without the group the error is 1.3, without the gaps 0.7; the noise is 0.1."""
    learn = planted_learner("value", metrics=[RMSE()])
    assert learn.validate()[1] < .25
    row = {"group": "q", "x": 90.}
    assert learn.predict(row)[0] == pytest.approx(-2, abs=.35)
    assert learn.predict({**row, "group": "r"})[0] == pytest.approx(2, abs=.35)
    assert learn.predict({**row, "x": None})[0] == pytest.approx(3, abs=.35)


def test_classes_are_found() -> None:
    learn = planted_learner("big", metrics=[accuracy])
    assert learn.validate()[1] > .97  # .955 without the gaps
    name, target, probabilities = learn.predict({"group": "s", "x": 20., "more": "not looked at"})
    assert (name, learn.data.classes[int(target)]) == ("yes", "yes")
    assert host(probabilities).sum() == pytest.approx(1)
    assert host(probabilities)[int(target)] > .5


@pytest.mark.parametrize("dep_var", ["price", "kind"])
def test_a_row_is_predicted_as_in_its_batch(dep_var: str) -> None:
    data = people_data(dep_var=dep_var)
    learn = tabular_learner(data, [6], seed=0)
    with learn.no_logging():
        learn.fit(2, 1e-2)
    preds = host(learn.get_preds()[0])
    for pred, (_, row) in zip(preds, people().iloc[VALID].iterrows(), strict=True):
        for form in (row, row.to_dict()):
            decoded, _, one = learn.predict(form)
            np.testing.assert_allclose(host(one), pred, rtol=1e-5, atol=1e-7)
        expected = float(pred[0]) if dep_var == "price" else "xy"[pred.argmax()]
        assert decoded == (pytest.approx(expected) if dep_var == "price" else expected)


def test_missing_values_and_strangers_in_a_row() -> None:
    data = people_data()
    full = {"town": "b", "floor": 2, "height": 170., "weight": 70.}
    medians = people().iloc[TRAIN][["height", "weight"]].median()

    def item(**change: Any) -> tuple[list[int], list[float]]:
        ids, numbers = data.one_item({**full, **change})
        assert (ids.shape, numbers.shape) == ((1, 3), (1, 2))
        return host(ids)[0].tolist(), host(numbers)[0].tolist()
    assert item()[0] == [2, 2, 1]
    assert item(floor=2.)[0] == [2, 2, 1]  # as in a row of a frame of numbers
    assert item(town="nowhere", floor=None)[0] == [0, 0, 1]
    for missing in (None, np.nan, pd.NA):
        assert item(height=missing) == ([2, 2, 2], item(height=medians["height"])[1])
        assert item(weight=missing) == item(weight=medians["weight"])


def test_arguments_of_the_learner() -> None:
    data = people_data(dep_var="kind")
    learn = tabular_learner(data, [8, 4], {"town": 5}, [accuracy], [.1, .2], .3, use_bn=False,
                            seed=3, wd=.2, opt_func=SGD, loss_func=CrossEntropyFlat())
    assert (learn.wd, learn.opt_func, len(learn.metrics)) == (.2, SGD, 1)
    assert re.findall(r"\w+\([^()]+\)", repr(learn.model)) == [
        "Embedding(4, 5)", "Embedding(4, 3)", "Embedding(3, 3)", "Dropout(p=0.3)",
        "BatchNorm1d(2, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)",
        "Linear(in_features=13, out_features=8, bias=True)", "Dropout(p=0.1)",
        "Linear(in_features=8, out_features=4, bias=True)", "Dropout(p=0.2)",
        "Linear(in_features=4, out_features=2, bias=True)"]
    same = tabular_learner(data, [8, 4], {"town": 5}, seed=3, use_bn=False)
    np.testing.assert_array_equal(host(same.model.embeds[0].weight),
                                  host(learn.model.embeds[0].weight))  # type: ignore[index]
    low, high = 2., 3.
    ranged = tabular_learner(people_data(), [8], y_range=[low, high]).get_preds()[0]
    assert low < host(ranged).min() <= host(ranged).max() < high


def test_ids_as_one_array_or_as_columns() -> None:
    model = TabularModel([(4, 3), (3, 2)], 0, 1, [5], seed=0).eval()
    ids = Tensor(np.array([[0, 1], [3, 2]]))
    as_columns = model([ids[:, 0], ids[:, 1]])
    np.testing.assert_array_equal(host(model(ids)), host(as_columns))
    for wrong in (ids[:, :1], ids[:, 0], [ids[:, 0]]):
        with pytest.raises(ShapeError, match=r"2 embeddings look up ids of shape \(bs, 2\), got"):
            model(wrong)


# ------------------------------------------------------------------------------------- bad input


def frame_with(**columns: Any) -> pd.DataFrame:
    df = people()
    for name, (rows, value) in columns.items():
        column = df[name].astype(object) if isinstance(value, str) else df[name]
        df[name] = column.where(~df.index.isin([100 + i for i in rows]), value)
    return df


INF = float("inf")
BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"cat_names": ["twon"]}, UnknownColumnError, "no column 'twon'; there are town, floor"),
    ({"cont_names": ["hight"]}, UnknownColumnError, "no column 'hight'"),
    ({"dep_var": "prise"}, UnknownColumnError, "no column 'prise'"),
    ({"dep_var": ["price", "prise"]}, UnknownColumnError, "no column 'prise'"),
    ({"test_df": people()[["town", "floor", "weight"]]}, UnknownColumnError, "no column 'height'"),
    ({"df": frame_with(height=(TRAIN, None))}, ValueError,
     "column 'height' has no number in the 12 training rows; leave it out"),
    ({"procs": [Categorify, Normalize]}, ValueError,
     "column 'height' has nan in row 101 after procs; put FillMissing in procs"),
    ({"procs": [Categorify], "cont_names": ["weight"]}, ValueError, "has nan in row 103"),
    ({"cont_names": ["height", "kind"]}, TypeError,
     "not numbers (for example 'x'); convert them with pd.to_numeric, or name it in cat_names"),
    ({"cont_names": None}, TypeError, "column 'kind' holds"),
    ({"df": frame_with(weight=([4], INF))}, ValueError,
     "column 'weight' has 1 infinite values (the first, inf, in row 104)"),
    ({"df": frame_with(weight=([8], -INF))}, ValueError, "the first, -inf, in row 108"),
    ({"df": frame_with(weight=([4], 1e300)), "procs": PROCS[:2]}, ValueError,
     "has inf in row 104 after procs"),
    ({"cont_names": ["floor"]}, ValueError, "column 'floor' is named twice"),
    ({"cat_names": ["town", "town"]}, ValueError, "column 'town' is named twice"),
    ({"cont_names": ["weight", "price"]}, ValueError, "column 'price' is named twice"),
    ({"df": pd.concat([people(), people()[["town"]]], axis=1)}, ValueError,
     "column 'town' is named twice"),
    ({"cat_names": [], "cont_names": []}, ValueError, "no column is an input"),
    ({"procs": None, "cont_names": []}, ValueError, "no processor numbers the labels of 'town', "),
    ({"procs": [Categorify, FillMissing]}, ValueError,
     "labels of 'height_na'; put Categorify in procs (after FillMissing"),
    ({"procs": [FillMissing, "Categorify"]}, TypeError, "got 'Categorify'"),
    ({"procs": [FillMissing, dict]}, TypeError, "got <class 'dict'>"),
    ({"df": people().rename(columns={"floor": "height_na"}), "cat_names": ["town", "height_na"]},
     ValueError, "add a column 'height_na', which already exists"),
    ({"df": frame_with(town=([0, 1], 5.))}, TypeError, "'town' cannot be put in order"),
    ({"df": frame_with(price=([2, 9], np.nan))}, ValueError,
     "2 of 16 targets in 'price' are missing (the first in row 102)"),
    ({"df": frame_with(price=([8], INF))}, ValueError,
     "1 infinite values (the first, inf, in row 108)"),
    ({"dep_var": "kind", "label_cls": FloatList}, TypeError, "example 'x'); convert them with"),
    ({"dep_var": "kind", "label_cls": str}, ValueError, "label_cls is FloatList"),
    ({"df": frame_with(kind=([8], "w")), "dep_var": "kind"}, ValueError,
     "'w' in 'kind' (row 108) is none of the 2 classes; choose validation rows"),
    ({"df": frame_with(floor=([8], 9)), "dep_var": "floor", "cat_names": []}, ValueError,
     "9 in 'floor' (row 108) is none of the 3 classes"),
    ({"df": frame_with(floor=([8], 9)), "dep_var": "floor", "cat_names": []}, ValueError,
     "if it is a quantity, make it float"),
    ({"df": frame_with(kind=(range(16), "w")), "dep_var": "kind"}, ValueError,
     "classes of 'kind' of the training rows are ['w']; at least two"),
    ({"dep_var": "kind", "classes": ["x", "y", "x"]}, ValueError, "given are ['x', 'y', 'x']"),
    ({"valid_idx": [3, 16]}, ValueError, "valid_idx has 16; positions go from 0 to 15"),
    ({"valid_idx": [-1]}, ValueError, "valid_idx has -1"),
    ({"valid_idx": [1, 2, 1]}, ValueError, "valid_idx has row 1 2 times"),
    ({"valid_idx": np.arange(16) > 12}, TypeError,
     "got False; turn a mask into positions with np.flat"),
    ({"valid_idx": range(16)}, ValueError, "valid_idx names all 16 rows"),
    ({"bs": 13}, ValueError, "12 training rows are fewer than one batch of 13; pass bs=12"),
    ({"device": "abacus"}, RuntimeError, "unknown device 'abacus'")]


@pytest.mark.parametrize(("change", "error", "message"), BAD, ids=[m for _, _, m in BAD])
def test_bad_input(change: dict[str, Any], error: type[Exception], message: str) -> None:
    df = change.get("df", people())
    before = df.copy()
    with pytest.raises(error) as caught:
        people_data(**{"df": df, **change})
    assert message in str(caught.value)
    pd.testing.assert_frame_equal(df, before)


@pytest.mark.parametrize(("row", "error", "message"), [
    ({"town": "a", "floor": 1, "weight": 70.}, UnknownColumnError, "no column 'height'; there are"),
    (people().iloc[0].drop("town"), UnknownColumnError, "no column 'town'"),
    ({"town": "a", "floor": 1, "height": "tall", "weight": 1}, TypeError, "example 'tall'"),
    ({"town": "a", "floor": 1, "height": INF, "weight": 1}, ValueError, "infinite"),
    (("a", 1, 170., 70.), TypeError, "a Series or a mapping of column to value, got tuple"),
    (people().iloc[:1], TypeError, "got DataFrame")], ids=str)
def test_a_row_that_cannot_be_predicted(row: Any, error: type[Exception], message: str) -> None:
    learn = tabular_learner(people_data(), [5])
    with pytest.raises(error) as caught:
        learn.predict(row)
    assert message in str(caught.value)


def test_bad_arguments() -> None:
    data = people_data()
    with pytest.raises(ValueError, match="'median', 'mode', 'constant'; got 'mean'"):
        FillMissing(fill_strategy="mean")
    with pytest.raises(TypeError, match=r"lists of columns, got 'mode'; write \['mode'\]"):
        FillMissing("mode")
    with pytest.raises(ValueError, match="positive number of standard deviations, got 0"):
        Normalize(clip=0)
    with pytest.raises(ValueError, match="pair"):
        tabular_learner(data, [5], y_range=[1])
    with pytest.raises(ValueError, match="from low to high"):
        tabular_learner(data, [5], y_range=(5, 1))
    with pytest.raises(UnknownColumnError, match="'twon'"):
        tabular_learner(data, [5], {"twon": 3})
    with pytest.raises(ValueError, match="2 dropouts"):
        tabular_learner(data, [5], ps=[.1, .2])


# --------------------------------------------------------------------------- examples/tabular.py


def run_example(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the example as a program, in another folder, without a display."""
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MPLBACKEND")}
    program = [sys.executable, "-W", "error", str(ROOT / "examples/tabular.py"), *options]
    return subprocess.run(program, cwd=folder, env={**env, "MINIFAST_DEVICE": "cpu"}, check=False,
                          capture_output=True, text=True, timeout=120)


@pytest.mark.cpu_only("the program is told to use the CPU")
def test_the_example(tmp_path: Path) -> None:
    done = run_example(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    out = done.stdout
    assert "Values removed: 66 of bmi, 66 of ltg." in out
    assert (tmp_path / "out/tabular_losses.png").read_bytes().startswith(b"\x89PNG")
    last, = re.findall(r"^9 +[\d.]+ +[\d.]+ +[\d.]+ +([\d.]+)", out, re.M)
    scores = [tuple(map(float, found)) for found in
              re.findall(r"^\d +(-?[\d.]+) +(-?[\d.]+) +-?[\d.]+$", out, re.M)]
    assert len(scores) == 5
    assert scores[0][0] == pytest.approx(float(last), abs=2e-3)  # the same training, repeated
    for network, linear in scores:
        assert .3 < linear < .6
        assert network > linear - .15
    seconds, = re.findall(r"([\d.]+) s in total", out)
    assert float(seconds) < 15


@pytest.mark.cpu_only("the program is told to use the CPU")
@pytest.mark.parametrize(("options", "message"), [
    (["--out", "a_file"], "cannot write to --out a_file: File exists; choose another folder"),
    (["--splits", "1"], "argument --splits: '1' is not an integer of at least 2"),
    (["--device", "abacus"], "unknown device 'abacus'"),
])
def test_a_users_error_is_one_line(options: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "a_file").touch()
    done = run_example(tmp_path, *options)
    assert done.returncode == 1
    assert done.stderr.startswith(f"tabular.py: {message}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_the_kinds_of_targets_have_the_names_of_v1() -> None:
    import minifast.tabular as namespace
    assert namespace.CategoryList is CategoryList
    assert {"TabularDataBunch", "TabularList", "tabular_learner", "FillMissing", "Categorify",
            "Normalize", "FloatList", "CategoryList"} <= set(namespace.__all__)
