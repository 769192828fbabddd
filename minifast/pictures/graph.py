"""The graph behind a tensor as plain data: vertices with texts, edges, and the modules around."""
import sys
from collections.abc import Iterator
from contextvars import Token
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, TypeAlias

import numpy as np

from ..autograd import Tensor
from ..autograd.tape import GraphReleasedError, Node, recording
from ..backend import transfer
from ..nn import Module

Call: TypeAlias = tuple[int, str]
"""One call of a module: a number, and the text over its box."""
OPERATION, LEAF, CONSTANT = "operation", "leaf", "constant"


@dataclass(slots=True)
class Vertex:
    """What is drawn as one node of a graph.

    Parameters
    ----------
    kind : str
        ``OPERATION``, ``LEAF`` (it requires a gradient) or ``CONSTANT``.
    title, shape, value : str
        The lines of text; ``value`` has the first numbers.
    calls : tuple of Call
        The module calls that surround it, from the outside to the inside.

    Examples
    --------
    >>> Vertex("operation", "mul", "(2,)", "3 6").calls
    ()
    """

    kind: str
    title: str
    shape: str
    value: str
    calls: tuple[Call, ...] = ()


@dataclass
class Graph:
    """The operations behind a tensor, their inputs, and the edges between them.

    Parameters
    ----------
    vertices : list of Vertex
        Operations in the order in which they ran, then their other inputs.
    edges : list of (int, int)
        Pairs (input, operation) of positions in ``vertices``; a pair comes twice in ``x * x``.
    nodes : list of Node
        The nodes of the operations.
    number : dict of int to int
        The position in ``vertices`` of each node or input, by its ``id``.

    Examples
    --------
    >>> from minifast import tensor
    >>> graph = read_graph((tensor([1., 2.], requires_grad=True) * 3).sum())
    >>> [vertex.title for vertex in graph.vertices][:2], graph.edges[0]
    (['mul(·, 3)', 'sum'], (2, 0))
    """

    vertices: list[Vertex] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    number: dict[int, int] = field(default_factory=dict)


# ---------------------------------------------------------------- which module ran an operation

_CALL = Module.__call__.__code__


class note_modules:  # noqa: N801  (as no_grad)
    """Context manager that notes which modules run each operation.

    Pass it to ``show_graph`` or ``backward_player`` in place of the model: each call of a module
    then becomes a box. It looks at the stack of calls whenever an operation is recorded.

    Parameters
    ----------
    model : Module
        The model whose modules and parameters have names.

    Attributes
    ----------
    calls : dict of int to tuple of Call
        The calls around each operation, by the position of its node.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.nn import Linear, ReLU, Sequential
    >>> net = Sequential(Linear(2, 3), ReLU())
    >>> with note_modules(net) as notes:
    ...     loss = net(tensor([[1., 2.]])).sum()
    >>> [[text for _, text in calls] for calls in notes.calls.values()]
    [['Sequential', '0 · Linear'], ['Sequential', '1 · ReLU'], []]
    """

    def __init__(self, model: Module) -> None:
        self.model = model
        self.calls: dict[int, tuple[Call, ...]] = {}
        self._names = {id(module): name for name, module in model.named_modules()}
        self._frames: dict[FrameType, Call] = {}  # kept, so that no frame takes another's place
        self._make: Any = None
        self._token: Token[Any] | None = None

    def __enter__(self) -> "note_modules":
        self._make = recording.get()
        self._token = recording.set(self._note) if self._make else None
        return self

    def __exit__(self, *error: object) -> None:
        if self._token is not None:
            recording.reset(self._token)
        self._frames.clear()

    def _note(self, *args: Any) -> Node:
        node: Node = self._make(*args)
        calls = [self._call(frame) for frame in _module_frames(sys._getframe(1))]
        self.calls[node.position] = tuple(reversed(calls))
        return node

    def _call(self, frame: FrameType) -> Call:
        if frame not in self._frames:
            module = frame.f_locals["self"]
            text = _label(self._names.get(id(module), ""), module)
            self._frames[frame] = len(self._frames), text
        return self._frames[frame]


def _module_frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the calls of modules on the stack, the innermost first."""
    while frame is not None:
        if frame.f_code is _CALL:
            yield frame
        frame = frame.f_back


def _label(name: str, module: Module) -> str:
    """Return the text over a module's box."""
    return " · ".join(filter(None, [name, type(module).__name__]))


# ---------------------------------------------------------------- from a tensor to a graph


def read_graph(loss: Tensor, model: Module | note_modules | None = None, **tensors: Any) -> Graph:
    """Return the graph behind a tensor.

    Parameters
    ----------
    loss : Tensor
        The result of operations.
    model : Module or note_modules, optional
        Gives names to parameters and boxes to modules. A model alone has boxes only around
        operations that read a parameter; ``note_modules`` has one for each call of a module.
    **tensors : Tensor
        Further inputs, under their names.

    Returns
    -------
    Graph
        The graph.

    Raises
    ------
    TypeError
        If ``loss`` is not a tensor, or ``model`` is not a model.
    ValueError
        If no operation is recorded.
    GraphReleasedError
        If an earlier backward pass has released the graph.

    Examples
    --------
    >>> from minifast import tensor
    >>> x = tensor([1., 2.], requires_grad=True)
    >>> [vertex.title for vertex in read_graph((x * 3).sum(), x=x).vertices]
    ['mul(·, 3)', 'sum', 'x']
    """
    if not isinstance(loss, Tensor) or not isinstance(model, (Module, note_modules, type(None))):
        raise TypeError(f"a graph is drawn of a tensor and its model, got {type(loss).__name__} "
                        f"and {type(model).__name__}; write show_graph(loss, model)")
    if loss.node is None:
        raise ValueError(f"no operation is recorded behind this tensor of shape {loss.shape}; "
                         "compute it from a leaf that requires a gradient, outside no_grad()")
    return _Reader(model, tensors).read(loss.node)


class _Reader:
    """Builds a graph."""

    def __init__(self, model: Module | note_modules | None, tensors: dict[str, Any]) -> None:
        module = model.model if isinstance(model, note_modules) else model
        self.notes = model.calls if isinstance(model, note_modules) else None
        self.names = {id(t): name for name, t in tensors.items()}
        self.owners: dict[int, str] = {}
        for prefix, part in module.named_modules() if module else ():
            for name, value in vars(part).items():
                if isinstance(value, Tensor):
                    self.names.setdefault(id(value), f"{prefix}.{name}" if prefix else name)
                    self.owners.setdefault(id(value), _label(prefix, part))
        self.graph = Graph()

    def read(self, root: Node) -> Graph:
        graph = self.graph
        graph.nodes = sorted(_nodes_behind(root), key=lambda node: node.position)
        for i, node in enumerate(graph.nodes):
            graph.number[id(node)] = i
            title = f"{node.op.name}{_arguments(node)}"
            graph.vertices.append(_vertex(OPERATION, title, node.output, self._calls(node)))
        for i, node in enumerate(graph.nodes):
            for x, array in zip(node.inputs or (), node.arrays, strict=True):
                if _is_drawn(x):
                    graph.edges.append((self._number(x, array), i))
        self._move_inputs_into_boxes()
        return graph

    def _calls(self, node: Node) -> tuple[Call, ...]:
        if self.notes is not None:
            return self.notes.get(node.position, ())
        owners = [self.owners[id(x)] for x in node.inputs or () if id(x) in self.owners]
        return ((node.position, owners[0]),) if owners else ()

    def _number(self, x: Any, array: Any) -> int:
        """Return the vertex of an input, made if there is none."""
        key = id(getattr(x, "node", None) or x)
        if key not in self.graph.number:
            kind = LEAF if getattr(x, "requires_grad", False) else CONSTANT
            self.graph.number[key] = len(self.graph.vertices)
            self.graph.vertices.append(_vertex(kind, self.names.get(id(x), kind), array))
        return self.graph.number[key]

    def _move_inputs_into_boxes(self) -> None:
        """Put each leaf and constant into the smallest box around all that use it."""
        vertices, boxed = self.graph.vertices, set[int]()
        for start, end in self.graph.edges:
            vertex, calls = vertices[start], vertices[end].calls
            if vertex.kind != OPERATION:
                vertex.calls = _common(vertex.calls, calls) if start in boxed else calls
                boxed.add(start)


def _nodes_behind(root: Node) -> set[Node]:
    found, waiting = {root}, [root]
    while waiting:
        node = waiting.pop()
        if node.inputs is None:
            raise GraphReleasedError(f"the graph behind '{node.op.name}' was released by a "
                                     "backward pass; draw it before backward(), or call "
                                     "backward(retain_graph=True)")
        new = {x.node for x in node.inputs if getattr(x, "node", None)} - found
        found |= new
        waiting.extend(new)
    return found


def _common(a: tuple[Call, ...], b: tuple[Call, ...]) -> tuple[Call, ...]:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return a[:n]


# ---------------------------------------------------------------- texts


def _is_drawn(x: Any) -> bool:
    """Whether an input has a vertex of its own; a constant number stands in the title instead."""
    return getattr(x, "requires_grad", False) or getattr(x, "ndim", 0) > 0


def _arguments(node: Node) -> str:
    """Return the numbers among the inputs as ``(·, 3)``, and the options."""
    inputs = ["·" if _is_drawn(x) else _number_text(x) for x in node.inputs or ()]
    options = [f" {name}={value}" for name, value in node.options.items()
               if isinstance(value, (int, float, tuple, str)) and value is not False]
    return (f"({', '.join(inputs)})" if {*inputs} != {"·"} else "") + "".join(options)


def _number_text(x: Any) -> str:
    value = x.item() if hasattr(x, "item") else x
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _vertex(kind: str, title: str, array: Any, calls: tuple[Call, ...] = ()) -> Vertex:
    return Vertex(kind, title, str(tuple(array.shape)), short(array), calls)


def host(array: Any) -> "np.ndarray[Any, Any]":
    """Return an array, or the array of a tensor, as a NumPy array.

    Parameters
    ----------
    array : Tensor or array
        The values.

    Returns
    -------
    ndarray
        The values on the host.

    Examples
    --------
    >>> host(Tensor(np.zeros(2)))
    array([0., 0.])
    """
    on_host: np.ndarray[Any, Any] = transfer(
        array.data if isinstance(array, Tensor) else array, "cpu")
    return on_host


def short(array: Any, n: int = 3) -> str:
    """Return the first numbers of an array as text.

    Parameters
    ----------
    array : array or Tensor
        The numbers, of any shape.
    n : int
        How many to show.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> short(np.array([[.5, 1 / 3], [2, 100]]))
    '0.5 0.333 2 …'
    """
    numbers = host(array).ravel()
    return " ".join(f"{x:.3g}" for x in numbers[:n].tolist()) + " …" * (numbers.size > n)


def block(array: Any, rows: int = 4, columns: int = 5) -> str:
    """Return the corner of an array as lines of text, after a line with its shape.

    Parameters
    ----------
    array : array or Tensor
        The numbers, of any shape; further axes are laid out as rows.
    rows, columns : int
        How many to show.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> print(block(np.array([[.5, 1 / 3], [2, 100]])))
    shape (2, 2)
      0.5 0.333
        2   100
    """
    numbers = host(array)
    table = numbers.reshape(-1, numbers.shape[-1] if numbers.ndim and numbers.size else 1)
    cells = [[f"{x:.3g}" for x in row[:columns].tolist()] for row in table[:rows]]
    width = max((len(cell) for row in cells for cell in row), default=0)
    more = " …" if table.shape[1] > columns else ""
    lines = [" ".join(cell.rjust(width) for cell in row) + more for row in cells]
    return "\n".join([f"shape {numbers.shape}", *lines, *["…"] * (len(table) > rows)])
