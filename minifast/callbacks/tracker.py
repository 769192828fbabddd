"""Callbacks that monitor a value from epoch to epoch."""
from typing import Any
from warnings import warn

import numpy as np

from ..train import Learner, LearnerCallback
from ..train.callback import Changes


class TrackerCallback(LearnerCallback):
    """Base of callbacks that monitor the best value of a loss or metric; fastai v1's.

    Parameters
    ----------
    learn : Learner
        The learner to watch.
    monitor : str
        ``'valid_loss'``, ``'train_loss'``, or the name of a metric's column.
    mode : str
        ``'min'`` if lower is better, ``'max'`` if higher is; ``'auto'`` takes lower for names
        that contain ``loss`` or ``error``.

    Raises
    ------
    ValueError
        If ``mode`` is none of these.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> learn = Learner(DataBunch([]), Linear(1, 1), loss_func=MSELossFlat())
    >>> TrackerCallback(learn, "accuracy", mode="max").best
    -inf
    """

    def __init__(self, learn: Learner, monitor: str = "valid_loss", mode: str = "auto") -> None:
        super().__init__(learn)
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode is 'auto', 'min' or 'max', got {mode!r}")
        lower = mode == "min" or (mode == "auto" and ("loss" in monitor or "error" in monitor))
        self.monitor, self.mode, self.sign, self.wait = monitor, mode, -1 if lower else 1, 0
        self.best = self.worst = -self.sign * float("inf")

    def on_train_begin(self, **state: Any) -> None:
        self.best, self.wait = self.worst, 0

    def value(self, smooth_loss: Any, last_metrics: Any) -> float | None:
        """Return the monitored value of this epoch; None, mostly with a warning, without one.

        Parameters
        ----------
        smooth_loss : Tensor or float
            The smoothed training loss.
        last_metrics : list
            The validation loss and the metrics.

        Returns
        -------
        float or None
            The value.

        Examples
        --------
        >>> from minifast.data import DataBunch
        >>> from minifast.nn import Linear, MSELossFlat
        >>> learn = Learner(DataBunch([]), Linear(1, 1), loss_func=MSELossFlat())
        >>> from minifast.train import Recorder
        >>> learn.recorder = Recorder(learn)
        >>> TrackerCallback(learn).value(.5, [.25])
        0.25
        """
        names = self.learn.recorder.names[1:]
        values = dict(zip(names, [smooth_loss, *last_metrics], strict=False))
        if values.get(self.monitor) is not None:
            return float(values[self.monitor])
        if not last_metrics and not self.learn.data.empty_val:
            return None  # this epoch is not validated, as in lr_find
        warn(f"{type(self).__name__} watches {self.monitor!r}, which is not among "
             f"{', '.join(values) or 'no values'}; nothing was done", stacklevel=2)
        return None

    def get_monitor_value(self) -> float | None:
        """Return the monitored value of the epoch that ends: v1's way to ask for it.

        Returns
        -------
        float or None
            The value; None before the first validation.

        Examples
        --------
        >>> from minifast.data import DataBunch
        >>> from minifast.nn import Linear, MSELossFlat
        >>> from minifast.train import Recorder
        >>> learn = Learner(DataBunch([]), Linear(1, 1), loss_func=MSELossFlat())
        >>> learn.recorder = Recorder(learn)
        >>> TrackerCallback(learn).get_monitor_value() is None
        True
        """
        recorder = self.learn.recorder
        if not recorder.val_losses:
            return None
        last = [] if recorder.val_losses[-1] is None \
            else [recorder.val_losses[-1], *recorder.metrics[-1]]
        return self.value(recorder.losses[-1], last)

    @property
    def operator(self) -> Any:
        """``np.less`` if lower is better, else ``np.greater``, as in v1."""
        return np.less if self.sign < 0 else np.greater

    def improved(self, value: float, min_delta: float = 0.) -> bool:
        """Return whether ``value`` is a new best one, and update ``best`` and ``wait``.

        Parameters
        ----------
        value : float
            The value of this epoch.
        min_delta : float
            Ignore improvements of this size or less.

        Returns
        -------
        bool
            Whether it is better than the best so far.

        Examples
        --------
        >>> from minifast.data import DataBunch
        >>> from minifast.nn import Linear, MSELossFlat
        >>> learn = Learner(DataBunch([]), Linear(1, 1), loss_func=MSELossFlat())
        >>> tracker = TrackerCallback(learn, "valid_loss")
        >>> tracker.improved(.5), tracker.improved(.6), tracker.wait
        (True, False, 1)
        """
        better = bool(self.sign * (value - self.best) > min_delta)
        self.best, self.wait = (value, 0) if better else (self.best, self.wait + 1)
        return better


class PatientCallback(TrackerCallback):
    """Call ``give_up`` when more than ``patience`` epochs in a row bring no improvement.

    Parameters
    ----------
    learn, monitor, mode : Learner, str, str
        See ``TrackerCallback``.
    min_delta : float
        Ignore improvements of this size or less.
    patience : int
        Epochs without improvement that are tolerated.

    Examples
    --------
    >>> class Complain(PatientCallback):
    ...     def give_up(self, epoch):
    ...         print(f"nothing has improved until epoch {epoch}")
    """

    def __init__(self, learn: Learner, monitor: str = "valid_loss", mode: str = "auto",
                 min_delta: float = 0., patience: int = 0) -> None:
        super().__init__(learn, monitor, mode)
        self.min_delta, self.patience = min_delta, patience

    def on_epoch_end(self, epoch: int, last_metrics: Any, smooth_loss: Any = None) -> Changes:
        value = self.value(smooth_loss, last_metrics)
        if value is None or self.improved(value, self.min_delta) or self.wait <= self.patience:
            return None
        return self.give_up(epoch)

    def give_up(self, epoch: int) -> Changes:
        """Act on a lack of improvement, at the end of ``epoch``.

        Parameters
        ----------
        epoch : int
            The number of the epoch, from 0.

        Returns
        -------
        dict or None
            What changes in the loop, as from any event.

        Examples
        --------
        >>> class Stop(PatientCallback):
        ...     def give_up(self, epoch):
        ...         return {"stop_training": True}
        >>> Stop.give_up(None, epoch=3)
        {'stop_training': True}
        """
        raise NotImplementedError


class EarlyStoppingCallback(PatientCallback):
    """Stop training after more than ``patience`` epochs in a row without improvement.

    Parameters
    ----------
    learn, monitor, mode, min_delta, patience : Learner, str, str, float, int
        See ``PatientCallback``.
    """

    def give_up(self, epoch: int) -> Changes:
        print(f"Epoch {epoch}: early stopping")
        return {"stop_training": True}


class SaveModelCallback(TrackerCallback):
    """Save the model when it improves, and load the best one when training ends.

    Parameters
    ----------
    learn, monitor, mode : Learner, str, str
        See ``TrackerCallback``.
    every : str
        ``'improvement'``, or ``'epoch'`` to save each epoch as ``<name>_<epoch>`` and load none.
    name : str
        The name that ``learn.save`` gets.

    Raises
    ------
    ValueError
        If ``every`` is neither.

    Examples
    --------
    >>> from functools import partial
    >>> best = partial(SaveModelCallback, monitor="accuracy")  # for callback_fns=[...]
    """

    _order = 10

    def __init__(self, learn: Learner, monitor: str = "valid_loss", mode: str = "auto",
                 every: str = "improvement", name: str = "bestmodel") -> None:
        super().__init__(learn, monitor, mode)
        if every not in ("improvement", "epoch"):
            raise ValueError(f"every is 'improvement' or 'epoch', got {every!r}")
        self.every, self.name = every, name

    def on_epoch_end(self, epoch: int, last_metrics: Any, smooth_loss: Any = None) -> None:
        if self.every == "epoch":
            self.learn.save(f"{self.name}_{epoch}")
            return
        value = self.value(smooth_loss, last_metrics)
        if value is not None and self.improved(value):
            print(f"Better model found at epoch {epoch} with {self.monitor} value: {value}.")
            self.learn.save(self.name)

    def on_train_end(self) -> None:
        if self.best != self.worst:
            self.learn.load(self.name)


class ReduceLROnPlateauCallback(PatientCallback):
    """Lower the learning rates after more than ``patience`` epochs without improvement.

    Parameters
    ----------
    learn, monitor, mode : Learner, str, str
        See ``TrackerCallback``.
    patience : int
        Epochs without improvement that are tolerated.
    factor : float
        Multiplies the rate of each layer group.
    min_delta : float
        Ignore improvements of this size or less.
    min_lr : float
        Rates are not lowered below this.

    Examples
    --------
    >>> from functools import partial
    >>> patient = partial(ReduceLROnPlateauCallback, patience=2)  # for callback_fns=[...]
    """

    def __init__(self, learn: Learner, monitor: str = "valid_loss", mode: str = "auto",
                 patience: int = 0, factor: float = .2, min_delta: float = 0.,
                 min_lr: float = .001) -> None:
        super().__init__(learn, monitor, mode, min_delta, patience)
        self.factor, self.min_lr = factor, min_lr

    def give_up(self, epoch: int) -> None:
        opt = self.learn.optimizer
        rates = [max(lr * self.factor, min(lr, self.min_lr)) for lr in opt.get_hyper("lr")]
        opt.set_hypers(lr=rates)
        self.wait = 0
        print(f"Epoch {epoch}: reducing lr to {np.round(rates[-1], 10)}")
