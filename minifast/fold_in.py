"""A user who comes after the training: one new row, learned with all else frozen."""
from copy import copy
from typing import Any

import numpy as np

from .autograd import Tensor
from .backend import device
from .nn import Embedding, Module, Parameter
from .train import Learner
from .train.loop import call_loss, forward


def user_tables(model: Any) -> list[Embedding]:
    """The Embeddings with a row per user; TypeError if the model does not say which they are.

    >>> from minifast.collab import EmbeddingDotBias
    >>> user_tables(EmbeddingDotBias(3, 5, 7))
    [Embedding(5, 3), Embedding(5, 1)]
    """
    if not hasattr(model, "user_tables"):
        raise TypeError(f"{type(model).__name__} does not say where its users are; give it a "
                        "property user_tables, the list of its Embeddings with a row per user")
    tables: list[Embedding] = model.user_tables
    return tables


def check_within(y: "np.ndarray[Any, Any]", y_range: Any) -> None:
    """Raise ValueError if a rating is one that the model cannot predict.

    >>> check_within(np.array([1., 5.]), (0, 5.5))
    """
    if y_range is not None and (y.min() < y_range[0] or y.max() > y_range[1]):
        wrong = y[(y < y_range[0]) | (y > y_range[1])][0]
        raise ValueError(f"a rating of {wrong:g} is outside of the model's y_range "
                         f"{tuple(y_range)}, so it cannot be met; correct it, or leave it out")


def learn_rows(learn: Learner, items: Tensor, y: Tensor, epochs: int, lr: float
               ) -> list[Parameter]:
    """A row for each table of users, trained alone, in a model that has this one user.

    It begins at the mean of the users' rows, without ``#na#``. ValueError if it does not stay
    finite. The learner and its model are left as they are.
    """
    twin, user = frozen_twin(learn.model).eval(), (items * 0).long()
    tables = user_tables(learn.model)
    with device(learn.data.device):
        rows = [Parameter(table.weight.data[1:].mean(0, keepdims=True)) for table in tables]
    for table, row in zip(user_tables(twin), rows, strict=True):
        table.weight = row
    opt = learn.opt_func([[row] for row in rows], lr=lr, true_wd=learn.true_wd,
                         wd=[_wd_of(learn, table) for table in tables], bn_wd=learn.bn_wd)
    for _ in range(epochs):
        call_loss(learn.loss_func, forward(twin, [user, items]), y).backward()
        opt.step()
        opt.zero_grad()
    if not all(np.isfinite(row.numpy()).all() for row in rows):
        raise ValueError(f"with lr={lr} the new user's row became infinite or NaN; nothing was "
                         "changed. Lower lr")
    return rows


def frozen_twin(module: Module) -> Any:
    """The same modules over again, with the same arrays, in which no parameter can train.

    >>> from minifast.nn import Linear
    >>> layer = Linear(2, 1)
    >>> twin = frozen_twin(layer)
    >>> twin.weight.data is layer.weight.data, twin.parameters()
    (True, [])
    """
    twin = copy(module)
    for name, value in vars(module).items():
        if isinstance(value, Module):
            setattr(twin, name, frozen_twin(value))
        elif isinstance(value, Parameter):
            setattr(twin, name, value.detach())
    return twin


def _wd_of(learn: Learner, table: Embedding) -> float:
    """The weight decay of the layer group that holds a table."""
    groups, wd = list(learn.layer_groups), learn.wd
    wds = [wd] * len(groups) if isinstance(wd, (int, float)) else list(wd)
    return next(float(wd) for group, wd in zip(groups, wds, strict=True)
                if any(p is table.weight for p in group.parameters()))
