"""Label smoothing: a cross entropy that does not ask for certainty."""
from functools import partial

from ..autograd import Tensor
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
