"""Gradients to be summed over processes: in flat storage, or as rows of lookups."""
from typing import Any

import numpy as np

from ..backend import Array
from .sparse_grad import SparseGrad
from .store import EmbeddingStore


def gradients(comm: Any, opt: Any, n_rows: int) -> tuple[list[Array], list[Array]]:
    """Return the gradients that are sent as a whole, and those that are sent as rows.

    Gradients of lookups that wait as rows are exchanged here.

    Parameters
    ----------
    comm : Communicator
        The processes, see ``minifast.distributed``.
    opt : AcceleratedOptimizer
        The optimizer.
    n_rows : int
        Rows of the batch, over all ranks.

    Returns
    -------
    dense, as_rows : list of array
        The gradients.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.fast import accelerate
    >>> from minifast.nn import Linear
    >>> from minifast.optim import SGD
    >>> layer = Linear(2, 1)
    >>> with accelerate(layer, opt := SGD(layer.parameters(), lr=.1)):
    ...     layer(tensor([[1., 2.]])).sum().backward()
    ...     gradients(None, opt, n_rows=1)
    ([array([1., 2., 1.], dtype=float32)], [])
    """
    dense: list[Array] = []
    as_rows: list[Array] = []
    for flats in opt.accelerator.flats:
        for flat, _ in flats:
            waiting = [store for store in flat.stores if _few(store, n_rows)]
            for store in waiting:
                as_rows += _exchange(comm, store)
            others = [store for store in flat.stores if store not in waiting]
            for store in others:
                store.write_gradients()
            for p, _, grad in flat.dense:
                if p.grad is not grad:
                    grad[...] = 0 if p.grad is None else p.grad
                    p.grad = grad
            if waiting:
                dense += [grad for _, _, grad in flat.dense] + [store.grad for store in others]
            else:
                dense.append(flat.grad)
    return dense, as_rows


def _few(store: EmbeddingStore, n_rows: int) -> bool:
    """Whether a batch reads so few rows that sending them is faster than sending the tables."""
    return 2 * n_rows * len(store.ranges) < len(store.data)


def _exchange(comm: Any, store: EmbeddingStore) -> list[Array]:
    """Replace the gradient of one lookup in all tables by those of all ranks.

    Returns the gradients that are still to be summed, if there are more than those of one lookup.
    On a GPU, sums over repeated rows differ from run to run, so each rank sums its own rows first.
    """
    single = store.only_pending and len(store.pending) == 1
    if not single or not isinstance(store.data, np.ndarray):
        return [table.grad for table in store.tables]
    part = store.pending[0].unscaled()
    k, width = len(store.ranges), store.width
    rows = [some.reshape(k, -1) for some in comm.gather(part.rows.astype(np.int32))]
    values = [some.reshape(k, -1, width) for some in comm.gather(part.values)]
    store.pending = [SparseGrad(np.concatenate(rows, 1).reshape(-1).astype(np.intp),
                                np.concatenate(values, 1).reshape(-1, width), store.shape)]
    return []
