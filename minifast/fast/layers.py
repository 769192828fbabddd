"""What embedding layers are during an accelerated fit: lookups that leave sparse gradients."""
from typing import Any

import numpy as np

from ..autograd import Tensor, apply, primitive
from ..backend import Array
from ..collab import EmbeddingDotBias
from ..nn import Embedding, sigmoid_range
from .parameters import Borrowed, EmbeddingWeight
from .sparse_grad import SparseGrad
from .store import EmbeddingStore, TableLeaf


def _sparse(rows: Array, values: Any, shape: tuple[int, ...], scale: Any = None) -> SparseGrad:
    if isinstance(values, Tensor):
        raise TypeError("gradients of gradients of an Embedding need the plain path: set "
                        "learn.fast = False, or leave `with accelerate(...)`")
    return SparseGrad(rows, values, shape, scale)


@primitive(lambda g, y, leaf, values, rows: _sparse(rows, g, leaf.shape))
def sparse_lookup(leaf: TableLeaf, values: Array, rows: Array) -> Array:
    """Return ``values`` (n, width), which were read at ``rows`` (n,) of the leaf's store."""
    return values


def _partners(g: Array, y: Array, store: EmbeddingStore, found: Array, rows: Array) -> SparseGrad:
    """The gradient of a row [u, b] is g [v, 1], and that of [v, c] is g [u, 1].

    These are the rows that were read, each swapped with its partner, scaled by g.
    """
    width = store.width
    if isinstance(g, Tensor):
        return _sparse(rows, g, store.shape)
    values = found.reshape(2, -1, width)[::-1].copy().reshape(-1, width)
    values[:, -1] = 1
    return SparseGrad(rows, values, store.shape, np.concatenate((g, g)))


@primitive(_partners)
def fused_dot_bias(store: EmbeddingStore, found: Array, rows: Array) -> Array:
    """Return u . v + b + c for each pair of rows, (bs,).

    ``found`` (2 bs, n + 1) was read at ``rows`` of the store: all [u, b], then all [v, c].
    """
    u, v = found.reshape(2, -1, store.width)
    y = (u[:, :-1] * v[:, :-1]).sum(-1) if type(u) is not np.ndarray \
        else np.vecdot(u[:, :-1], v[:, :-1])
    y += u[:, -1]
    y += v[:, -1]
    return y


class FastEmbedding(Borrowed, Embedding):
    """An Embedding in training mode: reads its store, and leaves a sparse gradient there."""

    def forward(self, ids: Tensor) -> Tensor:
        """Return the rows (bs, ..., width) of ids (bs, ...)."""
        weight: Any = self.weight
        if not (self.training and type(weight) is EmbeddingWeight and weight.in_place
                and weight.requires_grad and isinstance(ids, Tensor)):
            return super().forward(ids)
        rows, found = weight.store.read(weight, ids.data.reshape(-1))
        y = apply(sparse_lookup, weight.leaf, found[:, weight.store.columns[weight]].copy(), rows)
        return y if ids.ndim == 1 else y.reshape(*ids.shape, -1)


class FusedDotBias(Borrowed, EmbeddingDotBias):
    """An EmbeddingDotBias that makes one lookup and one gradient for its four tables."""

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the ratings (bs,) of users (bs,) and items (bs,)."""
        if (store := self._store(users, items)) is None:
            return super().forward(users, items)
        if not self.training:
            store.materialize()  # once for all following batches
        rows = store.rows_of([users.data, items.data])
        y = apply(fused_dot_bias, store, store.lookup(rows), rows)
        return y if self.y_range is None else sigmoid_range(y, *self.y_range)

    def _store(self, users: Tensor, items: Tensor) -> EmbeddingStore | None:
        """The store of exactly these four tables, if there is one and it may be read as a whole.

        Tables that are frozen or have a hook are read one by one.
        """
        store: EmbeddingStore | None = getattr(self.u_weight.weight, "store", None)
        if store is None or not store.in_pairs or not store.intact:
            return None
        layers = (self.u_weight, self.u_bias, self.i_weight, self.i_bias)
        for layer, table in zip(layers, store.tables, strict=True):
            if layer.weight is not table or layer.forward_hooks or not table.requires_grad:
                return None
        if type(users) is not Tensor or type(items) is not Tensor:
            return None
        return store if users.data.ndim == 1 and users.data.shape == items.data.shape else None


CLASSES: dict[type, type] = {Embedding: FastEmbedding, EmbeddingDotBias: FusedDotBias}
"""Layers, and their classes during an accelerated fit."""
for _plain, _fast in CLASSES.items():
    _fast.__name__ = _plain.__name__  # a model prints as usual
