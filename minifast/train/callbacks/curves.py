"""What all schedules share: hyper-parameters that follow curves, a step per batch."""
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..callback import Changes, LearnerCallback

if TYPE_CHECKING:
    from ..learner import Learner

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
        self.n_steps = n_steps
        self.curves = {name: [tabulated(curve, n_steps) for curve in of_groups]
                       for name, of_groups in curves.items()}
        self.step = len(self.learn.data.train_dl) * (self.start_epoch or epoch)
        self._set()
        self.learn.optimizer.plan(self.step, **self.curves)
        return None if self.start_epoch is None else {"epoch": self.start_epoch}

    def _set(self) -> None:
        self.learn.optimizer.set_hypers(**{
            name: [curve(self.step) for curve in curves] if len(curves) > 1
            else curves[0](self.step) for name, curves in self.curves.items()})

    def on_batch_end(self, train: bool = True, **state: Any) -> Changes:
        if not train:
            return None
        if self.step >= self.n_steps:
            return {"stop_epoch": True, "stop_training": True}
        self.step += 1
        self._set()
        return None


def tabulated(curve: Curve, n_steps: int) -> Curve:
    """The same curve with its values computed beforehand; after n_steps it stays as it is there.

    >>> squares = tabulated(lambda step: step ** 2., 3)
    >>> squares(2), squares(3), squares(100)
    (4.0, 9.0, 9.0)
    """
    values = [curve(step) for step in range(n_steps + 1)]
    return lambda step: values[step if step < n_steps else n_steps]
