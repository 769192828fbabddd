"""FlatParameters: parameters end to end in one array, so that a step is a few long operations."""
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ..backend import Array
from ..nn import Parameter
from ..optim.optimizer import apply_steps, check_replacement
from ..optim.steps import State
from .deferred_table import CHUNK
from .deferred_updates import KINDS, DeferredUpdates
from .future import Future
from .layout import lay_out
from .parameters import EmbeddingWeight, FlatParameter, array_of, copy_in
from .store import EmbeddingStore, TableLeaf
from .threads import for_each, n_threads

Step = Callable[..., None]


class Chunk(dict[str, Array]):
    """A slice of flat storage, with its state: what an optimizer's steps are applied to.

    Parameters
    ----------
    flat : FlatParameters
        The storage.
    where : slice
        The elements.

    Examples
    --------
    >>> from minifast.nn import Parameter
    >>> p = Parameter(np.float32([1, 2]))
    >>> flat = FlatParameters([p], {}, (), None)
    >>> Chunk(flat, slice(0, 1)).data
    array([1.], dtype=float32)
    """

    def __init__(self, flat: "FlatParameters", where: slice) -> None:
        super().__init__()
        self.flat, self.where, self.count = flat, where, flat.count
        self.data, self.grad = flat.data[where], flat.grad[where]

    def __missing__(self, name: str) -> Array:
        self[name] = part = self.flat.whole(name)[self.where]
        return part

    def step(self, steps: Sequence[Step], hypers: Mapping[str, float]) -> None:
        """Apply all steps of the optimizer to this chunk, or none if one of them fails.

        Parameters
        ----------
        steps : sequence of callable
            The steps.
        hypers : mapping of str to float
            The hyper-parameters.

        Examples
        --------
        >>> from minifast.nn import Parameter
        >>> p = Parameter(np.float32([1, 2]))
        >>> flat = FlatParameters([p], {}, (), None)
        >>> from minifast.optim.steps import momentum, sgd_step
        >>> flat.grad[:] = 1
        >>> Chunk(flat, slice(0, 1)).step([momentum, sgd_step], {"lr": .5, "mom": .9})
        >>> p.data
        array([0.5, 2. ], dtype=float32)
        """
        self.grad = self.flat.grad[self.where]  # a step may have replaced this array
        apply_steps(steps, self, self, hypers)


class FlatParameters:
    """Parameters of one layer group end to end in one array, their gradients in another.

    Each parameter's ``data`` becomes a view, and its gradient is written directly into its place.
    The tables of embeddings lie in ``stores``, after the others.

    Parameters
    ----------
    parameters : sequence of Parameter
        Of one type, on one device, updated equally often.
    states : dict of Parameter to State
        The optimizer's state, from which that of these parameters is taken.
    weights : collection of Parameter
        Those that are the tables of embeddings.
    owner : object
        The object that the parameters belong to until ``release``.

    Examples
    --------
    >>> from minifast.nn import Parameter
    >>> p = Parameter(np.float32([1, 2]))
    >>> flat = FlatParameters([p], {}, (), None)
    >>> np.shares_memory(p.data, flat.data)
    True
    """

    def __init__(self, parameters: Sequence[Parameter], states: dict[Parameter, State],
                 weights: Collection[Parameter], owner: Any) -> None:
        dense = [p for p in parameters if p not in weights]
        places, stores = lay_out(dense, [p for p in parameters if p in weights])
        tables = [table for store in stores for group in store for table in group]
        self.places = dict(zip([*dense, *tables], places, strict=True))
        self.data: Array = np.zeros_like(parameters[0].data,
                                         shape=sum(p.numel() for p in parameters))
        self.grad = np.zeros_like(self.data)
        self.state: dict[str, Array] = {}
        self._count = max((states[p].count for p in parameters if p in states), default=0)
        self.stores = [EmbeddingStore(groups, self.places, self.data, self.grad)
                       for groups in stores]
        self._fill(states)
        self.dense = [(p, self.places[p](self.data), self.places[p](self.grad)) for p in dense]
        self._adopt(states, owner)
        self.deferred: DeferredUpdates | None = None
        self.left_out: list[EmbeddingStore] = []
        self.chunks, self.runs = list[Chunk](), list[list[Chunk]]()
        self._cut()

    def _fill(self, states: dict[Parameter, State]) -> None:
        for p, place in self.places.items():
            if (state := states.get(p)) is not None:
                check_replacement(state.device, state.kind[1], p.data)
            place(self.data)[...] = p.data
            for name, array in (state or {}).items():
                place(self.whole(name))[...] = array

    def _adopt(self, states: dict[Parameter, State], owner: Any) -> None:
        """Make all parameters views, each of its fast class."""
        for p, data, grad in self.dense:
            p.data = data
            if type(p) is Parameter:
                vars(p).update(owner=owner, grad_view=grad)
                p.__class__ = FlatParameter
        for store in self.stores:
            for table in store.tables:
                place = self.places[table]
                table.data = view = place(self.data)
                leaf = TableLeaf(table, len(store.data), store.first_row(table))
                vars(table).update(owner=owner, grad_view=place(self.grad), store=store, view=view,
                                   sparse=[], leaf=leaf)
                table.__class__ = EmbeddingWeight
        for p in self.places:
            states.pop(p, None)

    def release(self, states: dict[Parameter, State]) -> None:
        """Give all parameters their own arrays again, and return their state to the optimizer.

        Parameters
        ----------
        states : dict of Parameter to State
            The optimizer's state, which receives that of these parameters.

        Examples
        --------
        >>> from minifast.nn import Parameter
        >>> p = Parameter(np.float32([1, 2]))
        >>> flat = FlatParameters([p], {}, (), None)
        >>> data, states = flat.data, {}
        >>> flat.release(states)
        >>> np.shares_memory(p.data, data), list(states) == [p]
        (False, True)
        """
        tables = [(t, t.view, t.grad_view) for store in self.stores for t in store.tables]
        for p, data, grad in [*self.dense, *tables]:
            _release(p, data, grad)
            states[p] = state = State(p)
            state.count, state.kind = self.count, (type(data), data.shape)
            state |= {name: self.places[p](flat).copy() for name, flat in self.state.items()}
        for store in self.stores:
            store.released = True
        # nothing is left to restore, and there is no cycle, so all arrays are freed at once
        self.dense, self.stores, self.chunks, self.runs, self.deferred = [], [], [], [], None

    # ---- chunks for the steps

    def _cut(self) -> None:
        """Cut all elements into chunks, except for the stores that are left out."""
        self._count, n = self.count, len(self.data)
        size = min(CHUNK, max(n, 1)) if type(self.data) is np.ndarray else max(n, 1)
        chunks, start = [], 0
        skipped = sorted((store.where for store in self.left_out), key=lambda s: s.start)
        for where in [*skipped, slice(n, None)]:
            chunks += [Chunk(self, slice(at, min(at + size, where.start)))
                       for at in range(start, where.start, size)]
            start = where.stop
        if not n:
            chunks = [Chunk(self, slice(0))]  # parameters without elements also have state
        self.chunks, threads = chunks, min(n_threads(), max(len(chunks), 1))
        self.runs = [chunks[i::threads] for i in range(threads)]  # dealt out: the last is short

    def whole(self, name: str) -> Array:
        """Return the flat array of the state ``name``.

        Parameters
        ----------
        name : str
            Such as ``'average'`` or ``'square'``.

        Returns
        -------
        array
            As long as ``data``; zeros at first.

        Examples
        --------
        >>> from minifast.nn import Parameter
        >>> p = Parameter(np.float32([1, 2]))
        >>> flat = FlatParameters([p], {}, (), None)
        >>> flat.whole("average")
        array([0., 0.], dtype=float32)
        """
        if name not in self.state:
            self.state.setdefault(name, np.zeros_like(self.data))  # several threads may ask
        return self.state[name]

    @property
    def count(self) -> int:
        """How many updates were counted; the count is the same for all chunks."""
        return self.chunks[0].count if self.chunks else self._count

    # ---- a step

    def defer(self, steps: Sequence[Step], always: bool, nodes: int | None) -> None:
        """Defer updates of embeddings from now on, if there are formulas for the steps.

        On a GPU, a pass over a whole table is fast and selecting rows waits for the device, so
        nothing is deferred there.

        Parameters
        ----------
        steps : sequence of callable
            The optimizer's steps.
        always : bool
            Defer wherever it is possible, not only where it is faster.
        nodes : int, optional
            Quadrature nodes for Adam.

        Examples
        --------
        >>> from minifast.nn import Parameter
        >>> p = Parameter(np.float32([1, 2]))
        >>> flat = FlatParameters([p], {}, (), None)
        >>> from minifast.optim import SGD
        >>> flat.defer(SGD([p], lr=.1).steps, always=True, nodes=None)
        >>> type(flat.deferred).__name__
        'DeferredUpdates'
        """
        kind = KINDS.get(tuple(steps))
        if kind is not None and type(self.data) is np.ndarray:
            self.deferred = DeferredUpdates(self.stores, self.whole, kind, always, nodes)

    def step(self, number: int, steps: Sequence[Step], hypers: Mapping[str, float],
             future: Callable[[], Future]) -> None:
        """Update all parameters.

        Parameters
        ----------
        number : int
            How many steps the optimizer has taken so far.
        steps : sequence of callable
            The optimizer's steps.
        hypers : mapping of str to float
            The hyper-parameters of this step.
        future : callable
            Makes the function that returns those of the next steps.

        Examples
        --------
        >>> from minifast.nn import Parameter
        >>> p = Parameter(np.float32([1, 2]))
        >>> flat = FlatParameters([p], {}, (), None)
        >>> from minifast.optim.steps import momentum, sgd_step
        >>> p.grad = np.float32([1, 1])
        >>> flat.step(0, [momentum, sgd_step], {"lr": .5, "mom": .9}, lambda: None)
        >>> p.data
        array([0.5, 1.5], dtype=float32)
        """
        stepped: list[EmbeddingStore] = []
        if self.deferred is not None and self.deferred.tables:
            for store in self.stores:
                self._move_in(store)
            stepped = self.deferred.step(number, self.count, hypers, future)
        if stepped != self.left_out:
            self.left_out = stepped
            self._cut()
        self._collect()

        if self.chunks:
            self._step_chunks(steps, hypers)
        elif self.deferred is not None and self.deferred.kind.counts:
            self._count += 1

    def _step_chunks(self, steps: Sequence[Step], hypers: Mapping[str, float]) -> None:
        def run(chunks: list[Chunk]) -> None:
            for chunk in chunks:
                chunk.step(steps, hypers)
        for_each(self.runs, run)

    def _collect(self) -> None:
        """Bring data and gradients to their places before a dense step.

        An array that was replaced (``p.data = ...``) is copied in; a parameter without gradient
        counts as having a gradient of zero.
        """
        for p, data, grad in self.dense:
            if p.data is not data:
                copy_in(p.data, data)
                p.data = data
            if p.grad is not grad:
                grad[...] = 0 if p.grad is None else array_of(p.grad)
        for store in self.stores:
            if store not in self.left_out:
                self._move_in(store)
                store.collect()

    def _move_in(self, store: EmbeddingStore) -> None:
        if not store.intact:
            for table in store.tables:
                table.move_in()
            store.intact = True

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p, _, _ in self.dense:
            p.grad = None
        for store in self.stores:
            store.zero_grad()


def _release(p: Any, view: Array, grad_view: Array) -> None:
    """Give a parameter its own arrays and its ordinary class."""
    data, grad = p.data, p.grad
    data = data.copy() if data is view else data
    grad = grad.copy() if grad is grad_view else grad
    if isinstance(p, FlatParameter):
        p.__class__ = Parameter  # type: ignore[assignment]
        for name in ("owner", "grad_view", "store", "view", "sparse", "leaf"):
            vars(p).pop(name, None)
    p.data, p.grad = data, grad
