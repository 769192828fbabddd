"""Plots of a fit; importing this adds them to the Recorder."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..train import Recorder
from . import finder
from .style import axis_label, loss_label, panels, plot_style, words

PROCESSED = "batches processed"


@plot_style()
def plot_lr(recorder: Recorder, show_moms: bool = False, skip_start: int = 0, skip_end: int = 0,
            return_fig: bool = False, axs: Any = None) -> Any:
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
    axs : Axes or sequence of two Axes, optional
        Axes to draw in.

    Returns
    -------
    Figure or None
        The figure, if asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> learn = Learner(DataBunch.create(rows, rows, bs=4), Linear(2, 1, seed=0))
    >>> with learn.no_logging():
    ...     learn.fit_one_cycle(1)
    >>> learn.recorder.plot_lr(return_fig=True).axes[0].get_ylabel() != ""
    True
    """
    curves = [("learning rate", recorder.lrs)] + [("momentum", recorder.moms)] * show_moms
    figure, grid = panels(len(curves), axs, sharex=True)
    for axes, (name, values) in zip(grid, curves, strict=True):
        kept = _cut(values, skip_start, skip_end)
        axes.plot(np.arange(len(kept)) + skip_start, kept)
        axes.set_ylabel(name)
    grid[0].set_title("Learning rate and momentum" if show_moms else "Learning rate")
    grid[-1].set_xlabel(PROCESSED)
    return figure if return_fig else None


@plot_style()
def plot_losses(recorder: Recorder, skip_start: int = 0, skip_end: int = 0,
                return_fig: bool = False, ax: Any = None) -> Any:
    """Plot the smoothed training loss of each batch and the validation loss of each epoch.

    Parameters
    ----------
    recorder : Recorder
        The recorder of a fit.
    skip_start, skip_end : int
        Number of batches to leave out at the start and at the end.
    return_fig : bool
        Whether to return the figure.
    ax : Axes, optional
        Axes to draw in.

    Returns
    -------
    Figure or None
        The figure, if asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> learn = Learner(DataBunch.create(rows, rows, bs=4), Linear(2, 1, seed=0))
    >>> with learn.no_logging():
    ...     learn.fit_one_cycle(1)
    >>> len(learn.recorder.plot_losses(return_fig=True).axes)
    1
    """
    figure, (axes,) = panels(axs=ax)
    losses = _cut(recorder.losses, skip_start, skip_end)
    axes.plot(np.arange(len(losses)) + skip_start, losses, label="Train")
    ends, values = _of_epochs(recorder, recorder.val_losses, skip_start, skip_end)
    if ends:
        axes.plot(ends, values, "o-", label="Validation")
    axes.set(xlabel=PROCESSED, ylabel=loss_label(recorder), title="Losses")
    axes.legend()
    return figure if return_fig else None


@plot_style()
def plot_metrics(recorder: Recorder, skip_start: int = 0, skip_end: int = 0,
                 return_fig: bool = False, axs: Any = None) -> Any:
    """Plot each metric of each epoch.

    Parameters
    ----------
    recorder : Recorder
        The recorder of a fit.
    skip_start, skip_end : int
        Number of batches to leave out at the start and at the end.
    return_fig : bool
        Whether to return the figure.
    axs : Axes or sequence of Axes, optional
        Axes to draw in, one for each metric.

    Returns
    -------
    Figure or None
        The figure, if asked for.

    Raises
    ------
    ValueError
        If there are no metrics.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> learn = Learner(DataBunch.create(rows, rows, bs=4), Linear(2, 1, seed=0))
    >>> from minifast.metrics import mae
    >>> learn.metrics = [mae]
    >>> with learn.no_logging():
    ...     learn.fit(2)
    >>> len(learn.recorder.plot_metrics(return_fig=True).axes)
    1
    """
    ends, rows = _of_epochs(recorder, recorder.metrics, skip_start, skip_end)
    if not ends:
        raise ValueError("there are no metrics to plot; make the learner with metrics=[...] and "
                         "train with a validation set")
    figure, grid = panels(len(rows[0]), axs, sharex=True)
    for axes, name, values in zip(grid, recorder.names[3:], np.transpose(rows), strict=False):
        axes.plot(ends, values, "o-")
        axes.set_ylabel(axis_label(words(name)))
    grid[0].set_title("Metrics of the validation set")
    grid[-1].set_xlabel(PROCESSED)
    return figure if return_fig else None


def _cut(values: Sequence[Any], skip_start: int, skip_end: int) -> finder.Numbers:
    return np.array([float(v) for v in values[skip_start:len(values) - skip_end]])


def _of_epochs(recorder: Recorder, values: Sequence[Any], skip_start: int, skip_end: int
               ) -> tuple[list[int], list[Any]]:
    """Return the last batches of the epochs that have a value, and the values."""
    ends, last = np.cumsum(recorder.nb_batches), len(recorder.losses) - skip_end
    kept = [i for i, value in enumerate(values)
            if value not in (None, []) and skip_start <= ends[i] <= last]
    return ends[kept].tolist(), [values[i] for i in kept]


for _method in (plot_lr, plot_losses, plot_metrics, finder.plot, finder.suggestions):
    setattr(Recorder, _method.__name__, _method)
setattr(Recorder, "smoothen_by_spline", staticmethod(finder.smoothen_by_spline))  # noqa: B010
