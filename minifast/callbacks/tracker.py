"""Callbacks that watch a value from epoch to epoch."""
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np

from ..train.callback import Changes, LearnerCallback

if TYPE_CHECKING:
    from ..train.learner import Learner


class TrackerCallback(LearnerCallback):
    """Watches ``monitor``: ``'valid_loss'``, ``'train_loss'``, or a metric by its column's name.

    ``mode`` is ``'min'``, ``'max'`` or ``'auto'``: lower is better if the name holds ``loss`` or
    ``error``, else higher. fastai v1's ``TrackerCallback``.
    """

    def __init__(self, learn: "Learner", monitor: str = "valid_loss", mode: str = "auto") -> None:
        super().__init__(learn)
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode is 'auto', 'min' or 'max', got {mode!r}")
        lower = mode == "min" or (mode == "auto" and ("loss" in monitor or "error" in monitor))
        self.monitor, self.mode, self.sign = monitor, mode, -1 if lower else 1
        self.best = -self.sign * float("inf")

    def on_train_begin(self, **state: Any) -> Changes:
        self.best = -self.sign * float("inf")
        return None

    def value(self, smooth_loss: Any, last_metrics: Any) -> float | None:
        """What is watched, after this epoch; None, with a warning, if there is no such value."""
        names = self.learn.recorder.names[1:]
        values = dict(zip(names, [smooth_loss, *last_metrics], strict=False))
        found = values.get(self.monitor)
        if found is None:
            warn(f"{type(self).__name__} watches {self.monitor!r}, which is not among "
                 f"{', '.join(values) or 'no values'}; nothing was done", stacklevel=2)
        return None if found is None else float(found)

    def improved(self, value: float, min_delta: float = 0.) -> bool:
        """Whether ``value`` beats the best so far by more than ``min_delta``; keeps it then."""
        better = self.sign * (value - self.best) > min_delta
        if better:
            self.best = value
        return bool(better)


class PatientCallback(TrackerCallback):
    """Acts (``give_up``) when more than ``patience`` epochs in a row bring no improvement."""

    def __init__(self, learn: "Learner", monitor: str = "valid_loss", mode: str = "auto",
                 min_delta: float = 0., patience: int = 0) -> None:
        super().__init__(learn, monitor, mode)
        self.min_delta, self.patience, self.wait = min_delta, patience, 0

    def on_train_begin(self, **state: Any) -> Changes:
        self.wait = 0
        return super().on_train_begin(**state)

    def on_epoch_end(self, epoch: int = 0, smooth_loss: Any = None, last_metrics: Any = (),
                     **state: Any) -> Changes:
        value = self.value(smooth_loss, last_metrics)
        if value is None:
            return None
        self.wait = 0 if self.improved(value, self.min_delta) else self.wait + 1
        return self.give_up(epoch) if self.wait > self.patience else None

    def give_up(self, epoch: int) -> Changes:
        """What to do when patience is at its end."""
        raise NotImplementedError


class EarlyStoppingCallback(PatientCallback):
    """Stops when more than ``patience`` epochs in a row bring no improvement."""

    def give_up(self, epoch: int) -> Changes:
        """Stop after this epoch."""
        print(f"Epoch {epoch}: early stopping")
        return {"stop_training": True}


class SaveModelCallback(TrackerCallback):
    """Saves at each improvement and takes the best back at the end; or saves ``every='epoch'``."""

    _order = 10

    def __init__(self, learn: "Learner", monitor: str = "valid_loss", mode: str = "auto",
                 every: str = "improvement", name: str = "bestmodel") -> None:
        super().__init__(learn, monitor, mode)
        if every not in ("improvement", "epoch"):
            raise ValueError(f"every is 'improvement' or 'epoch', got {every!r}")
        self.every, self.name, self.saved = every, name, False

    def on_train_begin(self, **state: Any) -> Changes:
        self.saved = False
        return super().on_train_begin(**state)

    def on_epoch_end(self, epoch: int = 0, smooth_loss: Any = None, last_metrics: Any = (),
                     **state: Any) -> Changes:
        if self.every == "epoch":
            self.learn.save(f"{self.name}_{epoch}")
            return None
        value = self.value(smooth_loss, last_metrics)
        if value is not None and self.improved(value):
            print(f"Better model found at epoch {epoch} with {self.monitor} value: {value}.")
            self.learn.save(self.name)
            self.saved = True
        return None

    def on_train_end(self, **state: Any) -> Changes:
        if self.saved:
            self.learn.load(self.name)
        return None


class ReduceLROnPlateauCallback(PatientCallback):
    """Multiplies the learning rates by ``factor`` after more than ``patience`` epochs in a row
    without improvement; not below ``min_lr``."""

    def __init__(self, learn: "Learner", monitor: str = "valid_loss", mode: str = "auto",
                 patience: int = 0, factor: float = .2, min_delta: float = 0.,
                 min_lr: float = .001) -> None:
        super().__init__(learn, monitor, mode, min_delta, patience)
        self.factor, self.min_lr = factor, min_lr

    def give_up(self, epoch: int) -> Changes:
        """Lower the rates, and be patient anew."""
        opt = self.learn.optimizer
        opt.lr = [max(lr * self.factor, min(lr, self.min_lr)) for lr in opt.get_hyper("lr")]
        self.wait = 0
        print(f"Epoch {epoch}: reducing lr to {np.round(opt.lr, 10)}")
        return None
