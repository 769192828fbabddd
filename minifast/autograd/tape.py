"""The tape: one node per operation, and the walk back over the nodes."""
from collections.abc import Callable, Iterator
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from functools import wraps
from heapq import heappop, heappush
from inspect import isgeneratorfunction
from itertools import count, zip_longest
from typing import Any, ParamSpec, Protocol, TypeVar

from ..backend import Array
from .primitive import Primitive, ShapeError, missing_rule


class GraphReleasedError(RuntimeError):
    """A backward pass through a part of the graph that an earlier one has released."""


class Variable(Protocol):
    """What the tape needs to know about a tensor, or about any other input with a gradient."""

    requires_grad: bool
    node: "Node | None"

    def accumulate(self, gradient: Array) -> None: ...


@dataclass(slots=True, eq=False)
class Node:
    """One recorded operation: its inputs and its output.

    Parameters
    ----------
    op : Primitive
        The operation.
    inputs : tuple or None
        Its inputs: tensors, arrays and numbers; None when a backward pass has released them.
    arrays : list
        The inputs with tensors replaced by their arrays.
    output : array
        The result.
    options : dict
        The options of the call.

    Attributes
    ----------
    position : int
        The number of the node, counted over all nodes ever made. An output has a higher number
        than its inputs, so descending numbers are a topological order and no sort is needed.
    """

    op: Primitive
    inputs: tuple[Any, ...] | None
    arrays: list[Any]
    output: Array
    options: dict[str, Any]
    position: int = field(default_factory=count().__next__, init=False)

    def gradients(self, g: Array) -> Iterator[tuple[Variable, Array]]:
        """Yield each input that needs a gradient together with its gradient.

        Parameters
        ----------
        g : array
            The gradient of the output.

        Yields
        ------
        Variable, array
            An input and its gradient, which has the shape and type of the input.

        Raises
        ------
        GraphReleasedError
            If an earlier backward pass has released the node.
        ShapeError
            If a rule returns an array of another shape. A note at this and at any other error in
            a rule names the operation, the input and the shapes.
        """
        if self.inputs is None:
            raise GraphReleasedError(
                f"the graph behind '{self.op.name}' was released by an earlier backward(); "
                "compute the loss anew, or call backward(retain_graph=True) the first time")
        rules = self.op.rules or [self.op.rule(i) for i in range(len(self.inputs))]
        each: Iterator[Any] = zip_longest(self.inputs, self.arrays, rules, fillvalue=missing_rule)
        for i, (x, array, rule) in enumerate(each):
            if rule is not None and getattr(x, "requires_grad", False):
                try:
                    dx = unbroadcast(rule(g, self.output, *self.arrays, **self.options), array)
                except Exception as error:
                    shapes = " and ".join(str(getattr(a, "shape", a)) for a in self.arrays)
                    error.add_note(f"in the derivative rule of input {i} of '{self.op.name}', for "
                                   f"inputs {shapes} and an output {self.output.shape}; a rule is "
                                   "called as rule(g, y, *inputs, **options), returns an array")
                    raise
                yield x, dx


def unbroadcast(g: Array, x: Array) -> Array:
    """Return the gradient ``g`` in the shape and type of the input ``x``.

    Parameters
    ----------
    g : array
        A gradient; it may have the shape to which ``x`` was broadcast.
    x : array
        The input. Only its ``shape`` and ``dtype`` are read.

    Returns
    -------
    array
        ``g``, summed over the axes along which ``x`` was broadcast; ``g`` itself if nothing
        has to change.

    Raises
    ------
    ShapeError
        If the shape of ``g`` is not one to which ``x`` can be broadcast.
    """
    if g.dtype != x.dtype:
        g = g.astype(x.dtype)
    if g.shape == x.shape:
        return g
    added = g.ndim - len(x.shape)
    stretched = [added + i for i, n in enumerate(x.shape) if n == 1]
    total = g.sum(axis=(*range(added), *stretched), keepdims=True) if added >= 0 else g
    if total.shape[max(added, 0):] != x.shape:
        raise ShapeError(f"a gradient of shape {g.shape} for an input of shape {x.shape}")
    return total.reshape(x.shape)


def _own(dx: Array, *held: Array) -> Array:
    """Return ``dx``, or a copy if it is a view or one of the arrays that others hold."""
    shared = getattr(dx, "base", None) is not None or id(dx) in map(id, held)
    return dx.copy() if shared else dx


def walk_back(root: Variable, g: Array, retain_graph: bool = False) -> None:
    """Carry a gradient from ``root`` back to every leaf that requires one.

    A heap yields the nodes in descending order of position. So there is no recursion, and each
    node is visited once, after all operations that used its output.

    Parameters
    ----------
    root : Variable
        Where the walk starts.
    g : array
        The gradient of ``root``.
    retain_graph : bool
        Whether to keep the arrays of the nodes for another walk.
    """
    if root.node is None:
        root.accumulate(g)
        return
    gradients: dict[Node, Array] = {root.node: g}
    heap = [(-root.node.position, root.node)]
    while heap:
        node = heappop(heap)[1]
        g = gradients.pop(node)
        for x, dx in node.gradients(g):
            if x.node is None:
                x.accumulate(_own(dx, g, node.output, *node.arrays))
            elif x.node in gradients:
                gradients[x.node] = gradients[x.node] + dx  # not in place: dx may be shared
            else:
                gradients[x.node] = dx
                heappush(heap, (-x.node.position, x.node))
        if not retain_graph:
            node.inputs, node.arrays, node.output = None, [], None


# ---------------------------------------------------------------- recording or not

P = ParamSpec("P")
R = TypeVar("R")
recording: ContextVar[bool] = ContextVar("recording", default=True)


class no_grad:  # noqa: N801  (torch's name)
    """Context manager and decorator that records no operations.

    It serves validation, predictions, and updates by hand; ``torch.no_grad``.

    Examples
    --------
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
        if isgeneratorfunction(func):
            raise TypeError(f"{func.__name__} is a generator, whose body would run after no_grad "
                            "has ended; write `with no_grad():` around what it computes")

        @wraps(func)
        def unrecorded(*args: P.args, **kwargs: P.kwargs) -> R:
            with no_grad():  # a new one for each call, because threads may share func
                return func(*args, **kwargs)
        return unrecorded
