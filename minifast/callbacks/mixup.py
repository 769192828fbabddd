"""Mixup: training on mixtures of two rows each (Zhang and others 2018)."""
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
    """The loss of a mixture: share x loss for one target + (1 - share) x loss for the other.

    Called with one target it is the loss that it was made from, whose reduction and activation
    it has. fastai v1's ``MixUpLoss``, which packs targets and share in one array of floats.

    >>> from minifast import tensor
    >>> from minifast.nn import MSELossFlat
    >>> mixed = MixUpLoss(MSELossFlat())
    >>> mixed(tensor([0.]), tensor([1.]), tensor([3.]), tensor([.75]))  # .75 1^2 + .25 3^2
    tensor(3.)
    """

    def __init__(self, crit: LossFunction) -> None:
        self.crit: Any = crit if hasattr(crit, "reduction") else _Reducible(crit)

    @property
    def reduction(self) -> str:
        """How the rows' losses become one: ``'mean'``, ``'sum'``, or not at all, ``'none'``."""
        return str(self.crit.reduction)

    @reduction.setter
    def reduction(self, reduction: str) -> None:
        self.crit.reduction = reduction

    @property
    def activation(self) -> Any:
        """What turns the model's output into predictions."""
        return getattr(self.crit, "activation", None)

    def __call__(self, output: Any, target: Tensor, partner: Tensor | None = None,
                 share: Tensor | None = None) -> Tensor:
        if partner is None or share is None:
            return self.crit(output, target)  # type: ignore[no-any-return]
        part = share.reshape(-1, 1)  # beside all the losses that a row may have
        losses = self._of_rows(output, target) * part + self._of_rows(output, partner) * (1 - part)
        return losses.mean() if self.reduction == "mean" \
            else losses.sum() if self.reduction == "sum" else losses.flatten()

    def _of_rows(self, output: Any, target: Tensor) -> Tensor:
        before, self.crit.reduction = self.crit.reduction, "none"
        try:
            losses: Tensor = self.crit(output, target)
        finally:
            self.crit.reduction = before
        return losses.reshape(len(target), -1)

    def __repr__(self) -> str:
        return f"MixUpLoss of {self.crit!r}"


class _Reducible:
    """A plain loss function, with its reduction as an attribute."""

    def __init__(self, func: LossFunction) -> None:
        if "reduction" not in inspect.signature(func).parameters:
            raise TypeError(f"mixup weighs the loss of each row, and {func!r} gives one number "
                            "for all; let it take reduction='none', or use a loss of minifast.nn "
                            "such as CrossEntropyFlat()")
        self.func, self.reduction = func, "mean"

    def __call__(self, output: Any, target: Tensor) -> Tensor:
        return self.func(output, target, reduction=self.reduction)

    def __repr__(self) -> str:
        return repr(self.func)


class MixUpCallback(LearnerCallback):
    """Each training row is mixed with another of its batch: share x one + (1 - share) x other.

    Shares are drawn from Beta(alpha, alpha) for each row, and the larger of share and
    1 - share is taken, so a row stays mostly itself. Inputs are mixed, or with ``stack_x`` given
    to the model as (one, other, share). With ``stack_y`` the loss is a ``MixUpLoss`` of both
    targets during the fit; without, the targets are mixed as numbers. ``seed`` (a number or a
    generator) decides shares and partners. fastai v1's ``MixUpCallback``; see ``Learner.mixup``.

    >>> from functools import partial
    >>> gentle = partial(MixUpCallback, alpha=.1)  # for callback_fns=[...]
    """

    _order = -30  # at the end, the loss is put back before anything may fail

    def __init__(self, learn: "Learner", alpha: float = .4, stack_x: bool = False,
                 stack_y: bool = True, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(learn)
        if not 0 < alpha < float("inf"):
            raise ValueError(f"shares are drawn from Beta(alpha, alpha), so alpha is a positive "
                             f"number, got {alpha}")
        self.alpha, self.stack_x, self.stack_y, self.seed = alpha, stack_x, stack_y, seed
        self.replaced: Any = None

    def on_train_begin(self, **state: Any) -> Changes:
        self.rng = generator(self.seed)
        loss = self.learn.loss_func
        if isinstance(loss, MixUpLoss):
            raise RuntimeError("this learner mixes up already; take one of the two out of "
                               "learn.callback_fns or of the fit's callbacks")
        if self.stack_y:
            self.learn.loss_func, self.replaced = MixUpLoss(loss), loss
        return None

    def on_train_end(self, **state: Any) -> Changes:
        if self.replaced is not None:
            self.learn.loss_func, self.replaced = self.replaced, None
        return None

    def on_batch_begin(self, last_input: Any = None, last_target: Any = None, train: bool = True,
                       **state: Any) -> Changes:
        if not train:
            return None
        n, backend = len(last_target), backend_of(last_target.data)
        drawn = self.rng.beta(self.alpha, self.alpha, n).astype(np.float32)
        share = backend.from_host(np.maximum(drawn, 1 - drawn))
        partners = backend.from_host(self.rng.permutation(n))
        return {"last_input": self._inputs(last_input, partners, share),
                "last_target": self._targets(last_target, partners, share)}

    def _inputs(self, xb: Any, partners: Array, share: Array) -> Any:
        columns = list(xb) if isinstance(xb, (list, tuple)) else [xb]
        others = [_rows(x, partners) for x in columns]
        if self.stack_x:
            return [*columns, *others, Tensor(share)]
        mixed = [_mix(x, other, share) for x, other in zip(columns, others, strict=True)]
        return mixed if isinstance(xb, (list, tuple)) else mixed[0]

    def _targets(self, yb: Tensor, partners: Array, share: Array) -> Any:
        other = _rows(yb, partners)
        return [yb, other, Tensor(share)] if self.stack_y else _mix(yb, other, share)


def _rows(x: Tensor, rows: Array) -> Tensor:
    return Tensor(backend_of(x.data).gather(x.data, rows))


def _mix(x: Tensor, other: Tensor, share: Array) -> Tensor:
    if x.dtype.kind != "f":
        raise TypeError(f"a batch of {x.dtype} cannot be mixed: half of number 3 is no number of "
                        "a class or a row. Give inputs as floats, or pass stack_x=True for "
                        "inputs, stack_y=True for targets")
    part = share.reshape(-1, *[1] * (x.ndim - 1))
    return Tensor(x.data * part + other.data * (1 - part))
