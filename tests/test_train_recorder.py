"""What a fit leaves behind: lists and the table."""
import re
from typing import Any

import numpy as np
import pytest
from tiny import Spy, answer, floats, line_learner, scripted, three_groups

from minifast.metrics import mae, rmse
from minifast.train import Learner, recorder


def fitted(learn: Learner, epochs: int = 2, **kwargs: Any) -> Learner:
    with learn.no_logging():
        learn.fit_one_cycle(epochs, 1e-2, **kwargs)
    return learn


# ------------------------------------------------------------------------------------- the lists


def test_what_is_recorded() -> None:
    seen: list[Any] = []

    def hear(event: str, state: dict[str, Any]) -> None:
        if event == "backward_begin":
            seen.append((float(state["smooth_loss"]), learn.opt.get_hyper("lr")[-1],
                         learn.opt.get_hyper("mom")[-1]))
    learn = three_groups(metrics=[mae, rmse])
    with learn.no_logging():
        learn.fit_one_cycle(2, slice(1e-4, 1e-2), callbacks=[Spy(hear)])
    rec = learn.recorder
    assert list(zip(floats(rec.losses), rec.lrs, rec.moms, strict=True)) == seen
    assert rec.lrs[0] == pytest.approx(1e-2 / 25, rel=1e-12)  # the last group's
    assert rec.nb_batches == [10, 10]
    assert rec.names == ["epoch", "train_loss", "valid_loss", "mean_absolute_error",
                         "root_mean_squared_error", "time"]
    assert [len(values) for values in (rec.losses, rec.val_losses, rec.metrics)] == [20, 2, 2]
    np.testing.assert_allclose(learn.validate(), [rec.val_losses[-1], *rec.metrics[-1]],
                               rtol=1e-6)
    assert all(type(v) is float for v in [*rec.val_losses, *rec.metrics[0], *rec.lrs])


def test_a_recorder_is_made_at_each_fit() -> None:
    learn = line_learner()
    with pytest.raises(AttributeError, match="recorder"):
        _ = learn.recorder
    first = fitted(learn, 1).recorder
    second = fitted(learn, 3).recorder
    assert second is not first
    assert (first.nb_batches, second.nb_batches) == ([2], [2, 2, 2])


def test_without_validation_rows() -> None:
    rec = fitted(line_learner(n_valid=0, metrics=[mae])).recorder
    assert rec.val_losses == [None, None]
    assert rec.metrics == [[], []]


# ------------------------------------------------------------------------------------- the table


def table_of(learn: Learner, capsys: pytest.CaptureFixture[str], epochs: int = 2,
             **kwargs: Any) -> list[str]:
    capsys.readouterr()
    learn.fit(epochs, 1e-2, **kwargs)
    return capsys.readouterr().out.split("\n")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds from one look at the clock to the next."""
    step, now = [0.], [0.]

    def monotonic() -> float:
        now[0] += step[0]
        return now[0]
    monkeypatch.setattr(recorder, "monotonic", monotonic)
    return step


def test_the_table_in_a_terminal(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    clock[0] = 5
    learn = line_learner(callbacks=[scripted([.951975, 12.3456789])])
    head, first, second, end = table_of(learn, capsys)
    assert head == "epoch     train_loss  valid_loss  time      "
    smooth = [f"{v:.6f}" for v in floats(learn.recorder.losses)]
    assert first == f"0         {smooth[1]:<12}0.951975    00:05     "
    assert second == f"1         {smooth[3]:<12}12.345679   00:05     "
    assert end == ""


def test_columns_of_metrics(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    clock[0] = 3661
    learn = line_learner(metrics=[mae])
    head, first, _ = table_of(learn, capsys, 1)
    assert head == "epoch     train_loss  valid_loss  mean_absolute_error  time      "
    loss, (metric,) = learn.recorder.val_losses[0], learn.recorder.metrics[0]
    assert first[22:] == f"{loss:<12.6f}{metric:<21.6f}1:01:01   "


def test_large_losses_keep_two_spaces_between_them(capsys: pytest.CaptureFixture[str],
                                                   clock: list[float]) -> None:
    """fastai v1's cells of twelve characters run into the next one."""
    learn = line_learner(callbacks=[scripted([497.705078, 12240.847656, 1234567.5])])
    table = recorder.GrowingTable(["epoch", "train_loss", "valid_loss"])
    table.write([10, 12240.847656, 497.705078])
    assert capsys.readouterr().out.splitlines()[1] == "10        12240.847656  497.705078  "
    _, *rows, _ = table_of(learn, capsys, 3)
    assert [row[22:] for row in rows] == [
        "497.705078  00:00     ", "12240.847656  00:00     ", "1234567.500000  00:00     "]


def test_a_skipped_validation_leaves_its_cells_empty(capsys: pytest.CaptureFixture[str],
                                                     clock: list[float]) -> None:
    """The time stays in its own column, where fastai v1 moves it to the first metric's."""
    learn = line_learner(metrics=[mae], callbacks=[answer("epoch_begin", skip_validate=True)])
    _, first, _ = table_of(learn, capsys, 1)
    assert first[22:] == f"{'#na#':<12}{'#na#':<21}00:00     "


def test_without_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    head, first, _ = table_of(line_learner(add_time=False), capsys, 1)
    assert head == "epoch     train_loss  valid_loss  "
    assert len(first) == len(head)


@pytest.mark.parametrize("add_time", [True, False])
def test_a_callback_can_add_columns(add_time: bool, capsys: pytest.CaptureFixture[str]) -> None:
    def hear(event: str, state: dict[str, Any]) -> Any:
        if event == "train_begin":
            learn.recorder.add_metric_names(["norm", "count"])
        return {"last_metrics": [*state["last_metrics"], 1.5, 2.]} if event == "epoch_end" else None
    learn = line_learner(metrics=[mae], add_time=add_time, callbacks=[Spy(hear, order=-10.5)])
    for _ in range(2):  # the second fit's columns are not the first's too
        head, first, _ = table_of(learn, capsys, 1)
        columns = ["epoch", "train_loss", "valid_loss", "mean_absolute_error", "norm", "count"]
        assert head.split() == columns + ["time"] * add_time
        assert first.split()[4:6] == ["1.500000", "2.000000"]
        assert learn.recorder.metrics[0][1:] == [1.5, 2.]


def test_the_table_in_a_notebook(monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    """Shown at the first row, then replaced by a longer one at each epoch."""
    shown: list[Any] = []

    def show_html(html: str, display_id: str, update: bool) -> None:
        shown.append((display_id, update, html))
    monkeypatch.setattr(recorder, "in_notebook", lambda: True)
    monkeypatch.setattr(recorder, "show_html", show_html)
    learn = line_learner(callbacks=[scripted([1., 2., 3.])])
    with learn.no_bar():
        assert table_of(learn, capsys, 3) == [""]
    ids, updates, tables = zip(*shown, strict=True)
    assert len(set(ids)) == 1
    assert updates == (False, True, True)
    cells = re.findall("<td>(.*?)</td>", tables[-1])
    assert cells[2::4] == ["1.000000", "2.000000", "3.000000"]
    assert re.findall("<th>(.*?)</th>", tables[-1]) == learn.recorder.names


def test_each_table_has_a_place_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later table may lie at the same address in memory."""
    ids: list[str] = []
    monkeypatch.setattr(recorder, "in_notebook", lambda: True)
    monkeypatch.setattr(recorder, "show_html", lambda html, name, update: ids.append(name))
    learn = line_learner()
    with learn.no_bar():
        for _ in range(20):
            learn.fit(1, .01)
    assert len(set(ids)) == 20


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    learn = line_learner()
    with learn.no_logging():
        assert table_of(learn, capsys) == [""]
    with learn.no_bar():
        assert len(table_of(learn, capsys)) == 4
    with pytest.raises(ZeroDivisionError), learn.no_logging():
        _ = 1 / 0
    assert len(table_of(learn, capsys)) == 4
