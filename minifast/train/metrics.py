"""Metrics: numbers that tell a person how good a model is. `minifast.metrics` has many."""
from collections.abc import Callable
from typing import Any

from ..autograd import Tensor, cat
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

    The average of roots is not the root of an average: that takes an `EpochMetric`.

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
    >>> as_metric(max).name
    'max'
    """
    made = metric() if isinstance(metric, type) else metric
    return made if isinstance(made, Callback) else AverageMetric(made)


def metric_name(metric: Callback) -> str:
    """Return the title of a metric's column."""
    return str(getattr(metric, "name", type(metric).__name__))
