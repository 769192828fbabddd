"""Recorder: what happened in a fit, as lists, a table and plots."""
from time import monotonic
from typing import TYPE_CHECKING, Any

from . import plots
from .callback import Changes, LearnerCallback
from .last_update import LastUpdate
from .table import EpochTable, format_time

if TYPE_CHECKING:
    from .learner import Learner


class Recorder(LearnerCallback):
    """Keeps the history of a fit and prints its table; fastai v1's ``Recorder``.

    Per training batch: ``losses`` (smoothed), ``lrs`` and ``moms`` (of the last layer group),
    ``group_lrs`` (a list of every group's): what the batch is trained with.
    Per epoch: ``val_losses``, ``metrics``, ``nb_batches``. Of the last whole epoch:
    ``last_update``. A new one is made at each fit; ``learn.recorder`` is the last.
    """

    _order = -10

    def __init__(self, learn: "Learner") -> None:
        super().__init__(learn)
        self.opt = learn.opt
        self.losses: list[Any] = []
        self.lrs: list[float] = []
        self.group_lrs: list[list[float]] = []
        self.moms: list[float] = []
        self.val_losses: list[float | None] = []
        self.metrics: list[list[float]] = []
        self.nb_batches: list[int] = []
        self._metric_names: list[str] = []
        self.min_grad_lr: float | None = None
        self.last_update: LastUpdate | None = None

    @property
    def names(self) -> list[str]:
        """The heads of the table's columns."""
        time = ["time"] if self.learn.add_time else []
        return ["epoch", "train_loss", "valid_loss", *self._metric_names, *time]

    def add_metric_names(self, names: list[str]) -> None:
        """Columns for a callback that gives back longer ``last_metrics`` before the recorder
        (its ``_order`` is below -10)."""
        self._metric_names += names

    def on_train_begin(self, metrics_names: Any = (), **state: Any) -> Changes:
        self._metric_names = [*metrics_names, *self._metric_names]
        self._table: EpochTable | None = None
        self._hypers = self.learn.optimizer.hypers
        self.last_update = LastUpdate(self.learn.optimizer)
        return None

    def on_epoch_begin(self, **state: Any) -> Changes:
        self._start, self._last = monotonic(), len(self.learn.data.train_dl) - 1
        if self._table is None:  # only now do all callbacks have their columns
            self._table = EpochTable(self.names, silent=self.learn.silent_table)
        return None

    def on_backward_begin(self, num_batch: int = 0, smooth_loss: Any = None,
                          **state: Any) -> Changes:
        hypers = self._hypers
        self.losses.append(smooth_loss)
        self.group_lrs.append([of_group["lr"] for of_group in hypers])
        self.lrs.append(hypers[-1]["lr"])
        self.moms.append(hypers[-1].get("mom", 0.))
        if num_batch == self._last and self.last_update is not None:
            self.last_update.begin()
        return None

    def on_epoch_end(self, epoch: int = 0, num_batch: int = 0, smooth_loss: Any = None,
                     last_metrics: Any = (), **state: Any) -> Changes:
        if self.last_update is not None:
            self.last_update.end()  # where the last batch has skipped its step
        self.nb_batches.append(num_batch)
        values = [None if v is None else float(v) for v in last_metrics] or [None]
        self.val_losses.append(values[0])
        self.metrics.append([v for v in values[1:] if v is not None])
        train_loss = None if smooth_loss is None else float(smooth_loss)
        self._write_row(epoch, [train_loss, *values])
        return None

    def on_train_end(self, **state: Any) -> Changes:
        if self.last_update is not None:
            self.last_update.forget()
        return None

    def _write_row(self, epoch: int, values: list[float | None]) -> None:
        room = len(self.names) - 1 - self.learn.add_time
        row: list[Any] = [epoch, *values, *[None] * (room - len(values))]
        if self.learn.add_time:
            row.append(format_time(monotonic() - self._start))
        if self._table is not None:
            self._table.write(row)

    # ---- plots

    def plot(self, skip_start: int = 10, skip_end: int = 5, suggestion: bool = False,
             return_fig: bool = False, **kwargs: Any) -> Any:
        """Smoothed loss against learning rate, after ``lr_find``.

        With ``suggestion``, marks and prints the rate at which the loss falls most steeply per
        step and keeps it in ``min_grad_lr``. It is a noisy number; ``suggestions()`` has others.
        """
        return plots.plot_lr_find(self, skip_start, skip_end, suggestion, return_fig, **kwargs)

    def suggestions(self) -> dict[str, float]:
        """fastai v2's four readings of an ``lr_find`` curve: valley, slide, minimum, steep."""
        return plots.suggest(self.lrs, [float(loss) for loss in self.losses])

    def plot_lr(self, show_moms: bool = False, skip_start: int = 0, skip_end: int = 0,
                return_fig: bool = False) -> Any:
        """Learning rate, and momentum, against the iteration."""
        return plots.plot_lr(self, show_moms, skip_start, skip_end, return_fig)

    def plot_losses(self, skip_start: int = 0, skip_end: int = 0, return_fig: bool = False) -> Any:
        """Training and validation loss against the batches processed."""
        return plots.plot_losses(self, skip_start, skip_end, return_fig)

    def plot_metrics(self, skip_start: int = 0, skip_end: int = 0,
                     return_fig: bool = False) -> Any:
        """Each metric against the batches processed."""
        return plots.plot_metrics(self, skip_start, skip_end, return_fig)
