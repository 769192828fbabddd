"""Unit 7, the loop: one batch, the events around it, and schedules as functions of the step."""
from typing import Any

import numpy as np

from ... import data, nn
from ...autograd import Tensor
from ...optim import optimizer, schedule
from ...train import callback, learner, loop
from ..train import small_recommender
from ..unit import Bug, Unit

LOOP, CALLBACK = "minifast.train.loop", "minifast.train.callback"
SCHEDULE, SCHEDULER = "minifast.optim.schedule", "minifast.train.scheduler"
UNIT = Unit(7, "The loop", {
    SCHEDULE: ("annealing_cos", "Phase.__call__", "in_turn", "one_cycle"),
    CALLBACK: ("CallbackHandler.__call__",), LOOP: ("train_batch",)}, bugs=(
    Bug("gradients kept", LOOP, 'if not state["skip_zero"]:', 'if state["skip_zero"]:',
        "The loss falls for a few batches; then the steps become longer and longer."),
    Bug("flags stay", LOOP, "last_target=yb, train=True, **FLAGS)", "last_target=yb, train=True, "
        "**{name: state.get(name, False) for name in FLAGS})",
        "After a callback has skipped one step, the weights never change again."),
    Bug("original input", LOOP, 'forward(model, state["last_input"])', "forward(model, xb)",
        "A callback that mixes the rows of a batch has no effect on the inputs."),
    Bug("training mode at validation", LOOP, "learn.model.eval()", "learn.model.train()",
        "Two validations in a row, of the same weights, give different losses."),
    Bug("mean of batch means", LOOP, "total + _number(loss) * n, rows + n",
        "total + _number(loss), rows + 1",
        "The validation loss depends on the batch size of the validation."),
    Bug("stop ignored", LOOP, 'if state["stop_training"]:', 'if state["stop_training"] is None:',
        "Early stopping says that it stops, but training continues."),
    Bug("metric of batch means", CALLBACK, "self.total + self.func(pred, *targets) * n, "
        "self.rows + n", "self.total + self.func(pred, *targets), self.rows + 1",
        "A metric is not the average over the rows when the last batch is short."),
    Bug("order reversed", CALLBACK, "key=lambda callback: callback._order",
        "key=lambda callback: -callback._order",
        "What another callback adds to the metrics is missing from the table."),
    Bug("smoothing without correction", CALLBACK, "self.average / (1 - self.beta ** self.n)",
        "self.average", "The first train_loss that is plotted is a fiftieth of the real one."),
    Bug("one step ahead", SCHEDULE, "step / self.length", "(step + 1) / self.length",
        "The first batch is trained with a rate above lr_max / 25."),
    Bug("a whole turn", SCHEDULE, "cos(pi * pct)", "cos(2 * pi * pct)",
        "In the middle of the warm-up the rate is at lr_max; at its end it is low again."),
    Bug("steps not counted down", SCHEDULE, "step -= phase.length", "step -= 0",
        "Right after the warm-up the rate is already a good part of the way down."),
    Bug("momentum with the rate", SCHEDULE, "Phase(up, *moms, annealing_cos), Phase(down, "
        "*moms[::-1], annealing_cos)", "Phase(up, *moms[::-1], annealing_cos), Phase(down, *moms, "
        "annealing_cos)", "Momentum is highest where the learning rate is."),
    Bug("validation counts", SCHEDULER, "if not train:", "if train is None:",
        "With a validation set, one-cycle ends training before the last batches."),
    Bug("one step behind", SCHEDULER, "        self.position += 1\n        self._set_hypers()\n",
        "        self._set_hypers()\n        self.position += 1\n",
        "The first two batches are trained with the same rate.")))


# ---------------------------------------------------------------- schedules


@UNIT.property("Half a cosine leads from the start to the end, flat at both.",
               "Which values does the cosine have at 0, at a half and at the whole of pi?",
               "(cos(pi pct) + 1) / 2 falls from 1 to 0. How much of start and of end is there?")
def cosine(rng: np.random.Generator) -> list[Any]:
    """Return values on the way, up and down."""
    a, b = rng.normal(size=2)
    return [schedule.annealing_cos(start, end, pct) for start, end in ((a, b), (b, a), (0., 1.))
            for pct in (0., .25, .5, 1., *rng.random(5))]


@UNIT.property("A phase asks its annealer, with the fraction of its steps that are done.",
               "Which three numbers does an annealer take?",
               "After step steps of length, the fraction is their quotient: 0 at the first batch.")
def phases(rng: np.random.Generator) -> list[Any]:
    """Return the values of phases of several lengths, and what an annealer gets."""
    a, b = rng.uniform(1, 2, 2)
    kinds = [schedule.annealing_linear, schedule.annealing_exp, schedule.annealing_poly(3),
             lambda start, end, pct: start + 10 * end + 100 * pct]
    return [schedule.Phase(n, a, b, kind)(step) for n in (0, 1, 4, 7) for kind in kinds
            for step in range(n + 1)]


def _line(length: int, start: float, end: float) -> schedule.Phase:
    return schedule.Phase(length, start, end, schedule.annealing_linear)


@UNIT.property("Phases in turn: each counts its own steps; after the last its end stays.",
               "Which step of the second phase is step 7, if the first has 5?",
               "The step between two phases belongs to the first. Subtract the lengths of the "
               "phases that are over.")
def turns(rng: np.random.Generator) -> list[Any]:
    """Return all values of one, two and four phases, with jumps between them."""
    found = []
    for lengths in ((5,), (2, 3), (3, 1, 4, 2)):
        curve = schedule.in_turn([_line(n, *rng.normal(size=2)) for n in lengths])
        found += [curve(step) for step in range(sum(lengths) + 4)]
    return found


@UNIT.property("A schedule is a function of the step: asked again or backwards, it gives the same.",
               "Does your function remember what it was asked before?",
               "Nothing outside the function may change when it is called.")
def pure(rng: np.random.Generator) -> list[Any]:
    """Return values in another order than that of training."""
    curve = schedule.in_turn([_line(n, *rng.normal(size=2)) for n in (3, 4, 2)])
    rate, mom = schedule.one_cycle(12, rng.uniform(.1, 1))
    steps = [*range(12, -1, -1), *rng.integers(0, 13, 12).tolist()]
    return [f(step) for step in steps for f in (curve, rate, mom)]


@UNIT.property("One-cycle: the rate rises to lr_max and falls to almost nothing; momentum does the "
               "opposite.",
               "Which two phases make the rate, and which two the momentum?",
               "in_turn, two phases each, both with annealing_cos. The last rate is lr_max / "
               "(div_factor * 1e4).")
def cycle(rng: np.random.Generator) -> list[Any]:
    """Return the rate and the momentum of all steps."""
    rate, mom = schedule.one_cycle(20, rng.uniform(.1, 1))
    return [f(step) for f in (rate, mom) for step in range(23)]


@UNIT.property("One-cycle for any number of steps, share of the rise, and choice of the ends.",
               "What is 30 % of 7 steps?",
               "The number of steps of the rise is rounded down, and the rest is the fall.")
def any_cycle(rng: np.random.Generator) -> list[Any]:
    """Return rates and momenta for other arguments."""
    found = []
    for n, pct in ((1, .3), (2, .3), (7, .3), (10, .25), (9, .9), (5, 0.), (5, 1.)):
        for final_div in (None, 50.):
            rate, mom = schedule.one_cycle(n, rng.uniform(.1, 1), (.9, rng.uniform(.6, .8)),
                                           rng.uniform(2, 10), pct, final_div)
            found += [f(step) for f in (rate, mom) for step in range(n + 2)]
    return found


@UNIT.property("One-cycle refuses divisors that are not above 0 with a ValueError.",
               "See Raises in the docstring.",
               "Check both div_factor and the last divisor, given or not, before phases are made.")
def refused(rng: np.random.Generator) -> list[Any]:
    """Return the names of the errors."""
    wrong: list[dict[str, Any]] = [{"div_factor": 0.}, {"div_factor": -1.}, {"final_div": 0.},
                                   {"final_div": -2.}, {"lr_max": np.nan}, {"moms": (.9, np.inf)}]
    names: list[str] = []
    for given in wrong:
        try:
            names += ["nothing" for _ in schedule.one_cycle(10, **{"lr_max": .1, **given})]
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            names.append(type(error).__name__)
    return names


# ---------------------------------------------------------------- events


def _watch(order: int = 0, /, **handlers: Any) -> Any:
    """Return a callback with these handlers."""
    return type("Watch", (callback.Callback,), {"_order": order, **handlers})()


def _watch_all(handler: Any) -> Any:
    """Return a callback that calls ``handler(event, state)`` at every event."""
    return _watch(**{f"on_{event}": lambda self, event=event, **state: handler(event, state)
                     for event in callback.EVENTS})



@UNIT.property("Handlers of an event run in ascending _order, metrics first if the event asks for "
               "them, and nobody else's.",
               "Where does __init__ keep the handlers, and under which key?",
               "self._handlers[event, measure] is the list for this call, in order.")
def handlers_in_order(rng: np.random.Generator) -> list[Any]:
    """Return the names of the callbacks in the order in which they are called."""
    log: list[Any] = []

    def handler(name: str) -> Any:
        return lambda self: log.append(name)
    others = [_watch(int(order), on_epoch_end=handler(f"callback {order}"))
              for order in rng.permutation(5)]
    metric = _watch(9, on_epoch_end=handler("metric"), on_step_end=handler("metric's step"))
    on = callback.CallbackHandler([*others, _watch(on_step_end=handler("step"))], [metric])
    for event, measure in (("epoch_end", True), ("epoch_end", False), ("step_end", False),
                           ("train_end", True)):
        log.append(event)
        on(event, measure)
    return log


@UNIT.property("A handler gets the entries of the state that it names, or all with **state.",
               "What does __init__ keep with each handler?",
               "names is None for a handler that takes all. An entry that is not there is left "
               "out, so that a default can stand for it.")
def arguments(rng: np.random.Generator) -> list[Any]:
    """Return what handlers of several forms get."""
    log: list[Any] = []
    x = rng.normal(size=3)
    on = callback.CallbackHandler([
        _watch(0, on_batch_begin=lambda self, last_input: log.append(last_input)),
        _watch(1, on_batch_begin=lambda self: log.append("nothing")),
        _watch(2, on_batch_begin=lambda self, epoch, other=5: log.extend((epoch, other))),
        _watch(3, on_batch_begin=lambda self, epoch, **state: log.extend(
            (epoch, "epoch" in state, *(name in state for name in ("iteration", "last_input",
                                                                   "smoothener")))))])
    on("batch_begin", last_input=x)
    on("batch_begin", last_input=2 * x, epoch=3)
    return log


@UNIT.property("What a handler returns changes the state at once: the next handler sees it.",
               "When do you apply the changes: after each handler, or after all?",
               "A handler may return None or an empty dictionary as well.")
def changes(rng: np.random.Generator) -> list[Any]:
    """Return what handlers see of each other's changes, and the state at the end."""
    log: list[Any] = []

    def add(self: Any, last_loss: Any, **state: Any) -> dict[str, Any]:
        log.append(last_loss)
        return {"last_loss": last_loss + self._order, "epoch": self._order}
    on = callback.CallbackHandler([
        _watch(3, on_backward_begin=add), _watch(1, on_backward_begin=add),
        _watch(2, on_backward_begin=lambda self, epoch: log.append(epoch)),
        _watch(4, on_backward_begin=lambda self: {})])
    on("backward_begin", last_loss=rng.normal())
    on("backward_end", last_target=4)
    return [*log, *(on.state[name] for name in ("last_loss", "epoch", "last_target"))]


@UNIT.property("A key that the state does not have is refused with a ValueError, and then nothing "
               "that the handler returned is applied.",
               "What if a callback returns {'stop_trainig': True}?",
               "Look at all keys before you update the state.")
def unknown_keys(rng: np.random.Generator) -> list[Any]:
    """Return the name of the error, whether it names the key, and the state after it."""
    on = callback.CallbackHandler([_watch(on_step_end=lambda self: {"epoch": 9, "epok": 1})])
    try:
        on("step_end")
    except ValueError as error:
        return [type(error).__name__, "epok" in str(error), on.state["epoch"], "epok" in on.state]
    return ["nothing"]


# ---------------------------------------------------------------- one batch


class _Bench:
    """A linear model with its optimizer, and batches for it."""

    def __init__(self, rng: np.random.Generator, *callbacks: Any, bs: int = 6) -> None:
        self.model, self.rng, self.bs = nn.Linear(3, 1), rng, bs
        for p in self.model.parameters():
            p.data = rng.normal(size=p.shape)
        self.opt = optimizer.SGD(self.model.parameters(), lr=.05, mom=.9)
        self.on = callback.CallbackHandler(callbacks)

    def train(self, n: int = 1) -> list[Any]:
        """Train on n batches; return the weights and whether there are gradients after each."""
        found: list[Any] = []
        for _ in range(n):
            x, y = (Tensor(self.rng.normal(size=(self.bs, width))) for width in (3, 1))
            loop.train_batch(self.model, x, y, nn.MSELossFlat(), self.opt, self.on)
            found += [self.model.weight.data.copy(), self.model.weight.grad is None]
        return found


@UNIT.property("A batch takes one step down its own gradient, which is gone afterwards.",
               "Which four lines would train without any callbacks?",
               "Forward, loss, backward, step; then forget the gradients.")
def batches(rng: np.random.Generator) -> list[Any]:
    """Return the weights after each of some batches."""
    return _Bench(rng).train(4)


@UNIT.property("The events come in their order, with gradients and weights as their names say.",
               "Print the name of the event in a callback with all ten handlers, and compare with "
               "learn.show_training_loop().",
               "There are no gradients before backward_end; the weights change before step_end; "
               "the gradients are gone at batch_end.")
def order_of_events(rng: np.random.Generator) -> list[Any]:
    """Return for each event its name, the weights and whether there are gradients."""
    log: list[Any] = []

    def handler(event: str, state: Any) -> None:
        weight = bench.model.weight
        log.extend((event, weight.data.copy(), weight.grad is None))
    bench = _Bench(rng, _watch_all(handler))
    bench.train(2)
    return log


@UNIT.property("At each event the state has what docs/training.md promises; at the end the "
               "counters have grown and the loss is detached from its graph.",
               "Which entries does validate_batches set at which event?",
               "smooth_loss is what on.smoothener.add returns for the loss's array. Count at the "
               "end. What keeps the graph of a batch alive until the next one?")
def entries(rng: np.random.Generator) -> list[Any]:
    """Return the entries of the state at each event."""
    log: list[Any] = []
    flags = ("train", "stop_epoch", "skip_step", "skip_zero", "skip_bwd", "iteration", "num_batch")
    tensors = ("last_input", "last_target", "last_output", "last_loss", "smooth_loss")

    def handler(event: str, state: Any) -> None:
        log.extend(state.get(name, "missing") for name in (*flags, *tensors))
        log.append("last_loss" in state and state["last_loss"].requires_grad)
    bench = _Bench(rng, _watch_all(handler))
    bench.on.state["num_batch"] = 0
    bench.train(2)
    return [*log, bench.on.state["iteration"], bench.on.state["num_batch"]]


@UNIT.property("Callbacks can replace inputs, targets, outputs and the loss.",
               "Do you use xb and the model's output, or what is in the state after the event?",
               "After each event, continue with what is in on.state.")
def replaced(rng: np.random.Generator) -> list[Any]:
    """Return the weights if a callback replaces one of them."""
    found = []
    for changed in (
            {"on_batch_begin": lambda self, last_input: {"last_input": last_input * 2}},
            {"on_batch_begin": lambda self, last_target: {"last_target": last_target + 1}},
            {"on_loss_begin": lambda self, last_output: {"last_output": last_output * 3}},
            {"on_backward_begin": lambda self, last_loss: {"last_loss": last_loss * .5}}):
        bench = _Bench(rng, _watch(**changed))
        found += [*bench.train(2), bench.on.state["last_loss"]]
    return found


@UNIT.property("skip_bwd, skip_step and skip_zero each leave out one thing, for this batch only.",
               "Which three lines are under a condition?",
               "All events come in any case. The flags are reset at batch_begin: see FLAGS.")
def skipped(rng: np.random.Generator) -> list[Any]:
    """Return weights and gradients if a callback skips something at the second batch."""
    found: list[Any] = []
    for event, flag in (("backward_begin", "skip_bwd"), ("backward_end", "skip_step"),
                        ("step_end", "skip_zero")):
        def handler(self: Any, iteration: int, flag: str = flag) -> dict[str, Any]:
            return {flag: iteration == 1} if iteration < 2 else {}
        bench = _Bench(rng, _watch(**{f"on_{event}": handler}),
                       _watch_all(lambda event, state: found.append(event)))
        found.extend(bench.train(4))
    return found


@UNIT.property("Lists of inputs and targets become arguments of the model and of the loss.",
               "Two functions in this file call the model and the loss.",
               "forward(model, ...) and call_loss(loss_func, ...).")
def several_inputs(rng: np.random.Generator) -> list[Any]:
    """Return the weights of a model of two inputs, with two targets."""
    bench = _Bench(rng)
    a, b, c, d = (Tensor(rng.normal(size=(4, width))) for width in (3, 3, 1, 1))

    def loss(output: Any, first: Any, second: Any) -> Any:
        return ((output - first) ** 2 + (output - second).abs()).mean()

    def product(p: Any, q: Any) -> Any:
        return nn.Linear.forward(bench.model, p * q)
    bench.model.forward = product  # type: ignore[method-assign, assignment]
    loop.train_batch(bench.model, [a, b], [c, d], loss, bench.opt, bench.on)
    return [bench.model.weight, bench.on.state["last_loss"]]


# ---------------------------------------------------------------- in use


@UNIT.property("A fit stops when a callback says so, and validates rows, not batches.",
               "This one needs more than your functions: which part of fit is it about?",
               "stop_training is looked at before each epoch; a loss of a short batch counts "
               "less.")
def whole_fit(rng: np.random.Generator) -> list[Any]:
    """Return losses and metrics of a model with dropout, with short batches at validation."""
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 1))
    train, valid = (data.ArrayDataset(x[rows], y[rows]) for rows in (slice(30), slice(30, None)))
    found: list[Any] = []
    for val_bs in (20, 7):
        bunch = data.DataBunch.create(train, valid, bs=10, val_bs=val_bs, seed=1)
        model = nn.Sequential(nn.Linear(3, 1), nn.Dropout(.5, seed=2))
        model[0].weight.data, model[0].bias.data = rng.normal(size=(1, 3)), rng.normal(size=1)
        learn = learner.Learner(bunch, model, loss_func=nn.MSELossFlat(), fast=False,
                                metrics=[lambda output, target: (output - target).abs().mean()])
        with learn.no_logging():
            learn.fit(4, .01, callbacks=_watch(on_epoch_end=lambda self, epoch: {
                "stop_training": epoch == 1}))
        found += [*learn.recorder.losses, *learn.recorder.val_losses, *learn.validate(),
                  *learn.validate(), *(x for row in learn.recorder.metrics for x in row)]
    return found


@UNIT.property("With your loop and schedule a recommender learns planted ratings, as with the "
               "library's.",
               "Each part is right by itself: compare rates and momenta first, then losses.",
               "Each batch is trained with the values of its own step, from step 0 on.")
def recommender(rng: np.random.Generator) -> list[Any]:
    """Return rates, momenta and losses of a fit with one-cycle."""
    learn = small_recommender(int(rng.integers(1000)))
    with learn.no_logging():
        learn.fit_one_cycle(3, .02)
    record = learn.recorder
    return [*record.lrs, *record.moms, *record.losses, *record.val_losses, len(record.losses)]
