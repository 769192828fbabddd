"""fastai v1's names for tables: parts of dates, kinds of targets, new rows, unusual rows."""
import calendar
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from host import host

from minifast import tensor
from minifast.checkpoints import load_learner
from minifast.data import DatasetType, UnknownColumnError
from minifast.nn import Linear, TabularModel
from minifast.tabular import (
    Categorify,
    CategoryList,
    FillMissing,
    FillStrategy,
    FloatList,
    MultiCategoryList,
    Normalize,
    TabularDataBunch,
    TabularList,
    add_cyclic_datepart,
    add_datepart,
    add_elapsed_times,
    cont_cat_split,
    cyclic_dt_feat_names,
    make_date,
    tabular_learner,
)

PROCS = [FillMissing, Categorify, Normalize]

# ------------------------------------------------------------------------------------------ dates

DAYS = ["2019-12-30", "2020-02-29 23:59:58.75", "2021-01-01 12:00", "1969-12-31", "2020-12-31"]


def dated(days: list[Any] = DAYS) -> pd.DataFrame:
    return pd.DataFrame({"saledate": pd.to_datetime(days, format="ISO8601"), "n": 1},
                        index=range(10, 10 + len(days)))


@pytest.mark.cpu_only("only pandas")
def test_the_parts_of_a_date() -> None:
    """Against Python's own calendar."""
    df = dated()
    frame = add_datepart(df, "saledate", time=True)
    assert frame is df
    for (_, row), text in zip(frame.iterrows(), DAYS, strict=True):
        day = datetime.fromisoformat(text)
        last = calendar.monthrange(day.year, day.month)[1]
        quarter = day.month % 3
        expected = {
            "Year": day.year, "Month": day.month, "Week": day.isocalendar().week, "Day": day.day,
            "Dayofweek": day.weekday(), "Dayofyear": day.timetuple().tm_yday,
            "Is_month_end": day.day == last, "Is_month_start": day.day == 1,
            "Is_quarter_end": quarter == 0 and day.day == last,
            "Is_quarter_start": quarter == 1 and day.day == 1,
            "Is_year_end": (day.month, day.day) == (12, 31),
            "Is_year_start": (day.month, day.day) == (1, 1),
            "Hour": day.hour, "Minute": day.minute, "Second": day.second,
            "Elapsed": (day - datetime(1970, 1, 1)).total_seconds() // 1}
        assert row.drop("n").to_dict() == {f"sale{name}": value
                                           for name, value in expected.items()}
    numbers = frame.select_dtypes("number").dtypes
    assert set(map(str, numbers)) == {"int64"}


@pytest.mark.cpu_only("only pandas")
def test_options_of_the_parts() -> None:
    text = pd.DataFrame({"Date": ["2019-12-04", None]})
    frame = add_datepart(text, "Date", prefix="d_", drop=False)
    assert list(frame)[:3] == ["Date", "d_Year", "d_Month"]
    assert len(frame.columns) == 14
    assert frame["d_Week"].iloc[0] == 49
    assert frame.filter(regex="Year$|Week|Elapsed").iloc[1].isna().all()
    assert not frame["d_Is_year_end"].iloc[1]
    assert add_datepart(pd.DataFrame({"Date": DAYS[:1]}), "Date").columns[0] == "Year"
    zoned = pd.DataFrame({"at": pd.to_datetime(["2019-12-04 00:00"]).tz_localize("UTC")})
    assert add_datepart(zoned, "at")["atElapsed"].tolist() == [1575417600]


@pytest.mark.cpu_only("only pandas")
@pytest.mark.parametrize(("time", "linear"), [(False, False), (True, True)])
def test_cycles(time: bool, linear: bool) -> None:
    """Against v1's formula, for each date by itself."""
    frame = add_cyclic_datepart(dated(), "saledate", time=time, add_linear=linear)
    assert list(frame)[1:] == [f"sale{name}" for name in cyclic_dt_feat_names(time, linear)]
    for (_, row), text in zip(frame.iterrows(), DAYS, strict=True):
        day = datetime.fromisoformat(text)
        days_year = 366 if calendar.isleap(day.year) else 365
        turns = [day.weekday() / 7, (day.day - 1) / calendar.monthrange(day.year, day.month)[1],
                 (day.month - 1) / 12, (day.timetuple().tm_yday - 1) / days_year]
        if time:
            turns += [day.hour / 24, day.hour % 12 / 12, day.minute / 60, day.second / 60]
        expected = [f(turn * 2 * np.pi) for turn in turns for f in (np.cos, np.sin)]
        if linear:
            year = (datetime(day.year + 1, 1, 1) - datetime(day.year, 1, 1)).total_seconds()
            expected.append(day.year + (day - datetime(day.year, 1, 1)).total_seconds() / year)
        np.testing.assert_allclose(row.iloc[1:].astype(float), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.cpu_only("only pandas")
def test_days_since_events() -> None:
    """Against a loop over the days of each shop; rows are in any order."""
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"day": np.tile(pd.date_range("2020-01-01", periods=20), 2),
                       "shop": np.repeat([1, 2], 20), "sale": rng.random(40) < .2,
                       "holiday": rng.random(40) < .1}).sample(frac=1, random_state=1)
    added = add_elapsed_times(df, ["sale", "holiday"], "day", "shop")
    assert added.index.equals(df.index)
    for name in ("sale", "holiday"):
        for _, rows in added.groupby("shop"):
            days = rows.sort_values("day")
            events = days["day"][days[name]]
            for i, (day, row) in enumerate(zip(days["day"], days.itertuples(), strict=True)):
                before, after = events[events <= day], events[events >= day]
                expected = [(day - before.max()).days if len(before) else 0,
                            (day - after.min()).days if len(after) else 0,
                            days[name].iloc[max(0, i - 6):i + 1].sum(),
                            days[name].iloc[i:i + 7].sum()]
                assert [getattr(row, column) for column in (
                    f"After{name}", f"Before{name}", f"{name}_bw", f"{name}_fw")] == expected


@pytest.mark.cpu_only("only pandas")
def test_columns_by_their_kind() -> None:
    df = pd.DataFrame({"few": [1, 2] * 15, "many": range(30), "x": 1., "t": "a", "b": True,
                       "y": 1, "z": 1.})
    assert cont_cat_split(df, dep_var=["y", "z"]) == (["many", "x"], ["few", "t", "b"])
    assert cont_cat_split(df, 1, "z") == (["few", "many", "x"], ["t", "b", "y"])


@pytest.mark.cpu_only("only pandas")
def test_what_is_no_date() -> None:
    df = pd.DataFrame({"day": ["2019-12-04", "soon"], "shop": 1, "sale": True})
    with pytest.raises(ValueError, match="column 'day' holds something that is not a date"):
        make_date(df, "day")
    with pytest.raises(UnknownColumnError, match="no column 'date'; the frame has day, shop"):
        add_datepart(df, "date")
    with pytest.raises(ValueError, match="column 'day' has missing dates"):
        add_elapsed_times(df.assign(day=pd.to_datetime(["2019-12-04", None])), "sale", "day",
                          "shop")

# --------------------------------------------------------------------------------------- targets


def flats() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"size": rng.normal(70, 15, 40), "town": rng.choice(list("ab"), 40),
                         "rent": rng.normal(900, 100, 40), "heat": rng.normal(90, 10, 40),
                         "pets": rng.integers(0, 2, 40), "lift": rng.random(40) < .5,
                         "grade": pd.Categorical(["low", "mid", "high", "mid"] * 10,
                                                 ["low", "mid", "high"], ordered=True)})


def flat_data(dep_var: Any, **kwargs: Any) -> TabularDataBunch:
    return TabularDataBunch.from_df(".", flats(), dep_var, range(30, 40), PROCS, ["town"],
                                    ["size"], **{"bs": 10, "seed": 0, **kwargs})


def test_several_numbers() -> None:
    data = flat_data(["rent", "heat"])
    learn = tabular_learner(data, [4], seed=0, scale_y=True)
    assert (data.c, data.classes, type(learn.loss_func).__name__) == (2, None, "FlattenedLoss")
    with learn.no_logging():
        learn.fit_one_cycle(2, 1e-2)
    preds, y = map(host, learn.get_preds())
    np.testing.assert_array_equal(y, flats()[["rent", "heat"]][30:].to_numpy(np.float32))
    assert preds.shape == (10, 2)
    decoded, target, output = learn.predict(flats().iloc[30])
    for one in (decoded, target, output):
        np.testing.assert_allclose(host(one), preds[0], rtol=1e-5)
    assert data.get_y_range(0) == (pytest.approx(flats()["heat"][:30].min()),
                                   pytest.approx(flats()["rent"][:30].max()))


def test_columns_of_classes() -> None:
    data = flat_data(["pets", "lift"])
    learn = tabular_learner(data, [4], seed=0)
    assert (data.c, data.classes) == (2, ["pets", "lift"])
    with learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
    preds, y = map(host, learn.get_preds())
    np.testing.assert_array_equal(y, flats()[["pets", "lift"]][30:].astype(int))
    assert ((preds > 0) & (preds < 1)).all()
    names, target, output = learn.predict(flats().iloc[30])
    np.testing.assert_allclose(host(output), preds[0], rtol=1e-5)
    assert host(target).tolist() == (preds[0] >= .5).astype(int).tolist()
    assert names == [name for name, p in zip(data.classes, preds[0], strict=True) if p >= .5]
    assert isinstance(data.batch_table(*data.one_batch())["target"].iloc[0], list)


def test_ordered_classes_keep_their_order() -> None:
    data = flat_data("grade")
    assert data.classes == ["low", "mid", "high"]
    y: Any = data.train_ds.y
    assert host(y).tolist() == flats()["grade"].cat.codes[:30].tolist()
    item = TabularDataBunch.from_df(".", flats(), "rent", range(30, 40), PROCS, ["grade"],
                                    ["size"], bs=10)
    assert item.categories[0].classes.tolist() == ["#na#", "low", "mid", "high"]
    assert host(item.one_item({"grade": "high", "size": 70.})[0]).tolist() == [[3]]


def test_logarithms() -> None:
    items = TabularList.from_df(flats(), ["town"], ["size"], PROCS, path="files")
    data = items.split_by_idx(range(30, 40)).label_from_df("rent", FloatList, log=True) \
        .databunch(bs=10)
    assert str(data.path) == "files"
    y: Any = data.train_ds.y
    np.testing.assert_array_equal(host(y), np.log(flats()["rent"][:30].to_numpy(np.float32)))
    df = flats()
    df.loc[3, "rent"] = -1
    with pytest.raises(ValueError, match=r"-1.0 in 'rent' \(row 3\) has no logarithm"):
        TabularDataBunch.from_df(".", df, "rent", [39], PROCS, [], ["size"], bs=9, log=True)


@pytest.mark.parametrize(("dep_var", "kwargs", "message"), [
    (["pets", "grade"], {}, "'low' in 'grade' (row 0) is neither 0 nor 1; several columns"),
    (["rent", "heat"], {"label_cls": CategoryList}, "or MultiCategoryList for several columns"),
    (["pets", "lift"], {"classes": ["a", "b"]}, "classes=['a', 'b']"),
    ("pets", {"label_cls": MultiCategoryList}, "or CategoryList for one column"),
    ("grade", {"label_cls": CategoryList, "log": True}, "log=True")])
def test_kinds_that_do_not_fit(dep_var: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        flat_data(dep_var, **kwargs)
    assert message in str(caught.value)


def test_splits_of_a_list() -> None:
    df = flats().assign(is_valid=[False] * 36 + [True] * 4)
    items = TabularList.from_df(df, [], ["size"], PROCS).label_from_df("rent")
    data = items.split_from_df().databunch(bs=10)
    y: Any = data.valid_ds.y
    np.testing.assert_array_equal(host(y), df["rent"][36:].to_numpy(np.float32))
    assert items.split_none().databunch(bs=10).empty_val
    with pytest.raises(UnknownColumnError, match="'fold'"):
        items.split_from_df("fold")

# -------------------------------------------------------------------------------------- new rows


@pytest.mark.parametrize("dep_var", ["rent", "grade", ["rent", "heat"], ["pets", "lift"]],
                         ids=str)
def test_new_rows_are_predicted_as_validation_rows(dep_var: Any) -> None:
    data = flat_data(dep_var)
    learn = tabular_learner(data, [4], seed=0)
    valid, y = map(host, learn.get_preds())
    new = flats()[30:].reset_index(drop=True)
    preds, targets = map(host, (learn.data.add_test(new), learn.get_preds(DatasetType.Test))[1])
    np.testing.assert_array_equal(preds, valid)
    np.testing.assert_array_equal(targets, y)
    without = TabularList.from_df(new[["town", "size"]])
    assert data.add_test(without, bs=3) is data
    preds, targets = map(host, learn.get_preds(DatasetType.Test))
    np.testing.assert_allclose(preds, valid, rtol=1e-5)
    assert targets.shape == y.shape
    assert (np.isnan(targets) if targets.dtype.kind == "f" else targets == -1).all()


def test_a_label_for_new_rows() -> None:
    data = flat_data("grade").add_test(flats()[["town", "size"]], "high")
    test: Any = data.test_dl
    assert (host(test.dataset.y) == 2).all()
    with pytest.raises(UnknownColumnError, match="no column 'size'"):
        data.add_test(flats()[["town"]])


@pytest.mark.parametrize("dep_var", [["rent", "heat"], ["pets", "lift"]], ids=str)
def test_an_exported_learner_predicts_new_rows(dep_var: Any, tmp_path: Path) -> None:
    data = TabularDataBunch.from_df(
        tmp_path, flats(), dep_var, range(30, 40), [FillMissing, Categorify, Normalize(clip=1)],
        ["town"], ["size"], bs=10)
    learn = tabular_learner(data, [4], seed=0, scale_y=dep_var[0] == "rent")
    learn.export()
    there = load_learner(tmp_path, test=flats()[["town", "size"]])
    preds, targets = map(host, there.get_preds(DatasetType.Test))
    assert targets.shape == (40, 2)
    np.testing.assert_allclose(preds[30:], host(learn.get_preds()[0]), rtol=1e-5)
    row = flats().iloc[3]
    assert str(there.predict(row)[0]) == str(learn.predict(row)[0])


@pytest.mark.cpu_only("only pandas")
def test_processors_by_hand() -> None:
    train, test = (pd.DataFrame({"c": c, "x": x}) for c, x in (
        (["a", "b", "b"], [1., None, 3.]), (["b", "z"], [9., None])))
    scale = Normalize([], ["x"], clip=2)
    for proc in (FillMissing([], ["x"], FillStrategy.CONSTANT, False, 5.), Categorify(["c"], []),
                 scale):
        proc(train)
        proc(test, test=True)
    assert train["c"].cat.ordered
    assert train["c"].cat.categories.tolist() == test["c"].cat.categories.tolist() == ["a", "b"]
    assert train["c"].tolist() == ["a", "b", "b"]
    assert test["c"].cat.codes.tolist() == [1, -1], "z is in no training row"
    assert scale.stats["x"] == (3, 2)
    np.testing.assert_allclose(test["x"], [2, 1], rtol=1e-6)
    filled = pd.DataFrame({"x": [None, 2., 2., 7., 7., 2.]})
    FillMissing(cont_names=["x"], fill_strategy=FillStrategy.COMMON)(filled)
    assert filled["x"].tolist() == [2, 2, 2, 7, 7, 2]

# ---------------------------------------------------------------------------------- unusual rows


N = 1000


def delays() -> pd.DataFrame:
    """Delays at the start and the end of trips. The last row is 18 deviations from the mean."""
    rng = np.random.default_rng(0)
    start = rng.normal(5, 10, N)
    start[-1] = 185
    return pd.DataFrame({"start": start, "hour": rng.uniform(0, 24, N),
                         "end": start + rng.normal(0, 5, N)})


def delay_learner(rare_unit: bool = True, clip: float | None = None, **kwargs: Any) -> Any:
    """Train on delays, with a hidden unit that fires from 6 deviations on, for no training row."""
    data = TabularDataBunch.from_df(".", delays(), "end", range(N - 100, N),
                                    Normalize(clip=clip), [], ["start", "hour"], bs=10, seed=0)
    if kwargs.pop("ranged", False):
        kwargs["y_range"] = data.get_y_range()
    learn = tabular_learner(data, [20], seed=0, lin_bias=rare_unit, **kwargs)
    if rare_unit:
        first = learn.model.layers[0]
        first.weight.data[0], first.bias.data[0] = tensor([1., 0.], np.float32).data, -6
    with learn.no_logging():
        learn.fit_one_cycle(3, 1e-2)
    return learn


def test_a_unit_that_fires_for_no_training_row_spoils_a_rare_row() -> None:
    """Batch norm divides by the root of its running variance, which is 0 but for eps."""
    learn = delay_learner()
    var = host(learn.model.layers[2].running_var)[0]
    assert var < 1e-7
    preds, y = (host(a).ravel() for a in learn.get_preds())
    assert abs(preds[:-1] - y[:-1]).max() < 40
    assert abs(preds[-1] - y[-1]) > 1000
    with pytest.warns(UserWarning, match=r"far outside the training targets, which go from -"):
        assert learn.predict(delays().iloc[-1])[0] == pytest.approx(preds[-1], rel=1e-4)


@pytest.mark.cpu_only("three trainings")
def test_what_keeps_a_rare_row_in_range() -> None:
    without = delay_learner(rare_unit=False)  # no bias: half of all rows are on each side
    clipped, ranged = delay_learner(clip=5), delay_learner(ranged=True)
    for learn in (without, clipped, ranged):
        assert -200 < host(learn.get_preds()[0])[-1, 0] < 400
    low, high = ranged.data.get_y_range()
    assert low < ranged.predict(delays().iloc[-1])[0] < high
    assert host(clipped.data.one_item(delays().iloc[-1])[1])[0, 0] == 5


def test_outputs_in_the_units_of_the_targets() -> None:
    data = flat_data("rent")
    learn = tabular_learner(data, [4], seed=0, scale_y=True)
    rent = flats()["rent"][:30]
    preds = host(learn.get_preds()[0])
    plain = host(tabular_learner(data, [4], seed=0).get_preds()[0])
    np.testing.assert_allclose(preds, plain * rent.std(ddof=0) + rent.mean(), rtol=1e-5)
    same = tabular_learner(data, [4], scale_y=True)
    same.model.load_state_dict(learn.model.state_dict())
    np.testing.assert_array_equal(host(same.get_preds()[0]), preds)
    for kwargs, dep_var in (({"y_range": (0, 1)}, "rent"), ({}, "grade")):
        with pytest.raises(ValueError, match="scale_y=True is for targets that are numbers"):
            tabular_learner(flat_data(dep_var), [4], scale_y=True, **kwargs)
    with pytest.raises(ValueError, match=r"a y_range needs .*'low', 'mid', 'high'"):
        flat_data("grade").get_y_range()


def test_biases_before_batch_norm() -> None:
    def biases(**kwargs: Any) -> list[bool]:
        model = TabularModel([(4, 2)], 1, 1, [5, 3], **kwargs)
        return [layer.bias is not None for layer in model.layers if isinstance(layer, Linear)]
    assert biases() == [True] * 3
    assert biases(lin_bias=False) == [False, False, True]
    assert biases(lin_bias=False, use_bn=False) == [True] * 3


def test_a_learner_without_biases_trains_the_same_on_both_paths() -> None:
    weights = []
    for fast in (True, False):
        learn = tabular_learner(flat_data("rent"), [6, 4], seed=0, scale_y=True, fast=fast)
        with learn.no_logging():
            learn.fit_one_cycle(2, 1e-2)
        weights.append({name: host(a) for name, a in learn.model.named_parameters()})
    for name, a in weights[0].items():
        np.testing.assert_allclose(a, weights[1][name], rtol=1e-4, atol=1e-6, err_msg=name)
