"""Arena: the trainable parameters of a layer group, end to end in one array."""
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from ..autograd import ShapeError
from ..backend import Array, DeviceError, backend_of
from ..nn import Parameter

BLOCK = 1 << 16
"""Elements updated at a time on a processor with caches: parameters, gradient and state of a
block stay in the cache while all the steps pass over it."""


class Block:
    """A stretch of an arena: what a step function is given.

    ``data`` and ``grad`` are views of the parameters and their gradient, ``scratch`` is room for
    intermediate results, ``decays`` says whether weight decay concerns these parameters.
    ``block["name"]`` is an array of state of the same length, zero at first; ``steps`` counts
    the updates.
    """

    __slots__ = ("_arena", "_place", "_state", "data", "decays", "grad", "scratch", "steps")

    def __init__(self, arena: "Arena", place: slice, decays: bool) -> None:
        self._arena, self._place, self.decays = arena, place, decays
        self.data, self.grad = arena.data[place], arena.grad[place]
        self.scratch: Array = arena.scratch[:place.stop - place.start]
        self._state: dict[str, Array] = {}
        self.steps = 0

    def start(self) -> None:
        """Before the first step: the gradient as it arrived. A step may put another array there."""
        self.grad = self._arena.grad[self._place]

    def __getitem__(self, name: str) -> Array:
        if name not in self._state:
            self._state[name] = self._arena.whole(name)[self._place]
        return self._state[name]


class LazyStretch(Protocol):
    """Those parameters of an arena that may be updated lazily."""

    def keeps(self, p: Parameter) -> bool: ...

    def step(self, number: int, coming: Callable[[int], dict[str, float]]) -> None: ...

    def settle(self) -> None: ...


class Arena:
    """One array for the parameters of a group, one for their gradients, one per kind of state.

    Each parameter's ``data`` becomes a view of it, and its gradient is written straight into
    its place, so a step is a few operations on long arrays however many parameters there are.
    Parameters that weight decay spares come last.
    """

    def __init__(self, parameters: Sequence[Parameter], bn_wd: bool = True) -> None:
        decaying = [p for p in parameters if bn_wd or not p.no_wd]
        spared = [p for p in parameters if not bn_wd and p.no_wd]
        self.parameters = decaying + spared
        _check_alike(self.parameters)
        self.data: Array = np.concatenate([p.data.reshape(-1) for p in self.parameters])
        self.grad = np.zeros_like(self.data)
        self.block = BLOCK if backend_of(self.data).in_pieces else max(len(self.data), 1)
        self.scratch = np.empty_like(self.data[:self.block])
        self.state: dict[str, Array] = {}
        self.lazy: LazyStretch | None = None
        self.places = self._adopt()
        self.boundary = sum(p.numel() for p in decaying)
        self.blocks: list[Block] = []
        self._steps = 0
        self.leave_out([])

    def _adopt(self) -> list[tuple[Parameter, Array, Array]]:
        """Each parameter with its view of the data and of the gradient."""
        return [(p, self.data[place].reshape(p.shape), self.grad[place].reshape(p.shape))
                for p, place in self.spans()]

    def leave_out(self, places: Sequence[slice]) -> None:
        """Cut the blocks anew so that the steps pass over all but these stretches."""
        steps, self.blocks, start = self.steps, [], 0
        for place in [*sorted(places, key=lambda p: p.start), slice(len(self.data), None)]:
            between = min(max(self.boundary, start), place.start)
            self.blocks += self._cut(start, between, True)
            self.blocks += self._cut(between, place.start, False)
            start = place.stop
        self.steps = steps

    def _cut(self, start: int, stop: int, decays: bool) -> Iterator[Block]:
        for at in range(start, stop, self.block):
            yield Block(self, slice(at, min(at + self.block, stop)), decays)

    def whole(self, name: str) -> Array:
        """The state array ``name`` of all parameters."""
        if name not in self.state:
            self.state[name] = np.zeros_like(self.data)
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

    def collect(self) -> None:
        """Make sure that data and gradients are in their places before a step.

        A parameter whose array was replaced (``p.data = ...``) is taken back in; one that got
        no gradient counts as having a gradient of zero.
        """
        for p, data, grad in self.places:
            if self.lazy is not None and self.lazy.keeps(p):
                continue
            if p.data is not data:
                _take_in(p, data)
            if p.grad is not grad:
                grad[...] = 0 if p.grad is None else p.grad
                p.home = grad

    def settle(self) -> None:
        """Make sure that data and state are what they would be without lazy updates."""
        if self.lazy is not None:
            self.lazy.settle()

    def take_in(self, p: Parameter) -> None:
        """Let a parameter's place in the arena be its array, with its values."""
        for own, data, _ in self.places:
            if own is p and p.data is not data:
                _take_in(p, data)

    def release(self) -> None:
        """Let gradients go to arrays of the parameters' own again."""
        self.settle()
        for p, _, grad in self.places:
            if p.home is grad:
                p.home = None

    def inherit(self, old: "Arena") -> None:
        """Take over the state of the parameters that were in ``old`` too."""
        theirs = {id(p): place for p, place in old.spans()}
        for name in old.state:
            for p, place in self.spans():
                if id(p) in theirs:
                    self.whole(name)[place] = old.whole(name)[theirs[id(p)]]
        self.steps = old.steps

    def spans(self) -> Iterator[tuple[Parameter, slice]]:
        """Each parameter with where it lies."""
        start = 0
        for p in self.parameters:
            yield p, slice(start, start + p.numel())
            start += p.numel()


def _take_in(p: Parameter, data: Array) -> None:
    """Let ``data`` be the parameter's array, with its values."""
    if p.device != backend_of(data).name:
        raise DeviceError(f"a parameter was moved from {backend_of(data).name} to {p.device} "
                          "behind the optimizer's back; move it with learn.to(device), which "
                          "takes the optimizer along")
    if p.shape != data.shape:
        raise ShapeError(f"a parameter's data of shape {data.shape} was replaced by {p.shape}; "
                         "make a new optimizer for another shape")
    data[...] = p.data
    p.data = data


def _check_alike(parameters: Sequence[Parameter]) -> None:
    kinds = {(p.device, str(p.dtype)) for p in parameters}
    if len(kinds) > 1:
        raise TypeError(f"the parameters of a layer group must share device and type, got "
                        f"{sorted(kinds)}; use model.to(device) or one dtype")
