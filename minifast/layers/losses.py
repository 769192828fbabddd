"""Losses with class weights, losses of probabilities, and losses of GANs."""
from functools import partial
from typing import Any

from ..autograd import ShapeError, Tensor, tensor
from ..nn import FlattenedLoss, Module, cross_entropy, softmax
from ..nn.losses import as_floats, reduce_losses

LOWEST_LOG = -100.
"""The lowest logarithm of a probability, as in torch: log 0 would make the loss infinite."""


def weighted_cross_entropy(pred: Tensor, target: Tensor, reduction: str = "mean",
                           weight: Any = None) -> Tensor:
    """Return the cross entropy with class weights: torch's ``F.cross_entropy``.

    Parameters
    ----------
    pred : Tensor
        Scores (n, classes).
    target : Tensor
        Classes (n,), whole numbers.
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses of all rows. The mean is weighted: it is divided by the sum of
        the rows' weights.
    weight : Tensor, array or list (classes,), optional
        Factors of the losses, one per class; by default 1.

    Returns
    -------
    Tensor
        One number, or the losses (n,).

    Raises
    ------
    ShapeError
        If there is not one weight per class.

    Examples
    --------
    >>> scores, classes = tensor([[0., 0.], [2., 0.]]), tensor([0, 1])
    >>> weighted_cross_entropy(scores, classes, "none", weight=[1., 10.])
    tensor([ 0.6931, 21.2693])
    """
    losses = cross_entropy(pred, target, "none")
    if weight is None:
        return reduce_losses(losses, reduction)
    factors = tensor(weight, device=pred.device).float()
    if factors.shape != pred.shape[1:]:
        raise ShapeError(f"weights of shape {factors.shape} for {pred.shape[1]} classes; give one "
                         "for each")
    of_rows = factors[target]
    if reduction == "mean":
        return (losses * of_rows).sum() / of_rows.sum()
    return reduce_losses(losses * of_rows, reduction)


class AxisLoss(FlattenedLoss):
    """A flattened loss of scores whose classes can be on any axis; targets need not have this axis.

    Parameters
    ----------
    name, func, reduction : str, callable, str
        As for `FlattenedLoss`.
    axis : int
        The axis of the classes.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.nn.losses import cross_entropy
    >>> loss = AxisLoss("Pixels", cross_entropy, "mean", axis=1)
    >>> round(loss(tensor([[[0., 0.], [0., 0.]]]), tensor([[0, 1]])).item(), 4)  # (1, 2 classes, 2)
    0.6931
    """

    def __init__(self, name: str, func: Any, reduction: str, axis: int) -> None:
        super().__init__(name, func, reduction, is_2d=True,
                         activation=softmax if axis == -1 else partial(softmax, axis=axis))
        self.axis = axis

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        with_axis = target.ndim == pred.ndim
        return super().__call__(_last(pred, self.axis),
                                _last(target, self.axis) if with_axis else target)


def _last(t: Tensor, axis: int) -> Tensor:
    """Return a tensor whose ``axis`` is moved to the end."""
    order = list(range(t.ndim))
    order.append(order.pop(axis))
    return t.transpose(*order)


def cross_entropy_flat(reduction: str = "mean", axis: int = -1, weight: Any = None
                       ) -> FlattenedLoss:
    """Return the flattened cross entropy with all options of fastai v1's ``CrossEntropyFlat``.

    ``CrossEntropyFlat(axis=..., weight=...)`` returns the same.

    Parameters
    ----------
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses.
    axis : int
        The axis of the classes, for example 1 for scores (bs, classes, height, width) of pixels.
    weight : Tensor, array or list (classes,), optional
        Factors of the losses, one per class; see `weighted_cross_entropy`.

    Returns
    -------
    FlattenedLoss
        The loss.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = cross_entropy_flat(axis=1)
    >>> pixels(tensor(np.zeros((2, 3, 4, 4))), tensor(np.zeros((2, 4, 4), int)))
    tensor(1.0986, dtype=float64)
    """
    func = cross_entropy if weight is None else partial(weighted_cross_entropy, weight=weight)
    return AxisLoss("CrossEntropyLoss", func, reduction, axis)


def binary_cross_entropy(pred: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Return the mean of -log p, where p is the predicted probability of the correct answer.

    torch's ``F.binary_cross_entropy``. If you have scores, `binary_cross_entropy_with_logits` is
    more accurate.

    Parameters
    ----------
    pred, target : Tensor
        Probabilities of the answer 1, and targets from 0 to 1, of the same shape.
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses of all elements.

    Returns
    -------
    Tensor
        One number, or the losses in the shape of ``pred``.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If a probability is not between 0 and 1.

    Examples
    --------
    >>> binary_cross_entropy(tensor([.5]), tensor([1.]))
    tensor(0.6931)
    """
    if pred.shape != target.shape:
        raise ShapeError(f"binary cross entropy: probabilities {pred.shape} and targets "
                         f"{target.shape} differ")
    if bool(((pred.data < 0) | (pred.data > 1)).any()):
        raise ValueError("binary cross entropy needs probabilities from 0 to 1; for scores use "
                         "BCEWithLogitsFlat()")
    p, y = as_floats(pred), as_floats(target)
    return reduce_losses(-(y * _log(p) + (1 - y) * _log(1 - p)), reduction)


def _log(p: Tensor) -> Tensor:
    """Return the logarithm, at least -100, with a gradient of 0 below."""
    tiny = 1e-38
    return (p.clip(tiny, None).log()).clip(LOWEST_LOG, None)


def BCEFlat(reduction: str = "mean") -> FlattenedLoss:  # noqa: N802
    """Return the flattened binary cross entropy of probabilities: fastai v1's ``BCEFlat``.

    Parameters
    ----------
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses.

    Returns
    -------
    FlattenedLoss
        The loss.

    Examples
    --------
    >>> BCEFlat()
    FlattenedLoss of BCELoss()
    """
    return FlattenedLoss("BCELoss", binary_cross_entropy, reduction, floatify=True)


class NoopLoss(Module):
    """The mean of the output, whatever the targets are: fastai v1's ``NoopLoss``.

    Examples
    --------
    >>> NoopLoss()(tensor([1., 3.]))
    tensor(2.)
    """

    def forward(self, output: Tensor, *targets: Any) -> Tensor:
        return output.mean()


class WassersteinLoss(Module):
    """The mean of the real scores minus that of the fake ones: fastai v1's ``WassersteinLoss``.

    Examples
    --------
    >>> WassersteinLoss()(tensor([3.]), tensor([1.]))
    tensor(2.)
    """

    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        return real.mean() - fake.mean()
