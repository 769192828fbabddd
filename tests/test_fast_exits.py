"""However an accelerated fit ends, everything is ordinary afterwards, as of the last full step."""
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from functools import partial
from inspect import CO_GENERATOR
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from fast_training import assert_plain
from host import host
from tiny import Spy, fit_quietly

from minifast import Tensor, tensor
from minifast.collab import CollabLearner, EmbeddingDotBias, collab_learner
from minifast.data import CollabDataBunch
from minifast.datasets import planted_ratings
from minifast.fast import accelerate, accelerator
from minifast.fast.flat import FlatParameters
from minifast.inspect import Hook
from minifast.nn import Embedding, Linear, MSELossFlat
from minifast.optim import SGD, Adam, Optimizer
from minifast.optim.steps import sgd_step
from minifast.train import Learner
from minifast.train.callback import EVENTS

Array = np.ndarray
FAST = str(Path(accelerator.__file__).parent)
RATINGS = planted_ratings(n_users=60, n_items=40, n_ratings=600).ratings
MAKERS: dict[str, Callable[..., Optimizer]] = {"Adam": Adam, "SGD": partial(SGD, mom=.9)}
both = pytest.mark.parametrize("name", MAKERS)
swallowed = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""An interrupt while Python deletes a generator is printed, not raised."""


@pytest.fixture(autouse=True)
def deferred_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables are deferred too, however many of their rows a batch reads."""
    monkeypatch.setattr("minifast.fast.deferred_updates.SMALLEST", 1)
    monkeypatch.setattr("minifast.fast.deferred_table.SHARE", 1e9)


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Python's own handler of Ctrl-C, also for the next test."""
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)


def learner(name: str = "Adam", fast: bool = True, bs: int = 16, model: Any = None
            ) -> CollabLearner:
    """A learner whose training is the same each time, in float64."""
    data = CollabDataBunch.from_df(RATINGS, valid_pct=.1, seed=1, bs=bs)
    data.train_dl.rng = np.random.default_rng(5)
    learn = collab_learner(data, n_factors=5, y_range=[0, 5.5], wd=.1, seed=0,
                           opt_func=MAKERS[name], loss_func=MSELossFlat())
    for p in learn.model.parameters():
        p.data = p.data.astype(np.float64)
    if model is not None:
        learn.model, learn.layer_groups = model, [model]
    learn.fast = fast
    return learn


def numbers(learn: Learner) -> dict[str, Array]:
    """Weights and optimizer state."""
    opt = {} if learn.opt is None else learn.opt.state_dict()
    return {**learn.model.state_dict(), **opt}


def assert_equal(ours: dict[str, Array], theirs: dict[str, Array]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-6, atol=1e-7, err_msg=name)
        assert np.isfinite(value).all()


def assert_ordinary(learn: Learner) -> None:
    """Nothing is left of the fast path, Ctrl-C included."""
    assert_plain(learn.model, learn.opt)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ---------------------------------------------------------------- exceptions


class Stop(Exception):  # noqa: N818
    """What the tests raise."""


def raising(event: str, iteration: int, error: type[BaseException]) -> Spy:
    def hear(heard: str, state: dict[str, Any]) -> None:
        if heard == event and state["iteration"] >= iteration:
            raise error
    return Spy(hear)


def interrupted_and_fitted_again(name: str, error: type[BaseException],
                                 prepare: Callable[[Learner], Any]) -> None:
    """An error ends a fit; both paths are then the same, and so they are after another fit."""
    pair = [learner(name, fast) for fast in (True, False)]
    for learn in pair:
        undo = prepare(learn)
        with pytest.raises(error), learn.no_logging():
            learn.fit_one_cycle(2, 1e-2, callbacks=undo if isinstance(undo, Spy) else None)
        assert_ordinary(learn)
        if callable(undo):
            undo()
    assert_equal(*map(numbers, pair))
    for learn in pair:
        fit_quietly(learn, 1, 1e-2)
        assert_ordinary(learn)
    assert_equal(*map(numbers, pair))


@both
@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("event", [event for event in EVENTS if event != "train_end"])
def test_an_error_in_a_callback(event: str, error: type[BaseException], name: str) -> None:
    at = 20 if event not in ("train_begin", "epoch_begin") else 0
    interrupted_and_fitted_again(name, error, lambda learn: raising(event, at, error))


@both
def test_an_error_when_training_ends(name: str) -> None:
    pair = [learner(name, fast) for fast in (True, False)]
    for learn in pair:
        with pytest.raises(Stop):
            fit_quietly(learn, 1, 1e-2, callbacks=[raising("train_end", 0, Stop)])
        assert_ordinary(learn)
    assert_equal(*map(numbers, pair))


def failing(function: Callable[..., Any], n: int, error: type[BaseException]
            ) -> Callable[..., Any]:
    """``function``, whose n-th call fails."""
    calls = iter(range(n))

    def call(*args: Any, **kwargs: Any) -> Any:
        if next(calls, None) is None:
            raise error
        return function(*args, **kwargs)
    return call


@both
@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
def test_an_error_in_forward(error: type[BaseException], name: str) -> None:
    def prepare(learn: Any) -> Callable[[], None]:
        hook = Hook(learn.model.i_weight, failing(lambda *given: None, 20, error))
        return hook.remove
    interrupted_and_fitted_again(name, error, prepare)


@both
@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
def test_an_error_in_the_loss(error: type[BaseException], name: str) -> None:
    def prepare(learn: Learner) -> Callable[[], None]:
        loss = learn.loss_func
        learn.loss_func = failing(loss, 20, error)
        return lambda: setattr(learn, "loss_func", loss)
    interrupted_and_fitted_again(name, error, prepare)


@both
@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
def test_an_error_in_backward(error: type[BaseException], name: str) -> None:
    def prepare(learn: Learner) -> Callable[[], None]:
        backward = Tensor.backward
        call = failing(backward, 20, error)
        Tensor.backward = lambda self: call(self)  # type: ignore[method-assign]
        return lambda: setattr(Tensor, "backward", backward)
    interrupted_and_fitted_again(name, error, prepare)


def test_an_error_on_the_way_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first storage is there already, the second one fails."""
    learn = learner()
    learn.opt = learn.create_opt(1e-2)
    learn.opt.groups = [learn.model.parameters()[:2], learn.model.parameters()[2:]]
    learn.opt.hypers = [dict(learn.opt.hypers[0]) for _ in range(2)]
    before = numbers(learn)
    monkeypatch.setattr(accelerator, "FlatParameters",
                        failing(accelerator.FlatParameters, 1, Stop))
    with pytest.raises(Stop):
        fit_quietly(learn, 1, 1e-2)
    assert_ordinary(learn)
    after = numbers(learn)
    for key, value in before.items():
        if not key.startswith("hyper"):
            np.testing.assert_array_equal(value, after[key])


# ---------------------------------------------------------------- Ctrl-C


@pytest.fixture(scope="module")
def truth() -> dict[tuple[bool, int], list[dict[str, Array]]]:
    """What the plain path has after each number of steps, once it was computed."""
    return {}


def after_each_step(reads: bool, bs: int, truth: dict[Any, Any]) -> list[dict[str, Array]]:
    """Weights and state of the plain path, by the number of complete steps."""
    if (reads, bs) not in truth:
        learn = learner(fast=False, bs=bs)
        learn.opt = learn.create_opt(1e-2)
        found = [numbers(learn)]
        fit_quietly(learn, 1, 1e-2, callbacks=[Spy(
            lambda event, state: found.append(numbers(learn)) if event == "step_end" else None)])
        truth[reads, bs] = found
    return truth[reads, bs]  # type: ignore[no-any-return]


def assert_complete(learn: Learner, steps: list[dict[str, Array]]) -> int:
    """The learner is as the plain path after some number of complete steps, which is returned."""
    assert_ordinary(learn)
    found = numbers(learn)
    n = int(found.get("0.0.count", 0))
    expected = steps[n]
    for key, value in found.items():
        if not key.startswith("hyper"):
            np.testing.assert_allclose(value, expected.get(key, 0), rtol=1e-6, atol=1e-7,
                                       err_msg=f"{key} after {n} steps")
    fit_quietly(learn, 1, 1e-2)
    assert_ordinary(learn)
    assert all(np.isfinite(value).all() for value in numbers(learn).values())
    return n


def reading(learn: Learner) -> Spy:
    """Reads weights, gradients and state every few batches."""
    def hear(event: str, state: dict[str, Any]) -> None:
        if event == "backward_end" and state["iteration"] % 3 == 2:
            for p in learn.model.parameters():
                assert p.grad is not None
        if event == "step_end" and state["iteration"] % 5 == 1:
            for p in learn.model.parameters():
                assert p.data is not None
        if event == "step_end" and state["iteration"] % 7 == 6:
            learn.optimizer.state_dict()
    return Spy(hear)


@pytest.mark.cpu_only("updates are deferred on the CPU")
@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is another thing there")
def test_ctrl_c_at_random_moments(truth: Any) -> None:
    """Thirty real signals, from another thread."""
    steps, rng, seen = after_each_step(False, 8, truth), random.Random(0), []
    duration = .1
    while len(seen) < 30:
        learn, over, lock = learner(bs=8), threading.Event(), threading.Lock()

        def interrupt(delay: float, over: threading.Event = over, lock: Any = lock) -> None:
            over.wait(delay)
            with lock:
                if not over.is_set():
                    os.kill(os.getpid(), signal.SIGINT)
        thread = threading.Thread(target=interrupt, args=[rng.random() * duration])
        try:
            thread.start()
            start = time.perf_counter()
            fit_quietly(learn, 1, 1e-2)
            duration = time.perf_counter() - start
            with lock:
                over.set()
        except KeyboardInterrupt:
            seen.append(assert_complete(learn, steps))
        over.set()
        thread.join()
    assert len(set(seen)) > 2


class InterruptAt:
    """Within this, a real SIGINT comes at the n-th call of or return from a function.

    Only calls within the fast path count; ``n_seen`` is how many there were. What an interrupt
    leaves behind elsewhere, in ``no_grad().__exit__`` say, is the same on the plain path.
    """

    def __init__(self, n: int) -> None:
        self.n, self.n_seen = n, 0

    def __enter__(self) -> "InterruptAt":
        sys.setprofile(self._seen)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)

    def _seen(self, frame: FrameType, event: str, arg: Any) -> None:
        if not any(f.f_code.co_filename.startswith(FAST) for f in callers(frame)):
            return
        if frame.f_code.co_flags & CO_GENERATOR and not event.startswith("c_"):
            return  # an error raised here would end a generator without its ``finally``
        if self.n_seen == self.n:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)
        self.n_seen += 1


def callers(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame and all that have called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def moments(n_all: int, n: int, seed: int) -> Iterator[int]:
    """Some numbers below ``n_all``: one of each of n equal parts."""
    rng = random.Random(seed)
    return (int((i + rng.random()) * n_all / n) for i in range(n))


@pytest.mark.cpu_only("updates are deferred on the CPU")
@swallowed
@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize("always", [False, True])
def test_ctrl_c_at_each_part_of_a_training(reads: bool, always: bool, truth: Any,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    """Into the fast path, forward, backward, step, out of it: at a call in each of 60 parts."""
    if always:
        monkeypatch.setattr("minifast.fast.deferred_table.PATIENCE", 0)
        monkeypatch.setattr("minifast.fast.accelerator.PATIENCE", 0)
    steps, done = after_each_step(reads, 64, truth), set()

    def train(n: int, learn: Learner) -> int:
        with InterruptAt(n) as interrupt:
            fit_quietly(learn, 1, 1e-2, callbacks=[reading(learn)] if reads else None)
        return interrupt.n_seen
    n_all = train(-1, learner(bs=64))
    for n in moments(n_all, 60, seed=2 * always + reads):
        learn = learner(bs=64)
        with suppress(KeyboardInterrupt):
            train(n, learn)
        done.add(assert_complete(learn, steps))
    assert len(done) > len(steps) // 2


@pytest.mark.cpu_only("updates are deferred on the CPU")
@swallowed
def test_ctrl_c_on_the_way_in_and_out() -> None:
    """At every single call: nothing of it is left half done."""
    def train(n: int) -> tuple[EmbeddingDotBias, Optimizer, int]:
        model = EmbeddingDotBias(3, 20, 10, seed=0)
        opt = Adam([[p] for p in model.parameters()], lr=.1)
        interrupt = InterruptAt(n)
        with suppress(KeyboardInterrupt), interrupt, accelerate(model, opt, always=True):
            pass
        return model, opt, interrupt.n_seen
    before = train(-1)[0].state_dict()
    for n in range(train(-1)[2]):
        model, opt, _ = train(n)
        assert_plain(model, opt)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(value, before[name])


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is another thing there")
def test_a_handler_of_ones_own_is_left_alone() -> None:
    heard: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda signum, frame: heard.append(signum))
    try:
        learn = learner()
        fit_quietly(learn, 1, 1e-2, callbacks=[
            Spy(lambda event, state: signal.raise_signal(signal.SIGINT)
                if event == "step_end" and state["iteration"] == 3 else None)])
        assert heard == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, previous)
    assert_plain(learn.model, learn.opt)


def test_a_fit_in_another_thread() -> None:
    """Signals are the main thread's; the fit is accelerated all the same."""
    pair = [learner(fast=fast) for fast in (True, False)]
    found: list[type] = []
    thread = threading.Thread(target=fit_quietly, args=(pair[0], 1, 1e-2), kwargs={
        "callbacks": [Spy(lambda event, state: found.append(type(pair[0].model.u_weight.weight)))]})
    thread.start()
    thread.join()
    assert {kind.__name__ for kind in found} == {"EmbeddingWeight"}
    fit_quietly(pair[1], 1, 1e-2)
    assert_ordinary(pair[0])
    assert_equal(*map(numbers, pair))


# ---------------------------------------------------------------- what is not accelerated


def classes_within_a_fit(learn: Learner) -> set[str]:
    """The modules that define the classes of layers, parameters and optimizer."""
    found: set[str] = set()

    def hear(event: str, state: Any) -> None:
        for thing in (*learn.model.modules(), *learn.model.parameters(), learn.opt):
            found.add(type(thing).__module__.rpartition(".")[0])
            assert learn.fast or "owner" not in vars(thing)
    fit_quietly(learn, 1, 1e-2, callbacks=[Spy(hear)])
    return found


def test_a_learner_that_is_not_fast_enters_nothing() -> None:
    assert "minifast.fast" in classes_within_a_fit(learner())
    assert "minifast.fast" not in classes_within_a_fit(learner(fast=False))


def test_minifast_fast_0_enters_nothing() -> None:
    code = """
import test_fast_exits as t
kinds = set()
data = t.CollabDataBunch.from_df(t.RATINGS, valid_pct=.1, seed=1, bs=16)
learn = t.collab_learner(data, n_factors=5, y_range=[0, 5.5])
t.fit_quietly(learn, 1, callbacks=[
    t.Spy(lambda *told: kinds.add(type(learn.model.u_weight.weight).__name__))])
print(*kinds)
"""
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    for fast, kind in (("0", "Parameter"), ("1", "EmbeddingWeight")):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                              check=False, timeout=120,
                              env={**os.environ, "MINIFAST_FAST": fast, "PYTHONPATH": paths})
        assert done.stdout.split() == [kind], done.stderr


def sign_step(p: Any, state: Any, *, lr: float, **_: Any) -> None:
    """A student's own step."""
    p.data -= lr * np.sign(p.grad)


class Counting(Optimizer):
    """A student's own optimizer."""

    n_steps = 0

    def step(self) -> None:
        self.n_steps += 1
        super().step()


class Renamed(Optimizer):
    """A subclass that steps as Optimizer does."""

    def describe(self) -> str:
        return f"{len(self.groups)} groups at {self.lr}"


@pytest.mark.parametrize("make", [
    lambda groups, **options: Optimizer(groups, [sign_step], lr=.1),
    lambda groups, **options: Optimizer(groups, [sgd_step, sign_step], lr=.1),
    lambda groups, **options: Counting(groups, [sgd_step], lr=.1)])
def test_steps_of_ones_own_run_as_they_are(make: Any) -> None:
    pair = [learner(fast=fast) for fast in (True, False)]
    for learn in pair:
        learn.opt_func = make
        assert "minifast.fast" not in classes_within_a_fit(learn)
        learn.optimizer.set_hypers(lr=.1)
    assert_equal(*map(numbers, pair))
    if isinstance(pair[0].opt, Counting):
        assert pair[0].opt.n_steps == len(pair[0].data.train_dl)


def test_a_subclass_that_steps_as_optimizer_does_is_fast() -> None:
    layer = Linear(2, 1, seed=0)
    opt = Renamed(layer.parameters(), [sgd_step], lr=.1)
    with accelerate(layer, opt):
        assert isinstance(opt, Renamed)
        assert type(opt) is not Renamed
        assert type(opt).__name__ == "Renamed"
        assert opt.describe() == "1 groups at 0.1"
        assert type(layer.weight).__name__ == "FlatParameter"
    assert type(opt) is Renamed
    assert_plain(layer, opt)


# ---------------------------------------------------------------- one within the other


def train(model: Any, opt: Optimizer, first: int, n: int) -> None:
    for k in range(first, first + n):
        ids = np.random.default_rng(k).integers(0, 10, (2, 8))
        (model(tensor(ids[0]), tensor(ids[1])) ** 2).mean().backward()
        opt.step()
        opt.zero_grad()


@both
def test_accelerate_within_accelerate(name: str) -> None:
    """Of the same optimizer: the outer one goes on."""
    results = []
    for fast in (True, False):
        model = EmbeddingDotBias(3, 20, 10, seed=0)
        opt = MAKERS[name](model.parameters(), lr=.1, wd=.1)
        if fast:
            with accelerate(model, opt, always=True):
                train(model, opt, 0, 20)
                with accelerate(model, opt):
                    train(model, opt, 20, 20)
                assert type(model.u_weight) is not Embedding
                train(model, opt, 40, 20)
            assert_plain(model, opt)
        else:
            train(model, opt, 0, 60)
        results.append({**model.state_dict(), **opt.state_dict()})
    for key, value in results[0].items():
        np.testing.assert_allclose(value, results[1][key], rtol=1e-4, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_optimizers_that_end_in_any_order(order: tuple[int, int]) -> None:
    """Each gives back what it has, also when the other one has ended before."""
    results = []
    for fast in (True, False):
        model = EmbeddingDotBias(3, 20, 10, seed=0)
        opts = [Adam(model.parameters(), lr=.1), SGD(model.parameters(), lr=.1, mom=.9)]
        contexts = [accelerate(model, opt, always=True) if fast else nullcontext() for opt in opts]
        for context in contexts:
            context.__enter__()
        for k in range(6):
            train(model, opts[k % 2], 20 * k, 20)
        contexts[order[0]].__exit__(None, None, None)
        train(model, opts[order[1]], 200, 20)
        contexts[order[1]].__exit__(None, None, None)
        for opt in opts:
            assert_plain(model, opt)
        results.append({**model.state_dict(), **opts[0].state_dict()})
    for key, value in results[0].items():
        np.testing.assert_allclose(value, results[1][key], rtol=1e-3, atol=1e-5, err_msg=key)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@both
def test_two_learners_of_one_model(name: str) -> None:
    """In turns, and one within the other's fit."""
    results = []
    for fast in (True, False):
        one = learner(name, fast)
        two = learner("SGD", fast, model=one.model)
        fit_quietly(one, 1, 1e-2)
        fit_quietly(two, 1, 1e-2)
        within = Spy(lambda event, state, two=two: fit_quietly(two, 1, 1e-3) and None
                     if event == "step_end" and state["iteration"] in (5, 28) else None)
        fit_quietly(one, 1, 1e-2, callbacks=[within])
        for learn in (one, two):
            assert_ordinary(learn)
        results.append({**numbers(one), **{f"two.{k}": v for k, v in numbers(two).items()}})
    assert_equal(*results)


def test_a_fit_within_a_fit() -> None:
    pair = [learner(fast=fast) for fast in (True, False)]
    for learn in pair:
        within = Spy(lambda event, state, learn=learn: fit_quietly(learn, 1, 1e-3) and None
                     if event == "step_end" and state["iteration"] == 20 else None)
        fit_quietly(learn, 1, 1e-2, callbacks=[within])
        assert_ordinary(learn)
    assert_equal(*map(numbers, pair))


def test_weights_are_right_within_a_fit() -> None:
    """Layers that others read, such as the biases of a learner, show what the plain path has."""
    seen: list[Array] = []
    for fast in (True, False):
        learn = learner(fast=fast)

        def hear(event: str, state: Any, learn: CollabLearner = learn) -> None:
            if event == "step_end" and state["iteration"] in (3, 25):
                items = learn.data.categories[1].classes[1:4]
                seen.extend([host(learn.bias(items)), host(learn.weight(items, is_item=True))])
        fit_quietly(learn, 1, 1e-2, callbacks=[Spy(hear)])
    for ours, theirs in zip(seen[:4], seen[4:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_leaving_goes_on_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory is full when the second layer group is given back; the end tries again."""
    model = EmbeddingDotBias(3, 5, 7, seed=0)
    users, items = ([p for layer in layers for p in layer.parameters()] for layers in (
        (model.u_weight, model.u_bias), (model.i_weight, model.i_bias)))
    opt = Adam([users, items], lr=.1)
    release, calls = FlatParameters.release, []

    def fail_once(flat: FlatParameters, states: Any) -> None:
        calls.append(flat)
        if len(calls) == 2:
            raise MemoryError
        release(flat, states)
    monkeypatch.setattr(FlatParameters, "release", fail_once)

    def train() -> None:
        with accelerate(model, opt):
            for _ in range(3):
                model(tensor([1, 2]), tensor([3, 4])).sum().backward()
                opt.step()
            opt.accelerator.leave()  # type: ignore[attr-defined]
    with pytest.raises(MemoryError):
        train()
    assert_plain(model, opt)
    assert [state.count for state in opt.state.values()] == [3] * 4


# ------------------------------------------------------- leaving between forward and backward pass

@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("fused", [True, False])
@both
def test_no_gradient_is_lost_if_the_fast_form_ends_before_backward(
        name: str, fused: bool, inside: bool) -> None:
    """The state is read between forward and backward pass, as by a save, or the block ends."""
    ids, ratings = tensor([[0, 1], [1, 1], [2, 0], [0, 0]]), tensor([1., 2., 3., 4.])

    def trained(fast: bool) -> list[Array]:
        np.random.seed(0)
        model = EmbeddingDotBias(3, 4, 5, y_range=(0, 5.5))
        model.u_bias.weight.requires_grad = fused  # a frozen table is not read by the fused form
        opt = MAKERS[name](model.parameters(), lr=.1)

        def loss() -> Tensor:
            return MSELossFlat()(model(ids[:, 0], ids[:, 1]), ratings)
        with accelerate(model, opt) if fast else nullcontext():
            loss().backward()
            opt.step()
            opt.zero_grad()
            last = loss()
            if inside:
                opt.state_dict()
                last.backward()
                opt.step()
        if not inside:
            last.backward()
            opt.step()
        return [host(array) for p in model.parameters() if p.requires_grad
                for array in (p.data, p.grad)]

    for fast, plain in zip(trained(True), trained(False), strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-5, atol=1e-6)
