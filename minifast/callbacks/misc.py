"""Small callbacks: stop on NaN or after a few batches, clip gradients."""
from functools import partial
from typing import Any

import numpy as np

from ..train import Callback, Learner, LearnerCallback
from ..train.callback import Changes

STOP: dict[str, Any] = {"stop_epoch": True, "stop_training": True, "skip_validate": True}
"""The changes that end training after the present batch."""


class TerminateOnNaNCallback(Callback):
    """End training when a batch's loss is NaN or infinite, and print where.

    The step of that batch is skipped, so the weights stay finite.
    """

    def on_backward_begin(self, last_loss: Any, epoch: int, num_batch: int) -> Changes:
        loss = float(last_loss)
        self.bad = not np.isfinite(loss)
        if not self.bad:
            return None
        print(f"Epoch/Batch ({epoch}/{num_batch}): the loss is {loss}, training ends. "
              "A lower learning rate usually helps: see learn.lr_find().")
        return {"skip_bwd": True, "skip_step": True}

    def on_batch_end(self, train: bool) -> Changes:
        return STOP if train and self.bad else None


class StopAfterNBatches(Callback):
    """End training after a few batches, without validation: a quick test that it runs.

    Parameters
    ----------
    n_batches : int
        Training batches to run.

    Raises
    ------
    ValueError
        If ``n_batches`` is not an integer above 0.

    Examples
    --------
    >>> StopAfterNBatches(2).on_batch_end(iteration=1)
    {'stop_epoch': True, 'stop_training': True, 'skip_validate': True}
    """

    def __init__(self, n_batches: int = 2) -> None:
        if not isinstance(n_batches, (int, np.integer)) or n_batches < 1:
            raise ValueError(f"training stops after n_batches of 1 or more, got {n_batches!r}")
        self.n_batches = n_batches

    def on_batch_end(self, iteration: int, train: bool = True) -> Changes:
        return STOP if train and iteration + 1 >= self.n_batches else None


class GradientClipping(LearnerCallback):
    """Scale gradients down so that the norm of all of them together is at most ``clip``.

    While gradients accumulate (``skip_step``), they are left alone until their step is taken.

    Parameters
    ----------
    learn : Learner
        The learner whose trainable parameters are clipped.
    clip : float
        The largest norm.

    Raises
    ------
    ValueError
        If ``clip`` is not positive.

    See Also
    --------
    torch.nn.utils.clip_grad_norm_ : The same formula.

    Examples
    --------
    >>> from functools import partial
    >>> clipped = partial(GradientClipping, clip=.5)  # for callback_fns=[...]
    """

    def __init__(self, learn: Learner, clip: float = .1) -> None:
        super().__init__(learn)
        if not clip > 0:
            raise ValueError(f"gradients are clipped to a positive norm, got {clip}")
        self.clip = clip

    def on_backward_end(self, skip_step: bool = False) -> None:
        grads: list[Any] = [p.grad for p in self.learn.model.parameters()
                            if p.requires_grad and p.grad is not None]
        if grads and not skip_step:
            norm = np.sqrt(sum((g * g).sum() for g in grads))
            scale = np.minimum(self.clip / (norm + 1e-6), 1.)  # stays on the device: no wait
            for g in grads:
                g *= scale.astype(g.dtype)


def clip_grad(learn: Learner, clip: float = .1) -> Learner:
    """Clip gradients in all fits from now on.

    Parameters
    ----------
    learn : Learner
        The learner to change.
    clip : float
        The largest norm of all gradients together.

    Returns
    -------
    Learner
        The same learner.

    See Also
    --------
    minifast.callbacks.GradientClipping : The callback that does it.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> x = np.ones((2, 1), np.float32)
    >>> learn = Learner(DataBunch([(x, x)]), Linear(1, 1), loss_func=MSELossFlat())
    >>> clip_grad(learn, .5).callback_fns[-1].func.__name__
    'GradientClipping'
    """
    learn.callback_fns = [*learn.callback_fns, partial(GradientClipping, clip=clip)]
    return learn


setattr(Learner, clip_grad.__name__, clip_grad)
