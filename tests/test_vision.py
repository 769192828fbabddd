"""Images: data from arrays and folders, bodies, heads and learners."""
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from host import host
from PIL import Image
from sklearn.datasets import load_digits
from tiny import fit_quietly

import minifast
from minifast import ShapeError, Tensor
from minifast.data import ArrayDataset, DataBunch, DatasetType, random_split
from minifast.metrics import accuracy
from minifast.nn import (
    BatchNorm,
    Dropout,
    Flatten,
    Linear,
    Module,
    ReLU,
    Sequential,
    StateDictError,
)
from minifast.train import Learner
from minifast.vision import (
    AdaptiveAvgPool2d,
    Conv2d,
    ImageDataBunch,
    MaxPool2d,
    UnreadableImageError,
    apply_init,
    cnn_learner,
    create_body,
    create_head,
    load_body,
    num_features_model,
    resnet,
    resnet10,
    resnet20,
    simple_cnn,
)
from minifast.vision.files import read_image

mpl.use("Agg")
Array = np.ndarray
ROUNDING = {"rtol": 1e-5, "atol": 1e-6}


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def colours(n: int = 16, **kwargs: Any) -> ImageDataBunch:
    """Return colour noise of 8 x 8 pixels in three classes."""
    return ImageDataBunch.from_arrays(noise(n, 8, 8, 3), [f"c{i % 3}" for i in range(n)],
                                      **{"seed": 1, "bs": 4, **kwargs})


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


# -------------------------------------------------------------------------------------- from arrays

@pytest.mark.parametrize(("shape", "channels"), [((10, 4, 6), 1), ((10, 4, 6, 1), 1),
                                                 ((10, 4, 6, 3), 3)], ids=str)
def test_bytes_are_scaled_to_0_to_1_with_channels_first(shape: Any, channels: int, device: str
                                                      ) -> None:
    x = noise(*shape)
    data = ImageDataBunch.from_arrays(x, np.arange(10) % 2, valid_pct=.3, seed=5, bs=2)
    train, valid = random_split(10, .3, seed=5)
    expected = np.moveaxis(x.reshape(10, 4, 6, channels), -1, 1).astype(np.float32) / 255
    for ds, rows in ((data.train_ds, train), (data.valid_ds, valid)):
        np.testing.assert_array_equal(host(ds.x), expected[rows])
        np.testing.assert_array_equal(host(ds.y), rows % 2)
    xb, yb = data.one_batch()
    assert (xb.device, xb.dtype, xb.shape) == (device, np.float32, (2, channels, 4, 6))
    assert (yb.device, yb.dtype, yb.shape) == (device, np.int64, (2,))
    assert data.image_shape == (channels, 4, 6)


def test_floats_are_kept_and_the_callers_array_is_not_changed() -> None:
    for dtype in (np.float32, np.float64):
        x = np.random.default_rng(0).normal(3, 9, (6, 4, 4)).astype(dtype)
        before = x.copy()
        data = ImageDataBunch.from_arrays(x, [0, 1] * 3, valid_pct=0, bs=2)
        np.testing.assert_array_equal(host(data.train_ds.x), x[:, None].astype(np.float32))
        data.normalize()
        np.testing.assert_array_equal(x, before)


def test_lists_of_arrays_tensors_or_pillow_images() -> None:
    x = noise(4, 5, 6, 3)
    forms: list[Any] = [list(x), tuple(x), [Image.fromarray(a) for a in x],
                        [Tensor(a) for a in x], [x[0], x[1] / 255, *x[2:]]]
    objects = np.empty(4, object)
    objects[:] = list(x)
    for form in [*forms, objects]:
        data = ImageDataBunch.from_arrays(form, "abab", valid_pct=0, bs=2)
        np.testing.assert_array_equal(host(data.train_ds.x),
                                      x.transpose(0, 3, 1, 2).astype(np.float32) / 255)


@pytest.mark.parametrize(("labels", "classes"), [
    (["pear", "apple", "fig", "apple"], ["apple", "fig", "pear"]),
    (np.array([30, 10, 20, 10]), [10, 20, 30]),
    (np.array([True, False, True, True]), [False, True]),
    ([(1, "a"), (0, "b"), (1, "a"), (0, "a")], [(0, "a"), (0, "b"), (1, "a")]),
    ([np.int64(2), np.int64(1), 2, 1], [1, 2])], ids=str)
def test_labels_of_any_type_become_class_numbers(labels: Any, classes: list[Any]) -> None:
    data = ImageDataBunch.from_arrays(noise(4, 2, 2), labels, valid_pct=0, bs=2)
    assert data.classes == classes
    assert [type(c) for c in data.classes] == [type(c) for c in classes]
    assert data.c == len(classes)
    assert host(data.train_ds.y).tolist() == [classes.index(
        tuple(label) if isinstance(label, list) else label) for label in list(labels)]
    assert repr(data.loss_func) == "FlattenedLoss of CrossEntropyLoss()"


def test_classes_come_from_all_labels_or_are_given() -> None:
    x, y = noise(4, 2, 2), "abab"
    data = ImageDataBunch.from_arrays(x, y, valid=(x[:2], "ca"), bs=2)
    assert (data.classes, host(data.valid_ds.y).tolist()) == (["a", "b", "c"], [2, 0])
    data = ImageDataBunch.from_arrays(x, y, classes=["z", "b", "a"], valid_pct=0, bs=2)
    assert (data.classes, data.c, host(data.train_ds.y).tolist()) == (["z", "b", "a"], 3,
                                                                      [2, 1, 2, 1])


def test_given_validation_and_test_images() -> None:
    x, held, unseen = noise(6, 3, 3), noise(4, 3, 3, seed=1), noise(5, 3, 3, seed=2)
    data = ImageDataBunch.from_arrays(x, [0, 1] * 3, valid=(held, [1, 1, 0, 1]), test=unseen, bs=3,
                                      val_bs=2, seed=0, path="here")
    assert (len(data.train_ds), len(data.valid_ds)) == (6, 4)
    np.testing.assert_array_equal(host(data.valid_ds.x)[:, 0] * 255, held)
    xb = data.one_batch(DatasetType.Test)[0]
    np.testing.assert_array_equal(host(xb)[:, 0] * 255, unseen[:2])
    assert (data.batch_size, len(data.valid_dl), data.path) == (3, 2, Path("here"))


def test_the_seed_decides_the_order_of_batches() -> None:
    """With a given validation set, nothing else is random."""
    x, y = noise(8, 2, 2), [0, 1] * 4

    def first(seed: int, **kwargs: Any) -> Array:
        return host(ImageDataBunch.from_arrays(x, y, seed=seed, bs=4, **kwargs).one_batch()[0])
    for kwargs in ({}, {"valid": (x, y)}):
        np.testing.assert_array_equal(first(3, **kwargs), first(3, **kwargs))
        assert (first(3, **kwargs) != first(4, **kwargs)).any()


def test_the_bunch_moves_between_devices() -> None:
    data = colours(test=noise(2, 8, 8, 3)).normalize()
    for name in ("fakecuda", "cpu"):
        assert data.to(name) is data
        for kind in DatasetType:
            xb, yb = data.one_batch(kind)
            assert (xb.device, xb.dtype, yb.device) == (name, np.float32, name)
        assert data.one_item(noise(8, 8, 3)).device == name


# ------------------------------------------------------------------------------------ normalisation

def test_normalize_with_the_statistics_of_the_training_rows() -> None:
    x = noise(60, 5, 4, 3)
    x[..., 1] //= 3
    data = ImageDataBunch.from_arrays(x, [0, 1] * 30, seed=2, bs=8, test=x[:7])
    train, valid = random_split(60, .2, seed=2)
    wide = x.astype(np.float64) / 255
    mean, std = wide[train].mean((0, 1, 2)), wide[train].std((0, 1, 2))
    assert data.normalize() is data
    for found, expected in zip(data.stats, (mean, std), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    for ds, rows in ((data.train_ds, train), (data.valid_ds, valid), (data.fix_dl.dataset, train),
                     (data.test_dl.dataset, np.arange(7))):
        expected = ((wide[rows] - mean) / std).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(host(ds.x), expected, **ROUNDING)
        assert host(ds.x).dtype == np.float32


def test_the_statistics_of_many_images_are_summed_in_float64() -> None:
    """The sum over 10 000 images of 64 pixels near 1000 would lose digits in float32."""
    x = np.random.default_rng(0).normal(1000, 1, (10_000, 8, 8)).astype(np.float32)
    data = ImageDataBunch.from_arrays(x, np.arange(10_000) % 2, valid_pct=0).normalize()
    np.testing.assert_allclose(data.stats, [[x.mean(dtype=np.float64)], [x.std(dtype=np.float64)]],
                               rtol=1e-6)


def test_normalize_with_given_statistics() -> None:
    x = noise(6, 4, 4, 3)
    mean, std = [.5, .4, .3], [.1, .2, .3]
    data = ImageDataBunch.from_arrays(x, [0, 1] * 3, valid_pct=0, bs=2).normalize((mean, std))
    expected = (x / 255 - mean) / std
    np.testing.assert_allclose(host(data.train_ds.x), expected.transpose(0, 3, 1, 2), rtol=1e-5,
                               atol=2e-6)
    np.testing.assert_allclose(data.denormalized(data.train_ds.x),
                               x.transpose(0, 3, 1, 2) / 255, **ROUNDING)
    grey = ImageDataBunch.from_arrays(x[..., 0], [0, 1] * 3, valid_pct=0, bs=2)
    assert [s.tolist() for s in grey.normalize((.5, .25)).stats] == [[.5], [.25]]


def test_a_refused_normalize_changes_nothing() -> None:
    data = colours()
    x = host(data.train_ds.x).copy()
    with pytest.raises(ShapeError, match=r"have 3 channels; stats are \(mean, std\) with 3 "
                                         "numbers each, got 1 and 3"):
        data.normalize(([.5], [.5, .5, .5]))
    with pytest.raises(ValueError, match=r"above 0, got \[1.0, 0.0, 1.0\]"):
        data.normalize(([0, 0, 0], [1, 0, 1]))
    flat = ImageDataBunch.from_arrays(np.ones((4, 2, 2)), "abab", valid_pct=0, bs=2)
    with pytest.raises(ValueError, match=r"above 0, got \[0.0\]: a channel whose pixels"):
        flat.normalize()
    assert data.stats is flat.stats is None
    np.testing.assert_array_equal(host(data.train_ds.x), x)
    once = host(data.normalize().train_ds.x).copy()
    with pytest.raises(ValueError, match=r"already normalised, with mean \[0\.\d+, .* called once"):
        data.normalize()
    np.testing.assert_array_equal(host(data.train_ds.x), once)


# ------------------------------------------------------------------------- single images and plots

def test_one_item_is_prepared_like_the_training_rows(tmp_path: Path, device: str) -> None:
    x = noise(6, 4, 5, 3)
    data = ImageDataBunch.from_arrays(x, [0, 1] * 3, valid_pct=0, bs=2).normalize()
    row = host(data.fix_dl.dataset.x)[2:3]
    Image.fromarray(x[2]).save(tmp_path / "a.png")
    for item in (x[2], x[2].astype(np.float32) / np.float32(255), x[2].astype(np.float64) / 255,
                 tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(x[2])):
        one = data.one_item(item)
        assert (one.device, one.dtype) == (device, np.float32)
        np.testing.assert_allclose(host(one), row, rtol=1e-6, atol=1e-7)
    assert data.one_item(x[2][:3]).shape == (1, 3, 3, 5)
    assert data.one_item(Image.fromarray(noise(9, 9))).shape == (1, 3, 4, 5)


def test_one_item_with_another_number_of_channels_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"images of 3 channels, \(3, 8, 8\); got an image of "
                                         r"shape \(8, 8\) with 1"):
        colours().one_item(noise(8, 8))
    grey = ImageDataBunch.from_arrays(noise(4, 4, 4), "abab", valid_pct=0, bs=2)
    assert grey.one_item(noise(4, 4)).shape == (1, 1, 4, 4)
    assert grey.one_item(noise(4, 4, 1)).shape == (1, 1, 4, 4)
    with pytest.raises(ShapeError, match=r"images of 1 channels.* with 3"):
        grey.one_item(noise(4, 4, 3))
    with pytest.raises(FileNotFoundError, match=r"no image file nowhere\.png"):
        grey.one_item("nowhere.png")


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
def test_show_batch_draws_images_and_classes(colour: bool, normalized: bool) -> None:
    x = noise(12, 4, 4, *[3] * colour)
    names = [f"n{i:02}" for i in range(12)]  # every image has its own class
    data = ImageDataBunch.from_arrays(x, names, valid_pct=0, bs=10, seed=3)
    if normalized:
        data.normalize()
    data.show_batch()
    figure = plt.gcf()
    assert len(figure.axes) == 9
    assert len({axes.get_title() for axes in figure.axes}) == 9
    for axes in figure.axes:
        (shown,) = axes.images
        np.testing.assert_allclose(shown.get_array(), x[names.index(axes.get_title())] / 255,
                                   atol=1e-6)
        assert colour or shown.get_clim() == pytest.approx((0, 1), abs=1e-6)
        assert not axes.axison
    assert shown.get_cmap().name == "gray" or colour


def test_show_batch_of_validation_rows_with_large_values() -> None:
    x = np.random.default_rng(0).normal(0, 50, (6, 4, 4, 3))
    data = ImageDataBunch.from_arrays(x, "aabbab", valid=(x[:3], "aba"), bs=2)
    data.show_batch(2, DatasetType.Valid, figsize=(3, 2))
    figure = plt.gcf()
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "", ""][:len(figure.axes)]
    assert figure.get_size_inches().tolist() == [3, 2]
    low, high = x[:2].min(), x[:2].max()  # val_bs is bs: a batch has two rows
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), (x[1] - low) / (high - low),
                               atol=1e-6)
    with pytest.raises(ValueError, match="got rows=0"):
        data.show_batch(0)


# ------------------------------------------------------------------------------------ wrong arrays

X = noise(4, 8, 8, 3)


@pytest.mark.parametrize(("images", "labels", "kwargs", "kind", "message"), [
    ([X[0], X[1], X[2, :6], X[3, :5]], "abab", {}, ShapeError,
     r"image 1 has shape \(8, 8, 3\) and image 2 has \(6, 8, 3\)"),
    ([X[0], X[1, :, :, 0]], "ab", {}, ShapeError, r"image 1 has \(8, 8\)"),
    (X, "aaaa", {}, ValueError, r"at least two different classes; got \['a'\]"),
    (X, "aaaa", {"classes": ["a", "a"]}, ValueError, r"two different classes; got \['a', 'a'\]"),
    (X, [0, 1, 7, 1], {"classes": [0, 1, 2]}, ValueError,
     r"label 7 of image 2 is not one of the classes \[0, 1, 2\]"),
    (X, [0, 1, 0, 1], {"classes": ["cat", "dog"]}, ValueError,
     r"label 0 of image 0 is not one of the classes \['cat', 'dog'\]; .*\[classes\[i\] for i"),
    (X, "abab", {"valid": (X, "abca"), "classes": "ab"}, ValueError, "label 'c' of image 2"),
    (X, "aba", {}, ShapeError, r"one label, got 4 images and labels of shape \(\)"),
    (X, [0, 1, 0], {}, ShapeError, r"got 4 images and labels of shape \(3,\)"),
    (X, np.eye(4), {}, ShapeError, r"got 4 images and labels of shape \(4, 4\)"),
    (X, ["a", None, "b", "a"], {}, ValueError, r"1 labels are missing, the first \(None\) is that "
                                               "of image 1"),
    (X, [0., np.nan, 1., np.nan], {}, ValueError, r"2 labels are missing, the first \(nan\)"),
    (X, ["a", 1, "b", 2], {}, TypeError, "labels of types int, str cannot be sorted"),
    (X.astype(int), "abab", {}, TypeError, "pixels are uint8 .0 to 255. or floats, got int64"),
    (X > 3, "abab", {}, TypeError, "got bool"),
    (X[0, :, :, 0], "abababab", {}, ShapeError, r"got \(8, 8\); use images\[None\]"),
    (X.transpose(0, 3, 1, 2), "abab", {}, ShapeError, r"got \(4, 3, 8, 8\); move the channels to "
                                                      r"the end with \.transpose\(0, 2, 3, 1\)"),
    (np.zeros((2, 4, 4, 4)), "ab", {}, ShapeError, r"got \(2, 4, 4, 4\); leave out a fourth"),
    (np.zeros((0, 8, 8)), [], {}, ShapeError, r"images of shape \(0,\) have no pixels"),
    ([], [], {}, ShapeError, "images of shape .* have no pixels"),
    (np.zeros((2, 0, 8)), "ab", {}, ShapeError, r"images of shape \(2, 0, 8, 1\) have no pixels"),
    ([X[0] / 1., X[1] / 1., np.full((8, 8, 3), np.inf), X[3] * np.nan], "abab", {}, ValueError,
     "2 images have pixels that are NaN or infinite, the first is image 2"),
    (X, "abab", {"valid": (X[:, :4], "abab")}, ShapeError,
     r"the training set has shape \(3, 8, 8\) and the validation set has \(3, 4, 8\)"),
    (X, "abab", {"test": X[..., 0]}, ShapeError, r"the test set has \(1, 8, 8\)"),
    (X, "abab", {"valid": X}, TypeError, r"valid is a pair \(images, labels\), got ndarray"),
    (X, "abab", {"valid": (X, "ab")}, ShapeError, "got 4 images and labels"),
    (X, "abab", {"valid_pct": 1}, ValueError, r"in \[0, 1\); got 1"),
    (X, "abab", {"bs": 64}, ValueError, "4 training rows are fewer than one batch of 64; pass"),
])
def test_wrong_arrays_and_labels(images: Any, labels: Any, kwargs: dict[str, Any],
                                 kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as raised:
        ImageDataBunch.from_arrays(images, labels, **{"valid_pct": 0, "bs": 2, **kwargs})
    assert type(raised.value) is kind


# --------------------------------------------------------------------------------------- folders

def save(folder: Path, *names: str, size: tuple[int, int] = (6, 4), seed: int = 0) -> Array:
    """Save colour noise under these names and return the pixels."""
    x = noise(len(names), *size, 3, seed=seed)
    for name, pixels in zip(names, x, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    return x


def test_a_folder_with_train_and_valid(tmp_path: Path) -> None:
    train = save(tmp_path, *[f"train/{c}/{i}.png" for c in ("cat", "dog") for i in range(3)])
    valid = save(tmp_path, "valid/dog/0.png", "valid/cat/z.PNG", seed=1)
    (tmp_path / "train/cat/labels.csv").write_text("not an image")
    (tmp_path / "train/cat/._0.png").write_bytes(b"a hidden file of macOS")
    (tmp_path / "train/empty").mkdir()
    data = ImageDataBunch.from_folder(tmp_path, bs=2)
    assert (data.classes, data.path) == (["cat", "dog"], tmp_path)
    np.testing.assert_array_equal(host(data.train_ds.x),
                                  train.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    assert host(data.train_ds.y).tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(host(data.valid_ds.x) * 255, valid[::-1].transpose(0, 3, 1, 2))
    assert host(data.valid_ds.y).tolist() == [0, 1]
    other = ImageDataBunch.from_folder(tmp_path, train="valid", valid="train", bs=2)
    assert (len(other.train_ds), len(other.valid_ds)) == (2, 6)


def test_a_folder_that_is_split_at_random(tmp_path: Path) -> None:
    x = save(tmp_path, *[f"{c}/{i}.png" for c in "ab" for i in range(5)])
    (tmp_path / "models").mkdir()
    data = ImageDataBunch.from_folder(tmp_path, valid_pct=.3, seed=7, bs=2)
    rows, held = random_split(10, .3, seed=7)
    assert data.classes == ["a", "b"]
    np.testing.assert_array_equal(host(data.train_ds.x) * 255, x[rows].transpose(0, 3, 1, 2))
    assert host(data.valid_ds.y).tolist() == (held // 5).tolist()


def test_resizing_and_grey(tmp_path: Path) -> None:
    x = save(tmp_path, *[f"{c}/{i}.png" for c in "ab" for i in range(2)])
    data = ImageDataBunch.from_folder(tmp_path, valid_pct=0, size=(3, 8), grey=True, bs=2)
    assert data.image_shape == (1, 3, 8)
    expected = [np.asarray(Image.fromarray(a).convert("L").resize((8, 3), Image.BILINEAR))
                for a in x]
    np.testing.assert_array_equal(host(data.train_ds.x)[:, 0] * 255, expected)
    assert ImageDataBunch.from_folder(tmp_path, valid_pct=0, size=5, bs=2).image_shape == (3, 5, 5)
    assert data.one_item(tmp_path / "a/0.png").shape == (1, 1, 3, 8)


def test_images_of_all_modes_are_read_as_colours(tmp_path: Path) -> None:
    rgb = Image.fromarray(noise(4, 4, 3))
    for i, mode in enumerate(("L", "RGB", "RGBA", "P", "1", "LA")):
        rgb.convert(mode).save(tmp_path / f"{i}.png")
        assert read_image(tmp_path / f"{i}.png").shape == (4, 4, 3)
        assert read_image(tmp_path / f"{i}.png", grey=True).dtype == np.uint8


def broken_folder(tmp_path: Path) -> list[Path]:
    save(tmp_path, *[f"train/{c}/{i}.png" for c in "ab" for i in range(2)],
         *[f"valid/{c}/0.png" for c in "ab"])
    cut = tmp_path / "train/a/cut.png"
    cut.write_bytes((tmp_path / "train/a/0.png").read_bytes()[:60])
    text = tmp_path / "valid/b/text.jpg"
    text.write_text("not an image")
    deep = tmp_path / "train/b/deep.png"
    Image.fromarray(np.full((6, 4), 40_000, np.uint16)).save(deep)
    return [cut, deep, text]


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    bad = broken_folder(tmp_path)
    for file in bad:
        with pytest.raises(UnreadableImageError, match=f"{re.escape(str(file))} cannot be read"):
            ImageDataBunch.from_folder(tmp_path, bs=2)
        file.unlink()
    assert len(ImageDataBunch.from_folder(tmp_path, bs=2).train_ds) == 4


def test_unreadable_images_are_skipped_with_one_warning(tmp_path: Path) -> None:
    names = ", ".join(map(str, broken_folder(tmp_path)))
    with pytest.warns(UserWarning, match="3 images cannot be read") as warned:
        data = ImageDataBunch.from_folder(tmp_path, skip_unreadable=True, bs=2)
    assert [str(w.message) for w in warned] == [
        f"3 images cannot be read and are left out: {names}"]
    assert warned[0].filename == __file__
    assert (len(data.train_ds), len(data.valid_ds)) == (4, 2)


def test_wrong_folders(tmp_path: Path) -> None:
    read = partial(ImageDataBunch.from_folder, tmp_path, bs=2)
    with pytest.raises(FileNotFoundError, match=r"no folder .*train; images are expected in train"):
        read()
    with pytest.raises(FileNotFoundError, match=r"no images in .*; it holds nothing"):
        read(valid_pct=0)
    save(tmp_path, "a/0.png", "a/1.png")
    with pytest.raises(ValueError, match=r"at least two different classes; got \['a'\]"):
        read(valid_pct=0)
    save(tmp_path, "b/0.png", size=(5, 4))
    with pytest.raises(ShapeError, match=r"a/1.png has shape \(6, 4, 3\) and .*b/0.png has "
                                         r"\(5, 4, 3\).*size="):
        read(valid_pct=0)
    for size in (0, (3, -1)):
        with pytest.raises(ValueError, match=f"got {re.escape(str(size))}"):
            read(valid_pct=0, size=size)
    save(tmp_path, "train/a/0.png", "train/b/0.png")
    (tmp_path / "valid/a").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"no images in .*valid: .*; it holds a"):
        read()
    (tmp_path / "valid/a/bad.png").write_text("text")
    with pytest.raises(ValueError, match=r"none of the image files in .*valid can be read"), \
            pytest.warns(UserWarning, match="1 images cannot be read"):
        read(skip_unreadable=True)


@pytest.mark.cpu_only("about an import")
def test_without_pillow_the_error_says_what_to_install(tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, "a/0.png", "b/0.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'minifast\[vision\]'"):
        ImageDataBunch.from_folder(tmp_path, valid_pct=0)
    assert colours().classes == ["c0", "c1", "c2"]  # arrays do not need it


# ------------------------------------------------------------------------------------------- body

def names_of(module: Module) -> list[str]:
    return [type(child).__name__ for child in module.children()]


def three_layers(n_in: int = 3, n_out: int = 10, seed: Any = None) -> Module:
    """Return a network without a pool."""
    return Sequential(Conv2d(n_in, 4, 3, seed=seed), ReLU(), Flatten())


def two_pools(n_in: int = 3, n_out: int = 10, seed: Any = None) -> Module:
    """Return a network whose last pool is inside a child."""
    return Sequential(Conv2d(n_in, 4, 3, padding=1, seed=seed), MaxPool2d(2), ReLU(),
                      Sequential(AdaptiveAvgPool2d(1), Flatten()), Linear(4, n_out, seed=seed))


@pytest.mark.parametrize(("arch", "cut", "kept"), [
    (resnet10, None, 5), (resnet20, None, 6), (resnet10, -1, 7), (resnet10, 4, 4),
    (resnet10, 8, 8), (partial(resnet, [1, 1], [4, 8]), None, 5), (two_pools, None, 3),
    (lambda n_in, n_out, seed: simple_cnn([n_in, 8, n_out], seed=seed), None, 2)])
def test_a_body_is_the_first_children(arch: Any, cut: int | None, kept: int) -> None:
    whole = arch(n_in=1, n_out=2, seed=3)
    body = create_body(arch, cut, n_in=1, seed=3)
    assert names_of(body) == names_of(whole)[:kept]
    state = whole.state_dict()
    for name, value in body.state_dict().items():
        np.testing.assert_array_equal(value, state[name])


def test_cut_may_be_a_function() -> None:
    body = create_body(resnet20, lambda net: Sequential(net[0], net[2]))
    assert names_of(body) == ["Conv2d", "ReLU"]
    with pytest.raises(TypeError, match="cut returns the body, a Module; it returned int"):
        create_body(resnet20, len)


@pytest.mark.parametrize(("cut", "message"), [
    (9, "cut=9 keeps more than there is: this network has 8 children, so cut is 1 to 8, or -7 to "
        "-1"),
    (0, "cut=0 keeps nothing: this network has 8 children"),
    (-8, "cut=-8 keeps nothing"), (-9, "cut=-9 keeps nothing")])
def test_a_wrong_cut(cut: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_body(resnet10, cut)


def test_a_network_without_a_pool_needs_a_cut() -> None:
    with pytest.raises(ValueError, match=r"none of the 3 children .* pooling layer.*; pass cut="):
        create_body(three_layers)
    assert names_of(create_body(three_layers, 2)) == ["Conv2d", "ReLU"]


def test_num_features_model() -> None:
    body = create_body(resnet10, n_in=1, seed=0)
    before = {name: value.tobytes() for name, value in body.state_dict().items()}
    assert num_features_model(body, 1, (8, 8)) == 64
    assert num_features_model(create_body(resnet20)) == 64
    assert num_features_model(create_body(resnet20, 4), 3, (5, 9)) == 16
    assert {name: value.tobytes() for name, value in body.state_dict().items()} == before
    assert body.training
    with pytest.raises(ShapeError, match=r"this one returned \(1, 10\) for an image of 3 x 8 x 8"):
        num_features_model(Sequential(AdaptiveAvgPool2d(1), Flatten(), Linear(3, 10)), 3, (8, 8))


# ------------------------------------------------------------------------------------------- head

def test_the_head_has_fastais_layers() -> None:
    """Compare with the head of a resnet34 for three classes in fastai 1.0.51."""
    assert repr(create_head(1024, 3)) == """\
Sequential(
  (0): AdaptiveConcatPool2d(
    (ap): AdaptiveAvgPool2d(output_size=1)
    (mp): AdaptiveMaxPool2d(output_size=1)
  )
  (1): Flatten()
  (2): BatchNorm1d(1024, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
  (3): Dropout(p=0.25)
  (4): Linear(in_features=1024, out_features=512, bias=True)
  (5): ReLU()
  (6): BatchNorm1d(512, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
  (7): Dropout(p=0.5)
  (8): Linear(in_features=512, out_features=3, bias=True)
)"""
    assert sum(p.numel() for p in create_head(1024, 3).parameters()) == 529_411


def test_the_options_of_a_head() -> None:
    head = create_head(8, 5, lin_ftrs=[7, 6], ps=.2, concat_pool=False, bn_final=True, seed=0)
    assert names_of(head) == ["AdaptiveAvgPool2d", "Flatten", *["BatchNorm1d", "Dropout", "Linear",
                              "ReLU"] * 2, "BatchNorm1d", "Dropout", "Linear", "BatchNorm1d"]
    assert [m.p for m in head if isinstance(m, Dropout)] == [.1, .1, .2]
    assert [m.weight.shape for m in head if isinstance(m, Linear)] == [(7, 8), (6, 7), (5, 6)]
    assert [m.momentum for m in head if isinstance(m, BatchNorm)] == [.1, .1, .1, .01]
    assert [m.p for m in create_head(8, 5, [7], [.3, .4]) if isinstance(m, Dropout)] == [.3, .4]
    assert names_of(create_head(8, 5, [], 0)) == ["AdaptiveConcatPool2d", "Flatten", "BatchNorm1d",
                                                  "Linear"]
    with pytest.raises(ValueError, match=r"3 dropouts \[0.1, 0.2, 0.3\] for 2 linear layers of "
                                         r"widths \[512, 5\]"):
        create_head(8, 5, ps=[.1, .2, .3])


def test_apply_init_skips_batch_norm_and_frozen_layers() -> None:
    net = Sequential(Conv2d(3, 64, 3, seed=0), *create_head(8, 5, [300], seed=1),
                     Linear(2, 2, seed=2).requires_grad_(False))
    net[3].weight.data.fill(7)
    frozen = net[-1].state_dict()
    apply_init(net, seed=5)
    for layer in (net[0], net[5], net[9]):
        fan_in = layer.weight.numel() // layer.weight.shape[0]
        assert host(layer.weight).std() == pytest.approx((2 / fan_in) ** .5, rel=.05)
        assert not host(layer.bias).any()
    assert (host(net[3].weight) == 7).all()
    for name, value in net[-1].state_dict().items():
        np.testing.assert_array_equal(value, frozen[name])


# ---------------------------------------------------------------------------------------- learner

def state_bytes(module: Any) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in module.state_dict().items()}


def sizes_of_groups(learn: Learner) -> list[int]:
    return [sum(p.numel() for p in group.parameters()) for group in learn.layer_groups]


def block(ni: int, nf: int, down: bool) -> int:
    """Count the parameters of two 3x3 convolutions, and of a 1x1 one where the shape changes."""
    return ni * nf * 9 + nf * nf * 9 + 4 * nf + (ni * nf + 2 * nf if down else 0)


def head_parameters(nf: int, nc: int) -> int:
    return 2 * nf + nf * 512 + 512 + 2 * 512 + 512 * nc + nc


def test_the_residual_networks_have_three_groups() -> None:
    learn = cnn_learner(colours(), resnet10, seed=0)
    stem = 3 * 32 * 9 + 2 * 32
    assert sizes_of_groups(learn) == [
        stem + 2 * block(32, 32, False), block(32, 64, True) + block(64, 64, False),
        head_parameters(128, 3)]
    leaves = [next(group.children()) for group in learn.layer_groups]
    assert leaves == [learn.model[0][0], learn.model[0][4][0].conv1, learn.model[1][0].ap]
    learn = cnn_learner(colours(), resnet20, seed=0)
    stem = 3 * 16 * 9 + 2 * 16
    assert sizes_of_groups(learn) == [
        stem + 3 * block(16, 16, False) + block(16, 32, True) + 2 * block(32, 32, False),
        block(32, 64, True) + 2 * block(64, 64, False), head_parameters(128, 3)]


def test_other_networks_have_two_groups_or_those_of_split_on() -> None:
    data = colours()
    body = 3 * 4 * 9 + 4
    assert sizes_of_groups(cnn_learner(data, two_pools)) == [body, head_parameters(8, 3)]
    short = cnn_learner(data, resnet10, cut=4)
    assert sizes_of_groups(short)[1:] == [head_parameters(64, 3)]
    assert len(short.layer_groups) == 2
    own = cnn_learner(data, resnet10, split_on=lambda model: [model[0][3], model[1][4]])
    assert sum(sizes_of_groups(own)) == sum(sizes_of_groups(cnn_learner(data, resnet10)))
    assert next(own.layer_groups[2].children()) is own.model[1][4]


def test_everything_is_trainable_without_pretrained_weights() -> None:
    learn = cnn_learner(colours(), resnet10, metrics=[accuracy], wd=.3, path="here", seed=2)
    assert all(p.requires_grad for p in learn.model.parameters())
    assert (learn.metrics, learn.wd, learn.path) == ([accuracy], .3, Path("here"))
    assert state_bytes(learn.model) == state_bytes(cnn_learner(colours(), resnet10, seed=2).model)
    body = create_body(resnet10, n_in=3, seed=2)
    assert state_bytes(learn.model[0]) == state_bytes(body)


def test_the_new_head_is_initialised_by_init() -> None:
    learn = cnn_learner(colours(), resnet10, seed=0)
    for i, fan_in in ((4, 128), (8, 512)):
        assert host(learn.model[1][i].weight).std() == pytest.approx((2 / fan_in) ** .5, rel=.05)
        assert not host(learn.model[1][i].bias).any()

    def threes(weight: Tensor, seed: Any = None) -> None:
        weight.data.fill(3)
    learn = cnn_learner(colours(), resnet10, init=threes, concat_pool=False, lin_ftrs=[7], ps=.1,
                        bn_final=True)
    assert [(host(m.weight) == 3).all() for m in learn.model[1] if isinstance(m, Linear)] == [True,
                                                                                              True]
    assert not any((host(m.weight) == 3).any() for m in learn.model[1] if isinstance(m, BatchNorm))
    assert names_of(learn.model[1])[-1] == "BatchNorm1d"
    untouched = cnn_learner(colours(), resnet10, init=None, seed=0)
    assert host(untouched.model[1][8].bias).any()


def test_a_custom_head() -> None:
    head = Sequential(AdaptiveAvgPool2d(1), Flatten(), Linear(64, 3, seed=0))
    learn = cnn_learner(colours(), resnet10, custom_head=head)
    assert learn.model[1] is head
    assert len(learn.layer_groups) == 3
    wrong = Sequential(AdaptiveAvgPool2d(1), Flatten(), Linear(64, 5, seed=0))
    before = state_bytes(wrong)
    with pytest.raises(ValueError, match=r"does not fit data\.c: for one image it returns "
                                         r"\(1, 5\), but data\.c=3 classes need \(1, 3\)"):
        cnn_learner(colours(), resnet10, custom_head=wrong)
    assert state_bytes(wrong) == before


def test_data_without_images_or_classes_are_refused() -> None:
    rows = DataBunch.create(ArrayDataset(np.zeros((8, 3), np.float32), np.arange(8) % 2), bs=4)
    with pytest.raises(ShapeError, match=r"batches of images .*, got shape \(4, 3\); make the data "
                                         "with ImageDataBunch"):
        cnn_learner(rows, resnet10)
    unnamed = DataBunch([(np.zeros((2, 3, 8, 8), np.float32), np.zeros(2, np.int64))])
    with pytest.raises(ValueError, match="number of classes of these data is unknown"):
        cnn_learner(unnamed, resnet10)


# ---------------------------------------------------------------------------- pretrained weights

Change = Callable[[Any], Any]


@pytest.fixture
def before(tmp_path: Path) -> Learner:
    """Return a learner with other classes that is trained a little and saved."""
    data = ImageDataBunch.from_arrays(noise(24, 8, 8, 3, seed=9), np.arange(24) % 5, seed=0,
                                      bs=8, path=tmp_path)
    learn = fit_quietly(cnn_learner(data, resnet10, seed=8), 2, 1e-2)
    learn.save("before")
    return learn


def checkpoint_of(learn: Learner) -> Path:
    return Path(learn.path) / "models/before"


@pytest.mark.parametrize("train_bn", [True, False])
def test_a_pretrained_body_equals_the_checkpoints_to_the_bit(before: Learner, train_bn: bool,
                                                         device: str) -> None:
    learn = cnn_learner(colours(), resnet10, pretrained=checkpoint_of(before), seed=1,
                        train_bn=train_bn)
    loaded = state_bytes(learn.model[0])
    assert loaded == state_bytes(before.model[0])
    assert learn.model[1][8].weight.shape == (3, 512)
    assert state_bytes(learn.model[1]) == state_bytes(cnn_learner(colours(), resnet10, seed=1)
                                                      .model[1])
    assert {p.device for p in learn.model.parameters()} == {device}
    fit_quietly(learn, 2, slice(1e-2))
    after = state_bytes(learn.model[0])
    moved = {name for name in loaded if loaded[name] != after[name]}
    norms = {f"{name}.{k}" for name, module in learn.model[0].named_modules()
             if isinstance(module, BatchNorm) for k in module.state_dict()}
    assert moved == (norms if train_bn else set())
    learn.unfreeze()
    after = state_bytes(fit_quietly(learn, 1, slice(1e-3, 1e-2)).model[0])
    assert all(after[name] != loaded[name] for name in loaded)


def test_pretrained_freezes_everything_but_the_head(before: Learner) -> None:
    learn = cnn_learner(colours(), resnet10, pretrained=str(checkpoint_of(before)))
    trainable = [sum(p.numel() for p in group.parameters() if p.requires_grad)
                 for group in learn.layer_groups]
    assert trainable == [2 * 32 * 5, 2 * 64 * 5, head_parameters(128, 3)]
    fixed = cnn_learner(colours(), resnet10, train_bn=False,
                        pretrained=f"{checkpoint_of(before)}.safetensors")
    assert [any(p.requires_grad for p in group.parameters()) for group in fixed.layer_groups] == [
        False, False, True]


def test_pretrained_weights_of_the_whole_network(tmp_path: Path) -> None:
    """Load the body from a learner of the architecture with another number of classes."""
    net = resnet10(n_in=3, n_out=7, seed=4)
    path = Learner(colours(path=tmp_path), net).save("plain", return_path=True)
    learn = cnn_learner(colours(), resnet10, pretrained=path)
    assert state_bytes(learn.model[0]) == state_bytes(net[:-3])


def test_a_checkpoint_of_another_body_is_refused(before: Learner, tmp_path: Path) -> None:
    file = checkpoint_of(before)
    body = create_body(partial(resnet, [3, 1], [32, 64]), seed=0)
    unchanged = state_bytes(body)
    with pytest.raises(StateDictError, match=r"before.safetensors holds the weights of another "
                       r"body; use the .*: missing: 3\.2\.conv1\.weight, .*unexpected: 4\.1"):
        load_body(body, file)
    assert state_bytes(body) == unchanged
    grey = ImageDataBunch.from_arrays(noise(8, 8, 8), [0, 1] * 4, bs=4)
    with pytest.raises(StateDictError, match=r"use the architecture, cut and number of channels .*"
                       r"0\.weight \(32, 3, 3, 3\) where the model has \(32, 1, 3, 3\)"):
        cnn_learner(grey, resnet10, pretrained=file)
    with pytest.raises(StateDictError, match=r"unexpected: 4\.0\.bn1"):
        cnn_learner(colours(), resnet10, cut=4, pretrained=file)


def test_pretrained_is_a_file() -> None:
    with pytest.raises(ValueError, match="no weights to download: pretrained= is the file"):
        cnn_learner(colours(), resnet10, pretrained=True)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint nowhere.safetensors"):
        cnn_learner(colours(), resnet10, pretrained="nowhere")


# --------------------------------------------------------------------------------------- training

def test_digits_are_learned_and_predicted(device: str) -> None:
    """Train three epochs on the digits 0 to 4; seeds 0, 1, 2 reach an accuracy of 0.99."""
    digits = load_digits()
    few = digits.target < 5
    x, y = digits.images[few] / 16, digits.target[few]
    data = ImageDataBunch.from_arrays(x, y, seed=0, bs=32).normalize()
    learn = cnn_learner(data, partial(resnet, [1], [8]), lin_ftrs=[32], ps=.1,
                        metrics=[accuracy], seed=0)
    with learn.no_logging():
        learn.fit_one_cycle(3, 1e-2)
    assert learn.validate()[1] > .95
    probabilities = host(learn.get_preds()[0])
    valid = random_split(len(x), .2, seed=0)[1]
    label, target, p = learn.predict(x[valid[0]])
    assert label == target.item() == probabilities[0].argmax() == y[valid[0]]
    assert p.shape == (5,)
    np.testing.assert_allclose(host(p), probabilities[0], rtol=1e-4, atol=1e-6)


@pytest.mark.cpu_only("names its devices itself")
def test_a_learner_on_a_device_that_is_not_the_default(before: Learner) -> None:
    data = colours(device="fakecuda")
    with minifast.device("cpu"):
        learn = cnn_learner(data, resnet10, pretrained=checkpoint_of(before))
    fit_quietly(learn, 1, 1e-3)
    assert {p.device for p in learn.model.parameters()} == {"fakecuda"}
