"""backward_player: the walk back, recorded and played step by step."""
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ..autograd import Tensor
from ..autograd.tape import Node, Variable, walk_back
from ..backend import Array
from ..nn import Module
from .graph import LEAF, OPERATION, Graph, block, note_modules, read_graph, short
from .page import Picture
from .show import scroll_box
from .svg import draw

START, VISIT, FIRST, ADD, LEAF_STEP, END = "start", "visit", "first", "add", "leaf", "end"


@dataclass(slots=True)
class Step:
    """One step of the walk, and what is true after it.

    Parameters
    ----------
    kind : str
        ``"start"``; ``"visit"`` of a node; the ``"first"`` gradient for a node, or one to
        ``"add"`` to what it or a leaf has; the first for a ``"leaf"``; or ``"end"``.
    at, to : int or None
        The vertex that is visited, and the one that gets a gradient.
    text : str
        What happens.
    values : str
        The numbers of the gradients, several lines.
    short : str
        The first numbers of the gradient that the vertex ``to`` (or ``at``) has after the step.
    queue : list of int
        The vertices that wait, in the order in which the walk will visit them.
    released : list of int
        The vertices whose arrays are released in this step.

    Examples
    --------
    >>> Step("visit", 0, None, "Visit sum.", "1", "1", queue=[], released=[]).kind
    'visit'
    """

    kind: str
    at: int | None
    to: int | None
    text: str
    values: str
    short: str
    queue: list[int]
    released: list[int]


@dataclass
class Walk:
    """A recorded walk.

    Parameters
    ----------
    graph : Graph
        The graph.
    steps : list of Step
        The steps in order.
    gradients : dict of int to array
        The gradient of each leaf that got one, by its vertex.

    Examples
    --------
    >>> from minifast import tensor
    >>> walk = backward_player((tensor([1., 2.], requires_grad=True) * 3).sum()).walk
    >>> walk.steps[0].kind, walk.steps[-1].kind
    ('start', 'end')
    """

    graph: Graph
    steps: list[Step]
    gradients: dict[int, Array]


class Player(Picture):
    """A picture with buttons, and the walk that it plays in ``walk``."""

    walk: Walk


def backward_player(loss: Tensor, model: Module | note_modules | None = None,
                    gradient: Any = None, **tensors: Any) -> Player:
    """Play the backward pass of ``loss`` step by step.

    Each step shows the node that is visited, the gradient that goes to an input, where two
    gradients add up, the queue, and what is released. The gradients are those of ``backward``:
    ``walk_back`` runs with the rules and arrays of the graph. The graph itself stays, and so does
    the ``grad`` of every leaf.

    Parameters
    ----------
    loss : Tensor
        Where the walk starts, before ``backward`` releases its graph.
    model : Module or note_modules, optional
        Names and boxes, as in ``show_graph``.
    gradient : Tensor or array, optional
        The gradient of ``loss``, needed unless it is one number.
    **tensors : Tensor
        Further inputs, under their names.

    Returns
    -------
    Player
        The picture. A notebook shows it; ``.save(path)`` writes a page; ``.walk`` has the steps
        and the gradients.

    Examples
    --------
    >>> from minifast import tensor
    >>> x = tensor([1., 2.], requires_grad=True)
    >>> player = backward_player((x * x).sum(), x=x)
    >>> [step.kind for step in player.walk.steps]
    ['start', 'visit', 'first', 'visit', 'leaf', 'add', 'end']
    >>> player.walk.gradients[2], x.grad
    (array([2., 4.], dtype=float32), None)
    """
    graph = read_graph(loss, model, **tensors)
    walk = _Recorder(graph).record(loss._start(gradient, create_graph=False))
    player = Player(f"Backward pass of {graph.nodes[-1].op.name}", _body(walk), "player.js",
                    {"names": [vertex.title for vertex in graph.vertices],
                     "steps": [asdict(step) for step in walk.steps]})
    player.walk = walk
    return player


def _body(walk: Walk) -> str:
    room = dict.fromkeys(range(len(walk.graph.nodes)), 0)
    for step in walk.steps:
        target = step.to if step.to is not None else step.at
        if target is not None:
            room[target] = max(room.get(target, 0), len(step.short) + 2)
    return f"""<div class="mf-bar">
<button type="button" data-do="back">◀ Back</button>
<button type="button" data-do="step">Step ▶</button>
<button type="button" data-do="play">Play</button>
<button type="button" data-do="first">Restart</button>
<span class="mf-count"></span>
</div>
<p class="mf-text" aria-live="polite"></p>
<div class="mf-columns">
{scroll_box(draw(walk.graph, room))}
<div class="mf-side">
<h4>Gradient</h4>
<pre class="mf-values" tabindex="0" aria-label="Gradient"></pre>
<h4>Queue</h4>
<ol class="mf-queue"></ol>
<h4>Released</h4>
<p class="mf-released"></p>
</div>
</div>
<p class="mf-help"><span class="mf-key mf-is-visiting">visited now</span>
<span class="mf-key mf-is-receiving">gets a gradient</span>
<span class="mf-key mf-is-waiting">in the queue</span>
<span class="mf-key mf-is-released">released</span>
Keys: ← back, → step, space play or pause, Home and End.</p>"""


# ---------------------------------------------------------------- recording


class _Input:
    """Stands for an input: a leaf keeps its gradient here, not in its ``grad``."""

    def __init__(self, number: int, requires_grad: bool, node: Node | None) -> None:
        self.number, self.requires_grad, self.node = number, requires_grad, node
        self.grad: Array | None = None

    def accumulate(self, gradient: Array) -> None:
        """Add to the gradient, as a tensor does."""
        self.grad = gradient[...] if self.grad is None else self.grad + gradient


class _Twin(Node):
    """A node with the operation and the arrays of another one, which reports its visit."""

    def __init__(self, node: Node, number: int, inputs: tuple[Any, ...], recorder: "_Recorder"
                 ) -> None:
        super().__init__(node.op, inputs, node.arrays, node.output, node.options)
        self.position, self.number, self.recorder = node.position, number, recorder

    def gradients(self, g: Array, create_graph: bool = False) -> Iterator[tuple[Variable, Array]]:
        """As every node, with a step for the visit and for each gradient."""
        self.recorder.visit(self, g)
        for x, dx in super().gradients(g, create_graph):
            self.recorder.send(self, x, dx)
            yield x, dx


class _Recorder:
    """Walks back over a copy of the graph that shares its arrays, and records each step."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps: list[Step] = []
        self.pending: dict[int, Array] = {}  # what has arrived at each vertex that waits
        self.inputs: dict[int, _Input] = {}
        self.visited: list[_Twin] = []
        self.twins: list[_Twin] = []
        for i, node in enumerate(graph.nodes):
            inputs = tuple(self._input(x) for x in node.inputs or ())
            self.twins.append(_Twin(node, i, inputs, self))

    def _input(self, x: Any) -> _Input:
        """Return the one stand-in of an input; inputs of a node come before it."""
        number = self.graph.number.get(id(getattr(x, "node", None) or x), -1)
        is_node = number >= 0 and self.graph.vertices[number].kind == OPERATION
        new = _Input(number, getattr(x, "requires_grad", False),
                     self.twins[number] if is_node else None)
        return self.inputs.setdefault(number, new) if number >= 0 else new

    def record(self, g: Array) -> Walk:
        """Return the walk that starts with the gradient ``g``."""
        root = self.twins[-1]
        self.pending[root.number] = g
        self._step(START, None, root.number, f"The walk starts at {self._name(root.number)} with "
                   "the gradient of the result with respect to itself.", block(g), g)
        walk_back(_Input(root.number, True, root), g)
        gradients = {i: x.grad for i, x in self.inputs.items() if x.grad is not None}
        self._step(END, None, None, f"The queue is empty. {len(gradients)} leaves have their "
                   "gradients.", "\n\n".join(f"{self._name(i)}\n{block(array)}"
                                             for i, array in sorted(gradients.items())), None)
        return Walk(self.graph, self.steps, gradients)

    def visit(self, twin: _Twin, g: Array) -> None:
        """Record that a node is taken from the queue."""
        del self.pending[twin.number]
        self._step(VISIT, twin.number, None, f"Visit {self._name(twin.number)}: it has the highest "
                   "number in the queue, so all operations that used its output have been "
                   "visited, and its gradient is complete.", block(g), g)
        self.visited.append(twin)

    def send(self, twin: _Twin, x: Any, dx: Array) -> None:
        """Record that an input gets a gradient."""
        is_leaf = x.node is None
        had = x.grad if is_leaf else self.pending.get(x.number)
        total = dx if had is None else had + dx
        if not is_leaf:
            self.pending[x.number] = total
        rule = f"The rule of {self._name(twin.number)} gives a gradient to {self._name(x.number)}"
        if had is not None:
            self._step(ADD, twin.number, x.number, f"{rule}, which has one already: the two add "
                       "up.", f"so far\n{block(had)}\n\n+ arrives\n{block(dx)}\n\n= sum\n"
                       f"{block(total)}", total)
        elif is_leaf:
            self._step(LEAF_STEP, twin.number, x.number, f"{rule}, a leaf, which keeps "
                       "it in .grad.", block(dx), total)
        else:
            self._step(FIRST, twin.number, x.number, f"{rule}, which joins the queue.", block(dx),
                       total)

    def _step(self, kind: str, at: int | None, to: int | None, text: str, values: str,
              total: Array | None) -> None:
        released = [twin for twin in self.visited if twin.inputs is None]
        self.visited = [twin for twin in self.visited if twin.inputs is not None]
        self.steps.append(Step(kind, at, to, text, values, "" if total is None else short(total),
                               sorted(self.pending, reverse=True),
                               [twin.number for twin in released]))

    def _name(self, i: int) -> str:
        vertex = self.graph.vertices[i]
        return f"leaf {i}" if vertex.kind == LEAF == vertex.title else f"{vertex.title} [{i}]" \
            if vertex.kind == OPERATION else vertex.title
