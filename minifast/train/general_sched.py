"""Schedules of one's own: phases, each with a curve for some of the hyper-parameters."""
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..optim import Optimizer, Phase, annealing_cos, annealing_linear, annealing_no, in_turn
from ..optim.schedule import Annealer
from .callback import Changes
from .curves import Curve, CurveScheduler

if TYPE_CHECKING:
    from .learner import Learner


class TrainingPhase:
    """``length`` batches in which some hyper-parameters follow curves; v1's ``TrainingPhase``.

    >>> phase = TrainingPhase(4).schedule_hp("lr", (0., 1.)).schedule_hp("mom", .9)
    >>> phase.scheds["lr"][0](1), phase.scheds["mom"][0](1)
    (0.25, 0.9)
    """

    def __init__(self, length: int) -> None:
        if not isinstance(length, (int, np.integer)) or length < 0:
            raise ValueError(f"a phase lasts a whole number of batches, got {length!r}; an epoch "
                             "has len(learn.data.train_dl)")
        self.length = max(1, length)  # v1: an empty phase still takes one step
        self.scheds: dict[str, list[Phase]] = {}

    def schedule_hp(self, name: str, vals: Any, anneal: Annealer | None = None
                    ) -> "TrainingPhase":
        """Let ``name`` go from a to b for a tuple ``vals=(a, b)``, in a straight line unless
        ``anneal`` says how. Any other ``vals`` stays, or with ``anneal`` goes to 0. Lists are
        one value per layer group. Gives the phase back, for the next call."""
        ranged = isinstance(vals, tuple)
        if ranged and len(vals) != 2:
            raise ValueError(f"{name} goes from one value to another, got {len(vals)} in {vals}; "
                             "one value per layer group is a list")
        start, end = vals if ranged else (vals, 0.)
        curve = anneal or (annealing_linear if ranged else annealing_no)
        starts, ends = np.broadcast_arrays(np.atleast_1d(start), np.atleast_1d(end))
        self.scheds[name] = [Phase(self.length, float(a), float(b), curve)
                             for a, b in zip(starts, ends, strict=True)]
        return self


class GeneralScheduler(CurveScheduler):
    """Runs phases one after the other, one step per batch; then training stops.

    A hyper-parameter that a phase says nothing about stays as it is. The batch at which one
    phase ends and the next begins still uses the end of the first. fastai v1's
    ``GeneralScheduler``.

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

    def __init__(self, learn: "Learner", phases: Sequence[TrainingPhase],
                 start_epoch: int | None = None) -> None:
        super().__init__(learn, start_epoch)
        wrong = [phase for phase in phases if not isinstance(phase, TrainingPhase)]
        if wrong:
            raise TypeError(f"a schedule is a list of TrainingPhase, got {wrong[0]!r} in it; "
                            "write TrainingPhase(length).schedule_hp('lr', (a, b))")
        self.phases = list(phases)

    def on_train_begin(self, epoch: int = 0, **state: Any) -> Changes:
        if not self.phases:
            raise ValueError("a schedule of no phases; give at least one TrainingPhase")
        return self.begin(sum(phase.length for phase in self.phases),
                          group_curves(self.phases, self.learn.optimizer), epoch)


def group_curves(phases: Sequence[TrainingPhase], opt: Optimizer) -> dict[str, list[Curve]]:
    """Each scheduled hyper-parameter with its value as a function of the step, for each group.

    ValueError for a name that the optimizer does not have, or a list of the wrong length.
    """
    names = {name: None for phase in phases for name in phase.scheds}
    unknown = [name for name in names if name not in opt.hypers[-1]]
    if unknown:
        raise ValueError(f"this optimizer has no {', '.join(map(repr, unknown))} to schedule; it "
                         f"has {', '.join(opt.hypers[-1])}")
    n = len(opt.hypers)
    return {name: [_curve(phases, name, group, n, start)
                   for group, start in enumerate(opt.get_hyper(name))] for name in names}


def _curve(phases: Sequence[TrainingPhase], name: str, group: int, n: int, start: float) -> Curve:
    """All phases in turn; where there is none for ``name``, the last value stays."""
    parts: list[Phase] = []
    for phase in phases:
        found = phase.scheds.get(name, [Phase(phase.length, start, start, annealing_no)])
        if len(found) not in (1, n):
            raise ValueError(f"{len(found)} values of {name} are scheduled for {n} layer groups; "
                             f"give one, or a list of {n}")
        parts.append(found[group if len(found) > 1 else 0])
        start = parts[-1](phase.length)
    return in_turn(parts)


class FlatCosAnnealScheduler(GeneralScheduler):
    """The rate stays at ``lr`` for ``start_pct`` of all batches, then falls to 0 by a cosine.

    Momentum is ``moms[0]``, then ``moms[1]``, without a slope. ``Learner.fit_fc`` uses it;
    fastai v1's ``FlatCosAnnealScheduler``.
    """

    def __init__(self, learn: "Learner", lr: Any = 4e-3, tot_epochs: int = 1,
                 moms: tuple[float, float] = (.95, .999), start_pct: float = .72) -> None:
        super().__init__(learn, [])
        if not 0 <= start_pct <= 1:
            raise ValueError(f"start_pct is a share of all batches, from 0 to 1, got {start_pct}")
        self.lr, self.tot_epochs, self.moms, self.start_pct = lr, tot_epochs, moms, start_pct

    def on_train_begin(self, epoch: int = 0, **state: Any) -> Changes:
        n = len(self.learn.data.train_dl) * self.tot_epochs
        flat = int(n * self.start_pct)
        self.phases = [
            TrainingPhase(flat).schedule_hp("lr", self.lr).schedule_hp("mom", self.moms[0]),
            TrainingPhase(n - flat).schedule_hp("lr", self.lr, annealing_cos)
                                   .schedule_hp("mom", self.moms[1])]
        return super().on_train_begin(epoch)
