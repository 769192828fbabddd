"""Small callbacks: stopping on NaN or after a few batches, clipping gradients, a log file."""
import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..train.callback import Callback, Changes, LearnerCallback
from ..train.recorder import format_cell

if TYPE_CHECKING:
    import pandas as pd

    from ..train.learner import Learner


class TerminateOnNaNCallback(Callback):
    """Ends training when a batch's loss is NaN or infinite, and says where.

    The step of that batch is not taken, so the weights stay finite.
    """

    def on_backward_begin(self, last_loss: Any = None, epoch: int = 0, num_batch: int = 0,
                          **state: Any) -> Changes:
        self.bad = not np.isfinite(float(last_loss))
        if not self.bad:
            return None
        print(f"Epoch/Batch ({epoch}/{num_batch}): the loss is {float(last_loss)}, training ends. "
              "A lower learning rate usually helps: see learn.lr_find().")
        return {"skip_bwd": True, "skip_step": True}

    def on_batch_end(self, train: bool = True, **state: Any) -> Changes:
        return {"stop_epoch": True, "stop_training": True, "skip_validate": True} \
            if train and self.bad else None


class StopAfterNBatches(Callback):
    """Ends training after ``n_batches`` batches, without validation: does it run at all?

    >>> StopAfterNBatches(2).on_batch_end(iteration=1)
    {'stop_epoch': True, 'stop_training': True, 'skip_validate': True}
    """

    def __init__(self, n_batches: int = 2) -> None:
        if not isinstance(n_batches, (int, np.integer)) or n_batches < 1:
            raise ValueError(f"training stops after n_batches of 1 or more, got {n_batches!r}")
        self.n_batches = n_batches

    def on_batch_end(self, iteration: int = 0, train: bool = True, **state: Any) -> Changes:
        return {"stop_epoch": True, "stop_training": True, "skip_validate": True} \
            if train and iteration + 1 >= self.n_batches else None


class GradientClipping(LearnerCallback):
    """Scales gradients down so that the norm of all of them together is at most ``clip``.

    Gradients that are still adding up (``skip_step``) are left alone until their step comes.
    """

    def __init__(self, learn: "Learner", clip: float = .1) -> None:
        super().__init__(learn)
        if not clip > 0:
            raise ValueError(f"gradients are clipped to a positive norm, got {clip}")
        self.clip = clip

    def on_backward_end(self, skip_step: bool = False, **state: Any) -> Changes:
        found = [p.grad_values() for p in self.learn.model.parameters() if p.requires_grad]
        grads = [g for g in found if g is not None]
        if grads and not skip_step:
            norm = np.sqrt(sum((g * g).sum() for g in grads))
            scale = np.minimum(self.clip / (norm + 1e-6), 1.)  # on the device, without waiting
            for g in grads:
                g *= scale.astype(g.dtype)
        return None


class CSVLogger(LearnerCallback):
    """Writes the table to ``<learn.path>/<filename>.csv``, a row as soon as an epoch is done."""

    def __init__(self, learn: "Learner", filename: str = "history", append: bool = False) -> None:
        super().__init__(learn)
        self.path, self.append = Path(learn.path) / f"{filename}.csv", append

    def on_train_begin(self, **state: Any) -> Changes:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.begun = self.append and self.path.exists()
        if not self.append:
            self.path.unlink(missing_ok=True)
        return None

    def on_epoch_end(self, epoch: int = 0, smooth_loss: Any = None, last_metrics: Any = (),
                     **state: Any) -> Changes:
        names = self.learn.recorder.names[:-1 if self.learn.add_time else None]
        values = [epoch, *(None if v is None else float(v) for v in [smooth_loss, *last_metrics])]
        values += [None] * (len(names) - len(values))
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if not self.begun:
                writer.writerow(names)
                self.begun = True
            writer.writerow([format_cell(v) for v in values])
        return None

    def read_logged_file(self) -> "pd.DataFrame":
        """The file as a frame."""
        import pandas as pd
        return pd.read_csv(self.path)
