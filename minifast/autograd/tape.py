"""The tape: one node per operation, and the walk back over the nodes."""
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from heapq import heappop, heappush
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from itertools import count, zip_longest
from typing import Any, Protocol, TypeVar

from ..backend import Array
from .primitive import Primitive, ShapeError, missing_rule

clock = count()
"""Numbers all nodes and all changes of arrays in order of time."""


class GraphReleasedError(RuntimeError):
    """A backward pass through a part of the graph that an earlier one has released."""


class ChangedArrayError(RuntimeError):
    """A backward pass that needs an array that was changed in place after the forward pass."""


class Variable(Protocol):
    """What the tape needs to know about a tensor, or about any other input with a gradient."""

    requires_grad: bool
    node: "Node | None"

    def accumulate(self, gradient: Array) -> None: ...


@dataclass(slots=True, eq=False, repr=False)
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
        Changes of arrays are numbered by the same clock.

    Examples
    --------
    >>> from minifast import tensor
    >>> x = tensor([1., 2.], requires_grad=True)
    >>> (x * 3).node.op.name, (x * 3).node.inputs[0] is x
    ('mul', True)
    """

    op: Primitive
    inputs: tuple[Any, ...] | None
    arrays: list[Any]
    output: Array
    options: dict[str, Any]
    position: int = field(default_factory=clock.__next__, init=False)

    def __repr__(self) -> str:
        shapes = ", ".join(str(getattr(a, "shape", a)) for a in self.arrays)
        return f"<{self.op.name}: {shapes} -> {getattr(self.output, 'shape', 'released')}>"

    def gradients(self, g: Array, create_graph: bool = False) -> Iterator[tuple[Variable, Array]]:
        """Yield each input that needs a gradient together with its gradient.

        Parameters
        ----------
        g : array or Tensor
            The gradient of the output.
        create_graph : bool
            Whether ``g`` and the results are tensors, which can be differentiated again.

        Yields
        ------
        Variable, array or Tensor
            An input and its gradient, which has the shape and type of the input.

        Raises
        ------
        GraphReleasedError
            If an earlier backward pass has released the node.
        ChangedArrayError
            If an array that a rule reads was changed in place after the forward pass.
        TypeError
            If a rule does not run on tensors.
        ShapeError
            If a rule returns an array of the wrong shape. A note on this and on any other error
            in a rule names the operation, the input and the shapes.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast import tensor
        >>> x = tensor([1., 2.], requires_grad=True)
        >>> [(input is x, g) for input, g in (x * 3).node.gradients(np.float32([1, 1]))]
        [(True, array([3., 3.], dtype=float32))]
        """
        if self.inputs is None:
            raise GraphReleasedError(
                f"the graph behind '{self.op.name}' was released by an earlier backward(); "
                "compute the loss again, or call backward(retain_graph=True) the first time")
        if changed.last > self.position:
            self._refuse_changes(g.data if create_graph else g)
        y, arrays, rules = self._as_tensors(type(g)) if create_graph else \
            (self.output, self.arrays, self.op.rules)
        each: Iterator[Any] = zip_longest(self.inputs, self.arrays, rules, fillvalue=missing_rule)
        for i, (x, array, rule) in enumerate(each):
            if rule is not None and getattr(x, "requires_grad", False):
                try:
                    dx = unbroadcast(rule(g, y, *arrays, **self.options), array)
                    if create_graph and not isinstance(dx, type(g)):
                        raise TypeError(f"the rule returns {type(dx).__name__}, which cannot be "
                                        "differentiated again")
                except Exception as error:
                    shapes = " and ".join(str(getattr(a, "shape", a)) for a in self.arrays)
                    error.add_note(f"in the derivative rule of input {i} of '{self.op.name}', for "
                                   f"inputs {shapes} and an output {self.output.shape}; a rule is "
                                   "called as rule(g, y, *inputs, **options)")
                    raise
                yield x, dx

    def _as_tensors(self, tensor: type) -> tuple[Any, list[Any], Any]:
        """Return output, inputs and rules in a form such that the results have a graph."""
        y, arrays = tensor(self.output), list(self.arrays)
        y.requires_grad, y.node = True, self
        for i, x in enumerate(self.inputs or ()):
            if isinstance(x, tensor) and x.requires_grad:  # type: ignore[attr-defined]
                if x.data is not arrays[i]:  # type: ignore[attr-defined]
                    raise ChangedArrayError(f"the array of input {i} of '{self.op.name}' was "
                                            "replaced; call backward() before that")
                arrays[i] = x
        return y, arrays, self.op.on_tensors

    def _refuse_changes(self, g: Array) -> None:
        """Raise ChangedArrayError if a rule reads an array that is known to have changed."""
        saved = [self.output, *self.arrays]
        for i, array in enumerate(saved):
            last, code, line = changed.get(owner(array), (-1, None, 0))
            if last > self.position:
                stale = [*saved[:i], Unread(array), *saved[i + 1:]]
                try:
                    node = Node(self.op, self.inputs, stale[1:], stale[0], self.options)
                    list(node.gradients(g))
                except Exception:  # a rule that has to read the array may fail in any way
                    name = f"input {i - 1}" if i else "the output"
                    raise ChangedArrayError(
                        f"{name} of '{self.op.name}', {array.shape}, was changed in place by "
                        f"{code.co_filename}:{line} in {code.co_name}, so the gradient would be "
                        "wrong; call backward() before that") from None


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
    TypeError
        If ``x`` holds no floats.
    ShapeError
        If the shape of ``g`` is not one to which ``x`` can be broadcast.

    Examples
    --------
    >>> import numpy as np
    >>> unbroadcast(np.ones((4, 3)), np.zeros((1, 3)))
    array([[4., 4., 4.]])
    """
    if g.dtype != x.dtype:
        if x.dtype.kind != "f":
            raise TypeError(f"an input of {x.dtype} has no gradient; convert it: tensor.float()")
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


def walk_back(root: Variable, g: Any, retain_graph: bool = False, create_graph: bool = False,
              wanted: Collection[Any] | None = None) -> dict[Any, Any]:
    """Carry a gradient from ``root`` back to every leaf that requires one.

    A heap yields the nodes in descending order of position. So there is no recursion, and each
    node is visited once, after all operations that used its output.

    Parameters
    ----------
    root : Variable
        Where the walk starts.
    g : array or Tensor
        The gradient of ``root``.
    retain_graph : bool
        Whether to keep the arrays of the nodes for another walk.
    create_graph : bool
        Whether ``g`` and all other gradients are tensors.
    wanted : collection of Node or Variable, optional
        Nodes and leaves whose gradients are returned. If given, leaves accumulate nothing.

    Returns
    -------
    dict of Node or Variable to array or Tensor
        The gradients of all ``wanted`` on which ``root`` depends, and those of other leaves.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast import tensor
    >>> x = tensor([1., 2.], requires_grad=True)
    >>> walk_back(x * x, np.float32([1, 1]), wanted={x})[x]
    array([2., 4.], dtype=float32)
    """
    gradients: dict[Any, Any] = {root.node or root: g}
    heap = [(-root.node.position, root.node)] if root.node else []
    if root.node is None and wanted is None:
        root.accumulate(g)
    while heap:
        node = heappop(heap)[1]
        g = gradients[node] if wanted and node in wanted else gradients.pop(node)
        for x, dx in node.gradients(g, create_graph):
            made_by = x.node
            if made_by is None and wanted is None:
                x.accumulate(dx.clone() if create_graph else _own(dx, g, node.output, *node.arrays))
            elif (key := made_by or x) in gradients:
                gradients[key] = gradients[key] + dx  # not in place: dx may be shared
            else:
                gradients[key] = dx
                if made_by is not None:
                    heappush(heap, (-made_by.position, made_by))
        if not retain_graph:
            node.inputs, node.arrays, node.output = None, [], None
    return gradients


# ---------------------------------------------------------------- arrays that are changed in place


class Changes(dict[int, tuple[int, Any, int]]):
    """When and where arrays were last changed in place, by the ids of the owners of their memory.

    A node is valid as long as the arrays that it has saved do not change after it was made.
    Changes are recorded here, and the forward pass records nothing for this. A change to a view
    counts as a change to the whole array, as in torch. The ids of deleted arrays do no harm: an
    array that reuses such an id is younger than the change, and so is every node that saves it.

    Attributes
    ----------
    last : int
        The number of the latest change.
    """

    last = -1

    def mark(self, arrays: Sequence[Array], depth: int = 1) -> None:
        """Record that arrays change.

        Parameters
        ----------
        arrays : sequence of array
            The arrays.
        depth : int
            How many calls the line that an error message names is above the calling function.

        Examples
        --------
        >>> import numpy as np
        >>> a = np.zeros(2)
        >>> changes = Changes()
        >>> changes.mark([a])
        >>> id(a) in changes
        True
        """
        frame, self.last = sys._getframe(depth + 1), next(clock)
        place = self.last, frame.f_code, frame.f_lineno
        for array in arrays:
            self[id(array)] = self[id(getattr(array, "base", None))] = place


def owner(array: Array) -> int:
    """Return the id of the array that owns the memory of an array.

    Parameters
    ----------
    array : array
        An array, or a view of one.

    Returns
    -------
    int
        The id.

    Examples
    --------
    >>> import numpy as np
    >>> a = np.zeros((2, 3))
    >>> owner(a[0]) == owner(a) == id(a)
    True
    """
    base = getattr(array, "base", None)
    return id(base if isinstance(base, type(array)) else array)


changed = Changes()


class Unread:
    """A stand-in for an array whose shape and type may be read, but not its values.

    Parameters
    ----------
    array : array
        The array that nobody may read.

    Examples
    --------
    >>> import numpy as np
    >>> Unread(np.zeros((2, 3))).shape
    (2, 3)
    """

    __array_ufunc__ = __eq__ = __ne__ = None  # type: ignore[assignment]  # operators refuse it

    def __init__(self, array: Array) -> None:
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self._array = array

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Array:
        """Make a similar array. A function that reads the values has no argument ``like``."""
        if function.__name__.endswith("_like"):
            return function(self._array, *args[1:], **options)
        return function(*args, **options, like=self._array)


# ---------------------------------------------------------------- recording or not

F = TypeVar("F", bound=Callable[..., Any])
# the function that makes nodes; None while nothing is recorded
recording: ContextVar[Callable[..., Node] | None] = ContextVar("recording", default=Node)


class no_grad(ContextDecorator):  # noqa: N801  (torch's name)
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
        self._tokens: list[Token[Any]] = []

    def __enter__(self) -> "no_grad":
        self._tokens.append(recording.set(None))
        return self

    def __exit__(self, *error: object) -> None:
        recording.reset(self._tokens.pop())

    def __call__(self, func: F) -> F:
        if isgeneratorfunction(func) or iscoroutinefunction(func) or isasyncgenfunction(func):
            raise TypeError(f"{func.__name__} is a generator or a coroutine, whose body would run "
                            "after no_grad has ended; write `with no_grad():` within it")
        return super().__call__(func)

    def _recreate_cm(self) -> "no_grad":  # one for each call, because threads may share a function
        return no_grad()
