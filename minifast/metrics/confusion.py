"""Metrics that are computed from the confusion matrix of an epoch."""
from typing import Any
from warnings import warn

import numpy as np

from ..autograd import ShapeError, Tensor
from ..train import Metric
from ..train.callback import Changes
from .regression import flat_pair

HostArray = Any
AVERAGES = ("binary", "micro", "macro", "weighted", None)


class ConfusionMatrix(Metric):
    """How often each class was predicted for each actual class, in the validation rows of an epoch.

    The table of a fit cannot show a matrix, so its column is empty; read ``cm`` after the fit.

    Parameters
    ----------
    clas_idx : int
        The axis of the classes in the scores: -1, or 1 for segmentation.

    Attributes
    ----------
    cm : Tensor (classes, classes) or None
        Row t and column p count the rows of class t for which p was predicted. None before the
        first batch.
    metric : object
        The result of the last epoch; in subclasses a number, or one number for each class.

    Raises
    ------
    ShapeError
        If the scores are for fewer than two classes, or if there are more or fewer targets than
        predictions.
    ValueError
        If a target is not one of the classes.

    Examples
    --------
    >>> from minifast import tensor
    >>> matrix = ConfusionMatrix()
    >>> matrix.reset()
    >>> matrix.add(tensor([[.1, .9], [.8, .2], [.3, .7]]), tensor([1, 0, 0]))
    >>> matrix.value()
    tensor([[1., 1.],
            [0., 1.]], dtype=float64)
    """

    def __init__(self, clas_idx: int = -1) -> None:
        self.clas_idx = clas_idx
        self.reset()

    def reset(self) -> None:
        self.cm: Tensor | None = None
        self.metric: Any = None

    def add(self, pred: Tensor, target: Tensor) -> None:
        n = pred.shape[self.clas_idx] if pred.ndim > 1 else 1
        if n < 2:
            raise ShapeError(f"{type(self).__name__} needs a score for each of two or more "
                             f"classes; the model's output has shape {pred.shape}")
        pairs = flat_pair(pred.argmax(self.clas_idx), target)
        best, classes = (x.cpu().numpy().astype(np.int64) for x in pairs)
        if classes.size and not 0 <= classes.min() <= classes.max() < n:
            raise ValueError(f"{type(self).__name__}: targets go from {classes.min()} to "
                             f"{classes.max()}, but the model has scores for the classes 0 to "
                             f"{n - 1}")
        if self.cm is None:
            self.cm = Tensor(np.zeros((n, n)))
        np.add.at(self.cm.data, (classes, best), 1)

    def value(self) -> Any:
        return self.cm

    def on_epoch_end(self, last_metrics: list[Any]) -> Changes:
        self.metric = self.value()
        single = None if np.ndim(self.metric) else self.metric
        return {"last_metrics": [*last_metrics, single]}

    def counts(self) -> tuple[HostArray, HostArray, HostArray]:
        """Return the numbers (classes,) of correct, predicted and actual rows of each class."""
        m = np.zeros((2, 2)) if self.cm is None else self.cm.data
        return np.diag(m), m.sum(0), m.sum(1)


def _ratio(a: HostArray, b: HostArray) -> HostArray:
    """Return a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros(np.shape(a)), where=b > 0)


# ---------------------------------------------------------------- precision and recall


class CMScores(ConfusionMatrix):
    """Base class of metrics that combine a score for each class.

    Parameters
    ----------
    average : {'binary', 'micro', 'macro', 'weighted'} or None
        How the scores of the classes are combined. 'binary' is the score of `pos_label`; 'micro'
        counts all classes together; 'macro' is the mean over the classes; 'weighted' is the mean
        weighted by the number of rows of each class. With None, ``metric`` holds all scores and
        the table's column is empty. With more than two classes, 'binary' becomes 'macro', with a
        warning.
    pos_label : {1, 0}
        The class whose score 'binary' is.
    eps : float
        Added to the divisor of `FBeta`, which may be 0.
    clas_idx : int
        See `ConfusionMatrix`.
    ignore_idx : int, optional
        A class that 'macro' and 'weighted' leave out.

    Raises
    ------
    ValueError
        If `average` or `pos_label` is unknown.

    Notes
    -----
    fastai v1's ``CMScores``. The score of a class that never occurs is 0.

    Examples
    --------
    >>> class Right(CMScores):
    ...     def scores(self, right, predicted, there):
    ...         return right
    """

    def __init__(self, average: str | None = "binary", pos_label: int = 1, eps: float = 1e-9,
                 clas_idx: int = -1, ignore_idx: int | None = None) -> None:
        if average not in AVERAGES:
            raise ValueError(f"average is one of {', '.join(map(repr, AVERAGES))}, got "
                             f"{average!r}")
        if pos_label not in (0, 1):
            raise ValueError(f"pos_label is 0 or 1, got {pos_label!r}")
        super().__init__(clas_idx)
        self.average, self.pos_label, self.eps = average, pos_label, eps
        self.ignore_idx = ignore_idx

    def scores(self, right: HostArray, predicted: HostArray, there: HostArray) -> HostArray:
        """Return the score of each class.

        Parameters
        ----------
        right, predicted, there : array (classes,)
            Numbers of rows: of those that are predicted correctly, of those predicted to be of the
            class, and of those that are of the class.

        Returns
        -------
        array (classes,)
            The scores.

        Examples
        --------
        >>> import numpy as np
        >>> Recall().scores(np.array([2., 1.]), np.array([3., 1.]), np.array([2., 2.]))
        array([1. , 0.5])
        """
        raise NotImplementedError

    def value(self) -> Any:
        counts = self.counts()
        if self.average == "micro":
            return float(self.scores(*(count.sum(keepdims=True) for count in counts))[0])
        each = self.scores(*counts)
        if self.average is None:
            return Tensor(each)
        return float(each @ self._weights(counts[2]))

    def _weights(self, there: HostArray) -> HostArray:
        """Return the weight (classes,) of each class in the average."""
        if self.average == "binary" and len(there) != 2:
            self.average = "macro"
            warn(f"{type(self).__name__}: average='binary' is for two classes and there are "
                 f"{len(there)}; now it is 'macro'", stacklevel=2)
        if self.average == "binary":
            return np.eye(2)[self.pos_label]
        weights = there.copy() if self.average == "weighted" else np.ones(len(there))
        if self.ignore_idx is not None:
            weights[self.ignore_idx] = 0
        return _ratio(weights, weights.sum(keepdims=True))


class Precision(CMScores):
    """The share of the rows predicted to be of a class that are of this class; see `CMScores`.

    Examples
    --------
    >>> from minifast import tensor
    >>> precision = Precision()
    >>> precision.add(tensor([[.1, .9], [.8, .2], [.3, .7]]), tensor([1, 0, 0]))
    >>> precision.value()
    0.5
    """

    def scores(self, right: HostArray, predicted: HostArray, there: HostArray) -> HostArray:
        return _ratio(right, predicted)


class Recall(CMScores):
    """The share of the rows of a class that are predicted to be of this class; see `CMScores`.

    Examples
    --------
    >>> from minifast import tensor
    >>> recall = Recall(average="macro")
    >>> recall.add(tensor([[.1, .9], [.8, .2], [.3, .7]]), tensor([1, 0, 0]))
    >>> recall.value()
    0.75
    """

    def scores(self, right: HostArray, predicted: HostArray, there: HostArray) -> HostArray:
        return _ratio(right, there)


class FBeta(CMScores):
    """The weighted harmonic mean of precision and recall; recall has `beta` times more weight.

    F = (1 + beta^2) precision recall / (beta^2 precision + recall + eps)

    Parameters
    ----------
    average, pos_label, eps, clas_idx, ignore_idx : as in `CMScores`
        See `CMScores`.
    beta : float
        The weight of recall.

    Raises
    ------
    ValueError
        If `average` or `pos_label` is unknown.

    Examples
    --------
    >>> from minifast import tensor
    >>> f1 = FBeta(beta=1)
    >>> f1.add(tensor([[.1, .9], [.8, .2], [.3, .7]]), tensor([1, 0, 0]))
    >>> round(f1.value(), 4)
    0.6667
    """

    def __init__(self, average: str | None = "binary", pos_label: int = 1, eps: float = 1e-9,
                 clas_idx: int = -1, ignore_idx: int | None = None, beta: float = 2) -> None:
        super().__init__(average, pos_label, eps, clas_idx, ignore_idx)
        self.beta = beta

    def scores(self, right: HostArray, predicted: HostArray, there: HostArray) -> HostArray:
        precision, recall, weight = _ratio(right, predicted), _ratio(right, there), self.beta ** 2
        return (1 + weight) * precision * recall / (weight * precision + recall + self.eps)


# ---------------------------------------------------------------- agreement


class KappaScore(ConfusionMatrix):
    """Cohen's kappa: how much better than by chance predictions and classes agree, at most 1.

    Parameters
    ----------
    weights : {None, 'linear', 'quadratic'}
        How much a confusion counts: equally, or by the distance between the class numbers.
    clas_idx : int
        See `ConfusionMatrix`.

    Raises
    ------
    ValueError
        If `weights` is unknown.

    Examples
    --------
    >>> from minifast import tensor
    >>> kappa = KappaScore()
    >>> kappa.add(tensor([[.1, .9], [.8, .2], [.3, .7]]), tensor([1, 0, 0]))
    >>> round(kappa.value(), 4)
    0.4
    """

    def __init__(self, weights: str | None = None, clas_idx: int = -1) -> None:
        if weights not in (None, "linear", "quadratic"):
            raise ValueError(f"weights is None, 'linear' or 'quadratic', got {weights!r}")
        super().__init__(clas_idx)
        self.weights = weights

    def value(self) -> float:
        right, predicted, there = self.counts()
        step = np.arange(len(right))
        apart = np.abs(step[:, None] - step)
        badness = apart ** 2 if self.weights == "quadratic" else \
            apart if self.weights == "linear" else apart > 0
        by_chance = (badness * np.outer(there, predicted)).sum() / max(there.sum(), 1)
        found = 0. if self.cm is None else (badness * self.cm.data).sum()
        return float(1 - found / by_chance) if by_chance else float("nan")


class MatthewsCorreff(ConfusionMatrix):
    """Matthews' correlation coefficient of predictions and classes, from -1 to 1.

    Examples
    --------
    >>> from minifast import tensor
    >>> matthews = MatthewsCorreff()
    >>> matthews.add(tensor([[.1, .9], [.8, .2], [.3, .7]]), tensor([1, 0, 0]))
    >>> matthews.value()
    0.5
    """

    def value(self) -> float:
        right, predicted, there = self.counts()
        n = there.sum()
        spread = (n ** 2 - predicted @ predicted) * (n ** 2 - there @ there)
        together = right.sum() * n - there @ predicted
        return float(together / np.sqrt(spread)) if spread else float("nan")
