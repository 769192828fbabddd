"""Embedding: an array lookup."""
import numpy as np

from ..autograd import Tensor, apply, ops, record, tensor
from .init import Seed, normal_, trunc_normal_
from .module import Module
from .table import Table, check_ids


class Embedding(Module):
    """Row ``i`` of a table for each id ``i``: (bs,) to (bs, width); ``torch.nn.Embedding``.

    It equals a one-hot matrix times the table, without the multiplications by zero. Its
    gradient is kept as the rows that were looked up. An id out of range raises IndexError.

    >>> from minifast import tensor
    >>> Embedding(10, 3)(tensor([1, 1, 7])).shape
    (3, 3)
    """

    def __init__(self, n: int, width: int, seed: Seed = None) -> None:
        self.weight = normal_(Table(np.empty((n, width), np.float32)), seed=seed)

    def forward(self, ids: Tensor) -> Tensor:
        """ids (bs, ...) to rows (bs, ..., width)."""
        table: Tensor = self.weight  # a twin that is frozen for good has a plain tensor here
        ids = ids if isinstance(ids, Tensor) else tensor(ids, device=table.device)
        if isinstance(table, Table):
            rows = table.look_up(ids.data)
            return record(ops.lookup, (table, ids), [table.stored, ids.data], rows, {})
        check_ids(ids.data, table.shape[0], "an Embedding of {n} rows")
        return apply(ops.lookup, table, ids)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.weight.shape))


def embedding(n: int, width: int, seed: Seed = None) -> Embedding:
    """An Embedding with fastai v1's small initial weights (truncated normal, std 0.01).

    >>> embedding(944, 40)
    Embedding(944, 40)
    """
    layer = Embedding(0, width, seed=0)
    layer.weight = trunc_normal_(Table(np.empty((n, width), np.float32)), std=0.01, seed=seed)
    return layer
