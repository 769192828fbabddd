"""A table of a model's layers, output shapes and parameters, and one of its layer groups."""
from typing import Any

from ..autograd import Tensor, no_grad
from ..data import DatasetType
from ..nn import Module
from ..train import Learner, flatten_model
from ..train.loop import evaluating, forward
from .group_table import count_parameters, group_table
from .hooks import Hooks
from .text_table import Text, text_table


def summary(learn: Learner) -> Text:
    """Return a table of the model's layers, output shapes and parameters, and one of its groups.

    Output shapes are those of one training row without its batch axis. The row comes from the
    unshuffled loader, so the order of training is left alone.

    Parameters
    ----------
    learn : Learner
        The learner.

    Returns
    -------
    Text
        A string that a notebook shows as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> learn = Learner(DataBunch.create(rows, rows, bs=4), Linear(2, 1, seed=0))
    >>> [line for line in summary(learn).splitlines() if line.startswith("Total params")]
    ['Total params: 3']
    """
    rows: list[tuple[str, ...]] = []

    def note(module: Module, inputs: Any, output: Any) -> None:
        shape = list(output.shape[1:]) if isinstance(output, Tensor) else "?"
        total, trainable = count_parameters(module)
        rows.append((type(module).__name__, str(shape), f"{total:,}", str(trainable > 0)))
    xb, _ = learn.data.one_batch(DatasetType.Fix)
    one_row = [x[:1] for x in xb] if isinstance(xb, (list, tuple)) else xb[:1]
    with Hooks(flatten_model(learn.model), note), evaluating(learn.model), no_grad():
        forward(learn.model, one_row)
    total, trainable = count_parameters(learn.model)
    opt_func: Any = getattr(learn.opt_func, "func", learn.opt_func)  # of a functools.partial
    return Text("\n".join([
        type(learn.model).__name__,
        text_table(["Layer (type)", "Output Shape", "Param #", "Trainable"], rows), "",
        f"Total params: {total:,}", f"Total trainable params: {trainable:,}",
        f"Total non-trainable params: {total - trainable:,}",
        f"Optimizer: {getattr(opt_func, '__name__', opt_func)}, weight decay {learn.wd} "
        f"({'decoupled' if learn.true_wd else 'coupled'})",
        f"Loss: {learn.loss_func}", "", group_table(learn)]))


model_summary = summary
"""fastai v1's name of the function behind ``learn.summary``."""
