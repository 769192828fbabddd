"""Schedules of your own: phases, in which hyper-parameters follow curves."""
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ..defaults import defaults
from ..optim import Phase, annealing_cos, annealing_linear, annealing_no, in_turn
from ..optim.schedule import Annealer
from ..train import Learner
from ..train.callback import listify
from ..train.scheduler import Curve, Curves, Scheduler, make_phases


class TrainingPhase:
    """A number of batches in which some hyper-parameters change; v1's ``TrainingPhase``.

    Parameters
    ----------
    length : int
        Number of batches. A phase of length 0 takes one step, as in v1.

    Raises
    ------
    ValueError
        If the length is not a whole number, or is negative.

    Examples
    --------
    >>> phase = TrainingPhase(4).schedule_hp("lr", (0., 1.)).schedule_hp("mom", .9)
    >>> phase.scheds["lr"][0](1), phase.scheds["mom"][0](1)
    (0.25, 0.9)
    """

    def __init__(self, length: int) -> None:
        if not isinstance(length, (int, np.integer)) or length < 0:
            raise ValueError(f"a phase lasts a whole number of batches, got {length!r}; an epoch "
                             "has len(learn.data.train_dl)")
        self.length = max(1, length)
        self.scheds: Curves = {}

    def schedule_hp(self, name: str, vals: Any, anneal: Annealer | None = None
                    ) -> "TrainingPhase":
        """Schedule a hyper-parameter in this phase.

        Parameters
        ----------
        name : str
            The hyper-parameter.
        vals : float, list of float, or tuple of two of these
            A tuple is the value at the start and at the end. Anything else stays, or goes to 0
            if ``anneal`` is given. A list has one value per layer group.
        anneal : callable, optional
            How to go from the start to the end, by default linearly.

        Returns
        -------
        TrainingPhase
            This phase, so that calls can be chained.

        Raises
        ------
        ValueError
            If a tuple does not have two items.

        Examples
        --------
        >>> phase = TrainingPhase(4).schedule_hp("lr", (0., 1.))
        >>> [phase.scheds["lr"][0](step) for step in range(5)]
        [0.0, 0.25, 0.5, 0.75, 1.0]
        """
        ranged = isinstance(vals, tuple)
        if ranged and len(vals) != 2:
            raise ValueError(f"{name} goes from one value to another, got {len(vals)} in {vals}; "
                             "one value per layer group is a list")
        start, end = vals if ranged else (vals, 0.)
        anneal = anneal or (annealing_linear if ranged else annealing_no)
        self.scheds[name] = make_phases(self.length, start, end, anneal)
        return self


class GeneralScheduler(Scheduler):
    """Runs phases one after the other; fastai v1's ``GeneralScheduler``.

    A hyper-parameter that a phase does not schedule stays as it is. The batch between two phases
    is trained with the end of the first.

    Parameters
    ----------
    learn : Learner
        The learner that is trained.
    phases : sequence of TrainingPhase
        The phases.
    start_epoch : int, optional
        Begin as if this many epochs were done.

    Raises
    ------
    TypeError
        If something else than a phase is given.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> from minifast.train import Learner
    >>> x = np.ones((2, 1), np.float32)
    >>> learn = Learner(DataBunch([(x, x)] * 4), Linear(1, 1), loss_func=MSELossFlat())
    >>> phases = [TrainingPhase(2).schedule_hp("lr", (0., .1)), TrainingPhase(2)]
    >>> with learn.no_logging():
    ...     learn.fit(1, callbacks=[GeneralScheduler(learn, phases)])
    >>> learn.recorder.lrs
    [0.0, 0.05, 0.1, 0.1]
    """

    def __init__(self, learn: Any, phases: Sequence[TrainingPhase],
                 start_epoch: int | None = None) -> None:
        super().__init__(learn, start_epoch)
        if wrong := [phase for phase in phases if not isinstance(phase, TrainingPhase)]:
            raise TypeError(f"a schedule is a list of TrainingPhase, got {wrong[0]!r} in it; "
                            "write TrainingPhase(length).schedule_hp('lr', (a, b))")
        self.phases = list(phases)

    def schedule(self, n_epochs: int) -> tuple[int, Curves]:
        if not self.phases:
            raise ValueError("a schedule of no phases; give at least one TrainingPhase")
        names = dict.fromkeys(name for phase in self.phases for name in phase.scheds)
        hypers = self.learn.optimizer.hypers
        if unknown := [repr(name) for name in names if name not in hypers[-1]]:
            raise ValueError(f"this optimizer has no {', '.join(unknown)} to schedule; it has "
                             f"{', '.join(hypers[-1])}")
        return sum(phase.length for phase in self.phases), {
            name: [self._curve(name, i, len(hypers), of_group[name])
                   for i, of_group in enumerate(hypers)] for name in names}

    def _curve(self, name: str, group: int, n: int, value: float) -> Curve:
        """Return the curve of one of ``n`` layer groups through all phases, from ``value`` on."""
        parts: list[Any] = []
        for phase in self.phases:
            found = phase.scheds.get(name, [Phase(phase.length, value, value, annealing_no)])
            if len(found) not in (1, n):
                raise ValueError(f"{len(found)} values of {name} are scheduled for {n} layer "
                                 f"groups; give one, or a list of {n}")
            parts.append(found[group % len(found)])
            value = parts[-1](phase.length)
        return in_turn(parts)


class FlatCosAnnealScheduler(GeneralScheduler):
    """A flat learning rate, then a cosine down to 0; v1's ``FlatCosAnnealScheduler``.

    Parameters
    ----------
    learn : Learner
        The learner that is trained.
    lr : float or list of float
        The flat rate, for all layer groups or one for each.
    tot_epochs : int
        The length of the schedule.
    moms : tuple of float
        Momentum in the flat part, and after it.
    start_pct : float
        The fraction of all batches after which the rate falls.

    Raises
    ------
    ValueError
        If ``start_pct`` is not from 0 to 1.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> from minifast.train import Learner
    >>> x = np.ones((2, 1), np.float32)
    >>> learn = Learner(DataBunch([(x, x)] * 4), Linear(1, 1), loss_func=MSELossFlat())
    >>> with learn.no_logging():
    ...     learn.fit(1, callbacks=[FlatCosAnnealScheduler(learn, .1, start_pct=.5)])
    >>> [round(lr, 3) for lr in learn.recorder.lrs]
    [0.1, 0.1, 0.1, 0.05]
    """

    def __init__(self, learn: Any, lr: Any = 4e-3, tot_epochs: int = 1,
                 moms: tuple[float, float] = (.95, .999), start_pct: float = .72) -> None:
        super().__init__(learn, [])
        if not 0 <= start_pct <= 1:
            raise ValueError(f"start_pct is a share of all batches, from 0 to 1, got {start_pct}")
        self.lr, self.tot_epochs, self.moms, self.start_pct = lr, tot_epochs, moms, start_pct

    def schedule(self, n_epochs: int) -> tuple[int, Curves]:
        n = len(self.learn.data.train_dl) * self.tot_epochs
        flat = int(n * self.start_pct)
        self.phases = [
            TrainingPhase(flat).schedule_hp("lr", self.lr).schedule_hp("mom", self.moms[0]),
            TrainingPhase(n - flat).schedule_hp("lr", self.lr, annealing_cos)
                                   .schedule_hp("mom", self.moms[1])]
        return super().schedule(n_epochs)


def fit_fc(learn: Learner, tot_epochs: int = 1, lr: Any = defaults.lr,
           moms: tuple[float, float] = (.95, .85), start_pct: float = .72,
           wd: float | Collection[float] | None = None, callbacks: Any = None) -> None:
    """Train at flat learning rates that fall to 0 along a cosine at the end.

    Parameters
    ----------
    learn : Learner
        The learner.
    tot_epochs : int
        Number of passes over the training data.
    lr : float, list of float or slice
        Learning rates of the layer groups, see ``Learner.lr_range``.
    moms : tuple of float
        Momentum in the flat part, and after it.
    start_pct : float
        Fraction of all batches after which the rates fall.
    wd : float or list of float, optional
        Weight decay, by default the learner's.
    callbacks : Callback or list of Callback, optional
        Callbacks of this fit.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> x = np.ones((2, 1), np.float32)
    >>> learn = Learner(DataBunch([(x, x)] * 4), Linear(1, 1), loss_func=MSELossFlat())
    >>> with learn.no_logging():
    ...     learn.fit_fc(1, .1, start_pct=.5)
    >>> [round(lr, 3) for lr in learn.recorder.lrs]
    [0.1, 0.1, 0.1, 0.05]
    """
    rates = learn.lr_range(lr)
    flat = FlatCosAnnealScheduler(learn, rates, tot_epochs, moms, start_pct)
    learn.fit(tot_epochs, rates, wd, [*listify(callbacks), flat])


setattr(Learner, fit_fc.__name__, fit_fc)
