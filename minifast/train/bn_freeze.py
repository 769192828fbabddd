"""Frozen batch norm: which statistics it uses, and whether they follow the batches."""
from typing import Any

from ..nn import BatchNorm
from .callback import Changes, LearnerCallback


class BnFreeze(LearnerCallback):
    """Puts batch norm whose weight is frozen into evaluation mode as each epoch begins.

    It then uses its running statistics and keeps them. A learner made with ``train_bn=False``
    has this among its ``callback_fns`` by itself; ``learn.callback_fns.remove(BnFreeze)`` gives
    what fastai v1 does without it: scale and shift stay, the running statistics follow the
    batches and each batch is normalised by its own. fastai v1's ``BnFreeze``.

    >>> from minifast.data import DataBunch
    >>> from minifast.nn import BatchNorm1d, MSELossFlat
    >>> from minifast.train import Learner
    >>> bn = BatchNorm1d(2).requires_grad_(False)
    >>> BnFreeze(Learner(DataBunch([]), bn, loss_func=MSELossFlat())).on_epoch_begin()
    >>> bn.training
    False
    """

    def on_epoch_begin(self, **state: Any) -> Changes:
        for module in self.learn.model.modules():
            if isinstance(module, BatchNorm) and not module.weight.requires_grad:
                module.eval()
        return None
