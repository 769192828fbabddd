"""Errors in the middle of an update: each weight is as before or after it, on both paths."""
import copy
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from fast_training import assert_plain
from host import host, put
from tiny import Spy, fit_quietly, line_learner, ratings_learner

import minifast
from minifast import tensor
from minifast.collab import EmbeddingDotBias
from minifast.fast import accelerate
from minifast.nn import Embedding, Linear, Module, MSELossFlat, Parameter
from minifast.optim import SGD, Adam, InterruptedStepError, Optimizer, RMSProp
from minifast.optim.steps import average_grad, sgd_step, weight_decay
from minifast.train import Callback, LearnerCallback

Array = np.ndarray
FOLDERS = tuple(str(Path(minifast.__file__).parent / name) for name in ("optim", "fast"))
MAKERS: dict[str, Callable[..., Optimizer]] = {
    "Adam": partial(Adam, wd=.1), "SGD": partial(SGD, mom=.9, wd=.1),
    "no mom": partial(Adam, mom=0.), "renormalized": partial(Adam, mom=1e-6, beta=.9, wd=.1),
    "RMSProp": partial(RMSProp, wd=.1)}
cpu = pytest.mark.cpu_only("it follows lines of the source, the same on each device")


class Fault(RuntimeError):  # noqa: N818
    """What the tests raise."""


class RaiseAt:
    """Within this, a Fault is raised at the n-th line of optim/ and fast/ that runs.

    ``n_seen`` is how many lines there were, and ``raised`` whether the fault came.
    """

    def __init__(self, n: int) -> None:
        self.n, self.n_seen, self.raised = n, 0, False

    def __enter__(self) -> "RaiseAt":
        self.before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self.before)

    def _called(self, frame: FrameType, event: str, arg: Any) -> Any:
        file = Path(frame.f_code.co_filename)
        changes_nothing = file.stem in ("coefficients", "quadrature", "future")
        return self._line if str(file).startswith(FOLDERS) and not changes_nothing else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line" and not self.raised:
            if self.n_seen == self.n:
                self.raised = True
                raise Fault(f"at {frame.f_code.co_qualname}, line {frame.f_lineno}")
            self.n_seen += 1
        return self._line


@pytest.fixture(autouse=True)
def deferred_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables are deferred too, for few steps at a time; chunks are small."""
    monkeypatch.setattr("minifast.fast.deferred_updates.SMALLEST", 1)
    monkeypatch.setattr("minifast.fast.deferred_table.SMALL", 1e-20)
    for file in ("coefficients", "deferred_updates"):
        monkeypatch.setattr(f"minifast.fast.{file}.LENGTH", 16)
    for file in ("flat", "deferred_table"):
        monkeypatch.setattr(f"minifast.fast.{file}.CHUNK", 64)


class TwoTables(Module):
    """Embeddings that are read one by one, and a linear layer."""

    def __init__(self) -> None:
        self.u, self.v = Embedding(20, 3, seed=0), Embedding(10, 3, seed=1)
        self.linear = Linear(3, 1, seed=2)

    def forward(self, users: Any, items: Any) -> Any:
        return self.linear(self.u(users) * self.v(items)).reshape(-1)


MODELS: dict[str, Callable[[], Module]] = {
    "fused": lambda: EmbeddingDotBias(3, 20, 10, seed=0), "tables": TwoTables}


class Training:
    """A model in float64 that trains step by step, on ids that depend on the step alone."""

    def __init__(self, model: str, name: str) -> None:
        self.model = MODELS[model]()
        for p in self.model.parameters():
            p.data = p.data.astype(np.float64)
        self.opt = MAKERS[name](self.model.parameters(), lr=.1)

    def backward(self, k: int) -> None:
        rng = np.random.default_rng(k)
        users, items = rng.integers(0, 20, 6), rng.integers(0, 10, 6)
        y = tensor(rng.normal(size=6))
        ((self.model(tensor(users), tensor(items)) - y) ** 2).mean().backward()

    def train(self, first: int, last: int) -> None:
        for k in range(first, last):
            self.backward(k)
            self.opt.step()
            self.opt.zero_grad()

    def weights(self) -> list[Array]:
        return [host(p.data).copy() for p in self.model.parameters()]


def assert_before_or_after(weights: list[Array], *both: list[Array]) -> None:
    for found, old, new in zip(weights, *both, strict=True):
        assert np.isfinite(found).all()
        off = np.minimum(abs(found - old), abs(found - new))
        assert off.max(initial=0) < 1e-9


@cpu
@pytest.mark.parametrize("path", ["plain", "dense", "deferred"])
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_an_error_at_each_line_of_an_update(model: str, name: str, path: str, steps: int) -> None:
    plain = Training(model, name)
    plain.train(0, steps)
    before = plain.weights()
    plain.train(steps, steps + 1)
    after = plain.weights()
    for n in count():
        ours = Training(model, name)
        with nullcontext() if path == "plain" else accelerate(
                ours.model, ours.opt, always=path == "deferred"):
            ours.train(0, steps)
            ours.backward(steps)
            with RaiseAt(n) as at:
                try:
                    ours.opt.step()
                except Fault:
                    assert at.raised
            assert_before_or_after(ours.weights(), before, after)
            if at.raised and ours.opt.interrupted:  # at the first and last lines it may be whole
                with pytest.raises(InterruptedStepError, match=r"opt\.interrupted = False"):
                    ours.opt.step()
                ours.opt.interrupted = False
            ours.opt.zero_grad()
            ours.train(steps, steps + 3)
        assert_plain(ours.model, ours.opt)
        assert all(np.isfinite(w).all() for w in ours.weights())
        assert all(np.isfinite(value).all() for value in ours.opt.state_dict().values())
        if not at.raised:
            break
    assert n > 20


@cpu
@pytest.mark.parametrize("name", ["Adam", "SGD"])
@pytest.mark.parametrize("model", MODELS)
def test_an_error_at_each_line_of_a_read(model: str, name: str) -> None:
    """Whatever reading a weight was interrupted by, training goes on with the true values."""
    plain = Training(model, name)
    plain.train(0, 8)
    for n in count():
        ours = Training(model, name)
        with accelerate(ours.model, ours.opt, always=True):
            ours.train(0, 4)
            with RaiseAt(n) as at:
                try:
                    _ = ours.model.parameters()[0].data
                except Fault:
                    assert at.raised
            ours.train(4, 8)
        for found, expected in zip(ours.weights(), plain.weights(), strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
        if not at.raised:
            break
    assert n > 10


@cpu
@pytest.mark.parametrize("path", ["plain", "dense", "deferred"])
@pytest.mark.parametrize("k", range(1, 40, 3))
def test_full_memory_in_an_update(path: str, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The k-th NumPy function that makes an array fails, and all after it until the step's end."""
    ours, plain = Training("fused", "Adam"), Training("fused", "Adam")
    plain.train(0, 3)
    before = plain.weights()
    plain.train(3, 4)
    calls = []

    def failing(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(function)
            if len(calls) >= k:
                raise Fault
            return function(*args, **kwargs)
        return call
    with nullcontext() if path == "plain" else accelerate(
            ours.model, ours.opt, always=path == "deferred"):
        ours.train(0, 3)
        ours.backward(3)
        with monkeypatch.context() as patch:
            for name in ("sqrt", "empty", "empty_like", "zeros", "concatenate", "arange"):
                patch.setattr(np, name, failing(getattr(np, name)))
            try:
                ours.opt.step()
            except Fault:
                assert len(calls) >= k
        assert_before_or_after(ours.weights(), before, plain.weights())
    assert_plain(ours.model, ours.opt)


# ---------------------------------------------------------------- steps of one's own


def halve_and_fail(p: Any, state: Any, **_: Any) -> None:
    p.data *= .5
    state["mine"] += 1
    raise Fault("in my own step")


@pytest.mark.parametrize("steps", [[halve_and_fail], [weight_decay, sgd_step, halve_and_fail]])
def test_a_failing_step_of_ones_own(steps: Any) -> None:
    values = [np.float32([1, 2]), np.float32([[3]])]
    ps = [Parameter(value.copy()) for value in values]
    opt = Optimizer(ps, steps, lr=.1, wd=.1)
    for p in ps:
        p.grad = put(np.ones_like(host(p.data)))
    with pytest.raises(Fault, match="my own"):
        opt.step()
    for p, value in zip(ps, values, strict=True):
        np.testing.assert_array_equal(host(p.data), value)
        assert p.grad is not None


def test_an_optimizer_refuses_until_it_is_told_to_go_on() -> None:
    p = Parameter(np.float32([1.]))
    opt = Optimizer([p], [average_grad, sgd_step], lr=.5, mom=.5)
    whole = opt.state_dict()
    steps, opt.steps = opt.steps, [halve_and_fail]

    def fail() -> None:
        opt.steps, p.grad = [halve_and_fail], put(np.float32([1.]))
        with pytest.raises(Fault):
            opt.step()
        opt.steps = steps
        for twin in (opt, copy.deepcopy(opt)):
            with pytest.raises(InterruptedStepError, match="last step of this optimizer ended"):
                twin.step()
    for go_on in (opt.clear, lambda: opt.load_state_dict(whole),
                  lambda: setattr(opt, "interrupted", False)):
        fail()
        assert p.item() == 1
        go_on()
        opt.step()
        assert p.item() == .75
        p.data = put(np.float32([1.]))
        opt.clear()


def rebind(p: Any, state: Any, *, lr: float, **_: Any) -> None:
    """A step that makes a new array, of another type even."""
    p.data = p.data - np.float64(lr) * p.grad


def test_a_step_that_makes_a_new_array_fills_the_parameter_s_own() -> None:
    layer = Linear(2, 1, seed=0)
    own, start = layer.weight.data, host(layer.weight.data).copy()
    layer(tensor(np.float32([[1, 2]]))).sum().backward()
    Optimizer(layer.parameters(), [rebind], lr=.5).step()
    assert layer.weight.data is own
    np.testing.assert_array_equal(host(own), start - np.float32([[.5, 1.]]))


def widen(p: Any, state: Any, **_: Any) -> None:
    p.data = np.concatenate((p.data, p.data))


def test_a_step_that_makes_an_array_of_another_shape() -> None:
    p = Parameter(np.float32([1., 2.]))
    with pytest.raises(minifast.ShapeError, match=r"\(2,\) was replaced by \(4,\)"):
        Optimizer([p], [widen]).step()
    assert p.tolist() == [1, 2]


# ---------------------------------------------------------------- abnormal ends of a fit


def raising(event: str, error: BaseException | type[BaseException]) -> Spy:
    def hear(heard: str, state: dict[str, Any]) -> None:
        if heard == event and state["iteration"] >= 1:
            raise error
    return Spy(hear)


@pytest.mark.parametrize("error", [Fault, KeyboardInterrupt])
@pytest.mark.parametrize("event", ["loss_begin", "backward_end", "step_end", "batch_end",
                                   "epoch_end"])
@pytest.mark.parametrize("fast", [False, True])
def test_gradients_of_an_interrupted_batch_do_not_enter_the_next_fit(
        event: str, error: type[BaseException], fast: bool) -> None:
    """From the same weights and state, the next fit is that of a learner without the error."""
    learn = ratings_learner()
    learn.fast = fast
    with pytest.raises(error), learn.no_logging():
        learn.fit(1, 1e-2, callbacks=[raising(event, error)])
    assert all(p.grad is None for p in learn.model.parameters())
    fresh = ratings_learner()
    fresh.fast = fast
    fresh.model.load_state_dict(learn.model.state_dict())
    learn.opt.clear()
    for each in (learn, fresh):
        fit_quietly(each, 1, 1e-2)
        assert len(each.recorder.losses) == len(each.data.train_dl)
    for name, value in fresh.model.state_dict().items():  # a GPU sums in any order
        np.testing.assert_allclose(learn.model.state_dict()[name], value, rtol=1e-5, atol=1e-8)


class Ended(Callback):
    """Keeps what ``on_train_end`` is told."""

    def on_train_end(self, exception: Any) -> None:
        self.exception = exception


@pytest.mark.parametrize("kind", [Fault, KeyboardInterrupt, SystemExit])
def test_train_end_is_told_what_ended_the_training(kind: type[BaseException]) -> None:
    ended, error = Ended(), kind("here")
    with pytest.raises(type(error)):
        fit_quietly(line_learner(), 1, callbacks=[raising("step_end", error), ended])
    assert ended.exception is error
    fit_quietly(line_learner(), 1, callbacks=[ended])
    assert ended.exception is False


@pytest.mark.parametrize("fast", [False, True])
def test_a_learner_whose_step_has_failed(fast: bool, tmp_path: Path) -> None:
    """A fit and lr_find are refused, before anything changes; loading makes it whole."""
    learn = ratings_learner(path=tmp_path, loss_func=MSELossFlat())
    learn.fast = fast
    fit_quietly(learn, 1, 1e-2)
    learn.save("whole")
    learn.optimizer.steps = [halve_and_fail]
    with pytest.raises(Fault):
        fit_quietly(learn, 1, 1e-2)
    learn.optimizer.steps = Adam(learn.model.parameters()).steps
    weights, hypers = learn.model.state_dict(), copy.deepcopy(learn.optimizer.hypers)
    learn.to("cpu").to(minifast.backend.default_device())
    for train in (lambda: learn.fit_one_cycle(1), learn.lr_find):
        with pytest.raises(InterruptedStepError), learn.no_logging():
            train()
    assert learn.optimizer.hypers == hypers
    for name, value in learn.model.state_dict().items():
        np.testing.assert_array_equal(value, weights[name])
    learn.load("whole")
    fit_quietly(learn, 1, 1e-2)


def test_a_callback_whose_learner_is_gone() -> None:
    learn = line_learner()
    callback = LearnerCallback(learn)
    assert callback.learn is learn
    del learn
    with pytest.raises(ReferenceError, match="the learner of this LearnerCallback was deleted"):
        callback.learn  # noqa: B018


def test_a_copied_learner_has_callbacks_of_its_own() -> None:
    learn = line_learner()
    fit_quietly(learn, 1)
    twin = copy.deepcopy(learn)
    assert twin.recorder is not learn.recorder
    assert twin.recorder.learn is twin
    assert len(twin.recorder.losses) == len(learn.recorder.losses)
