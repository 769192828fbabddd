"""The plots that the inspect room adds to the recorder, and readings of the finder's curve."""
from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from tiny import Spy, floats, line_learner, ratings_learner, three_groups

from minifast.inspect.plots import suggest
from minifast.metrics import mae, rmse
from minifast.train import Learner


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
    learn = fitted(line_learner(5, metrics=[mae, rmse]), 3)
    rec = learn.recorder
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
        learn = fitted(line_learner(5, metrics=[mae], callbacks=[Spy(hear)]), 3)
        rec = learn.recorder
        ends = [end for i, end in enumerate([5, 10, 15]) if i != skipped]
        assert line_of(rec.plot_metrics(return_fig=True))[0] == ends
        assert line_of(rec.plot_losses(return_fig=True), line=1)[0] == ends


@pytest.mark.parametrize("learn", [line_learner(), line_learner(n_valid=0, metrics=[mae])],
                         ids=["no metrics", "no validation"])
def test_no_metrics_to_plot(learn: Learner) -> None:
    with pytest.raises(ValueError, match=r"no metrics to plot; make the learner with metrics="):
        fitted(learn).recorder.plot_metrics()
    assert plt.get_fignums() == []


@pytest.fixture
def found() -> Learner:
    learn = three_groups()
    with learn.no_logging():
        learn.lr_find(num_it=60)
    return learn


# ---------------------------------------------------------------------------- fastai v2's readings


def readings(lrs: list[float], losses: list[float]) -> dict[str, float]:
    """fastai v2's four suggestions as they are described, one number at a time."""
    first = len(losses) // 10
    points = list(zip(lrs, losses, strict=True))[first:len(losses) - 5]
    kept = []
    for lr, loss in points:
        if loss != loss:
            break
        kept.append((lr, loss))
    x, y = [p[0] for p in kept], [p[1] for p in kept]
    return {"valley": valley(x, y), "slide": slide(x, y), "minimum": x[y.index(min(y))] / 10,
            "steep": steep(x, y)}


def valley(x: list[float], y: list[float]) -> float:
    """The longest falling subsequence that ends earliest; its length, counted back from its end,
    is cut in three, and the middle third in two.
    """
    best = [1] * len(y)
    for i, value in enumerate(y):
        for j in range(i):
            if y[j] > value:
                best[i] = max(best[i], best[j] + 1)
    longest = max(best)
    if longest == 1:
        return x[0]
    start = best.index(longest) - longest
    return x[start + int(longest / 3) + int(longest / 3 / 2)]


def slide(x: list[float], y: list[float]) -> float:
    """Two points fifteen apart slide left from the end while their slopes differ by more than
    0.005; the left one's rate at the last place where they did.
    """
    slope = np.gradient(y)
    left, right = len(y) - 16, len(y) - 1
    rate = x[left]
    while left >= 0 and abs(slope[left] - slope[right]) > .005:
        rate, left, right = x[left], left - 1, right - 1
    return rate


def steep(x: list[float], y: list[float]) -> float:
    """Where the next point lies lowest for its distance in log(lr)."""
    slopes = [(y[i + 1] - y[i]) / (np.log(x[i + 1]) - np.log(x[i])) for i in range(len(x) - 1)]
    return x[slopes.index(min(slopes))]


def curves() -> Iterator[list[float]]:
    rng = np.random.default_rng(1)
    t = np.linspace(0, 1, 100)
    for noise in (0, .001, .01, .1, 1):
        for _ in range(8):
            low, rise = rng.uniform(.3, .9), rng.uniform(5, 40)
            fall = 2 / (1 + np.exp(12 * (t - low + .2)))
            grow = np.exp(np.minimum(rise * (t - low), 6)) - 1
            yield (fall + np.where(t > low, grow, 0) + noise * rng.normal(size=100)).tolist()
    yield np.arange(100.).tolist()                # never falls
    yield np.arange(100.)[::-1].tolist()          # always falls
    yield [1.] * 100
    yield rng.normal(size=40).tolist()


@pytest.mark.parametrize("nan_at", [None, 90, 60])
def test_readings_of_many_curves(nan_at: int | None) -> None:
    for curve in curves():
        losses = [float("nan") if nan_at is not None and i >= nan_at else v
                  for i, v in enumerate(curve)]
        lrs = (1e-7 * 1e8 ** (np.arange(len(losses)) / len(losses))).tolist()
        if len(losses) > 60 or nan_at is None:
            assert suggest(lrs, losses) == pytest.approx(readings(lrs, losses), rel=1e-12)


def test_readings_of_a_real_curve(found: Learner) -> None:
    rec = found.recorder
    assert len(rec.losses) > 30
    assert rec.suggestions() == pytest.approx(readings(rec.lrs, floats(rec.losses)), rel=1e-12)


def test_readings_of_a_short_curve() -> None:
    for n in (0, 3, 6):
        values = suggest([1e-3 * (i + 1) for i in range(n)], [1. - .1 * i for i in range(n)])
        assert all(np.isnan(v) for v in values.values())
        assert list(values) == ["valley", "slide", "minimum", "steep"]
    lrs, losses = [10. ** -i for i in range(8, 0, -1)], [5., 4, 3, 2, 1, 0, 0, 0]
    assert suggest(lrs, losses) == pytest.approx({
        "valley": 1e-8, "slide": np.nan, "minimum": 1e-7, "steep": 1e-8}, nan_ok=True)
    assert np.isnan(suggest(lrs, [np.nan] * 8)["valley"])


def test_readings_after_the_post_s_finder() -> None:
    learn = ratings_learner()
    with learn.no_logging():
        learn.lr_find()
    values = learn.recorder.suggestions()
    assert all(1e-8 < v < 10 for v in values.values())
