"""Embedding: a table whose rows are looked up by number."""
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..autograd import Tensor, apply, ops, tensor
from ..backend import Array, backend_of, transfer
from .init import Seed, normal_, trunc_normal_
from .module import Module, Parameter

checking: ContextVar[bool] = ContextVar("checking", default=False)
"""Whether ids are also checked on a GPU, which requires a synchronization."""


class Embedding(Module):
    """A table from which ``forward`` returns the row of each id: ``torch.nn.Embedding``.

    Ids (bs, ...) give rows (bs, ..., width). The result is that of one-hot rows times the table,
    without the multiplications by zero. Initial weights are normal with standard deviation 1.

    Parameters
    ----------
    num_embeddings : int
        Number of rows.
    embedding_dim : int
        Length of a row.
    seed : int, Generator or None
        Seed of the initial weights.

    Examples
    --------
    >>> from minifast import tensor
    >>> Embedding(10, 3)(tensor([1, 1, 7])).shape
    (3, 3)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, seed: Seed = None) -> None:
        shape = num_embeddings, embedding_dim
        self.weight = normal_(Parameter(np.empty(shape, np.float32)), seed=seed)

    def forward(self, ids: Any) -> Tensor:
        if not isinstance(ids, Tensor):
            ids = tensor(ids, device=self.weight.device)
        check_ids(ids.data, len(self.weight.data), "an Embedding of {n} rows")
        return apply(ops.lookup, self.weight, ids)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.weight.shape))


def embedding(n: int, width: int, seed: Seed = None) -> Embedding:
    """Return an Embedding with fastai v1's small initial weights.

    Parameters
    ----------
    n : int
        Number of rows.
    width : int
        Length of a row.
    seed : int, Generator or None
        Seed of the initial weights, drawn by ``trunc_normal_`` with ``std=0.01``.

    Returns
    -------
    Embedding
        The layer.

    Examples
    --------
    >>> embedding(944, 40)
    Embedding(944, 40)
    """
    layer = Embedding(0, width, seed=0)
    layer.weight = trunc_normal_(Parameter(np.empty((n, width), np.float32)), std=0.01, seed=seed)
    return layer


def check_ids(ids: Array, n: int, user: str) -> None:
    """Check that ids are whole numbers from 0 to n - 1.

    On a GPU the range is not checked, because the host would have to wait for the answer. A
    learner checks its data once, before training.

    Parameters
    ----------
    ids : array
        The ids, of any shape.
    n : int
        Number of rows or classes.
    user : str
        What the ids are for, in the error message; ``{n}`` stands for the number.

    Raises
    ------
    TypeError
        If the array does not hold whole numbers.
    IndexError
        If an id is out of range.

    Examples
    --------
    >>> check_ids(np.array([0, 2]), 3, "scores of {n} classes")
    """
    if ids.dtype.kind not in "iu":
        raise TypeError(f"ids must be whole numbers, got {ids.dtype}; use tensor.long()")
    if not backend_of(ids).checks_ids:
        if not checking.get():
            return
        ids = transfer(ids, "cpu")
    if not ids.size:
        return
    if ids.item(ids.argmin()) < 0 or ids.item(ids.argmax()) >= n:  # faster than min() and max()
        wrong = ids[(ids < 0) | (ids >= n)]
        raise IndexError(f"id {wrong.flat[0]} is out of range for {user.format(n=n)} "
                         f"(0 to {n - 1}); {wrong.size} of {ids.size} ids are")
