"""Unit 10, sequences: layer norm, a gated recurrent unit, causal attention."""
from typing import Any

import numpy as np

from ... import no_grad
from ...autograd import Tensor, tensor
from ...nn import Embedding, Linear, Module
from ...sequences import attention, gru, norm, text
from ...train import Learner
from ..unit import Bug, Unit
from ..values import error_of

NORM, GRU, ATTENTION = (f"minifast.sequences.{name}" for name in ("norm", "gru", "attention"))
TEXT = "minifast.sequences.text"
UNIT = Unit(10, "Sequences", {
    NORM: ("standardize", "layer_norm", "_input_gradient"), GRU: ("gru_cell",),
    ATTENTION: ("causal_attention",)}, bugs=(
    Bug("constant mean", NORM, "return (g - g.mean(axis=-1, keepdims=True) - z * along_z) * scale",
        "return (g - z * along_z) * scale",
        "gradcheck of a LayerNorm fails, although its outputs are right."),
    Bug("batch statistics", NORM, "centred = x - x.mean(axis=-1, keepdims=True)",
        "centred = x - x.mean(axis=0, keepdims=True)",
        "The output of a LayerNorm for one sentence depends on the other sentences of the batch."),
    Bug("eps outside", NORM, "keepdims=True) + eps)", "keepdims=True)) + eps",
        "A row of equal numbers turns the loss into NaN."),
    Bug("gates exchanged", GRU, "r, z = gates[:, :n], gates[:, n:]",
        "z, r = gates[:, :n], gates[:, n:]",
        "Weights from torch give other states, although all shapes and names fit."),
    Bug("reset before the product", GRU, "of_x[:, 2 * n:] + r * of_h[:, 2 * n:]",
        "of_x[:, 2 * n:] + apply(ops.linear, r * h, weight_hh[2 * n:], bias_hh[2 * n:])",
        "Weights from torch give states that are almost right."),
    Bug("bias lost", GRU, "of_h = apply(ops.linear, h, weight_hh, bias_hh)",
        "of_h = h @ weight_hh.T",
        "A GRU learns, but after training half of its biases are what they were before."),
    Bug("gate turned round", GRU, "return candidate + z * (h - candidate)",
        "return h + z * (candidate - h)",
        "Weights from torch give other states; a GRU trained from scratch learns as well as ever."),
    Bug("one state for all", GRU, "state, own = h[i], weights(self, f\"_l{i}\")",
        "state, own = h[0], weights(self, f\"_l{i}\")",
        "A GRU of two layers that continues from a saved state gives other outputs than without a "
        "pause."),
    Bug("mask forgotten", ATTENTION, "where(position <= position[:, None], scores, -np.inf)",
        "where(position >= 0, scores, -np.inf)",
        "The loss falls close to 0, on validation too, and the text that it writes is nonsense."),
    Bug("not itself", ATTENTION, "position <= position[:, None]", "position < position[:, None]",
        "The loss is NaN from the first batch on."),
    Bug("mask with zeros", ATTENTION, "scores, -np.inf)", "scores, 0)",
        "An output changes when a later character changes, but only a little."),
    Bug("scale forgotten", ATTENTION, " * (1 / sqrt(width))", "",
        "With wide heads almost all weight goes to one position, and training is slow."),
    Bug("heads mixed up", ATTENTION, "mixed.transpose(0, 2, 1, 3).reshape(bs, length, n)",
        "mixed.reshape(bs, length, n)",
        "Outputs of the first positions change with later characters if there are two heads."),
    Bug("targets not shifted", TEXT, "found[:, 1:].copy()", "found[:, :-1].copy()",
        "The loss falls to 0 within an epoch, and the model repeats its last character for ever.")))


def _slopes(y: Tensor, *inputs: Tensor, rng: np.random.Generator) -> list[Any]:
    """Return an output and the gradients of its product with random numbers."""
    y.backward(rng.normal(size=y.shape))
    return [y, *(x.grad for x in inputs)]


def _leaves(rng: np.random.Generator, *shapes: tuple[int, ...]) -> list[Tensor]:
    """Return random float64 tensors that require a gradient."""
    return [Tensor(rng.normal(size=shape), True) for shape in shapes]


# ---------------------------------------------------------------- layer norm


@UNIT.property("Layer norm gives each row mean 0 and variance 1, then scales and shifts it.",
               "Over which axis are the mean and the variance? Which shape must they keep?",
               "The variance is the mean of the squared differences, divided by n, and eps is "
               "added to it before the root.")
def norm_values(rng: np.random.Generator) -> list[Any]:
    """Return outputs for inputs with one, two and three axes."""
    weight, bias = rng.normal(size=(2, 5))
    shapes = ((5,), (3, 5), (2, 3, 5), (0, 5))
    return [norm.layer_norm.forward(rng.normal(2, 3, shape), weight, bias, eps=eps)
            for shape in shapes for eps in (1e-5, .5)]


@UNIT.property("Layer norm of a row of equal numbers is the bias, and its gradient is finite.",
               "What is the variance of such a row?", "Where does eps have to be?")
def norm_of_a_constant(rng: np.random.Generator) -> list[Any]:
    """Return output and gradient."""
    x = Tensor(np.full((2, 4), float(rng.integers(1, 9))), True)
    weight, bias = _leaves(rng, (4,), (4,))
    return _slopes(norm.layer_norm(x, weight, bias, eps=1e-5), x, bias, rng=rng)


@UNIT.property("The gradients of scale and shift are right.",
               "The output is z * weight + bias, where z is the normalised input. What is the "
               "derivative with respect to each?",
               "The tape sums over repeated rows, so the rules return something of the shape of g.")
def norm_parameters(rng: np.random.Generator) -> list[Any]:
    """Return the gradients of weight and bias."""
    x, weight, bias = _leaves(rng, (2, 3, 4), (4,), (4,))
    return _slopes(norm.layer_norm(x, weight, bias, eps=.1), weight, bias, rng=rng)


@UNIT.property("The gradient of layer norm's input goes through the mean and the variance too.",
               "If you add 1 to all numbers of a row, the output does not change. What does that "
               "say about the sum of the gradient over a row?",
               "Three terms: through x itself, through the mean, through the variance. The last "
               "two are means over the row; the third one is multiplied by z.")
def norm_input(rng: np.random.Generator) -> list[Any]:
    """Return the gradients of the input, for a row alone and for many."""
    found = []
    for shape in ((4,), (3, 4), (2, 3, 4)):
        x, weight, bias = _leaves(rng, shape, (4,), (4,))
        found += _slopes(norm.layer_norm(x, weight, bias, eps=.1), x, rng=rng)
    return found


@UNIT.property("Layer norm changes none of its inputs.",
               "Does one of your operations write into x or g?", "Look for `-=`, `*=` and `out=`.")
def norm_unchanged(rng: np.random.Generator) -> list[Any]:
    """Return what went in, after the forward and the backward pass."""
    x, weight, bias, g = rng.normal(size=(4, 3))
    y = norm.layer_norm.forward(x, weight, bias, eps=.1)
    for rule in norm.layer_norm.rules:
        if rule is not None:
            rule(g, y, x, weight, bias, eps=.1)
    return [x, weight, bias, g]


# ---------------------------------------------------------------- the recurrent cell


def _cell_inputs(rng: np.random.Generator, bs: int = 3, n_in: int = 2, n: int = 4) -> list[Tensor]:
    """Return input, state, weights and biases."""
    return _leaves(rng, (bs, n_in), (bs, n), (3 * n, n_in), (3 * n, n), (3 * n,), (3 * n,))


@UNIT.property("A cell returns the next state: a mixture of the old one and of the candidate.",
               "Cut both products into three blocks. Which block belongs to which gate?",
               "r multiplies the state's block of the candidate, bias included, inside tanh; z "
               "is the share of the old state.")
def cell_values(rng: np.random.Generator) -> list[Any]:
    """Return states for random weights, and for a batch of one."""
    return [gru.gru_cell(*_cell_inputs(rng)), gru.gru_cell(*_cell_inputs(rng, 1, 5, 2))]


@UNIT.property("With z near 1 a cell keeps its state, with z near 0 it takes the candidate.",
               "Which of the two has the factor z, and which 1 - z?",
               "Set all weights to 0 and look at what the biases do.")
def cell_gates(rng: np.random.Generator) -> list[Any]:
    """Return states for gates that are open or shut."""
    found = []
    for r, z in ((-50, 50), (50, -50), (-50, -50)):
        x, h, w, u, b, c = _cell_inputs(rng)
        b.data[:4], b.data[4:8] = r, z
        found.append(gru.gru_cell(x, h, w, u, b, c))
    return found


@UNIT.property("Gradients of a cell reach its input, its state and all four parameters.",
               "Is everything computed with tensors? An array in between cuts the graph.",
               "Use apply(ops.linear, ...) or @, and the methods .sigmoid() and .tanh().")
def cell_gradients(rng: np.random.Generator) -> list[Any]:
    """Return all gradients."""
    inputs = _cell_inputs(rng)
    return _slopes(gru.gru_cell(*inputs), *inputs, rng=rng)


@UNIT.property("A cell changes neither the state that it gets nor its input.",
               "Does your cell write the new state into the old one?",
               "`h += ...` changes the tensor of the caller.")
def cell_unchanged(rng: np.random.Generator) -> list[Any]:
    """Return the inputs afterwards."""
    inputs = [Tensor(x.data) for x in _cell_inputs(rng)]
    gru.gru_cell(*inputs)
    return list(inputs)


@UNIT.property("A GRU of two layers runs on your cell, and continues from a state.",
               "The cell alone is right, so print the shapes that it gets here.",
               "h has the shape (bs, width), and width is not always n_in.")
def cell_in_use(rng: np.random.Generator) -> list[Any]:
    """Return states, last states and gradients, for a sequence in two parts."""
    layer = gru.GRU(3, 4, n_layers=2, seed=rng)
    x = Tensor(rng.normal(size=(2, 5, 3)), True)
    first, middle = layer(x[:, :2])
    rest, last = layer(x[:, 2:], middle)
    ((rest ** 2).mean() + first.mean()).backward()
    return [first, rest, last, x.grad, *(p.grad for p in layer.parameters())]


# ---------------------------------------------------------------- attention


def _qkv(rng: np.random.Generator, *front: int, length: int = 5, width: int = 3) -> list[Tensor]:
    """Return queries, keys, and values of another width."""
    return _leaves(rng, (*front, length, width), (*front, length, width), (*front, length, 2))


@UNIT.property("Attention returns means of the values, weighted by the softmax of the scores.",
               "What is the shape of q @ k transposed? Along which axis do the weights sum to 1?",
               "Divide the scores by the root of the width of q, not of v.")
def attention_values(rng: np.random.Generator) -> list[Any]:
    """Return outputs of attention for one position, for many, for a batch and for heads."""
    return [attention.causal_attention(*_qkv(rng, length=1)),
            attention.causal_attention(*_qkv(rng)),
            attention.causal_attention(*_qkv(rng, 2, width=1)),
            attention.causal_attention(*_qkv(rng, 2, 3, length=4, width=8))]


@UNIT.property("A position does not see later ones: changing them changes none of its numbers.",
               "Which entries of the scores belong to later positions, those above or those below "
               "the diagonal?",
               "exp of what is 0? Set the scores to that before the softmax.")
def attention_is_causal(rng: np.random.Generator) -> list[Any]:
    """Return for each position how much a change of the last two keys and values moves it."""
    inputs = _qkv(rng, 2)
    before = attention.causal_attention(*inputs).numpy().copy()
    for t in inputs[1:]:
        t.data[:, -2:] += 5
    moved = np.abs(attention.causal_attention(*inputs).numpy() - before).max((0, 2)) > 0
    return [*moved.tolist(), before]


@UNIT.property("The gradients of queries, keys and values are right, and none is NaN.",
               "Is everything computed with tensors?",
               "0 times infinity is NaN: use where, not a product with the mask.")
def attention_gradients(rng: np.random.Generator) -> list[Any]:
    """Return all gradients."""
    inputs = _qkv(rng, 2)
    return _slopes(attention.causal_attention(*inputs), *inputs, rng=rng)


@UNIT.property("Scores of several thousand do not overflow.",
               "exp(1000) is infinite in float64 already.",
               "minifast.nn.softmax subtracts the largest score of each row first.")
def attention_large_scores(rng: np.random.Generator) -> list[Any]:
    """Return output and gradient in float32."""
    q, k, v = (Tensor((x.data * 100).astype(np.float32), True) for x in _qkv(rng))
    y = attention.causal_attention(q, k, v)
    y.sum().backward()
    return [y.numpy(), *(bool(np.isfinite(np.asarray(t.grad)).all()) for t in (q, k))]


@UNIT.property("Attention changes none of its inputs, and refuses shapes that do not fit.",
               "Does your mask write into the scores of the caller?",
               "Keys of another width or values of another length are an error; cut nothing off.")
def attention_unchanged(rng: np.random.Generator) -> list[Any]:
    """Return the inputs afterwards, and the names of errors."""
    inputs = [Tensor(x.data) for x in _qkv(rng, 2)]
    attention.causal_attention(*inputs)
    q, k, v = inputs
    return [*inputs, error_of(attention.causal_attention, q, k, v[:, :3]),
            error_of(attention.causal_attention, q, k[:, :, :2], v)]


# ---------------------------------------------------------------- all together


class _Reader(Module):
    """Scores for the next character: an embedding, a layer, a linear layer."""

    def __init__(self, n: int, layer: Module) -> None:
        self.embed, self.layer, self.out = Embedding(n, 8, 0), layer, Linear(8, n, seed=1)

    def forward(self, ids: Tensor) -> Tensor:
        y = self.layer(self.embed(ids))
        scores: Tensor = self.out(y[0] if isinstance(y, tuple) else y)
        return scores


def _train(rng: np.random.Generator, layer: Module) -> list[Any]:
    """Return the losses of a short training on a text of few words, and scores."""
    words = " ".join(rng.choice(["the cat", "a dog", "sees", "and"], 200))
    data = text.CharDataBunch.from_text(words, 10, bs=16, seed=0, device="cpu")
    model = _Reader(len(data.classes), layer).to("cpu")
    for p in model.parameters():
        p.data = p.data.astype(np.float64)  # so that another order of sums changes nothing
    learn = Learner(data, model, fast=False)
    with learn.no_logging():
        learn.fit_one_cycle(1, .02)
    with no_grad():
        scores = learn.model(tensor([[0, 1, 2]], device="cpu"))
    return [np.float64(learn.recorder.val_losses[-1] or 0), scores]


@UNIT.property("A character model with a GRU learns as the library's does.",
               "Each part works alone, so look at the property that failed before this one.",
               "Print the loss of the first batch; it is near the log of the number of characters.")
def gru_learns(rng: np.random.Generator) -> list[Any]:
    """Return the loss after a pass over a small text."""
    return _train(rng, gru.GRU(8, 8, seed=0))


@UNIT.property("A transformer block, with your norm and attention inside, learns as well.",
               "Each part works alone, so look at the property that failed before this one.",
               "Inside the block attention has two heads, so its inputs have four axes.")
def block_learns(rng: np.random.Generator) -> list[Any]:
    """Return the loss after a pass over a small text."""
    return _train(rng, attention.TransformerBlock(8, 2, seed=0))
