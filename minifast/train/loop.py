"""The training loop, validation and predictions."""
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from itertools import islice
from typing import Any

import numpy as np

from ..autograd import ShapeError, Tensor, cat, no_grad
from ..backend import Array, DeviceError, get_backend, transfer
from ..data import ArrayDataset, DatasetType
from ..nn import Embedding, Module
from ..nn.embedding import checking
from ..optim import Optimizer
from .callback import Callback, CallbackHandler, as_metric, listify, metric_name
from .interrupts import interrupts

LossFunction = Callable[..., Tensor]
FLAGS = dict.fromkeys(("stop_epoch", "skip_step", "skip_zero", "skip_bwd"), False)
"""Entries of the training state that are reset at each batch."""


# ---------------------------------------------------------------- training


def fit(learn: Any, epochs: int, callbacks: Iterable[Callback]) -> None:
    """Train a learner's model and call ``callbacks`` at each event.

    The first Ctrl-C ends the fit after the current batch, a second one at once.

    Parameters
    ----------
    learn : Learner
        The learner; its optimizer exists.
    epochs : int
        Number of passes over the training data.
    callbacks : iterable of Callback
        The callbacks of this fit.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> learn.opt = learn.create_opt(1e-2)
    >>> fit(learn, 1, [])
    """
    metrics = [as_metric(metric) for metric in learn.metrics]
    on = CallbackHandler(callbacks, metrics)
    state, data, model, opt = on.state, learn.data, learn.model, learn.optimizer
    with interrupts() as ctrl_c, _training(on, epochs, metrics):
        for _ in range(epochs):
            if state["stop_training"]:
                break
            model.train()
            on("epoch_begin", True, num_batch=0)
            for xb, yb in data.batches(data.train_dl):
                train_batch(model, xb, yb, learn.loss_func, opt, on)
                if ctrl_c.waiting:
                    ctrl_c.check()
                if state["stop_epoch"]:
                    break
            skip = state["skip_validate"] or data.empty_val
            results = [] if skip else validate_batches(learn, data.valid_dl, on)
            on("epoch_end", bool(results), last_metrics=results)
            state["epoch"] += 1


def train_batch(model: Module, xb: Any, yb: Any, loss_func: LossFunction, opt: Optimizer,
                on: CallbackHandler) -> None:
    """Train on one batch: forward pass, loss, backward pass, optimizer step.

    Parameters
    ----------
    model : Module
        The model, in training mode.
    xb, yb : Tensor or list of Tensor
        Inputs and targets, each (bs, ...).
    loss_func : callable
        Returns the loss of outputs and targets.
    opt : Optimizer
        Updates the model's parameters.
    on : CallbackHandler
        Called at each event.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> opt, before = learn.create_opt(1e-2), learn.model.weight.numpy().copy()
    >>> xb, yb = learn.data.one_batch()
    >>> train_batch(learn.model, xb, yb, learn.loss_func, opt, CallbackHandler([]))
    >>> (learn.model.weight.numpy() != before).all()
    np.True_
    """
    state = on.state
    on("batch_begin", last_input=xb, last_target=yb, train=True, **FLAGS)
    on("loss_begin", last_output=forward(model, state["last_input"]))
    loss = call_loss(loss_func, state["last_output"], state["last_target"])
    on("backward_begin", last_loss=loss, smooth_loss=on.smoothener.add(loss.data))
    if not state["skip_bwd"]:
        state["last_loss"].backward()
    on("backward_end")
    if not state["skip_step"]:
        opt.step()
    on("step_end")
    if not state["skip_zero"]:
        opt.zero_grad()
    on("batch_end", last_loss=state["last_loss"].detach())
    state["iteration"] += 1
    state["num_batch"] += 1


@contextmanager
def _training(on: CallbackHandler, epochs: int, metrics: Sequence[Callback]) -> Iterator[None]:
    """Call the handlers of train_begin, and those of train_end in any case."""
    exception: BaseException | bool = False
    try:
        on("train_begin", True, n_epochs=epochs, metrics=metrics, stop_training=False,
           metrics_names=[metric_name(metric) for metric in metrics])
        yield
    except BaseException as error:
        exception = error
        raise
    finally:
        on("train_end", True, exception=exception)
        exception = on.state["exception"] = False  # its traceback refers to the learner


def forward(model: Module, xb: Any) -> Any:
    """Return the model's output; a list of inputs becomes its arguments.

    Parameters
    ----------
    model : Module
        The model.
    xb : Tensor or list of Tensor
        Inputs (bs, ...).

    Returns
    -------
    object
        What the model returns, mostly a Tensor (bs, ...).

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.nn import ReLU
    >>> forward(ReLU(), tensor([-1., 2.]))
    tensor([0., 2.])
    """
    return model(*xb) if isinstance(xb, (list, tuple)) else model(xb)


def call_loss(loss_func: LossFunction, output: Any, yb: Any) -> Tensor:
    """Return the loss; a list of targets becomes its arguments.

    Parameters
    ----------
    loss_func : callable
        The loss function.
    output : Tensor
        The model's output (bs, ...).
    yb : Tensor or list of Tensor
        Targets (bs, ...).

    Returns
    -------
    Tensor
        The loss.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.nn import MSELossFlat
    >>> call_loss(MSELossFlat(), tensor([1., 2.]), tensor([1., 4.]))
    tensor(2.)
    """
    return loss_func(output, *yb) if isinstance(yb, (list, tuple)) else loss_func(output, yb)


# ---------------------------------------------------------------- validation


def validate_batches(learn: Any, dl: Any, on: CallbackHandler) -> list[Tensor]:
    """Return the mean loss over the rows of a loader; metrics and callbacks see each batch.

    Parameters
    ----------
    learn : Learner
        The learner.
    dl : iterable of batches
        The loader.
    on : CallbackHandler
        Called at each event.

    Returns
    -------
    list of Tensor
        The mean loss, a single number; an empty list if the loader has no batch.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> loss, = validate_batches(learn, learn.data.valid_dl, CallbackHandler([]))
    >>> loss.item() > 0
    True
    """
    state, total, rows = on.state, 0., 0
    learn.model.eval()
    with interrupts() as ctrl_c, no_grad():
        for xb, yb in learn.data.batches(dl):
            on("batch_begin", True, last_input=xb, last_target=yb, train=False, **FLAGS)
            on("loss_begin", last_output=forward(learn.model, state["last_input"]))
            loss = call_loss(learn.loss_func, state["last_output"], state["last_target"])
            n = len(listify(state["last_target"])[0])
            total, rows = total + _number(loss) * n, rows + n
            on("batch_end", True, last_loss=loss)
            ctrl_c.check()
            if state["stop_epoch"]:
                break
    return [Tensor(total / rows)] if rows else []


def _number(loss: Any) -> Any:
    """Return the loss as an array of one number."""
    number = loss.data if isinstance(loss, Tensor) else np.asarray(loss)
    if np.size(number) != 1:
        raise ShapeError(f"the loss of a batch must be one number, got shape {np.shape(number)}; "
                         "take its mean, or give the loss reduction='mean'")
    return number


def validate(learn: Any, dl: Any = None, callbacks: Any = None, metrics: Any = None) -> list[Any]:
    """Return the loss and the metrics on a loader.

    Parameters
    ----------
    learn : Learner
        The learner.
    dl : iterable of batches, optional
        The loader, by default the one of the validation set.
    callbacks : Callback or list of Callback, optional
        Callbacks in addition to ``learn.callbacks``.
    metrics : callable or list of callables, optional
        Metrics instead of ``learn.metrics``.

    Returns
    -------
    list of float
        The loss, then the metrics. For an empty loader ``[None]``.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> from minifast.metrics import mae
    >>> loss, error = learn.validate(metrics=[mae])
    >>> error > 0
    True
    """
    measures = [as_metric(m) for m in (learn.metrics if metrics is None else listify(metrics))]
    on = CallbackHandler([*learn.callbacks, *listify(callbacks)], measures)
    with learn.reproducibly(), _training(on, 1, measures):
        on("epoch_begin", True, num_batch=0)
        results = validate_batches(learn, learn.data.dl() if dl is None else dl, on)
        on("epoch_end", bool(results), last_metrics=results)
    return [None if v is None else float(v) for v in on.state["last_metrics"]] or [None]


# ---------------------------------------------------------------- predictions


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Put a model into evaluation mode, afterwards back into the mode of before.

    Parameters
    ----------
    model : Module
        The model.

    Examples
    --------
    >>> from minifast.nn import Dropout
    >>> layer = Dropout(.5)
    >>> with evaluating(layer):
    ...     layer.training
    False
    >>> layer.training
    True
    """
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def get_preds(learn: Any, ds_type: DatasetType = DatasetType.Valid,
              activ: Callable[[Tensor], Tensor] | None = None, with_loss: bool = False,
              n_batch: int | None = None) -> list[Tensor]:
    """Return predictions and targets of a whole data set.

    Parameters
    ----------
    learn : Learner
        The learner.
    ds_type : DatasetType
        Which data set.
    activ : callable, optional
        Applied to the model's outputs. By default the activation that belongs to the loss, such
        as softmax for cross entropy.
    with_loss : bool
        Whether to return the loss of each row as well.
    n_batch : int, optional
        Number of batches, by default all.

    Returns
    -------
    list of Tensor
        Predictions (n, ...), targets (n, ...), and with ``with_loss`` the losses (n,).

    Raises
    ------
    ValueError
        If the loader has no batch.
    TypeError
        If the loss function cannot return a loss for each row.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> preds, targets = learn.get_preds()
    >>> preds.shape, targets.shape
    ((8, 1), (8,))
    """
    outputs, targets = [], []
    with learn.reproducibly(), no_grad(), evaluating(learn.model):
        for xb, yb in islice(learn.data.batches(learn.data.dl(ds_type)), n_batch):
            outputs.append(forward(learn.model, xb).detach())
            targets.append(yb)
        if not outputs:
            raise ValueError("there is nothing to predict: the loader has no batch")
        raw, target = cat(outputs), cat(targets)
        losses = [_row_losses(learn.loss_func, raw, target)] if with_loss else []
        return [(activ or _activation(learn.loss_func))(raw), target, *losses]


def _row_losses(loss_func: Any, raw: Tensor, target: Tensor) -> Tensor:
    if not hasattr(loss_func, "reduction"):
        raise TypeError("losses per row need a loss function with a reduction attribute, such as "
                        "minifast.nn.MSELossFlat()")
    of_rows = copy(loss_func)
    of_rows.reduction = "none"
    return call_loss(of_rows, raw, target)


def _activation(loss_func: Any) -> Callable[[Tensor], Tensor]:
    """Return what turns outputs into predictions for this loss."""
    return getattr(loss_func, "activation", None) or (lambda x: x)


def predict(learn: Any, item: Any) -> tuple[Any, Tensor, Tensor]:
    """Return the prediction for one sample.

    Parameters
    ----------
    learn : Learner
        The learner.
    item : object
        One sample, as the data take it.

    Returns
    -------
    decoded : object
        The name of the predicted class, or the predicted number.
    target : Tensor
        The index of the class, or the number.
    output : Tensor
        The probability of each class, or the number.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> decoded, target, output = learn.predict([0., 0.])
    >>> decoded == learn.model.bias.item()
    True
    """
    xb = learn.data.one_item(item)
    with learn.reproducibly(), no_grad(), evaluating(learn.model):
        output = _activation(learn.loss_func)(forward(learn.model, xb).detach())[0]
        target = learn.data.analyze_pred(output)
    return learn.data.decode(target), target, output


# ---------------------------------------------------------------- devices


class DeviceMemoryError(DeviceError):
    """The device's memory is full; the message says what to lower."""


@contextmanager
def on_device(learn: Any) -> Iterator[None]:
    """Check ids if the device does not; after an error, clear gradients and explain full memory.

    Parameters
    ----------
    learn : Learner
        The learner that is trained. It can be used again after an error or Ctrl-C: gradients are
        cleared. See ``Optimizer`` for an error within a step.

    Raises
    ------
    DeviceMemoryError
        If the device's memory is full.
    IndexError
        If an id of the data is out of range for its Embedding.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> with on_device(learn):
    ...     learn.validate()[0] > 0
    True
    """
    backend = get_backend(learn.data.device)
    if not backend.checks_ids and any(isinstance(m, Embedding) for m in learn.model.modules()):
        check_all_ids(learn)
    try:
        yield
    except BaseException as error:
        learn.model.zero_grad()
        if not isinstance(error, backend.out_of_memory):
            raise
        bs = learn.data.batch_size
        raise DeviceMemoryError(
            f"{backend.name} has no memory left for a batch of {bs or 'this many'} rows ({error}). "
            f"Lower the batch size{f', for example bs={max(bs // 2, 1)}' if bs else ''}, or the "
            "model's width; learn.to('cpu') continues without the device") from error


def check_all_ids(learn: Any) -> None:
    """Raise IndexError if an id of the data is out of range for the Embedding that looks it up.

    A GPU wraps invalid ids instead of checking them. So the rows with the smallest and the largest
    ids of each column pass through the model, once for each data set, and each lookup is checked.

    Parameters
    ----------
    learn : Learner
        The learner with its data.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> check_all_ids(learn)  # there is no Embedding
    """
    model = learn.model
    token = checking.set(True)
    try:
        for ds in (learn.data.train_ds, learn.data.valid_ds):
            if isinstance(ds, ArrayDataset) and ds.checked is not model and len(ds):
                with evaluating(model), no_grad():
                    forward(model, next(learn.data.batches([ds[_rows_of_extremes(ds)]]))[0])
                ds.checked = model
    finally:
        checking.reset(token)


def _rows_of_extremes(ds: ArrayDataset) -> list[int]:
    """Return the rows in which a column of whole numbers has its smallest or largest one."""
    columns: list[Array] = ds.x if isinstance(ds.x, list) else [ds.x]
    found = [find(0) for x in columns if x.dtype.kind in "iu" for find in (x.argmin, x.argmax)]
    return [row for rows in found for row in transfer(rows, "cpu").ravel().tolist()] or [0]
