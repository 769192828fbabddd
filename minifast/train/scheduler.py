"""Schedules: hyper-parameters that change from batch to batch."""
from collections.abc import Callable
from typing import Any

import numpy as np

from ..optim import Phase, one_cycle
from ..optim.schedule import Annealer
from .callback import Changes, LearnerCallback

Curve = Callable[[int], float]
"""The value of a hyper-parameter at a step, counted from 0."""
Curves = dict[str, list[Curve]]
"""For each hyper-parameter one curve per layer group, or one for all groups."""


class Scheduler(LearnerCallback):
    """Base class of schedules; a subclass says in ``schedule`` what they are.

    Each batch is trained with the values of its step. Training stops after the last step. A fit
    that begins after the last step trains nothing.

    Parameters
    ----------
    learn : Learner
        The learner that is trained.
    start_epoch : int, optional
        Begin as if this many epochs were done.

    Attributes
    ----------
    curves : dict of str to list of callable
        For each hyper-parameter its value as a function of the step, one per layer group or one
        for all groups.
    position : int
        The step that the next batch is trained with.
    n_steps : int
        The length of the schedule.

    Raises
    ------
    ValueError
        If ``start_epoch`` is not a whole number, or is negative.

    Examples
    --------
    >>> from minifast.optim import Phase, annealing_linear
    >>> class Down(Scheduler):
    ...     def schedule(self, n_epochs):
    ...         return 100, {"lr": [Phase(100, .1, 0., annealing_linear)]}
    """

    def __init__(self, learn: Any, start_epoch: int | None = None) -> None:
        super().__init__(learn)
        if start_epoch is not None and (start_epoch < 0 or start_epoch != int(start_epoch)):
            raise ValueError(f"start_epoch={start_epoch} counts epochs: give 0, 1, 2 or so on")
        self.curves: Curves = {}
        self.start_epoch, self.position, self.n_steps = start_epoch, 0, 0

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "curves": {}}  # closures, which each fit makes anew

    def schedule(self, n_epochs: int) -> tuple[int, Curves]:
        """Return the number of steps and the curves of a fit of ``n_epochs`` epochs.

        Parameters
        ----------
        n_epochs : int
            Number of epochs.

        Returns
        -------
        n_steps : int
            Number of steps.
        curves : dict of str to list of callable
            The value of a hyper-parameter as a function of the step, for each layer group or all.

        Examples
        --------
        >>> from minifast.optim import Phase, annealing_linear
        >>> class Down(Scheduler):
        ...     def schedule(self, n_epochs):
        ...         return 100, {"lr": [Phase(100, .1, 0., annealing_linear)]}
        >>> n_steps, curves = Down.schedule(None, n_epochs=1)
        >>> round(curves["lr"][0](25), 3)
        0.075
        """
        raise NotImplementedError

    def on_train_begin(self, n_epochs: int, epoch: int) -> Changes:
        self.opt = self.learn.optimizer
        self.n_steps, self.curves = self.schedule(n_epochs)
        self.position = len(self.learn.data.train_dl) * (self.start_epoch or epoch)
        self._set_hypers()
        ended = {"stop_training": True} if self.position >= self.n_steps else {}
        return ended if self.start_epoch is None else {"epoch": self.start_epoch, **ended}

    def on_batch_end(self, train: bool, num_batch: int = -1) -> Changes:
        if not train:
            return None
        self.position += 1
        self._set_hypers()
        return None if self.position < self.n_steps else {
            "stop_training": True, "stop_epoch": num_batch + 1 < len(self.learn.data.train_dl)}

    def _set_hypers(self) -> None:
        """Set the hyper-parameters to their values at the position."""
        for name, curves in self.curves.items():
            for i, hypers in enumerate(self.opt.hypers):
                hypers[name] = curves[i if len(curves) > 1 else 0](self.position)


class OneCycleScheduler(Scheduler):
    """The one-cycle policy of ``optim.one_cycle``; fastai v1's ``OneCycleScheduler``.

    Parameters
    ----------
    learn : Learner
        The learner that is trained.
    lr_max : float or list of float
        The highest learning rate, for all layer groups or one for each.
    moms : tuple of float
        Momentum at the ends of the cycle, and at the highest rate.
    div_factor : float
        The first rate is ``lr_max / div_factor``.
    pct_start : float
        The fraction of the cycle in which the rate rises.
    final_div : float, optional
        The last rate is ``lr_max / final_div``, by default ``lr_max / (div_factor * 1e4)``.
    tot_epochs : int, optional
        The length of the cycle, by default that of the fit.
    start_epoch : int, optional
        Begin as if this many epochs were done.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> with learn.no_logging():
    ...     learn.fit(2, callbacks=[OneCycleScheduler(learn, 1e-2)])
    >>> [round(lr, 4) for lr in learn.recorder.lrs]
    [0.0004, 0.01, 0.0075, 0.0025]
    """

    def __init__(self, learn: Any, lr_max: Any, moms: tuple[float, float] = (.95, .85),
                 div_factor: float = 25., pct_start: float = .3, final_div: float | None = None,
                 tot_epochs: int | None = None, start_epoch: int | None = None) -> None:
        super().__init__(learn, start_epoch)
        self.lr_max, self.moms, self.div_factor = lr_max, moms, div_factor
        self.pct_start, self.final_div, self.tot_epochs = pct_start, final_div, tot_epochs

    def schedule(self, n_epochs: int) -> tuple[int, Curves]:
        n_steps = len(self.learn.data.train_dl) * (self.tot_epochs or n_epochs)
        cycles = [one_cycle(n_steps, float(lr), self.moms, self.div_factor, self.pct_start,
                            self.final_div) for lr in np.atleast_1d(self.lr_max)]
        return n_steps, {"lr": [lr for lr, _ in cycles], "mom": [cycles[0][1]]}


def make_phases(length: int, start: Any, end: Any, anneal: Annealer) -> list[Curve]:
    """Return a phase for each layer group, or one for all.

    Parameters
    ----------
    length : int
        Number of steps.
    start, end : float or list of float
        The values at both ends, for all layer groups or one for each.
    anneal : callable
        How to go from the start to the end.

    Returns
    -------
    list of Phase
        The phases.

    Examples
    --------
    >>> make_phases(10, 1., [0., .5], lambda start, end, pct: start + pct * (end - start))[1](5)
    0.75
    """
    starts, ends = np.broadcast_arrays(np.atleast_1d(start), np.atleast_1d(end))
    return [Phase(length, float(a), float(b), anneal) for a, b in zip(starts, ends, strict=True)]
