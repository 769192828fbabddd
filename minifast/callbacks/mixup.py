"""Mixup: training on weighted means of two rows each."""
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor
from ..backend import Array, backend_of, generator
from ..train.callback import Changes, LearnerCallback
from ..train.loop import LossFunction

if TYPE_CHECKING:
    from ..train.learner import Learner


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
        self.crit: Any = crit if hasattr(crit, "reduction") else _Reducible(crit)

    @property
    def reduction(self) -> str:
        """The wrapped loss's reduction: ``'mean'``, ``'sum'`` or ``'none'``."""
        return str(self.crit.reduction)

    @reduction.setter
    def reduction(self, reduction: str) -> None:
        self.crit.reduction = reduction

    @property
    def activation(self) -> Any:
        """The function that turns the model's output into predictions."""
        return getattr(self.crit, "activation", None)

    def __call__(self, output: Any, target: Tensor, partner: Tensor | None = None,
                 share: Tensor | None = None) -> Tensor:
        if partner is None or share is None:
            return self.crit(output, target)  # type: ignore[no-any-return]
        weight = share.reshape(-1, 1)  # (bs, 1): a row may have several losses
        losses = self._row_losses(output, target) * weight \
            + self._row_losses(output, partner) * (1 - weight)
        return losses.mean() if self.reduction == "mean" \
            else losses.sum() if self.reduction == "sum" else losses.flatten()

    def _row_losses(self, output: Any, target: Tensor) -> Tensor:
        """Return the losses of each row, (bs, losses per row)."""
        before, self.crit.reduction = self.crit.reduction, "none"
        try:
            losses: Tensor = self.crit(output, target)
        finally:
            self.crit.reduction = before
        return losses.reshape(len(target), -1)

    def __repr__(self) -> str:
        return f"MixUpLoss of {self.crit!r}"


class _Reducible:
    """A loss function whose argument ``reduction`` has become an attribute."""

    def __init__(self, func: LossFunction) -> None:
        if "reduction" not in inspect.signature(func).parameters:
            raise TypeError(f"mixup needs the loss of each row, and {func!r} gives one number "
                            "for all; let it take reduction='none', or use a loss of minifast.nn "
                            "such as CrossEntropyFlat()")
        self.func, self.reduction = func, "mean"

    def __call__(self, output: Any, target: Tensor) -> Tensor:
        return self.func(output, target, reduction=self.reduction)

    def __repr__(self) -> str:
        return repr(self.func)


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
    Learner.mixup : The short way to use it.

    References
    ----------
    Zhang, Cisse, Dauphin, Lopez-Paz: "mixup: Beyond Empirical Risk Minimization", ICLR 2018.

    Examples
    --------
    >>> from functools import partial
    >>> gentle = partial(MixUpCallback, alpha=.1)  # for callback_fns=[...]
    """

    _order = -30  # restores the loss before another callback's on_train_end can fail

    def __init__(self, learn: "Learner", alpha: float = .4, stack_x: bool = False,
                 stack_y: bool = True, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(learn)
        if not 0 < alpha < float("inf"):
            raise ValueError(f"shares are drawn from Beta(alpha, alpha), so alpha is a positive "
                             f"number, got {alpha}")
        self.alpha, self.stack_x, self.stack_y, self.seed = alpha, stack_x, stack_y, seed
        self.replaced: Any = None

    def on_train_begin(self, **state: Any) -> None:
        self.rng = generator(self.seed)
        loss = self.learn.loss_func
        if isinstance(loss, MixUpLoss):
            raise RuntimeError("this learner mixes up already; take one of the two out of "
                               "learn.callback_fns or of the fit's callbacks")
        if self.stack_y:
            self.learn.loss_func, self.replaced = MixUpLoss(loss), loss

    def on_train_end(self, **state: Any) -> None:
        if self.replaced is not None:
            self.learn.loss_func, self.replaced = self.replaced, None

    def on_batch_begin(self, last_input: Any = None, last_target: Any = None, train: bool = True,
                       **state: Any) -> Changes:
        if not train:
            return None
        n, backend = len(last_target), backend_of(last_target.data)
        drawn = self.rng.beta(self.alpha, self.alpha, n).astype(np.float32)
        share = backend.from_host(np.maximum(drawn, 1 - drawn))
        partners = backend.from_host(self.rng.permutation(n))
        other = _take(last_target, partners)
        return {"last_input": self._inputs(last_input, partners, share),
                "last_target": [last_target, other, Tensor(share)] if self.stack_y
                else _mix(last_target, other, share)}

    def _inputs(self, xb: Any, partners: Array, share: Array) -> Any:
        columns = list(xb) if isinstance(xb, (list, tuple)) else [xb]
        others = [_take(x, partners) for x in columns]
        if self.stack_x:
            return [*columns, *others, Tensor(share)]
        mixed = [_mix(x, other, share) for x, other in zip(columns, others, strict=True)]
        return mixed if isinstance(xb, (list, tuple)) else mixed[0]


def _take(x: Tensor, rows: Array) -> Tensor:
    return Tensor(backend_of(x.data).gather(x.data, rows))


def _mix(x: Tensor, other: Tensor, share: Array) -> Tensor:
    """Return ``share * x + (1 - share) * other``, row by row; ``share`` is (bs,)."""
    if x.dtype.kind != "f":
        raise TypeError(f"a batch of {x.dtype} cannot be mixed: the mean of two class numbers or "
                        "ids has no meaning. Give inputs as floats, or pass stack_x=True for "
                        "inputs, stack_y=True for targets")
    weight = share.reshape(-1, *[1] * (x.ndim - 1))
    return Tensor(x.data * weight + other.data * (1 - weight))
