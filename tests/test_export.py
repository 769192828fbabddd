"""An exported learner predicts elsewhere what the learner predicts here, to the bit."""
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from tiny import fit_quietly, host, line_learner, ratings, ratings_data, three_groups

from minifast import Tensor
from minifast.checkpoints import NotExportableError, load_learner
from minifast.collab import collab_learner
from minifast.data import CollabDataBunch, DatasetType
from minifast.nn import Linear, Module
from minifast.tabular import (
    Categorify,
    FillMissing,
    Normalize,
    TabularDataBunch,
    TabularProc,
    tabular_learner,
)
from minifast.train import CheckpointError

NEW = pd.DataFrame({"user": [1, 4, 99], "item": ["a", "e", "zz"]})


def dot(path: Path) -> Any:
    return collab_learner(ratings_data(path=path), n_factors=3, y_range=[0, 5.5], seed=1)


def network(path: Path) -> Any:
    return collab_learner(ratings_data(path=path), use_nn=True, layers=[5, 4], ps=.1, emb_drop=.1,
                          y_range=[0, 5.5], bn_final=True, seed=1)


def predictions(learn: Any, rows: pd.DataFrame) -> Any:
    learn.data.add_test(rows)
    return host(learn.get_preds(DatasetType.Test)[0])


@pytest.mark.parametrize("make", [dot, network])
def test_ratings(make: Any, tmp_path: Path) -> None:
    learn = fit_quietly(make(tmp_path), 2, 1e-2)
    learn.export()
    there = load_learner(tmp_path, test=NEW)
    expected = predictions(learn, NEW)
    np.testing.assert_array_equal(host(there.get_preds(DatasetType.Test)[0]), expected)
    assert there.predict((1, "a"))[0] == learn.predict((1, "a"))[0]
    np.testing.assert_array_equal(there.weight(["a"]).numpy(), learn.weight(["a"]).numpy())
    assert [p.name for p in tmp_path.iterdir()] == ["export.safetensors"]
    assert repr(there.model) == repr(learn.model)
    with pytest.warns(UserWarning, match=r"exported without its ratings, .*with_rated=True\)"):
        assert len(there.recommend(1, 3)) == 3
    with pytest.raises(ValueError, match="has no batch"):
        there.fit(1)


@pytest.mark.parametrize("users", [[1.5, 2., 3., 4.], ["x", "y", "é", "#na"], [True, False] * 2])
def test_labels_of_any_plain_type(users: list[Any], tmp_path: Path) -> None:
    frame = ratings().assign(user=np.repeat(np.array(users), 4))
    learn = collab_learner(CollabDataBunch.from_df(frame, bs=4, seed=3, path=tmp_path), 3)
    learn.export("mine")
    there = load_learner(tmp_path, "mine")
    for before, after in zip(learn.data.categories, there.data.categories, strict=True):
        assert before.classes.tolist() == after.classes.tolist()
    np.testing.assert_array_equal(predictions(there, frame), predictions(learn, frame))


def test_an_exported_learner_recommends_nothing_that_was_rated(tmp_path: Path) -> None:
    learn = dot(tmp_path)
    learn.export(with_rated=True)
    there = load_learner(tmp_path)
    for user in (1, 2, 3, 4):
        pd.testing.assert_frame_equal(there.recommend(user), learn.recommend(user))
    assert len(learn.recommend(1)) < len(learn.data.classes["item"]) - 1  # some were rated
    there.export(with_rated=True)  # once more
    pd.testing.assert_frame_equal(load_learner(tmp_path).recommend(2), learn.recommend(2))
    with pytest.raises(ValueError, match="these data are a DataBunch; leave it out"):
        line_learner(path=tmp_path).export(with_rated=True)


@pytest.mark.parametrize("pairs", [
    [np.array([1], np.int32), np.array([1, 2], np.int32)], [np.array([1], np.int32)],
    [np.array([99], np.int32), np.array([1], np.int32)], [np.ones(1), np.ones(1)]])
def test_rated_items_that_cannot_be_are_refused(pairs: Any, tmp_path: Path) -> None:
    from minifast.checkpoints import tables
    with pytest.raises(ValueError, match="its rated items are not pairs of a user and an item"):
        tables.add_rated(ratings_data(path=tmp_path), pairs)


def test_nothing_of_the_ratings_is_in_the_file(tmp_path: Path) -> None:
    learn = dot(tmp_path)
    learn.export()
    arrays = load_file(tmp_path / "export.safetensors")
    assert arrays.keys() == learn.model.state_dict().keys()  # torch's names
    content = (tmp_path / "export.safetensors").read_bytes()
    header = json.loads(content[8:8 + int.from_bytes(content[:8], "little")])
    text = json.loads(header["__metadata__"]["content"])
    assert text["format_version"] == 1
    assert text["data"].keys() == {"kind", "rating_name", "categories"}


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"colour": list("rgb?") * 10, "size": rng.normal(size=40),
                          "price": rng.normal(size=40)})
    frame.loc[::7, "size"] = np.nan
    return frame.assign(kind=np.where(frame["price"] > 0, "dear", "cheap"))


@pytest.mark.parametrize("target", ["price", "kind"])
def test_tables(target: str, tmp_path: Path) -> None:
    df = table()
    data = TabularDataBunch.from_df(tmp_path, df, target, range(30, 40),
                                    [FillMissing, Categorify, Normalize],
                                    cat_names=["colour"], cont_names=["size"], bs=8, seed=0)
    learn = fit_quietly(tabular_learner(data, [8, 4], ps=.2, emb_drop=.1, seed=1), 2, 1e-2)
    learn.export()
    there, new = load_learner(tmp_path), df.drop(columns=["price", "kind"]).iloc[:7]
    new.loc[0, "colour"] = "never seen"
    np.testing.assert_array_equal(predictions(there, new), predictions(learn, new))
    here, far = learn.predict(df.iloc[3]), there.predict(df.iloc[3])
    assert here[0] == far[0]
    assert there.data.classes == learn.data.classes


def test_arrays(tmp_path: Path) -> None:
    learn = fit_quietly(three_groups(.2, path=tmp_path), 1, 1e-2)
    learn.export()
    x = np.ones(3, np.float32)
    assert load_learner(tmp_path).predict(x)[0] == learn.predict(x)[0]


class Own(Module):
    def __init__(self) -> None:
        self.inner = Linear(3, 1, seed=0)

    def forward(self, x: Any) -> Any:
        return self.inner(x)


def test_a_model_of_ones_own_is_named_and_must_be_given(tmp_path: Path) -> None:
    learn = fit_quietly(line_learner(path=tmp_path), 1)
    learn.model, x = Own(), np.ones(3, np.float32)
    learn.export()
    with pytest.raises(CheckpointError, match=r"holds no test_export\.Own, .*model=\.\.\."):
        load_learner(tmp_path)
    given = Own()
    given.inner.weight.data[...] = 7
    assert load_learner(tmp_path, model=given).predict(x)[0] == learn.predict(x)[0]
    with pytest.raises(CheckpointError, match="do not fit"):
        load_learner(tmp_path, model=Linear(3, 1))


def own_loss(pred: Tensor, target: Tensor) -> Tensor:
    return (pred.reshape(-1) - target).abs().mean()


def test_a_loss_of_ones_own_must_be_given(tmp_path: Path) -> None:
    learn = line_learner(path=tmp_path, loss_func=own_loss)
    learn.export()
    with pytest.raises(CheckpointError, match=r"own_loss, .*loss_func=\.\.\."):
        load_learner(tmp_path)
    assert load_learner(tmp_path, loss_func=own_loss).loss_func is own_loss


def test_what_cannot_be_exported_is_named(tmp_path: Path) -> None:
    class Mine(TabularProc):
        def apply_train(self, frame: Any) -> None:
            pass
    data = TabularDataBunch.from_df(tmp_path, table().dropna(), "price", [3], [Mine()],
                                    cont_names=["size"], bs=8)
    with pytest.raises(NotExportableError, match="Mine"):
        tabular_learner(data, [2]).export()
    days = ratings().assign(user=pd.to_datetime(ratings()["user"]))
    learn = collab_learner(CollabDataBunch.from_df(days, bs=4, seed=0, path=tmp_path), 2)
    with pytest.raises(NotExportableError, match="a label of 'user' is"):
        learn.export()
    assert not (tmp_path / "export.safetensors").exists()


@pytest.mark.cpu_only("another process")
def test_another_process_predicts_the_same(tmp_path: Path) -> None:
    learn = fit_quietly(dot(tmp_path), 2, 1e-2)
    learn.export()
    NEW.to_csv(tmp_path / "new.csv", index=False)
    code = ("import sys, pandas as pd\n"
            "from minifast.checkpoints import load_learner\n"
            "from minifast.data import DatasetType\n"
            "learn = load_learner(sys.argv[1], test=pd.read_csv(sys.argv[1] + '/new.csv'))\n"
            "print([float(x) for x in learn.get_preds(DatasetType.Test)[0]])")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == predictions(learn, NEW).tolist()
