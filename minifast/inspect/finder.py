"""The plot of the learning rate finder, and fastai v2's suggestions."""
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ..train import Recorder
from .style import COLORS, GREY, legend_below, loss_label, panels, plot_style

Numbers = np.ndarray[Any, np.dtype[np.float64]]
SLIDE_WINDOW, SLIDE_THRESHOLD = 15, .005
"""The distance between the slopes that ``slide`` compares, and the least difference that counts."""


@plot_style()
def plot(recorder: Recorder, skip_start: int = 10, skip_end: int = 5, suggestion: bool = False,
         return_fig: bool = False, k: int | None = None, s: float | None = None, ax: Any = None,
         **kwargs: Any) -> Any:
    """Plot the smoothed loss against the learning rate, after ``lr_find`` or any other fit.

    After ``lr_find``, a dashed line marks the suggestion, fastai v2's valley; see ``suggest``.

    Parameters
    ----------
    recorder : Recorder
        The recorder.
    skip_start, skip_end : int
        Number of batches to leave out at the start and at the end.
    suggestion : bool
        Whether to mark and print v1's suggestion as well: the rate at which the loss decreases
        most from one batch to the next. It is stored as ``min_grad_lr``. The legend gives this
        decrease and, as noise, the largest increase from one batch to the next before the minimum
        of the loss. If the two are similar, the suggestion is unreliable.
    return_fig : bool
        Whether to return the figure.
    k, s : int and float, optional
        Degree and smoothing of a spline through the losses; see ``smoothen_by_spline``.
    ax : Axes, optional
        Axes to draw in.
    **kwargs : object
        Passed to matplotlib's ``plot``.

    Returns
    -------
    Figure or None
        The figure, if asked for.

    Notes
    -----
    fastai v1's ``Recorder.plot``, which has no valley.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4), Linear(2, 1, seed=0))
    >>> with learn.no_logging():
    ...     learn.lr_find(num_it=40)
    LR Finder is complete, type {learner_name}.recorder.plot() to see the graph.
    >>> len(learn.recorder.plot(return_fig=True).axes)
    1
    """
    end = len(recorder.lrs) - skip_end
    lrs, losses = (np.array([float(v) for v in values[skip_start:end]])
                   for values in (recorder.lrs, recorder.losses))
    if len(lrs) < 2:
        print(f"Nothing to plot: {len(recorder.lrs)} batches were recorded and the plot leaves "
              f"out {skip_start} at the start and {skip_end} at the end.")
        return None
    if k is not None or s is not None:
        losses = smoothen_by_spline(lrs, losses, k=3 if k is None else k, s=s)
    from matplotlib.ticker import LogLocator
    figure, (axes,) = panels(axs=ax)
    axes.plot(lrs, losses, **kwargs)
    found = _grows_in_equal_ratios(recorder.lrs)
    axes.set(xlabel="learning rate (log scale)", ylabel=loss_label(recorder), xscale="log",
             title="Learning rate finder" if found else "Loss at the learning rates of a fit")
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0e}")
    if found:
        _mark_valley(axes, suggestions(recorder)["valley"], lrs)
    if suggestion:
        at = int(np.gradient(losses).argmin())
        recorder.min_grad_lr = float(lrs[at])
        print(f"Min numerical gradient: {lrs[at]:.2E}")
        _mark_steepest(axes, lrs, losses, at)
    if names := axes.get_legend_handles_labels()[1]:
        legend_below(figure, axes, len(names)) if ax is None else axes.legend()
    return figure if return_fig else None


def _grows_in_equal_ratios(lrs: Sequence[float]) -> bool:
    """Return whether these are the rates of ``lr_find``."""
    if min(lrs) <= 0:
        return False
    steps = np.diff(np.log(lrs))
    return bool(steps.min() > 0 and np.allclose(steps, steps[0]))


def _mark_valley(axes: Any, valley: float, lrs: Numbers) -> None:
    if lrs[0] <= valley <= lrs[-1]:  # not NaN
        axes.axvline(valley, color=GREY, linestyle="--",
                     label=f"valley, the suggestion: {valley:.1e}")


def _mark_steepest(axes: Any, lrs: Numbers, losses: Numbers, at: int) -> None:
    """Mark a point, with the decrease of the loss there and its largest increase elsewhere."""
    slopes = np.gradient(losses)
    noise = max(0., slopes[:losses.argmin() + 1].max())
    axes.plot(lrs[at], losses[at], "o", color=COLORS[1],
              label=f"steepest: {lrs[at]:.1e}; falls by {-slopes[at]:.2g} (noise: {noise:.2g})")


def smoothen_by_spline(xs: Any, ys: Any, **kwargs: Any) -> Numbers:
    """Return values of a smoothing spline through ``ys``, which are equally spaced as in v1.

    It needs SciPy: ``pip install 'minifast[fast]'``.

    Parameters
    ----------
    xs : sequence of float (n,)
        Not used.
    ys : sequence of float (n,)
        The values.
    **kwargs
        Arguments of ``scipy.interpolate.UnivariateSpline``: ``k`` is the degree, and ``s`` is the
        amount of smoothing.

    Returns
    -------
    array (n,)
        The smoothed values.

    Examples
    --------
    >>> smoothen_by_spline(None, [1., 3., 2., 4.], k=1, s=10).round(1)
    array([1.3, 2.1, 2.9, 3.7])
    """
    spline = import_module("scipy.interpolate").UnivariateSpline
    at = np.arange(len(ys))
    values: Numbers = spline(at, [float(y) for y in ys], **kwargs)(at)
    return values


# ---------------------------------------------------------------- suggestions


def suggest(lrs: Sequence[float], losses: Sequence[float]) -> dict[str, float]:
    """Return fastai v2's four suggestions for a curve of the finder.

    The first tenth, the last five points and everything from the first NaN on are left out.

    Parameters
    ----------
    lrs : sequence of float
        The learning rates.
    losses : sequence of float
        The smoothed loss at each rate.

    Returns
    -------
    dict of str to float
        ``valley`` is in the middle of the longest decreasing subsequence. ``slide`` is the highest
        rate at which the slope still differs from the slope 15 points later. ``minimum`` is a tenth
        of the rate with the lowest loss. ``steep`` is the rate at which the loss decreases fastest
        as a function of log(lr). A value is NaN if the curve is too short for it.

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
    """Return fastai v2's suggestions after ``lr_find``: valley, slide, minimum and steep.

    Parameters
    ----------
    recorder : Recorder
        The recorder of ``lr_find``.

    Returns
    -------
    dict of str to float
        The rates by name.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4), Linear(2, 1, seed=0))
    >>> with learn.no_logging():
    ...     learn.lr_find(num_it=40)
    LR Finder is complete, type {learner_name}.recorder.plot() to see the graph.
    >>> sorted(learn.recorder.suggestions())
    ['minimum', 'slide', 'steep', 'valley']
    """
    return suggest(recorder.lrs, [float(loss) for loss in recorder.losses])


def _valley(y: Numbers) -> int:
    """Return the middle of the longest decreasing subsequence, as fastai v2 computes it."""
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
