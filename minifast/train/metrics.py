"""Metrics: numbers that tell a person how good a model is."""
from collections.abc import Callable
from typing import Any

from ..autograd import ShapeError, Tensor, cat
from ..nn.losses import as_floats
from .callback import Callback, Changes, listify

MetricFunction = Callable[..., Tensor]


class Metric(Callback):
    """Base class of metrics that see a whole epoch: ``add`` batches, then return the ``value``.

    The title of its column is its attribute ``name``, or else the name of the class.
    """

    def reset(self) -> None:
        """Forget the batches of the last epoch."""
        raise NotImplementedError

    def add(self, pred: Tensor, target: Tensor) -> None:
        """Add a batch.

        Parameters
        ----------
        pred : Tensor (bs, ...)
            Outputs of the model.
        target : Tensor (bs, ...)
            Targets.
        """
        raise NotImplementedError

    def value(self) -> Any:
        """Return the metric over all batches of the epoch."""
        raise NotImplementedError

    def on_epoch_begin(self) -> None:
        self.reset()

    def on_batch_end(self, last_output: Any, last_target: Any) -> None:
        self.add(last_output, last_target)

    def on_epoch_end(self, last_metrics: list[Any]) -> Changes:
        return {"last_metrics": [*last_metrics, self.value()]}


class AverageMetric(Metric):
    """The average of a function of each batch, weighted by rows.

    The average of roots is not the root of an average: ``RMSE`` is exact, ``rmse`` is not.

    Parameters
    ----------
    func : callable
        Returns a number for predictions and targets.
    """

    def __init__(self, func: MetricFunction) -> None:
        inner = getattr(func, "func", func)  # of a partial
        self.func, self.name = func, getattr(inner, "__name__", type(inner).__name__)

    def reset(self) -> None:
        self.total: Any = 0.
        self.rows = 0

    def add(self, pred: Tensor, target: Any) -> None:
        targets = listify(target)
        n = len(targets[0])
        self.total, self.rows = self.total + self.func(pred, *targets) * n, self.rows + n

    def value(self) -> Any:
        return self.total / self.rows


class EpochMetric(Metric):
    """A function of all predictions and all targets of an epoch."""

    func: MetricFunction

    def reset(self) -> None:
        self.batches: list[tuple[Tensor, Tensor]] = []

    def add(self, pred: Tensor, target: Tensor) -> None:
        self.batches.append((pred.reshape(-1), target.reshape(-1)))

    def value(self) -> Tensor:
        return type(self).func(*map(cat, zip(*self.batches, strict=True)))


def as_metric(metric: Any) -> Callback:
    """Return a metric made from a function, a class or an object.

    Examples
    --------
    >>> as_metric(accuracy).name
    'accuracy'
    """
    made = metric() if isinstance(metric, type) else metric
    return made if isinstance(made, Callback) else AverageMetric(made)


def metric_name(metric: Callback) -> str:
    """Return the title of a metric's column."""
    return str(getattr(metric, "name", type(metric).__name__))


# ---------------------------------------------------------------- regression


def _flat(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    pred, target = pred.flatten(), target.flatten()
    if pred.shape != target.shape:
        raise ShapeError(f"a metric needs as many predictions as targets, got {pred.numel()} "
                         f"and {target.numel()}")
    return pred, target


def mean_squared_error(pred: Tensor, target: Tensor) -> Tensor:
    """Return the mean of (pred - target)^2.

    Parameters
    ----------
    pred, target : Tensor (bs, ...)
        Predictions and targets, flattened.

    Returns
    -------
    Tensor
        The error, a single number.

    Examples
    --------
    >>> from minifast import tensor
    >>> mean_squared_error(tensor([1., 2.]), tensor([1., 4.]))
    tensor(2.)
    """
    pred, target = _flat(as_floats(pred), target)
    return ((pred - target) ** 2).mean()


def root_mean_squared_error(pred: Tensor, target: Tensor) -> Tensor:
    """Return the root of the mean squared error.

    Parameters
    ----------
    pred, target : Tensor (bs, ...)
        Predictions and targets, flattened.

    Returns
    -------
    Tensor
        The error, a single number.

    Examples
    --------
    >>> from minifast import tensor
    >>> root_mean_squared_error(tensor([1., 3.]), tensor([3., 5.]))
    tensor(2.)
    """
    return mean_squared_error(pred, target).sqrt()


def mean_absolute_error(pred: Tensor, target: Tensor) -> Tensor:
    """Return the mean of |pred - target|.

    Parameters
    ----------
    pred, target : Tensor (bs, ...)
        Predictions and targets, flattened.

    Returns
    -------
    Tensor
        The error, a single number.

    Examples
    --------
    >>> from minifast import tensor
    >>> mean_absolute_error(tensor([1., 3.]), tensor([2., 5.]))
    tensor(1.5000)
    """
    pred, target = _flat(as_floats(pred), target)
    return (pred - target).abs().mean()


def mean_squared_logarithmic_error(pred: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of log(1 + x).

    Parameters
    ----------
    pred, target : Tensor (bs, ...)
        Predictions and targets above -1, flattened.

    Returns
    -------
    Tensor
        The error, a single number.

    Examples
    --------
    >>> from minifast import tensor
    >>> mean_squared_logarithmic_error(tensor([1.]), tensor([1.]))
    tensor(0.)
    """
    return mean_squared_error((as_floats(pred) + 1).log(), (as_floats(target) + 1).log())


def explained_variance(pred: Tensor, target: Tensor) -> Tensor:
    """Return 1 - var(target - pred) / var(target).

    Parameters
    ----------
    pred, target : Tensor (bs, ...)
        Predictions and targets, flattened.

    Returns
    -------
    Tensor
        A single number, 1 for a perfect prediction.

    Examples
    --------
    >>> from minifast import tensor
    >>> explained_variance(tensor([1., 2., 3.]), tensor([2., 3., 4.]))
    tensor(1.)
    """
    pred, target = _flat(as_floats(pred), target)
    return 1 - (target - pred).var() / target.var()


def r2_score(pred: Tensor, target: Tensor) -> Tensor:
    """Return R^2: 1 - sum of squared errors / sum of squared distances from the mean.

    Parameters
    ----------
    pred, target : Tensor (bs, ...)
        Predictions and targets, flattened.

    Returns
    -------
    Tensor
        A single number, 1 for a perfect prediction.

    Examples
    --------
    >>> from minifast import tensor
    >>> r2_score(tensor([2., 2.]), tensor([1., 3.]))
    tensor(0.)
    """
    pred, target = _flat(as_floats(pred), target)
    return 1 - ((target - pred) ** 2).sum() / ((target - target.mean()) ** 2).sum()


class RMSE(EpochMetric):
    """The root of the mean squared error of an epoch."""

    func = staticmethod(root_mean_squared_error)


class R2Score(EpochMetric):
    """R^2 of an epoch."""

    func = staticmethod(r2_score)


class ExplainedVariance(EpochMetric):
    """The explained variance of an epoch."""

    func = staticmethod(explained_variance)


mse, rmse, mae = mean_squared_error, root_mean_squared_error, mean_absolute_error
msle = mean_squared_logarithmic_error


# ---------------------------------------------------------------- classification


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
    best, target = _flat(pred.argmax(-1), target)
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
    _, target = _flat(best[:, 0], target)
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
    pred, target = _flat(pred, target)
    probability = pred.sigmoid() if sigmoid else pred
    return ((probability > thresh) == (target > .5)).float().mean()
