"""LossMetrics: the parts of a loss as columns of the table."""
from typing import Any

from ..train import LearnerCallback
from ..train.callback import Changes, listify


class LossMetrics(LearnerCallback):
    """Show the parts of a loss, averaged over the validation rows; fastai v1's ``LossMetrics``.

    The loss has an attribute ``metrics``, a dictionary that it fills at each call, or
    ``metric_names`` next to it. Only validation batches count.

    Parameters
    ----------
    learn : Learner
        The learner whose ``loss_func`` has ``metrics``.

    Examples
    --------
    >>> class Sum:
    ...     metric_names = ["absolute", "squared"]
    ...     def __call__(self, pred, target):
    ...         parts = (pred - target).abs().mean(), ((pred - target) ** 2).mean()
    ...         self.metrics = dict(zip(self.metric_names, parts))
    ...         return parts[0] + parts[1]
    """

    _order = -20  # before the recorder, which writes the row

    def on_train_begin(self) -> None:
        loss = self.learn.loss_func
        self.names: list[str] = list(getattr(loss, "metric_names", None)
                                     or getattr(loss, "metrics", {}))
        if not self.names:
            raise TypeError(f"the loss {loss!r} has no parts to show: give it metric_names, a "
                            "list, and fill the dictionary metrics at each call")
        if hasattr(self.learn, "recorder"):
            self.learn.recorder.add_metric_names(self.names)

    def on_epoch_begin(self) -> None:
        self.totals: dict[str, Any] = dict.fromkeys(self.names, 0.)
        self.rows = 0

    def on_batch_end(self, train: bool, last_target: Any) -> None:
        if not train:
            n, parts = len(listify(last_target)[0]), self.learn.loss_func.metrics
            self.rows += n
            for name in self.names:
                self.totals[name] = self.totals[name] + getattr(
                    parts[name], "data", parts[name]) * n

    def on_epoch_end(self, last_metrics: list[Any]) -> Changes:
        if not self.rows:
            return None
        means = [float(self.totals[name]) / self.rows for name in self.names]
        return {"last_metrics": [*last_metrics, *means]}
