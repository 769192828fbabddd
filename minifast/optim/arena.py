"""Arena: the trainable parameters of a layer group, end to end in one array."""
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from ..backend import Array, backend_of
from ..nn import Parameter
from ..threads import for_each, n_threads
from .hyper import Coming
from .span import Span, check_fits, lay_out

BLOCK = 1 << 17
"""Elements updated at a time on a processor with caches: parameters, gradient and state of a
block stay in the cache while all the steps pass over it."""


class Block:
    """A stretch of an arena: what a step function is given.

    ``data`` and ``grad`` are views of the parameters and their gradient, ``decays`` says whether
    weight decay concerns these parameters. ``scratch`` is room for intermediate results, until
    the steps of this block are over. ``block["name"]`` is an array of state of the same length,
    zero at first; ``steps`` counts the updates.
    """

    __slots__ = ("_arena", "_place", "_state", "data", "decays", "grad", "scratch", "steps")

    def __init__(self, arena: "Arena", place: slice, decays: bool, scratch: Array) -> None:
        self._arena, self._place, self.decays = arena, place, decays
        self.data, self.grad = arena.data[place], arena.grad[place]
        self.scratch: Array = scratch[:place.stop - place.start]
        self._state: dict[str, Array] = {}
        self.steps = 0

    def start(self) -> None:
        """Before the first step: the gradient as it arrived. A step may put another array there."""
        self.grad = self._arena.grad[self._place]

    def __getitem__(self, name: str) -> Array:
        if name not in self._state:
            self._state[name] = self._arena.whole(name)[self._place]
        return self._state[name]


class LazyStores(Protocol):
    """What updates stores lazily, if anything does."""

    def step(self, number: int, now: dict[str, float],
             foresee: Callable[[], Coming]) -> None: ...

    def settle(self) -> None: ...


class Arena:
    """One array for the parameters of a group, one for their gradients, one per kind of state.

    Each parameter's ``data`` becomes a view of it, and its gradient is written straight into
    its place, so a step is a few operations on long arrays however many parameters there are.
    The tables of embeddings lie in ``stores``, behind the others. Parameters that weight decay
    spares come last.
    """

    def __init__(self, parameters: Sequence[Parameter], bn_wd: bool = True) -> None:
        decaying = [p for p in parameters if bn_wd or not p.no_wd]
        spared = [p for p in parameters if not bn_wd and p.no_wd]
        self.parameters = decaying + spared
        _check_alike(self.parameters)
        self.boundary, length = (sum(p.numel() for p in some)
                                 for some in (decaying, self.parameters))
        self.data: Array = np.zeros_like(self.parameters[0].data, shape=length)
        self.grad = np.zeros_like(self.data)
        self.state: dict[str, Array] = {}
        self._spans: dict[int, Span] = {}
        self._adopt(decaying, 0)
        self._adopt(spared, self.boundary)
        self.places = [(p, span(self.data), span(self.grad)) for p, span in self.spans()]
        self.lazy: LazyStores | None = None
        size = max(length, 1)
        self.block = min(BLOCK, size) if backend_of(self.data).in_pieces else size
        self.crew = min(n_threads(), -(-size // self.block))
        self.scratch = np.empty_like(self.data, shape=(self.crew, self.block))
        self.blocks: list[Block] = []
        self._steps = 0
        self.leave_out([])

    def _adopt(self, parameters: Sequence[Parameter], start: int) -> None:
        """Copy the values of parameters into the array, from ``start`` on; the tables' stores."""
        spans, _ = lay_out(parameters, start)
        for p, span in spans:
            span(self.data)[...] = p.data
        self._spans |= {id(p): span for p, span in spans}

    def spans(self) -> list[tuple[Parameter, Span]]:
        """Each parameter with where it lies."""
        return [(p, self._spans[id(p)]) for p in self.parameters]

    # ---- pieces for the steps

    def leave_out(self, places: Sequence[slice]) -> None:
        """Cut the blocks anew so that the steps pass over all but these stretches."""
        steps, pieces, start = self.steps, [], 0
        for place in [*sorted(places, key=lambda p: p.start), slice(len(self.data), None)]:
            between = min(max(self.boundary, start), place.start)
            pieces += [(piece, True) for piece in self._cut(start, between)]
            pieces += [(piece, False) for piece in self._cut(between, place.start)]
            start = place.stop
        runs = [pieces[i::self.crew] for i in range(self.crew)]  # dealt out: the last is short
        self.runs = [[Block(self, piece, decays, scratch) for piece, decays in run]
                     for run, scratch in zip(runs, self.scratch, strict=True) if run]
        self.blocks = [block for run in self.runs for block in run]
        self.steps = steps

    def _cut(self, start: int, stop: int) -> list[slice]:
        return [slice(at, min(at + self.block, stop)) for at in range(start, stop, self.block)]

    def each_block(self, work: Callable[[Block], None]) -> None:
        """Call ``work`` with all blocks; on a processor several at a time, a thread for each run
        of them that share their scratch."""
        def all_of(run: list[Block]) -> None:
            for block in run:
                work(block)
        for_each(self.runs, all_of)

    def whole(self, name: str) -> Array:
        """The state array ``name`` of all parameters."""
        if name not in self.state:
            self.state.setdefault(name, np.zeros_like(self.data))  # blocks may ask at once
        return self.state[name]

    @property
    def steps(self) -> int:
        """How many updates were made; all blocks count alike."""
        return self.blocks[0].steps if self.blocks else self._steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self._steps = steps
        for block in self.blocks:
            block.steps = steps

    # ---- parameters in and out

    def collect(self) -> None:
        """Make sure that data and gradients are in their places before a step.

        A parameter whose array was replaced (``p.data = ...``) is taken back in; one that got
        no gradient counts as having a gradient of zero. Stores in another form are left alone.
        """
        for p, data, grad in self.places:
            if p.data is not data:
                check_fits(p, data)
                data[...] = p.data
                p.data = data
            if p.grad is not grad:
                grad[...] = 0 if p.grad is None else p.grad

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p, _, _ in self.places:
            p.grad = None

    def settle(self) -> None:
        """Make sure that data and state are what they would be without lazy updates."""
        if self.lazy is not None:
            self.lazy.settle()

    def release(self) -> None:
        """Let gradients go to arrays of the parameters' own again, and tables be such."""
        self.settle()

    def inherit(self, old: "Arena") -> None:
        """Take over the state of the parameters that were in ``old`` too."""
        for name in old.state:
            for p, span in self.spans():
                if (theirs := old._spans.get(id(p))) is not None:
                    span(self.whole(name))[...] = theirs(old.whole(name))
        self.steps = old.steps

    def flat(self, name: str) -> Array:
        """A copy of the state array ``name``, parameter by parameter in their order."""
        return np.concatenate([span(self.whole(name)).reshape(-1) for _, span in self.spans()])

    def load_flat(self, name: str, values: Array) -> None:
        """Take such an array back."""
        whole, start = self.whole(name), 0
        for p, span in self.spans():
            span(whole)[...] = values[start:start + p.numel()].reshape(p.shape)
            start += p.numel()


def _check_alike(parameters: Sequence[Parameter]) -> None:
    kinds = {(p.device, str(p.dtype)) for p in parameters}
    if len(kinds) > 1:
        raise TypeError(f"the parameters of a layer group must share device and type, got "
                        f"{sorted(kinds)}; use model.to(device) or one dtype")
