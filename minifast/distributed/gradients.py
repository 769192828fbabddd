"""Sum gradients over all ranks: dense ones as one array, those of embeddings as rows."""
from collections.abc import Iterable, Sequence
from importlib import import_module

import numpy as np

from ..backend import Array
from ..nn import Embedding, Module, Parameter
from ..optim import Optimizer
from .communicator import Communicator


def sum_gradients(comm: Communicator, model: Module, opt: Optimizer, n_rows: int) -> None:
    """Replace the gradients of all trainable parameters by their sums over all ranks.

    Parameters
    ----------
    comm : Communicator
        The ranks.
    model : Module
        The model, with the gradients from this rank's rows.
    opt : Optimizer
        The optimizer; within ``minifast.fast.accelerate``, gradients stay in flat storage.
    n_rows : int
        Rows of the joint batch, that is, on all ranks.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.distributed import world
    >>> from minifast.nn import Linear
    >>> from minifast.optim import SGD
    >>> model = Linear(1, 1, seed=0)
    >>> model(tensor([[2.]])).sum().backward()
    >>> sum_gradients(world(), model, SGD(model.parameters()), n_rows=1)
    >>> model.weight.grad
    array([[2.]], dtype=float32)
    """
    if getattr(vars(opt).get("accelerator"), "active", False):
        dense, tables = import_module("minifast.fast.exchange").gradients(comm, opt, n_rows)
    else:
        dense, tables = gradients(model.parameters(), n_rows, tables_of(model))
    sum_dense(comm, dense)
    sum_rows(comm, tables)


def tables_of(model: Module) -> set[Parameter]:
    """Return the tables of a model's embeddings.

    Parameters
    ----------
    model : Module
        The model.

    Returns
    -------
    set of Parameter
        The weights of its Embedding layers.

    Examples
    --------
    >>> [table.shape for table in tables_of(Embedding(4, 2, seed=0))]
    [(4, 2)]
    """
    return {layer.weight for layer in model.modules() if isinstance(layer, Embedding)}


def gradients(parameters: Iterable[Parameter], n_rows: int, tables: set[Parameter]
              ) -> tuple[list[Array], list[Array]]:
    """Return the gradients that are sent as a whole, and those that are sent as rows.

    Parameters
    ----------
    parameters : iterable of Parameter
        The parameters.
    n_rows : int
        Rows of the joint batch, that is, on all ranks.
    tables : set of Parameter
        The tables of embeddings.

    Returns
    -------
    dense, as_rows : list of array
        Gradients. A missing gradient is replaced by zeros, because other ranks may have one.

    Examples
    --------
    >>> layer = Embedding(100, 2, seed=0)
    >>> dense, as_rows = gradients(layer.parameters(), 8, tables_of(layer))
    >>> len(dense), [gradient.shape for gradient in as_rows]
    (0, [(100, 2)])
    """
    dense: list[Array] = []
    as_rows: list[Array] = []
    for p in parameters:
        if p.requires_grad:
            if p.grad is None:
                p.grad = np.zeros_like(p.data)
            few = p in tables and 2 * n_rows < len(p.grad)
            (as_rows if few else dense).append(p.grad)
    return dense, as_rows


def sum_dense(comm: Communicator, arrays: Sequence[Array]) -> None:
    """Sum arrays over all ranks in place; arrays of the same type are sent in one message.

    Parameters
    ----------
    comm : Communicator
        The ranks.
    arrays : sequence of array
        The same shapes and types in the same order on all ranks.

    Examples
    --------
    >>> from minifast.distributed import world
    >>> arrays = [np.ones(2), np.ones((1, 3))]
    >>> sum_dense(world(), arrays)
    >>> [array.sum().item() for array in arrays]
    [2.0, 3.0]
    """
    alike: dict[str, list[Array]] = {}
    for array in arrays:
        alike.setdefault(array.dtype.str, []).append(array)
    for some in alike.values():
        if len(some) == 1 and some[0].flags.c_contiguous:
            comm.sum(some[0])
            continue
        total = comm.sum(np.concatenate([array.reshape(-1) for array in some]))
        ends = np.cumsum([array.size for array in some])[:-1].tolist()
        for array, part in zip(some, np.split(total, ends), strict=True):
            array[...] = part.reshape(array.shape)


def sum_rows(comm: Communicator, tables: Sequence[Array]) -> None:
    """Sum gradients of embeddings over all ranks in place; only rows that are not zero are sent.

    The size of the message depends on the batch and not on the table. The ranks are added in
    order, so the result has the same bits on all of them.

    Parameters
    ----------
    comm : Communicator
        The ranks.
    tables : sequence of array (n, width)
        The same shapes and types in the same order on all ranks.

    Examples
    --------
    >>> from minifast.distributed import world
    >>> table = np.float32([[0, 0], [1, 2], [0, 0]])
    >>> sum_rows(world(), [table])
    >>> table.tolist()
    [[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]]
    """
    for table in tables:
        rows: Array = np.flatnonzero(table.any(axis=1)).astype(_narrow(len(table)))
        mine = table[rows]
        table[rows] = 0
        for some, values in zip(comm.gather(rows), comm.gather(mine), strict=True):
            table[some] += values  # a rank sends each row once


def _narrow(n: int) -> type:
    """Return the smallest type for the numbers of ``n`` rows."""
    return np.int32 if n <= 2 ** 31 else np.int64

