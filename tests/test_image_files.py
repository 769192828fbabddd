"""Image bunches from files: splits, sizes, labels, test folders and single images."""
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from host import assert_same, host
from PIL import Image as Pillow
from tiny import fit_quietly

from minifast import ShapeError
from minifast.checkpoints import load_learner
from minifast.data import DatasetType, random_split
from minifast.train import Learner
from minifast.vision import (
    Image,
    ImageDataBunch,
    ResizeMethod,
    UnreadableImageError,
    cifar_stats,
    cnn_learner,
    get_image_files,
    get_transforms,
    imagenet_stats,
    mnist_stats,
    open_image,
    resnet10,
    rotate,
    simple_cnn,
)
from minifast.vision.resize import Resize

Array = np.ndarray
N = 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten images cat_0.png, dog_1.png ... of 6 x 4 pixels, and three without labels in test/."""
    for i in range(N):
        save(tmp_path / f"images/{('cat', 'dog')[i % 2]}_{i}.png", noise(6, 4, 3, seed=i))
    for i in range(3):
        save(tmp_path / f"test/{i}/x.png", noise(6, 4, 3, seed=100 + i))
    return tmp_path


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save(file: Path, x: Array) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(x).save(file)


def pixels(rows: Any, first: int = 0) -> Array:
    return np.stack([noise(6, 4, 3, seed=first + int(i)) for i in rows]).transpose(0, 3, 1, 2)


def bunches(folder: Path, **kwargs: Any) -> dict[str, ImageDataBunch]:
    """The same data by each of v1's constructors."""
    files = [folder / f"images/{('cat', 'dog')[i % 2]}_{i}.png" for i in range(N)]
    names = [file.stem.split("_")[0] for file in files]
    df = pd.DataFrame({"name": [file.stem for file in files], "animal": names})
    df.to_csv(folder / "labels.csv", index=False)
    df.to_csv(folder / "other.txt", index=False, header=False, sep=";", columns=["animal", "name"])
    common = {"valid_pct": .3, "seed": 7, "bs": 2, "test": "test", **kwargs}
    make = ImageDataBunch
    return {
        "lists": make.from_lists(folder, files, names, **common),
        "relative": make.from_lists(folder, [f"images/{file.name}" for file in files], names,
                                    **common),
        "df": make.from_df(folder, df, "images", suffix=".png", **common),
        "columns": make.from_df(folder, df[["animal", "name"]], "images", suffix=".png",
                                fn_col="name", label_col=0, **common),
        "csv": make.from_csv(folder, "images", suffix=".png", **common),
        "other csv": make.from_csv(folder, folder="images", csv_labels="other.txt", delimiter=";",
                                   header=None, fn_col=1, label_col=0, suffix=".png", **common),
        "func": make.from_name_func(folder, files, lambda f: f.name.split("_")[0], **common),
        "re": make.from_name_re(folder, files, r"/([^/]+)_\d+.png$", **common)}


def test_all_constructors_make_the_split_of_v1(folder: Path) -> None:
    rows, held = random_split(N, .3, seed=7)
    for data in bunches(folder).values():
        assert (data.classes, data.c, data.path) == (["cat", "dog"], 2, folder)
        np.testing.assert_array_equal(host(data.train_ds.x) * 255, pixels(rows))
        np.testing.assert_array_equal(host(data.valid_ds.x) * 255, pixels(held))
        np.testing.assert_array_equal(host(data.train_ds.y), rows % 2)
        np.testing.assert_array_equal(host(data.valid_ds.y), held % 2)


def test_a_test_folder_is_predicted(folder: Path) -> None:
    data = bunches(folder)["re"].normalize()
    learn = Learner(data, simple_cnn([3, 4, 2], seed=1))
    preds, targets = learn.get_preds(DatasetType.Test)
    assert (preds.shape, targets.shape) == ((3, 2), (3,))
    for i, row in enumerate(host(preds)):
        name, number, p = learn.predict(folder / f"test/{i}/x.png")
        np.testing.assert_allclose(host(p), row, rtol=1e-5)
        assert name == data.classes[int(number)] == data.classes[int(row.argmax())]


def test_given_validation_rows(folder: Path) -> None:
    for data in bunches(folder, valid_idx=[9, 2]).values():
        np.testing.assert_array_equal(host(data.valid_ds.x) * 255, pixels([9, 2]))
        np.testing.assert_array_equal(host(data.train_ds.x) * 255, pixels([0, 1, 3, 4, 5, 6, 7, 8]))
    x = pixels(range(N)).transpose(0, 2, 3, 1)
    data = ImageDataBunch.from_arrays(x, [0, 1] * 5, valid_idx=[4], bs=2)
    np.testing.assert_array_equal(host(data.valid_ds.x) * 255, pixels([4]))


def test_rows_follow_their_labels_when_files_are_skipped(folder: Path) -> None:
    (folder / "images/cat_4.png").write_text("not an image")
    files = sorted(get_image_files(folder / "images"), key=lambda f: int(f.stem[4:]))
    with pytest.warns(UserWarning, match=r"1 images cannot be read .*cat_4.png") as warned:
        data = ImageDataBunch.from_name_re(folder, files, r"/([a-z]+)_\d", valid_idx=[8, 9], bs=2,
                                           skip_unreadable=True)
    assert warned[0].filename == __file__
    np.testing.assert_array_equal(host(data.train_ds.x) * 255, pixels([0, 1, 2, 3, 5, 6, 7]))
    assert host(data.train_ds.y).tolist() == [0, 1, 0, 1, 1, 0, 1]


def test_a_folder_per_class_at_any_depth(tmp_path: Path) -> None:
    for i, name in enumerate(("train/a/0", "train/b/1", "valid/a/2", "valid/b/3", "test/4")):
        save(tmp_path / f"{name}.png", noise(6, 4, 3, seed=i))
    data = ImageDataBunch.from_folder(tmp_path, test="test", bs=2)
    np.testing.assert_array_equal(host(data.test_dl.dataset.x) * 255, pixels([4]))  # type: ignore
    every = ImageDataBunch.from_folder(tmp_path, train=".", valid_pct=0, test="test", bs=2)
    assert (every.classes, len(every.train_ds)) == (["a", "b"], 4)
    assert every.empty_val


# ------------------------------------------------------------------------------------------- sizes

def test_crop_pad_and_squish() -> None:
    x = noise(4, 8, 3)
    image = Pillow.fromarray(x)
    crop, pad, squish = ResizeMethod.CROP, ResizeMethod.PAD, ResizeMethod.SQUISH
    np.testing.assert_array_equal(Resize(4, crop)(image), x[:, 2:6])
    np.testing.assert_array_equal(Resize(8, pad, "zeros")(image),
                                  np.pad(x, [(2, 2), (0, 0), (0, 0)]))
    np.testing.assert_array_equal(Resize(8, pad)(image),
                                  np.pad(x, [(2, 2), (0, 0), (0, 0)], mode="reflect"))
    np.testing.assert_array_equal(Resize(8, pad, "border")(image),
                                  np.pad(x, [(2, 2), (0, 0), (0, 0)], mode="edge"))
    half = np.asarray(image.resize((4, 2), Pillow.Resampling.BILINEAR))
    np.testing.assert_array_equal(Resize(2, crop)(image), half[:, 1:3])
    np.testing.assert_array_equal(Resize(4, pad, "border")(image)[1:3], half)
    np.testing.assert_array_equal(Resize((3, 5), squish)(image),
                                  np.asarray(image.resize((5, 3), Pillow.Resampling.BILINEAR)))
    np.testing.assert_array_equal(Resize((3, 5), ResizeMethod.NO)(image), x)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (7, 7), (1, 30), (30, 1), (2, 3)])
@pytest.mark.parametrize("size", [1, 4, 5, (3, 8), (8, 3)])
def test_every_image_comes_to_the_size(shape: tuple[int, int], size: Any) -> None:
    want = size if isinstance(size, tuple) else (size, size)
    for method in (ResizeMethod.CROP, ResizeMethod.PAD, ResizeMethod.SQUISH, None):
        for mode in ("L", "RGB"):
            found = Resize(size, method)(Pillow.fromarray(noise(*shape, 3)).convert(mode))
            assert found.shape[:2] == want


def test_one_number_crops_and_a_pair_stretches_as_in_v1(tmp_path: Path) -> None:
    for i, shape in enumerate([(6, 12), (12, 6), (9, 9), (6, 6)]):
        save(tmp_path / f"{'ab'[i % 2]}/{i}.png", noise(*shape, 3, seed=i))
    files = sorted(get_image_files(tmp_path, recurse=True), key=lambda file: file.stem)

    def read(**kwargs: Any) -> ImageDataBunch:
        return ImageDataBunch.from_name_func(tmp_path, files, lambda f: f.parent.name, 0, bs=2,
                                             **kwargs)
    with pytest.raises(ShapeError, match=r"has shape \(6, 12, 3\) and .* has \(12, 6, 3\).*size="):
        read()
    data = read(size=6)
    np.testing.assert_array_equal(host(data.train_ds.x)[0] * 255,
                                  noise(6, 12, 3)[:, 3:9].transpose(2, 0, 1))
    assert_same(data.one_item(files[0]), host(data.train_ds.x)[:1])
    assert_same(data.one_item(open_image(files[0])), host(data.train_ds.x)[:1])
    assert_same(data.one_item(Pillow.open(files[0])), host(data.train_ds.x)[:1])
    assert read(size=(4, 8)).image_shape == (3, 4, 8)
    assert read(size=50, mult=32).image_shape == (3, 64, 64)
    padded = read(size=12, resize_method=ResizeMethod.PAD, padding_mode="zeros")
    assert host(padded.train_ds.x)[0, :, [0, 1, 2, 9, 10, 11]].max() == 0
    assert_same(padded.one_item(files[0]), host(padded.train_ds.x)[:1])
    assert read(size=6, grey=True, ds_tfms=get_transforms()).image_shape == (1, 6, 6)


# ------------------------------------------------------------------------------------ one image

def test_open_image(tmp_path: Path) -> None:
    x = noise(5, 4, 3)
    save(tmp_path / "a.png", x)
    image = open_image(tmp_path / "a.png")
    assert (repr(image), image.size, image.px.dtype) == ("Image (3, 5, 4)", (5, 4), np.float32)
    np.testing.assert_array_equal(image.data.numpy() * 255, x.transpose(2, 0, 1))
    assert open_image(tmp_path / "a.png", div=False).px.numpy().max() == x.max()
    grey = open_image(tmp_path / "a.png", convert_mode="L",
                      after_open=lambda im: im.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT))
    expected = np.asarray(Pillow.fromarray(x).convert("L"))[:, ::-1]
    np.testing.assert_array_equal(grey.px.numpy()[0] * 255, expected)
    np.testing.assert_array_equal(np.asarray(image.pillow()), x)
    np.testing.assert_array_equal(np.asarray(grey.pillow()), expected)
    square = image.apply_tfms([rotate(90)], size=4)
    np.testing.assert_array_equal(square.px.numpy(),
                                  np.rot90(image.px.numpy()[:, 1:5], 1, (1, 2)))
    with pytest.raises(ValueError, match=r"convert_mode is 'RGB' or 'L'.*got 'CMYK'"):
        open_image(tmp_path / "a.png", convert_mode="CMYK")
    with pytest.raises(ShapeError, match=r"got \(5, 4, 3\); transpose"):
        Image(x)
    (tmp_path / "b.png").write_text("text")
    with pytest.raises(UnreadableImageError, match=r"b.png cannot be read"):
        open_image(tmp_path / "b.png")


def test_image_files_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "text.txt", ".hidden.png", "sub/c.png", ".cache/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def names(**kwargs: Any) -> list[str]:
        return [f.relative_to(tmp_path).as_posix() for f in get_image_files(tmp_path, **kwargs)]
    assert names() == ["a.JPG", "b.png"]
    assert names(recurse=True) == ["a.JPG", "b.png", "sub/c.png"]
    assert names(check_ext=False) == ["a.JPG", "b.png", "text.txt"]
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        get_image_files(tmp_path / "nowhere")


def test_a_bunch_without_images_predicts_like_that_of_the_training(folder: Path) -> None:
    data = bunches(folder, size=4)["re"].normalize(imagenet_stats)
    learn = cnn_learner(data, resnet10, seed=0, path=folder)
    fit_quietly(learn)
    learn.save("animals")
    alone = ImageDataBunch.single_from_classes(folder, ["cat", "dog"], ds_tfms=get_transforms(),
                                               size=4, num_workers=0).normalize(imagenet_stats)
    assert (alone.c, alone.classes, alone.image_shape, alone.empty_val) == (
        2, ["cat", "dog"], (3, 4, 4), True)
    other = cnn_learner(alone, resnet10, seed=1, path=folder)
    other.load("animals")
    file = folder / "images/dog_1.png"
    for item in (file, open_image(file), Pillow.open(file)):
        name, number, p = other.predict(item)
        expected = learn.predict(item)
        assert (name, int(number)) == (expected[0], int(expected[1]))
        np.testing.assert_array_equal(host(p), host(expected[2]))
    with pytest.raises(ValueError, match="does not know their size; pass size="):
        ImageDataBunch.single_from_classes(folder, ["cat", "dog"])


@pytest.mark.parametrize("kwargs", [{"size": 4}, {}, {"size": 8, "grey": True, "resize_method":
                                    ResizeMethod.PAD, "padding_mode": "zeros"}])
def test_an_exported_learner_predicts_images(folder: Path, kwargs: dict[str, Any]) -> None:
    data = bunches(folder, ds_tfms=get_transforms(), **kwargs)["re"].normalize()
    learn = fit_quietly(cnn_learner(data, resnet10, lin_ftrs=[], seed=0, path=folder))
    learn.export()  # type: ignore[attr-defined]
    there = load_learner(folder)
    assert isinstance(there.data, ImageDataBunch)
    assert there.data.image_shape == data.image_shape
    save(folder / "other.png", noise(9, 7, 3, seed=50))
    for item in (folder / "other.png", open_image(folder / "other.png")):
        name, number, p = learn.predict(item)
        found = there.predict(item)
        assert (found[0], int(found[1])) == (name, int(number))
        np.testing.assert_array_equal(host(found[2]), host(p))


# ------------------------------------------------------------------------- statistics and arguments

def test_statistics(folder: Path) -> None:
    data = bunches(folder, bs=7)["lists"]
    x = host(data.train_ds.x)
    mean, std = data.batch_stats()
    np.testing.assert_allclose(host(mean), x.mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(host(std), x.std((0, 2, 3), ddof=1), rtol=1e-5)
    assert [host(f).shape for f in data.batch_stats([lambda x, axis: x.max(axis)])] == [(3,)]
    before = data.one_batch(DatasetType.Valid)
    for stats in (imagenet_stats, cifar_stats, mnist_stats):
        other = bunches(folder, bs=7)["lists"].normalize(stats)
        xb = other.one_batch(DatasetType.Valid)[0]
        expected = (host(before[0]) - np.reshape(stats[0], (3, 1, 1))) \
            / np.reshape(stats[1], (3, 1, 1))
        np.testing.assert_allclose(host(xb), expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(host(other.denorm(xb)), host(before[0]), atol=1e-6)
        assert_same(other.norm(before)[0], host(xb))


def test_arguments_of_v1_are_accepted_or_refused_with_a_sentence(folder: Path) -> None:
    bunches(folder, num_workers=4, no_check=True, dl_tfms=None, mode="bilinear", tfm_y=False)
    for name, message in (("dl_tfms", "give transforms of images as ds_tfms="),
                          ("collate_fn", "batches are gathered at once"),
                          ("tfm_y", "targets are classes"), ("item_cls", "files are read as"),
                          ("mode", "images are interpolated bilinearly, got mode='nearest'")):
        with pytest.raises(TypeError, match=message):
            bunches(folder, **{name: "nearest"})


@pytest.mark.cpu_only("about error messages")
def test_errors(folder: Path) -> None:
    make, df = ImageDataBunch, pd.DataFrame({"name": ["cat_0.png"], "animal": ["cat"]})
    file = folder / "images/cat_0.png"
    with pytest.raises(ShapeError, match="got 1 files and 2 labels"):
        make.from_lists(folder, [file], ["a", "b"])
    with pytest.raises(FileNotFoundError, match=r"no image file .*cat_0.png"):
        make.from_df(folder, df)
    with pytest.raises(KeyError, match="no column 'kind'; the frame has name, animal"):
        make.from_df(folder, df, label_col="kind")
    with pytest.raises(KeyError, match="no column 2"):
        make.from_df(folder, df, label_col=2)
    for kwargs in ({"label_delim": " "}, {"label_col": ["a", "b"]}):
        with pytest.raises(ValueError, match="an image has one label here"):
            make.from_df(folder, df, **kwargs)  # type: ignore[arg-type]
    for pattern in (r"bird_(\d)", r"cat"):
        with pytest.raises(ValueError, match=r"does not find a label in '.*images/cat_0.png'"):
            make.from_name_re(folder, [file], pattern)
    with pytest.raises(ValueError, match="mult=0"):
        Resize(4, mult=0)
    with pytest.raises(ValueError, match="valid_idx has 10; positions go from 0 to 9"):
        bunches(folder, valid_idx=[10])
