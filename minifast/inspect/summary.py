"""A table of a model's leaves: output shapes and parameters."""
from typing import TYPE_CHECKING, Any

from ..autograd import Tensor, no_grad
from ..data import DatasetType
from ..nn import Module
from ..train.groups import flatten_model
from ..train.loop import evaluating, forward
from .hooks import Hooks

if TYPE_CHECKING:
    from ..train.learner import Learner

WIDTH = 70


class Summary(str):
    """A string that shows itself as it is in a notebook."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def model_summary(learn: "Learner") -> Summary:
    """The table of ``learn.summary()``: one training row is sent through the model.

    It is taken from the loader that does not shuffle: the order of the training is left alone.
    """
    xb, _ = learn.data.one_batch(DatasetType.Fix)
    one_row = [x[:1] for x in xb] if isinstance(xb, (list, tuple)) else xb[:1]
    rows: list[tuple[str, str, int, bool]] = []

    def note(module: Module, inputs: Any, output: Any) -> None:
        shape = list(output.shape[1:]) if isinstance(output, Tensor) else "?"
        rows.append((type(module).__name__, str(shape), *_parameters(module)))
    with Hooks(flatten_model(learn.model), note), evaluating(learn.model), no_grad():
        forward(learn.model, one_row)
    return Summary(_layout(learn, rows))


def _parameters(module: Module) -> tuple[int, bool]:
    own = module.parameters()
    return sum(p.numel() for p in own), any(p.requires_grad for p in own)


def _layout(learn: "Learner", rows: list[tuple[str, str, int, bool]]) -> str:
    def line(*cells: str) -> str:
        return "".join(c.ljust(w) for c, w in zip(cells, (20, 20, 10, 10), strict=True))
    body = [f"{line(name, shape, f'{n:,}', str(trainable))}\n{'_' * WIDTH}"
            for name, shape, n, trainable in rows]
    parameters = learn.model.parameters()
    total = sum(p.numel() for p in parameters)
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    return "\n".join([
        type(learn.model).__name__, "=" * WIDTH,
        line("Layer (type)", "Output Shape", "Param #", "Trainable"), "=" * WIDTH, *body, "",
        f"Total params: {total:,}", f"Total trainable params: {trainable:,}",
        f"Total non-trainable params: {total - trainable:,}",
        f"Optimizer: {_name(learn.opt_func)}, weight decay {learn.wd} "
        f"({'decoupled' if learn.true_wd else 'coupled'})",
        f"Loss: {learn.loss_func}"])


def _name(func: Any) -> str:
    return str(getattr(getattr(func, "func", func), "__name__", func))
