"""What all schedules share: hyper-parameters that follow curves, a step per batch."""
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .callback import Changes, LearnerCallback

if TYPE_CHECKING:
    from .learner import Learner

Curve = Callable[[int], float]
"""The value of a hyper-parameter at a step, counted from 0."""


class CurveScheduler(LearnerCallback):
    """Base of schedules: a subclass calls ``begin`` when training begins.

    Each batch is trained with the values of its step; after the last step training stops.
    ``start_epoch`` begins as if so many epochs were done.
    """

    def __init__(self, learn: "Learner", start_epoch: int | None = None) -> None:
        super().__init__(learn)
        self.start_epoch = start_epoch

    def begin(self, n_steps: int, curves: Mapping[str, Sequence[Curve]], epoch: int) -> Changes:
        """Set the first values; ``curves`` has one curve per layer group, or one for all."""
        self.n_steps, self.opt = n_steps, self.learn.optimizer
        self.step = len(self.learn.data.train_dl) * (self.start_epoch or epoch)
        self.opt.plan(self.step, **{
            name: [[curve(step) for step in range(n_steps + 1)] for curve in of_groups]
            for name, of_groups in curves.items()})
        self.opt.follow(self.step)
        return None if self.start_epoch is None else {"epoch": self.start_epoch}

    def on_batch_end(self, train: bool = True, **state: Any) -> Changes:
        if not train:
            return None
        if self.step >= self.n_steps:
            return {"stop_epoch": True, "stop_training": True}
        self.step += 1
        self.opt.follow(self.step)
        return None
