"""The learning rate finder."""
from typing import TYPE_CHECKING, Any

import numpy as np

from ..optim import Phase, annealing_exp
from .callback import Changes
from .curves import CurveScheduler

if TYPE_CHECKING:
    from .learner import Learner


class Snapshot:
    """Everything that training changes: weights, buffers, optimizer, random generators."""

    def __init__(self, learn: "Learner") -> None:
        self.learn, self.weights = learn, learn.model.state_dict()
        self.opt = learn.opt
        self.opt_state = None if learn.opt is None else learn.opt.state_dict()
        self.generators = [(rng, rng.bit_generator.state) for rng in _generators(learn)]
        self.global_state = np.random.get_state()

    def restore(self) -> None:
        """Put everything back."""
        self.learn.model.load_state_dict(self.weights)
        self.learn.model.zero_grad()
        self.learn.opt = self.opt
        if self.opt is not None and self.opt_state is not None:
            self.opt.load_state_dict(self.opt_state)
        for rng, state in self.generators:
            rng.bit_generator.state = state
        np.random.set_state(self.global_state)


def _generators(learn: "Learner") -> list[np.random.Generator]:
    owners = [*learn.model.modules(), learn.data.train_dl, learn.data.valid_dl]
    found = [getattr(owner, "rng", None) for owner in owners]
    return [rng for rng in found if isinstance(rng, np.random.Generator)]


class LRFinder(CurveScheduler):
    """Trains with a rate that grows from batch to batch, then puts everything back.

    The rate of batch k is start (end / start)^(k / num_it). It stops after ``num_it`` batches,
    or when the smoothed loss is NaN or, with ``stop_div``, above four times its best. Weights,
    buffers, optimizer, random generators and the order of the data are afterwards as they were;
    the recorder keeps the curve. fastai v1's ``LRFinder``.
    """

    def __init__(self, learn: "Learner", start_lr: Any = 1e-7, end_lr: Any = 10.,
                 num_it: int = 100, stop_div: bool = True, snapshot: Snapshot | None = None
                 ) -> None:
        super().__init__(learn)
        starts, ends = np.broadcast_arrays(np.atleast_1d(start_lr), np.atleast_1d(end_lr))
        self.phases = [Phase(num_it, float(a), float(b), annealing_exp)
                       for a, b in zip(starts, ends, strict=True)]
        self.num_it, self.stop_div, self.best = num_it, stop_div, 0.
        self.snapshot = snapshot or Snapshot(learn)

    def on_train_begin(self, **state: Any) -> Changes:
        self.begin(self.num_it, {"lr": self.phases}, 0)
        return {"skip_validate": True}

    def on_batch_end(self, train: bool = True, iteration: int = 0, smooth_loss: Any = None,
                     **state: Any) -> Changes:
        loss = float(smooth_loss)
        if iteration == 0 or loss < self.best:
            self.best = loss
        super().on_batch_end(train)
        diverged = self.stop_div and (loss > 4 * self.best or np.isnan(loss))
        if iteration + 1 >= self.num_it or diverged:
            return {"stop_epoch": True, "stop_training": True}
        return None

    def on_train_end(self, **state: Any) -> Changes:
        self.snapshot.restore()
        print("LR Finder is complete, type {learner_name}.recorder.plot() to see the graph.")
        return None
