"""Unit 1, derivatives: each operation has a rule that carries a gradient to its inputs."""
from collections.abc import Callable
from typing import Any

import numpy as np

from ...autograd import Primitive, Tensor, derivatives, ops
from ..unit import Bug, Unit

OPS, TAPE, TENSOR = "minifast.autograd.ops", "minifast.autograd.tape", "minifast.autograd.tensor"
UNIT = Unit(1, "Derivatives", {OPS: ("mul", "div", "exp", "tanh", "softplus")}, bugs=(
    Bug("factors exchanged", OPS, "lambda g, y, a, b: g * b,\n           "
        "lambda g, y, a, b: g * a)\ndef mul", "lambda g, y, a, b: g * a,\n           "
        "lambda g, y, a, b: g * b)\ndef mul",
        "x * x has the right gradient, x * 3 has another one."),
    Bug("wrong sign", OPS, "lambda g, y, a, b: -g * y / b)", "lambda g, y, a, b: g * y / b)",
        "A scale that the data are divided by moves away from its best value."),
    Bug("input for output", OPS, "lambda g, y, a: g * y)\ndef exp",
        "lambda g, y, a: g * a)\ndef exp", "exp(0) has the derivative 0."),
    Bug("gradient lost", OPS, "lambda g, y, a: g * y)\ndef exp", "lambda g, y, a: y)\ndef exp",
        "exp(x).sum() has the right gradient; that of exp(x).mean() is as large."),
    Bug("square forgotten", OPS, "g * (1 - y * y)", "g * (1 - y)",
        "The gradient of tanh is right only near 0; for negative numbers it is above 1."),
    Bug("naive formula", OPS, "np.maximum(a, 0) + np.log1p(np.exp(-np.abs(floats(a))))",
        "np.log(1 + np.exp(floats(a)))",
        "A loss made of softplus is infinite for one sample in a million."),
    Bug("sigmoid of the output", OPS, "g * sigmoid(a))", "g * sigmoid(y))",
        "Models with softplus learn, but gradcheck finds the rule wrong."),
    Bug("written into g", OPS, "lambda g, y, a: g * y)\ndef exp",
        "lambda g, y, a: np.multiply(g, y, out=g))\ndef exp",
        "tanh(z) has the right gradient alone, and a wrong one in tanh(z) + exp(x)."),
    Bug("last input decides", TENSOR, "needs_grad = needs_grad or getattr(x, \"requires_grad\", "
        "False)", "needs_grad = getattr(x, \"requires_grad\", False)",
        "3 * w is recorded, w * 3 is not."),
    Bug("rules in reverse", TAPE, "zip_longest(self.inputs, self.arrays, rules,",
        "zip_longest(self.inputs, self.arrays, rules[::-1],",
        "Sums and functions of one input have right gradients; a - b and a / b do not.")))
UNARY: tuple[Callable[[], Primitive], ...] = (
    lambda: ops.exp, lambda: ops.tanh, lambda: ops.softplus)


def _results(op: Primitive, rng: np.random.Generator, *arrays: Any) -> list[Any]:
    """Return the output of an operation and the gradients of its inputs, for a random ``g``."""
    inputs = [Tensor(np.array(a), True) for a in arrays]
    y = op(*inputs)
    y.backward(rng.normal(size=y.shape).astype(y.dtype))
    return [y, *(x.grad for x in inputs)]


@UNIT.property("mul multiplies element by element, and each input has the right gradient.",
               "By how much does a * b grow if a grows by a little?",
               "There are two rules, in the order of the inputs. Each multiplies g, which has "
               "arrived from above, by the derivative of the product with respect to its own "
               "input.")
def product(rng: np.random.Generator) -> list[Any]:
    """Return products and gradients."""
    return [*_results(ops.mul, rng, *rng.normal(size=(2, 3, 4))),
            *_results(ops.mul, rng, rng.normal(size=(3, 1)), rng.normal(size=4))]


@UNIT.property("mul works with a number, and with the same tensor twice.",
               "What may b be, other than an array?",
               "Let NumPy's operator do the work: it takes arrays and numbers.")
def product_of_one(rng: np.random.Generator) -> list[Any]:
    """Return x * 3, 3 * x, x * x and their gradients."""
    x, found = Tensor(rng.normal(size=5), True), []
    for y in (x * 3., 2. * x, x * x):
        y.backward(rng.normal(size=5))
        found += [y, x.grad]
        x.grad = None
    return found


@UNIT.property("div divides, and each input has the right gradient.",
               "a / b is a times 1 / b; what is the derivative of 1 / b?",
               "The second rule has a minus sign, and it can use the output y.")
def quotient(rng: np.random.Generator) -> list[Any]:
    """Return quotients and gradients; divisors are not near 0."""
    b = rng.uniform(.5, 2, size=(3, 4)) * rng.choice([-1, 1], size=(3, 4))
    return [*_results(ops.div, rng, rng.normal(size=(3, 4)), b),
            *_results(ops.div, rng, rng.normal(size=4), b[:, :1])]


@UNIT.property("exp has the right values and gradients.",
               "Which function is its own derivative?",
               "The rule has y, which is exp(a) already; and g comes from above.")
def exponential(rng: np.random.Generator) -> list[Any]:
    """Return values and gradients, far from 0 as well."""
    return [*_results(ops.exp, rng, rng.normal(size=(3, 4))),
            *_results(ops.exp, rng, np.array([0., -1000., 700.]))]


@UNIT.property("tanh has the right values and gradients, also where it is flat.",
               "Differentiate sinh / cosh with the rule of quotients.",
               "cosh(a)**2 - sinh(a)**2 is 1, so that the derivative can be written with y alone.")
def hyperbolic(rng: np.random.Generator) -> list[Any]:
    """Return values and gradients, far from 0 as well."""
    return [*_results(ops.tanh, rng, rng.normal(size=(3, 4))),
            *_results(ops.tanh, rng, np.array([0., -800., 800.]))]


@UNIT.property("softplus has the right values and gradients between -3 and 3.",
               "softplus(a) is log(1 + exp(a)). Use the chain rule.",
               "The derivative is exp(a) / (1 + exp(a)), which has a name and is in this file.")
def soft(rng: np.random.Generator) -> list[Any]:
    """Return values and gradients."""
    return [*_results(ops.softplus, rng, rng.uniform(-3, 3, size=(3, 4))),
            *_results(ops.softplus, rng, np.zeros(1))]


@UNIT.property("softplus and its gradient are finite for large numbers, in float32 too.",
               "What is exp(100) in float32? What should softplus(100) be?",
               "Write the formula so that exp gets only negative numbers: take exp(a) out of "
               "1 + exp(a), and see what the logarithm of the product is.")
def large(rng: np.random.Generator) -> list[Any]:
    """Return values and gradients for large inputs."""
    far = np.array([-1e4, -800., -100., 100., 800., 1e4]) * rng.uniform(.9, 1)
    return [*_results(ops.softplus, rng, far),
            *_results(ops.softplus, rng, far.astype(np.float32))]


@UNIT.property("softplus keeps its digits for very negative numbers.",
               "What is 1 + 1e-20 in float64?", "NumPy has a function for log(1 + e), small e.")
def small(rng: np.random.Generator) -> list[Any]:
    """Return values as shares of exp(a), which is nearly the same number."""
    return [ops.softplus(Tensor(np.array([a]))).numpy() / np.exp(a)
            for a in np.array([-20., -40., -300.]) * rng.uniform(.9, 1, 3)]


@UNIT.property("Whole numbers give float32, as in torch; float32 stays float32.",
               "What does NumPy make of np.exp(np.uint8(3))?",
               "There is a helper for it at the top of the file.")
def number_types(rng: np.random.Generator) -> list[Any]:
    """Return results for integers and truth values, and gradients in float32."""
    whole, half = rng.integers(0, 4, 5).astype(np.uint8), rng.uniform(.5, 1, 5).astype(np.float32)
    found = [op()(Tensor(a)) for op in UNARY for a in (whole, whole > 1)]
    for op in UNARY:
        found += _results(op(), rng, half)
    return [*found, *_results(ops.mul, rng, half, half), *_results(ops.div, rng, half, half[::-1])]


@UNIT.property("All of them take any shape: one number, no numbers, four axes.",
               "Which of your lines needs an axis?", "Leave out indices and loops.")
def shapes(rng: np.random.Generator) -> list[Any]:
    """Return values and gradients for several shapes."""
    found = []
    for shape in ((), (0, 3), (2, 1, 2, 1)):
        a, b = rng.uniform(.5, 1, size=(2, *shape))
        for op in UNARY:
            found += _results(op(), rng, a)
        found += [*_results(ops.mul, rng, a, b), *_results(ops.div, rng, a, b)]
    return found


@UNIT.property("Neither the operations nor their rules change the arrays that they get.",
               "Does one of your lines write into a, into y or into g?",
               "Look for `*=`, `-=` and `out=`; g may belong to another operation as well.")
def unchanged(rng: np.random.Generator) -> list[Any]:
    """Return what went into the functions and the rules."""
    found = []
    for op in (ops.mul, ops.div, ops.exp, ops.tanh, ops.softplus):
        g, *inputs = rng.uniform(.5, 1, size=(len(op.rules) + 1, 4))
        y = op.forward(*inputs)
        before = y.copy()
        for rule in filter(None, op.rules):
            rule(g, y, *inputs)
        found += [g, *inputs, bool((y == before).all())]
    return found


@UNIT.property("An operation is recorded as a Node: its name, its inputs and its output.",
               "Is the decorator @primitive(...) still above each function?",
               "Compare `(x * 3.).node` with what the notebook shows.")
def recorded(rng: np.random.Generator) -> list[Any]:
    """Return what the nodes of w * 3 and of exp(w * 3) hold."""
    w, fixed = Tensor(rng.normal(size=3), True), Tensor(rng.normal(size=3))
    y = w * 3.
    z: Any = ops.exp(y)
    first, second = y.node, z.node
    return [first is not None and first.op.name, second.op.name, first is not None and
            first.inputs is not None and first.inputs[0] is w, second.inputs[0] is y,
            second.output, first is not None and second.position > first.position,
            (fixed * fixed).node is None]


@UNIT.property("gradcheck finds nothing wrong with any of them.",
               "gradcheck's message names the input, the place and both numbers.",
               "Divide the number of your rule by the difference: is it -1, or g, or an input?")
def checked(rng: np.random.Generator) -> list[Any]:
    """Return what gradcheck says."""
    a, b = (Tensor(rng.uniform(.5, 2, size=(2, 3))) for _ in range(2))
    return [*(derivatives.gradcheck(op(), a) for op in UNARY),
            derivatives.gradcheck(ops.mul, a, b), derivatives.gradcheck(ops.div, a, b)]


@UNIT.property("The rules run on tensors too, so that gradients can be differentiated again.",
               "With create_graph=True, g, y and the inputs of a rule are tensors.",
               "Use operators, and functions that tensors know: `UFUNCS` at the end of the file "
               "lists them.")
def second_derivatives(rng: np.random.Generator) -> list[Any]:
    """Return first and second derivatives."""
    found: list[Any] = []
    for op in (*(op() for op in UNARY), ops.mul, ops.div):
        x = Tensor(rng.uniform(.5, 1, size=4), True)
        y = op(*[x, x + 1][:len(op.rules)])
        first, = derivatives.grad(y, x, True, rng.normal(size=4))
        found += [first, *derivatives.grad(first, x, gradient=rng.normal(size=4))]
    return found


@UNIT.property("Counts and yes-or-no answers can be learned with your operations.",
               "Each part works alone; does a gradient pass through two of them?",
               "Compare the first loss with a calculation by hand, then the second.")
def learns(rng: np.random.Generator) -> list[Any]:
    """Return the losses of two regressions, with exp and with softplus."""
    x, found = Tensor(rng.normal(size=(40, 3))), []
    count, sign = Tensor(1. * rng.poisson(2., 40)), Tensor(rng.choice([-1., 1.], 40))
    losses: list[Callable[[Tensor], Tensor]] = [
        lambda z: (ops.exp(z) - count * z).mean(),
        lambda z: (ops.softplus(-(sign * z)) / 2.).mean() + (ops.tanh(z) ** 2).mean()]
    for loss in losses:
        w = Tensor(np.zeros(3), True)
        for _ in range(10):
            value = loss(x @ w)
            value.backward()
            w = Tensor(w.data - .2 * np.asarray(w.grad), True)
            found.append(value.item())
    return found


@UNIT.property("A recommender trains with your product, as it does with the library's.",
               "The model multiplies rows of factors, then adds up. What else does it multiply?",
               "All the properties above must hold first.")
def recommender(rng: np.random.Generator) -> list[Any]:
    """Return the losses of one epoch."""
    return recommender_losses(rng)


def recommender_losses(rng: np.random.Generator) -> list[Any]:
    """Return the losses of a recommender after an epoch, in the type they are computed in."""
    from pandas import DataFrame

    from ...collab import collab_learner
    from ...data import CollabDataBunch
    users, items = rng.integers(0, 40, 800), rng.integers(0, 30, 800)
    stars = np.clip(np.round(3 + .1 * (users % 10) - .1 * (items % 7) + rng.normal(size=800)), 1, 5)
    seed = int(rng.integers(1000))
    data = CollabDataBunch.from_df(
        DataFrame({"user": users, "item": items, "rating": stars.astype(np.float32)}),
        seed=seed, valid_pct=.1, bs=64, device="cpu")
    learn = collab_learner(data, n_factors=5, y_range=[0, 5.5], seed=seed)
    learn.fast = False
    with learn.no_logging():
        learn.fit(1, lr=5e-3)
    losses = [float(x) for x in learn.recorder.losses]
    return [np.array(losses, np.float32), np.array(learn.recorder.val_losses, np.float32)]
