"""The training loop."""
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import ShapeError, Tensor, no_grad
from ..data import DataBunch
from ..nn import Module
from ..optim import Optimizer
from .callback import Callback
from .handler import CallbackHandler

if TYPE_CHECKING:
    from .learner import Learner

LossFunction = Callable[..., Tensor]


def fit(epochs: int, learn: "Learner", callbacks: Iterable[Callback],
        metrics: Sequence[Callback] = ()) -> None:
    """Train ``learn.model`` for some epochs, telling ``callbacks`` of every event."""
    handler = CallbackHandler(callbacks, metrics)
    data, model, opt = learn.data, learn.model, learn.opt
    exception: BaseException | bool = False
    try:
        handler.on_train_begin(epochs, [metric_name(m) for m in metrics])
        for _ in range(epochs):
            model.train()
            handler.on_epoch_begin()
            for xb, yb in data.batches(data.train_dl):
                xb, yb = handler.on_batch_begin(xb, yb)
                loss = train_batch(model, xb, yb, learn.loss_func, opt, handler)
                if handler.on_batch_end(loss):
                    break
            val_loss = None
            if not handler.state["skip_validate"] and not data.empty_val:
                if opt is not None:
                    opt.settle()  # a pass over many rows is to come, and no step
                val_loss = validate(model, data, data.valid_dl, learn.loss_func, handler)
            if handler.on_epoch_end(val_loss):
                break
    except Exception as error:
        exception = error
        raise
    finally:
        handler.on_train_end(exception)


def train_batch(model: Module, xb: Any, yb: Any, loss_func: LossFunction,
                opt: Optimizer | None, handler: CallbackHandler) -> Tensor:
    """Forward, loss, backward, step: the loss, without its history."""
    output = handler.on_loss_begin(forward(model, xb))
    loss, skip_backward = handler.on_backward_begin(call_loss(loss_func, output, yb))
    if not skip_backward:
        loss.backward()
    if not handler.on_backward_end() and opt is not None:
        opt.step()
    if not handler.on_step_end() and opt is not None:
        opt.zero_grad()
    return loss.detach()


def validate(model: Module, data: DataBunch, dl: Any, loss_func: LossFunction,
             handler: CallbackHandler) -> Tensor | None:
    """The mean loss over the rows of ``dl``; metrics hear of each batch."""
    model.eval()
    total: Any = 0.
    rows = 0
    with no_grad():
        for xb, yb in data.batches(dl):
            xb, yb = handler.on_batch_begin(xb, yb, train=False)
            output = handler.on_loss_begin(forward(model, xb))
            loss, n = call_loss(loss_func, output, yb), batch_rows(yb)
            total = total + _number(loss) * n
            rows += n
            if handler.on_batch_end(loss):
                break
    return Tensor(total / rows) if rows else None


def forward(model: Module, xb: Any) -> Any:
    """The model's output; a list of inputs becomes its arguments."""
    return model(*xb) if isinstance(xb, (list, tuple)) else model(xb)


def call_loss(loss_func: LossFunction, output: Any, yb: Any) -> Tensor:
    """The loss; a list of targets becomes its arguments."""
    return loss_func(output, *yb) if isinstance(yb, (list, tuple)) else loss_func(output, yb)


def _number(loss: Any) -> Any:
    """The loss as an array of one number; ShapeError if there are several."""
    number = loss.data if isinstance(loss, Tensor) else np.asarray(loss)
    if np.size(number) != 1:
        raise ShapeError(f"the loss of a batch must be one number, got shape {np.shape(number)}; "
                         "take its mean, or give the loss reduction='mean'")
    return number


def batch_rows(yb: Any) -> int:
    """How many rows a batch has."""
    return len(yb[0]) if isinstance(yb, (list, tuple)) else len(yb)


def metric_name(metric: Callback) -> str:
    """The head of a metric's column."""
    return str(getattr(metric, "name", type(metric).__name__))


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Within this, the model is in evaluation mode; afterwards in the mode it was in."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
