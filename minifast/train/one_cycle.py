"""The one-cycle policy."""
from typing import TYPE_CHECKING, Any

import numpy as np

from ..optim import one_cycle
from .callback import Changes
from .curves import CurveScheduler

if TYPE_CHECKING:
    from .learner import Learner


class OneCycleScheduler(CurveScheduler):
    """Moves learning rates and momentum along ``optim.one_cycle``, one step per batch.

    ``lr_max`` is a number or one per layer group. fastai v1's ``OneCycleScheduler``.
    """

    def __init__(self, learn: "Learner", lr_max: Any, moms: tuple[float, float] = (.95, .85),
                 div_factor: float = 25., pct_start: float = .3, final_div: float | None = None,
                 tot_epochs: int | None = None, start_epoch: int | None = None) -> None:
        super().__init__(learn, start_epoch)
        self.lr_max, self.moms, self.div_factor = lr_max, tuple(moms), div_factor
        self.pct_start, self.final_div = pct_start, final_div
        self.tot_epochs = tot_epochs

    def on_train_begin(self, n_epochs: int = 1, epoch: int = 0, **state: Any) -> Changes:
        n_steps = len(self.learn.data.train_dl) * (self.tot_epochs or n_epochs)
        curves = [one_cycle(n_steps, lr, (self.moms[0], self.moms[1]), self.div_factor,
                            self.pct_start, self.final_div) for lr in np.atleast_1d(self.lr_max)]
        return self.begin(n_steps, {"lr": [lr for lr, _ in curves], "mom": [curves[0][1]]}, epoch)
