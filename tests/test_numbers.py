"""Values at the edges: NaN, zero, nothing, small integers, other types; torch's, recorded."""
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from host import host, put

from minifast import ShapeError, Tensor, apply, cat, gradcheck, stack, tensor
from minifast.autograd import ops
from minifast.metrics import accuracy, accuracy_thresh, mae, mse, msle, top_k_accuracy
from minifast.nn import (
    BatchNorm1d,
    Dropout,
    binary_cross_entropy_with_logits,
    cross_entropy,
    mse_loss,
    softmax,
)
from minifast.train.groups import lr_range
from minifast.vision.losses import label_smoothing_cross_entropy
from minifast.vision.pool import AvgPool2d

nan, inf = float("nan"), float("inf")


def gradients(f: Callable[..., Tensor], *values: Any) -> list[Any]:
    """The gradients of the sum of ``f``, without NumPy's warnings."""
    inputs = [tensor(v, requires_grad=True) for v in values]
    with np.errstate(all="ignore"):
        f(*inputs).sum().backward()
    return [host(x.grad).tolist() for x in inputs]


def bytes_of(*values: int) -> Tensor:
    return Tensor(put(np.array(values, np.uint8)))


# ------------------------------------------------------------------------------------------- axes

@pytest.mark.parametrize("axes", [(-1, 0, 1), (-1, -3, -2), (1, -1, 0), (-3, -2, -1)])
def test_transposing_by_negative_axes(axes: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    weights = np.random.default_rng(1).normal(size=x.transpose(axes).shape)
    back = weights.transpose(np.argsort([i % 3 for i in axes]))
    for f in (lambda t: t.transpose(*axes), lambda t: np.transpose(t, axes)):
        t = tensor(x, requires_grad=True)
        (f(t) * put(weights)).sum().backward()
        np.testing.assert_array_equal(host(t.grad), back)


@pytest.mark.parametrize("axis", [-3, -2, -1, 0, 1, 2])
@pytest.mark.parametrize("f", [
    lambda x, axis: stack([x, x * 2], axis), lambda x, axis: cat([x, x * 2], axis),
    lambda x, axis: x.unsqueeze(axis) * x.unsqueeze(axis), lambda x, axis: x.var(axis) * 1,
    lambda x, axis: x.std(axis, keepdims=True), lambda x, axis: softmax(x, axis),
    lambda x, axis: x.sum(axis) * x.mean(axis), lambda x, axis: x.max(axis) * x.min(axis)],
    ids=["stack", "cat", "unsqueeze", "var", "std", "softmax", "sum and mean", "max and min"])
def test_every_axis_has_its_gradient(f: Callable[..., Tensor], axis: int) -> None:
    assert gradcheck(lambda x: f(x, axis), tensor(np.random.default_rng(0).normal(size=(2, 3, 4))))


@pytest.mark.parametrize("axis", [-2, -1, 0, 1])
def test_positions_along_an_axis(axis: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4))
    for name in ("argmax", "argmin", "argsort"):
        found = host(getattr(tensor(x), name)(axis))
        np.testing.assert_array_equal(found, getattr(np, name)(x, axis))


# ------------------------------------------------------------------------------------------ dtypes

@pytest.mark.cpu_only("a device has the machine's order of bytes")
@pytest.mark.parametrize("order", ["<f8", ">f8"])
def test_float64_of_any_origin_stays_float64(order: str) -> None:
    array = np.array([1, 2, 4], order)
    array = pickle.loads(pickle.dumps(array))
    for y in (Tensor(array).sum(), Tensor(array).max(), tensor(array).exp(),
              tensor([1., 2., 4.]) * array, tensor(array) * 2):
        assert y.dtype == np.float64
        assert y.dtype.isnative
    x = Tensor(array, requires_grad=True)
    (x.max() + x.mean()).backward()
    np.testing.assert_allclose(x.grad, [1 / 3, 1 / 3, 4 / 3])


@pytest.mark.cpu_only("a device has the machine's order of bytes")
def test_big_endian_integers_are_indices() -> None:
    ids = Tensor(np.array([2, 0], ">i8"))
    assert tensor([1., 2., 3.])[ids].tolist() == [3, 1]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dropout_keeps_the_number_type(dtype: type) -> None:
    y = Dropout(.25, seed=0)(Tensor(put(np.ones(50, dtype))))
    assert y.dtype == dtype
    assert set(host(y).tolist()) == {0, dtype(4 / 3).item()}


def test_conversion_between_float_types_has_a_gradient() -> None:
    x = tensor([1., 2.], requires_grad=True)
    wide = x.astype(np.float64)
    assert wide.dtype == np.float64
    (wide ** 2).sum().backward()
    assert (host(x.grad).tolist(), x.grad.dtype) == ([2, 4], np.float32)
    half = Tensor(put(np.array([1, 2], np.float16)), requires_grad=True)
    (half.float() * half.astype(">f8" if x.device == "cpu" else "f8")).sum().backward()
    assert (host(half.grad).tolist(), half.grad.dtype) == ([2, 4], np.float16)
    assert not x.long().requires_grad
    assert not x.astype(bool).requires_grad
    assert tensor([1, 2]).astype(np.float64).dtype == np.float64


@pytest.mark.parametrize("data", [[1, 2], [True, False]])
def test_whole_numbers_have_no_gradient(data: list[int]) -> None:
    x = tensor(data)
    with pytest.raises(TypeError, match=r"only floats have gradients.*tensor\.float\(\)"):
        x.requires_grad_()
    assert x.requires_grad_(False) is x
    assert not x.requires_grad


@pytest.mark.parametrize(("f", "expected"), [
    (Tensor.sigmoid, [.5, .73105858, 1, 1]), (Tensor.exp, [1, 2.7182817, inf, inf]),
    (Tensor.log, [-inf, 0, 5.2983174, 5.5412636]), (Tensor.sqrt, [0, 1, 14.142136, 15.968719]),
    (Tensor.tanh, [0, .76159418, 1, 1]), (np.exp, [1, 2.7182817, inf, inf]),
    (lambda x: apply(ops.sigmoid_range, x, low=0, high=2), [1, 1.4621172, 2, 2]),
    (softmax, [0, 0, 0, 1]), (lambda x: x.sigmoid().mean(), [.80776465])])
def test_functions_of_small_integers_are_float32(f: Any, expected: list[float]) -> None:
    with np.errstate(all="ignore"):
        y = f(bytes_of(0, 1, 200, 255))
    assert y.dtype == np.float32
    np.testing.assert_allclose(host(y).reshape(-1), expected, rtol=1e-6, atol=1e-20)
    signed = Tensor(put(np.array([-128, 127], np.int8))).sigmoid()
    np.testing.assert_allclose(host(signed), [0, 1], atol=1e-20)


@pytest.mark.parametrize("loss", [
    lambda a, b: mse_loss(a, b), lambda a, b: mse_loss(a, b, "none"), lambda a, b: mse(a, b),
    lambda a, b: mae(a, b), lambda a, b: msle(a, b),
    lambda a, b: cross_entropy(a.unsqueeze(0), bytes_of(1)),
    lambda a, b: label_smoothing_cross_entropy(a.unsqueeze(0), bytes_of(1)),
    lambda a, b: binary_cross_entropy_with_logits(a, (b > 5).long()),
    lambda a, b: AvgPool2d((1, 3))(a.reshape(1, 1, 1, 3))])
def test_losses_of_small_integers_are_those_of_floats(loss: Callable[..., Tensor]) -> None:
    a, b = bytes_of(1, 250, 255), bytes_of(200, 3, 7)
    got, expected = loss(a, b), loss(a.float(), b.float())
    np.testing.assert_allclose(host(got), host(expected), rtol=1e-6)
    np.testing.assert_allclose(host(loss(a, b.float())), host(expected), rtol=1e-6)
    assert got.dtype == np.float32


def test_batch_norm_of_many_small_integers() -> None:
    values = np.arange(4096, dtype=np.uint8).reshape(-1, 1)
    expected = BatchNorm1d(1)(Tensor(put(values.astype(np.float32))))
    np.testing.assert_allclose(host(BatchNorm1d(1)(Tensor(put(values)))), host(expected), atol=1e-5)


# ------------------------------------------------------------------------------- zero, NaN, nothing

def test_powers_at_zero() -> None:
    assert gradients(lambda x: x ** 0, [0., -2., nan]) == [[0, 0, 0]]
    assert gradients(lambda x: x ** 0., [0., -2., nan]) == [[0, 0, 0]]
    by_base, by_exponent = gradients(
        lambda a, b: a ** b, [0., 0., 0., 2., -2., 0.], [0., 2., -1., 0., 2., .5])
    np.testing.assert_allclose(by_base, [0, 0, -inf, 0, -4, inf])
    np.testing.assert_allclose(by_exponent, [0, 0, -inf, math.log(2), nan, 0], rtol=1e-6)
    assert gradients(lambda b: 0. ** b, [0., 1., 2.]) == [[0, 0, 0]]


@pytest.mark.parametrize(("x", "std", "slope"), [
    ([1., 2., 3.], 1., [-.5, 0, .5]), ([2., 2., 2.], 0., [0, 0, 0])])
def test_the_spread_is_its_formula(x: list[float], std: float, slope: list[float]) -> None:
    """(x - mean) / ((n - 1) std), also where the variance and its root are the same number."""
    assert tensor(x).std().item() == std
    assert gradients(lambda t: t.std(), x) == [slope]


def test_the_spread_of_constants_has_no_slope() -> None:
    assert gradients(Tensor.std, [3., 3., 3.]) == [[0, 0, 0]]
    (mixed,) = gradients(lambda x: x.std(1), [[1., 1.], [1., 3.]])
    np.testing.assert_allclose(mixed, [[0, 0], [-math.sqrt(.5), math.sqrt(.5)]], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
@pytest.mark.parametrize("f", [Tensor.mean, Tensor.var, Tensor.std, Tensor.sum,
                               lambda x: mse_loss(x, tensor(np.zeros((0, 3)))),
                               lambda x: x.mean(1), lambda x: x.mean(0), lambda x: x.std(0)])
def test_nothing_has_an_empty_gradient(f: Callable[[Tensor], Tensor]) -> None:
    x = tensor(np.zeros((0, 3)), requires_grad=True)
    f(x).sum().backward()
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize(("f", "slope"), [
    (lambda x: x.mean(), 1), (lambda x: x.mean(0), 1), (lambda x: x.max(), 1),
    (lambda x: x.var(correction=0), 0), (lambda x: mse_loss(x, tensor([1.])), 4),
    (lambda x: mse_loss(tensor([1.]), x), 4)],
    ids=["mean", "of an axis", "max", "var", "mse", "mse, target"])
def test_one_element_has_the_whole_gradient(f: Callable[[Tensor], Tensor], slope: float) -> None:
    assert gradients(f, [3.]) == [[slope]]


def test_nan_keeps_its_gradient() -> None:
    assert np.isnan(host(tensor([nan]).relu()))
    assert gradients(Tensor.relu, [nan, -1., 0., 2.]) == [[1, 0, 0, 1]]
    assert gradients(lambda x: x.clip(0, 1), [nan, .5, 2.]) == [[0, 1, 0]]
    a, b = [nan, 1., 1., 2.], [1., nan, 1., 1.]
    assert gradients(np.maximum, a, b) == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert gradients(np.minimum, a, b) == [[1, 1, 1, 0], [1, 1, 0, 1]]


def test_whole_numbers_to_negative_powers() -> None:
    with pytest.raises(TypeError, match=r"negative integer powers.*tensor\.float\(\)"):
        tensor([1, 2]) ** -1
    assert (tensor([1., 2.]) ** -1).tolist() == [1, .5]


# ----------------------------------------------------------------------------------------- indices

@pytest.mark.parametrize("index", [
    0, -1, slice(1, 3), slice(None, None, -2), (slice(None), 1), (..., -1), None, (0, 1),
    (None, slice(1), ..., None), slice(2, 2), (slice(None, None, 2), slice(3, 0, -1))], ids=str)
def test_a_plain_index_assigns_its_gradient(index: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a slice names no element twice")
    monkeypatch.setattr(ops, "_add_at", refuse)
    x = tensor(np.arange(20.).reshape(4, 5), requires_grad=True)
    y = x[index]
    weights = np.arange(1., y.numel() + 1).reshape(y.shape)
    (y * put(weights)).sum().backward()
    expected = np.zeros((4, 5))
    expected[index] = weights
    np.testing.assert_array_equal(host(x.grad), expected)


# ----------------------------------------------------------------------------------------- metrics

def test_metrics_of_sequences() -> None:
    rng = np.random.default_rng(0)
    pred, target = rng.normal(size=(3, 4, 6)), rng.integers(0, 6, (3, 4))
    best = np.argsort(pred, -1)
    rows = list(zip(best.reshape(-1, 6), target.flat, strict=True))
    for k in (1, 2, 6, 9):
        expected = np.mean([t in row[-k:] for row, t in rows])
        assert top_k_accuracy(tensor(pred), tensor(target), k).item() == pytest.approx(expected)
    expected = (best[..., -1] == target).mean()
    assert accuracy(tensor(pred), tensor(target)).item() == pytest.approx(expected)


@pytest.mark.parametrize("metric", [accuracy, top_k_accuracy, accuracy_thresh, mse, mae, msle])
@pytest.mark.parametrize("n", [1, 3, 5])
def test_metrics_refuse_another_number_of_targets(metric: Any, n: int) -> None:
    pred = np.ones((4, 1)) if metric not in (accuracy, top_k_accuracy) else np.ones((4, 3))
    with pytest.raises(ShapeError, match=f"as many predictions as targets, got 4 and {n}"):
        metric(tensor(pred), tensor([1] * n))


def test_a_column_of_scores_meets_a_row_of_answers() -> None:
    pred, target = tensor([[2.], [-2.], [2.]]), tensor([1, 0, 0])
    assert accuracy_thresh(pred, target).item() == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="k=0"):
        top_k_accuracy(tensor([[1., 2.]]), tensor([0]), k=0)


def test_rates_in_equal_ratios_are_v1s() -> None:
    """``even_mults``: start * (mult ** (1 / (n - 1))) ** i."""
    assert lr_range(slice(1, 8), 4) == [1, 2, 4, 8]
    for start, stop, n in [(1e-5, 1e-3, 3), (1e-6, 3e-3, 5), (.1, .1, 2)]:
        step = (stop / start) ** (1 / (n - 1))
        assert lr_range(slice(start, stop), n) == [start * step ** i for i in range(n)]


def test_spread_by_numpys_function() -> None:
    x = tensor(np.arange(6.).reshape(2, 3), requires_grad=True)
    for keys in ({}, {"axis": -1}, {"axis": 0, "keepdims": True}):
        expected = np.std(host(x.data), **keys)  # type: ignore[call-overload]
        np.testing.assert_allclose(host(np.std(x, **keys).data), expected)  # type: ignore[call-overload]


def test_a_flag_makes_no_gradient_of_whole_numbers() -> None:
    x = tensor([1, 2])
    x.requires_grad = True
    with pytest.raises(TypeError, match=r"tensor\.float"):
        (x * 1.5).sum().backward()
