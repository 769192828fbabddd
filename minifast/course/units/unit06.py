"""Unit 6, from SGD to Adam: an optimizer is a list of small steps, each with its own state."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import nn
from ...optim import optimizer, steps
from ..train import small_recommender
from ..unit import Bug, Unit

STEPS, OPTIMIZER = "minifast.optim.steps", "minifast.optim.optimizer"
UNIT = Unit(6, "From SGD to Adam", {STEPS: (
    "weight_decay", "l2_reg", "momentum", "sgd_step", "average_grad", "average_sqr_grad",
    "adam_step")}, bugs=(
    Bug("no bias correction", STEPS, "move *= lr * root / (1 - mom ** state.count)", "move *= lr",
        "With beta=.9999 the first epoch of the recommender ends at a loss of 1.38, not 0.93."),
    Bug("count stays at one", STEPS, "state.count += 1", "state.count = 1",
        "With momentum .95 Adam's steps are twice as long as with .9, at every batch."),
    Bug("eps inside the root", STEPS, 'move = np.sqrt(state["square"],',
        'move = np.sqrt(state["square"] + eps,',
        "Weights whose gradients are small, about 1e-5, learn much more slowly than others."),
    Bug("mean, then square", STEPS, "new = p.grad * p.grad",
        'new = state["average"] * state["average"]',
        "Adam's steps do not become shorter when the gradients are noisy."),
    Bug("momentum damped", STEPS, '    state["average"] += p.grad\n\n',
        '    state["average"] += (1 - mom) * p.grad\n\n',
        "SGD with momentum .9 is no faster than without: it needs a rate ten times as high."),
    Bug("decay without the rate", STEPS, "p.data *= 1 - lr * wd", "p.data *= 1 - wd",
        "With wd=.1 all weights are near zero after fifty batches, however low the rate."),
    Bug("gradient overwritten", STEPS, "p.grad = p.grad + wd * p.data", "p.grad += wd * p.data",
        "With an L2 penalty, a gradient printed after the step is not the one from before it."),
    Bug("L2 for decoupled", OPTIMIZER, "return steps.weight_decay if true_wd else steps.l2_reg",
        "return steps.l2_reg if true_wd else steps.weight_decay",
        "With wd=.1 the recommender's loss stays at 1.72 from the first epoch on."),
    Bug("momentum survives freezing", OPTIMIZER, "self.state.pop(p, None)", "pass",
        "A layer that was frozen for a while jumps at the first step after it."),
    Bug("frozen weights decay", OPTIMIZER, "                if p.requires_grad:\n",
        "                if p.requires_grad or p in self.state:\n",
        "The weights of a layer that was trained once change although it is frozen."),
    Bug("biases decay", OPTIMIZER, "if p.no_wd and not self.bn_wd:", "if p.no_wd and self.bn_wd:",
        "With bn_wd=False biases shrink; with bn_wd=True they do not.")))

SHAPES: tuple[tuple[int, ...], ...] = ((3,), (2, 3), (0, 2))
Steps = list[optimizer.Step]


def _weights(rng: np.random.Generator, *shapes: tuple[int, ...]) -> list[nn.Parameter]:
    return [nn.Parameter(np.asarray(rng.normal(size=shape))) for shape in shapes or SHAPES]


def _walk(opt: optimizer.Optimizer, rng: np.random.Generator, n: int = 4, scale: float = 1.
          ) -> list[Any]:
    """Take steps with random gradients; return the weights after each step."""
    found = []
    parameters = [p for group in opt.groups for p in group]
    for _ in range(n):
        for p in parameters:
            p.grad = np.asarray(scale * rng.normal(size=p.shape))
        opt.step()
        found += [p.data.copy() for p in parameters]
    return found


def _state(opt: optimizer.Optimizer, *names: str) -> list[Any]:
    return [np.array(opt.state[p][name]) for group in opt.groups for p in group for name in names]


@UNIT.property("Decoupled decay multiplies the weights by 1 - lr wd, whatever their gradients are.",
               "Does the gradient, or a running mean, play a part in it?",
               "One line, in place. With lr = 0.5 and wd = 0.1 a weight of 2 becomes 1.9.")
def decoupled_decay(rng: np.random.Generator) -> list[Any]:
    """Return weights that only decay."""
    opt = optimizer.Optimizer(_weights(rng, *SHAPES, ()), [steps.weight_decay],
                              lr=rng.uniform(.1, 1), wd=.3)
    return _walk(opt, rng, scale=10.) + _walk(opt, rng, scale=0.)


@UNIT.property("The L2 penalty adds wd times the weights to the gradients, and moves no weight.",
               "What is the derivative of wd / 2 times the square of a weight?",
               "The steps that come after it take the new p.grad; the weights stay as they are.")
def l2_penalty(rng: np.random.Generator) -> list[Any]:
    """Return the gradients that the next step gets, and the weights."""
    seen: list[Any] = []
    chosen: Steps = [steps.l2_reg, lambda p, state, **_: seen.append(np.array(p.grad))]
    opt = optimizer.Optimizer(_weights(rng), chosen, lr=.1, wd=rng.uniform(.1, 1))
    return _walk(opt, rng, 2) + seen


@UNIT.property("No step changes the array of the gradient that it was given.",
               "Which of your lines writes into an array that it does not own?",
               "`p.grad += ...` changes the caller's array; `p.grad = ...` replaces it.")
def gradients_unchanged(rng: np.random.Generator) -> list[Any]:
    """Return the gradients after a step of each optimizer."""
    found = []
    sgd: Steps = [steps.weight_decay, steps.momentum, steps.sgd_step]
    adam: Steps = [steps.weight_decay, steps.average_grad, steps.average_sqr_grad, steps.adam_step]
    for chosen in (sgd, adam, [steps.l2_reg, *sgd]):
        for p in _weights(rng):
            grad = p.grad = np.asarray(rng.normal(size=p.shape))
            opt = optimizer.Optimizer([p], chosen, lr=.1, mom=.9, beta=.99, eps=1e-8, wd=.1)
            opt.step()
            opt.step()
            found += [grad, p.grad]
    return found


@UNIT.property("Momentum is a sum of the gradients; each step multiplies the older ones by mom.",
               "What is the average after two steps with a gradient of 1 and mom = 0.9?",
               "1, then 1.9, then 2.71: the new gradient enters in full.")
def momentum_sum(rng: np.random.Generator) -> list[Any]:
    """Return the state and the weights after each of some steps."""
    opt = optimizer.Optimizer(_weights(rng, *SHAPES, ()), [steps.momentum],
                              mom=rng.uniform(.5, .95))
    return [x for _ in range(4) for x in _walk(opt, rng, 1) + _state(opt, "average")]


@UNIT.property("A step of SGD subtracts the rate times the average, and keeps the average.",
               "In which direction does the loss fall?",
               "The average is used again at the next step, so it must be the same afterwards.")
def sgd(rng: np.random.Generator) -> list[Any]:
    """Return weights and averages after steps of SGD."""
    def add(p: Any, state: Any, **_: Any) -> None:
        state["average"] += p.grad
    opt = optimizer.Optimizer(_weights(rng), [add, steps.sgd_step], lr=rng.uniform(.1, 1))
    return _walk(opt, rng, 3) + _state(opt, "average")


@UNIT.property("The running means of the gradient and of its square give the new value 1 - mom "
               "and 1 - beta of the weight.",
               "A mean of equal values is that value: which factor must the new one have?",
               "The weights of the old and the new one add up to 1. Both means begin at zero; the "
               "correction comes in adam_step.")
def means(rng: np.random.Generator) -> list[Any]:
    """Return the two means after each of some steps."""
    opt = optimizer.Optimizer(_weights(rng), [steps.average_grad, steps.average_sqr_grad],
                              mom=rng.uniform(.5, .95), beta=rng.uniform(.9, .999))
    return [x for _ in range(4)
            for x in _walk(opt, rng, 1, 3.) + _state(opt, "average", "square")]


def _adam(parameters: Sequence[Any], **hypers: Any) -> optimizer.Optimizer:
    chosen: Steps = [steps.average_grad, steps.average_sqr_grad, steps.adam_step]
    return optimizer.Optimizer(parameters, chosen, **{"eps": 1e-8, **hypers})


@UNIT.property("Adam's first step is as long as the rate, for gradients of any size.",
               "Which update is it, t = 0 or t = 1? Only adam_step adds to state.count.",
               "After one step average / (1 - mom) is the gradient itself. What about square?")
def first_step(rng: np.random.Generator) -> list[Any]:
    """Return weights after one step, with gradients of very different sizes."""
    found = []
    for mom, beta in ((.9, .99), (.95, .9999), (0., .999)):
        p = _weights(rng, (13,))[0]
        p.grad = rng.choice([-1., 1.], 13) * 10. ** np.arange(-6, 7)
        _adam([p], lr=.1, mom=mom, beta=beta).step()
        found.append(p.data)
    return found


@UNIT.property("The correction at update t is 1 - mom^t and 1 - beta^t, counted from 1 for each "
               "parameter.",
               "Compare the second step with the first: what has changed in the correction?",
               "state.count grows by one at each update. Neither mean may be corrected in place.")
def corrected_steps(rng: np.random.Generator) -> list[Any]:
    """Return weights, means and counts after each step; the last parameter joins in later."""
    first, last = _weights(rng, (3,), (2, 2))
    opt = _adam([first, last], lr=.1, mom=rng.uniform(.5, .95), beta=rng.uniform(.9, .999))
    last.requires_grad = False
    found = _walk(opt, rng, 3)
    last.requires_grad = True
    for _ in range(4):
        found += _walk(opt, rng, 1) + _state(opt, "average", "square")
    return [*found, opt.state[first].count, opt.state[last].count]


@UNIT.property("eps is added to the root of the corrected mean square.",
               "Is your eps inside the root? Is it added before the correction?",
               "With a gradient of zero the denominator is eps. If you correct the whole quotient "
               "by one number, what happens to eps?")
def eps_outside(rng: np.random.Generator) -> list[Any]:
    """Return weights for several sizes of eps."""
    return [x for eps in (1e-3, .1, 2.)
            for x in _walk(_adam(_weights(rng), lr=.1, mom=.9, beta=.99, eps=eps), rng, 3, .1)]


@UNIT.property("SGD and Adam put together from the steps take the right ones, with either decay.",
               "Each step works alone, so which of them changes what the next one needs?",
               "Compare true_wd=True and true_wd=False: which step differs?")
def whole_optimizers(rng: np.random.Generator) -> list[Any]:
    """Return the weights along the path of each optimizer, with two groups."""
    found = []
    for make in (optimizer.SGD, optimizer.Adam):
        for true_wd in (True, False):
            opt = make([_weights(rng), _weights(rng, (4,))], lr=[.1, .01], mom=.9, wd=[.1, .5],
                       true_wd=true_wd)
            found += _walk(opt, rng)
            opt.set_hypers(lr=.05, mom=.85, wd=0.)
            found += _walk(opt, rng, 2)
    return found


@UNIT.property("What a step remembers is in the state of its parameter, and forgotten with it.",
               "Where do you keep the averages and the count?",
               "Use state[...] and state.count alone: two optimizers may train the same weights.")
def own_state(rng: np.random.Generator) -> list[Any]:
    """Return weights that two optimizers train in turn, and after their state was cleared."""
    p = _weights(rng, (3,))
    found = []
    for make in (optimizer.SGD, optimizer.Adam):
        one, other = make(p, lr=.1, mom=.9), make(p, lr=.2, mom=.5)
        found += _walk(one, rng, 2) + _walk(other, rng, 2) + _walk(one, rng, 1)
        one.clear()
        found += _walk(one, rng, 2)
    return found


@UNIT.property("Weights and averages of type float32 stay float32, in the same arrays.",
               "What type has the product of a float32 array and a float64 array?",
               "Python's numbers do not change the type of an array; NumPy's float64 numbers do.")
def number_type(rng: np.random.Generator) -> list[Any]:
    """Return float32 weights and means, and whether the arrays are those from before."""
    found: list[Any] = []
    for make, names in ((optimizer.SGD, ("average",)), (optimizer.Adam, ("average", "square"))):
        p = nn.Parameter(rng.normal(size=(2, 3)).astype(np.float32))
        before, opt = p.data, make([p], lr=.1, mom=.9, wd=.1)
        for _ in range(3):
            p.grad = rng.normal(size=(2, 3)).astype(np.float32)
            opt.step()
        found += [p.data, p.data is before, *_state(opt, *names)]
    return found


@UNIT.property("A frozen weight stays the same to the bit, and momentum from before is forgotten.",
               "Which part of the library skips frozen parameters: a step, or what calls it?",
               "Look at Optimizer.step. Do your steps reach parameters other than p?")
def frozen(rng: np.random.Generator) -> list[Any]:
    """Return weights that were frozen for a while, among others that were not."""
    found: list[Any] = []
    for make in (optimizer.SGD, optimizer.Adam):
        p, other = _weights(rng, (3,), (2,))
        opt = make([[p], [other]], lr=.1, mom=.9, wd=.1)
        found += _walk(opt, rng, 2)
        p.requires_grad, before = False, p.data.tobytes()
        found += [*_walk(opt, rng, 2), p.data.tobytes() == before]
        p.requires_grad = True
        found += _walk(opt, rng, 2)
    return found


@UNIT.property("A weight without a gradient keeps its momentum and decay; biases can be spared "
               "from decay.",
               "Does a step of yours skip a gradient of zero?",
               "With momentum, a weight keeps moving although its gradient is zero.")
def zero_gradients(rng: np.random.Generator) -> list[Any]:
    """Return weights after steps without gradients, one of them a bias."""
    found = []
    for make in (optimizer.SGD, optimizer.Adam):
        for bn_wd in (True, False):
            parameters = [*_weights(rng, (3,)), nn.Parameter(rng.normal(size=2), no_wd=True)]
            opt = make(parameters, lr=.1, mom=.9, wd=.5, bn_wd=bn_wd)
            _walk(opt, rng, 1)
            opt.zero_grad()
            for _ in range(3):
                opt.step()
                found += [p.data.copy() for p in parameters]
    return found


@UNIT.property("With your Adam a recommender learns planted ratings, as with the library's.",
               "Each step is right by itself; compare the first loss that differs.",
               "Momentum changes from batch to batch here. Do you use the value that you are "
               "given?")
def recommender(rng: np.random.Generator) -> list[Any]:
    """Return the validation losses of a factor model, trained with one-cycle."""
    learn = small_recommender(int(rng.integers(1000)))
    with learn.no_logging():
        learn.fit_one_cycle(3, .02)
    return list(learn.recorder.val_losses)
