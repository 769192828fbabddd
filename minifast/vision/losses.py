"""Cross entropies for noisy labels and for rare classes: label smoothing, focal loss, weights."""
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..autograd import ShapeError, Tensor
from ..backend import transfer
from ..data import DataBunch
from ..nn import FlattenedLoss, cross_entropy, softmax
from ..nn.losses import as_floats, reduce_losses


def label_smoothing_cross_entropy(pred: Tensor, target: Tensor, reduction: str = "mean",
                                  eps: float = .1) -> Tensor:
    """Return the cross entropy with ``eps`` of each target spread evenly over all classes.

    For c classes with probabilities p it is (1 - eps) (-log p[target]) + eps/c (sum of -log p).

    Parameters
    ----------
    pred : Tensor
        Scores (n, classes).
    target : Tensor
        Classes (n,), whole numbers.
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses of all rows.
    eps : float
        The fraction to spread.

    Returns
    -------
    Tensor
        One number, or the losses (n,).

    References
    ----------
    Szegedy and others 2016, Rethinking the Inception architecture for computer vision.

    Examples
    --------
    >>> from minifast import tensor
    >>> label_smoothing_cross_entropy(tensor([[0., 0.]]), tensor([1]))
    tensor(0.6931)
    """
    at_target, pred = cross_entropy(pred, target, "none"), as_floats(pred)
    shifted = pred - pred.detach().max(1, keepdims=True)
    mean_of_all = shifted.exp().sum(1).log() - shifted.mean(1)  # the mean of -log p
    return reduce_losses((1 - eps) * at_target + eps * mean_of_all, reduction)


def LabelSmoothingCrossEntropy(eps: float = .1, reduction: str = "mean"  # noqa: N802
                               ) -> FlattenedLoss:
    """Return the cross entropy with smoothed labels, flattened.

    Parameters
    ----------
    eps : float
        The fraction of a target that is spread over all classes, in [0, 1).
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses.

    Returns
    -------
    FlattenedLoss
        The loss; ``label_smoothing_cross_entropy`` has the formula.

    Raises
    ------
    ValueError
        If ``eps`` is out of range.

    Examples
    --------
    >>> LabelSmoothingCrossEntropy()
    FlattenedLoss of LabelSmoothingCrossEntropy()
    """
    if not 0 <= eps < 1:
        raise ValueError(f"eps is the share of a target given to all classes, from 0 to below 1, "
                         f"got {eps}")
    return FlattenedLoss("LabelSmoothingCrossEntropy",
                         partial(label_smoothing_cross_entropy, eps=eps), reduction, is_2d=True,
                         activation=softmax)


# ---------------------------------------------------------------- rare classes


def focal_loss(pred: Tensor, target: Tensor, reduction: str = "mean", gamma: float = 2.,
               weight: Tensor | None = None) -> Tensor:
    """Return the focal loss, in which rows that are predicted well count less.

    For a row whose class has probability p it is -weight (1 - p)^gamma log p.

    Parameters
    ----------
    pred : Tensor
        Scores (n, classes).
    target : Tensor
        Classes (n,), whole numbers.
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses of all rows.
    gamma : float
        0 gives the cross entropy; the larger, the less the easy rows count.
    weight : Tensor, optional
        A weight per class (classes,), the paper's alpha.

    Returns
    -------
    Tensor
        One number, or the losses (n,). The mean is that over the rows, also with weights.

    Raises
    ------
    ShapeError
        If there is not one weight per class.

    References
    ----------
    Lin and others 2017, Focal loss for dense object detection, equation 5.

    Examples
    --------
    >>> from minifast import tensor
    >>> focal_loss(tensor([[0., 0.]]), tensor([1]))  # a quarter of log 2
    tensor(0.1733)
    """
    losses = cross_entropy(pred, target, "none")
    if gamma:
        rest = 1 - (-losses).exp()
        losses = (rest.clip(1e-7) if gamma < 1 else rest) ** gamma * losses
    if weight is not None:
        if weight.shape != pred.shape[1:]:
            raise ShapeError(f"scores of {pred.shape[1]} classes need {pred.shape[1]} weights, got "
                             f"{weight.shape}")
        losses = losses * weight.to(pred.device)[target]
    return reduce_losses(losses, reduction)


def FocalLoss(gamma: float = 2., weight: Any = None, reduction: str = "mean"  # noqa: N802
              ) -> FlattenedLoss:
    """Return the focal loss, flattened, for classes of very different sizes.

    Parameters
    ----------
    gamma : float
        How much less the rows that are predicted well count, at least 0.
    weight : array (classes,), optional
        A weight per class, such as ``class_weights(data)`` returns: the paper's alpha.
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses.

    Returns
    -------
    FlattenedLoss
        The loss; ``focal_loss`` has the formula.

    Raises
    ------
    ValueError
        If ``gamma`` or a weight is negative.

    See Also
    --------
    fastai.losses.FocalLossFlat : Its version in fastai 2, whose p depends on the weights.

    Examples
    --------
    >>> FocalLoss(gamma=1.5)
    FlattenedLoss of FocalLoss()
    """
    if gamma < 0:
        raise ValueError(f"gamma is at least 0, got {gamma}")
    weights = None if weight is None else _checked_weights(weight)
    return FlattenedLoss("FocalLoss", partial(focal_loss, gamma=gamma, weight=weights), reduction,
                         is_2d=True, activation=softmax)


def _checked_weights(weight: Any) -> Tensor:
    found = weight if isinstance(weight, Tensor) else Tensor(np.asarray(weight, np.float32))
    if found.ndim != 1 or not (np.isfinite(values := found.numpy()) & (values >= 0)).all():
        raise ValueError(f"weight has one finite number per class, at least 0; got {weight}")
    return found


def class_weights(data: DataBunch | Sequence[int]) -> Tensor:
    """Return weights of classes that make all classes count equally.

    A class with m of the n training rows has n / (classes m), so the mean weight of a row is 1.

    Parameters
    ----------
    data : DataBunch or list of int (n,)
        Data with a class number per row, or the class numbers.

    Returns
    -------
    Tensor (classes,)
        For ``FocalLoss(weight=)`` or ``CrossEntropyFlat(weight=)``.

    Raises
    ------
    TypeError
        If the targets are not class numbers.
    ValueError
        If a class does not occur.

    See Also
    --------
    sklearn.utils.class_weight.compute_class_weight : The same with ``'balanced'``.

    Examples
    --------
    >>> class_weights([0, 0, 0, 1])
    tensor([0.6667, 2.0000])
    """
    labels, n, device = (transfer(data.train_ds.y, "cpu"), data.c or 0, data.device) \
        if isinstance(data, DataBunch) else (np.asarray(data), 0, "cpu")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise TypeError(f"class weights need one class number per row, got targets of shape "
                        f"{labels.shape} and type {labels.dtype}")
    counts = np.bincount(labels, minlength=n)
    if not counts.all():
        raise ValueError(f"class {counts.argmin()} has no training rows; leave it out of the "
                         "classes, or give the weights yourself")
    return Tensor((len(labels) / (len(counts) * counts)).astype(np.float32)).to(device)
