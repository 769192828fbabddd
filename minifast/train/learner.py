"""Learner: data, a model, and how to train one on the other."""
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, TypeVar

from ..autograd import Tensor
from ..data import DataBunch, DatasetType
from ..defaults import defaults
from ..nn import Module, Sequential
from ..optim import Adam, Optimizer
from . import checkpoint, inference
from .bn_freeze import BnFreeze
from .callback import Callback
from .device import on_device
from .general_sched import FlatCosAnnealScheduler
from .groups import SplitOn, flatten_model, freeze_groups, lr_range, split_model
from .loop import fit
from .lr_find import LRFinder, Snapshot
from .metrics import as_metric
from .one_cycle import OneCycleScheduler
from .progress import ProgressBar
from .recorder import Recorder

Self = TypeVar("Self", bound="Learner")


@dataclass(eq=False)
class Learner:
    """Trains ``model`` on ``data``; fastai v1's ``Learner``, with its fifteen fields.

    ``opt_func(groups, lr=, wd=, true_wd=, bn_wd=)`` makes the optimizer at the first fit.
    ``true_wd`` decouples weight decay from the gradient, ``bn_wd`` lets it touch biases and
    normalisation, ``train_bn`` keeps batch norm trainable in frozen groups. ``metrics`` are
    functions of (predictions, targets) or Metric objects, ``callback_fns`` are called with the
    learner at each fit, ``callbacks`` are used as they are. Checkpoints go to
    ``path/model_dir``.

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
        if self.loss_func is None:
            self.loss_func = self.data.loss_func
        if self.loss_func is None:
            raise ValueError("no loss function: these data do not suggest one; pass loss_func=, "
                             "for example minifast.nn.MSELossFlat()")
        self.metrics = _as_list(self.metrics)
        self.callback_fns = [ProgressBar, Recorder, *_as_list(self.callback_fns)]
        if not self.train_bn and BnFreeze not in self.callback_fns:
            self.callback_fns.append(BnFreeze)
        self.callbacks = _as_list(self.callbacks)
        self.layer_groups = _as_list(self.layer_groups) or [Sequential(*flatten_model(self.model))]
        self.opt: Optimizer | None = None
        self.recorder: Recorder
        self.silent_bar = self.silent_table = False

    # ---- training

    def fit(self, epochs: int, lr: Any = defaults.lr, wd: float | Collection[float] | None = None,
            callbacks: Any = None) -> None:
        """Train at constant rates. ``lr`` is a number, one per group, or a slice (``lr_range``)."""
        rates, wd = self.lr_range(lr), self.wd if wd is None else wd
        if len(self.data.train_dl) == 0:
            raise ValueError("the training loader has no batch: there are fewer rows than the "
                             f"batch size of {self.data.batch_size}; lower bs")
        with on_device(self):
            self._prepare_optimizer(rates, wd)
            made = [make(self) for make in self.callback_fns]
            opt = self.optimizer
            try:
                fit(epochs, self, [*self.callbacks, *made, *_as_list(callbacks)],
                    [as_metric(m) for m in self.metrics])
            finally:
                opt.settle()

    def _prepare_optimizer(self, lr: Any, wd: Any) -> None:
        if self.opt is None:
            self.opt = self.create_opt(lr, wd)
        else:
            self.opt.set_hypers(lr=lr, wd=wd)
            self.opt.plan()

    def create_opt(self, lr: Any, wd: Any = 0.) -> Optimizer:
        """A new optimizer over the layer groups."""
        groups = [group.parameters() for group in self.layer_groups]
        return self.opt_func(groups, lr=lr, wd=wd, true_wd=self.true_wd, bn_wd=self.bn_wd)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer; RuntimeError before the first fit."""
        if self.opt is None:
            raise RuntimeError("there is no optimizer yet; it is made at the first fit, and made "
                               "anew after freezing")
        return self.opt

    def fit_one_cycle(self, cyc_len: int, max_lr: Any = defaults.lr,
                      moms: tuple[float, float] = (.95, .85), div_factor: float = 25.,
                      pct_start: float = .3, final_div: float | None = None,
                      wd: float | Collection[float] | None = None, callbacks: Any = None,
                      tot_epochs: int | None = None, start_epoch: int | None = None) -> None:
        """Train ``cyc_len`` epochs with the one-cycle policy up to ``max_lr`` (``one_cycle``)."""
        max_lr = self.lr_range(max_lr)
        cycle = OneCycleScheduler(self, max_lr, moms, div_factor, pct_start, final_div,
                                  tot_epochs, start_epoch)
        self.fit(cyc_len, max_lr, wd, [*_as_list(callbacks), cycle])

    def fit_fc(self, tot_epochs: int = 1, lr: Any = defaults.lr,
               moms: tuple[float, float] = (.95, .85), start_pct: float = .72,
               wd: float | Collection[float] | None = None, callbacks: Any = None) -> None:
        """Train at flat rates, from ``start_pct`` of all batches on down a cosine to 0."""
        rates = self.lr_range(lr)
        flat = FlatCosAnnealScheduler(self, rates, tot_epochs, moms, start_pct)
        self.fit(tot_epochs, rates, wd, [*_as_list(callbacks), flat])

    def lr_find(self, start_lr: Any = 1e-7, end_lr: Any = 10, num_it: int = 100,
                stop_div: bool = True, wd: float | Collection[float] | None = None) -> None:
        """Train with a growing rate for ``num_it`` batches, then put everything back as it was.

        ``learn.recorder.plot()`` shows the curve.
        """
        start, end, before = self.lr_range(start_lr), self.lr_range(end_lr), Snapshot(self)
        finder = LRFinder(self, start, end, num_it, stop_div, before)
        self.fit(ceil(num_it / max(len(self.data.train_dl), 1)), start, wd, [finder])

    def to(self: Self, device: str) -> Self:
        """Move data, model and optimizer to ``device``; training goes on there."""
        state = None if self.opt is None else self.opt.state_dict()
        self.data.to(device)
        self.model.to(device)
        if self.opt is not None and state is not None:
            self.opt.clear()
            self.opt.load_state_dict(state)
        return self

    # ---- layer groups

    def lr_range(self, lr: Any) -> Any:
        """Rates for the layer groups: see ``groups.lr_range``."""
        return lr_range(lr, len(self.layer_groups))

    def split(self: Self, split_on: SplitOn) -> Self:
        """Make layer groups that begin at these modules (or at what a function of the model gives).
        """
        self.layer_groups = split_model(self.model, split_on)
        self.opt = None
        return self

    def freeze_to(self, n: int) -> None:
        """Freeze the first ``n`` groups, train the others; a new optimizer at the next fit."""
        freeze_groups(list(self.layer_groups), n, self.train_bn)
        self.opt = None

    def freeze(self) -> None:
        """Freeze all groups but the last."""
        if len(self.layer_groups) < 2:
            raise ValueError("freeze() trains the last layer group alone, and this learner has "
                             "only one; make groups with learn.split(...)")
        self.freeze_to(-1)

    def unfreeze(self) -> None:
        """Train all groups."""
        self.freeze_to(0)

    # ---- results

    def validate(self, dl: Any = None, callbacks: Any = None, metrics: Any = None) -> list[Any]:
        """[loss, metrics ...] on ``dl``, by default the validation loader."""
        chosen = self.metrics if metrics is None else _as_list(metrics)
        return inference.validate(self, self.data.valid_dl if dl is None else dl,
                                  [*self.callbacks, *_as_list(callbacks)],
                                  [as_metric(m) for m in chosen])

    def get_preds(self, ds_type: DatasetType = DatasetType.Valid, activ: Any = None,
                  with_loss: bool = False, n_batch: int | None = None) -> list[Tensor]:
        """[predictions, targets], and losses per row if asked, of a whole loader.

        The activation that belongs to the loss is applied (softmax for cross entropy).
        """
        return inference.get_preds(self, self.data.dl(ds_type), activ, with_loss, n_batch)

    def predict(self, item: Any) -> tuple[Any, Tensor, Tensor]:
        """(what it means, its target, the output) for one sample: for classes the name, the
        number and the probabilities of all; for a number that number three times."""
        return inference.predict(self, item)

    # ---- checkpoints

    def save(self, file: str | Path, return_path: bool = False, with_opt: bool = True
             ) -> Path | None:
        """Write weights, and the optimizer's state, to ``path/model_dir/file.safetensors``."""
        path = checkpoint.save(self, file, with_opt)
        return path if return_path else None

    def load(self: Self, file: str | Path, strict: bool = True, with_opt: bool | None = None
             ) -> Self:
        """Read what ``save`` wrote. Nothing changes if the file or its weights do not fit.

        An optimizer state of other layer groups is left out with a warning; ``with_opt=True``
        makes that an error, ``with_opt=False`` does not look at it.
        """
        checkpoint.load(self, file, strict, with_opt)
        return self

    # ---- silence

    @contextmanager
    def no_bar(self) -> Iterator[None]:
        """Within this, fits show no progress bar."""
        before, self.silent_bar = self.silent_bar, True
        try:
            yield
        finally:
            self.silent_bar = before

    @contextmanager
    def no_logging(self) -> Iterator[None]:
        """Within this, fits print no table either."""
        before, self.silent_table = self.silent_table, True
        try:
            with self.no_bar():
                yield
        finally:
            self.silent_table = before


def _as_list(x: Any) -> list[Any]:
    return [] if x is None else list(x) if isinstance(x, (list, tuple, set)) else [x]
