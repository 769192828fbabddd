"""The progress bar: running loss and time left."""
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..autograd.display import DisplayLine, in_notebook
from .callback import Changes, LearnerCallback

if TYPE_CHECKING:
    from .learner import Learner

INTERVAL = .1
"""Seconds between two redraws at least. Only a redraw reads the loss, so a GPU is not waited for
at every batch."""


class ProgressBar(LearnerCallback):
    """One bar per epoch, in a terminal or a notebook; nothing when output goes to a file.

    ``learn.no_bar()`` silences it for a while.
    """

    _order = -20  # before the recorder: the bar is gone when the table's row is written

    def __init__(self, learn: "Learner") -> None:
        super().__init__(learn)
        self.bar: Any = None

    def hears(self, event: str) -> bool:
        """Of batches only while a bar is shown."""
        return super().hears(event) and (event != "batch_end" or self.bar is not None)

    def on_epoch_begin(self, epoch: int = 0, n_epochs: int = 1, **state: Any) -> Changes:
        if self.learn.silent_bar or not (in_notebook() or sys.stderr.isatty()):
            return None
        from tqdm import tqdm
        self.bar = tqdm(total=len(self.learn.data.train_dl), leave=False, mininterval=INTERVAL,
                        desc=f"epoch {epoch + 1}/{n_epochs}", dynamic_ncols=True,
                        file=DisplayLine() if in_notebook() else sys.stderr)
        self.done, self.drawn = 0, monotonic()
        return None

    def on_batch_end(self, train: bool = True, smooth_loss: Any = None, **state: Any) -> Changes:
        if self.bar is None or not train:
            return None
        self.done += 1
        if monotonic() - self.drawn >= INTERVAL:
            self.drawn = monotonic()
            self.bar.set_postfix_str(f"loss {float(smooth_loss):.4f}", refresh=False)
            self.bar.update(self.done - self.bar.n)
        return None

    def on_epoch_end(self, **state: Any) -> Changes:
        self.close()
        return None

    def on_train_end(self, **state: Any) -> Changes:
        self.close()
        return None

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
