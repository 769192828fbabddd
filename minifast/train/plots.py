"""The recorder's plots, and what can be read off a learning rate finder's curve."""
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .recorder import Recorder

Curve = np.ndarray[Any, np.dtype[np.float64]]


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
    """Four readings of the curve, as fastai v2 names them; NaN where there is nothing to read.

    The first tenth, the last five points and all from the first NaN on are left out. ``valley``:
    two thirds into the middle of the longest descent; ``slide``: the last steep part before the
    loss rises; ``minimum``: a tenth of the rate of the lowest loss; ``steep``: where the loss
    falls fastest against log(lr).

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
    return {"valley": float(x[_valley(y)]), "slide": float(x[_slide(x, y)]),
            "minimum": float(x[y.argmin()] / 10),
            "steep": float(x[np.gradient(y, np.log(x)).argmin()])}


def _valley(y: Curve) -> int:
    """Middle third of the longest falling subsequence: its point at one half."""
    n = len(y)
    length = np.ones(n, int)
    for i in range(1, n):
        higher = y[:i] > y[i]
        length[i] = 1 + (length[:i][higher].max() if higher.any() else 0)
    end = int(length.argmax())
    third = length[end] / 3
    return int(end - length[end] + third + third / 2) if length[end] < end + 1 \
        else int(third + third / 2)


def _slide(x: Curve, y: Curve, window: int = 15, threshold: float = .5) -> int:
    """The last point at which the slope stays within ``threshold`` of the slope a window on."""
    slope = np.gradient(y)
    right, left = len(y) - 1, len(y) - 1 - window
    best = right
    while left >= -len(y) and abs(slope[right] - slope[left]) > threshold:
        best, right, left = left, right - 1, left - 1
    return best if best >= 0 else best % len(y)


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
    n = len(recorder.metrics[0]) if recorder.metrics else 0
    if not n:
        raise ValueError("there are no metrics to plot; make the learner with metrics=[...] and "
                         "train with a validation set")
    ends = np.cumsum(recorder.nb_batches)
    keep = (ends >= skip_start) & (ends <= ends[-1] - skip_end)
    figure, grid = plt.subplots(n, 1, squeeze=False, figsize=(6, 4 * n))
    for i, axes in enumerate(grid[:, 0]):
        values = np.array([row[i] for row in recorder.metrics])
        axes.plot(ends[keep], values[keep], marker="o", markersize=4)
        axes.set(xlabel="Batches processed", ylabel=recorder.names[3 + i])
    return figure if return_fig else None
