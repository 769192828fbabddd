"""Gradient accumulation: one optimizer step for several batches."""
from typing import Any

import numpy as np

from ..train import Learner, LearnerCallback
from ..train.callback import Changes, listify


class AccumulateScheduler(LearnerCallback):
    """Take a step every ``n_step`` batches, along the mean gradient of all their rows.

    Parameters
    ----------
    learn : Learner
        Its loss has an attribute ``reduction``, ``'mean'`` or ``'sum'``. Both give the same steps.
    n_step : int
        Batches per step.
    drop_last : bool
        Discard the last batches of an epoch if they are fewer than ``n_step``. By default they
        make a step of their own.

    Raises
    ------
    ValueError
        If ``n_step`` is not an integer above 0, or, when a fit begins, if the loss has no
        reduction ``'mean'`` or ``'sum'``.

    Notes
    -----
    The step equals that of one batch with all these rows, up to rounding, unless the model
    mixes rows as batch norm does. fastai v1's ``AccumulateScheduler`` expects a sum.

    Examples
    --------
    >>> from functools import partial
    >>> every_fourth = partial(AccumulateScheduler, n_step=4)  # for callback_fns=[...]
    """

    _order = -16  # before callbacks that use the gradients, such as GradientClipping

    def __init__(self, learn: Learner, n_step: int = 1, drop_last: bool = False) -> None:
        super().__init__(learn)
        if not isinstance(n_step, (int, np.integer)) or n_step < 1:
            raise ValueError(f"a step is taken every n_step batches, 1 or more, got {n_step!r}")
        self.n_step, self.drop_last, self.rows, self.total = n_step, drop_last, 0, 0

    def on_train_begin(self) -> None:
        loss = self.learn.loss_func
        self.reduction = getattr(loss, "reduction", None)
        if self.reduction not in ("mean", "sum"):
            raise ValueError(f"the loss {loss!r} does not say whether it is a mean or a sum over "
                             "rows; set loss_func.reduction = 'mean' or 'sum'")

    def on_batch_begin(self, last_target: Any) -> None:
        joint = getattr(self.learn.data.train_dl, "rows", 0)  # of all ranks of a distributed fit
        self.rows = joint or len(listify(last_target)[0])
        self.unit = self.rows if self.reduction == "mean" else 1

    def on_backward_begin(self) -> None:
        if self.total:  # express the mean so far in units of this batch's gradient
            self._scale(self.total / self.unit)

    def on_backward_end(self, num_batch: int, skip_bwd: bool) -> Changes:
        self.total += 0 if skip_bwd else self.rows
        if self.total:
            self._scale(self.unit / self.total)  # the mean over all rows so far
        complete = (num_batch + 1) % self.n_step == 0
        if not complete and num_batch + 1 < len(self.learn.data.train_dl):
            return {"skip_step": True, "skip_zero": True}
        discard = not self.total or (self.drop_last and not complete)
        self.total = 0
        return {"skip_step": True} if discard else None

    def on_epoch_end(self) -> None:
        if self.total:  # the epoch ended between two steps
            self.learn.model.zero_grad()
            self.total = 0

    on_train_end = on_epoch_end  # after an error inside an epoch

    def _scale(self, factor: float) -> None:
        for p in self.learn.model.parameters():
            if p.requires_grad and (grad := p.grad) is not None:
                grad *= factor
