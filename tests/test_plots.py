"""The plots that the inspect room adds to the recorder: schedule, losses, metrics."""
from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import pytest
from tiny import Spy, floats, line_learner

import minifast.inspect  # noqa: F401  (adds the plots)
from minifast.train import Learner, mae, rmse


@pytest.fixture(autouse=True)
def _no_figure_stays_open() -> Iterator[None]:
    yield
    plt.close("all")


def fitted(learn: Learner, epochs: int = 2, **kwargs: Any) -> Learner:
    with learn.no_logging():
        learn.fit_one_cycle(epochs, 1e-2, **kwargs)
    return learn


def line_of(figure: Any, axes: int = 0, line: int = 0) -> tuple[list[float], list[float]]:
    x, y = figure.axes[axes].lines[line].get_data()
    return list(x), list(y)


def test_the_plot_of_the_schedule() -> None:
    rec = fitted(line_learner(5)).recorder
    figure = rec.plot_lr(return_fig=True)
    assert [(a.get_xlabel(), a.get_ylabel()) for a in figure.axes] == [
        ("Iterations", "Learning Rate")]
    assert line_of(figure)[1] == rec.lrs
    figure = rec.plot_lr(show_moms=True, skip_start=2, skip_end=3, return_fig=True)
    assert [a.get_ylabel() for a in figure.axes] == ["Learning Rate", "Momentum"]
    assert [line_of(figure, i)[1] for i in (0, 1)] == [rec.lrs[2:-3], rec.moms[2:-3]]
    assert rec.plot_lr() is None


def test_the_plot_of_the_losses() -> None:
    rec = fitted(line_learner(5), 3).recorder
    figure = rec.plot_losses(return_fig=True)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Batches processed", "Loss")
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["Train", "Validation"]
    assert line_of(figure) == (list(range(15)), floats(rec.losses))
    assert line_of(figure, line=1) == ([5, 10, 15], rec.val_losses)
    figure = rec.plot_losses(skip_start=6, skip_end=2, return_fig=True)
    assert line_of(figure) == (list(range(6, 13)), floats(rec.losses)[6:13])
    assert line_of(figure, line=1) == ([10], rec.val_losses[1:2])
    assert rec.plot_losses() is None


def test_the_plot_of_the_losses_without_validation() -> None:
    figure = fitted(line_learner(3, 0)).recorder.plot_losses(return_fig=True)
    assert [line.get_label() for line in figure.axes[0].lines] == ["Train"]


def test_the_plots_of_the_metrics() -> None:
    rec = fitted(line_learner(5, metrics=[mae, rmse]), 3).recorder
    figure = rec.plot_metrics(return_fig=True)
    assert [(a.get_xlabel(), a.get_ylabel()) for a in figure.axes] == [
        ("Batches processed", "mean_absolute_error"),
        ("Batches processed", "root_mean_squared_error")]
    for i in (0, 1):
        assert line_of(figure, i) == ([5, 10, 15], [row[i] for row in rec.metrics])
    for skips, ends in (((6, 0), [10, 15]), ((5, 0), [5, 10, 15]), ((0, 5), [5, 10]),
                        ((0, 6), [5])):
        assert line_of(rec.plot_metrics(*skips, return_fig=True))[0] == ends
    assert rec.plot_metrics() is None


def test_metrics_of_some_epochs_only() -> None:
    """Where validation was skipped there is no point, and no error either."""
    for skipped in (0, 2):
        def hear(event: str, state: dict[str, Any], skipped: int = skipped) -> Any:
            return {"skip_validate": state["epoch"] == skipped} if event == "epoch_begin" else None
        rec = fitted(line_learner(5, metrics=[mae], callbacks=[Spy(hear)]), 3).recorder
        ends = [end for i, end in enumerate([5, 10, 15]) if i != skipped]
        assert line_of(rec.plot_metrics(return_fig=True))[0] == ends
        assert line_of(rec.plot_losses(return_fig=True), line=1)[0] == ends


@pytest.mark.parametrize("learn", [line_learner(), line_learner(n_valid=0, metrics=[mae])],
                         ids=["no metrics", "no validation"])
def test_no_metrics_to_plot(learn: Learner) -> None:
    with pytest.raises(ValueError, match=r"no metrics to plot; make the learner with metrics="):
        fitted(learn).recorder.plot_metrics()
    assert plt.get_fignums() == []
