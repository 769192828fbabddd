"""One step for several batches: a large batch for those who lack the memory."""
from typing import TYPE_CHECKING, Any

import numpy as np

from ..train.callback import Changes, LearnerCallback
from ..train.loop import batch_rows

if TYPE_CHECKING:
    from ..train.learner import Learner


class AccumulateScheduler(LearnerCallback):
    """Steps every ``n_step`` batches, along the mean gradient of all their rows.

    This is the step that one batch with all these rows would take, to rounding, as long as rows
    do not look at each other (batch norm still sees the small batches). The last batches of an
    epoch, if fewer than ``n_step``, make a step of their own before validation;
    ``drop_last=True`` forgets them. The loss needs a ``reduction`` of ``'mean'`` or ``'sum'``;
    both give the same steps. fastai v1's ``AccumulateScheduler``, which warns of a mean.

    >>> from functools import partial
    >>> every_fourth = partial(AccumulateScheduler, n_step=4)  # for callback_fns=[...]
    """

    _order = -5  # before those who use the gradients, such as GradientClipping

    def __init__(self, learn: "Learner", n_step: int = 1, drop_last: bool = False) -> None:
        super().__init__(learn)
        if not isinstance(n_step, (int, np.integer)) or n_step < 1:
            raise ValueError(f"a step is taken every n_step batches, 1 or more, got {n_step!r}")
        self.n_step, self.drop_last, self.rows, self.total = n_step, drop_last, 0, 0

    def on_train_begin(self, **state: Any) -> Changes:
        loss = self.learn.loss_func
        if getattr(loss, "reduction", None) not in ("mean", "sum"):
            raise ValueError(f"cannot add up gradients of the loss {loss!r}: whether it is a mean "
                             "or a sum over rows is not known. Set its attribute, "
                             "loss_func.reduction = 'mean' or 'sum'")
        return None

    def on_epoch_begin(self, **state: Any) -> Changes:
        self.total = 0
        return None

    def on_batch_begin(self, last_target: Any = None, **state: Any) -> Changes:
        self.rows = batch_rows(last_target)
        return None

    def on_backward_begin(self, **state: Any) -> Changes:
        if self.total and self._is_mean():  # what is there, in units of this batch's rows
            self._scale(self.total / self.rows)
        return None

    def on_backward_end(self, num_batch: int = 0, skip_bwd: bool = False,
                        **state: Any) -> Changes:
        self.total += 0 if skip_bwd else self.rows
        if self.total and self._is_mean():  # and back: the mean over all rows so far
            self._scale(self.rows / self.total)
        whole = (num_batch + 1) % self.n_step == 0
        last = num_batch + 1 == len(self.learn.data.train_dl)
        return self._finish(whole) if whole or last else {"skip_step": True, "skip_zero": True}

    def _finish(self, whole: bool) -> Changes:
        if not self._is_mean() and self.total:
            self._scale(1 / self.total)
        forget = not self.total or (self.drop_last and not whole)
        self.total = 0
        return {"skip_step": True} if forget else None

    def on_epoch_end(self, **state: Any) -> Changes:
        if self.total:  # the epoch was left between two steps
            self.learn.model.zero_grad()
        return None

    def on_train_end(self, **state: Any) -> Changes:
        return self.on_epoch_end()

    def _is_mean(self) -> bool:
        return bool(self.learn.loss_func.reduction == "mean")

    def _scale(self, factor: float) -> None:
        for p in self.learn.model.parameters():
            if p.requires_grad and (grad := p.grad_values()) is not None:
                grad *= factor
