"""The scores of matrix factorization: users' rows times items' rows."""
from typing import TypeAlias

from ..autograd import Tensor, apply, ops, record
from ..autograd.pairs import pair_dot_bias
from .embedding import Embedding
from .table import Store

Side: TypeAlias = tuple[Tensor, Embedding, Embedding]
"""Ids (bs,), the factors and the biases that they look up."""


def dot_bias(users: Side, items: Side) -> Tensor:
    """u . v + b + c for each pair: (bs,).

    An optimizer keeps these four tables as one, in which a row is [factors, bias]. Then a batch
    is one lookup of pairs of rows, and one gradient for all of them. Tables that are frozen or
    watched by a hook are looked up one by one; the scores are the same.

    >>> from minifast import tensor
    >>> users, items = (tensor([i]) for i in (1, 6))
    >>> dot_bias((users, Embedding(5, 3), Embedding(5, 1)),
    ...          (items, Embedding(7, 3), Embedding(7, 1))).shape
    (1,)
    """
    if (store := _common_store(users, items)) is None:
        rows = [layers[i](ids) for i in (0, 1) for ids, *layers in (users, items)]
        return apply(ops.row_dot_bias, *rows)
    numbers = store.rows_of([users[0].data, items[0].data])
    arrays, options = [store.look_up(numbers), numbers], {"shape": store.data.shape}
    scores = pair_dot_bias.forward(*arrays, **options)
    return record(pair_dot_bias, (store, numbers), arrays, scores, options)


def _common_store(users: Side, items: Side) -> Store | None:
    """Where an optimizer keeps just these tables, if it does and they may be read as one."""
    layers = (*users[1:], *items[1:])
    store: Store | None = getattr(getattr(layers[0], "weight", None), "store", None)
    if store is None or not store.in_pairs:
        return None
    for layer, table in zip(layers, store.tables, strict=True):
        if type(layer) is not Embedding or layer.weight is not table \
                or table.store is not store or layer.forward_hooks or not table.requires_grad:
            return None
    u, i = users[0], items[0]
    if not isinstance(u, Tensor) or not isinstance(i, Tensor):
        return None
    return store if u.data.ndim == 1 and u.data.shape == i.data.shape else None
