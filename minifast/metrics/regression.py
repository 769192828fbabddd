"""Metrics of regression."""
from collections.abc import Callable

from ..autograd import ShapeError, Tensor, cat
from ..nn.losses import as_floats
from ..train import Metric


def flat_pair(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return predictions and targets, flattened to the same length.

    Parameters
    ----------
    pred, target : Tensor
        Predictions and targets.

    Returns
    -------
    pred, target : Tensor (n,)
        The same, flattened.

    Raises
    ------
    ShapeError
        If their numbers of elements differ.

    Examples
    --------
    >>> from minifast import tensor
    >>> flat_pair(tensor([[1.], [2.]]), tensor([3., 4.]))
    (tensor([1., 2.]), tensor([3., 4.]))
    """
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
    pred, target = flat_pair(as_floats(pred), target)
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
    """Return the mean of ``|pred - target|``.

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
    pred, target = flat_pair(as_floats(pred), target)
    return (pred - target).abs().mean()


def mean_squared_logarithmic_error(pred: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of log(1 + x).

    Parameters
    ----------
    pred, target : Tensor (bs, ...)
        Predictions and targets above -1; they are flattened.

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
    pred, target = flat_pair(as_floats(pred), target)
    return 1 - (target - pred).var() / target.var()


def r2_score(pred: Tensor, target: Tensor) -> Tensor:
    """Return R^2: 1 - (sum of squared errors) / (sum of squared distances from the mean).

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
    pred, target = flat_pair(as_floats(pred), target)
    return 1 - ((target - pred) ** 2).sum() / ((target - target.mean()) ** 2).sum()


def exp_rmspe(pred: Tensor, target: Tensor) -> Tensor:
    """Return the root of the mean of ((e^target - e^pred) / e^target)^2.

    Parameters
    ----------
    pred, target : Tensor (bs, ...)
        Logarithms of predictions and targets, flattened.

    Returns
    -------
    Tensor
        The error, a single number.

    Examples
    --------
    >>> from minifast import tensor
    >>> exp_rmspe(tensor([1., 2.]), tensor([1., 2.]))
    tensor(0.)
    """
    pred, target = (x.exp() for x in flat_pair(as_floats(pred), as_floats(target)))
    return (((target - pred) / target) ** 2).mean().sqrt()


class EpochMetric(Metric):
    """Base class of metrics that are a function of all predictions and targets of an epoch."""

    func: Callable[..., Tensor]

    def reset(self) -> None:
        self.batches: list[tuple[Tensor, Tensor]] = []

    def add(self, pred: Tensor, target: Tensor) -> None:
        self.batches.append((pred.reshape(-1), target.reshape(-1)))

    def value(self) -> Tensor:
        return type(self).func(*map(cat, zip(*self.batches, strict=True)))


class RMSE(EpochMetric):
    """The root of the mean squared error of an epoch."""

    func = staticmethod(root_mean_squared_error)


class R2Score(EpochMetric):
    """R^2 of an epoch."""

    func = staticmethod(r2_score)


class ExplainedVariance(EpochMetric):
    """The explained variance of an epoch."""

    func = staticmethod(explained_variance)


class ExpRMSPE(EpochMetric):
    """The root of the mean squared relative error of e^target, in an epoch."""

    func = staticmethod(exp_rmspe)


mse, rmse, mae = mean_squared_error, root_mean_squared_error, mean_absolute_error
msle = mean_squared_logarithmic_error
