"""The one-cycle policy."""
from typing import TYPE_CHECKING, Any

import numpy as np

from ...optim import one_cycle
from ..callback import Changes, LearnerCallback

if TYPE_CHECKING:
    from ..learner import Learner


class OneCycleScheduler(LearnerCallback):
    """Moves learning rates and momentum along ``optim.one_cycle``, one step per batch.

    ``lr_max`` is a number or one per layer group. fastai v1's ``OneCycleScheduler``.
    """

    def __init__(self, learn: "Learner", lr_max: Any, moms: tuple[float, float] = (.95, .85),
                 div_factor: float = 25., pct_start: float = .3, final_div: float | None = None,
                 tot_epochs: int | None = None, start_epoch: int | None = None) -> None:
        super().__init__(learn)
        self.lr_max, self.moms, self.div_factor = lr_max, tuple(moms), div_factor
        self.pct_start, self.final_div = pct_start, final_div
        self.tot_epochs, self.start_epoch = tot_epochs, start_epoch

    def on_train_begin(self, n_epochs: int = 1, epoch: int = 0, **state: Any) -> Changes:
        per_epoch = len(self.learn.data.train_dl)
        self.n_steps = per_epoch * (self.tot_epochs or n_epochs)
        self.step = per_epoch * (self.start_epoch or epoch)
        curves = [one_cycle(self.n_steps, lr, (self.moms[0], self.moms[1]), self.div_factor,
                            self.pct_start, self.final_div) for lr in np.atleast_1d(self.lr_max)]
        self.lr_curves, self.mom = [lr for lr, _ in curves], curves[0][1]
        self._set()
        self.learn.optimizer.plan(self.step, lr=self.lr_curves, mom=[self.mom])
        return None if self.start_epoch is None else {"epoch": self.start_epoch}

    def _set(self) -> None:
        rates = [lr(self.step) for lr in self.lr_curves]
        self.learn.optimizer.set_hypers(lr=rates if len(rates) > 1 else rates[0],
                                        mom=self.mom(self.step))

    def on_batch_end(self, train: bool = True, **state: Any) -> Changes:
        if not train:
            return None
        if self.step >= self.n_steps:
            return {"stop_epoch": True, "stop_training": True}
        self.step += 1
        self._set()
        return None
