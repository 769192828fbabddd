"""Mixup: training on weighted means of two rows each."""
from copy import copy
from functools import partial
from inspect import signature
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import Array, backend_of, generator
from ..nn.losses import reduce_losses
from ..train import Learner, LearnerCallback
from ..train.callback import Changes, listify
from ..train.loop import LossFunction


class MixUpLoss:
    """The loss of mixed rows: ``share * loss(target) + (1 - share) * loss(partner)``.

    Called with one target, it equals the loss that it wraps. fastai v1's ``MixUpLoss`` packs
    targets and share in one array.

    Parameters
    ----------
    crit : callable
        A loss with an attribute or an argument ``reduction``.

    Raises
    ------
    TypeError
        If ``crit`` has no ``reduction``.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.nn import MSELossFlat
    >>> mixed = MixUpLoss(MSELossFlat())
    >>> mixed(tensor([0.]), tensor([1.]), tensor([3.]), tensor([.75]))  # .75 * 1 + .25 * 9
    tensor(3.)
    """

    def __init__(self, crit: LossFunction) -> None:
        self.own = hasattr(crit, "reduction")
        if not self.own and "reduction" not in signature(crit).parameters:
            raise TypeError(f"mixup needs the loss of each row, and {crit!r} gives one number "
                            "for all; let it take reduction='none', or use one of minifast.nn")
        self.crit, self.reduction = crit, getattr(crit, "reduction", "mean")
        self.activation = getattr(crit, "activation", None)

    def __call__(self, output: Any, target: Tensor, partner: Tensor | None = None,
                 share: Tensor | None = None) -> Tensor:
        if partner is None or share is None:
            return self._reduced(self.reduction, output, target)
        weight = share.reshape(-1, 1)  # (bs, 1): a row may have several losses
        losses = [self._reduced("none", output, y).reshape(len(y), -1) for y in (target, partner)]
        return reduce_losses((losses[0] * weight + losses[1] * (1 - weight)).flatten(),
                             self.reduction)

    def _reduced(self, reduction: str, output: Any, target: Tensor) -> Tensor:
        """Return the wrapped loss with another reduction, without changing it."""
        if not self.own:
            return self.crit(output, target, reduction=reduction)
        crit: Any = copy(self.crit)
        crit.reduction = reduction
        return crit(output, target)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"MixUpLoss of {self.crit!r}"


class MixUpCallback(LearnerCallback):
    """Mix each training row with another row of its batch: ``share * one + (1 - share) * other``.

    Parameters
    ----------
    learn : Learner
        The learner to train.
    alpha : float
        Shares are drawn from Beta(alpha, alpha), and the larger of share and 1 - share is used.
    stack_x : bool
        Pass (one, other, share) to the model instead of mixing the inputs.
    stack_y : bool
        Use a ``MixUpLoss`` of both targets during the fit instead of mixing the targets.
    seed : int or numpy.random.Generator, optional
        Seed of shares and partners.

    Raises
    ------
    ValueError
        If ``alpha`` is not a positive number.
    RuntimeError
        When a fit begins, if another ``MixUpCallback`` is active.
    TypeError
        At a batch, if integers would be mixed.

    See Also
    --------
    minifast.callbacks.mixup : The short way to use it.

    References
    ----------
    Zhang, Cisse, Dauphin, Lopez-Paz: "mixup: Beyond Empirical Risk Minimization", ICLR 2018.

    Examples
    --------
    >>> from functools import partial
    >>> gentle = partial(MixUpCallback, alpha=.1)  # for callback_fns=[...]
    """

    _order = -30  # restores the loss before another callback's on_train_end can fail

    def __init__(self, learn: Learner, alpha: float = .4, stack_x: bool = False,
                 stack_y: bool = True, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(learn)
        if not 0 < alpha < float("inf"):
            raise ValueError(f"shares are drawn from Beta(alpha, alpha), so alpha is a positive "
                             f"number, got {alpha}")
        self.alpha, self.stack_x, self.stack_y, self.seed = alpha, stack_x, stack_y, seed
        self.replaced: Any = None

    def on_train_begin(self) -> None:
        self.rng = generator(self.seed)
        loss = self.learn.loss_func
        if isinstance(loss, MixUpLoss):
            raise RuntimeError("this learner mixes up already; take one of the two out of "
                               "learn.callback_fns or of the fit's callbacks")
        if self.stack_y:
            self.learn.loss_func, self.replaced = MixUpLoss(loss), loss

    def on_train_end(self) -> None:
        if self.replaced is not None:
            self.learn.loss_func, self.replaced = self.replaced, None

    def on_batch_begin(self, last_input: Any, last_target: Any, train: bool) -> Changes:
        if not train:
            return None
        columns, n, backend = listify(last_input), len(last_target), backend_of(last_target.data)
        drawn = self.rng.beta(self.alpha, self.alpha, n).astype(np.float32)
        share = backend.from_host(np.maximum(drawn, 1 - drawn))
        partners = backend.from_host(self.rng.permutation(n))
        *others, other = (Tensor(backend.gather(t.data, partners)) for t in (*columns, last_target))
        xb = [*columns, *others, Tensor(share)] if self.stack_x \
            else [_mix(*pair, share) for pair in zip(columns, others, strict=True)]
        return {"last_input": xb[0] if isinstance(last_input, Tensor) and not self.stack_x else xb,
                "last_target": [last_target, other, Tensor(share)] if self.stack_y
                else _mix(last_target, other, share)}


def _mix(x: Tensor, other: Tensor, share: Array) -> Tensor:
    """Return ``share * x + (1 - share) * other``, row by row; ``share`` is (bs,)."""
    if x.dtype.kind != "f":
        raise TypeError(f"a batch of {x.dtype} cannot be mixed: a mean of ids has no meaning. Give "
                        "floats, or pass stack_x=True for inputs, stack_y=True for targets")
    weight = share.reshape(-1, *[1] * (x.ndim - 1))
    return Tensor(x.data * weight + other.data * (1 - weight))


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
    minifast.callbacks.MixUpCallback : The callback that does it.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> x = np.ones((2, 1), np.float32)
    >>> learn = Learner(DataBunch([(x, x)]), Linear(1, 1), loss_func=MSELossFlat())
    >>> mixup(learn, alpha=.2).callback_fns[-1].func.__name__
    'MixUpCallback'
    """
    mix = partial(MixUpCallback, alpha=alpha, stack_x=stack_x, stack_y=stack_y)
    learn.callback_fns = [*learn.callback_fns, mix]
    return learn


setattr(Learner, mixup.__name__, mixup)
