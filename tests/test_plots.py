"""The plots that the inspect room adds to the recorder, and readings of the finder's curve."""
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import assert_readable, assert_ticks_apart, contrast
from scipy.interpolate import UnivariateSpline
from tiny import Spy, floats, line_learner, ratings_learner, three_groups

from minifast.inspect import style
from minifast.inspect.finder import suggest
from minifast.inspect.style import COLORS
from minifast.metrics import mae, rmse
from minifast.nn import BCEWithLogitsFlat, CrossEntropyFlat
from minifast.train import Learner, Recorder
from minifast.vision import LabelSmoothingCrossEntropy


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
        ("batches processed", "learning rate")]
    assert line_of(figure)[1] == rec.lrs
    figure = rec.plot_lr(show_moms=True, skip_start=2, skip_end=3, return_fig=True)
    assert [a.get_ylabel() for a in figure.axes] == ["learning rate", "momentum"]
    assert [line_of(figure, i)[1] for i in (0, 1)] == [rec.lrs[2:-3], rec.moms[2:-3]]
    assert rec.plot_lr() is None


def test_the_plot_of_the_losses() -> None:
    learn = fitted(line_learner(5), 3)
    rec = learn.recorder
    figure = rec.plot_losses(return_fig=True)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "batches processed", "loss (mean squared error)")
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
        ("", "mean absolute error"), ("batches processed", "root mean squared error")]
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


def test_the_finder_s_plot(found: Learner) -> None:
    rec = found.recorder
    figure = rec.plot(return_fig=True)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == (
        "learning rate (log scale)", "loss (mean squared error)", "log")
    n = len(rec.lrs)
    assert line_of(figure) == (rec.lrs[10:n - 5], floats(rec.losses)[10:n - 5])
    assert axes.xaxis.get_major_formatter()(1e-5, None) == "1e-05"
    assert axes.get_title() == "Learning rate finder"
    valley = rec.suggestions()["valley"]
    assert line_of(figure, line=1)[0] == [valley, valley]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        f"valley, the suggestion: {valley:.1e}"]
    assert rec.min_grad_lr is None


@pytest.mark.parametrize("fit", ["fit", "fit_one_cycle", "fit_fc"])
def test_the_same_plot_of_a_fit_is_not_called_the_finder_s(fit: str) -> None:
    """The loss at each rate, as in v1; rates that do not grow have no valley."""
    learn = line_learner(40)
    with learn.no_logging():
        getattr(learn, fit)(1)
    figure = learn.recorder.plot(return_fig=True)
    (axes,) = figure.axes
    assert axes.get_title() == "Loss at the learning rates of a fit"
    assert (len(axes.lines), figure.legends) == (1, [])
    assert line_of(figure)[0] == learn.recorder.lrs[10:-5]


def test_no_valley_outside_of_the_plot(found: Learner) -> None:
    rec = found.recorder
    at = rec.lrs.index(rec.suggestions()["valley"])
    figure = rec.plot(skip_start=at + 1, return_fig=True)
    assert (len(figure.axes[0].lines), figure.legends) == (1, [])


def test_what_the_plot_leaves_out(found: Learner) -> None:
    rec = found.recorder
    n = len(rec.lrs)
    for start, end in ((0, 0), (3, 15), (n - 2, 0), (0, n - 2)):
        x, _ = line_of(rec.plot(skip_start=start, skip_end=end, return_fig=True))
        assert x == rec.lrs[start:n - end]
    assert rec.plot() is None
    figure = rec.plot(return_fig=True, color="k", linewidth=3)
    assert figure.axes[0].lines[0].get_color() == "k"


def test_the_suggested_rate_is_where_the_loss_falls_most(
        found: Learner, capsys: pytest.CaptureFixture[str]) -> None:
    rec = found.recorder
    figure = rec.plot(skip_start=4, skip_end=2, suggestion=True, return_fig=True)
    losses = np.array(floats(rec.losses))[4:-2]
    slopes = [losses[1] - losses[0], *(losses[2:] - losses[:-2]) / 2, losses[-1] - losses[-2]]
    at = int(np.argmin(slopes))
    assert rec.min_grad_lr == rec.lrs[4 + at]
    assert capsys.readouterr().out == f"Min numerical gradient: {rec.lrs[4 + at]:.2E}\n"
    dot = figure.axes[0].lines[2]
    assert (dot.get_color(), dot.get_marker()) == (COLORS[1], "o")
    np.testing.assert_allclose([v[0] for v in dot.get_data()], [rec.lrs[4 + at], losses[at]])
    noise = max(0, *slopes[:losses.argmin() + 1])
    assert dot.get_label() == (f"steepest: {rec.lrs[4 + at]:.1e}; falls by {-slopes[at]:.2g} "
                               f"(noise: {noise:.2g})")


@pytest.mark.cpu_only("compares with a recorded run")
def test_the_steepest_rate_of_the_recorded_run(capsys: pytest.CaptureFixture[str]) -> None:
    learn = ratings_learner()
    learn.lr_find(num_it=12)
    capsys.readouterr()
    learn.recorder.plot(2, 1, suggestion=True)
    assert capsys.readouterr().out == "Min numerical gradient: 4.64E-05\n"
    np.testing.assert_allclose(learn.recorder.min_grad_lr, 1e-7 * 1e8 ** (4 / 12))


def test_a_spline_through_the_losses(found: Learner) -> None:
    """As fastai v1 computes it, over the number of the point."""
    rec = found.recorder
    losses = np.array(floats(rec.losses))[10:-5]
    for kwargs in ({"k": 2}, {"k": 3, "s": 1.}):
        _, y = line_of(rec.plot(return_fig=True, **kwargs))
        expected = UnivariateSpline(np.arange(len(losses)), losses, **kwargs)
        np.testing.assert_allclose(y, expected(np.arange(len(losses))), rtol=1e-12)
    assert np.ptp(y) < np.ptp(losses)
    assert np.array_equal(y, rec.smoothen_by_spline(rec.lrs[10:-5], losses, k=3, s=1.))


@pytest.mark.parametrize("skips", [(10, 5), (6, 5), (0, 11), (50, 50)])
def test_too_few_points_to_plot(skips: tuple[int, int],
                                capsys: pytest.CaptureFixture[str]) -> None:
    learn = line_learner(12)
    with learn.no_logging():
        learn.lr_find(num_it=12)
    capsys.readouterr()
    assert learn.recorder.plot(*skips, suggestion=True, return_fig=True) is None
    out = capsys.readouterr().out
    assert out.startswith("Nothing to plot: 12 batches were recorded")
    assert f"{skips[0]} at the start and {skips[1]} at the end" in out
    assert plt.get_fignums() == []


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


# ------------------------------------------------------------------------------ one style for all


def every_plot(learn: Learner) -> Iterator[Any]:
    """The figures of a recorder after the finder, and after a fit."""
    with learn.no_logging():
        learn.lr_find(num_it=60)
    yield learn.recorder.plot(suggestion=True, return_fig=True)
    fitted(learn, 3)
    yield learn.recorder.plot_lr(show_moms=True, return_fig=True)
    yield learn.recorder.plot_losses(return_fig=True)
    yield learn.recorder.plot_metrics(return_fig=True)


@pytest.mark.cpu_only("draws what is on the host")
def test_plots_have_titles_labels_and_readable_text() -> None:
    for figure in every_plot(three_groups(metrics=[mae, rmse])):
        assert_readable(figure)
        assert_ticks_apart(figure)
        assert figure.axes[0].get_title()
        assert figure.axes[-1].get_xlabel()
        for axes in figure.axes:
            assert axes.get_ylabel()
            assert {mpl.colors.to_hex(line.get_color()).upper() for line in axes.lines} <= {
                *COLORS, style.GREY}


@pytest.mark.cpu_only("draws what is on the host")
def test_contrast_of_colours_on_both_themes() -> None:
    for color, least in ((style.GREY, 4.5), *((c, 3) for c in COLORS[:4])):
        assert contrast(color, "white") > least
        assert contrast(color, "black") > least


@pytest.mark.cpu_only("draws what is on the host")
def test_plots_keep_to_given_axes() -> None:
    learn = three_groups(metrics=[mae, rmse])
    figure, axs = plt.subplots(2, 2)
    with learn.no_logging():
        learn.lr_find(num_it=60)
    learn.recorder.plot(ax=axs[0, 0])
    assert (len(axs[0, 0].get_legend().get_texts()), figure.legends) == (1, [])
    fitted(learn)
    learn.recorder.plot_losses(ax=axs[0, 1])
    learn.recorder.plot_metrics(axs=axs[1])
    assert [len(axes.lines) for axes in axs.flat] == [2, 2, 1, 1]
    assert learn.recorder.plot_lr(show_moms=True, axs=axs[:, 0], return_fig=True) is figure
    assert plt.get_fignums() == [figure.number]
    with pytest.raises(ValueError, match=r"has 2 panels, got 1 axes; .*plt.subplots\(2\)"):
        learn.recorder.plot_metrics(axs=axs[0, 0])


@pytest.mark.cpu_only("draws what is on the host")
def test_the_style_stays_inside_the_plots() -> None:
    before = dict(mpl.rcParams)
    fitted(line_learner(5)).recorder.plot_losses()
    assert dict(mpl.rcParams) == before


@pytest.mark.cpu_only("draws what is on the host")
def test_the_style_keeps_what_a_backend_sets() -> None:
    """A notebook's backend makes plots interactive when the first one is drawn."""
    assert not mpl.is_interactive()
    try:
        with style.plot_style():
            mpl.interactive(True)
        assert mpl.is_interactive()
    finally:
        mpl.interactive(False)


@pytest.mark.cpu_only("draws what is on the host")
@pytest.mark.parametrize("theme", ["default", "dark_background"])
def test_the_background_is_that_of_the_user_s_style_and_drawn(theme: str) -> None:
    with plt.style.context([theme, {"figure.facecolor": (1, 1, 1, 0)}]):  # as old notebooks set it
        figure = fitted(line_learner(5)).recorder.plot_losses(return_fig=True)
    assert mpl.colors.to_rgba(figure.get_facecolor())[3] == 1
    assert contrast(figure.get_facecolor(), figure.axes[0].xaxis.label.get_color()) > 7


@pytest.mark.parametrize(("loss", "label"), [
    (CrossEntropyFlat(), "loss (cross entropy)"), (lambda pred, y: pred, "loss"),
    (BCEWithLogitsFlat(), "loss (binary cross\nentropy)"),
    (LabelSmoothingCrossEntropy(), "loss (label smoothing\ncross entropy)")])
def test_the_name_of_the_loss(loss: Any, label: str) -> None:
    learn = line_learner(loss_func=loss)
    assert style.loss_label(Recorder(learn)) == label


@pytest.mark.cpu_only("draws what is on the host")
def test_plots_come_without_an_import() -> None:
    """In a fresh interpreter: ``minifast.inspect`` is imported when a plot is asked for."""
    code = """
import sys, matplotlib
matplotlib.use("Agg")
import numpy as np
from minifast.data import DataBunch
from minifast.nn import Linear, MSELossFlat
from minifast.nn import BCEWithLogitsFlat, CrossEntropyFlat
from minifast.train import Learner
from minifast.vision import LabelSmoothingCrossEntropy
x = np.ones((4, 1), np.float32)
learn = Learner(DataBunch([(x, x)]), Linear(1, 1), loss_func=MSELossFlat())
with learn.no_logging():
    learn.fit(1)
loaded = "minifast.inspect" in sys.modules
figure = learn.recorder.plot_losses(return_fig=True)
print(loaded, len(figure.axes), hasattr(learn.recorder, "plot_nothing"))"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True,
                          text=True, check=True)
    assert done.stdout == "False 1 False\n"
