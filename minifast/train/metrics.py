"""Metrics: numbers about the validation set that a person can read."""
from collections.abc import Callable
from typing import Any

from ..autograd import ShapeError, Tensor
from .callback import Callback, Changes

MetricFunction = Callable[..., Tensor]


class Metric(Callback):
    """A metric that sees the whole epoch: gather in ``add``, give the number in ``value``."""

    @property
    def name(self) -> str:
        """The head of its column."""
        return type(self).__name__

    def reset(self) -> None:
        """Forget the last epoch."""
        raise NotImplementedError

    def add(self, pred: Tensor, target: Tensor) -> None:
        """Take one batch in."""
        raise NotImplementedError

    def value(self) -> Any:
        """The number for the epoch."""
        raise NotImplementedError

    def on_epoch_begin(self, **state: Any) -> Changes:
        self.reset()
        return None

    def on_batch_end(self, last_output: Any = None, last_target: Any = None,
                     **state: Any) -> Changes:
        self.add(last_output, last_target)
        return None

    def on_epoch_end(self, last_metrics: Any = None, **state: Any) -> Changes:
        return {"last_metrics": [*last_metrics, self.value()]}


class AverageMetric(Metric):
    """A function of one batch, averaged over the rows: how plain functions become metrics.

    The average of a root is not the root of the average: use ``RMSE`` where that matters.
    """

    def __init__(self, func: MetricFunction) -> None:
        self.func = func
        self.reset()

    @property
    def name(self) -> str:
        """The function's name."""
        func = getattr(self.func, "func", self.func)  # a partial has the function inside
        return str(getattr(func, "__name__", type(func).__name__))

    def reset(self) -> None:
        """Forget the last epoch."""
        self.total: Any = 0.
        self.rows = 0

    def add(self, pred: Tensor, target: Any) -> None:
        """Take one batch in; a list of targets becomes the function's arguments."""
        targets = target if isinstance(target, (list, tuple)) else [target]
        n = len(targets[0])
        self.total = self.total + self.func(pred, *targets) * n
        self.rows += n

    def value(self) -> Any:
        """The average over the rows."""
        return self.total / self.rows


def as_metric(metric: Any) -> Callback:
    """A metric object from an object, a class or a function.

    >>> as_metric(accuracy).name
    'accuracy'
    """
    made = metric() if isinstance(metric, type) else metric
    return made if isinstance(made, Callback) else AverageMetric(made)


def _flat(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    pred, target = pred.flatten(), target.flatten()
    if pred.shape != target.shape:
        raise ShapeError(f"a regression metric needs as many predictions as targets, got "
                         f"{pred.numel()} and {target.numel()}")
    return pred, target


# ---------------------------------------------------------------- regression


def mean_squared_error(pred: Tensor, target: Tensor) -> Tensor:
    """Mean of (pred - target)^2.

    >>> from minifast import tensor
    >>> mean_squared_error(tensor([1., 2.]), tensor([1., 4.]))
    tensor(2.)
    """
    pred, target = _flat(pred, target)
    return ((pred - target) ** 2).mean()


def root_mean_squared_error(pred: Tensor, target: Tensor) -> Tensor:
    """Root of the mean squared error.

    >>> from minifast import tensor
    >>> root_mean_squared_error(tensor([1., 3.]), tensor([3., 5.]))
    tensor(2.)
    """
    return mean_squared_error(pred, target).sqrt()


def mean_absolute_error(pred: Tensor, target: Tensor) -> Tensor:
    """Mean of |pred - target|.

    >>> from minifast import tensor
    >>> mean_absolute_error(tensor([1., 3.]), tensor([2., 5.]))
    tensor(1.5000)
    """
    pred, target = _flat(pred, target)
    return (pred - target).abs().mean()


def mean_squared_logarithmic_error(pred: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of log(1 + x).

    >>> from minifast import tensor
    >>> mean_squared_logarithmic_error(tensor([1.]), tensor([1.]))
    tensor(0.)
    """
    pred, target = _flat(pred, target)
    return mean_squared_error((pred + 1).log(), (target + 1).log())


def explained_variance(pred: Tensor, target: Tensor) -> Tensor:
    """1 - var(target - pred) / var(target).

    >>> from minifast import tensor
    >>> explained_variance(tensor([1., 2., 3.]), tensor([2., 3., 4.]))
    tensor(1.)
    """
    pred, target = _flat(pred, target)
    return 1 - (target - pred).var() / target.var()


def r2_score(pred: Tensor, target: Tensor) -> Tensor:
    """1 - squared errors / squared distances from the mean.

    >>> from minifast import tensor
    >>> r2_score(tensor([2., 2.]), tensor([1., 3.]))
    tensor(0.)
    """
    pred, target = _flat(pred, target)
    return 1 - ((target - pred) ** 2).sum() / ((target - target.mean()) ** 2).sum()


# ---------------------------------------------------------------- classification


def accuracy(pred: Tensor, target: Tensor) -> Tensor:
    """Share of rows whose largest score is the right class: (n, classes), (n,).

    >>> from minifast import tensor
    >>> accuracy(tensor([[.1, .9], [.8, .2]]), tensor([1, 1]))
    tensor(0.5000)
    """
    best = pred.argmax(-1).reshape(-1)
    return (best == target.reshape(-1)).float().mean()


def error_rate(pred: Tensor, target: Tensor) -> Tensor:
    """1 - accuracy.

    >>> from minifast import tensor
    >>> error_rate(tensor([[.1, .9], [.8, .2]]), tensor([1, 1]))
    tensor(0.5000)
    """
    return 1 - accuracy(pred, target)


def top_k_accuracy(pred: Tensor, target: Tensor, k: int = 5) -> Tensor:
    """Share of rows whose right class is among the ``k`` largest scores.

    >>> from minifast import tensor
    >>> top_k_accuracy(tensor([[.1, .5, .4]]), tensor([2]), k=2)
    tensor(1.)
    """
    best = pred.argsort(-1)[:, -min(k, pred.shape[-1]):]
    hits = best == target.reshape(-1, 1)
    return hits.float().sum(-1).mean()


def accuracy_thresh(pred: Tensor, target: Tensor, thresh: float = .5,
                    sigmoid: bool = True) -> Tensor:
    """Share of yes-or-no answers that are right: scores and 0/1 targets of one shape.

    >>> from minifast import tensor
    >>> accuracy_thresh(tensor([[2., -2.]]), tensor([[1, 1]]))
    tensor(0.5000)
    """
    probability = pred.sigmoid() if sigmoid else pred
    return ((probability > thresh) == (target > .5)).float().mean()


# ---------------------------------------------------------------- over the whole epoch


class _Whole(Metric):
    """Base of metrics that are one function of all predictions and all targets."""

    func: Callable[[Tensor, Tensor], Tensor]

    def reset(self) -> None:
        self.preds: list[Tensor] = []
        self.targets: list[Tensor] = []

    def add(self, pred: Tensor, target: Tensor) -> None:
        self.preds.append(pred.reshape(-1))
        self.targets.append(target.reshape(-1))

    def value(self) -> Tensor:
        from ..autograd import cat
        return type(self).func(cat(self.preds), cat(self.targets))


class RMSE(_Whole):
    """Root of the mean squared error of the whole epoch."""

    func = staticmethod(root_mean_squared_error)


class R2Score(_Whole):
    """R^2 of the whole epoch."""

    func = staticmethod(r2_score)


class ExplainedVariance(_Whole):
    """Explained variance of the whole epoch."""

    func = staticmethod(explained_variance)


mse, rmse, mae = mean_squared_error, root_mean_squared_error, mean_absolute_error
msle = mean_squared_logarithmic_error
