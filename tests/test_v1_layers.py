"""fastai v1's layers and losses that the core does not have, against plain formulas."""
import builtins
from collections.abc import Callable

import numpy as np
import pytest
from host import check_layer, host

from minifast import gradcheck, tensor
from minifast.layers import (
    BatchNorm1dFlat,
    BCEFlat,
    Debugger,
    MergeLayer,
    NoopLoss,
    PartialLayer,
    PoolFlatten,
    ResizeBatch,
    SequentialEx,
    View,
    WassersteinLoss,
    batchnorm_2d,
    conv2d,
    relu,
)
from minifast.nn import BatchNorm1d, Lambda, Linear, ReLU, Sequential, softmax
from minifast.train import Learner, flatten_model
from minifast.vision import apply_init


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize(("layer", "shape"), [
    (View(4, -1), (4, 6)), (View(-1), (24,)), (ResizeBatch(3, 4), (2, 3, 4)),
    (ResizeBatch(-1), (2, 12))])
def test_reshaping_keeps_the_numbers(layer: View, shape: tuple[int, ...]) -> None:
    x = numbers(2, 3, 2, 2)
    y = layer(tensor(x))
    assert y.shape == shape
    np.testing.assert_array_equal(host(y).ravel(), x.ravel())
    assert str(layer).startswith(type(layer).__name__ + "(")


def test_batch_norm_of_the_last_axis() -> None:
    x = numbers(4, 5, 3).astype(np.float32)
    flat, plain = BatchNorm1dFlat(3), BatchNorm1d(3)
    y = flat(tensor(x))
    assert y.shape == x.shape
    np.testing.assert_array_equal(host(y).reshape(-1, 3),
                                  host(plain(tensor(x.reshape(-1, 3)))))
    np.testing.assert_array_equal(host(flat.running_var), host(plain.running_var))


def test_torchs_small_layers() -> None:
    from minifast import nn
    x = numbers(3, 4)
    np.testing.assert_array_equal(host(nn.Identity()(tensor(x))), x)
    np.testing.assert_allclose(host(nn.Tanh()(tensor(x))), np.tanh(x), rtol=1e-6)
    for dim in (0, 1, -1):
        e = np.exp(x)
        np.testing.assert_allclose(host(nn.Softmax(dim=dim)(tensor(x))),
                                   e / e.sum(dim, keepdims=True), rtol=1e-6)
    assert check_layer(Sequential(nn.Identity(), nn.Tanh(), nn.Softmax(0)), x)
    assert repr(nn.Softmax(dim=1)) == "Softmax(dim=1)"


def test_constant_initial_weights() -> None:
    from minifast import nn
    layer = Linear(2, 3)
    for init, expected in ((nn.init.zeros_, 0), (nn.init.ones_, 1)):
        assert init(layer.weight) is layer.weight
        assert (host(layer.weight) == expected).all()
    nn.init.constant_(layer.bias, .5)
    assert host(layer.bias).tolist() == [.5] * 3


def test_relu_is_a_layer() -> None:
    assert type(relu(inplace=True)) is ReLU
    assert host(relu(leaky=.1)(tensor([-2., 3.]))).tolist() == pytest.approx([-.2, 3])


# ---------------------------------------------------------------- shortcuts


def test_a_merge_layer_adds_the_input_of_the_chain() -> None:
    inner = Linear(3, 3, seed=0)
    block = SequentialEx(inner, ReLU(), MergeLayer())
    x = tensor(numbers(2, 3).astype(np.float32))
    np.testing.assert_array_equal(host(block(x)), host(inner(x).relu() + x))
    assert check_layer(SequentialEx(Linear(3, 3, seed=0), MergeLayer()), numbers(2, 3))
    assert block.layers[0] is inner
    assert len(flatten_model(block)) == 3


def test_a_dense_merge_layer_joins() -> None:
    x = numbers(2, 3, 4)
    block = SequentialEx(Lambda(lambda t: t * 2), MergeLayer(dense=True))
    np.testing.assert_array_equal(host(block(tensor(x))), np.concatenate([x * 2, x], axis=1))


def test_shortcuts_can_be_nested() -> None:
    double = Lambda(lambda t: t * 2)
    block = SequentialEx(double, SequentialEx(double, MergeLayer()), MergeLayer())
    assert host(block(tensor([1.]))).tolist() == [2 * 2 + 2 + 1]


def test_a_merge_layer_alone_says_where_it_belongs() -> None:
    with pytest.raises(RuntimeError, match="it is in none; write SequentialEx"):
        Sequential(MergeLayer())(tensor([1.]))


# ---------------------------------------------------------------- functions as layers


def test_a_partial_layer_calls_its_function() -> None:
    x = numbers(2, 3)
    layer = PartialLayer(softmax, axis=0)
    np.testing.assert_array_equal(host(layer(tensor(x))), host(softmax(tensor(x), axis=0)))
    assert repr(layer) == "PartialLayer(softmax(axis=0))"


def test_a_debugger_stops_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[int] = []
    monkeypatch.setattr(builtins, "breakpoint", lambda: stopped.append(1))
    assert host(Debugger()(tensor([2.]))).tolist() == [2]
    assert stopped == [1]


# ---------------------------------------------------------------- losses


def test_bce_of_probabilities() -> None:
    rng = np.random.default_rng(0)
    p, y = rng.uniform(.1, .9, (4, 2)), rng.integers(0, 2, (4, 2))
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    np.testing.assert_allclose(float(BCEFlat()(tensor(p), tensor(y))), expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(host(BCEFlat("none")(tensor(p), tensor(y))), expected.ravel(),
                               rtol=1e-6)
    assert gradcheck(lambda p: BCEFlat()(p, tensor(y.astype(float))), tensor(p))
    assert repr(BCEFlat()) == "FlattenedLoss of BCELoss()"


def test_bce_of_a_wrong_certainty_is_finite() -> None:
    p = tensor([0., 1.], requires_grad=True)
    loss = BCEFlat("none")(p, tensor([1., 0.]))
    assert np.isfinite(host(loss)).all()
    assert (host(loss) > 80).all()
    loss.sum().backward()
    assert np.isfinite(host(p.grad)).all()
    with pytest.raises(ValueError, match="probabilities from 0 to 1; for scores use BCEWithLogits"):
        BCEFlat()(tensor([1.5]), tensor([1.]))


def test_losses_of_gans() -> None:
    real, fake = numbers(5, 1), numbers(5, 1, seed=1)
    np.testing.assert_allclose(float(WassersteinLoss()(tensor(real), tensor(fake))),
                               real.mean() - fake.mean())
    np.testing.assert_allclose(float(NoopLoss()(tensor(real), tensor(fake))), real.mean())


# ---------------------------------------------------------------- of images


def test_conv2d_is_initialised() -> None:
    layer = conv2d(8, 64, ks=5, stride=2, bias=True, seed=0)
    assert (layer.padding, layer.stride) == ((2, 2), (2, 2))
    assert not host(layer.bias).any()
    expected = np.sqrt(2 / (8 * 25))  # Kaiming's standard deviation
    assert abs(host(layer.weight).std() / expected - 1) < .02  # of 12 800 numbers
    assert conv2d(1, 2).bias is None


def test_batchnorm_2d_starts_as_in_v1() -> None:
    class BatchZero:
        name = "BatchZero"
    for norm_type, weight in ((None, 1), (BatchZero, 0)):
        layer = batchnorm_2d(3, norm_type)
        assert host(layer.weight).tolist() == [weight] * 3
        np.testing.assert_allclose(host(layer.bias), 1e-3, rtol=1e-6)


def test_pool_flatten_is_the_mean_of_an_image() -> None:
    x = numbers(2, 3, 4, 4)
    np.testing.assert_allclose(host(PoolFlatten()(tensor(x))), x.mean((2, 3)))


@pytest.mark.parametrize("init", [lambda w: w.data.fill(3), lambda w, seed: w.data.fill(3)])
def test_apply_init_takes_a_plain_function(init: Callable[..., None]) -> None:
    net = Sequential(Linear(2, 2), BatchNorm1d(2), Linear(2, 1).requires_grad_(False))
    frozen = host(net[2].weight).copy()
    apply_init(net, init)
    assert (host(net[0].weight) == 3).all()
    assert not host(net[0].bias).any()
    assert (host(net[1].weight) == 1).all()
    np.testing.assert_array_equal(host(net[2].weight), frozen)


def test_a_learner_is_initialised_anew() -> None:
    from tiny import line_learner
    learn: Learner = line_learner()
    learn.init(lambda w: w.data.fill(2))  # type: ignore[attr-defined]
    assert host(learn.model.weight).tolist() == [[2, 2, 2]]
