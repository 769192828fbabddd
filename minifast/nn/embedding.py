"""Embedding: an array lookup."""
import numpy as np

from ..autograd import Tensor, apply, ops, tensor
from ..backend import Array, backend_of
from .init import Seed, normal_, trunc_normal_
from .module import Module
from .parameter import Parameter


class Embedding(Module):
    """Row ``i`` of a table for each id ``i``: (bs,) to (bs, width); ``torch.nn.Embedding``.

    It equals a one-hot matrix times the table, without the multiplications by zero. Its
    gradient is kept as the rows that were looked up. An id out of range raises IndexError.

    >>> from minifast import tensor
    >>> Embedding(10, 3)(tensor([1, 1, 7])).shape
    (3, 3)
    """

    def __init__(self, n: int, width: int, seed: Seed = None) -> None:
        self.weight = normal_(Parameter(np.empty((n, width), np.float32)), seed=seed)

    def forward(self, ids: Tensor) -> Tensor:
        """ids (bs, ...) to rows (bs, ..., width)."""
        table: Tensor = self.weight
        ids = ids if isinstance(ids, Tensor) else tensor(ids, device=table.device)
        check_ids(ids.data, len(table.data), "an Embedding of {n} rows")
        return apply(ops.lookup, table, ids)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.weight.shape))


def embedding(n: int, width: int, seed: Seed = None) -> Embedding:
    """An Embedding with fastai v1's small initial weights (truncated normal, std 0.01).

    >>> embedding(944, 40)
    Embedding(944, 40)
    """
    layer = Embedding(0, width, seed=0)
    layer.weight = trunc_normal_(Parameter(np.empty((n, width), np.float32)), std=0.01, seed=seed)
    return layer


def check_ids(ids: Array, n: int, user: str) -> None:
    """Raise TypeError unless ids are whole numbers, IndexError unless they lie in 0 to n - 1.

    >>> check_ids(np.array([0, 2]), 3, "scores of {n} classes")
    """
    if ids.dtype.kind not in "iu":
        raise TypeError(f"ids must be whole numbers, got {ids.dtype}; use tensor.long()")
    if ids.size and backend_of(ids).checks_ids and (ids.min() < 0 or ids.max() >= n):
        wrong = ids[(ids < 0) | (ids >= n)]
        raise IndexError(f"id {wrong.flat[0]} is out of range for {user.format(n=n)} "
                         f"(0 to {n - 1}); {wrong.size} of {ids.size} ids are")
