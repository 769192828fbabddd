"""Methods that these callbacks add to the Learner, as fastai v1's ``train.py`` does."""
from functools import partial

from ..train import Learner
from .misc import GradientClipping
from .mixup import MixUpCallback


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
    GradientClipping : The callback that does it.
    """
    learn.callback_fns = [*learn.callback_fns, partial(GradientClipping, clip=clip)]
    return learn


def mixup(learn: Learner, alpha: float = .4, stack_x: bool = False, stack_y: bool = True
          ) -> Learner:
    """Mix rows of each training batch in all fits from now on.

    Parameters
    ----------
    learn : Learner
        The learner to change.
    alpha, stack_x, stack_y : float, bool, bool
        The arguments of ``MixUpCallback``.

    Returns
    -------
    Learner
        The same learner.

    See Also
    --------
    MixUpCallback : The callback that does it.
    """
    mix = partial(MixUpCallback, alpha=alpha, stack_x=stack_x, stack_y=stack_y)
    learn.callback_fns = [*learn.callback_fns, mix]
    return learn


for _method in (clip_grad, mixup):
    setattr(Learner, _method.__name__, _method)
