"""Metrics of classification."""
from ..autograd import Tensor
from .regression import flat_pair


def accuracy(pred: Tensor, target: Tensor) -> Tensor:
    """Return the share of rows whose largest score is that of the target class.

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
    """Return the share of yes-or-no answers that are right.

    Parameters
    ----------
    pred : Tensor (bs, ...)
        Scores, or probabilities.
    target : Tensor (bs, ...)
        Answers, 0 or 1.
    thresh : float
        The probability above which the answer is yes.
    sigmoid : bool
        Whether ``pred`` holds scores, of which the sigmoid is the probability.

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
