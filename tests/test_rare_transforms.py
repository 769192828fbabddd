"""fastai v1's rarer transforms against its formulas, and its calls on one image."""
import copy
from typing import Any

import numpy as np
import pytest
from host import assert_same, host, put

from minifast import ShapeError
from minifast.backend import backend_of
from minifast.train import Learner
from minifast.vision import (
    Image,
    ImageDataBunch,
    apply_tfms,
    brightness,
    crop,
    crop_pad,
    cutout,
    dihedral,
    flip_lr,
    image2np,
    jitter,
    pad,
    perspective_warp,
    pil2tensor,
    rand_crop,
    rand_pad,
    rand_resize_crop,
    rgb_randomize,
    rotate,
    simple_cnn,
    skew,
    squish,
    tilt,
    zoom,
    zoom_crop,
)

Array = np.ndarray
CORNERS = [[-1, -1], [-1, 1], [1, -1], [1, 1]]


def images(n: int = 4, c: int = 3, h: int = 6, w: int = 8, seed: int = 0) -> Array:
    return np.random.default_rng(seed).random((n, c, h, w), np.float32)


def matrix(tfm: Any, h: int = 6, w: int = 8, n: int = 1, seed: int = 0) -> Array:
    """The matrices of a transform for coordinates from -1 to 1, as fastai v1 has them."""
    pixels = np.array([(w - 1) / 2, (h - 1) / 2, 1])
    return tfm.draw(np.random.default_rng(seed), n, (h, w)) * pixels / pixels[:, None]


# ------------------------------------------------------------------------ transforms of places

@pytest.mark.parametrize(("scale", "expected"), [
    (.5, [[.5, 0, .5 * (2 * .8 - 1)], [0, 1, 0]]), (2., [[1, 0, 0], [0, .5, .5 * (2 * .3 - 1)]]),
    (1., [[1, 0, 0], [0, 1, 0]])])
def test_squish_is_v1s_matrix(scale: float, expected: list[list[float]]) -> None:
    found = matrix(squish(scale, row_pct=.3, col_pct=.8))[0]
    np.testing.assert_allclose(found, [*expected, [0, 0, 1]], atol=1e-12)


V1_TILT = [[[-1, -1], [-1, 1], [1, -1.3], [1, 1.3]], [[-1, -1.3], [-1, 1.3], [1, -1], [1, 1]],
           [[-1, -1], [-1.3, 1], [1, -1], [1.3, 1]], [[-1.3, -1], [-1, 1], [1.3, -1], [1, 1]]]
V1_SKEW = [(0, 0, -1.3), (0, 1, -1.3), (1, 0, -1.3), (1, 1, 1.3), (2, 0, 1.3), (2, 1, -1.3),
           (3, 0, 1.3), (3, 1, 1.3)]


def moved_to(tfm: Any, targets: Any) -> None:
    """v1's matrix maps the targets of the corners to the corners."""
    for target, corner in zip(targets, CORNERS, strict=True):
        x, y, depth = matrix(tfm)[0] @ [*target, 1]
        np.testing.assert_allclose([x / depth, y / depth], corner, atol=1e-12)


@pytest.mark.parametrize("direction", range(4))
def test_tilt_moves_v1s_corners(direction: int) -> None:
    moved_to(tilt(direction, .3), V1_TILT[direction])


@pytest.mark.parametrize("direction", range(8))
def test_skew_moves_v1s_corners(direction: int) -> None:
    corner, axis, place = V1_SKEW[direction]
    targets = np.array(CORNERS, float)
    targets[corner, axis] = place
    moved_to(skew(direction, .3), targets)


def test_a_perspective_warp_moves_each_corner() -> None:
    tfm = perspective_warp((-.2, .2))
    rng = np.random.default_rng(0)
    rng.random(1)
    moves = np.array([rng.uniform(-.2, .2, 1) for _ in range(8)]).reshape(4, 2)
    moved_to(tfm, np.array(CORNERS) + moves)
    assert abs(moves[:, 0] - moves[0, 0]).max() > .01


def test_intervals_of_whole_numbers_include_both_ends() -> None:
    for tfm, name, n in ((tilt((0, 3)), "direction", 4), (skew(), "direction", 8),
                         (dihedral(), "k", 8), (cutout((1, 4)), "n_holes", 5)):
        values = tfm._values(np.random.default_rng(0), 500)[name]
        assert set(values) == set(range(n)) - ({0} if name == "n_holes" else set())


@pytest.mark.parametrize("size", [(6, 6), (6, 9), (9, 6)])
def test_rand_resize_crop_shows_a_part_of_v1s_area_and_ratio(size: tuple[int, int]) -> None:
    tfm, cut = rand_resize_crop(6, max_scale=3., ratios=(.5, 2.))
    found = matrix(tfm, *size, n=2000)
    width, height = found[:, 0, 0], found[:, 1, 1]
    assert max(width.max(), height.max()) <= 1
    assert (abs(found[:, 0, 2]) <= 1 - width + 1e-9).all()
    assert (abs(found[:, 1, 2]) <= 1 - height + 1e-9).all()
    area, ratio = width * height, width / height
    assert 1 / 3 - 1e-9 <= area.min() < .4
    assert .5 - 1e-9 <= ratio.min() < .6 < 1.7 < ratio.max() <= 2 + 1e-9
    assert cut.change(images(1, 1, *size), np.random.default_rng()).shape == (1, 1, 6, 6)


def test_without_a_part_inside_the_middle_is_shown() -> None:
    """An area of 1 with another ratio is never inside; v1 then takes the largest square."""
    tfm, _ = rand_resize_crop(4, max_scale=1., ratios=(2., 2.))
    for h, w in ((4, 4), (4, 8), (8, 4)):
        np.testing.assert_allclose(matrix(tfm, h, w)[0], np.diag([min(1, h / w), min(1, w / h), 1]),
                                   atol=1e-12)


def test_jitter_takes_pixels_from_nearby(device: str) -> None:
    ramp = np.tile(np.linspace(0, 1, 21, dtype=np.float32), (2, 1, 15, 1))
    result = apply_tfms([jitter(.1)], put(ramp), seed=0)
    assert backend_of(result).name == device
    far = abs(host(result) - ramp)
    assert .04 < far.max() <= .05 + 1e-6, "a tenth of half the width, where the width is 1"
    assert len(np.unique(far)) > 400
    assert_same(apply_tfms([jitter(0.)], put(ramp)), ramp)


# ------------------------------------------------------------------------ transforms of pixels

def test_crops_are_v1s(device: str) -> None:
    x = images(3, 2, 7, 9)
    for pcts in ((0., 0.), (.5, .5), (1., 1.), (.3, .9)):
        row, col = (int((n + 1) * min(pct, 1 - 1e-7)) for n, pct in zip((7 - 4, 9 - 5), pcts,
                                                                       strict=True))
        found = apply_tfms([crop((4, 5), *pcts)], put(x))
        assert backend_of(found).name == device
        assert_same(found, x[:, :, row:row + 4, col:col + 5])
    with pytest.raises(ShapeError, match=r"\(8, 8\) does not fit.*\(7, 9\).*crop_pad"):
        apply_tfms([crop(8)], put(x))


@pytest.mark.parametrize(("mode", "numpys"), [("zeros", "constant"), ("border", "edge"),
                                              ("reflection", "reflect")])
def test_pads_are_v1s(mode: Any, numpys: Any, device: str) -> None:
    x = images(2, 3, 5, 6)
    wide = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), mode=numpys)
    assert_same(apply_tfms([pad(2, mode)], put(x)), wide)
    assert_same(apply_tfms([crop_pad((8, 6), mode)], put(x)), wide[:, :, 1:, 2:8])
    assert_same(apply_tfms([crop_pad((5, 6), mode), crop_pad()], put(x)), x)


def test_random_places_come_equally_often() -> None:
    """Each of the 25 positions of a padded image; a marked pixel tells which it is."""
    x = np.zeros((5000, 1, 6, 6), np.float32)
    x[:, :, 2, 2] = 1
    for tfms in (rand_pad(2, 6, mode="zeros"), [pad(2, "zeros"), rand_crop(6)]):
        found = host(apply_tfms(tfms, put(x), seed=0))
        places, counts = np.unique(found.reshape(5000, -1).argmax(1), return_counts=True)
        assert len(places) == 25
        assert abs(counts - 200).max() < 4.5 * 14


@pytest.mark.parametrize("p", [1., .5])
def test_cutout_makes_squares_black(p: float, device: str) -> None:
    x = np.ones((400, 2, 20, 20), np.float32)
    source = x.copy()
    found = host(apply_tfms([cutout(n_holes=1, length=6, p=p)], put(x), seed=0))
    np.testing.assert_array_equal(x, source)
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    dark = (found[:, 0] == 0).sum((1, 2))
    assert abs((dark > 0).mean() - p) < .1
    assert dark.max() == 36
    assert dark[dark > 0].min() >= 9, "a corner of the square is always inside"
    for image in found[dark > 0][:50, 0]:
        rows, columns = np.nonzero(image == 0)
        assert (np.ptp(rows) + 1) * (np.ptp(columns) + 1) == len(rows)


def test_one_channel_becomes_noise() -> None:
    x = images(300)
    found = host(apply_tfms([rgb_randomize(thresh=.2)], put(x), seed=0))
    changed = (found != x).any((2, 3))
    assert (changed.sum(1) == 1).all()
    assert (changed.sum(0) > 60).all(), "each channel a hundred times on average"
    assert found[changed].max() < .2
    one = host(apply_tfms([rgb_randomize(channel=1)], put(x)))
    np.testing.assert_array_equal(one[:, [0, 2]], x[:, [0, 2]])


def test_zoom_crop_is_a_zoom() -> None:
    x = images()
    assert_same(apply_tfms(zoom_crop(1.5), put(x)), host(apply_tfms([zoom(1.5)], put(x))))
    assert_same(apply_tfms(zoom_crop(1.5, do_rand=True), put(x), seed=1),
                host(apply_tfms([zoom(1.5, (0., 1.), (0., 1.))], put(x), seed=1)))


def test_a_learner_trains_on_moved_and_cut_images() -> None:
    x, y = images(24, 1, 8, 8).transpose(0, 2, 3, 1), list("ab") * 12
    tfms = ([*rand_pad(2, 8), cutout(1, 3), flip_lr(.5)], [])
    data = ImageDataBunch.from_arrays(x, y, seed=0, bs=8, ds_tfms=tfms).normalize()
    assert data.one_batch()[0].shape == (8, 1, 8, 8)
    learn = Learner(data, simple_cnn((1, 4, data.c)), silent=True)
    learn.fit(1)
    assert np.isfinite(float(learn.recorder.losses[-1]))


# ------------------------------------------------------------------------ calls on one image

def image() -> Image:
    return Image(images(1, 3, 8, 8)[0])


@pytest.mark.parametrize(("name", "make", "args"), [
    ("rotate", rotate, (30,)), ("brightness", brightness, (.7,)), ("flip_lr", flip_lr, ()),
    ("zoom", zoom, (1.3,)), ("squish", squish, (.7,)), ("tilt", tilt, (1, .3)),
    ("dihedral", dihedral, (5,)), ("crop", crop, (4,)), ("pad", pad, (2,))])
def test_a_transform_is_called_on_an_image_in_v1s_ways(name: str, make: Any, args: Any) -> None:
    one = image()
    expected = apply_tfms([make(*args)], one.data.data)
    for found in (make(one, *args), getattr(one, name)(*args), make(*args)(one),
                  one.apply_tfms(make(*args)), one.apply_tfms([make(*args)])):
        assert isinstance(found, Image)
        np.testing.assert_array_equal(host(found.data), expected)
    np.testing.assert_array_equal(make(one.data.data, *args), expected)


def test_an_image_is_resized_copied_and_saved(tmp_path: Any) -> None:
    from minifast.vision import open_image
    one = image()
    assert one.resize(4).shape == one.resize((3, 4, 4)).shape == (3, 4, 4)
    assert one.resize((2, 6)).size == (2, 6)
    copied = one.clone()
    copied.px.data[...] = 0
    assert one.px.data.max() > 0
    assert one.device == "cpu"
    pytest.importorskip("PIL")
    one.save(tmp_path / "one.png")
    np.testing.assert_allclose(host(open_image(tmp_path / "one.png").px), host(one.px),
                               atol=.5 / 255 + 1e-6)  # 8 bits


@pytest.mark.parametrize(("name", "message"), [
    ("flow", "sampling.sample"), ("pixel", r"apply_tfms\(\[f\]\)"), ("nonsense", "no attribute")])
def test_absent_attributes_say_what_to_write(name: str, message: str) -> None:
    with pytest.raises(AttributeError, match=message):
        getattr(image(), name)


def test_parameters_are_not_resolved() -> None:
    with pytest.raises(AttributeError, match=r"'Geometric' .* 'resolve'; write nothing: numbers"):
        rotate((-10, 10)).resolve()
    assert copy.deepcopy(rotate(10)) == rotate(10)


def test_pixels_travel_both_ways() -> None:
    x = np.random.default_rng(0).integers(0, 255, (5, 4, 3), np.uint8)
    px = pil2tensor(x, np.float32)
    assert px.dtype == np.float32
    np.testing.assert_array_equal(image2np(px), x)
    np.testing.assert_array_equal(image2np(pil2tensor(x[..., 0], np.float32)), x[..., 0])


@pytest.mark.parametrize(("wrong", "message"), [
    (lambda: pad(-1), "cannot add -1"), (lambda: crop(0), "at least 1"),
    (lambda: squish(0.), "above 0"), (lambda: crop_pad(4, "wrap"), "padding_mode"),
    (lambda: cutout(p=2.), "probability")])
def test_wrong_arguments(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()
