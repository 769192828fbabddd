"""Plots of a fit and readings of the finder's curve; importing this adds them to the Recorder."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..train import Recorder

Numbers = np.ndarray[Any, np.dtype[np.float64]]
SLIDE_WINDOW, SLIDE_THRESHOLD = 15, .005
"""The distance at which ``slide`` compares slopes, and the difference that counts."""


def plot_lr(recorder: Recorder, show_moms: bool = False, skip_start: int = 0, skip_end: int = 0,
            return_fig: bool = False) -> Any:
    """Plot the learning rate, and the momentum, of each batch.

    Parameters
    ----------
    recorder : Recorder
        The recorder of a fit.
    show_moms : bool
        Whether to plot the momentum too.
    skip_start, skip_end : int
        Number of batches to leave out at the start and at the end.
    return_fig : bool
        Whether to return the figure.

    Returns
    -------
    Figure or None
        The figure, if asked for.
    """
    import matplotlib.pyplot as plt
    curves = [("Learning Rate", recorder.lrs)] + [("Momentum", recorder.moms)] * show_moms
    figure, grid = plt.subplots(1, len(curves), squeeze=False, figsize=(6 * len(curves), 4))
    for axes, (name, values) in zip(grid[0], curves, strict=True):
        axes.plot(_cut(values, skip_start, skip_end))
        axes.set(xlabel="Iterations", ylabel=name)
    return figure if return_fig else None


def plot_losses(recorder: Recorder, skip_start: int = 0, skip_end: int = 0,
                return_fig: bool = False) -> Any:
    """Plot the training loss of each batch and the validation loss of each epoch.

    Parameters
    ----------
    recorder : Recorder
        The recorder of a fit.
    skip_start, skip_end : int
        Number of batches to leave out at the start and at the end.
    return_fig : bool
        Whether to return the figure.

    Returns
    -------
    Figure or None
        The figure, if asked for.
    """
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots()
    losses = _cut(recorder.losses, skip_start, skip_end)
    axes.plot(np.arange(len(losses)) + skip_start, losses, label="Train")
    ends, values = _of_epochs(recorder, recorder.val_losses, skip_start, skip_end)
    if ends:
        axes.plot(ends, values, "o-", markersize=4, label="Validation")
    axes.set(xlabel="Batches processed", ylabel="Loss")
    axes.legend()
    return figure if return_fig else None


def plot_metrics(recorder: Recorder, skip_start: int = 0, skip_end: int = 0,
                 return_fig: bool = False) -> Any:
    """Plot each metric of each epoch.

    Parameters
    ----------
    recorder : Recorder
        The recorder of a fit.
    skip_start, skip_end : int
        Number of batches to leave out at the start and at the end.
    return_fig : bool
        Whether to return the figure.

    Returns
    -------
    Figure or None
        The figure, if asked for.

    Raises
    ------
    ValueError
        If there are no metrics.
    """
    import matplotlib.pyplot as plt
    ends, rows = _of_epochs(recorder, recorder.metrics, skip_start, skip_end)
    if not ends:
        raise ValueError("there are no metrics to plot; make the learner with metrics=[...] and "
                         "train with a validation set")
    n = len(rows[0])
    figure, grid = plt.subplots(n, 1, squeeze=False, figsize=(6, 4 * n))
    for axes, name, values in zip(grid[:, 0], recorder.names[3:], np.transpose(rows), strict=False):
        axes.plot(ends, values, "o-", markersize=4)
        axes.set(xlabel="Batches processed", ylabel=name)
    return figure if return_fig else None


def _cut(values: Sequence[Any], skip_start: int, skip_end: int) -> Numbers:
    return np.array([float(v) for v in values[skip_start:len(values) - skip_end]])


def _of_epochs(recorder: Recorder, values: Sequence[Any], skip_start: int, skip_end: int
               ) -> tuple[list[int], list[Any]]:
    """Return the last batches of the epochs that have a value, and the values."""
    ends, last = np.cumsum(recorder.nb_batches), len(recorder.losses) - skip_end
    kept = [i for i, value in enumerate(values)
            if value not in (None, []) and skip_start <= ends[i] <= last]
    return ends[kept].tolist(), [values[i] for i in kept]


# ---------------------------------------------------------------- suggestions


def suggest(lrs: Sequence[float], losses: Sequence[float]) -> dict[str, float]:
    """Return fastai v2's four suggestions for a curve of the finder.

    The first tenth, the last five points and everything from the first NaN on are left out.

    Parameters
    ----------
    lrs : sequence of float
        The rates.
    losses : sequence of float
        The smoothed loss at each rate.

    Returns
    -------
    dict of str to float
        ``valley`` is half way into the longest falling subsequence. ``slide`` is the highest rate
        at which the slope still differs from the slope 15 points later. ``minimum`` is a tenth of
        the rate with the lowest loss. ``steep`` is where the loss falls fastest against log(lr).
        NaN where the curve is too short.

    Examples
    --------
    >>> sorted(suggest([.1, 1.], [1., .5]))
    ['minimum', 'slide', 'steep', 'valley']
    """
    start, stop = len(losses) // 10, min([len(losses) - 5, *np.flatnonzero(np.isnan(losses))])
    x, y = np.array(lrs[start:stop]), np.array(losses[start:stop])
    if len(x) < 2:
        return dict.fromkeys(("valley", "slide", "minimum", "steep"), float("nan"))
    return {"valley": float(x[_valley(y)]),
            "slide": float(x[_slide(y)]) if len(x) > SLIDE_WINDOW else float("nan"),
            "minimum": float(x[y.argmin()] / 10),
            "steep": float(x[(np.diff(y) / np.diff(np.log(x))).argmin()])}


def suggestions(recorder: Recorder) -> dict[str, float]:
    """Return fastai v2's suggestions after ``lr_find``: valley, slide, minimum and steep."""
    return suggest(recorder.lrs, [float(loss) for loss in recorder.losses])


def _valley(y: Numbers) -> int:
    """Return the point half way into the longest falling subsequence, as fastai v2 counts."""
    length = np.ones(len(y), int)
    for i in range(1, len(y)):
        length[i] += length[:i][y[:i] > y[i]].max(initial=0)
    end = int(length.argmax())
    n = int(length[end]) if end else 0
    return max(0, end - n + n // 3 + n // 6)


def _slide(y: Numbers) -> int:
    """Return the last point whose slope differs from the slope a window later."""
    slope = np.gradient(y)
    alike = np.abs(slope[SLIDE_WINDOW:] - slope[:-SLIDE_WINDOW]) <= SLIDE_THRESHOLD
    return min(int(np.flatnonzero(alike).max(initial=-1)) + 1, len(alike) - 1)


for _method in (plot_lr, plot_losses, plot_metrics, suggestions):
    setattr(Recorder, _method.__name__, _method)
