"""The ROC curve of a binary classification, and the area under it."""
import numpy as np

from ..autograd import ShapeError, Tensor
from ..nn.losses import softmax
from .regression import EpochMetric, flat_pair


def roc_curve(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the false and true positive rates at each threshold, from (0, 0) to (1, 1).

    Parameters
    ----------
    pred : Tensor (n,)
        Scores; a higher one makes class 1 more likely.
    target : Tensor (n,)
        Classes; every class other than 1 counts as 0.

    Returns
    -------
    fpr, tpr : Tensor (thresholds + 1,)
        False and true positive rates. The thresholds are the scores that occur.

    Raises
    ------
    ShapeError
        If there are more or fewer targets than scores.
    ValueError
        If only one of the classes occurs.

    Examples
    --------
    >>> from minifast import tensor
    >>> fpr, tpr = roc_curve(tensor([.1, .4, .35, .8]), tensor([0, 0, 1, 1]))
    >>> fpr.tolist(), tpr.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    scores, classes = (x.cpu().numpy() for x in flat_pair(pred, target))
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], classes[order] == 1
    if positive.all() or not positive.any():
        raise ValueError(f"an ROC curve needs rows of class 1 and others; {positive.sum()} of "
                         f"{len(positive)} targets are 1")
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True))  # of each group of equal scores
    true = np.append(0, positive.cumsum()[last])
    false = np.append(0, (~positive).cumsum()[last])
    fpr, tpr = (n / n[-1] for n in (false, true))
    return Tensor(fpr.astype(np.float32)), Tensor(tpr.astype(np.float32))


def auc_roc_score(pred: Tensor, target: Tensor) -> Tensor:
    """Return the area under the ROC curve, by the trapezoid rule.

    It is the probability that a row of class 1 has a higher score than another row.

    Parameters
    ----------
    pred, target : Tensor (n,)
        Scores and classes, see `roc_curve`.

    Returns
    -------
    Tensor
        A single number, 1 for perfect scores and 0.5 for random ones.

    Examples
    --------
    >>> from minifast import tensor
    >>> auc_roc_score(tensor([.1, .4, .35, .8]), tensor([0, 0, 1, 1]))
    tensor(0.7500)
    """
    fpr, tpr = roc_curve(pred, target)
    return ((fpr[1:] - fpr[:-1]) * (tpr[1:] + tpr[:-1]) / 2).sum()


class AUROC(EpochMetric):
    """The area under the ROC curve of an epoch, for a model with two outputs.

    Raises
    ------
    ShapeError
        If the model does not have two outputs.

    Examples
    --------
    >>> from minifast import tensor
    >>> auroc = AUROC()
    >>> auroc.reset()
    >>> auroc.add(tensor([[.1, .9], [.8, .2], [.3, .7]]), tensor([1, 0, 0]))
    >>> auroc.value()
    tensor(1.)
    """

    func = staticmethod(auc_roc_score)

    def add(self, pred: Tensor, target: Tensor) -> None:
        if pred.ndim != 2 or pred.shape[1] != 2:
            raise ShapeError(f"AUROC needs a model with outputs (bs, 2), got {pred.shape}; for "
                             "one score per row there is auc_roc_score")
        super().add(softmax(pred, 1)[:, -1], target)
