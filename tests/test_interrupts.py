"""Ctrl-C: the first one is taken at the end of a batch, a second one at once; and long running."""
import gc
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import interrupt_fits
import numpy as np
import pytest
import soak
from test_fast_exits import learner
from tiny import Spy, fit_quietly, ratings_learner, three_groups

from minifast import tensor
from minifast.collab import EmbeddingDotBias
from minifast.fast import accelerate
from minifast.optim import Adam, InterruptedStepError
from minifast.train import Learner
from minifast.train.interrupts import Interrupts

State = dict[str, Any]
posix = pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is another thing there")
paths = pytest.mark.parametrize("fast", [False, True])


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Python's own handler of Ctrl-C, also for the next test."""
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)


def press(n: int = 1) -> None:
    for _ in range(n):
        signal.raise_signal(signal.SIGINT)


def pressing(event: str, iteration: int = 3, n: int = 1, train: bool = True
             ) -> tuple[Spy, list[str]]:
    """A callback that presses Ctrl-C at an event; the events from then on."""
    events: list[str] = []

    def hear(heard: str, state: State) -> None:
        at = heard == event and state["iteration"] == iteration
        if events or (at and state.get("train", True) == train):
            events.append(heard)
        if len(events) == 1:
            press(n)
    return Spy(hear), events


@posix
@paths
@pytest.mark.parametrize("event", ["batch_begin", "loss_begin", "backward_begin", "backward_end",
                                   "step_end", "batch_end"])
def test_the_first_ctrl_c_is_taken_at_the_end_of_the_batch(event: str, fast: bool) -> None:
    learn, (spy, events) = learner(fast=fast), pressing(event)
    with pytest.raises(KeyboardInterrupt):
        fit_quietly(learn, 1, callbacks=[spy])
    whole = ["batch_begin", "loss_begin", "backward_begin", "backward_end", "step_end",
             "batch_end"]
    assert events == [*whole[whole.index(event):], "train_end"]
    assert len(learn.recorder.losses) == 4
    assert learn.optimizer.state_dict()["0.0.count"] == 4
    assert not learn.optimizer.interrupted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    fit_quietly(learn)


@posix
@paths
def test_ctrl_c_while_validating(fast: bool) -> None:
    learn = learner(fast=fast)
    n = len(learn.data.train_dl)
    spy, events = pressing("loss_begin", n, train=False)
    with pytest.raises(KeyboardInterrupt):
        fit_quietly(learn, 2, callbacks=[spy])
    assert events == ["loss_begin", "batch_end", "train_end"]
    spy, events = pressing("loss_begin", 0, train=False)
    with pytest.raises(KeyboardInterrupt):
        learn.validate(callbacks=[spy])
    assert events == ["loss_begin", "batch_end", "train_end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@posix
@paths
@pytest.mark.parametrize("event", ["loss_begin", "step_end"])
def test_a_second_ctrl_c_is_taken_at_once(event: str, fast: bool) -> None:
    learn, (spy, events) = learner(fast=fast), pressing(event, n=2)
    with pytest.raises(KeyboardInterrupt):
        fit_quietly(learn, 1, callbacks=[spy])
    assert events == [event, "train_end"]
    assert all(p.grad is None for p in learn.model.parameters())
    fit_quietly(learn)


@posix
@paths
@pytest.mark.parametrize("n", [1, 2])
def test_ctrl_c_within_an_update(fast: bool, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast path finishes the update in any case; the plain one, after a second, refuses."""
    learn, calls = learner(fast=fast), []

    def step(sqrt: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 30:
            press(n)
        return sqrt(*args, **kwargs)
    sqrt = np.sqrt
    monkeypatch.setattr(np, "sqrt", lambda *args, **kwargs: step(sqrt, *args, **kwargs))
    with pytest.raises(KeyboardInterrupt):
        fit_quietly(learn, 1)
    assert len(calls) >= 30
    assert learn.optimizer.interrupted == (n == 2 and not fast)
    if learn.optimizer.interrupted:
        with pytest.raises(InterruptedStepError):
            fit_quietly(learn)
        learn.optimizer.interrupted = False
    fit_quietly(learn)


@posix
def test_ctrl_c_when_all_is_done() -> None:
    """Nothing of the fit is lost, and the program still hears of it."""
    learn, (spy, _) = learner(), pressing(
        "train_end", len(learner().data.train_dl), train=False)
    with pytest.raises(KeyboardInterrupt):
        fit_quietly(learn, 1, callbacks=[spy])
    assert len(learn.recorder.val_losses) == 1


@posix
def test_ctrl_c_in_a_fit_within_a_fit_ends_both() -> None:
    outer, inner = learner(), learner()
    spy, events = pressing("step_end")
    within = Spy(lambda event, state: fit_quietly(inner, 1, callbacks=[spy]) and None
                 if event == "step_end" and state["iteration"] == 2 else None)
    with pytest.raises(KeyboardInterrupt):
        fit_quietly(outer, 1, callbacks=[within])
    assert events == ["step_end", "batch_end", "train_end"]
    assert len(outer.recorder.losses) == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@posix
@pytest.mark.parametrize("where", ["forward", "step"])
@pytest.mark.parametrize("n", [1, 2])
def test_ctrl_c_in_a_loop_of_ones_own(where: str, n: int) -> None:
    """Without a learner it is taken at the end of the next step."""
    model = EmbeddingDotBias(3, 20, 10, seed=0)
    opt, stepped = Adam(model.parameters(), lr=.1), []

    def train() -> None:
        with accelerate(model, opt, always=True):
            for k in range(9):
                if k == 4 and where == "forward":
                    press(n)
                model(tensor([1, 2]), tensor([3, 4])).sum().backward()
                opt.step()
                stepped.append(k)
                opt.zero_grad()
                if k == 3 and where == "step":
                    press(n)
    with pytest.raises(KeyboardInterrupt):
        train()
    assert stepped == [0, 1, 2, 3]
    assert opt.state_dict()["0.0.count"] == 4 + (n == 1)
    assert not opt.interrupted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@posix
@paths
def test_where_the_user_has_a_handler_nothing_is_installed(fast: bool) -> None:
    def own(signum: int, frame: Any) -> None:
        raise InterruptedError

    signal.signal(signal.SIGINT, own)
    learn, handlers = learner(fast=fast), set()
    spy, events = pressing("step_end")
    look = Spy(lambda event, state: handlers.add(signal.getsignal(signal.SIGINT)))
    with pytest.raises(InterruptedError):
        fit_quietly(learn, 1, callbacks=[look, spy])
    assert events == ["step_end", "train_end"]
    assert handlers == {own}
    assert signal.getsignal(signal.SIGINT) is own


@paths
def test_in_another_thread_nothing_is_installed(fast: bool) -> None:
    """Not even while the main thread has the handler."""
    handlers, found = set(), []

    def train() -> None:
        learn = learner(fast=fast)
        fit_quietly(learn, 1, callbacks=[
            Spy(lambda event, state: handlers.add(signal.getsignal(signal.SIGINT)))])
        found.append(len(learn.recorder.losses))

    def in_thread() -> None:
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    in_thread()
    assert handlers == {signal.default_int_handler}
    spy = Spy(lambda event, state: in_thread() if event == "step_end" and state["iteration"] == 1
              else None)
    fit_quietly(learner(), 1, callbacks=[spy])
    assert len(found) == 2
    assert {type(handler) for handler in handlers - {signal.default_int_handler}} == {Interrupts}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@posix
@pytest.mark.cpu_only("a process of its own, on the CPU")
def test_real_signals_at_random_moments(capsys: pytest.CaptureFixture[str]) -> None:
    ends = interrupt_fits.main(24, seed=1)
    assert ends.total() == 24
    assert ends["whole"] + ends["within"] == 24, capsys.readouterr().out


# ---------------------------------------------------------------- memory


@pytest.mark.cpu_only("memory of the host")
@pytest.mark.skipif(not soak.STATUS.exists(), reason="tells its memory otherwise")
@paths
def test_memory_after_many_fits(fast: bool) -> None:
    grown, garbage = soak.soak(25, fast)
    assert grown < 1.02
    assert garbage == 0


def failing(learn: Learner) -> None:
    with pytest.raises(ZeroDivisionError):
        fit_quietly(learn, callbacks=[Spy(lambda event, state: 1 / 0 if event == "step_end"
                                          else None)])


USES: dict[str, Callable[[Any], Any]] = {
    "fit": lambda learn: (fit_quietly(learn), learn.validate(), learn.get_preds()),
    "one cycle": lambda learn: learn.fit_one_cycle(1, 1e-2),
    "lr_find": lambda learn: learn.lr_find(num_it=2),
    "an error": failing,
    "tables": lambda learn: (fit_quietly(learn), learn.summary(), learn.group_table())}


@paths
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("make", [ratings_learner, three_groups])
def test_a_deleted_learner_is_free_at_once(make: Callable[[], Any], use: str, fast: bool) -> None:
    gc.collect()
    gc.disable()
    try:
        learn = make()
        learn.fast = fast
        learn.opt = learn.create_opt(1e-2)
        USES[use](learn)
        parts = [learn, learn.model, learn.opt, learn.data, learn.recorder]
        refs = [weakref.ref(part) for part in parts]
        del learn, parts
        assert [ref() for ref in refs] == [None] * len(refs)
    finally:
        gc.enable()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_a_check_without_ctrl_c_does_nothing() -> None:
    handler = Interrupts(install=False)
    with handler, handler:
        handler.check()
        handler(signal.SIGINT, None)
        with pytest.raises(KeyboardInterrupt):
            handler.check()
        handler.check()
        handler.busy += 1
        handler(signal.SIGINT, None)
        handler(signal.SIGINT, None)
        handler.busy -= 1
        with pytest.raises(KeyboardInterrupt):
            handler(signal.SIGINT, None)
