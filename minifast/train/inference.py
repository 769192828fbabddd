"""Using a model: validation, predictions for a loader, prediction for one sample."""
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..autograd import Tensor, cat, no_grad
from .callback import Callback
from .handler import CallbackHandler
from .loop import call_loss, evaluating, forward, metric_name
from .loop import validate as validate_loop

if TYPE_CHECKING:
    from .learner import Learner


def validate(learn: "Learner", dl: Any, callbacks: Iterable[Callback],
             metrics: Sequence[Callback]) -> list[Any]:
    """[loss, metrics ...] as numbers; an empty loader gives [None]."""
    handler = CallbackHandler(callbacks, metrics)
    exception: BaseException | bool = False
    try:
        handler.on_train_begin(1, [metric_name(m) for m in metrics])
        handler.on_epoch_begin()
        handler.on_epoch_end(validate_loop(learn.model, learn.data, dl, learn.loss_func, handler))
    except Exception as error:
        exception = error
        raise
    finally:
        handler.on_train_end(exception)
    return [None if v is None else float(v) for v in handler.state["last_metrics"]] or [None]


def get_preds(learn: "Learner", dl: Any, activ: Callable[[Tensor], Tensor] | None,
              with_loss: bool, n_batch: int | None) -> list[Tensor]:
    """[predictions, targets(, losses)] of the first ``n_batch`` batches of ``dl``, or all."""
    activation = activ or activation_of(learn.loss_func)
    outputs, targets = [], []
    with no_grad(), evaluating(learn.model):
        for i, (xb, yb) in enumerate(learn.data.batches(dl)):
            if i == n_batch:
                break
            outputs.append(forward(learn.model, xb).detach())
            targets.append(yb)
        if not outputs:
            raise ValueError("there is nothing to predict: the loader has no batch")
        raw, target = cat(outputs), cat(targets)
        losses = [_row_losses(learn.loss_func, raw, target)] if with_loss else []
        return [activation(raw), target, *losses]


def _row_losses(loss_func: Any, raw: Tensor, target: Tensor) -> Tensor:
    if not hasattr(loss_func, "reduction"):
        raise TypeError("losses per row need a loss function with a reduction attribute, such as "
                        "minifast.nn.MSELossFlat()")
    before, loss_func.reduction = loss_func.reduction, "none"
    try:
        return call_loss(loss_func, raw, target)
    finally:
        loss_func.reduction = before


def activation_of(loss_func: Any) -> Callable[[Tensor], Tensor]:
    """What turns raw outputs into predictions for this loss; nothing for most."""
    return getattr(loss_func, "activation", None) or (lambda x: x)


def predict(learn: "Learner", item: Any) -> tuple[Any, Tensor, Tensor]:
    """(what it means, target, output after the loss's activation) for one sample."""
    xb = learn.data.one_item(item)
    with no_grad(), evaluating(learn.model):
        output = activation_of(learn.loss_func)(forward(learn.model, xb).detach())[0]
        target = learn.data.analyze_pred(output)
    return learn.data.decode(target), target, output
