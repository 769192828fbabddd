"""Convolution, pooling and batch norm of images against loops over pixels."""
from collections.abc import Callable
from math import ceil, floor, sqrt
from typing import Any

import numpy as np
import pytest
from host import check_layer, host, put

from minifast import ShapeError, no_grad
from minifast.autograd import tensor
from minifast.nn import (
    BatchNorm1d,
    BatchNorm2d,
    Flatten,
    Linear,
    Module,
    ReLU,
    Sequential,
    cross_entropy,
)
from minifast.vision import (
    AdaptiveAvgPool2d,
    AdaptiveConcatPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    Conv2d,
    Dropout2d,
    MaxPool2d,
)

Array = np.ndarray
ROUNDING = {"rtol": 1e-5, "atol": 2e-6}  # of sums of tens of numbers of order 1


def images(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def both(n: int | tuple[int, int]) -> tuple[int, int]:
    return (n, n) if isinstance(n, int) else n


def padded(x: Array, padding: int | tuple[int, int]) -> Array:
    above, left = both(padding)
    return np.pad(x, ((0, 0), (0, 0), (above, above), (left, left)))


def each_window(x: Array, kernel: Any, stride: Any, padding: Any) -> Any:
    """Yield the position of each window in the output, and the window (bs, c, height, width)."""
    x, (height, width), (down, right) = padded(x, padding), both(kernel), both(stride)
    for i, top in enumerate(range(0, x.shape[2] - height + 1, down)):
        for j, left in enumerate(range(0, x.shape[3] - width + 1, right)):
            yield (i, j), x[:, :, top:top + height, left:left + width]


def over_windows(x: Array, kernel: Any, stride: Any, padding: Any, do: Callable[[Array], Array]
                 ) -> Array:
    """Apply ``do`` to every window, (bs, c, height, width) to (bs, c'), and join the results."""
    found = {place: do(w) for place, w in each_window(x.astype(np.float64), kernel, stride,
                                                      padding)}
    rows, columns = max(found)
    return np.stack([np.stack([found[i, j] for j in range(columns + 1)], -1)
                     for i in range(rows + 1)], -2)


def gradient(layer: Module, x: Array, g: Array | None = None) -> Array:
    t = tensor(x, requires_grad=True)
    y = layer(t)
    y.backward(put(np.ones(y.shape, np.float32) if g is None else g))
    return host(t.grad)


# -------------------------------------------------------------------------------------- convolution

CONVOLUTIONS = {
    "plain": (2, 3, 3, 1, 0, (5, 4)),
    "nothing is square": (2, 3, (3, 2), (2, 1), (1, 0), (6, 5)),
    "a row of pixels": (1, 2, (1, 3), 1, (0, 1), (2, 3)),
    "one pixel": (1, 1, 1, 1, 0, (1, 1)),
    "one pixel, in its padding": (2, 3, 3, 1, 1, (1, 1)),
    "the whole image": (2, 4, (4, 3), 1, 0, (4, 3)),
    "kernel of one pixel": (3, 2, 1, 1, 0, (3, 4)),
    "every other pixel": (3, 2, 1, 2, 0, (5, 4)),
    "gaps between windows": (2, 2, 2, 3, 0, (7, 5)),
    "more padding than kernel": (1, 2, 2, 3, 3, (2, 4)),
    "a remainder that is cut off": (1, 1, 2, 2, 0, (5, 3)),
}
every_convolution = pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)


@pytest.mark.parametrize("bias", [True, False])
@every_convolution
def test_convolution_equals_loops(case: Any, bias: bool, device: str) -> None:
    n_in, _, kernel, stride, padding, size = case
    layer, x = Conv2d(*case[:-1], bias=bias, seed=0), images(3, n_in, *size)
    weight = host(layer.weight).astype(np.float64)
    expected = over_windows(x, kernel, stride, padding, lambda w: np.stack(
        [(w * kernel_of_one).sum((1, 2, 3)) for kernel_of_one in weight], -1))
    if bias:
        expected += host(layer.bias).reshape(-1, 1, 1)
    y = layer(tensor(x))
    assert (y.device, y.dtype, y.shape) == (device, np.float32, expected.shape)
    np.testing.assert_allclose(host(y), expected, **ROUNDING)


@pytest.mark.parametrize("bias", [True, False])
@every_convolution
def test_the_gradients_of_a_convolution(case: Any, bias: bool) -> None:
    assert check_layer(Conv2d(*case[:-1], bias=bias, seed=0), images(2, case[0], *case[-1]))


@pytest.mark.parametrize("groups", [2, 4])
def test_groups_are_convolutions_side_by_side(groups: int) -> None:
    layer, x = Conv2d(4, 8, 3, 2, 1, groups=groups, seed=0), images(2, 4, 7, 6)
    n_in, n_out = 4 // groups, 8 // groups
    for i in range(groups):
        one = Conv2d(n_in, n_out, 3, 2, 1)
        rows = slice(i * n_out, (i + 1) * n_out)
        one.load_state_dict({name: value[rows] for name, value in layer.state_dict().items()})
        expected = one(tensor(x[:, i * n_in:(i + 1) * n_in])).detach()
        np.testing.assert_array_equal(host(layer(tensor(x)).detach()[:, rows]), host(expected))
    assert check_layer(layer, x)
    assert repr(layer) == (f"Conv2d(4, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), "
                           f"groups={groups})")


def test_groups_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="4 channels to 6 cannot be split into 4 equal groups"):
        Conv2d(4, 6, 3, groups=4)


def test_a_convolution_does_not_flip_its_kernel() -> None:
    """As in torch, it is what mathematics calls a correlation."""
    layer = Conv2d(1, 1, (2, 3), bias=False)
    layer.weight.data[...] = put(np.float32([[[[1, 2, 3], [4, 5, 6]]]]))
    x = tensor(np.float32([[[[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]]]))
    assert layer(x).tolist() == [[[[5, 4], [2, 1]]]]


def test_a_convolution_has_torchs_initial_weights() -> None:
    """Weights are uniform in +-1/sqrt(fan_in), with a standard deviation of 1/sqrt(3 fan_in)."""
    layer = Conv2d(8, 300, (3, 2), seed=0)
    assert {name: value.shape for name, value in layer.state_dict().items()} == {
        "weight": (300, 8, 3, 2), "bias": (300,)}
    bound = 1 / sqrt(8 * 3 * 2)
    for p in map(host, (layer.weight, layer.bias)):
        assert p.dtype == np.float32
        assert .98 * bound < abs(p).max() <= np.float32(bound)
        assert p.std() == pytest.approx(bound / sqrt(3), rel=.05)
    assert [p.no_wd for p in layer.parameters()] == [False, True]
    assert list(Conv2d(1, 1, 1, bias=False).state_dict()) == ["weight"]
    for name, value in Conv2d(2, 3, 3, seed=4).state_dict().items():
        np.testing.assert_array_equal(value, Conv2d(2, 3, 3, seed=4).state_dict()[name])


# ------------------------------------------------------------------------------------------ pooling

POOLS = {
    "halves": (2, None, 0, (4, 6)),
    "not square": ((2, 3), None, 0, (4, 6)),
    "overlapping": (3, 1, 0, (5, 4)),
    "overlapping, not square": ((2, 3), (1, 2), 0, (4, 7)),
    "gaps": (2, 3, 0, (8, 5)),
    "a remainder that is cut off": (2, None, 0, (5, 3)),
    "one pixel": (1, None, 0, (1, 1)),
    "the whole image": ((3, 4), None, 0, (3, 4)),
}
PADDED_POOLS = {**POOLS, "padding": (3, 2, 1, (5, 4)),
                "padding, not square": (2, 1, (0, 1), (3, 2))}


@pytest.mark.parametrize("case", POOLS.values(), ids=POOLS)
def test_max_pooling_equals_loops(case: Any, device: str) -> None:
    kernel, stride, padding, size = case
    x = images(3, 2, *size)
    expected = over_windows(x, kernel, stride or kernel, padding, lambda w: w.max((2, 3)))
    y = MaxPool2d(kernel, stride)(tensor(x))
    assert (y.device, y.dtype) == (device, np.float32)
    np.testing.assert_array_equal(host(y), expected)
    assert check_layer(MaxPool2d(kernel, stride), x)


@pytest.mark.parametrize("case", PADDED_POOLS.values(), ids=PADDED_POOLS)
def test_average_pooling_equals_loops(case: Any) -> None:
    """Padding counts as zeros, as in torch."""
    kernel, stride, padding, size = case
    x = images(3, 2, *size)
    expected = over_windows(x, kernel, stride or kernel, padding, lambda w: w.mean((2, 3)))
    layer = AvgPool2d(kernel, stride, padding)
    np.testing.assert_allclose(host(layer(tensor(x))), expected, **ROUNDING)
    assert check_layer(layer, x)


def test_the_first_maximum_gets_the_gradient() -> None:
    """The order is that of rows and columns, as in torch; overlapping windows add up."""
    flat = np.ones((1, 1, 4, 4), np.float32)
    assert gradient(MaxPool2d(2), flat)[0, 0].tolist() == [[1, 0, 1, 0], [0] * 4] * 2
    assert gradient(MaxPool2d(2, 1), flat)[0, 0].tolist() == [[1, 1, 1, 0]] * 3 + [[0] * 4]
    late = np.float32([[[[0, 1, 0], [2, 0, 2], [0, 2, 0]]]])
    assert gradient(MaxPool2d(3), late)[0, 0].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert gradient(MaxPool2d(2, 1), late)[0, 0].tolist() == [[0, 0, 0], [2, 0, 2], [0, 0, 0]]
    g = np.float32([[[[5, 7], [11, 13]]]])
    assert gradient(MaxPool2d(2, 1), late, g)[0, 0].tolist() == [[0, 0, 0], [16, 0, 20], [0, 0, 0]]


@pytest.mark.parametrize("sz", [1, 2, 3, (2, 3), (1, 4), (5, 4), (7, 9)])
def test_adaptive_average_pooling_equals_loops(sz: int | tuple[int, int], device: str) -> None:
    """Region i of o is floor(i n / o) to ceil((i + 1) n / o), so regions may overlap."""
    x, (down, across) = images(2, 3, 5, 4), both(sz)
    expected = np.zeros((2, 3, down, across))
    for i in range(down):
        for j in range(across):
            part = x[:, :, floor(i * 5 / down):ceil((i + 1) * 5 / down),
                     floor(j * 4 / across):ceil((j + 1) * 4 / across)]
            expected[:, :, i, j] = part.astype(np.float64).mean((2, 3))
    y = AdaptiveAvgPool2d(sz)(tensor(x))
    assert (y.device, y.dtype) == (device, np.float32)
    np.testing.assert_allclose(host(y), expected, **ROUNDING)
    assert check_layer(AdaptiveAvgPool2d(sz), x)


def test_adaptive_pooling_of_one_pixel() -> None:
    for sz in (1, 2, (1, 3)):
        y = host(AdaptiveAvgPool2d(sz)(tensor([[[[3.]]]])))
        np.testing.assert_array_equal(y, np.full((1, 1, *both(sz)), 3))


@pytest.mark.parametrize("sz", [1, 2, 3, (2, 3), (1, 4), (5, 4), (7, 9)])
def test_adaptive_max_pooling_equals_loops(sz: int | tuple[int, int], device: str) -> None:
    """The regions are those of the means."""
    x, (down, across) = images(2, 3, 5, 4), both(sz)
    expected = np.zeros((2, 3, down, across), np.float32)
    for i in range(down):
        for j in range(across):
            part = x[:, :, floor(i * 5 / down):ceil((i + 1) * 5 / down),
                     floor(j * 4 / across):ceil((j + 1) * 4 / across)]
            expected[:, :, i, j] = part.max((2, 3))
    y = AdaptiveMaxPool2d(sz)(tensor(x))
    assert (y.device, y.dtype) == (device, np.float32)
    np.testing.assert_array_equal(host(y), expected)
    assert check_layer(AdaptiveMaxPool2d(sz), x)


def test_the_first_maximum_gets_the_gradient_of_adaptive_pools_too() -> None:
    flat = np.ones((1, 2, 2, 4), np.float32)
    assert gradient(AdaptiveMaxPool2d(1), flat)[0, 1].tolist() == [[1, 0, 0, 0], [0, 0, 0, 0]]
    assert gradient(AdaptiveMaxPool2d((1, 2)), flat)[0, 0].tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("sz", [None, 1, 2, (2, 3)])
def test_concat_pooling_is_the_maximum_then_the_mean(sz: Any) -> None:
    """They are joined along the channels, as in fastai."""
    x = images(2, 3, 5, 4)
    y = host(AdaptiveConcatPool2d(sz)(tensor(x)))
    assert y.shape == (2, 6, *both(sz or 1))
    np.testing.assert_array_equal(y[:, :3], host(AdaptiveMaxPool2d(sz or 1)(tensor(x))))
    np.testing.assert_array_equal(y[:, 3:], host(AdaptiveAvgPool2d(sz or 1)(tensor(x))))
    assert check_layer(AdaptiveConcatPool2d(sz), x)


# ------------------------------------------------------------------------------ channel dropout

def test_dropout2d_drops_whole_channels(device: str) -> None:
    x = np.ones((200, 30, 2, 3), np.float32)
    y = Dropout2d(.3, seed=0)(tensor(x))
    assert (y.device, y.dtype) == (device, np.float32)
    channels = host(y).reshape(6000, 6)
    assert (channels == channels[:, :1]).all()
    assert set(np.unique(channels)) == {np.float32(0), np.float32(1 / .7)}
    share = (channels[:, 0] == 0).mean()
    assert abs(share - .3) < 4 * sqrt(.3 * .7 / 6000)
    np.testing.assert_array_equal(host(Dropout2d(.3, seed=0)(tensor(x))), host(y))
    kept = gradient(Dropout2d(.3, seed=0), x)
    np.testing.assert_array_equal(kept, host(y))


def test_dropout2d_does_nothing_in_evaluation_mode() -> None:
    x = tensor(images(2, 3, 4, 4))
    assert Dropout2d(.9).eval()(x) is x
    assert Dropout2d(0)(x) is x
    assert repr(Dropout2d(.25)) == "Dropout2d(p=0.25)"
    with pytest.raises(ValueError, match=r"lies in \[0, 1\), got 1"):
        Dropout2d(1)


# --------------------------------------------------------------------------------------- batch norm

def channel_statistics(x: Array) -> tuple[Array, Array]:
    """Return mean and biased variance of each channel, summed pixel by pixel."""
    means, variances = [], []
    for c in range(x.shape[1]):
        pixels = [float(x[b, c, i, j]) for b in range(len(x)) for i in range(x.shape[2])
                  for j in range(x.shape[3])]
        mean = sum(pixels) / len(pixels)
        means.append(mean)
        variances.append(sum((p - mean) ** 2 for p in pixels) / len(pixels))
    return np.array(means), np.array(variances)


def norm_of_three() -> BatchNorm2d:
    layer = BatchNorm2d(3, momentum=.3)
    layer.weight.data[...] = put(np.float32([1, 2, -3]))
    layer.bias.data[...] = put(np.float32([4, 5, 6]))
    return layer


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (1, 3, 3, 3), (2, 3, 1, 1), (1, 3, 1, 2)])
def test_batch_norm_of_images(shape: tuple[int, ...], device: str) -> None:
    layer, x = norm_of_three(), images(*shape) * 3 + 7
    mean, var = channel_statistics(x)
    expected = np.empty(shape)
    for c, (scale, shift) in enumerate(((1, 4), (2, 5), (-3, 6))):
        expected[:, c] = (x[:, c] - mean[c]) / sqrt(var[c] + 1e-5) * scale + shift
    y = layer(tensor(x))
    assert (y.device, y.dtype) == (device, np.float32)
    np.testing.assert_allclose(host(y), expected, rtol=1e-5, atol=2e-5)
    n = x.size / 3
    np.testing.assert_allclose(host(layer.running_mean), .3 * mean, rtol=2e-6)
    np.testing.assert_allclose(host(layer.running_var), .7 + .3 * var * n / (n - 1), rtol=2e-6)
    mean, var = (host(t).astype(float) for t in (layer.running_mean, layer.running_var))
    for c, (scale, shift) in enumerate(((1, 4), (2, 5), (-3, 6))):
        expected[:, c] = (x[:, c] - mean[c]) / sqrt(var[c] + 1e-5) * scale + shift
    np.testing.assert_allclose(host(layer.eval()(tensor(x))), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("training", [True, False])
def test_the_gradients_of_batch_norm_of_images(training: bool) -> None:
    assert check_layer(norm_of_three().train(training), images(2, 3, 2, 3))


def test_images_of_one_pixel_are_rows() -> None:
    x = images(5, 3, 1, 1)
    flat, layer = BatchNorm1d(3), BatchNorm2d(3)
    np.testing.assert_array_equal(host(layer(tensor(x)))[:, :, 0, 0],
                                  host(flat(tensor(x[:, :, 0, 0]))))
    np.testing.assert_array_equal(host(layer.running_var), host(flat.running_var))


# ------------------------------------------------------------------------------------ wrong input

LAYERS: dict[str, Callable[[], Module]] = {
    "Conv2d": lambda: Conv2d(3, 2, 2), "MaxPool2d": lambda: MaxPool2d(2),
    "AvgPool2d": lambda: AvgPool2d(2), "AdaptiveAvgPool2d": lambda: AdaptiveAvgPool2d(2),
    "AdaptiveAvgPool2d of 1": lambda: AdaptiveAvgPool2d(1),
    "AdaptiveMaxPool2d": lambda: AdaptiveMaxPool2d(2),
    "AdaptiveConcatPool2d": AdaptiveConcatPool2d, "Dropout2d": Dropout2d}


@pytest.mark.parametrize("shape", [(3, 4, 4), (4, 4), (2, 3, 4, 4, 4)], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_inputs_that_are_not_images_are_refused(name: str, shape: tuple[int, ...]) -> None:
    text = ", ".join(map(str, shape))
    with pytest.raises(ShapeError, match=r"images have shape \(bs, channels, height, width\), "
                                         rf"got \({text}\); use \.unsqueeze"):
        LAYERS[name]()(tensor(images(*shape)))


@pytest.mark.parametrize("shape", [(2, 4, 4, 4), (2, 1, 4, 4)], ids=str)
def test_another_number_of_channels_is_refused(shape: tuple[int, ...]) -> None:
    """One channel would broadcast silently."""
    text = ", ".join(map(str, shape))
    with pytest.raises(ShapeError, match=rf"takes 3 channels, got images of \({text}\)"):
        Conv2d(3, 2, 2)(tensor(images(*shape)))
    with pytest.raises(ShapeError, match=r"3 features needs \(bs, 3, height, width\), got "
                                         rf"\({text}\)"):
        BatchNorm2d(3)(tensor(images(*shape)))


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2)], ids=str)
def test_batch_norm_of_images_refuses_rows(shape: tuple[int, ...]) -> None:
    layer = BatchNorm2d(3)
    with pytest.raises(ShapeError, match=r"needs \(bs, 3, height, width\), got \(4, 3"):
        layer(tensor(images(*shape)))
    assert layer.num_batches_tracked.item() == 0


@pytest.mark.parametrize("layer", [
    lambda: Conv2d(2, 3, (2, 5)), lambda: Conv2d(2, 3, (4, 1)), lambda: MaxPool2d((2, 5)),
    lambda: AvgPool2d((2, 5)), lambda: Conv2d(2, 3, (2, 7), padding=(0, 1))],
    ids=["conv, wide", "conv, high", "max", "average", "conv, padded"])
def test_a_kernel_larger_than_the_image_is_refused(layer: Callable[[], Module]) -> None:
    with pytest.raises(ShapeError, match=r"a kernel of \(\d, \d\) does not fit on images of "
                                         r"\(3, 4\) with padding \(0, [01]\); use larger images"):
        layer()(tensor(images(1, 2, 3, 4)))


@pytest.mark.parametrize("make", [
    lambda: Conv2d(1, 1, 0), lambda: Conv2d(1, 1, 3, stride=0), lambda: Conv2d(1, 1, 3, 1, -1),
    lambda: Conv2d(1, 1, (3, 0)), lambda: MaxPool2d(2, 0), lambda: AvgPool2d(2, padding=(0, -1)),
    lambda: AdaptiveAvgPool2d(0), lambda: AdaptiveMaxPool2d((2, 0))])
def test_wrong_sizes_are_refused(make: Callable[[], Module]) -> None:
    with pytest.raises(ValueError, match=r"is a number or a pair of numbers, at least [01]; got "):
        make()


# ------------------------------------------------------------------------------- repr and training

def test_reprs_equal_torchs() -> None:
    """Recorded from torch 2.13, whose BatchNorm2d adds ``bias=True``."""
    assert [repr(layer) for layer in (
        Conv2d(3, 8, 3), Conv2d(3, 8, (3, 1), 2, (1, 0), bias=False), Conv2d(1, 1, 1, padding=1),
        MaxPool2d(2), MaxPool2d((2, 3), stride=1), AvgPool2d(2), AvgPool2d(3, 2, 1),
        AdaptiveAvgPool2d(1), AdaptiveAvgPool2d((2, 3)), AdaptiveMaxPool2d((2, 3)),
        BatchNorm2d(3))] == [
        "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))",
        "Conv2d(3, 8, kernel_size=(3, 1), stride=(2, 2), padding=(1, 0), bias=False)",
        "Conv2d(1, 1, kernel_size=(1, 1), stride=(1, 1), padding=(1, 1))",
        "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
        "MaxPool2d(kernel_size=(2, 3), stride=1, padding=0, dilation=1, ceil_mode=False)",
        "AvgPool2d(kernel_size=2, stride=2, padding=0)",
        "AvgPool2d(kernel_size=3, stride=2, padding=1)",
        "AdaptiveAvgPool2d(output_size=1)",
        "AdaptiveAvgPool2d(output_size=(2, 3))",
        "AdaptiveMaxPool2d(output_size=(2, 3))",
        "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"]


def test_a_small_network_learns_rows_and_columns() -> None:
    """An image has a bright row or a bright column anywhere, so no single pixel decides."""
    x = np.zeros((12, 1, 6, 6), np.float32)
    for i in range(6):
        x[i, 0, i], x[6 + i, 0, :, i] = 1, 1
    y = tensor(np.repeat([0, 1], 6))
    net = Sequential(Conv2d(1, 4, 3, padding=1, seed=0), BatchNorm2d(4), ReLU(), MaxPool2d(2),
                     Conv2d(4, 4, 3, seed=1), ReLU(), AdaptiveAvgPool2d(1), Flatten(),
                     Linear(4, 2, seed=2))
    for _ in range(60):
        net.zero_grad()
        loss = cross_entropy(net(tensor(x)), y)
        loss.backward()
        with no_grad():
            for p in net.parameters():
                p.data -= np.float32(.5) * p.grad
    assert loss.item() < .05
