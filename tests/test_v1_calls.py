"""Calls of fastai v1 whose functions, arguments or attributes the core does not have."""
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from host import host
from tiny import fit_quietly, line_learner

from minifast import tensor
from minifast.basics import (
    F,
    FloatTensor,
    Learner,
    LongTensor,
    MixUpCallback,
    OneCycleScheduler,
    clip_grad,
    fit_fc,
    lr_find,
    mixup,
    one_cycle_scheduler,
)
from minifast.data import ArrayDataset, DataBunch, DatasetType
from minifast.nn import Linear, check_y_range
from minifast.tabular import (
    FloatList,
    Normalize,
    TabularDataBunch,
    TabularList,
    tabular_learner,
)
from minifast.vision import Image, ImageDataBunch, flip_lr, simple_cnn

# ---------------------------------------------------------------- functions of a learner


def test_functions_do_what_the_methods_do() -> None:
    one, other = line_learner(), line_learner()
    lr_find(one, start_lr=1e-4, end_lr=1e-1, num_it=5)
    other.lr_find(start_lr=1e-4, end_lr=1e-1, num_it=5)
    assert one.recorder.lrs == other.recorder.lrs
    with one.no_logging(), other.no_logging():
        fit_fc(one, 2, 1e-2)
        other.fit_fc(2, 1e-2)
    np.testing.assert_array_equal(host(one.model.weight), host(other.model.weight))
    assert mixup(one, alpha=.3) is one
    assert one.callback_fns[-1].keywords["alpha"] == .3
    assert one.callback_fns[-1].func is MixUpCallback
    assert clip_grad(one, .5) is one


def test_a_one_cycle_scheduler_of_all_fits() -> None:
    learn = line_learner(callback_fns=[one_cycle_scheduler(1e-2, pct_start=.5)])
    fit_quietly(learn, 2)
    cycle = line_learner()
    with cycle.no_logging():
        cycle.fit(2, callbacks=[OneCycleScheduler(cycle, 1e-2, pct_start=.5)])
    assert learn.recorder.lrs == cycle.recorder.lrs


# ---------------------------------------------------------------- arguments


def images(n: int = 24) -> np.ndarray:
    return np.random.default_rng(0).random((n, 8, 8, 1), np.float32)


def classifier(**kwargs: Any) -> Learner:
    data = ImageDataBunch.from_arrays(images(), list("ab") * 12, seed=0, bs=8, **kwargs)
    return Learner(data, simple_cnn((1, 4, 2)), silent=True)


def test_a_warning_of_load_names_the_line_that_calls_it(tmp_path: Path) -> None:
    learn = line_learner(path=tmp_path)
    fit_quietly(learn, 1, 1e-2)
    learn.save("whole")
    learn.model.bias.requires_grad_(False)
    learn.create_opt(1e-2)
    with pytest.warns(UserWarning, match="optimizer state left out") as caught:
        learn.load("whole", purge=False)
    assert caught[0].filename == __file__


def test_load_takes_v1s_arguments(tmp_path: Path) -> None:
    learn = line_learner()
    learn.path = tmp_path
    learn.save("one")
    device = learn.data.device
    assert learn.load("one", purge=False, remove_module=True) is learn
    assert learn.load("one", strict=True, device=device) is learn
    with pytest.raises(ValueError, match=r"load\(device='elsewhere'\).*learn.to\('elsewhere'\)"):
        learn.load("one", device="elsewhere")


def test_get_preds_takes_a_progress_bar() -> None:
    learn = line_learner()
    for found, expected in zip(learn.get_preds(pbar=object(), ordered=True), learn.get_preds(),
                               strict=True):
        np.testing.assert_array_equal(host(found), host(expected))


def test_predict_takes_v1s_arguments() -> None:
    learn, image = classifier(), images()[0]
    plain = learn.predict(image)
    item, *others = learn.predict(image, return_x=True, batch_first=True)
    assert item is image
    assert others[0] == plain[0]
    np.testing.assert_array_equal(host(others[2]), host(plain[2]))
    assert len(learn.predict(image, with_dropout=True)) == 3


def test_a_predicted_class_has_v1s_attributes() -> None:
    named, number, probabilities = classifier().predict(images()[0])
    assert named == named.obj == str(named) == ["a", "b"][int(number)]
    assert named.data is number
    assert int(host(probabilities).argmax()) == int(number)


def rows_learner() -> Learner:
    """A learner on rows in arrays, whose loaders are DataLoaders."""
    x = np.random.default_rng(0).random((16, 2), np.float32)
    ds = ArrayDataset(x, x[:, 0])
    return Learner(DataBunch.create(ds, ds, bs=4), Linear(2, 1, seed=0))


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"size": rng.random(40), "price": rng.random(40), "rooms": [1, 2] * 20})


@pytest.mark.parametrize(("target", "kind", "chosen"), [
    ("price", float, {"label_cls": FloatList}), ("rooms", int, {})])
def test_a_predicted_number_has_v1s_attributes(target: str, kind: type, chosen: Any) -> None:
    data = TabularDataBunch.from_df(".", table(), target, range(30, 40), Normalize(), [],
                                    ["size"], bs=10, seed=0, **chosen)
    found, target_, _ = tabular_learner(data, [4], seed=0).predict(table().iloc[0])
    assert isinstance(found, kind)
    assert type(found.obj) is kind
    assert found.obj == found
    assert found.data is target_
    assert data.train_ds.classes == data.classes
    assert data.train_ds.c == data.c


def test_the_range_of_outputs_may_be_a_tensor() -> None:
    """As in v1's notebook on sales, ``y_range = tensor([0, max_log_y])``."""
    data = TabularDataBunch.from_df(".", table(), "price", range(30, 40), Normalize(), [],
                                    ["size"], bs=10, seed=0)
    learners = [tabular_learner(data, [4], y_range=y_range, seed=0)
                for y_range in ([0, 2.5], tensor([0, 2.5]))]
    for learn in learners:
        fit_quietly(learn, 1)
    losses = [float(learn.recorder.losses[-1]) for learn in learners]
    assert np.isfinite(losses[0])
    assert check_y_range(tensor([1, 5])) == (1., 5.)
    assert type(learners[1].model.y_range[1]) is float


# ---------------------------------------------------------------- attributes and names


def test_small_names_of_torch_and_v1(tmp_path: Path) -> None:
    assert host(FloatTensor([1, 2])).dtype == np.float32
    assert host(LongTensor([1., 2.])).dtype == np.int64
    (tmp_path / "b").touch()
    (tmp_path / "a").mkdir()
    assert tmp_path.ls() == [tmp_path / "a", tmp_path / "b"]  # type: ignore[attr-defined]
    dl = rows_learner().data.train_dl
    assert (dl.batch_size, dl.num_workers) == (dl.bs, 0)
    dl.batch_size = 2
    assert dl.bs == 2
    scale = Normalize(cont_names=["size"])
    scale(frame := table())
    assert scale.means == {"size": pytest.approx(table()["size"].mean())}
    assert scale.stds == {"size": pytest.approx(table()["size"].std())}
    assert frame["size"].mean() == pytest.approx(0, abs=1e-9)
    assert repr(flip_lr(.5, use_on_y=False)) == repr(flip_lr(.5))


@pytest.mark.cpu_only("about error messages")
@pytest.mark.parametrize(("call", "message"), [
    (lambda learn: learn.opt.param_groups, r"write opt.groups .* opt.hypers"),
    (lambda learn: learn.opt.opt, "learn.opt itself"),
    (lambda learn: learn.data.train_ds.classes, "data.classes"),
    (lambda learn: learn.data.train_ds.inner_df, "ds.x and ds.y"),
    (lambda learn: learn.data.train_dl.dl, "the loader itself"),
    (lambda learn: learn.data.label_list, "data.train_ds"),
    (lambda learn: learn.data.nonsense, "'DataBunch' object has no attribute 'nonsense'$"),
    (lambda learn: F.conv2d, r"F has no conv2d, only relu, .*layers in nn"),
    (lambda learn: tensor([1.]).clamp(0, 1), r"write x.clip\(low, high\)"),
    (lambda learn: tensor([1.]).matmul, "write x @ y"),
    (lambda learn: TabularList.from_df(table()).split_subsets, "split_by_rand_pct.*databunch"),
    (lambda learn: TabularList.from_df(table()).nonsense, "a TabularList has no 'nonsense'$")])
def test_absent_attributes_say_what_to_write(call: Any, message: str) -> None:
    learn = rows_learner()
    fit_quietly(learn, 1)
    with pytest.raises(AttributeError, match=message):
        call(learn)


def test_tta_of_a_table_is_refused() -> None:
    data = TabularDataBunch.from_df(".", table(), "rooms", range(30, 40), Normalize(), [],
                                    ["size"], bs=10, seed=0)
    with pytest.raises(TypeError, match=r"TTA changes images .* got a DataLoader of a Tabular"):
        tabular_learner(data, [4], seed=0).TTA()


# ---------------------------------------------------------------- rows of images


@pytest.mark.parametrize("tfms", [None, ([flip_lr()], [])])
def test_rows_of_images_are_images_and_classes(tfms: Any) -> None:
    learn = classifier(valid_idx=range(16, 24), ds_tfms=tfms)
    data = learn.data.normalize()
    assert data.train_ds.classes == data.valid_ds.classes == ["a", "b"]
    assert data.train_ds.c == 2
    for i in (0, 5, -1, np.int64(3)):
        image, label = data.train_ds[i]
        assert isinstance(image, Image)
        expected = images()[:16][i, :, :, 0]
        np.testing.assert_allclose(host(image.px)[0], expected[:, ::-1] if tfms else expected,
                                   atol=1e-6)  # normalised and back
        assert label == "ab"[i % 2]
    with pytest.raises(IndexError):
        data.train_ds[16]
    assert data.fix_ds[0][1] == "a"
    assert len(data.train_ds[:4][0]) == 4


def test_a_test_image_has_no_class() -> None:
    data = classifier(test=images(3)).data
    assert data.test_ds[2][1] is None
    assert data.one_batch(DatasetType.Test)[0].shape == (3, 1, 8, 8)


def test_rows_on_another_device_know_their_classes() -> None:
    data = classifier().data.normalize()
    moved = data.train_ds.to(data.device)
    assert moved.classes == ["a", "b"]
    assert moved.stats is data.stats
