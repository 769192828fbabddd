"""Layers, losses and initial weights against plain formulas; modules as trees."""
import copy
import pickle
from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import pytest
from host import check_layer as check
from host import host, put

from minifast import ShapeError, Tensor, gradcheck, no_grad
from minifast.autograd import tensor
from minifast.nn import (
    BatchNorm1d,
    BCEWithLogitsFlat,
    Buffer,
    CrossEntropyFlat,
    Dropout,
    Embedding,
    Flatten,
    FlattenedLoss,
    Lambda,
    Linear,
    Module,
    ModuleList,
    MSELossFlat,
    Parameter,
    ReLU,
    Sequential,
    Sigmoid,
    SigmoidRange,
    StateDictError,
    TabularModel,
    binary_cross_entropy_with_logits,
    check_y_range,
    cross_entropy,
    embedding,
    kaiming_normal_,
    kaiming_uniform_,
    mse_loss,
    normal_,
    sigmoid_range,
    softmax,
    trunc_normal_,
    uniform_,
    xavier_normal_,
    xavier_uniform_,
)

Array = np.ndarray
ONE_ROUNDING = {"rtol": 1e-6, "atol": 1e-6}        # numbers of order 1 in float32


def grid(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class DotBias(Module):
    """The tree of modules of fastai's EmbeddingDotBias."""

    def __init__(self) -> None:
        self.y_range = [0, 5.5]
        self.u_weight, self.i_weight, self.u_bias, self.i_bias = (
            embedding(*size) for size in ((944, 40), (1654, 40), (944, 1), (1654, 1)))


DotBias.__name__ = "EmbeddingDotBias"


# ------------------------------------------------------------------------------------------- linear

def test_linear_is_its_formula() -> None:
    layer, x = Linear(3, 2), grid(5, 3)
    expected = x @ host(layer.weight).T + host(layer.bias)
    np.testing.assert_allclose(host(layer(tensor(x))), expected, **ONE_ROUNDING)
    bare = Linear(3, 2, bias=False)
    np.testing.assert_allclose(host(bare(tensor(x))), x @ host(bare.weight).T, **ONE_ROUNDING)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 4, 3), (1, 3)])
def test_linears_gradients(shape: tuple[int, ...], bias: bool) -> None:
    layer = Linear(3, 2, bias)
    assert layer(tensor(grid(*shape))).shape == (*shape[:-1], 2)
    assert check(layer, grid(*shape))


def test_linear_starts_as_torchs_does() -> None:
    """Uniform in +-1/sqrt(n_in): standard deviation 1/sqrt(3 n_in)."""
    layer = Linear(100, 400, seed=0)
    for p in map(host, (layer.weight, layer.bias)):
        assert .098 < abs(p).max() <= .1
        assert p.std() == pytest.approx(.1 / sqrt(3), rel=.05)
    assert [p.no_wd for p in (layer.weight, layer.bias)] == [False, True]
    assert layer.weight.dtype == layer.bias.dtype == np.float32


@pytest.mark.parametrize("bias", [True, False])
def test_linear_refuses_another_width(bias: bool) -> None:
    with pytest.raises(ShapeError, match=r"shapes \(5, 4\) and "):
        Linear(3, 2, bias)(tensor(grid(5, 4)))


# ---------------------------------------------------------------------------------------- embedding

def test_embedding_is_a_one_hot_product() -> None:
    layer, ids = Embedding(5, 3, seed=0), np.array([[4, 0], [4, 2]])
    np.testing.assert_array_equal(host(layer(tensor(ids))),
                                  np.eye(5, dtype=np.float32)[ids] @ host(layer.weight))
    g = grid(2, 2, 3)
    layer(tensor(ids)).backward(put(g))
    expected = np.eye(5)[ids].reshape(-1, 5).T @ g.reshape(-1, 3)
    np.testing.assert_allclose(host(layer.weight.grad), expected, **ONE_ROUNDING)


@pytest.mark.parametrize("ids", [tensor([1, 1, 4]), tensor([[0], [1]]), tensor(3), [0, 2],
                                 np.array([4]), tensor([1], np.int32), tensor([1], np.uint8)],
                         ids=repr)
def test_embeddings_gradient(ids: Any, device: str) -> None:
    layer, ids = Embedding(5, 3), ids.to(device) if isinstance(ids, Tensor) else ids
    assert layer(ids).shape == (*np.shape(ids), 3)

    def f(weight: Tensor) -> Any:
        layer.weight = weight
        return layer(ids)
    assert gradcheck(f, layer.weight)


unwaited = pytest.mark.cpu_only("ids on a GPU are not checked in each step, to avoid a wait; "
                                "a learner checks its data once (test_fakecuda.py)")


@unwaited
@pytest.mark.parametrize("ids", [[0, 5], [-1, 0], [-6], [2**40], np.array([-1])], ids=repr)
def test_embedding_refuses_ids_out_of_range(ids: Any) -> None:
    """NumPy would take the id -1 for the last row."""
    wrong = next(i for i in ids if not 0 <= i < 5)
    with pytest.raises(IndexError, match=rf"id {wrong} is out of range for an Embedding of 5 rows "
                                         rf"\(0 to 4\); 1 of {len(ids)} ids are"):
        Embedding(5, 3)(ids if isinstance(ids, np.ndarray) else tensor(ids))


@pytest.mark.parametrize("ids", [tensor([1.]), tensor([True]), tensor([])], ids=repr)
def test_embedding_refuses_what_is_no_id(ids: Tensor) -> None:
    with pytest.raises(TypeError, match=rf"ids must be whole numbers, got {ids.dtype}"):
        Embedding(5, 3)(put(ids))


@unwaited
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_negative_ids_of_every_integer_type_are_refused(dtype: type) -> None:
    """As an unsigned number of one or two bytes, -1 would be a valid row of 70 000."""
    with pytest.raises(IndexError, match="id -1 is out of range"):
        Embedding(70_000, 1)(tensor([5, -1], dtype))


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16])
def test_ids_of_every_integer_type_are_looked_up(dtype: type) -> None:
    """Some of these types cannot hold the number of rows."""
    layer = Embedding(70_000, 1, seed=0)
    table = host(layer.weight)
    for ids in (tensor([0, 100], dtype), tensor([[1, 2], [3, 4]], dtype).t()):
        np.testing.assert_array_equal(host(layer(ids)), table[host(ids)])


def test_an_embeddings_gradient_is_a_plain_array_of_its_shape() -> None:
    layer = Embedding(5, 3)
    for _ in range(2):
        layer(tensor([4, 4, 0])).sum().backward()
    assert type(layer.weight.grad) is type(layer.weight.data)
    np.testing.assert_array_equal(host(layer.weight.grad), np.float32([[2], [0], [0], [0], [4]])
                                  * np.ones(3, np.float32))


def test_embedding_of_no_ids() -> None:
    assert Embedding(5, 3)(tensor([], np.int64)).shape == (0, 3)


def test_embeddings_start_as_torchs_and_fastais_do() -> None:
    torchs, fastais = Embedding(4000, 50, seed=0), embedding(4000, 50, seed=0)
    assert host(torchs.weight).std() == pytest.approx(1, abs=.01)
    assert host(fastais.weight).std() == pytest.approx(.00866, abs=5e-5)
    assert abs(host(fastais.weight)).max() < .02
    assert not fastais.weight.no_wd
    np.testing.assert_array_equal(host(embedding(9, 2, seed=3).weight),
                                  host(embedding(9, 2, seed=3).weight))


# --------------------------------------------------------------------------------------- batch norm

def set_to(t: Tensor, *numbers: float) -> None:
    t.data[...] = put(np.array(numbers, np.float32))


def normalised(x: Array, mean: Array, var: Array, eps: float = 1e-5) -> Array:
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (1, 3, 5), (2, 3)])
def test_batch_norm_while_training(shape: tuple[int, ...]) -> None:
    """The output uses the biased variance, running_var the unbiased one, as in torch."""
    layer, x = BatchNorm1d(3), grid(*shape) * 3 + 7
    set_to(layer.weight, 1, 2, 3)
    set_to(layer.bias, 4, 5, 6)
    axes = (0, 2) if len(shape) == 3 else (0,)
    mean, n = x.mean(axes), x.size / 3
    column = (1, -1) + (1,) * (len(shape) - 2)
    expected = normalised(x, mean, x.var(axes)) * host(layer.weight).reshape(column) \
        + host(layer.bias).reshape(column)
    np.testing.assert_allclose(host(layer(tensor(x))), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(host(layer.running_mean), .1 * mean, **ONE_ROUNDING)
    np.testing.assert_allclose(host(layer.running_var), .9 + .1 * x.var(axes) * n / (n - 1),
                               **ONE_ROUNDING)
    assert layer.num_batches_tracked.item() == 1
    assert layer(tensor(x)).dtype == layer.running_var.dtype == np.float32


def test_batch_norm_follows_the_batches() -> None:
    """Recorded from torch 2.13: BatchNorm1d(2, momentum=.3) after [[1,2],[3,6]], [[5,1],[0,0]]."""
    layer = BatchNorm1d(2, momentum=.3)
    for batch in ([[1., 2.], [3., 6.]], [[5., 1.], [0., 0.]]):
        layer(tensor(batch))
    np.testing.assert_allclose(host(layer.running_mean), [1.1700000762939453, .9900000095367432],
                               rtol=2e-7)
    np.testing.assert_allclose(host(layer.running_var), [4.660000324249268, 2.320000171661377],
                               rtol=2e-7)
    assert layer.num_batches_tracked.item() == 2


@pytest.mark.parametrize("shape", [(6, 3), (1, 3), (4, 3, 5)])
def test_batch_norm_while_evaluating(shape: tuple[int, ...]) -> None:
    layer, x = BatchNorm1d(3).eval(), grid(*shape)
    set_to(layer.running_mean, 1, 2, 3)
    set_to(layer.running_var, 4, 5, 6)
    before = layer.state_dict()
    expected = normalised(x, np.array([1, 2, 3]), np.array([4, 5, 6]))
    np.testing.assert_allclose(host(layer(tensor(x))), expected, **ONE_ROUNDING)
    assert layer(tensor(x)).dtype == np.float32
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4)])
def test_batch_norms_gradients(shape: tuple[int, ...], training: bool) -> None:
    layer = BatchNorm1d(3)
    set_to(layer.weight, 1, 2, 3)
    set_to(layer.running_var, 4, 5, 6)
    assert check(layer.train(training), grid(*shape))


def test_batch_norm_of_whole_numbers_is_float32() -> None:
    whole, layer = np.array([[1, 250], [3, 4], [8, 0]], np.uint8), BatchNorm1d(2)
    for x in (whole, whole.astype(np.int64)):
        y = layer(tensor(x, x.dtype))
        assert y.dtype == np.float32
        expected = (whole - whole.mean(0)) / np.sqrt(whole.var(0) + 1e-5)
        np.testing.assert_allclose(host(y), expected, rtol=1e-5)
    assert layer.eval()(tensor(whole, np.int64)).dtype == np.float32
    assert layer.running_mean.dtype == np.float32


def test_batch_norm_refuses_to_train_on_one_value() -> None:
    layer = BatchNorm1d(3)
    before = layer.state_dict()
    for x in (grid(1, 3), grid(1, 3, 1), grid(0, 3)):
        with pytest.raises(ValueError, match=r"cannot train on a batch of shape \([01], 3.*"
                                             r"batch size of 2 or more, .* model\.eval\(\)"):
            layer(tensor(x))
    assert {k: v.tolist() for k, v in layer.state_dict().items()} == \
        {k: v.tolist() for k, v in before.items()}
    assert layer.eval()(tensor(grid(1, 3))).shape == (1, 3)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(4, 2), (4, 1), (3,), (2, 1, 3), (2, 3, 4, 4)])
def test_batch_norm_refuses_other_features(shape: tuple[int, ...], training: bool) -> None:
    """A single feature would broadcast. A refused batch leaves the running statistics unchanged."""
    layer = BatchNorm1d(3).train(training)
    layer.running_mean.data += 1
    with pytest.raises(ShapeError, match=r"batch norm of 3 features needs \(bs, 3\)"):
        layer(tensor(grid(*shape)))
    assert layer.running_mean.tolist() == [1, 1, 1]


def test_batch_norms_parameters_are_spared_by_decay() -> None:
    assert [p.no_wd for p in BatchNorm1d(2).parameters()] == [True, True]


# ------------------------------------------------------------------------------------------ dropout

def test_dropout_drops_and_scales() -> None:
    """40 000 elements are kept with probability 0.7: five standard deviations are 460."""
    layer, x = Dropout(.3, seed=0), tensor(np.ones((200, 200), np.float32))
    y = host(layer(x))
    kept = y != 0
    assert kept.sum() == pytest.approx(28_000, abs=460)
    np.testing.assert_array_equal(y[kept], np.float32(1) / np.float32(.7))
    assert y.dtype == np.float32
    assert not np.array_equal(host(layer(x)), y)
    np.testing.assert_array_equal(host(Dropout(.3, seed=0)(x)), y)


def test_dropouts_gradient_passes_where_the_input_did() -> None:
    x = tensor(np.ones(1000, np.float32), requires_grad=True)
    y = Dropout(.5)(x)
    y.sum().backward()
    np.testing.assert_array_equal(host(x.grad), host(y))


def test_dropout_does_nothing_otherwise() -> None:
    x = tensor([1., 2.])
    assert Dropout(.9).eval()(x) is x
    assert Dropout(0)(x) is x
    for p in (1, -.1, 1.5):
        with pytest.raises(ValueError, match=rf"probability lies in \[0, 1\), got {p}"):
            Dropout(p)


def test_dropout_is_fixed_by_numpys_seed() -> None:
    outputs = []
    for _ in range(2):
        np.random.seed(3)
        outputs.append(Dropout(.5)(tensor(np.ones(50, np.float32))).tolist())
    assert outputs[0] == outputs[1]


# ------------------------------------------------------------------- activations, shapes, functions

def test_activations() -> None:
    x = grid(3, 4)
    t = tensor(x)
    np.testing.assert_array_equal(host(ReLU()(t)), np.maximum(x, 0))
    np.testing.assert_allclose(host(Sigmoid()(t)), 1 / (1 + np.exp(-x)), **ONE_ROUNDING)
    for layer in (SigmoidRange(-1, 5.5), lambda t: sigmoid_range(t, -1, 5.5)):
        np.testing.assert_allclose(host(layer(t)), 6.5 / (1 + np.exp(-x)) - 1, **ONE_ROUNDING)
    for layer in (ReLU(), Sigmoid(), SigmoidRange(0, 5.5)):
        assert check(layer, x)
    assert SigmoidRange(0, 5.5)(tensor([-1e4, 1e4])).tolist() == [0, 5.5]


@pytest.mark.parametrize("y_range", [(5, 1), (1, 1), (0, float("nan"))])
def test_an_empty_range_is_refused(y_range: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=rf"from low to high, .*\({y_range[0]}, {y_range[1]}\)"):
        SigmoidRange(*y_range)
    for other in (y_range, list(y_range), np.array(y_range)):
        with pytest.raises(ValueError, match="from low to high"):
            TabularModel([(5, 3)], 0, 1, [], y_range=other)


@pytest.mark.parametrize("y_range", [5.5, [0], [0, 1, 2], "05", []], ids=repr)
def test_a_range_is_a_pair(y_range: Any) -> None:
    with pytest.raises(ValueError, match="is a pair") as caught:
        check_y_range(y_range)
    assert repr(y_range) in str(caught.value)


def test_a_range_may_be_given_as_any_pair() -> None:
    for y_range in ((0, 5.5), [0, 5.5], np.array([0, 5.5])):
        assert check_y_range(y_range) == (0, 5.5)
    assert check_y_range(None) is None


def test_flatten_and_lambda() -> None:
    x = tensor(grid(2, 3, 4))
    assert Flatten()(x).shape == (2, 12)
    assert Flatten(full=True)(x).shape == (24,)
    assert Flatten()(tensor([1., 2.])).shape == (2, 1)
    assert Lambda(lambda a, b: a + b)(tensor([1.]), tensor([2.])).tolist() == [3]
    assert check(Flatten(), grid(2, 3, 4))


# --------------------------------------------------------------------------------------- containers

def test_sequential_runs_in_order() -> None:
    net = Sequential(Linear(3, 4), ReLU(), Linear(4, 1))
    x = tensor(grid(5, 3))
    np.testing.assert_array_equal(host(net(x)), host(net[2](net[1](net[0](x)))))
    assert Sequential()(x) is x


@pytest.mark.parametrize("kind", [lambda m: Sequential(*m), ModuleList])
def test_containers_are_lists(kind: Callable[[list[Module]], ModuleList]) -> None:
    parts = [Linear(1, 1), ReLU(), Sigmoid(), Dropout()]
    net = kind(parts)
    assert len(net) == 4
    assert list(net) == parts
    assert net[-1] is parts[3]
    for part in (slice(1, 3), slice(None, -1), slice(None, None, 2), slice(9, 9)):
        assert type(net[part]) is type(net)
        assert list(net[part]) == parts[part]
    assert [name for name, _ in net[1:].named_children()] == ["0", "1", "2"]
    net[:1].append(ReLU())
    assert len(net) == 4
    net.append(ReLU())
    assert [name for name, _ in net.named_children()] == ["0", "1", "2", "3", "4"]
    for index in (5, -6):
        with pytest.raises(IndexError):
            net[index]


def test_a_slice_shares_its_parameters() -> None:
    net = Sequential(Linear(2, 2), ReLU(), Linear(2, 2))
    assert net[:1][0].weight is net[0].weight


# ------------------------------------------------------------------------------------------- losses

def test_mean_squared_error() -> None:
    pred, target = grid(7), grid(7, seed=2)
    squares = (pred - target) ** 2
    for reduction, expected in (("mean", squares.mean()), ("sum", squares.sum()),
                                ("none", squares)):
        loss = mse_loss(tensor(pred), tensor(target), reduction)
        np.testing.assert_allclose(host(loss), expected, **ONE_ROUNDING)
        assert loss.dtype == np.float32
        assert gradcheck(lambda p, t, r=reduction: mse_loss(p, t, r), tensor(pred), tensor(target))


def test_cross_entropy() -> None:
    pred, target = grid(6, 4), np.array([0, 3, 3, 1, 2, 0])
    p = np.exp(pred) / np.exp(pred).sum(1, keepdims=True)
    losses = -np.log(p[np.arange(6), target])
    scores, classes = tensor(pred), tensor(target)
    np.testing.assert_allclose(host(softmax(scores)), p, **ONE_ROUNDING)
    for reduction, expected in (("mean", losses.mean()), ("sum", losses.sum()), ("none", losses)):
        loss = cross_entropy(scores, classes, reduction)
        np.testing.assert_allclose(host(loss), expected, **ONE_ROUNDING)
        assert gradcheck(lambda p, r=reduction: cross_entropy(p, classes, r), scores)
    assert gradcheck(softmax, scores)
    assert gradcheck(lambda x: softmax(x, 0), scores)


def test_binary_cross_entropy() -> None:
    pred, target = grid(8), np.float32([0, 1, 1, 0, 1, 0, .25, .5])
    p = 1 / (1 + np.exp(-pred))
    losses = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    for reduction, expected in (("mean", losses.mean()), ("sum", losses.sum()), ("none", losses)):
        loss = binary_cross_entropy_with_logits(tensor(pred), tensor(target), reduction)
        np.testing.assert_allclose(host(loss), expected, **ONE_ROUNDING)
    assert gradcheck(binary_cross_entropy_with_logits, tensor(pred), tensor(target))


def test_huge_scores_neither_overflow_nor_warn() -> None:
    scores = tensor([[1e4, -1e4, 0.], [-1e30, 1e30, 0.]], requires_grad=True)
    loss = cross_entropy(scores, tensor([0, 1]))
    loss.backward()
    assert loss.item() == 0
    assert scores.grad.tolist() == [[0] * 3] * 2
    assert cross_entropy(tensor([[0., 1e4]]), tensor([0])).item() == 1e4
    assert softmax(tensor([1e4, 0., -1e4])).tolist() == [1, 0, 0]
    logits = tensor([1e4, -1e4, 1e30, -1e30], requires_grad=True)
    loss = binary_cross_entropy_with_logits(logits, tensor([1., 0., 1., 0.]), "sum")
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.tolist() == [0] * 4
    assert binary_cross_entropy_with_logits(tensor([-1e4]), tensor([1.])).item() == 1e4


def test_flattened_losses_do_not_mind_extra_axes() -> None:
    """Without flattening, (bs, 1) and (bs,) would broadcast to (bs, bs)."""
    pred, target = grid(6, 1), grid(6, seed=2)
    expected = ((pred[:, 0] - target) ** 2).mean()
    for p, t in ((pred, target), (pred[:, 0], target), (pred, target[:, None]),
                 (pred.reshape(2, 3), target.reshape(3, 2))):
        assert MSELossFlat()(tensor(p), tensor(t)).item() == pytest.approx(expected, rel=1e-6)
    scores, classes = grid(2, 3, 4), np.array([[0, 1, 2], [3, 3, 0]])
    assert CrossEntropyFlat()(tensor(scores), tensor(classes)).item() == pytest.approx(
        cross_entropy(tensor(scores.reshape(6, 4)), tensor(classes.ravel())).item())
    bits = np.array([[0, 1, 1], [1, 0, 0]])
    assert BCEWithLogitsFlat()(tensor(scores[0, :2, :3]), tensor(bits)).item() == pytest.approx(
        binary_cross_entropy_with_logits(tensor(scores[0, :2, :3]), tensor(bits).float()).item())
    assert check_loss(MSELossFlat(), grid(4, 1), grid(4))
    assert check_loss(BCEWithLogitsFlat(), grid(4, 1), np.float32([0, 1, 1, 0]))
    assert check_loss(CrossEntropyFlat(), grid(2, 2, 3), np.array([[0, 2], [1, 1]]))


def check_loss(loss: FlattenedLoss, pred: Array, target: Array) -> bool:
    return gradcheck(lambda p: loss(p, tensor(target)), tensor(pred))


def test_flattened_losses_keep_float32_with_whole_targets() -> None:
    pred = tensor([[1.], [2.]], requires_grad=True)
    loss = MSELossFlat()(pred, tensor([3, 5]))
    assert loss.dtype == np.float32
    assert loss.item() == 6.5
    assert mse_loss(tensor([1., 2.]), tensor([3, 5])).dtype == np.float32


def test_reductions_can_be_changed_and_are_checked() -> None:
    loss = MSELossFlat("none")
    assert loss(tensor([[1.], [2.]]), tensor([1., 4.])).tolist() == [0, 4]
    loss.reduction = "sum"
    assert loss(tensor([[1.], [2.]]), tensor([1., 4.])).item() == 4
    loss.reduction = "avg"
    with pytest.raises(ValueError, match="reduction is 'mean', 'sum' or 'none', got 'avg'"):
        loss(tensor([1.]), tensor([1.]))
    for func, target in ((cross_entropy, tensor([0])),
                         (binary_cross_entropy_with_logits, tensor([[1., 0.]]))):
        with pytest.raises(ValueError, match="got 'avg'"):
            func(tensor([[1., 2.]]), target, "avg")


def test_activations_of_losses() -> None:
    x = tensor([[0., 0.], [1e4, 0.]])
    assert MSELossFlat().activation is None
    assert CrossEntropyFlat().activation(x).tolist() == [[.5, .5], [1, 0]]
    assert BCEWithLogitsFlat().activation(x).tolist() == [[.5, .5], [1, .5]]


@pytest.mark.parametrize(("loss", "pred", "target", "message"), [
    (mse_loss, [[1.], [2.]], [1., 2.], r"mse_loss: predictions \(2, 1\) and targets \(2,\)"),
    (MSELossFlat(), [[1., 2.]], [1.], r"mse_loss: predictions \(2,\) and targets \(1,\)"),
    (cross_entropy, [1., 2.], [0], r"scores \(n, classes\).*got \(2,\) and \(1,\)"),
    (cross_entropy, [[1., 2.]], [0, 1], r"got \(1, 2\) and \(2,\)"),
    (CrossEntropyFlat(), [[1., 2.]], [0, 1], r"got \(1, 2\) and \(2,\)"),
    (BCEWithLogitsFlat(), [1., 2.], [0], r"scores \(2,\) and targets \(1,\) differ"),
], ids=["mse", "mse flat", "one axis", "rows", "rows flat", "bce"])
def test_losses_name_shapes_that_do_not_fit(loss: Any, pred: Any, target: Any,
                                            message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        loss(tensor(pred), tensor(target))


@unwaited
@pytest.mark.parametrize("wrong", [3, -1, 100])
def test_cross_entropy_refuses_classes_out_of_range(wrong: int) -> None:
    with pytest.raises(IndexError, match=rf"id {wrong} is out of range for scores of 3 classes"):
        cross_entropy(tensor([[1., 2., 3.]] * 2), tensor([0, wrong]))


def test_cross_entropy_refuses_what_is_no_class() -> None:
    with pytest.raises(TypeError, match="whole numbers, got float32"):
        cross_entropy(tensor([[1., 2., 3.]]), tensor([.7]))


# ---------------------------------------------------------------------------------- initial weights

def big() -> Parameter:
    return Parameter(np.empty((300, 400), np.float32))


@pytest.mark.parametrize(("fill", "std", "bound"), [
    (lambda t: normal_(t, seed=0), 1, None),
    (lambda t: normal_(t, std=.3, seed=0), .3, None),
    (lambda t: uniform_(t, -.5, .5, seed=0), .5 / sqrt(3), .5),
    (lambda t: trunc_normal_(t, seed=0), .8659, 2),
    (lambda t: trunc_normal_(t, std=.01, seed=0), .008659, .02),
    (lambda t: kaiming_normal_(t, seed=0), sqrt(2 / 400), None),
    (lambda t: kaiming_normal_(t, a=1, seed=0), sqrt(1 / 400), None),
    (lambda t: kaiming_uniform_(t, seed=0), sqrt(2 / 400), sqrt(6 / 400)),
    (lambda t: kaiming_uniform_(t, a=sqrt(5), seed=0), sqrt(1 / 1200), sqrt(1 / 400)),
    (lambda t: xavier_normal_(t, seed=0), sqrt(2 / 700), None),
    (lambda t: xavier_uniform_(t, seed=0), sqrt(2 / 700), sqrt(6 / 700)),
], ids=["normal", "normal .3", "uniform", "trunc", "trunc .01", "kaiming", "kaiming a=1",
        "kaiming uniform", "kaiming uniform a", "xavier", "xavier uniform"])
def test_initial_weights(fill: Callable[[Tensor], Tensor], std: float,
                         bound: float | None) -> None:
    """Of 120 000 draws the deviation is known to 0.2 %, the mean to 0.3 % of it (one sigma)."""
    t = big()
    assert fill(t) is t
    assert t.dtype == np.float32
    drawn = host(t)
    assert drawn.std() == pytest.approx(std, rel=.01)
    assert drawn.mean() == pytest.approx(0, abs=.015 * std)
    if bound is not None:
        assert .99 * bound < abs(drawn).max() <= np.float32(bound)


def test_uniform_is_from_nought_to_one_unless_told_otherwise() -> None:
    drawn = host(uniform_(big(), seed=0))
    assert drawn.mean() == pytest.approx(.5, rel=.01)
    assert 0 <= drawn.min() < .01 < .99 < drawn.max() <= 1


def test_truncation_wraps_around() -> None:
    """fmod keeps the sign and turns 2.3 into 0.3."""
    drawn = np.random.default_rng(0).normal(size=(300, 400))
    t = trunc_normal_(big(), mean=5, std=.5, seed=0)
    np.testing.assert_allclose(host(t), np.fmod(drawn, 2) * .5 + 5, rtol=1e-6)


def test_fans_count_kernels() -> None:
    t = kaiming_uniform_(Parameter(np.empty((8, 4, 3, 3), np.float32)), seed=0)
    assert .9 * sqrt(6 / 36) < abs(host(t)).max() <= np.float32(sqrt(6 / 36))
    for fill in (kaiming_uniform_, kaiming_normal_, xavier_uniform_, xavier_normal_):
        with pytest.raises(ValueError, match=r"shape \(1,\) has no fan-in"):
            fill(tensor([1.]))


def test_seeds() -> None:
    one, two, other = (normal_(tensor([0.] * 5), seed=s).tolist() for s in (1, 1, 2))
    assert one == two != other
    rng = np.random.default_rng(1)
    assert normal_(tensor([0.] * 5), seed=rng).tolist() == one
    assert normal_(tensor([0.] * 5), seed=rng).tolist() != one
    unseeded = []
    for _ in range(2):
        np.random.seed(7)
        unseeded.append([normal_(tensor([0.])).item(), normal_(tensor([0.])).item()])
    assert unseeded[0] == unseeded[1]
    assert unseeded[0][0] != unseeded[0][1]


# --------------------------------------------------------------------------------- modules as trees

def test_repr_of_the_posts_model() -> None:
    assert repr(DotBias()) == """\
EmbeddingDotBias(
  (u_weight): Embedding(944, 40)
  (i_weight): Embedding(1654, 40)
  (u_bias): Embedding(944, 1)
  (i_bias): Embedding(1654, 1)
)"""


def test_repr_of_a_tree() -> None:
    """The text is that of torch at the time of fastai v1."""

    class Net(Module):
        def __init__(self) -> None:
            self.embeds = ModuleList([Embedding(5, 3)])
            self.emb_drop = Dropout(.1)
            self.bn_cont = BatchNorm1d(0)
            self.layers = Sequential(Linear(3, 2), ReLU(), Linear(2, 1, bias=False), Sigmoid())

    assert repr(Net()) == """\
Net(
  (embeds): ModuleList(
    (0): Embedding(5, 3)
  )
  (emb_drop): Dropout(p=0.1)
  (bn_cont): BatchNorm1d(0, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
  (layers): Sequential(
    (0): Linear(in_features=3, out_features=2, bias=True)
    (1): ReLU()
    (2): Linear(in_features=2, out_features=1, bias=False)
    (3): Sigmoid()
  )
)"""
    assert [repr(loss()) for loss in (MSELossFlat, CrossEntropyFlat, BCEWithLogitsFlat)] == [
        f"FlattenedLoss of {name}()"
        for name in ("MSELoss", "CrossEntropyLoss", "BCEWithLogitsLoss")]
    assert repr(Sequential()) == "Sequential()"
    assert repr(SigmoidRange(0, 5.5)) == "SigmoidRange(0, 5.5)"


class Tower(Module):
    """A module that sets parameters before and after its children."""

    def __init__(self) -> None:
        self.scale = Parameter(np.ones(2, np.float32))
        self.body = Sequential(Linear(2, 2), BatchNorm1d(2))
        self.not_a_parameter = np.zeros(3)
        self.shift = Parameter(np.zeros(2, np.float32))
        self.seen = Buffer(np.array(0, np.int64))


def test_names_and_their_order() -> None:
    """The order is torch's: a module's own tensors, then its children, depth first."""
    net = Tower()
    assert list(net.state_dict()) == [
        "scale", "shift", "seen", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias",
        "body.1.running_mean", "body.1.running_var", "body.1.num_batches_tracked"]
    assert [name for name, _ in net.named_parameters()] == [
        "scale", "shift", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias"]
    assert [name for name, _ in net.named_buffers()] == [
        "seen", "body.1.running_mean", "body.1.running_var", "body.1.num_batches_tracked"]
    assert [name for name, _ in net.named_modules()] == ["", "body", "body.0", "body.1"]
    assert [type(m) for m in net.modules()] == [Tower, Sequential, Linear, BatchNorm1d]
    assert list(DotBias().state_dict()) == [f"{n}.weight" for n in ("u_weight", "i_weight",
                                                                   "u_bias", "i_bias")]
    assert sum(p.numel() for p in DotBias().parameters()) == 106_518


def test_a_shared_parameter_comes_once() -> None:
    class Tied(Module):
        def __init__(self) -> None:
            self.a, self.b = Linear(2, 2), Linear(2, 2)
            self.b.weight = self.a.weight

    net = Tied()
    assert [id(p) for p in net.parameters()] == [id(net.a.weight), id(net.a.bias), id(net.b.bias)]
    assert [name for name, _ in net.named_parameters()] == ["a.weight", "a.bias", "b.weight",
                                                            "b.bias"]
    net.b(net.a(tensor(grid(4, 2)))).sum().backward()
    assert net.a.weight.grad is net.b.weight.grad


def test_modes_reach_all() -> None:
    net = Tower()
    assert all(m.training for m in net.modules())
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert net.train() is net
    assert all(m.training for m in net.modules())


def test_freezing_and_forgetting() -> None:
    net = Sequential(Linear(2, 2), Linear(2, 1))
    net[0].requires_grad_(False)
    net(tensor(grid(4, 2))).sum().backward()
    assert [p.grad is None for p in net.parameters()] == [True, True, False, False]
    net.requires_grad_()
    net.zero_grad()
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_hooks_see_inputs_and_outputs() -> None:
    seen = []
    layer = Linear(2, 1)
    layer.forward_hooks += (lambda m, inputs, output: seen.append((m, inputs[0].shape,
                                                                  output.shape)),)
    Sequential(layer)(tensor(grid(4, 2)))
    assert seen == [(layer, (4, 2), (4, 1))]
    assert Linear(2, 1).forward_hooks == ()


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Tower has no forward"):
        Tower()(tensor([1.]))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = Tower().nonsense


def test_copies_are_independent() -> None:
    net = Tower()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert list(twin.state_dict()) == list(net.state_dict())
        twin.scale.data += 1
        twin.body[1].running_mean.data += 1
    assert net.scale.tolist() == [1, 1]
    assert net.body[1].running_mean.tolist() == [0, 0]


def test_copies_of_a_parameter_keep_gradient_and_flags() -> None:
    p = Parameter(np.ones(2, np.float32), no_wd=True).requires_grad_(False)
    p.grad = p.data * 3
    for twin in (copy.copy(p), copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert type(twin) is Parameter
        assert (twin.no_wd, twin.requires_grad, twin.node) == (True, False, None)
        assert twin.grad.tolist() == [3, 3]


def test_moving_to_where_it_is(device: str) -> None:
    net = Tower()
    before = net.scale.data
    assert net.to(device) is net
    assert net.scale.data is before


def test_moving_away_takes_everything_along() -> None:
    net = Tower()
    net.body(tensor(grid(5, 2))).sum().backward()
    before = net.state_dict()
    assert net.to("fakecuda") is net.to("cpu") is net
    tensors = [*net.parameters(), *(buffer for _, buffer in net.named_buffers())]
    assert {t.device for t in tensors} == {"cpu"}
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name], strict=True)


# ------------------------------------------------------------------------------- weights in and out

def test_state_round_trip() -> None:
    one, two = Tower(), Tower()
    one.body(tensor(grid(5, 2)))
    state = one.state_dict()
    assert two.load_state_dict(state) == ([], [])
    for name, value in two.state_dict().items():
        np.testing.assert_array_equal(value, state[name], strict=True)
    state["scale"][...] = 9
    assert one.scale.tolist() == two.scale.tolist() == [1, 1]


def test_loading_keeps_array_type_and_flag() -> None:
    net = Linear(2, 2)
    array, net.weight.requires_grad = net.weight.data, False
    state = {"weight": np.ones((2, 2), np.float64), "bias": tensor([1., 2.])}
    net.load_state_dict(state)
    assert net.weight.data is array
    assert array.tolist() == [[1, 1], [1, 1]]
    assert net.weight.dtype == np.float32
    assert not net.weight.requires_grad
    assert net.bias.requires_grad
    assert net.bias.tolist() == [1, 2]


def test_parameters_themselves_can_be_loaded() -> None:
    one, two = Linear(2, 2), Linear(2, 2)
    two.load_state_dict(dict(one.named_parameters()))
    np.testing.assert_array_equal(host(two.weight), host(one.weight))
    assert not np.shares_memory(two.weight.data, one.weight.data)


def misfit(change: Callable[[dict[str, Array]], Any], strict: bool = True) -> str:
    """Return the message of a refused load; check that nothing has changed."""
    net = Tower()
    before, state = net.state_dict(), {k: v + 1 for k, v in net.state_dict().items()}
    change(state)
    with pytest.raises(StateDictError) as caught:
        net.load_state_dict(state, strict)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    return str(caught.value)


def test_weights_that_do_not_fit_are_named_and_change_nothing() -> None:
    assert "do not fit Tower: missing: shift. Build" in misfit(lambda s: s.pop("shift"))
    assert "unexpected: other, body.9.weight. " in misfit(
        lambda s: s.update({"other": np.ones(1), "body.9.weight": np.ones(1)}))
    assert "of another shape: scale (3,) where the model has (2,)" in misfit(
        lambda s: s.update(scale=np.ones(3)))
    assert "of another shape: scale (3,)" in misfit(lambda s: s.update(scale=np.ones(3)), False)
    text = misfit(lambda s: (s.pop("shift"), s.update(new=np.ones(1), seen=np.ones(1))))
    assert "missing: shift; unexpected: new; of another shape: seen (1,)" in text
    assert "strict=False" in text
    assert issubclass(StateDictError, ValueError)


def test_a_lenient_load_reports_what_it_left() -> None:
    net = Tower()
    assert net.load_state_dict({"scale": np.full(2, 7.), "new": np.ones(1)}, strict=False) == (
        [name for name in net.state_dict() if name != "scale"], ["new"])
    assert net.scale.tolist() == [7, 7]


# ------------------------------------------------------------------------------------- one training

def test_a_small_network_fits_and_stays_float32() -> None:
    """Fit a line in 60 steps of gradient descent, without an optimizer."""
    net = Sequential(Linear(1, 8, seed=0), ReLU(), BatchNorm1d(8), Linear(8, 1, seed=1))
    x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
    y, loss = tensor(2 * x[:, 0] + 1), MSELossFlat()
    for _ in range(60):
        net.zero_grad()
        error = loss(net(tensor(x)), y)
        error.backward()
        with no_grad():
            for p in net.parameters():
                p.data -= np.float32(.1) * p.grad
    assert error.item() < .01
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype(np.float32)}


def test_a_sigmoid_of_one_number() -> None:
    for one in (tensor(0.), tensor([1., -1.]).sum()):
        assert float(one.sigmoid()) == .5
        assert float(sigmoid_range(one, 0, 5.5)) == 2.75
        assert float(sigmoid_range(one, 1, 5)) == 3
        assert one.sigmoid().shape == sigmoid_range(one, 0, 5.5).shape == ()


@pytest.mark.parametrize(("ps", "rates"), [
    (None, []), (.5, [.5, .5]), ([.1, .2], [.1, .2])])
def test_one_rate_of_dropout_serves_all_hidden_layers(ps: Any, rates: list[float]) -> None:
    net = TabularModel([(4, 2), (5, 3)], 0, 1, [8, 6], ps=ps)
    assert [m.p for m in net.modules() if isinstance(m, Dropout) and m.p] == rates
