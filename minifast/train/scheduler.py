"""Schedules: hyper-parameters that change from batch to batch."""
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..optim import Phase, annealing_cos, annealing_linear, annealing_no, in_turn, one_cycle
from ..optim.schedule import Annealer
from .callback import Changes, LearnerCallback

Curve = Callable[[int], float]
"""The value of a hyper-parameter at a step, counted from 0."""
Curves = dict[str, list[Curve]]
"""For each hyper-parameter one curve per layer group, or one for all groups."""


class Scheduler(LearnerCallback):
    """Base class of schedules; a subclass says in ``schedule`` what they are.

    Each batch is trained with the values of its step. After the last step training stops.

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
    """

    def __init__(self, learn: Any, start_epoch: int | None = None) -> None:
        super().__init__(learn)
        self.start_epoch = start_epoch
        self.curves: Curves = {}
        self.position = self.n_steps = 0

    def schedule(self, n_epochs: int) -> tuple[int, Curves]:
        """Return the number of steps and the curves of a fit of ``n_epochs`` epochs."""
        raise NotImplementedError

    def on_train_begin(self, n_epochs: int, epoch: int) -> Changes:
        self.opt = self.learn.optimizer
        self.n_steps, self.curves = self.schedule(n_epochs)
        self.position = len(self.learn.data.train_dl) * (self.start_epoch or epoch)
        self._set_hypers()
        return None if self.start_epoch is None else {"epoch": self.start_epoch}

    def on_batch_end(self, train: bool) -> Changes:
        if not train:
            return None
        if self.position >= self.n_steps:
            return {"stop_epoch": True, "stop_training": True}
        self.position += 1
        self._set_hypers()
        return None

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


# ---------------------------------------------------------------- phases


class TrainingPhase:
    """A number of batches in which some hyper-parameters change; v1's ``TrainingPhase``.

    Parameters
    ----------
    length : int
        Number of batches. A phase of length 0 takes one step, as in v1.

    Raises
    ------
    ValueError
        If the length is no whole number from 0.

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
        self.scheds: dict[str, list[Phase]] = {}

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
        """
        ranged = isinstance(vals, tuple)
        if ranged and len(vals) != 2:
            raise ValueError(f"{name} goes from one value to another, got {len(vals)} in {vals}; "
                             "one value per layer group is a list")
        start, end = vals if ranged else (vals, 0.)
        anneal = anneal or (annealing_linear if ranged else annealing_no)
        starts, ends = np.broadcast_arrays(np.atleast_1d(start), np.atleast_1d(end))
        self.scheds[name] = [Phase(self.length, float(a), float(b), anneal)
                             for a, b in zip(starts, ends, strict=True)]
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
        wrong = [phase for phase in phases if not isinstance(phase, TrainingPhase)]
        if wrong:
            raise TypeError(f"a schedule is a list of TrainingPhase, got {wrong[0]!r} in it; "
                            "write TrainingPhase(length).schedule_hp('lr', (a, b))")
        self.phases = list(phases)

    def schedule(self, n_epochs: int) -> tuple[int, Curves]:
        opt, phases = self.learn.optimizer, self.phases
        if not phases:
            raise ValueError("a schedule of no phases; give at least one TrainingPhase")
        names = list(dict.fromkeys(name for phase in phases for name in phase.scheds))
        unknown = [name for name in names if name not in opt.hypers[-1]]
        if unknown:
            raise ValueError(f"this optimizer has no {', '.join(map(repr, unknown))} to schedule; "
                             f"it has {', '.join(opt.hypers[-1])}")
        return sum(phase.length for phase in phases), {
            name: [_curve(phases, name, i, opt.get_hyper(name)) for i in range(len(opt.hypers))]
            for name in names}


def _curve(phases: Sequence[TrainingPhase], name: str, group: int, values: list[float]) -> Curve:
    """Return the curve of a layer group through all phases; ``values`` are the present ones."""
    value, parts, n = values[group], [], len(values)
    for phase in phases:
        found = phase.scheds.get(name, [Phase(phase.length, value, value, annealing_no)])
        if len(found) not in (1, n):
            raise ValueError(f"{len(found)} values of {name} are scheduled for {n} layer groups; "
                             f"give one, or a list of {n}")
        parts.append(found[group if len(found) > 1 else 0])
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
    """

    def __init__(self, learn: Any, lr: Any = 4e-3, tot_epochs: int = 1,
                 moms: tuple[float, float] = (.95, .999), start_pct: float = .72) -> None:
        super().__init__(learn, [])
        if not 0 <= start_pct <= 1:
            raise ValueError(f"start_pct is a share of all batches, from 0 to 1, got {start_pct}")
        n = len(learn.data.train_dl) * tot_epochs
        flat = int(n * start_pct)
        self.phases = [
            TrainingPhase(flat).schedule_hp("lr", lr).schedule_hp("mom", moms[0]),
            TrainingPhase(n - flat).schedule_hp("lr", lr, annealing_cos)
                                   .schedule_hp("mom", moms[1])]
