"""Callbacks that watch a fit: memory, epochs on disk, the last batch, a growing plot."""
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd.display import in_notebook
from ..train import LearnerCallback
from ..train.callback import Changes


class TrackEpochCallback(LearnerCallback):
    """Count finished epochs in a file, and continue there; fastai v1's ``TrackEpochCallback``.

    A fit after a break begins at the next epoch, and a schedule at its place in the schedule.
    ``fit_one_cycle(..., resume=True)`` also restores weights and the order of the data.

    Parameters
    ----------
    learn : Learner
        The file is written to its ``path/model_dir``.
    name : str
        The name of the file, which holds the number of the last finished epoch.
    epoch_offset : int, optional
        The epoch to begin at, instead of the file's.

    Attributes
    ----------
    start_epoch : int
        The epoch that a fit begins at.

    Examples
    --------
    >>> from functools import partial
    >>> counted = partial(TrackEpochCallback, name="stage-1")  # for callback_fns=[...]
    """

    _order = -20  # before schedulers, which ask for the epoch

    def __init__(self, learn: Any, name: str = "epoch", epoch_offset: int | None = None) -> None:
        super().__init__(learn)
        self.path = Path(learn.path, learn.model_dir, name)
        last = int(self.path.read_text()) if self.path.exists() else -1
        self.start_epoch = last + 1 if epoch_offset is None else epoch_offset

    def on_train_begin(self) -> Changes:
        return {"epoch": self.start_epoch}

    def on_epoch_end(self, epoch: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(str(epoch))

    def restart(self) -> None:
        """Delete the file: the next fit begins at epoch 0 again."""
        self.path.unlink(missing_ok=True)
        self.start_epoch = 0


class RecordOnCPU(LearnerCallback):
    """Keep the last batch, input and target, on the CPU; fastai v1's ``RecordOnCPU``.

    Parameters
    ----------
    learn : Learner
        The learner that is trained.

    Attributes
    ----------
    input, target : Tensor or list of Tensor
        The batch.
    """

    input: Any = None
    target: Any = None

    def on_batch_begin(self, last_input: Any, last_target: Any) -> None:
        self.input, self.target = _on_cpu(last_input), _on_cpu(last_target)


def _on_cpu(x: Any) -> Any:
    return [item.cpu() for item in x] if isinstance(x, (list, tuple)) else x.cpu()


class PeakMemMetric(LearnerCallback):
    """Show the memory that each epoch takes, in two columns; fastai v1's ``PeakMemMetric``.

    ``cpu used`` is what an epoch leaves behind and ``cpu peak`` the most at any moment above that,
    in MB of Python and NumPy, as tracemalloc counts. Counting makes a fit slower.

    Parameters
    ----------
    learn : Learner
        The learner that is trained.
    """

    _order = -20  # before the recorder, which writes the row

    def on_train_begin(self) -> None:
        self.started = not tracemalloc.is_tracing()
        if self.started:
            tracemalloc.start()
        if hasattr(self.learn, "recorder"):
            self.learn.recorder.add_metric_names(["cpu used", "cpu peak"])

    def on_epoch_begin(self) -> None:
        tracemalloc.reset_peak()
        self.before = tracemalloc.get_traced_memory()[0]

    def on_epoch_end(self, last_metrics: list[Any]) -> Changes:
        now, peak = tracemalloc.get_traced_memory()
        used, above = now - self.before, peak - now
        return {"last_metrics": [*(last_metrics or [None]), used / 2**20, above / 2**20]}

    def on_train_end(self) -> None:
        if self.started:
            tracemalloc.stop()


class ShowGraph(LearnerCallback):
    """Draw the losses after each epoch, in place of the graph before; fastai v1's ``ShowGraph``.

    In a notebook the figure is replaced; elsewhere the last one stays as ``figure``.

    Parameters
    ----------
    learn : Learner
        The learner that is trained.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        The graph.
    """

    _order = 10  # after the recorder, whose numbers it draws

    figure: Any = None

    def on_epoch_end(self, epoch: int, n_epochs: int) -> None:
        from matplotlib.figure import Figure
        shown, self.figure = self.figure is not None, self.figure or Figure(figsize=(6, 4))
        recorder = self.learn.recorder
        self.figure.clear()
        axes = self.figure.add_subplot()
        axes.plot([float(loss) for loss in recorder.losses], label="Train")
        ends = np.cumsum(recorder.nb_batches)
        points = [(end, loss) for end, loss in zip(ends, recorder.val_losses, strict=False)
                  if loss is not None]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", markersize=4, label="Validation")
        axes.set(xlim=(0, max(ends[-1] / len(ends) * n_epochs, ends[-1])),
                 xlabel="Batches processed", ylabel="Loss")
        axes.legend()
        if in_notebook():
            from IPython.display import display
            display(self.figure, display_id=f"graph-{id(self)}",  # type: ignore[no-untyped-call]
                    update=shown)
