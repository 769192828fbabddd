"""Unit 5, losses: formulas that do not overflow, and gradients that are simpler than the loss."""
from typing import Any

import numpy as np

from ...autograd import Tensor, derivatives, ops
from ...collab import EmbeddingDotBias
from ...data import ArrayDataset, DataBunch
from ...nn import layers, losses, module
from ...train import Learner
from ..unit import Bug, Unit

OPS, LOSSES = "minifast.autograd.ops", "minifast.nn.losses"
UNIT = Unit(5, "Losses", {
    OPS: ("mean_squared_error", "binary_cross_entropy", "_log_softmax",
          "_softmax_minus_one_hot", "cross_entropy"),
    LOSSES: ("softmax",)}, bugs=(
    Bug("no shift", OPS, "shifted = a - a.max(axis=-1, keepdims=True)", "shifted = a",
        "The loss of a classifier becomes inf once one of its scores exceeds 88."),
    Bug("one maximum for all rows", OPS, "shifted = a - a.max(axis=-1, keepdims=True)",
        "shifted = a - a.max()",
        "The loss is -inf for a row whose scores are far below those of another row."),
    Bug("one sum for all rows", OPS, "np.log(np.exp(shifted).sum(axis=-1, keepdims=True))",
        "np.log(np.exp(shifted).sum())",
        "The loss of a sample depends on the other samples of its batch."),
    Bug("sign of the gradient", OPS, "(np.exp(_log_softmax(a)) - one_hot) * g[:, None]",
        "(one_hot - np.exp(_log_softmax(a))) * g[:, None]",
        "A classifier gets worse with each step, and its loss grows without bound."),
    Bug("weight of the row", OPS, "(np.exp(_log_softmax(a)) - one_hot) * g[:, None]",
        "np.exp(_log_softmax(a)) - one_hot",
        "Mean and sum of the cross entropy have the same gradient."),
    Bug("one hot forgotten", OPS, "(np.exp(_log_softmax(a)) - one_hot) *", "np.exp(_log_softmax("
        "a)) *", "A classifier lowers all its scores and never learns which class is right."),
    Bug("sum for mean", OPS, "(pred - target) * (g * (2 / max(prod(pred.shape), 1)))",
        "(pred - target) * (g * 2)",
        "A regression diverges with a learning rate that was fine for single samples."),
    Bug("target pulled the wrong way", OPS, "(target - pred) * (g * (2 / max(",
        "(pred - target) * (g * (2 / max(",
        "Two networks trained to agree never meet: the second runs away from the first."),
    Bug("sigmoid and log", OPS, "np.maximum(a, 0) - a * target + np.log1p(np.exp(-np.abs(a)))",
        "-target * np.log(sigmoid(a)) - (1 - target) * np.log(1 - sigmoid(a))",
        "Binary cross entropy is inf or nan when the model is very sure."),
    Bug("no absolute value", OPS, "np.log1p(np.exp(-np.abs(a)))", "np.log1p(np.exp(-a))",
        "Binary cross entropy is too large for negative scores, and training still works."),
    Bug("small losses lost", OPS, "np.log1p(np.exp(-np.abs(a)))", "np.log(1 + np.exp(-np.abs(a)))",
        "The loss of a very good model is exactly 0."),
    Bug("softmax twice", LOSSES, "apply(ops.cross_entropy, as_floats(pred), target)",
        "apply(ops.cross_entropy, softmax(as_floats(pred)), target)",
        "A classifier for two classes never gets a loss below 0.313, however sure it is."),
    Bug("softmax over the batch", LOSSES, "return e / e.sum(axis, keepdims=True)",
        "return e / e.sum()", "The probabilities of a sample do not add up to 1."),
    Bug("softmax without shift", LOSSES, "e = (x - x.detach().max(axis, keepdims=True)).exp()",
        "e = x.exp()", "Predicted probabilities are nan where scores are large.")))


def _gradients(primitive: Any, weights: Any, *inputs: Any) -> list[Any]:
    """Return the output of a primitive, and the gradients of its float inputs."""
    tensors = [Tensor(x, x.dtype.kind == "f") for x in inputs]
    y = primitive(*tensors)
    y.backward(Tensor(np.asarray(weights)))
    return [y, *(x.grad for x in tensors if x.requires_grad)]


def _scores(rng: np.random.Generator, n: int = 6, classes: int = 4, scale: float = 3.
            ) -> tuple[Any, Any]:
    return rng.normal(size=(n, classes)) * scale, rng.integers(0, classes, n)


@UNIT.property("The mean squared error is the mean over all elements, for any shape.",
               "What do you divide by when predictions have two axes?",
               "Flatten the difference first.")
def squared_values(rng: np.random.Generator) -> list[Any]:
    """Return mean squared errors."""
    return [ops.mean_squared_error(rng.normal(size=shape), rng.normal(size=shape) + 2)
            for shape in ((5,), (2, 3), (4, 1), (), (3, 2, 2))]


@UNIT.property("The gradients of the mean squared error are right, for predictions and targets.",
               "Differentiate (p - t)^2 / n with respect to p, then to t.",
               "Each element is one of n in the mean; g is the gradient of the mean itself.")
def squared_gradients(rng: np.random.Generator) -> list[Any]:
    """Return gradients of mean squared errors."""
    found: list[Any] = []
    for shape in ((5,), (2, 3), ()):
        found += _gradients(ops.mean_squared_error, rng.normal(), rng.normal(size=shape),
                            rng.normal(size=shape))
    return found


@UNIT.property("The binary cross entropy is right, for targets of 0 and 1 and in between.",
               "It is -t log p - (1 - t) log(1 - p), with p = sigmoid(a).",
               "log p = -log(1 + exp(-a)), and log(1 - p) = log p - a.")
def binary_values(rng: np.random.Generator) -> list[Any]:
    """Return binary cross entropies."""
    a = rng.normal(size=(3, 4)) * 3
    return [ops.binary_cross_entropy(a, t) for t in (np.zeros((3, 4)), np.ones((3, 4)),
                                                     rng.random((3, 4)))] + [
            ops.binary_cross_entropy(np.zeros((0, 2)), np.zeros((0, 2)))]


@UNIT.property("The binary cross entropy does not overflow at scores of 1e4 and beyond.",
               "Which exp() in your formula gets a large positive number?",
               "exp(-|a|) is at most 1. Which formulas for a > 0 and for a < 0 use it?")
def binary_large(rng: np.random.Generator) -> list[Any]:
    """Return binary cross entropies and gradients at large scores."""
    found: list[Any] = []
    for dtype in (np.float64, np.float32):
        a = np.array([1e4, -1e4, 800, -800, 90, -90, 1e30, 0], dtype)
        for t in (np.zeros(8, dtype), np.ones(8, dtype)):
            with np.errstate(all="ignore"):
                found += _gradients(ops.binary_cross_entropy, np.ones(8, dtype), a, t)
    return found


@UNIT.property("A very small binary cross entropy keeps its digits.",
               "What is 1 + 1e-17 in float64?", "There is a function for log(1 + x) at small x.")
def binary_small(rng: np.random.Generator) -> list[Any]:
    """Return tiny binary cross entropies as shares of exp(a), which is nearly the same number."""
    return [ops.binary_cross_entropy(np.array(a), np.array(0.)) / np.exp(a)
            for a in (-40., -100., -20., -10.)]


@UNIT.property("The gradients of the binary cross entropy are right, for scores and targets.",
               "Differentiate -t log p - (1 - t) log(1 - p) with respect to a; "
               "sigmoid' = p (1 - p).",
               "For a, nearly everything cancels. For t, log(1 - p) - log p is left.")
def binary_gradients(rng: np.random.Generator) -> list[Any]:
    """Return gradients of binary cross entropies."""
    return _gradients(ops.binary_cross_entropy, rng.normal(size=(3, 4)),
                      rng.normal(size=(3, 4)) * 3, rng.random((3, 4)))


@UNIT.property("_log_softmax is a - log(sum(exp(a))) along the last axis, for any number of axes.",
               "Which axis holds the classes?", "Sum with keepdims=True.")
def log_values(rng: np.random.Generator) -> list[Any]:
    """Return logarithms of softmax."""
    return [ops._log_softmax(rng.normal(size=shape) * 3)
            for shape in ((4,), (3, 5), (2, 3, 4), (0, 3))]


@UNIT.property("_log_softmax does not overflow, whatever the scores, in each row separately.",
               "exp(710) is inf. What changes if all scores of a row are lowered by the same "
               "number?", "Which number makes the largest exp() of each row equal to 1?")
def log_large(rng: np.random.Generator) -> list[Any]:
    """Return logarithms of softmax at large scores."""
    a = np.array([[1e4, 0, -1e4], [-1e4, -1e4 - 1, -1e4 - 2], [1e300, 0, -1e300],
                  [800., 801, 799], [0, 1, 2]])
    with np.errstate(all="ignore"):
        return [ops._log_softmax(a), *ops._log_softmax(a),
                *ops._log_softmax(np.clip(a, -1e30, 1e30).astype(np.float32))]


@UNIT.property("Scores of 10000, 10001 and 10002 lose no digits in float32.",
               "float32 has 7 digits. How many are left after the point of 10001.31?",
               "Subtract the maximum first, and use the small numbers only from then on.")
def log_digits(rng: np.random.Generator) -> list[Any]:
    """Return logarithms of softmax of scores that are large and near each other."""
    near = np.array([0, 1, 2], np.float32)
    return [ops._log_softmax(near + np.float32(shift)) for shift in (0, 1e4, -1e4, 1e6)]


@UNIT.property("A score of -inf stands for a class that is impossible: its probability is 0, and "
               "the others are right.", "What are exp(-inf) and -inf minus a finite number?",
               "inf minus inf is not a number: make sure that you subtract something finite.")
def log_masked(rng: np.random.Generator) -> list[Any]:
    """Return logarithms of softmax, losses and gradients with impossible classes."""
    a, target = _scores(rng)
    a[:, 1] = -np.inf
    target[target == 1] = 0
    return [ops._log_softmax(a), *_gradients(ops.cross_entropy, np.ones(6), a, target)]


@UNIT.property("cross_entropy returns one loss for each row, -log softmax(a)[target].",
               "Which element of each row do you pick, and with which sign?",
               "a[np.arange(n), target] picks one element of each row.")
def cross_values(rng: np.random.Generator) -> list[Any]:
    """Return cross entropies for several types of targets, one class, and an empty batch."""
    a, target = _scores(rng)
    return [*(ops.cross_entropy(a, target.astype(kind)) for kind in (np.int64, np.int32, np.uint8)),
            1 + ops.cross_entropy(a[:, :1], np.zeros(6, np.int64)),
            ops.cross_entropy(a[:0], target[:0])]


@UNIT.property("The gradient of the scores is (softmax - one hot), each row times its own g.",
               "Differentiate log(sum(exp(a))) - a[t] with respect to a[j], once for j = t and "
               "once for others.",
               "g has an element for each row, the scores have a row: g[:, None].")
def cross_rule(rng: np.random.Generator) -> list[Any]:
    """Return what the rule returns, with a different weight for each row."""
    a, target = _scores(rng)
    g = rng.normal(size=6)
    return [ops._softmax_minus_one_hot(g, ops.cross_entropy(a, target), a, target),
            *_gradients(ops.cross_entropy, g, a, target),
            *_gradients(ops.cross_entropy, g[:0], a[:0], target[:0])]


@UNIT.property("Loss and gradient of scores of 1e4 are finite, for right and for wrong answers.",
               "Is there still an exp() of a large number, or a log() of 0?",
               "The rule can take softmax from exp(_log_softmax(a)).")
def cross_large(rng: np.random.Generator) -> list[Any]:
    """Return losses and gradients at large scores."""
    found: list[Any] = []
    for dtype in (np.float64, np.float32):
        a = np.array([[1e4, 0, -1e4], [1e4, 0, -1e4], [-1e4, -1e4, -1e4], [90, 0, 0]], dtype)
        with np.errstate(all="ignore"):
            found += _gradients(ops.cross_entropy, np.ones(4, dtype), a, np.array([0, 2, 1, 0]))
    return found


@UNIT.property("gradcheck finds that values and rules belong together.",
               "One of the two is wrong. The properties before this one say which.",
               "Run gradcheck with one row and two classes, and compute both by hand.")
def belong_together(rng: np.random.Generator) -> list[Any]:
    """Return the results of gradcheck, or the names of errors."""
    a, target = _scores(rng)
    found: list[Any] = []
    for primitive, inputs in ((ops.cross_entropy, (a, target)),
                              (ops.binary_cross_entropy, (a, rng.random(a.shape))),
                              (ops.mean_squared_error, (a, a[::-1] + 1))):
        try:
            found.append(str(derivatives.gradcheck(primitive, *map(Tensor, inputs))))
        except derivatives.GradientError as error:
            found.append(type(error).__name__)
    return found


@UNIT.property("No input is changed, neither by a loss nor by its gradient.",
               "Does an operation write into its input?",
               "Look for `-=` and for assignments to elements. Which arrays are copies?")
def unchanged(rng: np.random.Generator) -> list[Any]:
    """Return inputs and incoming gradients after the losses and the rules."""
    a, target = _scores(rng)
    other, g = rng.random(a.shape), rng.normal(size=6)
    y = ops.cross_entropy(a, target)
    before = y.copy()
    ops._log_softmax(a)
    ops._softmax_minus_one_hot(g, y, a, target)
    _gradients(ops.binary_cross_entropy, other, a, other)
    _gradients(ops.mean_squared_error, g[0], a, other)
    losses.softmax(Tensor(a))
    return [a, target, other, g, y - before]


@UNIT.property("float32 stays float32, in losses and in gradients.",
               "Where does a float64 number come in?",
               "An array of float64 turns the result into float64; a Python number does not.")
def number_types(rng: np.random.Generator) -> list[Any]:
    """Return losses and gradients of float32 numbers."""
    a, target = _scores(rng)
    a, other = a.astype(np.float32), rng.random(a.shape).astype(np.float32)
    return [*_gradients(ops.cross_entropy, np.ones(6, np.float32), a, target),
            *_gradients(ops.binary_cross_entropy, np.ones_like(a), a, other),
            *_gradients(ops.mean_squared_error, np.float32(1), a, other),
            losses.softmax(Tensor(a)), ops._log_softmax(a)]


@UNIT.property("softmax gives probabilities along any axis, without overflow, with a gradient.",
               "Softmax may be shifted as log-softmax is.",
               "The shift has no influence on the result, so it needs no gradient: detach().")
def probabilities(rng: np.random.Generator) -> list[Any]:
    """Return probabilities and gradients."""
    found: list[Any] = []
    for shape, axis in (((4,), -1), ((3, 5), -1), ((3, 5), 0), ((2, 3, 4), 1)):
        x = Tensor(rng.normal(size=shape) * 3, requires_grad=True)
        p = losses.softmax(x, axis)
        (p * Tensor(rng.normal(size=shape))).sum().backward()
        found += [p, x.grad]
    with np.errstate(all="ignore"):
        found.append(losses.softmax(Tensor(np.array([[1e4, 0, -1e4], [-1e4, 1 - 1e4, -1e5]]))))
    return [*found, losses.softmax(Tensor(np.array([0, 1, 2])))]


@UNIT.property("The loss functions of the library work with them: mean, sum and none, flattened or "
               "not.", "They call your functions. Which of the properties before this one fails?",
               "Print the shapes that your functions get.")
def library_losses(rng: np.random.Generator) -> list[Any]:
    """Return losses and gradients of the functions in nn.losses."""
    found: list[Any] = []
    a, target = _scores(rng)
    for reduction in ("mean", "sum", "none"):
        for loss, t in ((losses.cross_entropy, target), (losses.mse_loss, a[::-1] + 1),
                        (losses.binary_cross_entropy_with_logits, rng.random(a.shape))):
            x = Tensor(a.copy(), requires_grad=True)
            y = loss(x, Tensor(t), reduction)
            y.sum().backward()
            found += [y, x.grad]
    x, ids = Tensor(rng.normal(size=(2, 3, 4))), Tensor(rng.integers(0, 4, (2, 3)))
    flat = losses.CrossEntropyFlat()
    return [*found, flat(x, ids), flat.activation(x) if flat.activation else None,
            losses.MSELossFlat()(Tensor(a[:, :1]), Tensor(target)),
            losses.BCEWithLogitsFlat()(Tensor(a[:, :1]), Tensor(target > 1))]


@UNIT.property("The same for any shapes and sizes of scores.",
               "Look at the property that failed before this one.",
               "Which of the cases has a single row, or rows of very different sizes?")
def any_scores(rng: np.random.Generator) -> list[Any]:
    """Return losses and gradients for random scores."""
    found: list[Any] = []
    for _ in range(15):
        n, classes = map(int, rng.integers(1, 6, 2))
        a, target = _scores(rng, n, classes + 1, 10. ** rng.integers(-2, 5))
        a += rng.normal(size=(n, 1)) * 1000
        other = rng.random(a.shape)
        found += [*_gradients(ops.cross_entropy, rng.normal(size=n), a, target),
                  *_gradients(ops.binary_cross_entropy, other, a, other),
                  *_gradients(ops.mean_squared_error, rng.normal(), a, other)]
    return [x + 1 for x in found]  # a difference from 0 counts by its size, not by its digits


@UNIT.property("With them a learner trains a classifier and a recommender.",
               "Each loss is right by itself, so look at the gradient of a whole batch.",
               "Train on one batch of two samples, and compare with a step by hand.")
def in_use(rng: np.random.Generator) -> list[Any]:
    """Return the losses of a classifier and of a recommender."""
    x = rng.normal(size=(200, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64) + (x[:, 0] > 1)
    model = module.Sequential(layers.Linear(2, 16, seed=1), layers.ReLU(),
                              layers.Linear(16, 3, seed=2))
    users, items = rng.integers(0, 20, (2, 400))
    stars = np.clip(3 + rng.normal(size=20)[users] + rng.normal(size=20)[items], 1, 5)
    rows = ArrayDataset([users, items], stars.astype(np.float32))
    found: list[Any] = []
    for train, valid, net, loss_func in (
            (ArrayDataset(x[:150], y[:150]), ArrayDataset(x[150:], y[150:]), model,
             losses.CrossEntropyFlat()),
            (rows, rows, EmbeddingDotBias(4, 20, 20, (0, 5.5), seed=1), losses.MSELossFlat())):
        learn = Learner(DataBunch.create(train, valid, bs=25, seed=0), net, loss_func=loss_func,
                        add_time=False)
        learn.fast = False
        with learn.no_logging():
            learn.fit(1, lr=.01)
        found += [np.float32(learn.recorder.val_losses[0]), np.float32(learn.recorder.losses[-1])]
    return found
