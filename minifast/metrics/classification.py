"""Metrics of classification."""
from ..autograd import ShapeError, Tensor
from ..nn.losses import as_floats
from .regression import flat_pair


def accuracy(pred: Tensor, target: Tensor) -> Tensor:
    """Return the share of rows in which the target class has the largest score.

    Parameters
    ----------
    pred : Tensor (..., classes)
        Scores.
    target : Tensor (...) or (..., 1)
        Classes.

    Returns
    -------
    Tensor
        A single number from 0 to 1.

    Examples
    --------
    >>> from minifast import tensor
    >>> accuracy(tensor([[.1, .9], [.8, .2]]), tensor([1, 1]))
    tensor(0.5000)
    """
    best, target = flat_pair(pred.argmax(-1), target)
    return (best == target).float().mean()


def error_rate(pred: Tensor, target: Tensor) -> Tensor:
    """Return 1 - accuracy.

    Parameters
    ----------
    pred : Tensor (..., classes)
        Scores.
    target : Tensor (...) or (..., 1)
        Classes.

    Returns
    -------
    Tensor
        A single number from 0 to 1.

    Examples
    --------
    >>> from minifast import tensor
    >>> error_rate(tensor([[.1, .9], [.8, .2]]), tensor([1, 1]))
    tensor(0.5000)
    """
    return 1 - accuracy(pred, target)


def top_k_accuracy(pred: Tensor, target: Tensor, k: int = 5) -> Tensor:
    """Return the share of rows whose target class is among the ``k`` largest scores.

    Parameters
    ----------
    pred : Tensor (..., classes)
        Scores.
    target : Tensor (...) or (..., 1)
        Classes.
    k : int
        Number of scores.

    Returns
    -------
    Tensor
        A single number from 0 to 1.

    Raises
    ------
    ShapeError
        If there are more or fewer targets than rows.
    ValueError
        If ``k`` is below 1.

    Examples
    --------
    >>> from minifast import tensor
    >>> top_k_accuracy(tensor([[.1, .5, .4]]), tensor([2]), k=2)
    tensor(1.)
    """
    if k < 1:
        raise ValueError(f"top_k_accuracy looks among the k largest scores, got k={k}")
    best = pred.argsort(-1)[..., -k:].reshape(-1, min(k, pred.shape[-1]))
    _, target = flat_pair(best[:, 0], target)
    return (best == target.unsqueeze(1)).float().sum(-1).mean()


def accuracy_thresh(pred: Tensor, target: Tensor, thresh: float = .5,
                    sigmoid: bool = True) -> Tensor:
    """Return the share of yes-or-no answers that are correct.

    Parameters
    ----------
    pred : Tensor (bs, ...)
        Scores, or probabilities.
    target : Tensor (bs, ...)
        Answers, 0 or 1.
    thresh : float
        The probability above which the answer is yes.
    sigmoid : bool
        Whether ``pred`` holds scores, whose sigmoid is the probability.

    Returns
    -------
    Tensor
        A single number from 0 to 1.

    Examples
    --------
    >>> from minifast import tensor
    >>> accuracy_thresh(tensor([[2., -2.]]), tensor([[1, 1]]))
    tensor(0.5000)
    """
    pred, target = flat_pair(pred, target)
    probability = pred.sigmoid() if sigmoid else pred
    return ((probability > thresh) == (target > .5)).float().mean()


def fbeta(pred: Tensor, target: Tensor, thresh: float = .2, beta: float = 2, eps: float = 1e-9,
          sigmoid: bool = True) -> Tensor:
    """Return the mean over rows of the F score, if each row has several yes-or-no answers.

    Parameters
    ----------
    pred : Tensor (bs, labels)
        Scores, or probabilities.
    target : Tensor (bs, labels)
        Answers, 0 or 1.
    thresh : float
        The probability above which the answer is yes.
    beta : float
        How many times more weight recall has than precision.
    eps : float
        Added to divisors, which may be 0.
    sigmoid : bool
        Whether ``pred`` holds scores, whose sigmoid is the probability.

    Returns
    -------
    Tensor
        A single number from 0 to 1.

    Raises
    ------
    ShapeError
        If predictions and targets do not have the same shape (bs, labels).

    Examples
    --------
    >>> from minifast import tensor
    >>> fbeta(tensor([[2., -2., 1.]]), tensor([[1, 0, 1]]))
    tensor(1.)
    """
    if pred.shape != target.shape or pred.ndim != 2:
        raise ShapeError(f"fbeta needs predictions and targets of the same shape (bs, labels), got "
                         f"{pred.shape} and {target.shape}")
    yes = ((pred.sigmoid() if sigmoid else pred) > thresh).float()
    right = (yes * as_floats(target)).sum(1)
    precision, recall = right / (yes.sum(1) + eps), right / (as_floats(target).sum(1) + eps)
    return ((1 + beta ** 2) * precision * recall / (beta ** 2 * precision + recall + eps)).mean()


# ---------------------------------------------------------------- a class for each pixel


def _classes(name: str, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return predicted and true classes (bs, pixels)."""
    n = len(target)
    if pred.ndim < 2 or pred.numel() != target.numel() * pred.shape[1]:
        raise ShapeError(f"{name} needs scores (bs, classes, ...) and targets (bs, ...), got "
                         f"{pred.shape} and {target.shape}")
    return pred.argmax(1).reshape(n, -1), target.reshape(n, -1)


def dice(pred: Tensor, target: Tensor, iou: bool = False, eps: float = 1e-8) -> Tensor:
    """Return the mean over rows of the overlap of the pixels of class 1.

    The overlap of the pixels A and B is ``2 |A B| / (|A| + |B|)``.

    Parameters
    ----------
    pred : Tensor (bs, 2, ...)
        Scores of both classes.
    target : Tensor (bs, ...)
        Classes, 0 or 1.
    iou : bool
        Whether to return intersection over union instead: ``|A B| / |A or B|``.
    eps : float
        Added to the divisor of intersection over union.

    Returns
    -------
    Tensor
        A single number from 0 to 1. A row without class 1 in prediction and target counts as 1.

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> from minifast import tensor
    >>> dice(tensor([[[.1, .9, .8], [.9, .1, .2]]]), tensor([[1, 1, 0]]))
    tensor(0.6667)
    """
    best, target = _classes("dice", pred, target)
    both = as_floats(best * target).sum(1)
    total = as_floats(best + target).sum(1)
    none = (total == 0).float()
    overlap = both / (total - both + eps) if iou else 2 * both / (total + none)
    return (overlap * (1 - none) + none).mean()


def foreground_acc(pred: Tensor, target: Tensor, void_code: int) -> Tensor:
    """Return the share of pixels whose class is predicted correctly, without those of one class.

    Parameters
    ----------
    pred : Tensor (bs, classes, ...)
        Scores.
    target : Tensor (bs, 1, ...) or (bs, ...)
        Classes.
    void_code : int
        The class of the pixels that do not count.

    Returns
    -------
    Tensor
        A single number from 0 to 1.

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> from minifast import tensor
    >>> foreground_acc(tensor([[[.1, .9, .8], [.9, .1, .2]]]), tensor([[1, 1, 0]]), void_code=0)
    tensor(0.5000)
    """
    best, target = _classes("foreground_acc", pred, target)
    counted = (target != void_code).float()
    return ((best == target).float() * counted).sum() / counted.sum()
