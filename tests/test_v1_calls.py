"""Calls of fastai v1 whose functions, arguments or attributes the core does not have."""
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host import host
from tiny import fit_quietly, line_learner

from minifast.basics import (
    Learner,
    MixUpCallback,
    OneCycleScheduler,
    clip_grad,
    fit_fc,
    lr_find,
    mixup,
    one_cycle_scheduler,
)
from minifast.data import DatasetType
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
