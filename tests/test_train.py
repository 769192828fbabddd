"""The training loop: its events, what callbacks can change, rates, groups, one cycle."""
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tiny import (
    Spy,
    answer,
    batches,
    floats,
    frozen_copy,
    host,
    in_order,
    line_learner,
    mae,
    plain_sgd,
    ratings_learner,
    rmse,
    scripted,
    three_groups,
)
from tiny import fit_quietly as fit

from minifast import ShapeError, Tensor
from minifast.autograd import tensor
from minifast.data import DataBunch
from minifast.nn import BatchNorm1d, Linear, Module, MSELossFlat, Parameter, ReLU, Sequential
from minifast.optim import SGD, Adam, one_cycle
from minifast.train import Callback, Learner, Metric, OneCycleScheduler, UnknownEventError
from minifast.train.callback import LearnerCallback

State = dict[str, Any]


# ------------------------------------------------------------------------------------ the events

TRAINED = ["batch_begin", "loss_begin", "backward_begin", "backward_end", "step_end", "batch_end"]
VALIDATED = ["batch_begin*", "loss_begin*", "batch_end*"]
EPOCH = ["epoch_begin", *TRAINED, *TRAINED, *VALIDATED, "epoch_end"]


def test_the_events_of_two_epochs_of_two_batches() -> None:
    heard: list[str] = []

    def hear(event: str, state: State) -> None:
        validating = event in ("batch_begin", "loss_begin", "batch_end") and not state["train"]
        heard.append(event + "*" * validating)
    fit(line_learner(), 2, callbacks=[Spy(hear)])
    assert heard == ["train_begin", *EPOCH, *EPOCH, "train_end"]


def test_what_the_counters_show() -> None:
    """A count grows after the event that ends what it counts."""
    seen: dict[str, list[Any]] = {}

    def hear(event: str, state: State) -> None:
        seen.setdefault(event, []).append(
            (state["epoch"], state["iteration"], state["num_batch"]))
    fit(line_learner(), 2, callbacks=[Spy(hear)])
    assert seen["train_begin"] == [(0, 0, 0)]
    assert seen["epoch_begin"] == [(0, 0, 0), (1, 2, 0)]
    assert seen["backward_end"] == [(0, 0, 0), (0, 1, 1), (1, 2, 0), (1, 3, 1)]
    assert seen["batch_end"] == [(0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 2, 0), (1, 3, 1), (1, 4, 2)]
    assert seen["epoch_end"] == [(0, 2, 2), (1, 4, 2)]
    assert seen["train_end"] == [(2, 4, 2)]


def test_the_state_has_v1s_keys_from_v1s_events_on() -> None:
    """Except for ``stop_training``, which is there at once: a schedule may have ended."""
    seen: dict[str, set[str]] = {}

    def hear(event: str, state: State) -> None:
        seen.setdefault(event, set(state))
    fit(line_learner(), callbacks=[Spy(hear)])
    start = {"epoch", "iteration", "num_batch", "skip_validate", "n_epochs", "metrics",
             "metrics_names", "stop_training", "smoothener", "callbacks"}  # two are ours
    of_batch = start | {"last_input", "last_target", "train", "stop_epoch", "skip_step",
                           "skip_zero", "skip_bwd"}
    of_loss = of_batch | {"last_output", "last_loss", "smooth_loss"}
    assert seen == {
        "train_begin": start, "epoch_begin": start,
        "batch_begin": of_batch, "loss_begin": of_batch | {"last_output"},
        "backward_begin": of_loss, "backward_end": of_loss, "step_end": of_loss,
        "batch_end": of_loss, "epoch_end": of_loss | {"last_metrics"},
        "train_end": of_loss | {"last_metrics", "exception"}}


def test_what_has_happened_at_each_event() -> None:
    learn, seen = line_learner(1), {}
    p = learn.model.weight

    def hear(event: str, state: State) -> None:
        if event != "train_begin":
            grad = learn.optimizer.groups[0][0].grad
            seen.setdefault((event, state.get("train")), (
                bool((p.numpy() != start).any()), grad is not None, learn.model.training,
                getattr(state.get("last_output"), "requires_grad", None)))
    start = p.numpy().copy()
    fit(learn, callbacks=[Spy(hear)])
    #                            stepped, gradients, training mode, output has a history
    assert seen == {
        ("epoch_begin", None): (False, False, True, None),
        ("batch_begin", True): (False, False, True, None),
        ("loss_begin", True): (False, False, True, True),
        ("backward_begin", True): (False, False, True, True),
        ("backward_end", True): (False, True, True, True),
        ("step_end", True): (True, True, True, True),
        ("batch_end", True): (True, False, True, True),
        ("batch_begin", False): (True, False, False, True),  # the last output is the old one
        ("loss_begin", False): (True, False, False, False),
        ("batch_end", False): (True, False, False, False),
        ("epoch_end", False): (True, False, False, False),
        ("train_end", False): (True, False, False, False)}


def test_metrics_hear_first_and_batches_only_in_validation() -> None:
    heard: list[str] = []

    class Count(Metric):
        def reset(self) -> None:
            heard.append("metric epoch_begin")

        def add(self, pred: Tensor, target: Tensor) -> None:
            heard.append("metric batch_end")

        def value(self) -> float:
            heard.append("metric epoch_end")
            return 1.
    early = Spy(lambda event, state: heard.append(event), order=-1000)
    fit(line_learner(metrics=[Count()]), callbacks=[early])
    wanted = ("epoch_begin", "batch_end", "epoch_end")
    assert [h for h in heard if h.split()[-1] in wanted] == [
        "metric epoch_begin", "epoch_begin", "batch_end", "batch_end",
        "metric batch_end", "batch_end", "metric epoch_end", "epoch_end"]
    heard.clear()
    fit(line_learner(n_valid=0, metrics=[Count()]), callbacks=[early])
    assert [h for h in heard if h.startswith("metric")] == ["metric epoch_begin"]


def test_the_events_that_a_metric_hears() -> None:
    heard: list[str] = []
    spy = Spy(lambda event, state: heard.append(event))
    fit(line_learner(2, 1, metrics=[spy]))
    validation = ["batch_begin", "batch_end"]
    assert heard == ["train_begin", "epoch_begin", *validation, "epoch_end", "train_end"]
    heard.clear()
    line_learner(2, 2, metrics=[spy]).validate()
    assert heard == ["train_begin", "epoch_begin", *validation * 2, "epoch_end", "train_end"]


def test_a_lower_order_runs_first_and_equals_keep_theirs() -> None:
    heard: list[str] = []

    def named(name: str, order: int) -> Spy:
        return Spy(lambda event, state: heard.append(name) if event == "step_end" else None, order)
    learn = line_learner(1, callbacks=[named("a", 5), named("b", 0)])
    fit(learn, callbacks=[named("c", -3), named("d", 0), named("e", 5)])
    assert heard == ["c", "b", "d", "a", "e"]


# ------------------------------------------------------------------------ what a callback changes


def watch(event: str, key: str, train: bool = True) -> tuple[list[Any], Spy]:
    """What ``key`` is at each ``event``, heard last."""
    values: list[Any] = []
    return values, Spy(lambda heard, state: values.append(state[key])
                       if heard == event and state.get("train", train) is train else None, 1000)


def test_a_callback_sees_what_an_earlier_one_changed() -> None:
    sevens = tensor(np.full(4, 7, np.float32))
    targets, ear = watch("batch_begin", "last_target")
    fit(line_learner(1), callbacks=[ear, answer("batch_begin", last_target=sevens)])
    assert len(targets) == 1
    assert targets[0] is sevens


def test_skip_bwd() -> None:
    learn = line_learner()
    before, grads = frozen_copy(learn), []
    fit(learn, callbacks=[answer("backward_begin", skip_bwd=True), Spy(
        lambda event, state: grads.append(learn.model.weight.grad)
        if event == "backward_end" else None)])
    assert grads == [None, None]
    assert {k: v for k, v in frozen_copy(learn).items() if k in before} == before


def test_skip_step() -> None:
    learn = line_learner()
    before, grads = frozen_copy(learn), []
    fit(learn, callbacks=[answer("backward_end", skip_step=True), Spy(
        lambda event, state: grads.append(host(learn.model.weight.grad).copy())
        if event == "step_end" else None)])
    assert len(grads) == 2
    assert all((g != 0).any() for g in grads)
    assert {k: v for k, v in frozen_copy(learn).items() if k in before} == before


def gradients_of_each_batch() -> list[Any]:
    learn, grads = line_learner(), []
    fit(learn, lr=0., callbacks=[Spy(
        lambda event, state: grads.append(host(learn.model.weight.grad).copy())
        if event == "backward_end" else None)])
    return grads


def test_skip_zero() -> None:
    learn, grads = line_learner(), []
    fit(learn, lr=0., callbacks=[answer("step_end", skip_zero=True), Spy(
        lambda event, state: grads.append(host(learn.model.weight.grad).copy())
        if event == "batch_end" and state["train"] else None)])
    first, second = gradients_of_each_batch()
    np.testing.assert_array_equal(grads[0], first)
    np.testing.assert_allclose(grads[1], first + second, rtol=1e-6)


def numbers_of_batches(*callbacks: Callback, epochs: int = 2) -> list[tuple[int, int]]:
    """(training, validation) batches of each epoch that was begun."""
    counts: list[list[int]] = []

    def hear(event: str, state: State) -> None:
        if event == "epoch_begin":
            counts.append([0, 0])
        if event == "loss_begin":
            counts[-1][not state["train"]] += 1
    fit(line_learner(3, 2), epochs, callbacks=[*callbacks, Spy(hear)])
    return [(a, b) for a, b in counts]


def at_first_batch_end(train: bool, **changes: Any) -> Spy:
    return Spy(lambda event, state: changes
               if event == "batch_end" and state["train"] is train else None)


def test_stop_epoch_and_stop_training() -> None:
    assert numbers_of_batches() == [(3, 2), (3, 2)]
    # stop_epoch leaves the loop of batches; validation, and the next epoch, come all the same
    assert numbers_of_batches(at_first_batch_end(True, stop_epoch=True)) == [(1, 2), (1, 2)]
    assert numbers_of_batches(at_first_batch_end(False, stop_epoch=True)) == [(3, 1), (3, 1)]
    # stop_training lets the epoch run to its end
    assert numbers_of_batches(at_first_batch_end(True, stop_training=True)) == [(3, 2)]
    assert numbers_of_batches(answer("epoch_end", stop_training=True)) == [(3, 2)]
    assert numbers_of_batches(
        at_first_batch_end(True, stop_epoch=True, stop_training=True)) == [(1, 2)]
    # each is forgotten where the next batch or epoch begins
    assert numbers_of_batches(answer("batch_begin", stop_epoch=True)) == [(1, 1), (1, 1)]


@pytest.mark.parametrize("event", ["train_begin", "epoch_begin", "batch_end"])
def test_skip_validate(event: str) -> None:
    learn = fit(line_learner(2, 1, metrics=[mae]), 2,
                callbacks=[answer(event, skip_validate=True)])
    assert learn.recorder.val_losses == [None, None]
    assert learn.recorder.metrics == [[], []]


def test_flags_last_for_one_batch() -> None:
    seen: list[State] = []

    def hear(event: str, state: State) -> Any:
        flags = ("stop_epoch", "skip_step", "skip_zero", "skip_bwd")
        if event == "batch_begin" and state["train"]:
            seen.append({k: state[k] for k in flags})
        return dict.fromkeys(flags[1:], True) if event == "backward_begin" else None
    fit(line_learner(), callbacks=[Spy(hear)])
    assert seen == [dict.fromkeys(seen[0], False)] * 2


def test_a_changed_input_goes_into_the_model() -> None:
    learn = line_learner(1)
    bias = float(learn.model.bias)
    outputs, ear = watch("backward_begin", "last_output")
    fit(learn, callbacks=[ear, Spy(lambda event, state: {"last_input": state["last_input"] * 0}
                                   if event == "batch_begin" else None)])
    np.testing.assert_allclose(outputs[0].detach().numpy(), np.full((4, 1), bias), rtol=1e-6)


def test_a_changed_target_goes_into_the_loss_and_the_metrics() -> None:
    losses, ear = watch("backward_begin", "last_loss")
    learn = line_learner(1, metrics=[mae])
    x, far = batches(1)[0][0], tensor(np.full(4, 100, np.float32))
    pred = learn.model(tensor(x)).detach().numpy()[:, 0]
    fit(learn, lr=0., callbacks=[ear, answer("batch_begin", last_target=far)])
    np.testing.assert_allclose(float(losses[0]), ((pred - 100) ** 2).mean(), rtol=1e-6)
    valid = learn.model(tensor(batches(1, seed=1)[0][0])).detach().numpy()[:, 0]
    np.testing.assert_allclose(learn.recorder.metrics[0], [np.abs(valid - 100).mean()], rtol=1e-6)


def test_a_changed_output_goes_into_the_loss() -> None:
    learn = line_learner(1)
    losses, ear = watch("backward_begin", "last_loss")
    fit(learn, lr=0., callbacks=[ear, Spy(lambda event, state: {
        "last_output": state["last_output"] * 0 + 3} if event == "loss_begin" else None)])
    y = batches(1)[0][1]
    np.testing.assert_allclose(float(losses[0]), ((y - 3) ** 2).mean(), rtol=1e-6)


def test_a_changed_loss_is_what_is_walked_back() -> None:
    learn, grads = line_learner(), []
    ends, ear = watch("batch_end", "last_loss")
    starts, other_ear = watch("backward_begin", "last_loss")

    def hear(event: str, state: State) -> Any:
        if event == "backward_end":
            grads.append(host(learn.model.weight.grad).copy())
        return {"last_loss": state["last_loss"] * 2} if event == "backward_begin" else None
    fit(learn, lr=0., callbacks=[Spy(hear), ear, other_ear])
    np.testing.assert_array_equal(grads, [2 * g for g in gradients_of_each_batch()])
    assert floats(ends) == floats(starts)


def test_a_loss_without_a_history_is_an_error() -> None:
    learn = line_learner()
    with pytest.raises(RuntimeError, match="does not depend on one that requires a gradient"):
        fit(learn, callbacks=[Spy(lambda event, state: {"last_loss": state["last_loss"].detach()}
                                  if event == "backward_begin" else None)])


def test_a_handler_is_given_what_it_names() -> None:
    seen: dict[str, Any] = {}

    class Names(Callback):
        def on_epoch_begin(self) -> None:
            seen["nothing"] = True

        def on_batch_end(self, train: bool, last_loss: Tensor) -> None:
            seen["names"] = train, float(last_loss)

        def on_epoch_end(self, epoch: int, later: int = 7) -> None:
            seen["default"] = epoch, later

        def on_train_end(self, epoch: int, **kwargs: Any) -> None:
            seen["rest"] = epoch, kwargs["n_epochs"], kwargs["exception"]
    learn = fit(line_learner(n_valid=0), callbacks=[Names()])
    assert seen == {"nothing": True, "names": (True, seen["names"][1]), "default": (0, 7),
                    "rest": (1, 1, False)}
    assert len(learn.recorder.losses) == 2


def test_a_name_that_the_state_does_not_have() -> None:
    class Misspelt(Callback):
        def on_batch_end(self, last_los: Tensor) -> None: ...
    with pytest.raises(TypeError, match=r"Misspelt.on_batch_end.* argument: 'last_los'"):
        fit(line_learner(), callbacks=[Misspelt()])


@pytest.mark.parametrize("event", ["train_begin", "epoch_begin", "batch_begin", "step_end"])
def test_an_unknown_key_is_named(event: str) -> None:
    with pytest.raises(ValueError, match=r"returned 'stop_trainin'.*its keys now are epoch"):
        fit(line_learner(), callbacks=[answer(event, stop_trainin=True)])


def test_a_misspelt_event_is_refused_where_the_class_is_made() -> None:
    with pytest.raises(UnknownEventError, match=r"Typo.on_epoch_ends is no event.*"
                                                r"did you mean on_epoch_end\?"):
        class Typo(Callback):
            def on_epoch_ends(self, **state: Any) -> None: ...
    with pytest.raises(UnknownEventError, match=r"on_zebra is no event.*on_train_begin, "):
        class Far(LearnerCallback):
            on_zebra = None
    assert issubclass(UnknownEventError, TypeError)


# ------------------------------------------------------------------------------- how it ends


class MadeUpError(Exception):
    pass


@pytest.mark.parametrize("error", [MadeUpError, KeyboardInterrupt])
@pytest.mark.parametrize("event", ["epoch_begin", "loss_begin", "step_end", "epoch_end"])
def test_train_end_comes_in_any_case(error: type[BaseException], event: str) -> None:
    ends: list[Any] = []

    def hear(heard: str, state: State) -> None:
        if heard == "train_end":
            ends.append(state["exception"])
        if heard == event:
            raise error("here")
    with pytest.raises(error, match="here"):
        fit(line_learner(), callbacks=[Spy(hear)])
    assert [type(e) for e in ends] == [error]


def test_a_fit_runs_inside_the_fast_path_and_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """All handlers run inside; ``learn.fast = False`` does not enter."""
    events: list[Any] = []

    @contextmanager
    def accelerate(model: Module, optimizer: Any, callbacks: Any) -> Iterator[None]:
        assert (model, optimizer) == (learn.model, learn.opt)
        assert [type(cb) for cb in callbacks] == [*learn.callback_fns, Spy]
        events.append("enter")
        try:
            yield
        finally:
            events.append("leave")
    fast: Any = ModuleType("minifast.fast")
    fast.accelerate, fast.__spec__ = accelerate, ModuleSpec("minifast.fast", None)
    monkeypatch.setitem(sys.modules, "minifast.fast", fast)
    learn = line_learner(1, 0)
    learn.fast = True
    fit(learn, callbacks=[Spy(lambda event, state: events.append(event))])
    assert events == ["enter", "train_begin", "epoch_begin", *TRAINED, "epoch_end", "train_end",
                      "leave"]
    events.clear()
    with pytest.raises(MadeUpError):
        fit(learn, callbacks=[Spy(lambda event, state: fail(event))])
    assert events == ["enter", "leave"]
    learn.fast = False
    fit(learn)
    assert events == ["enter", "leave"]


def fail(event: str) -> None:
    if event == "step_end":
        raise MadeUpError


def test_train_end_hears_that_nothing_went_wrong() -> None:
    ends, ear = watch("train_end", "exception", train=False)
    fit(line_learner(), callbacks=[ear])
    assert ends == [False]


# ------------------------------------------------------------------------------ the smoothed loss


class Echo(Module):
    """The loss of a batch is the mean of its targets."""

    def __init__(self) -> None:
        self.weight = Parameter(np.zeros(1, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * 0


def echo_learner(train: list[float], valid: list[tuple[float, int]] = [],  # noqa: B006
                 **kwargs: Any) -> Learner:
    """Batch losses as given; those of validation with so many rows each."""
    def batch(value: float, n: int = 1) -> Any:
        return np.zeros((n, 1), np.float32), np.full(n, value, np.float32)
    return Learner(DataBunch([batch(v) for v in train], [batch(*v) for v in valid]), Echo(),
                   loss_func=lambda output, y: output.sum() + y.mean(), **kwargs)


def test_the_smoothed_loss_goes_on_from_epoch_to_epoch() -> None:
    learn = fit(echo_learner([4, 2, 3, 1]))
    golden = [4.0, 2.9898990, 2.9933342, 2.4797990]
    np.testing.assert_allclose(floats(learn.recorder.losses), golden, rtol=1e-7)
    values = iter([4, 2, 3, 1])
    learn = fit(echo_learner([0, 0]), 2, callbacks=[Spy(
        lambda event, state: {"last_target": tensor(np.full(1, next(values), np.float32))}
        if event == "batch_begin" else None)])
    np.testing.assert_allclose(floats(learn.recorder.losses), golden, rtol=1e-7)


def test_the_validation_loss_is_a_mean_over_rows() -> None:
    learn = fit(echo_learner([1], [(2, 3), (10, 1)]))
    assert learn.recorder.val_losses == [4]


# -------------------------------------------------------------------- the recorded run, in full


RECORDED = 5e-7
"""How near fastai's recorded numbers an independent float32 run comes: two units of the last place
at 2.7."""


def test_the_first_batch_of_the_recorded_run() -> None:
    learn = ratings_learner(metrics=[mae, rmse])
    xb, _ = learn.data.one_batch()
    np.testing.assert_allclose(learn.model(*xb).detach().numpy(), [
        2.73308086, 2.72700953, 2.74660206, 2.70336866], atol=RECORDED)
    np.testing.assert_allclose(learn.validate(), [.5571987, .6199387, .7464575],
                               atol=RECORDED)


def test_two_epochs_of_the_recorded_run() -> None:
    learn = ratings_learner(metrics=[mae, rmse])
    with learn.no_logging():
        learn.fit_one_cycle(2, 5e-2)
    rec = learn.recorder
    np.testing.assert_allclose(rec.lrs, [
        .002, .05, .045225444, .032725494, .017274706, .004774756], atol=5e-10)
    np.testing.assert_allclose(rec.moms, [
        .95, .85, .8595491503, .8845491503, .9154508497, .9404508497], atol=5e-11)
    np.testing.assert_allclose([learn.opt.lr, learn.opt.mom], [2e-7, .95], rtol=1e-12)
    np.testing.assert_allclose(floats(rec.losses), [
        3.77114058, 3.16236091, 2.42922139, 2.76289392, 2.68259120, 2.36736369], atol=1e-6)
    np.testing.assert_allclose(rec.val_losses, [.54487044, .53027500], atol=1e-6)
    np.testing.assert_allclose(rec.metrics, [[.59286588, .73815340], [.55731422, .72819984]],
                               atol=1e-6)
    expected = {
        "u_weight.weight": [[0, .01657505], [.02882398, -.05357079], [-.04161174, .01059061],
                            [.08459875, .10079343], [.08661546, -.05823212]],
        "i_weight.weight": [[.01657505, .01791108], [.06141592, -.09270888],
                            [-.05278600, -.03989193], [-.05161358, .07966958],
                            [.07571797, .05579798]],
        "u_bias.weight": [[.01791108], [.05393933], [.07960364], [.00269973], [.06212264]],
        "i_bias.weight": [[.00277974], [-.00596670], [.01282326], [.06244228], [.08052886]]}
    for name, table in learn.model.state_dict().items():
        np.testing.assert_allclose(table, expected[name], atol=1e-6, err_msg=name)
    np.testing.assert_allclose(learn.get_preds()[0].numpy(), [
        2.96621537, 2.83974886, 2.86252689, 2.82730579], atol=1e-6)


def test_the_learning_rate_finder_of_the_recorded_run(
        capsys: pytest.CaptureFixture[str]) -> None:
    learn = ratings_learner()
    before = frozen_copy(learn)
    learn.lr_find(num_it=12)
    out = capsys.readouterr().out
    assert "LR Finder is complete, type {learner_name}.recorder.plot() to see the graph." in out
    np.testing.assert_allclose(learn.recorder.lrs, 1e-7 * 1e8 ** (np.arange(12) / 12), rtol=1e-12)
    np.testing.assert_allclose(floats(learn.recorder.losses), [
        3.77114058, 3.15909410, 2.41351891, 2.76327562, 2.72081327, 2.41350651, 2.61927485,
        2.61117625, 2.41253781, 2.55200386, 2.54997087, 2.36579490], atol=1e-6)
    assert frozen_copy(learn) == before


# ---------------------------------------------------------------- the learning rate finder


def everything(learn: Learner) -> dict[str, Any]:
    """All that training changes, to the bit."""
    loaders = [learn.data.train_dl, learn.data.valid_dl]
    generators = [owner.rng.bit_generator.state for owner in [*learn.model.modules(), *loaders]
                  if hasattr(owner, "rng")]
    key = np.random.get_state()
    return {**frozen_copy(learn), "generators": generators, "numpy": (key[1].tobytes(), key[2:]),
            "modes": [module.training for module in learn.model.modules()],
            "grads": [p.grad for p in learn.model.parameters()], "opt": learn.opt}


@pytest.mark.parametrize("warm", [False, True], ids=["fresh", "after a fit"])
def test_the_finder_puts_everything_back(warm: bool) -> None:
    learn = three_groups(drop=.3)
    if warm:
        fit(learn, 1, slice(1e-4, 1e-2))
    learn.callbacks.append(Spy(lambda event, state: np.random.rand() and None))  # draws too
    learn.layer_groups[0].eval()  # some modules train, some do not
    before = everything(learn)
    assert len(before["generators"]) == 3  # dropout's, and two loaders'
    with learn.no_logging():
        learn.lr_find(num_it=25)
    assert everything(learn) == before
    assert len(learn.recorder.losses) == 25


@pytest.mark.parametrize("event", ["train_begin", "batch_end", "train_end"])
def test_the_finder_puts_everything_back_after_an_error(event: str) -> None:
    learn = three_groups(drop=.3)
    fit(learn, 1, slice(1e-4, 1e-2))

    def fail(now: str, state: dict[str, Any]) -> None:
        if now == event:
            raise ValueError("my own")
    learn.callbacks.append(Spy(fail))
    before = everything(learn)
    with learn.no_logging(), pytest.raises(ValueError, match="my own"):
        learn.lr_find(num_it=25)
    assert everything(learn) == before


def test_training_after_the_finder_is_as_if_it_had_not_been() -> None:
    results = []
    for find in (True, False):
        np.random.seed(0)
        learn = three_groups(drop=.3)
        fit(learn, 1, 1e-2)
        with learn.no_logging():
            if find:
                learn.lr_find(num_it=17)
            learn.fit_one_cycle(1, 1e-2)
        results.append((frozen_copy(learn), floats(learn.recorder.losses), np.random.rand()))
    assert results[0] == results[1]


@pytest.mark.parametrize("error", [MadeUpError, KeyboardInterrupt])
def test_an_interrupted_finder_puts_everything_back(error: type[BaseException]) -> None:
    def hear(event: str, state: State) -> None:
        if event == "step_end" and state["iteration"] == 7:
            raise error
    learn = fit(three_groups(drop=.3), 1, 1e-2)
    before = everything(learn)
    learn.callbacks.append(Spy(hear))
    with learn.no_logging(), pytest.raises(error):
        learn.lr_find(num_it=20)
    assert everything(learn) == before


def test_the_finder_does_not_validate_and_spans_epochs() -> None:
    learn = line_learner(4, 1)
    with learn.no_logging():
        learn.lr_find(num_it=10)
    assert learn.recorder.nb_batches == [4, 4, 2]
    assert learn.recorder.val_losses == [None] * 3


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_the_finder_stops_where_the_loss_is_lost(value: float) -> None:
    """Four times the best smoothed loss, or NaN; ``stop_div=False`` goes on in any case."""
    for kwargs, n in (({}, 4), ({"stop_div": False}, 10)):
        learn = echo_learner([1, 1, 1, value, 1])
        with learn.no_logging():
            learn.lr_find(num_it=10, **kwargs)
        assert len(learn.recorder.losses) == n


def test_the_finder_with_a_rate_for_each_group() -> None:
    learn, seen = three_groups(), []
    learn.callbacks.append(Spy(lambda event, state: seen.append(learn.opt.get_hyper("lr"))
                               if event == "batch_begin" else None))
    with learn.no_logging():
        learn.lr_find(slice(1e-6, 1e-4), slice(1e-2, 1), num_it=8, stop_div=False)
    starts, ends = np.array([1e-6, 1e-5, 1e-4]), np.array([1e-2, 1e-1, 1.])
    np.testing.assert_allclose(seen, [starts * (ends / starts) ** (k / 8) for k in range(8)])


# ------------------------------------------------------------------------------ the one cycle


def test_a_cycle_of_two_batches() -> None:
    """A phase of no steps still takes one, so the way down is cut short."""
    learn = line_learner(2)
    with learn.no_logging():
        learn.fit_one_cycle(1, 1.)
    np.testing.assert_allclose(learn.recorder.lrs, [1 / 25, 1])
    np.testing.assert_allclose(learn.recorder.moms, [.95, .85])
    np.testing.assert_allclose(learn.opt.mom, .9)


def test_a_cycle_takes_its_arguments() -> None:
    learn = line_learner(10)
    with learn.no_logging():
        learn.fit_one_cycle(1, 2., (.8, .7), div_factor=10, pct_start=.5, final_div=50)
    lr, mom = one_cycle(10, 2., (.8, .7), 10, .5, 50)
    assert learn.recorder.lrs == [lr(i) for i in range(10)]
    assert learn.recorder.moms == [mom(i) for i in range(10)]
    np.testing.assert_allclose([lr(0), lr(5), learn.opt.lr, mom(0), mom(5), learn.opt.mom],
                               [.2, 2, .04, .8, .7, .8])


def test_the_cycle_as_a_callback_has_the_same_defaults() -> None:
    by_method, by_callback = line_learner(10), line_learner(10)
    with by_method.no_logging(), by_callback.no_logging():
        by_method.fit_one_cycle(1, 2.)
        by_callback.fit(1, 2., callbacks=OneCycleScheduler(by_callback, 2.))
    for name in ("lrs", "moms"):
        assert getattr(by_callback.recorder, name) == getattr(by_method.recorder, name)
    assert by_callback.opt.hypers == by_method.opt.hypers


def test_a_cycle_for_each_group() -> None:
    learn, seen = three_groups(), []
    spy = Spy(lambda event, state: seen.append(learn.opt.get_hyper("lr"))
              if event == "batch_begin" and state["train"] else None)
    with learn.no_logging():
        learn.fit_one_cycle(1, slice(1e-4, 1e-2), callbacks=[spy])
    shape = [one_cycle(10, 1.)[0](i) for i in range(10)]
    np.testing.assert_allclose(seen, np.outer(shape, [1e-4, 1e-3, 1e-2]), rtol=1e-12)


def cycle_of_three(resumed: bool) -> tuple[Learner, list[float], list[Any]]:
    learn, epochs = line_learner(4, opt_func=Adam, wd=.1), []
    spy = Spy(lambda event, state: epochs.append(state["epoch"])
              if event == "epoch_begin" else None)
    with learn.no_logging():
        if not resumed:
            learn.fit_one_cycle(3, 1e-2, callbacks=[spy])
            return learn, learn.recorder.lrs, epochs
        learn.fit_one_cycle(1, 1e-2, tot_epochs=3, callbacks=[spy])
        lrs = learn.recorder.lrs
        learn.fit_one_cycle(2, 1e-2, tot_epochs=3, start_epoch=1, callbacks=[spy])
    return learn, lrs + learn.recorder.lrs, epochs


def test_a_cycle_in_two_parts_is_the_whole_cycle() -> None:
    (whole, lrs, epochs), (parts, part_lrs, part_epochs) = map(cycle_of_three, (False, True))
    assert part_lrs == lrs
    assert part_epochs == epochs == [0, 1, 2]
    assert frozen_copy(parts) == frozen_copy(whole)


def test_each_step_has_the_rates_of_its_position() -> None:
    learn, seen = three_groups(), []

    def hear(event: str, state: State) -> None:
        if event == "backward_end":
            cycle = learn.one_cycle_scheduler
            assert cycle.n_steps == 20
            seen.append(cycle.position)
            for name, curves in cycle.curves.items():
                expected = [curve(cycle.position) for curve in curves]
                assert learn.opt.get_hyper(name) == expected * (3 // len(curves))
    with learn.no_logging():
        learn.fit_one_cycle(2, slice(1e-4, 1e-2), callbacks=[Spy(hear)])
    assert seen == list(range(20))
    assert learn.one_cycle_scheduler.position == 20


def test_beyond_its_end_a_cycle_stops_the_training() -> None:
    learn = line_learner(4)
    with learn.no_logging():
        learn.fit(5, 1e-2, callbacks=[OneCycleScheduler(learn, 1e-2, tot_epochs=2)])
    assert learn.recorder.nb_batches == [4, 4]
    with pytest.raises(ValueError, match="tot_epochs=2 is less than the 5 epochs to train"):
        learn.fit_one_cycle(5, 1e-2, tot_epochs=2)
    assert learn.recorder.nb_batches == [4, 4]  # those of the fit before


@pytest.mark.parametrize("start", [-1, 1.5])
def test_an_impossible_start_epoch_is_refused(start: float) -> None:
    with pytest.raises(ValueError, match=rf"start_epoch={start} counts epochs: give 0, 1, 2"):
        line_learner(4).fit_one_cycle(3, 1e-2, start_epoch=start)


# ----------------------------------------------------------------------- rates and layer groups


@pytest.mark.parametrize(("lr", "n", "expected"), [
    (1e-3, 3, 1e-3), (1e-3, 1, 1e-3), (slice(1e-3), 3, [1e-4, 1e-4, 1e-3]),
    (slice(1e-5, 1e-3), 3, [1e-5, 1e-4, 1e-3]), (slice(1e-3), 1, [1e-3]),
    (slice(1e-5, 1e-3), 1, [1e-3]), (slice(1., 16.), 5, [1, 2, 4, 8, 16]),
    (slice(1e-3), 2, [1e-4, 1e-3]), ([1, 2, 3], 3, [1, 2, 3]), ((.1, .2), 2, [.1, .2])])
def test_what_a_rate_means(lr: Any, n: int, expected: Any) -> None:
    learn = line_learner()
    learn.layer_groups = [Sequential()] * n
    np.testing.assert_allclose(learn.lr_range(lr), expected)


def test_splitting() -> None:
    net = Sequential(Sequential(Linear(3, 4), ReLU()), Sequential(BatchNorm1d(4), Linear(4, 2)),
                     Linear(2, 1))
    learn = Learner(DataBunch(batches(1)), net, loss_func=MSELossFlat())
    kinds = ["Linear", "ReLU", "BatchNorm1d", "Linear", "Linear"]

    def groups() -> list[list[str]]:
        return [[type(leaf).__name__ for leaf in group] for group in learn.layer_groups]
    assert groups() == [kinds]
    assert learn.split(net[1]) is learn
    assert groups() == [kinds[:2], kinds[2:]]
    learn.split([net[1][1], net[2]])
    assert groups() == [kinds[:3], kinds[3:4], kinds[4:]]
    learn.split(lambda model: (model[2], model[1]))
    assert groups() == [kinds[:2], kinds[2:4], kinds[4:]]
    learn.split([net[0], net[1]])  # the first group begins at the beginning anyhow
    assert groups() == [kinds[:2], kinds[2:]]
    with pytest.raises(ValueError, match="cannot split at Linear: it is not a part"):
        learn.split(Linear(1, 1))
    with pytest.raises(TypeError, match="split takes modules of the model, got int"):
        learn.split([3])
    assert groups() == [kinds[:2], kinds[2:]]


def test_a_parameter_of_the_model_itself_is_in_a_group() -> None:
    class Net(Module):
        def __init__(self) -> None:
            self.layer, self.shift = Linear(3, 1), Parameter(np.zeros(1, np.float32))

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) + self.shift
    learn = fit(Learner(DataBunch(batches(2)), Net(), loss_func=MSELossFlat()))
    assert learn.model.shift.numpy()[0] != 0


def trainable(learn: Learner) -> list[str]:
    return [name for name, p in learn.model.named_parameters() if p.requires_grad]


def test_freezing_and_unfreezing() -> None:
    learn = three_groups()
    everything = trainable(learn)
    norms = ["2.weight", "2.bias", "5.weight", "5.bias"]
    learn.freeze()
    assert trainable(learn) == [*norms, "7.weight", "7.bias"]
    learn.freeze_to(1)
    assert trainable(learn) == [*norms[:2], "3.weight", "3.bias", *norms[2:], "7.weight", "7.bias"]
    learn.unfreeze()
    assert trainable(learn) == everything
    learn.train_bn = False
    learn.freeze_to(-1)
    assert trainable(learn) == ["7.weight", "7.bias"]
    learn.freeze_to(-2)
    assert trainable(learn) == everything[4:]
    learn.freeze_to(0)
    assert trainable(learn) == everything


def test_freezing_groups_that_are_whole_modules() -> None:
    """A group may be any module, a leaf or a nest; batch norm is found at any depth."""
    net = Sequential(Linear(3, 4), Sequential(Sequential(BatchNorm1d(4)), Linear(4, 1)))
    learn = Learner(DataBunch(batches(1)), net, loss_func=MSELossFlat(), layer_groups=list(net))
    learn.freeze()
    assert trainable(learn) == ["1.0.0.weight", "1.0.0.bias", "1.1.weight", "1.1.bias"]
    learn.layer_groups = [*net, Sequential()]
    learn.freeze()
    assert trainable(learn) == ["1.0.0.weight", "1.0.0.bias"]
    learn.unfreeze()
    assert len(trainable(learn)) == 6


# --------------------------------------------------------------------- how long an optimizer lives


def test_an_optimizer_lives_until_groups_change() -> None:
    learn = three_groups()
    assert learn.opt is None
    with pytest.raises(RuntimeError, match="no optimizer yet; it is created by the first fit"):
        _ = learn.optimizer
    fit(learn, 1, 1e-2)
    first = learn.opt
    fit(learn, 2, slice(1e-4, 1e-2), wd=.3)
    assert learn.opt is first
    np.testing.assert_allclose(first.get_hyper("lr"), [1e-4, 1e-3, 1e-2])
    assert first.get_hyper("wd") == [.3] * 3
    assert first.state_dict()["0.0.count"] == 30
    for change in (learn.freeze, learn.unfreeze, lambda: learn.freeze_to(1),
                   lambda: learn.split(learn.model[3])):
        change()
        assert learn.opt is None
        fit(learn, 1, 1e-2)
        counts = {int(n) for k, n in learn.opt.state_dict().items() if k.endswith(".count")}
        assert counts == {10}


def test_momentum_and_step_count_go_on_in_the_next_fit() -> None:
    """One fit of two epochs, or two of one: the same weights to the bit."""
    once, twice, anew = (line_learner(4, opt_func=Adam, wd=.1) for _ in range(3))
    fit(once, 2, 1e-2)
    fit(fit(twice, 1, 1e-2), 1, 1e-2)
    assert frozen_copy(once) == frozen_copy(twice)
    fit(anew, 1, 1e-2)
    anew.unfreeze()
    fit(anew, 1, 1e-2)
    assert frozen_copy(anew) != frozen_copy(once)


def test_a_plain_fit_leaves_momentum_where_a_cycle_ended() -> None:
    learn = three_groups()
    fit(learn, 1, 1e-2)
    assert learn.opt.mom == .9
    with learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
    fit(learn, 1, 1e-3)
    assert learn.recorder.moms == [.95] * 10
    assert learn.recorder.lrs == [1e-3] * 10


def test_a_learner_s_decay_and_a_fit_s() -> None:
    learn = fit(line_learner(wd=.25))
    assert learn.opt.wd == .25
    assert fit(learn, wd=0.).opt.wd == 0
    assert fit(learn).opt.wd == .25
    groups = fit(three_groups(wd=[.1, .2, .3]))
    assert groups.opt.get_hyper("wd") == [.1, .2, .3]


def test_opt_func_is_given_groups_and_settings() -> None:
    calls: list[Any] = []

    def opt_func(groups: Any, **kwargs: Any) -> Any:
        calls.append(([len(list(g)) for g in groups], kwargs))
        return SGD(groups, mom=.5, **kwargs)
    learn = three_groups(opt_func=opt_func, true_wd=False, bn_wd=False, wd=.1)
    fit(fit(learn, 1, slice(1e-2)), 1, 1e-3)
    assert calls == [([4, 4, 2], {"lr": [1e-3, 1e-3, 1e-2], "wd": .1, "true_wd": False,
                                  "bn_wd": False})]
    assert learn.opt.mom == .5


# ------------------------------------------------------------------------------- the learner


def test_the_fields_of_a_learner() -> None:
    assert list(Learner.__annotations__) == [
        "data", "model", "opt_func", "loss_func", "metrics", "true_wd", "bn_wd", "wd", "train_bn",
        "path", "model_dir", "callback_fns", "callbacks", "layer_groups", "add_time"]
    learn = line_learner(wd=1e-2)
    assert (learn.true_wd, learn.bn_wd, learn.train_bn, learn.add_time) == (True,) * 4
    assert learn.path == learn.data.path
    assert learn.model_dir == "models"
    assert Learner(learn.data, learn.model, loss_func=MSELossFlat()).wd == 1e-2


def test_rates_and_momenta_if_nothing_is_said() -> None:
    learn = three_groups()
    with learn.no_logging():
        learn.fit(1)
        np.testing.assert_allclose(learn.opt.get_hyper("lr"), [3e-4, 3e-4, 3e-3])
        learn.fit_one_cycle(1)
        lr, mom = one_cycle(10, 3e-3, (.95, .85), 25, .3, 25e4)
        np.testing.assert_allclose(learn.recorder.lrs, [lr(i) for i in range(10)], rtol=1e-12)
        assert learn.recorder.moms == [mom(i) for i in range(10)]
        learn.lr_find()
    assert learn.recorder.lrs[:2] == pytest.approx([1e-7, 1e-7 * 1e8 ** .01])
    assert len(learn.recorder.lrs) <= 100


def test_one_metric_or_callback_need_not_be_in_a_list() -> None:
    made: list[Any] = []

    class Mine(LearnerCallback):
        def on_train_begin(self, **state: Any) -> None:
            made.append(self.learn)
    learn = line_learner(metrics=mae, callback_fns=Mine, callbacks=scripted([7.]))
    fit(learn, callbacks=answer("epoch_begin"))
    assert made == [learn]
    assert learn.recorder.val_losses == [7.]
    assert isinstance(learn.mine, Mine)


def test_callback_functions_are_called_at_each_fit_with_the_learner() -> None:
    made: list[Callable[..., Any]] = []

    class Mine(LearnerCallback):
        def __init__(self, learn: Learner) -> None:
            super().__init__(learn)
            made.append(self)
    learn = fit(fit(line_learner(callback_fns=[Mine])))
    assert len(made) == 2
    assert learn.mine is made[1]


def test_without_a_loss() -> None:
    with pytest.raises(ValueError, match=r"no loss function.*pass loss_func="):
        Learner(DataBunch(batches(1)), Linear(3, 1))


def test_several_inputs_and_targets() -> None:
    class Two(Module):
        def __init__(self) -> None:
            self.layer = Linear(3, 1)

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.layer(a) + self.layer(b)

    def loss(output: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return ((output.reshape(-1) - y) ** 2).mean() + (z * 0).mean()
    made = [((x, x), [y, y]) for x, y in batches(2)]
    learn = fit(Learner(DataBunch(made, made), Two(), loss_func=loss), 3)
    assert learn.recorder.val_losses[-1] < learn.recorder.val_losses[0]


def test_plain_descent_step_by_step() -> None:
    """The whole path of a Linear under SGD, against the formulas written out."""
    learn = line_learner(3)
    w, b = (p.numpy().astype(float) for p in (learn.model.weight, learn.model.bias))
    fit(learn, 2, .05, wd=.1)
    for x, y in batches(3) * 2:
        error = x @ w[0] + b - y
        w, b = (w * (1 - .05 * .1) - .05 * 2 * (error[:, None] * x).mean(0),
                b * (1 - .05 * .1) - .05 * 2 * error.mean())
    np.testing.assert_allclose(learn.model.weight.numpy(), w, rtol=1e-5)
    np.testing.assert_allclose(learn.model.bias.numpy(), b, rtol=1e-5)


def test_a_learner_learns() -> None:
    """Rows on a plane: ordinary least squares is where descent ends."""
    learn = line_learner(6, opt_func=plain_sgd)
    fit(learn, 300, .05)
    x, y = (np.concatenate(parts) for parts in zip(*batches(6), strict=True))
    exact = np.linalg.lstsq(np.c_[x, np.ones(24)], y, rcond=None)[0]
    got = np.append(learn.model.weight.numpy(), learn.model.bias.numpy())
    np.testing.assert_allclose(got, exact, atol=.05)


def test_batches_in_order_come_in_order() -> None:
    data = ratings_learner().data
    seen = [y.tolist() for _, y in data.train_dl]
    assert seen == [y.tolist() for _, y in in_order(data).train_dl]
    assert seen[0] == [5, 4, 1, 5]


@pytest.mark.parametrize(("loss", "value"), [
    (lambda pred, y: MSELossFlat()(pred, y), None), (lambda pred, y: 2.5, 2.5),
    (lambda pred, y: np.float64(2.5), 2.5)])
def test_validation_takes_any_number_for_a_loss(loss: Any, value: float | None) -> None:
    learn = line_learner(2, 2)
    expected = learn.validate()[0] if value is None else value
    learn.loss_func = loss
    assert float(learn.validate()[0]) == pytest.approx(float(expected))


def test_validation_refuses_a_loss_of_several_numbers() -> None:
    learn = line_learner(2, 2)
    learn.loss_func = MSELossFlat(reduction="none")
    told = r"must be one number, got shape \(\d+,\); .*reduction='mean'"
    with pytest.raises(ShapeError, match=told):
        learn.validate()


@pytest.mark.parametrize(("cyc_len", "start", "tot", "trained"), [
    (4, 2, None, [2, 3]), (4, 4, None, []), (2, 9, None, []), (2, 3, 4, [3]), (3, 0, 3, [0, 1, 2])])
def test_a_cycle_that_starts_later_ends_where_it_ends(cyc_len: int, start: int, tot: int | None,
                                                      trained: list[int]) -> None:
    learn, epochs = line_learner(4), []
    before = list(learn.model.state_dict().values())
    with learn.no_logging():
        learn.fit_one_cycle(cyc_len, 1e-2, tot_epochs=tot, start_epoch=start, callbacks=[
            Spy(lambda event, state: epochs.append(state["epoch"])
                if event == "epoch_begin" else None)])
    assert epochs == trained
    assert learn.recorder.nb_batches == [4] * len(trained)
    weights = list(learn.model.state_dict().values())
    assert all(map(np.array_equal, weights, before)) == (not trained)


def test_a_schedule_that_ends_lets_its_loader_finish() -> None:
    """The last epoch of a cycle is not broken off: a loader's own code after its end runs."""
    passes: list[int] = []

    class Loader(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            yield from super().__iter__()
            passes.append(len(self))
    learn = line_learner(3)
    learn.data.train_dl = Loader(learn.data.train_dl)
    with learn.no_logging():
        learn.fit_one_cycle(2, 1e-2)
    assert passes == [3, 3]


@pytest.mark.parametrize("error", [MadeUpError, KeyboardInterrupt])
def test_gradients_of_a_batch_that_failed_are_cleared(error: type[BaseException]) -> None:
    learn = line_learner(4)

    def fail(event: str, state: dict[str, Any]) -> None:
        if event == "backward_end" and state["iteration"] == 2:
            raise error
    with learn.no_logging(), pytest.raises(error):
        learn.fit(1, callbacks=[Spy(fail)])
    assert all(p.grad is None for p in learn.model.parameters())


def test_lr_find_leaves_the_mode_of_the_model() -> None:
    learn = line_learner(4)
    for mode in (False, True):
        learn.model.train(mode)
        with learn.no_logging():
            learn.lr_find(num_it=3)
        assert learn.model.training is mode
