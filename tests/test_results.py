"""Learner.show_results for ratings, tables, images and plain arrays."""
from collections.abc import Iterator
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawn import assert_readable, overlapping
from host import host
from tiny import fit_quietly, ratings_learner

import minifast.inspect  # noqa: F401  (adds show_results)
from minifast.data import ArrayDataset, DataBunch, DatasetType
from minifast.nn import Linear
from minifast.tabular import Categorify, FloatList, Normalize, TabularDataBunch, tabular_learner
from minifast.train import Learner
from minifast.vision import ImageDataBunch, cnn_learner, resnet


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def table_of(learn: Learner, capsys: pytest.CaptureFixture[str], *args: Any, **kwargs: Any
             ) -> list[list[str]]:
    capsys.readouterr()
    assert learn.show_results(*args, **kwargs) is None
    return [line.split() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("ds_type", [DatasetType.Valid, DatasetType.Train, DatasetType.Fix])
def test_ratings(ds_type: DatasetType, capsys: pytest.CaptureFixture[str]) -> None:
    learn = fit_quietly(ratings_learner(), 2)
    head, *body = table_of(learn, capsys, ds_type, 3)
    assert head == ["user", "item", "target", "prediction"]
    kind = DatasetType.Fix if ds_type is DatasetType.Train else ds_type
    (users, items), y = learn.data.one_batch(kind)
    preds = host(learn.get_preds(kind)[0]).ravel()
    classes = learn.data.classes
    assert body == [[classes["user"][u], classes["item"][i], f"{r:.1f}", f"{p:.2f}"]
                    for u, i, r, p in zip(host(users)[:3], host(items)[:3], host(y), preds,
                                          strict=False)]


def test_no_more_rows_than_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(table_of(ratings_learner(), capsys, rows=99)) == 1 + 4


def people(target: str, **kwargs: Any) -> Learner:
    frame = pd.DataFrame({"colour": list("rgbrgb"), "size": [10., 20., 0., 40., 0., 60.],
                          "kind": list("xyxyxy"), "price": [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]})
    data = TabularDataBunch.from_df(
        ".", frame[["colour", "size", target]], target, [3, 4, 5], [Categorify, Normalize],
        cat_names=["colour"], cont_names=["size"], bs=3, **kwargs)
    return tabular_learner(data, [4], seed=0)


def test_a_table_with_classes(capsys: pytest.CaptureFixture[str]) -> None:
    learn = people("kind")
    head, *body = table_of(learn, capsys)
    assert head == ["colour", "size", "target", "prediction"]
    best = host(learn.get_preds()[0]).argmax(1)
    assert body == [["r", "40.0", "y", "xy"[best[0]]], ["g", "0.0", "x", "xy"[best[1]]],
                    ["b", "60.0", "y", "xy"[best[2]]]]


def test_a_table_with_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    learn = people("price", label_cls=FloatList)
    _, *body = table_of(learn, capsys, rows=2)
    preds = host(learn.get_preds()[0]).ravel()
    assert [line[2] for line in body] == ["4.5", "5.5"]
    np.testing.assert_allclose([float(line[3]) for line in body], preds[:2], atol=.0051)


def test_plain_arrays(capsys: pytest.CaptureFixture[str]) -> None:
    x = np.array([[1., -1e-8], [2., 3.]], np.float32)
    ds = ArrayDataset(x, np.array([0, 1]))
    learn = Learner(DataBunch.create(ds, ds, bs=2, classes=["no", "yes"]), Linear(2, 2, seed=0))
    head, *body = table_of(learn, capsys)
    assert head == ["x0", "target", "prediction"]
    best = host(learn.get_preds()[0]).argmax(1)
    assert [line[-2:] for line in body] == [["no", ["no", "yes"][best[0]]],
                                            ["yes", ["no", "yes"][best[1]]]]
    assert not any("e-" in cell for line in body for cell in line)


def test_several_targets(capsys: pytest.CaptureFixture[str]) -> None:
    x = np.ones((2, 2), np.float32)
    ds = ArrayDataset(x, 2 * x)
    learn = Learner(DataBunch.create(ds, ds, bs=2), Linear(2, 2, seed=0))
    assert table_of(learn, capsys)[0] == ["x0", "target", "prediction"]


def test_images() -> None:
    x = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), np.uint8)
    y = ["ant" if i % 2 else "bee" for i in range(20)]
    data = ImageDataBunch.from_arrays(x[:12], y[:12], valid=(x[12:], y[12:]), bs=8, seed=0)
    learn = cnn_learner(data.normalize(), partial(resnet, [1], [4]), lin_ftrs=[], seed=0)
    assert learn.show_results(rows=2) is None
    figure = plt.gcf()
    assert_readable(figure)
    best = host(learn.get_preds()[0]).argmax(1)[:4]
    assert [axes.get_title() for axes in figure.axes] == [
        f"{actual} / {data.classes[i]}" for actual, i in zip(y[12:16], best, strict=True)]
    assert figure.get_suptitle() == "actual / prediction"
    assert overlapping([axes.title for axes in figure.axes]) == []
    for axes, image in zip(figure.axes, x[12:16], strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), image / 255, atol=1e-6)
    learn.show_results(rows=2, figsize=(3, 2))
    assert plt.gcf().get_size_inches().tolist() == [3, 2]


def test_the_last_images_of_a_batch() -> None:
    x = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
    data = ImageDataBunch.from_arrays(x, list("ababab"), valid=(x, list("ababab")), bs=6)
    data.show_batch(1, DatasetType.Valid, reverse=True)
    (axes,) = plt.gcf().axes
    assert axes.get_title() == "b"
    np.testing.assert_allclose(axes.images[0].get_array(), x[-1] / 255, atol=1e-6)
