"""Learner: data, a model, and how the model is trained."""
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any, Self

from ..autograd import Tensor
from ..data import DataBunch, DatasetType
from ..defaults import defaults
from ..nn import Module, Sequential
from ..optim import Adam, Optimizer
from . import checkpoint, groups, loop
from .callback import Callback, listify
from .lr_finder import LRFinder
from .recorder import ProgressBar, Recorder
from .scheduler import OneCycleScheduler


@dataclass(eq=False, kw_only=True)
class Computing:
    """Fields of a learner that v1 does not have.

    Parameters
    ----------
    fast : bool
        Whether training uses the fast path, see `minifast.fast`; by default ``defaults.fast``.
    reproducible : bool
        Whether BLAS uses one thread while the learner works, so that results do not depend on
        the number of threads; see ``reproducibly``.
    silent : bool
        Whether fits show neither bar nor table; by default ``defaults.silent``.

    Examples
    --------
    >>> Computing(fast=False)
    Computing(fast=False, reproducible=False, silent=False)
    """

    fast: bool = field(default_factory=lambda: defaults.fast)
    reproducible: bool = False
    silent: bool = field(default_factory=lambda: defaults.silent)


@dataclass(eq=False, repr=False)
class Learner(Computing):
    """Trains a model on data; fastai v1's ``Learner``, with its fifteen fields.

    Parameters
    ----------
    data : DataBunch
        The data.
    model : Module
        The model; it moves to the device of the data.
    opt_func : callable
        Called at the first fit as ``opt_func(groups, lr=, wd=, true_wd=, bn_wd=)``; returns the
        optimizer.
    loss_func : callable, optional
        Returns the loss of outputs and targets, by default the one that suits the data.
    metrics : callable or list of callables, optional
        Functions of outputs and targets, or Metric objects.
    true_wd : bool
        Whether weight decay is decoupled from the gradient.
    bn_wd : bool
        Whether biases and normalisation layers decay too.
    wd : float or list of float
        Weight decay, for all layer groups or one for each.
    train_bn : bool
        Whether batch norm in frozen groups stays trainable.
    path : str or Path, optional
        Folder for files, by default that of the data.
    model_dir : str or Path
        Folder for checkpoints, inside ``path``.
    callback_fns : callable or list of callables, optional
        Called with the learner at each fit; return callbacks.
    callbacks : Callback or list of Callback
        Callbacks of all fits.
    layer_groups : list of Module, optional
        Layer groups, by default one with the whole model.
    add_time : bool
        Whether the table of a fit has a column for the time.
    fast, reproducible, silent : bool
        See `Computing`; keyword-only.

    Raises
    ------
    ValueError
        If there is no loss function.

    Examples
    --------
    >>> from minifast.nn import Linear, MSELossFlat
    >>> import numpy as np
    >>> x = np.arange(8, dtype=np.float32).reshape(4, 2)
    >>> learn = Learner(DataBunch([(x, x[:, 0])]), Linear(2, 1, seed=0), loss_func=MSELossFlat())
    >>> with learn.no_logging():
    ...     learn.fit(2, 1e-3)
    >>> len(learn.recorder.losses)
    2
    """

    data: DataBunch
    model: Module
    opt_func: Callable[..., Optimizer] = Adam
    loss_func: Callable[..., Tensor] = None  # type: ignore[assignment]
    metrics: Collection[Callable[..., Any]] = None  # type: ignore[assignment]
    true_wd: bool = True
    bn_wd: bool = True
    wd: float | Collection[float] = defaults.wd
    train_bn: bool = True
    path: str | Path = None  # type: ignore[assignment]
    model_dir: str | Path = "models"
    callback_fns: Collection[Callable[["Learner"], Callback]] = None  # type: ignore[assignment]
    callbacks: Collection[Callback] = field(default_factory=list)
    layer_groups: Collection[Module] = None  # type: ignore[assignment]
    add_time: bool = True

    def __post_init__(self) -> None:
        self.path = Path(self.data.path if self.path is None else self.path)
        self.model = self.model.to(self.data.device)
        self.loss_func = self.data.loss_func if self.loss_func is None else self.loss_func
        if self.loss_func is None:
            raise ValueError("no loss function: these data do not suggest one; pass loss_func=, "
                             "for example minifast.nn.MSELossFlat()")
        self.callback_fns = [ProgressBar, Recorder, *listify(self.callback_fns)]
        if not self.train_bn and groups.BnFreeze not in self.callback_fns:
            self.callback_fns.append(groups.BnFreeze)
        self.metrics, self.callbacks = listify(self.metrics), listify(self.callbacks)
        self.layer_groups = listify(self.layer_groups) or [
            Sequential(*groups.flatten_model(self.model))]
        self.opt: Optimizer | None = None
        self.recorder: Recorder
        self.silent_bar = self.silent_table = self.silent

    def __repr__(self) -> str:
        n, last = sum(p.numel() for p in self.model.parameters()), vars(self).get("recorder", "-")
        return f"{type(self).__name__}; {type(self.model).__name__} of {n:,} parameters; " \
               f"layer groups: {len(self.layer_groups)}; last fit: {last}\n\n{self.data}"

    # ---- training

    def fit(self, epochs: int, lr: Any = defaults.lr, wd: float | Collection[float] | None = None,
            callbacks: Any = None, resume: bool | str = False) -> None:
        """Train at constant learning rates.

        Parameters
        ----------
        epochs : int
            Number of passes over the training data.
        lr : float, list of float or slice
            Learning rates of the layer groups, see ``lr_range``.
        wd : float or list of float, optional
            Weight decay, by default the learner's.
        callbacks : Callback or list of Callback, optional
            Callbacks of this fit.
        resume : bool or str
            Whether to save this fit after each epoch, and to continue where the same fit was
            stopped before; see ``minifast.checkpoints.CheckpointCallback``. A string is the name
            of the checkpoint.

        Raises
        ------
        ValueError
            If there are no training data, or less than a batch.
        InterruptedStepError
            If the optimizer's last step ended in an error.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import Linear
        >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
        >>> rows = ArrayDataset(x, x[:, 0])
        >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
        >>> learn = Learner(data, Linear(2, 1, seed=0))
        >>> with learn.no_logging():
        ...     learn.fit(2, 1e-2)
        >>> len(learn.recorder.val_losses)
        2
        """
        rates: Any = self.lr_range(lr)
        decay: Any = self.wd if wd is None else wd
        if len(self.data.dl(DatasetType.Train)) == 0:
            raise ValueError("the training loader has no batch: there are fewer rows than the "
                             f"batch size of {self.data.batch_size}; lower bs")
        with self.reproducibly(), loop.on_device(self):
            if self.opt is None:
                self.opt = self.create_opt(rates, decay)
            else:
                self.opt.check_complete()
                self.opt.set_hypers(lr=rates, wd=decay)
            made = [fn(self) for fn in (*self.callback_fns, *(defaults.extra_callback_fns or []))]
            used = [*self.callbacks, *made, *listify(callbacks), *(defaults.extra_callbacks or [])]
            if resume:
                used += import_module("minifast.checkpoints").resuming(self, used, resume)
            with self._fast_path(used):
                loop.fit(self, epochs, used)

    def _fast_path(self, callbacks: Collection[Callback]) -> Any:
        """Return the context in which a fit runs: that of ``minifast.fast``, if it is there."""
        if not self.fast or find_spec("minifast.fast") is None:
            return nullcontext()
        return import_module("minifast.fast").accelerate(self.model, self.optimizer, callbacks)

    def reproducibly(self) -> Any:
        """Return a context manager: BLAS uses one thread within it if ``reproducible`` is set."""
        return import_module("minifast.reproducible").one_blas_thread() if self.reproducible \
            else nullcontext()

    def create_opt(self, lr: Any, wd: Any = 0.) -> Optimizer:
        """Return a new optimizer over the layer groups.

        Parameters
        ----------
        lr, wd : float or list of float
            Learning rates and weight decay, for all layer groups or one for each.

        Returns
        -------
        Optimizer
            The optimizer.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import Linear
        >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
        >>> rows = ArrayDataset(x, x[:, 0])
        >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
        >>> learn = Learner(data, Linear(2, 1, seed=0))
        >>> learn.create_opt(.1).get_hyper("lr")
        [0.1]
        """
        parameters = [group.parameters() for group in self.layer_groups]
        return self.opt_func(parameters, lr=lr, wd=wd, true_wd=self.true_wd, bn_wd=self.bn_wd)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer.

        Raises
        ------
        RuntimeError
            Before the first fit.
        """
        if self.opt is None:
            raise RuntimeError("there is no optimizer yet; it is created by the first fit, and "
                               "again after freezing")
        return self.opt

    def fit_one_cycle(self, cyc_len: int, max_lr: Any = defaults.lr,
                      moms: tuple[float, float] = (.95, .85), div_factor: float = 25.,
                      pct_start: float = .3, final_div: float | None = None, wd: Any = None,
                      callbacks: Any = None, tot_epochs: int | None = None,
                      start_epoch: int | None = None, resume: bool | str = False) -> None:
        """Train with the one-cycle policy: the learning rate rises, then falls.

        Parameters
        ----------
        cyc_len : int
            Number of passes over the training data.
        max_lr : float, list of float or slice
            Highest learning rates of the layer groups, see ``lr_range``.
        moms : tuple of float
            Momentum at the start and the end, and at the highest rate.
        div_factor : float
            The cycle starts at ``max_lr / div_factor``.
        pct_start : float
            Fraction of all batches in which the rate rises.
        final_div : float, optional
            The cycle ends at ``max_lr / final_div``, by default ``max_lr / (div_factor * 1e4)``.
        wd : float or list of float, optional
            Weight decay, by default the learner's.
        callbacks : Callback or list of Callback, optional
            Callbacks of this fit.
        tot_epochs : int, optional
            Epochs of the whole cycle, if this fit is a part of it; by default ``cyc_len``.
        start_epoch : int, optional
            The epoch of the cycle with which this fit begins, counted from 0. The fit ends when
            the cycle ends.
        resume : bool or str
            Whether to continue where this fit was stopped before; see ``fit``.

        Raises
        ------
        ValueError
            If ``tot_epochs`` is less than ``cyc_len``, or as in ``fit``.

        References
        ----------
        Smith, L. N. (2018). A disciplined approach to neural network hyper-parameters: Part 1.
        https://arxiv.org/abs/1803.09820

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import Linear
        >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
        >>> rows = ArrayDataset(x, x[:, 0])
        >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
        >>> learn = Learner(data, Linear(2, 1, seed=0))
        >>> with learn.no_logging():
        ...     learn.fit_one_cycle(2, 1e-2)
        >>> [round(lr, 4) for lr in learn.recorder.lrs]
        [0.0004, 0.01, 0.0075, 0.0025]
        """
        if tot_epochs is not None and tot_epochs < cyc_len:
            raise ValueError(f"tot_epochs={tot_epochs} is less than the {cyc_len} epochs to train")
        max_lr = self.lr_range(max_lr)
        cycle = OneCycleScheduler(self, max_lr, moms, div_factor, pct_start, final_div,
                                  tot_epochs, start_epoch)
        self.fit(cyc_len, max_lr, wd, [*listify(callbacks), cycle], resume)

    def lr_find(self, start_lr: Any = 1e-7, end_lr: Any = 10, num_it: int = 100,
                stop_div: bool = True, wd: float | Collection[float] | None = None) -> None:
        """Train with growing learning rates, then restore the learner.

        ``learn.recorder.plot()`` shows the loss at each rate.

        Parameters
        ----------
        start_lr, end_lr : float, list of float or slice
            The first and the last rates of the layer groups, see ``lr_range``.
        num_it : int
            Number of batches.
        stop_div : bool
            Whether to stop when the loss diverges.
        wd : float or list of float, optional
            Weight decay, by default the learner's.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import Linear
        >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
        >>> rows = ArrayDataset(x, x[:, 0])
        >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
        >>> learn = Learner(data, Linear(2, 1, seed=0))
        >>> with learn.no_logging():
        ...     learn.lr_find(num_it=5)
        LR Finder is complete, type {learner_name}.recorder.plot() to see the graph.
        >>> [f"{lr:.0e}" for lr in learn.recorder.lrs][:3]
        ['1e-07', '4e-06', '2e-04']
        """
        finder = LRFinder(self, self.lr_range(start_lr), self.lr_range(end_lr), num_it, stop_div)
        try:
            self.fit(ceil(num_it / max(len(self.data.train_dl or ()), 1)), start_lr, wd, [finder])
        finally:  # an error in another callback's on_train_end would keep the finder from it
            finder.snapshot.restore(self)

    def to(self, device: str) -> Self:
        """Move data, model and optimizer to a device; training continues there.

        Parameters
        ----------
        device : str
            Such as ``'cpu'`` or ``'cuda'``.

        Returns
        -------
        Learner
            This learner.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import Linear
        >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
        >>> rows = ArrayDataset(x, x[:, 0])
        >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
        >>> learn = Learner(data, Linear(2, 1, seed=0))
        >>> learn.to("cpu").data.device
        'cpu'
        """
        before: Any = self.opt and (self.opt.state_dict(), self.opt.interrupted)
        self.data.to(device)
        self.model.to(device)
        if self.opt is not None:
            self.opt.load_state_dict(before[0])
            self.opt.interrupted = before[1]
        return self

    # ---- layer groups

    def lr_range(self, lr: Any) -> Any:
        """Return the learning rates of the layer groups, see ``groups.lr_range``.

        Parameters
        ----------
        lr : float, list of float or slice
            One rate, one for each group, or a range.

        Returns
        -------
        float or list of float
            The rates.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import DataBunch
        >>> from minifast.nn import Linear, MSELossFlat, Sequential
        >>> model = Sequential(Linear(2, 3), Linear(3, 1))
        >>> x = np.ones((4, 2), np.float32)
        >>> learn = Learner(DataBunch([(x, x)]), model, loss_func=MSELossFlat())
        >>> [float(f"{lr:.0e}") for lr in learn.split(model[1]).lr_range(slice(1e-4, 1e-2))]
        [0.0001, 0.01]
        """
        return groups.lr_range(lr, len(self.layer_groups))

    def split(self, split_on: groups.SplitOn) -> Self:
        """Make layer groups that begin at these modules, see ``groups.split_model``.

        Parameters
        ----------
        split_on : Module, list of Module, or callable
            Where groups begin.

        Returns
        -------
        Learner
            This learner.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import DataBunch
        >>> from minifast.nn import Linear, MSELossFlat, Sequential
        >>> model = Sequential(Linear(2, 3), Linear(3, 1))
        >>> x = np.ones((4, 2), np.float32)
        >>> learn = Learner(DataBunch([(x, x)]), model, loss_func=MSELossFlat())
        >>> len(learn.split(model[1]).layer_groups)
        2
        """
        self.layer_groups = groups.split_model(self.model, split_on)
        self.opt = None
        return self

    def freeze_to(self, n: int) -> None:
        """Freeze the first ``n`` layer groups, unfreeze the others; forget the optimizer.

        Parameters
        ----------
        n : int
            How many groups; a negative number counts from the end.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import DataBunch
        >>> from minifast.nn import Linear, MSELossFlat, Sequential
        >>> model = Sequential(Linear(2, 3), Linear(3, 1))
        >>> x = np.ones((4, 2), np.float32)
        >>> learn = Learner(DataBunch([(x, x)]), model, loss_func=MSELossFlat())
        >>> learn.split(model[1]).freeze_to(1)
        >>> [p.requires_grad for p in model.parameters()]
        [False, False, True, True]
        """
        groups.freeze_groups(list(self.layer_groups), n, self.train_bn)
        self.opt = None

    def freeze(self) -> None:
        """Freeze all layer groups but the last.

        Raises
        ------
        ValueError
            If there is only one.
        """
        if len(self.layer_groups) < 2:
            raise ValueError("freeze() trains the last layer group alone, and this learner has "
                             "only one; make groups with learn.split(...)")
        self.freeze_to(-1)

    def unfreeze(self) -> None:
        """Unfreeze all layer groups."""
        self.freeze_to(0)

    # ---- results and checkpoints

    validate = loop.validate
    get_preds = loop.get_preds
    predict = loop.predict
    save = checkpoint.save
    load = checkpoint.load

    # ---- silence

    @contextmanager
    def no_bar(self, silent_table: bool = False) -> Iterator[None]:
        """Show no progress bar within this context and, if ``silent_table``, no table.

        Parameters
        ----------
        silent_table : bool
            Whether to show no table either.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import Linear
        >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
        >>> rows = ArrayDataset(x, x[:, 0])
        >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
        >>> learn = Learner(data, Linear(2, 1, seed=0))
        >>> with learn.no_bar(silent_table=True):
        ...     learn.fit(1)
        """
        before = self.silent_bar, self.silent_table
        self.silent_bar, self.silent_table = True, silent_table or self.silent_table
        try:
            yield
        finally:
            self.silent_bar, self.silent_table = before

    def no_logging(self) -> AbstractContextManager[None]:
        """Show neither progress bar nor table within this context."""
        return self.no_bar(silent_table=True)
