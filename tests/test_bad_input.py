"""Bad input: an error that names the value and a way out, and everything stays as it was."""
import io
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny import (
    Spy,
    batches,
    fit_quietly,
    frozen_copy,
    host,
    line_learner,
    ratings,
    ratings_data,
    ratings_learner,
    rows,
    three_groups,
)

from minifast import DeviceError, GraphReleasedError, ShapeError, Tensor
from minifast.autograd import tensor
from minifast.callbacks import TerminateOnNaNCallback
from minifast.collab import EmbeddingDotBias, EmbeddingNN, collab_learner
from minifast.data import ArrayDataset, CollabDataBunch, DataBunch, DataLoader
from minifast.nn import Embedding, Linear, MSELossFlat, StateDictError
from minifast.train import Callback, CheckpointError, Learner, UnknownEventError


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def everything(learn: Learner) -> Any:
    opt = learn.opt
    return (frozen_copy(learn), files(Path(learn.path)), opt, opt and [dict(h) for h in opt.hypers],
            [(p.requires_grad, p.grad) for p in learn.model.parameters()],
            [m.training for m in learn.model.modules()])


@contextmanager
def refused(learn: Learner, error: type[BaseException], *parts: str) -> Iterator[None]:
    """Within this, ``error`` is raised, its message has all ``parts``, and nothing changes."""
    before = everything(learn)
    with pytest.raises(error) as caught:
        yield
    for part in parts:
        assert part in str(caught.value), str(caught.value)
    assert everything(learn) == before


@pytest.fixture
def learn(tmp_path: Path) -> Learner:
    """A learner with momentum, whose last save is ``good``."""
    made = fit_quietly(three_groups(path=tmp_path), 1, 1e-2)
    made.save("good")
    return made


@pytest.fixture
def collab(tmp_path: Path) -> Any:
    made = fit_quietly(ratings_learner(path=tmp_path), 1, 1e-2)
    made.save("good")
    return made


# ------------------------------------------------------------------------------------- the frame

HOLED = ratings().assign(rating=[5, 3, np.nan, *range(13)])
WORDS = ratings().assign(rating=["good"] * 16)


@pytest.mark.parametrize(("frame", "kwargs", "error", "parts"), [
    (ratings(), {"user_name": "usr"}, KeyError, ["'usr'", "user, item, rating"]),
    (ratings(), {"item_name": "title"}, KeyError, ["'title'", "user, item, rating"]),
    (ratings(), {"rating_name": "stars"}, KeyError, ["'stars'", "user, item, rating"]),
    (ratings(), {"test": ratings()[["user"]]}, KeyError, ["'item'", "the frame has user"]),
    (ratings()[["user", "item"]], {}, ValueError, ["['user', 'item']", "three columns"]),
    (HOLED, {}, ValueError, ["'rating' has 1 missing", "nan, in row 2)",
                             "ratings.dropna(subset=['rating'])"]),
    (HOLED.astype({"rating": "Float64"}), {}, ValueError, ["1 missing", "dropna"]),
    (ratings().assign(rating=np.nan), {}, ValueError, ["16 missing", "dropna"]),
    (ratings().assign(rating=[np.inf] + [1.] * 15), {}, ValueError, ["inf", "in row 0)"]),
    (WORDS, {}, ValueError, ["'rating'", "'good'", "pd.to_numeric", "rating_name="]),
    (ratings().assign(rating=pd.Timestamp("2020-01-01")), {}, ValueError, ["2020", "to_numeric"]),
    (ratings()[:0], {}, ValueError, ["0 rows", "read"]),
    (pd.DataFrame(), {}, ValueError, ["0 rows", "read"]),
    (ratings(), {"bs": 64}, ValueError, ["16 training rows", "64", "bs=16"]),
    (ratings(), {"bs": 13, "valid_pct": .25}, ValueError, ["12 training rows", "13", "bs=12"]),
    (ratings(), {"bs": 0}, ValueError, ["bs=0", "at least one row"]),
    (ratings(), {"valid_pct": 1}, ValueError, ["valid_pct", "[0, 1)", "got 1"]),
    (ratings(), {"valid_pct": -.1}, ValueError, ["valid_pct", "[0, 1)", "got -0.1"]),
    (ratings(), {"valid_pct": 20}, ValueError, ["valid_pct", "[0, 1)", "got 20"]),
    (ratings(), {"valid_pct": np.nan}, ValueError, ["valid_pct", "[0, 1)", "got nan"]),
    (ratings().assign(user=[1, "b"] * 8), {}, TypeError, ["'user'", "int, str", "convert"])])
def test_ratings_that_cannot_be_used(frame: pd.DataFrame, kwargs: Any, error: type[Exception],
                                     parts: list[str]) -> None:
    before = frame.copy(deep=True)
    with pytest.raises(error) as caught:
        CollabDataBunch.from_df(frame, **{"valid_pct": 0, "bs": 4, **kwargs})
    for part in parts:
        assert part in str(caught.value), str(caught.value)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("y_range", [[5.5, 0], (1, 1), [np.nan, 1], [0], [0, 1, 2], 5.5, "05", []],
                         ids=repr)
@pytest.mark.parametrize("make", [
    lambda y_range: EmbeddingDotBias(2, 3, 4, y_range),
    lambda y_range: EmbeddingNN([(3, 2), (4, 2)], [5], y_range=y_range),
    lambda y_range: collab_learner(ratings_data(), 2, y_range=y_range)],
    ids=["EmbeddingDotBias", "EmbeddingNN", "collab_learner"])
def test_a_range_that_is_none(make: Callable[[Any], Any], y_range: Any) -> None:
    with pytest.raises(ValueError, match=r"y_range .*\[0, 5.5\]") as caught:
        make(y_range)
    assert repr(y_range) in str(caught.value)


# ----------------------------------------------------------------------------- users and items


@pytest.mark.parametrize(("ask", "value"), [
    (lambda learn: learn.bias(["a", "zz"]), "'zz'"),
    (lambda learn: learn.weight(["zz"]), "'zz'"),
    (lambda learn: learn.bias([1, 77], is_item=False), "77"),
    (lambda learn: learn.predict((77, "a")), "77"),
    (lambda learn: learn.predict((1, "zz")), "'zz'"),
    (lambda learn: learn.recommend(77), "77")])
def test_an_unknown_user_or_item(collab: Any, ask: Callable[[Any], Any], value: str) -> None:
    with refused(collab, KeyError, value, "is not among the 4 values", "training rows"):
        ask(collab)


def test_half_a_rating(collab: Any) -> None:
    with refused(collab, ValueError, "(1,)", "(user, item)"):
        collab.predict((1,))


@pytest.mark.parametrize("ids", [[0, 5], [-1, 2], [2**40, 1]])
def test_ids_out_of_range(ids: list[int], collab: Any) -> None:
    wrong = next(i for i in ids if not 0 <= i < 5)
    with pytest.raises(IndexError, match=rf"id {wrong} is out of range for an Embedding of 5 rows "
                                         r"\(0 to 4\); 1 of 2 ids are"):
        Embedding(5, 2).to("cpu")(tensor(ids, device="cpu"))
    before = frozen_copy(collab)
    wrong_rows = ArrayDataset([np.array(ids), np.array([1, 1])], np.ones(2, np.float32))
    collab.data.train_dl = DataLoader(wrong_rows.to(collab.data.device), 2)
    with pytest.raises(IndexError, match=f"id {wrong} is out of range"):
        fit_quietly(collab)
    assert {k: v for k, v in frozen_copy(collab).items() if not k.startswith("opt.hyper")} == {
        k: v for k, v in before.items() if not k.startswith("opt.hyper")}


def test_ids_that_are_not_whole_numbers() -> None:
    with pytest.raises(TypeError, match=r"ids must be whole numbers, got float32; use tensor.long"):
        Embedding(5, 2).to("cpu")(tensor([1., 2.], device="cpu"))


# ------------------------------------------------------------------------------------- shapes


def test_shapes_that_do_not_broadcast() -> None:
    for do in (lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a @ b):
        with pytest.raises(ShapeError, match=r"\(2, 3\) and \(4,\) do not fit.*reshape"):
            do(tensor(np.ones((2, 3))), tensor(np.ones(4)))


def test_a_model_of_another_width(learn: Learner) -> None:
    before = {k: v for k, v in frozen_copy(learn).items() if "hyper" not in k}
    learn.data.train_dl = batches(2)
    wide = Learner(DataBunch([rows(4, 9)]), learn.model, loss_func=MSELossFlat())
    with pytest.raises(ShapeError, match=r"\(4, 9\).*\(5, 3\)"):
        fit_quietly(wide)
    assert {k: v for k, v in frozen_copy(learn).items() if "hyper" not in k} == before


def test_targets_of_another_length() -> None:
    data = DataBunch([(np.zeros((4, 3), np.float32), np.zeros(5, np.float32))])
    learn = Learner(data, Linear(3, 1), loss_func=MSELossFlat())
    before = frozen_copy(learn)
    with pytest.raises(ShapeError, match=r"predictions \(4,\) and targets \(5,\) differ"):
        fit_quietly(learn)
    assert {k: v for k, v in frozen_copy(learn).items() if "opt" not in k} == before
    with pytest.raises(ValueError, match=r"same length, got \[4, 5\]"):
        ArrayDataset(np.zeros((4, 3)), np.zeros(5))


# -------------------------------------------------------------------------------- rates and groups


@pytest.mark.parametrize("fit", ["fit", "fit_one_cycle"])
@pytest.mark.parametrize(("lr", "error", "parts"), [
    ([1e-3, 1e-2], ValueError, ["2", "[0.001, 0.01]", "3 layer groups", "slice"]),
    ((1e-3,) * 4, ValueError, ["4", "3 layer groups"]),
    (np.array([1e-3, 1e-2]), ValueError, ["2", "3 layer groups"]),
    ([], ValueError, ["0", "3 layer groups"]),
    (slice(None), ValueError, ["slice(None, None)", "slice(1e-3)"]),
    (slice(1e-3, None), ValueError, ["slice(0.001, None)", "slice(1e-5, 1e-3)"]),
    (slice(0, 1e-2), ValueError, ["slice(0, 0.01)", "cannot start at 0", "slice(0.01)"]),
    (slice(-1e-3, 1e-2), ValueError, ["slice(-0.001, 0.01)", "small positive start"]),
    (slice(1e-3, 0), ValueError, ["slice(0.001, 0)", "slice(1e-3)"]),
    (slice(-1), ValueError, ["slice(None, -1)", "slice(1e-3)"])], ids=repr)
def test_rates_that_fit_no_groups(learn: Learner, fit: str, lr: Any, error: type[Exception],
                                  parts: list[str]) -> None:
    with refused(learn, error, *parts):
        getattr(learn, fit)(1, lr)
    with refused(learn, error, *parts):
        learn.lr_find(lr, 10)
    with refused(learn, error, *parts):
        learn.lr_find(1e-7, lr)


def test_decays_that_fit_no_groups(learn: Learner) -> None:
    with refused(learn, ValueError, "wd has 2 values [0.1, 0.2] for 3 layer groups", "give"):
        learn.fit(1, 1e-3, wd=[.1, .2])
    fresh = three_groups(wd=[.1, .2], path=learn.path)
    with refused(fresh, ValueError, "wd has 2 values"):
        fresh.fit(1, 1e-3)


@pytest.mark.parametrize(("n", "error", "parts"), [
    (4, IndexError, ["freeze_to(4)", "3 layer groups", "learn.split"]),
    (-4, IndexError, ["freeze_to(-4)", "3 layer groups", "learn.split"]),
    (3, ValueError, ["freeze_to(3)", "all 3 layer groups", "nothing to train"])])
def test_freezing_too_many_groups(learn: Learner, n: int, error: type[Exception],
                                  parts: list[str]) -> None:
    with refused(learn, error, *parts):
        learn.freeze_to(n)


def test_freezing_all_but_the_last_of_one(collab: Any) -> None:
    with refused(collab, ValueError, "only one", "learn.split"):
        collab.freeze()
    with refused(collab, IndexError, "freeze_to(2)", "1 layer group;"):
        collab.freeze_to(2)


def test_splitting_at_a_stranger(learn: Learner) -> None:
    groups = learn.layer_groups
    with refused(learn, ValueError, "Linear", "not a part of this model", "learn.model.layers"):
        learn.split(Linear(3, 1))
    assert learn.layer_groups is groups


def test_nothing_to_train_on(learn: Learner) -> None:
    learn.data.train_dl = []
    for fit in (learn.fit, learn.fit_one_cycle, lambda n: learn.lr_find()):
        with refused(learn, ValueError, "training loader has no batch", "lower bs"):
            fit(1)


# ------------------------------------------------------------------------------------- devices


def test_devices_that_are_mixed() -> None:
    there = tensor([1., 2.], device="fakecuda")
    for do in (lambda a, b: a + b, lambda a, b: b * a, lambda a, b: a @ b):
        with pytest.raises(DeviceError, match=r"(add|mul|matmul).*cpu and fakecuda.*tensor.to"):
            do(tensor([1., 2.], device="cpu"), there)


def test_a_device_that_is_unknown() -> None:
    with pytest.raises(DeviceError, match=r"unknown device 'gpu'; known devices: cpu, cuda"):
        ratings_data(device="gpu")


# ----------------------------------------------------------------------------------- checkpoints


def test_a_checkpoint_that_is_missing(learn: Learner, tmp_path: Path) -> None:
    with refused(learn, FileNotFoundError, "best.safetensors", "models holds good"):
        learn.load("best")
    learn.model_dir = "elsewhere"
    with refused(learn, FileNotFoundError, "elsewhere holds none"):
        learn.load("good")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("share", [0, 1e-9, .003, .01, .05, .3, .7, .99, "all but one byte",
                                   "one byte more"])
def test_a_checkpoint_that_was_cut_short(learn: Learner, share: Any) -> None:
    path = Path(learn.path, "models", "good.safetensors")
    content = path.read_bytes()
    lengths = {"all but one byte": content[:-1], "one byte more": content + b"\0"}
    part = lengths[share] if share in lengths else content[:int(np.ceil(share * len(content)))]
    path.write_bytes(part)
    with refused(learn, CheckpointError, "good.safetensors is not a whole checkpoint",
                 "cut short", "learn.save"):
        learn.load("good")


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, w=np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize("content", [
    b"", b"epoch,train_loss\n0,1.5\n" * 20, npz(), pickle.dumps({"model": np.zeros(9)}),
    b"\x08" + b"\0" * 7 + b"{\"a\": 1}", b"\xff" * 64, b"\x02" + b"\0" * 7 + b"[]"],
    ids=["empty", "text", "npz", "pickle", "odd header", "huge header", "list"])
def test_a_file_that_is_no_checkpoint(learn: Learner, content: bytes) -> None:
    Path(learn.path, "models", "good.safetensors").write_bytes(content)
    with refused(learn, CheckpointError, "good.safetensors is not a whole checkpoint",
                 "something else wrote it", "learn.save"):
        learn.load("good")


def test_nothing_in_a_file_is_run(learn: Learner, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "sprung",)
    Path(learn.path, "models", "trap.safetensors").write_bytes(pickle.dumps(Trap()))
    with refused(learn, CheckpointError, "trap.safetensors"):
        learn.load("trap")
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_of_another_shape(tmp_path: Path) -> None:
    small = collab_learner(ratings_data(), 2, path=tmp_path)
    small.save("small")
    for other, parts in (
            (collab_learner(ratings_data(), 3), ["of another shape: u_weight.weight (5, 2) where "
                                                 "the model has (5, 3)"]),
            (collab_learner(ratings_data(), use_nn=True, layers=[4]),
             ["missing: embeds.0.weight", "unexpected: i_bias.weight"])):
        other.path = tmp_path
        fit_quietly(other)
        with refused(other, StateDictError, "do not fit", "Build the model as it was", *parts):
            other.load("small")


def test_an_optimizer_state_of_other_groups(learn: Learner) -> None:
    learn.split([]).save("x", with_opt=False)
    fit_quietly(learn)
    with pytest.warns(UserWarning, match="left out"), \
            refused(learn, ValueError, "good.safetensors", "other layer groups", "with_opt=False"):
        learn.load("good", with_opt=True)


def test_a_folder_that_cannot_be_written(learn: Learner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("I am a file")
    learn.model_dir = "file/models"
    with refused(learn, OSError, "cannot write", "file/models/mine.safetensors",
                 "learn.path = ..., or learn.model_dir = ..."):
        learn.save("mine")
    learn.model_dir = "models"
    (tmp_path / "models" / "folder.safetensors").mkdir()
    with refused(learn, OSError, "cannot write", "learn.model_dir"):
        learn.save("folder")
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == [
        "folder.safetensors", "good.safetensors"]


# ------------------------------------------------------------------------------ training itself


def test_a_misspelt_event() -> None:
    with pytest.raises(UnknownEventError, match=r"Late.on_epoch_ended .*mean on_epoch_end\?"):
        class Late(Callback):
            def on_epoch_ended(self, **state: Any) -> None: ...


def test_a_second_backward() -> None:
    w = tensor([2.], requires_grad=True)
    loss = (w * w).sum()
    loss.backward()
    grad = host(w.grad).copy()
    with pytest.raises(GraphReleasedError, match=r"released by an earlier backward.*retain_graph"):
        loss.backward()
    np.testing.assert_array_equal(host(w.grad), grad)


def test_a_loss_that_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    learn = line_learner(4, callbacks=[TerminateOnNaNCallback()])
    weights: list[bytes] = []

    def hear(event: str, state: dict[str, Any]) -> Any:
        if event == "batch_begin" and (state["epoch"], state["num_batch"]) == (1, 3):
            weights.append(learn.model.weight.numpy().tobytes())
            return {"last_input": state["last_input"] * float("nan")}
        return None
    learn.callbacks.append(Spy(hear))
    fit_quietly(learn, 3, .01)
    assert re.search(r"\(1/3\): the loss is nan, training ends.*lr_find", capsys.readouterr().out)
    assert learn.model.weight.numpy().tobytes() == weights[0]
    assert learn.recorder.nb_batches == [4, 4]


def test_a_loss_without_the_model_in_it(learn: Learner) -> None:
    learn.loss_func = lambda output, y: Tensor(output.data.mean())
    before = {k: v for k, v in frozen_copy(learn).items() if k.startswith("opt") or "run" not in k}
    with pytest.raises(RuntimeError, match="does not depend on one that requires a gradient"):
        fit_quietly(learn, 1, 1e-2)
    after = frozen_copy(learn)
    assert {k for k in before if after[k] != before[k]} <= {
        f"{i}.num_batches_tracked" for i in (2, 5)}


def test_an_unknown_name_in_a_notebook() -> None:
    import minifast.collab
    with pytest.raises(AttributeError, match=r"module 'minifast.collab' has no attribute 'torch'"):
        _ = minifast.collab.torch
