"""Layers for sequences against plain formulas, finite differences and torch; characters as data."""
from typing import Any

import numpy as np
import pytest
from host import check_layer, host, put
from tiny import fit_quietly

from minifast import ShapeError, Tensor, grad, no_grad, tensor
from minifast.autograd import gradcheck
from minifast.nn import BatchNorm1d, Embedding, Linear, Module, Sequential
from minifast.sequences import (
    GRU,
    CausalSelfAttention,
    CharDataBunch,
    GRUCell,
    LayerNorm,
    TransformerBlock,
    bits_per_character,
    causal_attention,
    frequency_bits,
    generate,
    gru_cell,
    layer_norm,
)
from minifast.sequences.text import draw, encode
from minifast.train import Learner

Array = np.ndarray
RECORDED = {"rtol": 1e-7, "atol": 2e-9}  # numbers with nine digits after the point


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def filled(layer: Module) -> Module:
    """The layer with float64 weights that a formula gives; torch's had the same when recorded."""
    for k, (_, p) in enumerate(layer.named_parameters()):
        p.data = put((np.sin(np.arange(p.numel()) * 1.7 + k) / 2).reshape(p.shape))
    return layer


def wave(*shape: int) -> Array:
    return np.cos(np.arange(np.prod(shape)) * .9).reshape(shape)


def wide(layer: Module) -> Module:
    """The layer with its own weights as float64."""
    for p in layer.parameters():
        p.data = p.data.astype(np.float64)
    return layer


# -------------------------------------------------------------------------------------- torch's

TORCH: dict[str, Any] = {
    "LayerNorm": (
        LayerNorm, (3,), (2, 3), "weight", ["weight", "bias"],
        [0.420735492, 0.365209576, -0.303492245, 0.420735492, -0.131308134, -0.656479715],
        [-0.388100139, 0.561123147, -0.173023008, 0.578984802, -0.585217836, 0.006233034],
        [-0.101365272, 0.783722034, -2.582262571]),
    "GRUCell": (
        GRUCell, (2, 3), (2, 2), "bias_hh", ["weight_ih", "weight_hh", "bias_ih", "bias_hh"],
        [0.833424177, 0.458115608, -0.159637293, -0.812427208, -0.19905195, 0.129930223],
        [0.145610872, -0.17468158, -0.072591583, 0.20047495],
        [-0.000789055, -0.020104174, -0.170702126, -0.010965675, 0.358061732, 0.064006011,
         0.007855604, -0.017257643, 0.011029945]),
    "GRU": (
        GRU, (2, 2, 2), (1, 3, 2), "bias_hh_l1",
        ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0",
         "weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"],
        [0.10321668, 0.409300153, 0.239855468, 0.48381002, 0.34489603, 0.448045418],
        [-0.019795354, -0.004081292, -0.074578811, -0.031702472, -0.028280369, -0.007506183],
        [0.01016142, 0.024593342, -0.010000515, -0.146540385, 0.059854041, -0.145099514]),
    "CausalSelfAttention": (
        CausalSelfAttention, (4, 2), (1, 3, 4), "in_proj_bias",
        ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"],
        [0.563645953, 0.179368739, 0.746404886, 1.002132021, 0.714702219, 0.139697622,
         0.526368683, 0.659205291, 0.569819681, -0.000723848, 0.427087073, 0.626996397],
        [-0.070353751, 0.275758684, -0.000706225, -0.275576697, 0.2823517, -0.2648237,
         -0.214109549, 0.319997373, -0.206055809, -0.058761385, 0.221197971, 0.001761104],
        [-0.066429142, 0.017836838, -0.000347671, -0.012091267, 0.0, 0.0, 0.0, 0.0,
         0.236664437, -0.147457377, -0.198666295, 0.198651494]),
    "TransformerBlock": (
        TransformerBlock, (4, 2, 5), (1, 3, 4), "linear1.bias",
        ["self_attn.in_proj_weight", "self_attn.in_proj_bias", "self_attn.out_proj.weight",
         "self_attn.out_proj.bias", "linear1.weight", "linear1.bias", "linear2.weight",
         "linear2.bias", "norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"],
        [2.28593563, 0.355398648, 0.018558018, -0.672081628, 0.42918811, -0.439770859,
         0.720305, 1.239826628, 1.881046619, -0.502380136, -0.720119558, -0.715251982],
        [0.021239645, 0.777903678, 0.98245074, 0.110294357, -0.772568921, -0.936213843,
         -0.291853332, 0.662480426, 0.976610412, 0.434312666, -0.606532576, -0.946925088],
        [0.0, -0.071359103, -0.042057101, 0.082196755, 0.088812019])}
"""Recorded with torch 2.13 in float64: for each layer its class and sizes, the input's shape, the
parameter whose gradient is there, torch's names, the output, the gradients of input and parameter.
The output's gradient was sin(0), sin(1), ... A GRU cell started from the state ``wave(2, 3)``."""


@pytest.mark.parametrize("name", TORCH)
def test_outputs_and_gradients_are_torchs_under_the_same_names(name: str) -> None:
    kind, sizes, shape, parameter, names, output, of_x, of_parameter = TORCH[name]
    layer = filled(kind(*sizes))
    assert [n for n, _ in layer.named_parameters()] == names
    x = tensor(wave(*shape), requires_grad=True)
    y = layer(x, tensor(wave(2, 3))) if name == "GRUCell" else layer(x)
    y = y[0] if name == "GRU" else y
    y.backward(put(np.sin(np.arange(float(y.numel()))).reshape(y.shape)))
    np.testing.assert_allclose(host(y).ravel(), output, **RECORDED)
    np.testing.assert_allclose(host(x.grad).ravel(), of_x, **RECORDED)
    got = host(dict(layer.named_parameters())[parameter].grad)
    np.testing.assert_allclose(got.ravel(), of_parameter, **RECORDED)


# -------------------------------------------------------------------------------------- formulas


def test_layer_norm_is_the_formula() -> None:
    x, weight, bias = noise(2, 3, 5), noise(5, seed=1), noise(5, seed=2)
    mean = x.mean(-1, keepdims=True)
    var = ((x - mean) ** 2).mean(-1, keepdims=True)
    y = layer_norm(tensor(x), tensor(weight), tensor(bias), eps=.1)
    np.testing.assert_allclose(host(y), (x - mean) / np.sqrt(var + .1) * weight + bias)


def test_a_constant_row_becomes_the_bias_and_has_a_finite_gradient() -> None:
    x = tensor(np.full((2, 4), 3.), requires_grad=True)
    layer = wide(LayerNorm(4))
    (layer(x) * tensor(noise(2, 4))).sum().backward()
    assert (host(layer(x)) == 0).all()
    assert np.isfinite(host(x.grad)).all()


def test_layer_norm_treats_each_row_alone_and_batch_norm_does_not() -> None:
    x = noise(4, 6).astype(np.float32)
    other = np.concatenate([x[:1], 9 * x[1:]])
    rows = [host(LayerNorm(6)(tensor(a)))[0] for a in (x, other)]
    np.testing.assert_array_equal(*rows)
    batch = [host(BatchNorm1d(6)(tensor(a)))[0] for a in (x, other)]
    assert abs(batch[0] - batch[1]).max() > .1


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def test_a_gru_cell_is_the_formula() -> None:
    x, h = noise(3, 2), noise(3, 4, seed=1)
    w, u, b, c = (noise(*s, seed=i) for i, s in enumerate(((12, 2), (12, 4), (12,), (12,)), 2))
    (ir, iz, i_n), (hr, hz, h_n) = (np.split(a, 3, 1) for a in (x @ w.T + b, h @ u.T + c))
    z, n = sigmoid(iz + hz), np.tanh(i_n + sigmoid(ir + hr) * h_n)
    found = gru_cell(*map(tensor, (x, h, w, u, b, c)))
    np.testing.assert_allclose(host(found), (1 - z) * n + z * h)


def test_a_gru_is_its_cell_step_by_step() -> None:
    layer, cell, x = GRU(2, 3, seed=0), GRUCell(2, 3, seed=0), tensor(noise(4, 5, 2))
    states, last = layer(x)
    h = None
    for t in range(5):
        h = cell(x[:, t], h)
        np.testing.assert_array_equal(host(states[:, t]), host(h))
    np.testing.assert_array_equal(host(last[0]), host(h))


def test_a_gru_goes_on_from_a_state() -> None:
    layer, x = GRU(2, 3, n_layers=2, seed=0), tensor(noise(4, 6, 2))
    whole, last = layer(x)
    _, middle = layer(x[:, :2])
    rest, end = layer(x[:, 2:], middle)
    np.testing.assert_allclose(host(rest), host(whole[:, 2:]), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(host(end), host(last), rtol=1e-6, atol=1e-7)


def test_attention_is_a_loop_over_positions() -> None:
    q, k, v = noise(2, 5, 3), noise(2, 5, 3, seed=1), noise(2, 5, 4, seed=2)
    expected = np.empty((2, 5, 4))
    for b in range(2):
        for i in range(5):
            e = np.exp(k[b, :i + 1] @ q[b, i] / np.sqrt(3))
            expected[b, i] = e / e.sum() @ v[b, :i + 1]
    np.testing.assert_allclose(host(causal_attention(tensor(q), tensor(k), tensor(v))), expected)


def test_large_scores_do_not_overflow() -> None:
    q = tensor(np.array([[1e3], [2e3]], np.float32), requires_grad=True)
    y = causal_attention(q, q, q)
    y.sum().backward()
    np.testing.assert_allclose(host(y), [[1e3], [2e3]])
    assert np.isfinite(host(q.grad)).all()


# -------------------------------------------------------------------------------------- gradients

LAYERS: dict[str, Any] = {
    "layer norm": (lambda: LayerNorm(3), (2, 2, 3)),
    "gru cell": (lambda: GRUCell(2, 3, seed=0), (2, 2)),
    "gru": (lambda: Sequential(First(GRU(2, 2, 2, seed=0))), (2, 3, 2)),
    "attention": (lambda: CausalSelfAttention(4, 2, seed=0), (2, 3, 4)),
    "block": (lambda: TransformerBlock(4, 2, 3, seed=0), (2, 3, 4))}


class First(Module):
    """The first output of a layer."""

    def __init__(self, layer: Module) -> None:
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        first: Tensor = self.layer(x)[0]
        return first


@pytest.mark.parametrize("name", ["layer norm", "gru cell", "gru"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    make, shape = LAYERS[name]
    assert check_layer(wide(make()), noise(*shape))


@pytest.mark.parametrize("name", LAYERS)
def test_the_inputs_gradient_is_that_of_finite_differences(name: str) -> None:
    make, shape = LAYERS[name]
    assert gradcheck(wide(make()), tensor(noise(*shape)))


def test_all_three_inputs_of_attention() -> None:
    assert gradcheck(causal_attention, *(tensor(noise(2, 3, 2, seed=i)) for i in range(3)))


def test_the_gradient_of_layer_norm_can_be_differentiated_again() -> None:
    def slope(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        y = (layer_norm(x, w, b, eps=.1) ** 3).sum()
        return sum((g ** 2).sum() for g in grad(y, [x, w], create_graph=True))  # type: ignore
    inputs = [tensor(noise(*s, seed=i), requires_grad=True) for i, s in enumerate(((2, 3), (3,),
                                                                                (3,)))]
    assert gradcheck(slope, *inputs)


# -------------------------------------------------------------------------------------- causality


@pytest.mark.parametrize("name", ["gru", "attention", "block"])
@pytest.mark.parametrize("changed", [1, 4])
def test_a_later_input_changes_no_earlier_output(name: str, changed: int) -> None:
    make, shape = LAYERS[name]
    layer, x = make(), noise(2, 5, shape[2]).astype(np.float32)
    other = x.copy()
    other[:, changed:] += 1
    before, after = host(layer(tensor(x))), host(layer(tensor(other)))
    np.testing.assert_array_equal(before[:, :changed], after[:, :changed])
    assert (before[:, changed:] != after[:, changed:]).any(-1).all()


@pytest.mark.parametrize("name", ["gru", "attention", "block"])
def test_no_gradient_reaches_a_later_input(name: str) -> None:
    make, shape = LAYERS[name]
    x = tensor(noise(2, 5, shape[2]), requires_grad=True)
    (make()(x)[:, 2] * put(noise(make()(x).shape[2]))).sum().backward()
    assert (host(x.grad)[:, 3:] == 0).all()
    assert (host(x.grad)[:, :3] != 0).any(-1).all()


# -------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(("make", "message"), [
    (lambda: LayerNorm(3)(tensor(noise(2, 4))), r"layer norm of 3 features needs \(\.\.\., 3\)"),
    (lambda: GRUCell(3, 2)(tensor(noise(2, 4))), r"GRU cell of 3 inputs needs \(bs, 3\), got"),
    (lambda: GRU(3, 2)(tensor(noise(2, 3))), r"needs \(bs, length, 3\) with a length of at"),
    (lambda: GRU(3, 2)(tensor(noise(2, 0, 3))), r"got \(2, 0, 3\)"),
    (lambda: CausalSelfAttention(4, 2)(tensor(noise(2, 4))), r"needs \(bs, length, 4\), got"),
    (lambda: causal_attention(*(tensor(noise(n, 2)) for n in (3, 4, 4))), "where: shapes"),
    (lambda: CausalSelfAttention(4, 3), "4 features cannot be split into 3 equal heads"),
    (lambda: GRU(3, 2, 0), "a GRU has at least one layer, got n_layers=0")])
def test_wrong_shapes_and_sizes_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_errors_note_names_the_layer() -> None:
    with pytest.raises(ShapeError) as caught:
        TransformerBlock(4, 2)(tensor(noise(2, 3, 5)))
    assert "TransformerBlock.norm1 (LayerNorm(4, eps=1e-05))" in str(caught.value.__notes__)


def test_layers_are_shown_with_their_sizes() -> None:
    assert repr(GRU(3, 2)) == "GRU(3, 2, n_layers=1)"
    assert repr(GRUCell(3, 2)) == "GRUCell(3, 2)"
    assert "4, n_heads=2" in CausalSelfAttention(4, 2).extra_repr()


def test_biases_and_norms_have_no_weight_decay() -> None:
    parts = {"b": TransformerBlock(4, 2), "g": GRU(2, 3)}
    kept = [name for part in parts.values() for name, p in part.named_parameters() if not p.no_wd]
    assert kept == ["self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight",
                    "linear2.weight", "weight_ih_l0", "weight_hh_l0"]


# -------------------------------------------------------------------------------------- characters

TEXT = "the cat sat on the mat. " * 30


class Next(Module):
    """Scores for the next character from a layer over embeddings."""

    def __init__(self, n: int, layer: Module, width: int = 8) -> None:
        self.embed, self.layer = Embedding(n, width, seed=0), layer
        self.out = Linear(width, n, seed=1)

    def forward(self, ids: Tensor) -> Tensor:
        scores: Tensor = self.out(self.layer(self.embed(ids)))
        return scores


def test_targets_are_the_inputs_one_later_and_parts_do_not_overlap() -> None:
    data = CharDataBunch.from_text(TEXT, 8, .25, bs=4)
    assert "".join(data.classes[i] for i in [*data.train_ids, *data.valid_ids]) == TEXT
    assert len(data.valid_ids) == len(TEXT) // 4
    for ds, ids, step in ((data.train_ds, data.train_ids, 4), (data.valid_ds, data.valid_ids, 8)):
        for i, (x, y) in enumerate(zip(host(ds.x), host(ds.y), strict=True)):
            np.testing.assert_array_equal(x, ids[i * step:i * step + 8])
            np.testing.assert_array_equal(y, ids[i * step + 1:i * step + 9])
        assert len(ds) == (len(ids) - 9) // step + 1


@pytest.mark.parametrize(("options", "message"), [
    ({"length": 0}, "length and step are at least 1"), ({"valid_pct": 0.}, "valid_pct lies"),
    ({"step": 0}, "length and step"), ({"length": 100}, "720 characters is too short for windows")])
def test_a_text_that_is_too_short_is_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CharDataBunch.from_text(TEXT, **options)


def test_counting_gives_the_entropy_of_what_was_counted() -> None:
    ids = np.array([0, 1, 2, 3] * 1000)
    assert frequency_bits(ids, ids, 4) == 2
    assert frequency_bits(ids, ids, 4, context=1) < .02
    assert frequency_bits(np.array([0, 0]), np.array([1]), 2) == 2  # (0 + 1) / (2 + 2)


@pytest.mark.parametrize("kind", ["gru", "block"])
@pytest.mark.parametrize("fast", [True, False])
def test_a_learner_trains_it(kind: str, fast: bool) -> None:
    """It beats pairs: after 'the ' comes 'cat' or 'mat'. Both paths give the same losses."""
    layer = First(GRU(8, 8, seed=0)) if kind == "gru" else TransformerBlock(8, 2, seed=0)
    data = CharDataBunch.from_text(TEXT, 12, .2, bs=16, seed=0)
    learn = Learner(data, Next(len(data.classes), layer), metrics=[bits_per_character], fast=fast)
    fit_quietly(learn, 12, .03)
    bits = learn.recorder.metrics[-1][0]
    assert float(bits) == pytest.approx(learn.recorder.val_losses[-1] / np.log(2), rel=1e-5)
    pairs = frequency_bits(data.train_ids, data.valid_ids, len(data.classes), 1)
    assert bits < pairs < frequency_bits(data.train_ids, data.valid_ids, len(data.classes))


def test_generated_text_is_seeded_and_leaves_the_mode() -> None:
    data = CharDataBunch.from_text(TEXT, 8, bs=4)
    model = Next(len(data.classes), TransformerBlock(8, 2, p=.5, seed=0))
    texts = [generate(model, data, "the", 20, length=8, seed=s) for s in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert model.training
    assert all(len(t) == 23 and t.startswith("the") and set(t) <= set(TEXT) for t in texts)
    with no_grad():
        likely = model.eval()(tensor([encode("the", data.classes)]))[0, -1].argmax()
    assert generate(model, data, "the", 1, temperature=1e-6)[-1] == data.classes[int(likely)]


@pytest.mark.parametrize(("start", "temperature"), [("", 1.), ("X", 1.), ("t", 0.)])
def test_a_start_that_is_unknown_is_refused(start: str, temperature: float) -> None:
    data = CharDataBunch.from_text(TEXT, 8, bs=4)
    with pytest.raises(ValueError, match=r"at least one character|do not have the characters 'X'"):
        generate(Next(len(data.classes), LayerNorm(8)), data, start, temperature=temperature)


@pytest.mark.cpu_only("draws on the host")
def test_draws_have_the_probabilities_of_softmax() -> None:
    rng, scores = np.random.default_rng(0), np.log([.1, .2, .7])
    share = np.bincount([draw(scores, rng) for _ in range(4000)], minlength=3) / 4000
    np.testing.assert_allclose(share, [.1, .2, .7], atol=.03)
