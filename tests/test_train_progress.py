"""The progress bar: where it shows, how often it is drawn, and that it goes away."""
import io
import re
import sys
from typing import Any

import pytest
import tqdm.std
from tiny import Spy, line_learner

from minifast.train import Learner, recorder


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Time that passes by so many seconds a batch."""

    def __init__(self, per_batch: float) -> None:
        self.now, self.per_batch = 1000., per_batch

    def __call__(self) -> float:
        return self.now

    def of(self, event: str, state: dict[str, Any]) -> None:
        self.now += self.per_batch * (event == "backward_end")


def drawn(learn: Learner, monkeypatch: pytest.MonkeyPatch, per_batch: float = .01, epochs: int = 1,
          terminal: io.StringIO | None = None) -> list[str]:
    """What the bar showed, drawing by drawing; it is cleared at the end of an epoch."""
    clock, screen = Clock(per_batch), terminal or Terminal()
    monkeypatch.setattr(recorder, "monotonic", clock)
    monkeypatch.setattr(tqdm.std, "time", clock)
    monkeypatch.setattr(sys, "stderr", screen)
    learn.callbacks.append(Spy(clock.of))
    learn.fit(epochs, .01)
    return [text for text in screen.getvalue().split("\r") if text.strip()]


def test_silent_where_nobody_watches(monkeypatch: pytest.MonkeyPatch,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    assert drawn(line_learner(50), monkeypatch, terminal=io.StringIO()) == []
    out = capsys.readouterr().out.splitlines()
    assert [len(line.split()) for line in out] == [4, 4]


@pytest.mark.parametrize("silence", ["no_bar", "no_logging"])
def test_silent_on_demand(silence: str, monkeypatch: pytest.MonkeyPatch,
                          capsys: pytest.CaptureFixture[str]) -> None:
    learn = line_learner(50)
    with getattr(learn, silence)():
        assert drawn(learn, monkeypatch) == []
    assert bool(capsys.readouterr().out) is (silence == "no_bar")
    assert not learn.silent_bar
    assert not learn.silent_table


@pytest.mark.parametrize("per_batch", [.0001, .01, .03, .09, .4])
def test_at_most_ten_drawings_a_second(per_batch: float, monkeypatch: pytest.MonkeyPatch) -> None:
    n = 200
    shown = drawn(line_learner(n), monkeypatch, per_batch)
    seconds = n * per_batch
    assert 1 <= len(shown) <= 10 * seconds + 2  # the first is at once
    assert len(shown) >= min(n, 10 * seconds) / 4


def test_the_loss_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    smooth: list[float] = []
    learn = line_learner(100, callbacks=[Spy(
        lambda event, state: smooth.append(float(state["smooth_loss"]))
        if event == "batch_end" and state["train"] else None)])
    shown = drawn(learn, monkeypatch, per_batch=.25, epochs=2)
    first = [text for text in shown if "epoch 1/2" in text]
    second = [text for text in shown if "epoch 2/2" in text]
    assert first
    assert second
    text = first[len(first) // 2]
    done, loss = int(re.search(r"(\d+)/100", text)[1]), re.search(r"loss (\d+\.\d{4})", text)[1]
    assert 10 < done < 90
    assert loss == f"{smooth[done - 1]:.4f}"
    passed, left = re.search(r"\[(\d\d:\d\d)<(\d\d:\d\d)", text).groups()
    assert passed == f"00:{int(done * .25):02d}"
    assert abs(int(left[3:]) - (100 - done) * .25) <= 1


def test_the_bar_is_gone_when_the_row_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    drawn(line_learner(30), monkeypatch, per_batch=.2, terminal=screen)
    before_row, row = screen.getvalue().split("\n")[1].rsplit("\r", 1)
    assert "epoch 1/1" in before_row
    assert row.split()[0] == "0"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_bar_is_gone_after_an_error(error: type[BaseException],
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    def hear(event: str, state: dict[str, Any]) -> None:
        if event == "step_end" and state["num_batch"] == 20:
            raise error
    screen, learn = Terminal(), line_learner(30)
    learn.callbacks.append(Spy(hear))
    with pytest.raises(error):
        drawn(learn, monkeypatch, per_batch=.2, terminal=screen)
    assert screen.getvalue().split("\r")[-2].strip() == ""
    assert learn.progress_bar.bar is None


def test_the_bar_in_a_notebook_goes_to_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "in_notebook", lambda: True)
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    assert drawn(line_learner(30), monkeypatch, per_batch=.2, terminal=err) == []
    assert "epoch 1/1" in out.getvalue()


class Handle:
    """What a notebook shows at one place."""

    def __init__(self, first: str) -> None:
        self.lines = [first]

    def update(self, line: dict[str, str], raw: bool) -> None:
        self.lines.append(line["text/plain"])


def test_all_epochs_of_a_fit_use_one_place_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    places: list[Handle] = []

    def show(line: dict[str, str], raw: bool, display_id: bool) -> Handle:
        assert raw is display_id is True  # a new id, which no other output has
        places.append(Handle(line["text/plain"]))
        return places[-1]
    monkeypatch.setattr(recorder, "in_notebook", lambda: True)
    monkeypatch.setattr(recorder, "show_html", lambda *args, **kwargs: None)
    monkeypatch.setattr(display, "display", show)
    learn = line_learner(30)
    drawn(learn, monkeypatch, per_batch=.2, epochs=3)
    drawn(learn, monkeypatch, per_batch=.2, epochs=2)
    assert len(places) == 2
    for place, n in zip(places, (3, 2), strict=True):
        text = "\n".join(place.lines)
        assert all(f"epoch {i + 1}/{n}" in text for i in range(n))
        assert place.lines[-1] == ""
        assert "█" in text


def test_the_loss_is_read_at_drawings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU each reading waits for the device."""
    learn, reads = line_learner(200), []
    from minifast.train.recorder import ProgressBar
    on_batch_end = ProgressBar.on_batch_end

    class Loss:
        def __float__(self) -> float:
            reads.append(1)
            return 1.

    def with_counted_loss(self: Any, train: bool, num_batch: int) -> None:
        on_batch_end(self, train, num_batch, Loss())
    monkeypatch.setattr(ProgressBar, "on_batch_end", with_counted_loss)
    drawn(learn, monkeypatch, per_batch=.01)
    assert 0 < len(reads) <= 20
