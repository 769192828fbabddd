"""The tape: one node per operation, and the walk back over it."""
from collections.abc import Callable
from contextvars import ContextVar, Token
from functools import wraps
from heapq import heappop, heappush
from itertools import count
from typing import Any, ParamSpec, Protocol, TypeVar

from ..backend import Array
from .primitive import Primitive
from .rows import Rows


class GraphReleasedError(RuntimeError):
    """``backward`` came to a part of the graph that an earlier ``backward`` has released."""


class Leaf(Protocol):
    """What the walk needs to know of a tensor."""

    data: Array
    requires_grad: bool
    node: "Node | None"

    def accumulate(self, gradient: "Array | Rows") -> None: ...


_position = count().__next__


class Node:
    """One operation that was done: which, on what, with what result.

    ``position`` counts all nodes ever made, so an output always has a higher one than its
    inputs: going down in position is a topological order, and no sort is needed.
    """

    __slots__ = ("arrays", "inputs", "op", "options", "output", "position")

    def __init__(self, op: Primitive, inputs: tuple[Any, ...], arrays: list[Any],
                 output: Array, options: dict[str, Any]) -> None:
        self.op, self.options, self.output = op, options, output
        self.inputs: tuple[Any, ...] | None = inputs
        self.arrays = arrays
        self.position = _position()

    def release(self) -> None:
        """Let go of all arrays. A second ``backward`` through this node is an error."""
        self.inputs, self.arrays, self.output = None, [], None

    def gradients(self, g: Array) -> list[tuple[Leaf, "Array | Rows"]]:
        """Each input that needs a gradient, with its gradient."""
        if self.inputs is None:
            raise GraphReleasedError(
                f"the graph behind '{self.op.name}' was released by an earlier backward(); "
                "compute the loss anew, or call backward(retain_graph=True) the first time")
        found = []
        for i, x in enumerate(self.inputs):
            if getattr(x, "requires_grad", False) and (rule := self.op.rule(i)) is not None:
                dx = rule(g, self.output, *self.arrays, **self.options)
                found.append((x, dx if isinstance(dx, Rows) else unbroadcast(dx, x.data)))
        return found


def unbroadcast(g: Array, a: Array) -> Array:
    """``g`` in the shape and type of the input ``a``: summed over axes that were broadcast."""
    if g.dtype is not a.dtype:
        g = g.astype(a.dtype)
    if g.shape == a.shape:
        return g
    if g.ndim > a.ndim:
        g = g.sum(axis=tuple(range(g.ndim - a.ndim)))
    stretched = tuple(i for i, n in enumerate(a.shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=stretched, keepdims=True) if stretched else g


def walk_back(root: Leaf, g: Array, retain_graph: bool = False) -> None:
    """Carry the gradient ``g`` of ``root`` to every leaf that requires one.

    Nodes are taken in reverse order of their making, by a heap: no recursion, and each node is
    visited once, when all that was made from it has been. ``waiting`` holds the gradients that
    have arrived so far; a sum is a new array, since a gradient may be another's as well.
    """
    if root.node is None:
        root.accumulate(g)
        return
    waiting: dict[Node, Any] = {root.node: g}
    heap = [(-root.node.position, root.node)]
    while heap:
        node = heappop(heap)[1]
        for x, dx in node.gradients(waiting.pop(node)):
            if x.node is None:
                x.accumulate(dx)
                continue
            dx = dx.dense() if isinstance(dx, Rows) else dx
            if x.node in waiting:
                waiting[x.node] = waiting[x.node] + dx
            else:
                waiting[x.node] = dx
                heappush(heap, (-x.node.position, x.node))
        if not retain_graph:
            node.release()


# ---------------------------------------------------------------- recording or not

P = ParamSpec("P")
R = TypeVar("R")
recording: ContextVar[bool] = ContextVar("recording", default=True)


class no_grad:  # noqa: N801  (torch's name)
    """Within this, operations leave no nodes: for validation, predictions, updates by hand.

    A decorator as well: ``@no_grad()``.

    >>> from minifast import no_grad
    >>> from minifast import tensor
    >>> w = tensor([1.], requires_grad=True)
    >>> with no_grad():
    ...     print((w * 2).requires_grad)
    False
    """

    def __init__(self) -> None:
        self._tokens: list[Token[bool]] = []

    def __enter__(self) -> "no_grad":
        self._tokens.append(recording.set(False))
        return self

    def __exit__(self, *error: object) -> None:
        recording.reset(self._tokens.pop())

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:
        @wraps(func)
        def unrecorded(*args: P.args, **kwargs: P.kwargs) -> R:
            with no_grad():  # one of its own for each call: several threads may be in func
                return func(*args, **kwargs)
        return unrecorded
