"""The recorder's plots, and what can be read off a learning rate finder's curve."""
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..train.recorder import Recorder

Curve = np.ndarray[Any, np.dtype[np.float64]]
SLIDE_WINDOW, SLIDE_THRESHOLD = 15, .005
"""How far apart ``slide`` compares slopes, and the difference that counts."""


def _cut(values: Any, skip_start: int, skip_end: int) -> Curve:
    return np.array([float(v) for v in values[skip_start:len(values) - skip_end]])


def _new_axes(x_label: str, y_label: str) -> tuple[Any, Any]:
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots()
    axes.set(xlabel=x_label, ylabel=y_label)
    return figure, axes


def plot_lr_find(recorder: "Recorder", skip_start: int, skip_end: int, suggestion: bool,
                 return_fig: bool, **kwargs: Any) -> Any:
    """Loss against learning rate, on a logarithmic axis."""
    lrs = _cut(recorder.lrs, skip_start, skip_end)
    losses = _cut(recorder.losses, skip_start, skip_end)
    if len(lrs) < 2:
        print(f"Nothing to plot: {len(recorder.lrs)} batches were recorded and the plot leaves "
              f"out {skip_start} at the start and {skip_end} at the end.")
        return None
    figure, axes = _new_axes("Learning Rate", "Loss")
    axes.plot(lrs, losses, **kwargs)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0e}")
    if suggestion:
        recorder.min_grad_lr = _mark_steepest(axes, lrs, losses)
    return figure if return_fig else None


def _mark_steepest(axes: Any, lrs: Curve, losses: Curve) -> float:
    """fastai v1's suggestion: the smallest gradient of the loss, one step as the unit."""
    at = int(np.gradient(losses).argmin())
    print(f"Min numerical gradient: {lrs[at]:.2E}")
    axes.plot(lrs[at], losses[at], "o", color="red")
    return float(lrs[at])


def suggest(lrs: list[float], losses: list[float]) -> dict[str, float]:
    """Four readings of the curve, with fastai v2's names and rules; NaN if it is too short.

    The first tenth, the last five points and all from the first NaN on are left out. ``valley``:
    half way into the longest falling subsequence; ``slide``: going down from the highest rate,
    the last at which the slope still differs from that 15 points on; ``minimum``: a tenth of the
    rate of the lowest loss; ``steep``: where the loss falls fastest against log(lr).

    >>> sorted(suggest([.1, 1.], [1., .5]))
    ['minimum', 'slide', 'steep', 'valley']
    """
    start, stop = len(losses) // 10, len(losses) - 5
    nan = np.flatnonzero(np.isnan(losses))
    if len(nan):
        stop = min(stop, int(nan[0]))
    x, y = np.array(lrs[start:stop]), np.array(losses[start:stop])
    if len(x) < 2:
        return dict.fromkeys(("valley", "slide", "minimum", "steep"), float("nan"))
    return {"valley": float(x[_valley(y)]),
            "slide": float(x[_slide(y)]) if len(x) > SLIDE_WINDOW else float("nan"),
            "minimum": float(x[y.argmin()] / 10),
            "steep": float(x[(np.diff(y) / np.diff(np.log(x))).argmin()])}


def _valley(y: Curve) -> int:
    """Half way into the longest falling subsequence, in v2's count: a third and half of one."""
    length = np.ones(len(y), int)
    for i in range(1, len(y)):
        length[i] += length[:i][y[:i] > y[i]].max(initial=0)
    end = int(length.argmax())
    n = int(length[end]) if end else 0
    return max(0, end - n + n // 3 + n // 6)


def _slide(y: Curve) -> int:
    """From the right: the last point whose slope differs from the slope a window further on."""
    slope = np.gradient(y)
    alike = np.abs(slope[SLIDE_WINDOW:] - slope[:-SLIDE_WINDOW]) <= SLIDE_THRESHOLD
    return min(int(np.flatnonzero(alike).max(initial=-1)) + 1, len(alike) - 1)


def plot_lr(recorder: "Recorder", show_moms: bool, skip_start: int, skip_end: int,
            return_fig: bool) -> Any:
    """The schedule that was run."""
    import matplotlib.pyplot as plt
    curves = [("Learning Rate", recorder.lrs)] + [("Momentum", recorder.moms)] * show_moms
    figure, grid = plt.subplots(1, len(curves), squeeze=False, figsize=(6 * len(curves), 4))
    for axes, (name, values) in zip(grid[0], curves, strict=True):
        axes.plot(_cut(values, skip_start, skip_end))
        axes.set(xlabel="Iterations", ylabel=name)
    return figure if return_fig else None


def plot_losses(recorder: "Recorder", skip_start: int, skip_end: int, return_fig: bool) -> Any:
    """Training loss per batch, validation loss at the end of each epoch."""
    figure, axes = _new_axes("Batches processed", "Loss")
    losses = _cut(recorder.losses, skip_start, skip_end)
    axes.plot(np.arange(len(losses)) + skip_start, losses, label="Train")
    ends = np.cumsum(recorder.nb_batches)
    points = [(at, v) for at, v in zip(ends, recorder.val_losses, strict=True)
              if v is not None and skip_start <= at <= len(recorder.losses) - skip_end]
    if points:
        axes.plot(*zip(*points, strict=True), label="Validation", marker="o", markersize=4)
    axes.legend()
    return figure if return_fig else None


def plot_metrics(recorder: "Recorder", skip_start: int, skip_end: int, return_fig: bool) -> Any:
    """One plot for each metric."""
    import matplotlib.pyplot as plt
    points = [(at, row) for at, row in
              zip(np.cumsum(recorder.nb_batches), recorder.metrics, strict=True)
              if row and skip_start <= at <= len(recorder.losses) - skip_end]
    if not points:
        raise ValueError("there are no metrics to plot; make the learner with metrics=[...] and "
                         "train with a validation set")
    n = len(points[0][1])
    figure, grid = plt.subplots(n, 1, squeeze=False, figsize=(6, 4 * n))
    for i, axes in enumerate(grid[:, 0]):
        axes.plot([at for at, _ in points], [row[i] for _, row in points], marker="o",
                  markersize=4)
        axes.set(xlabel="Batches processed", ylabel=recorder.names[3 + i])
    return figure if return_fig else None
