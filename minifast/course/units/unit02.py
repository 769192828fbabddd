"""Unit 2, the walk back: every node once, after all nodes that used its output."""
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...autograd import Tensor, derivatives, primitive, tape
from ..unit import Bug, Unit
from ..values import error_of
from .unit01 import recommender_losses

TAPE, TENSOR = "minifast.autograd.tape", "minifast.autograd.tensor"
UNIT = Unit(2, "The walk back", {TAPE: ("walk_back",)}, bugs=(
    Bug("lost accumulation", TAPE, "gradients[key] = gradients[key] + dx", "gradients[key] = dx",
        "A model with a skip connection learns, but more slowly than it should."),
    Bug("added in place", TAPE, "gradients[key] = gradients[key] + dx", "gradients[key] += dx",
        "Some gradients are wrong where a result is used by two sums."),
    Bug("lowest number first", TAPE, "heappush(heap, (-made_by.position, made_by))",
        "heappush(heap, (made_by.position, made_by))",
        "The first backward() of a model with a skip connection says that its graph was released."),
    Bug("any node of the queue", TAPE, "heappop(heap)[1]", "heap.pop()[1]",
        "A chain of layers trains; a model with branches ends in an error."),
    Bug("nothing released", TAPE, "if not retain_graph:", "if retain_graph is None:",
        "A list of losses keeps the arrays of all batches, until the memory is full."),
    Bug("released the wrong time", TAPE, "if not retain_graph:", "if retain_graph:",
        "backward(retain_graph=True) works once."),
    Bug("shared by two leaves", TAPE,
        "x.accumulate(dx.clone() if create_graph else _own(dx, g, node.output, *node.arrays))",
        "x.accumulate(dx)", "Clipping the gradient of one bias changes that of another one."),
    Bug("gradient replaced", TENSOR, "            self.grad += gradient",
        "            self.grad = gradient",
        "A weight that is used twice, or in two batches before a step, learns from one use only."),
    Bug("wanted but dropped", TAPE, "gradients[node] if wanted and node in wanted else "
        "gradients.pop(node)", "gradients.pop(node)",
        "grad() says that the loss does not depend on the output of a layer."),
    Bug("other leaves written to", TAPE, "if made_by is None and wanted is None:",
        "if made_by is None and (wanted is None or x not in wanted):",
        "grad(loss, x) changes the gradients of the weights, which the next step uses."),
    Bug("released for the second derivative", "minifast.autograd.derivatives",
        "retain_graph or create_graph,", "retain_graph,",
        "The second derivative of exp ends in an error about a released graph; that of x ** 3 is "
        "right.")))
LAYERS, MANY = 12, 2000


@contextmanager
def visits() -> Iterator[list[Any]]:
    """Collect the nodes that are asked for gradients, in order; stop if they are too many."""
    seen: list[Any] = []
    original = tape.Node.gradients

    def counted(node: Any, *args: Any, **options: Any) -> Iterator[Any]:
        seen.append(node)
        if len(seen) > MANY:
            raise RuntimeError(f"more than {MANY} visits, though the graph has less than 100 nodes")
        return original(node, *args, **options)
    tape.Node.gradients = counted  # type: ignore[method-assign, assignment]
    try:
        yield seen
    finally:
        tape.Node.gradients = original  # type: ignore[method-assign]


def _leaf(rng: np.random.Generator, *shape: int) -> Tensor:
    """Return a tensor that requires a gradient."""
    return Tensor(rng.normal(size=shape), True)


def _diamonds(x: Tensor, layers: int) -> Tensor:
    """Return the sum of a graph of layers with three branches, seven nodes each."""
    for _ in range(layers):
        x = (x * .5).tanh() + (x * .3).sigmoid() + x * .2
    return x.sum()


@UNIT.property("A chain of operations gives the chain rule.",
               "Start with the root's node and its gradient. What does node.gradients(g) yield?",
               "It yields pairs of an input and its gradient. The input has a node, which waits "
               "for its turn, or it has none and accumulates.")
def chain(rng: np.random.Generator) -> list[Any]:
    """Return the gradient at the beginning of a chain."""
    x, w = _leaf(rng, 3), _leaf(rng, 3)
    ((x * w).tanh().exp() * 2.).sum().backward()
    return [x.grad, w.grad]


@UNIT.property("A result that is used several times gets the sum of its gradients.",
               "What if an input's node is in your dictionary already?",
               "Add, and put the node into the queue only the first time.")
def used_twice(rng: np.random.Generator) -> list[Any]:
    """Return gradients through results that several operations use."""
    x, z = _leaf(rng, 4), _leaf(rng, 4)
    h = x.exp()
    (h * h + h + (h * 2.).tanh()).sum().backward()
    (z * z + z).sum().backward()
    return [x.grad, z.grad]


@UNIT.property("A short branch waits for a long one.",
               "Which node may be visited now? One whose users have all been visited.",
               "Node.position grows with time. Which node of the queue cannot have another user "
               "still to come?")
def long_and_short(rng: np.random.Generator) -> list[Any]:
    """Return gradients of a short branch next to a long one, in both orders."""
    found = []
    for short_first in (True, False):
        x = _leaf(rng, 3)
        h = x.tanh()
        y = h
        for _ in range(6):
            y = y * 1.1
        (h + y if short_first else y + h).sum().backward()
        found.append(x.grad)
    return found


@UNIT.property("Each node is visited once, and after all nodes that use its output.",
               "Count the visits of a graph of 3 layers on paper: how many nodes does it have?",
               "If you visit a node as soon as it is reached, paths are counted, not nodes.")
def once(rng: np.random.Generator) -> list[Any]:
    """Return the number of visits of 12 layers of diamonds, and of nodes visited too early."""
    found = []
    for layers in (1, 5, LAYERS):
        x = _leaf(rng, 2)
        loss = _diamonds(x, layers)
        with visits() as seen:
            loss.backward(retain_graph=True)
        turn = {node: i for i, node in enumerate(seen)}
        early = sum(turn[x.node] <= i for node, i in turn.items() for x in node.inputs
                    if getattr(x, "node", None) is not None)
        found += [len(seen), len(turn), early, x.grad]
    return found


@UNIT.property("A chain of 3000 operations needs no deep recursion.",
               "Does your function call itself?",
               "A loop with a queue of nodes does the same. Leave Python's limit as it is.")
def long_chain(rng: np.random.Generator) -> list[Any]:
    """Return a gradient, with room for 60 more calls only, and whether the limit was changed."""
    before, depth, frame = sys.getrecursionlimit(), 0, sys._getframe()
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    x = y = _leaf(rng, 2)
    for _ in range(3000):
        y = y * .999
    loss = y.sum()
    sys.setrecursionlimit(depth + 60)
    try:
        loss.backward()
        return [x.grad, sys.getrecursionlimit() - depth]
    finally:
        sys.setrecursionlimit(before)


@UNIT.property("Gradients are added to those that a leaf already has.",
               "Who adds, you or the leaf?", "Each leaf has a method for it: accumulate.")
def accumulated(rng: np.random.Generator) -> list[Any]:
    """Return the gradients after each of three backward passes."""
    w, found = _leaf(rng, 3), []
    for _ in range(3):
        (w * Tensor(rng.normal(size=3))).sum().backward()
        found.append(np.array(w.grad))
    return found


@UNIT.property("Waiting gradients are not changed in place.",
               "The two inputs of a sum get the same array as their gradient.",
               "`a += b` writes into the array a; `a = a + b` makes a new one.")
def not_in_place(rng: np.random.Generator) -> list[Any]:
    """Return gradients of graphs in which two nodes wait with one array, and the first array."""
    found = []
    for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        x, z = _leaf(rng, 3), _leaf(rng, 3)
        a, b = x.tanh(), z.tanh()
        branches: list[Any] = [lambda a, b: a + b, lambda a, b: a * 3., lambda a, b: b.exp()]
        first, second, third = (branches[i](a, b) for i in order)  # the last is visited first
        g = rng.normal(size=3)
        (first + (second + third)).backward(g)
        found += [x.grad, z.grad, g]
    return found


@UNIT.property("No two leaves share the array of their gradients, nor with anyone else.",
               "What does `accumulate` do with the first gradient: keep it or copy it?",
               "A helper above your function copies an array that somebody else holds.")
def owners(rng: np.random.Generator) -> list[Any]:
    """Return gradients of which others have been changed after the backward pass."""
    a, b, c, d = (_leaf(rng, 2, 2) for _ in range(4))
    loss = (a + b + c.reshape(4).reshape(2, 2) + d.t()).sum()
    loss.backward(retain_graph=True)
    for x in (a, c):
        np.asarray(x.grad)[...] = 7.
    e = _leaf(rng, 3)
    start = Tensor(rng.normal(size=3))
    (e + 0.).backward(start)
    np.asarray(e.grad)[...] = 5.
    return [b.grad, d.grad, start]


@UNIT.property("A root that is a leaf gets the gradient itself.",
               "What is the derivative of x with respect to x?",
               "root.node is None; wanted or not?")
def root_is_leaf(rng: np.random.Generator) -> list[Any]:
    """Return the gradients of a leaf by itself."""
    x = _leaf(rng)
    x.backward()
    first = np.array(x.grad)
    x.backward(np.array(2.))
    y = _leaf(rng)
    return [first, x.grad, *derivatives.grad(y, y), y.grad is None]


@UNIT.property("After a visit a node is released, unless the graph is to be retained.",
               "What does a node hold that needs memory?",
               "Three attributes: inputs becomes None, arrays an empty list, output None.")
def released(rng: np.random.Generator) -> list[Any]:
    """Return what a second backward does, and what the nodes hold."""
    found: list[Any] = []
    for retain in (False, True):
        x = _leaf(rng, 3)
        h = x.exp()
        loss = (h * x).sum()
        with visits() as seen:
            loss.backward(retain_graph=retain)
        empty = [(n.inputs, n.arrays, n.output is None) == (None, [], True) for n in seen]
        found += [sum(empty), error_of(loss.backward), x.grad]
    return found


@UNIT.property("A node is released before the next one is visited.",
               "When does the memory of the last layer become free?",
               "Release within the loop, not after it.")
def released_in_time(rng: np.random.Generator) -> list[Any]:
    """Return how many nodes were released when the rule of the first operation ran."""
    counts: list[int] = []
    nodes: list[Any] = []

    def rule(g: Any, y: Any, a: Any) -> Any:
        counts.append(sum(node.inputs is None for node in nodes))
        return g

    @primitive(rule)
    def watched(a: Any) -> Any:
        return a * 1.
    y = watched(_leaf(rng, 2))
    for _ in range(5):
        y = y * 2.
        nodes.append(y.node)
    y.sum().backward()
    return counts


@UNIT.property("grad() returns the gradients of what is wanted: leaves, results, the root.",
               "A wanted node is visited like any other. When is its gradient complete?",
               "A gradient that is wanted stays in the dictionary; another one is taken out.")
def wanted(rng: np.random.Generator) -> list[Any]:
    """Return the derivatives by leaves and results, and what a walk returns."""
    x, w = _leaf(rng, 3), _leaf(rng, 3)
    h = x * w
    k = h.tanh()
    loss = (k * k + h).sum()
    found = derivatives.grad(loss, [x, w, h, k, loss], retain_graph=True)
    left = tape.walk_back(loss, np.ones(()), True, wanted={h.node, x})
    return [*found, len(left), h.node in left, k.node in left]


@UNIT.property("With wanted, no leaf accumulates; without it, all do.",
               "What does grad() promise about `w.grad`?",
               "Put a leaf into the dictionary as you do with a node, but not into the queue.")
def leaves_alone(rng: np.random.Generator) -> list[Any]:
    """Return the gradients of leaves around a call of grad."""
    x, w = _leaf(rng, 3), _leaf(rng, 3)
    loss = (x * w + x).sum()
    first = derivatives.grad(loss, x, retain_graph=True)
    untouched = x.grad is None and w.grad is None
    loss.backward(retain_graph=True)
    second = derivatives.grad(loss, [w], retain_graph=True)
    return [*first, untouched, *second, x.grad, w.grad,
            error_of(lambda: derivatives.grad(loss, _leaf(rng, 3)))]


@UNIT.property("With create_graph the gradients are tensors, which can be differentiated again.",
               "Which arguments does node.gradients take?",
               "Pass create_graph on, and do not copy tensors: a copy has no graph.")
def again(rng: np.random.Generator) -> list[Any]:
    """Return first, second and third derivatives, and those that leaves accumulate."""
    x = _leaf(rng, 3)
    y, found = (x ** 3 * x.exp() + x).sum(), []
    for _ in range(3):
        y, = derivatives.grad(y, x, create_graph=True)
        found.append(y)
        y = y.sum()
    z = _leaf(rng, 3)
    (z ** 3 + z + z).sum().backward(create_graph=True)
    slope: Any = z.grad
    z.grad = None
    slope.sum().backward()
    return [*found, slope, z.grad]


@UNIT.property("Frozen leaves and constants get nothing; what leads only to them is not visited.",
               "Who decides which inputs need a gradient?", "node.gradients yields only those.")
def frozen(rng: np.random.Generator) -> list[Any]:
    """Return gradients next to a leaf that was frozen before, and one frozen after."""
    x, w, late = _leaf(rng, 3), Tensor(rng.normal(size=3)), _leaf(rng, 3)
    loss = (x * w.exp() + late * x).sum()
    late.requires_grad_(False)
    with visits() as seen:
        loss.backward()
    return [x.grad, w.grad is None, late.grad is None, len(seen)]


@UNIT.property("An error in a rule reaches the user.",
               "Is there a `try` in your function?", "Let errors pass.")
def errors(rng: np.random.Generator) -> list[Any]:
    """Return the names of errors in rules."""
    @primitive(lambda g, y, a: 1 // 0)
    def fails(a: Any) -> Any:
        return a * 1.

    @primitive(lambda g, y, a: np.ones(7))
    def misshapen(a: Any) -> Any:
        return a * 1.
    return [error_of(f(_leaf(rng, 3)).sum().backward) for f in (fails, misshapen)]


@UNIT.property("A recommender trains with your walk, as it does with the library's.",
               "All the properties above must hold first.",
               "Compare the gradients of one batch, parameter by parameter.")
def recommender(rng: np.random.Generator) -> list[Any]:
    """Return the losses of one epoch."""
    return recommender_losses(rng)
