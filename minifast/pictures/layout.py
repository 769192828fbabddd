"""A layered layout: inputs above, results below, and a box around each call of a module.

A box is laid out by itself and is then one item in the layout of the box around it, so boxes never
overlap. Within a box: items are put into layers (longest path), the layers are ordered so that
edges cross little (barycentres), and items are moved below and above their neighbours.

References
----------
Sugiyama, Tagawa and Toda 1981.
"""
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import Any, TypeAlias

from .graph import Call, Graph

GAP_X, GAP_Y, PADDING, HEADER, CHARACTER = 16., 30., 10., 22., 7.
SWEEPS = 8
Key: TypeAlias = Hashable
"""A vertex (its number), a Call, a port ``("in" or "out", vertex)``, or a bend of an edge."""
Edge: TypeAlias = tuple[Any, Any, int]
"""From an item to an item, and the vertex where it comes from."""
Point: TypeAlias = tuple[float, float]


@dataclass
class Item:
    """A rectangle.

    Parameters
    ----------
    width, height : float
        Its size in pixels.
    x, y : float
        Its upper left corner, relative to the box around it.

    Examples
    --------
    >>> Item(width=40, height=10, x=5).middle
    25.0
    """

    width: float = 0.
    height: float = 0.
    x: float = 0.
    y: float = 0.

    @property
    def middle(self) -> float:
        """The horizontal centre."""
        return self.x + self.width / 2


@dataclass
class Box(Item):
    """A call of a module with what is in it.

    Parameters
    ----------
    width, height, x, y : float
        As of an ``Item``.
    text : str
        The name of the module.
    items : dict of Key to Item
        The content.
    edges : dict of Edge to None
        The parts of edges that run within the box, between its items, in order.
    routes : dict of Edge to list of Point
        The points through which each of them runs.
    layers : list of list of Key
        The items by layer.

    Examples
    --------
    >>> Box(40, 10, text="Linear").items
    {}
    """

    text: str = ""
    items: dict[Key, Item] = field(default_factory=dict)
    edges: dict[Edge, None] = field(default_factory=dict)
    routes: dict[Edge, list[Point]] = field(default_factory=dict)
    layers: list[list[Key]] = field(default_factory=list)


@dataclass
class Drawing:
    """Where everything stands, in pixels.

    Parameters
    ----------
    width, height : float
        The size of the picture.
    vertices : list of Item
        The rectangles of the vertices.
    boxes : list of Box
        The boxes of the modules, the outer ones first.
    paths : dict of (int, int) to list of Point
        The points of each edge.

    Examples
    --------
    >>> Drawing(100, 50, vertices=[], boxes=[], paths={}).width
    100
    """

    width: float
    height: float
    vertices: list[Item]
    boxes: list[Box]
    paths: dict[tuple[int, int], list[Point]]


def layered(graph: Graph, size: Callable[[int], tuple[float, float]]) -> Drawing:
    """Lay out a graph.

    Parameters
    ----------
    graph : Graph
        The graph.
    size : callable
        Returns the width and the height of the vertex with a number.

    Returns
    -------
    Drawing
        The places.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.pictures.graph import read_graph
    >>> graph = read_graph((tensor([1., 2.], requires_grad=True) * 3).sum())
    >>> drawing = layered(graph, lambda i: (40., 20.))
    >>> len(drawing.vertices) == len(graph.vertices), sorted(drawing.paths) == sorted(graph.edges)
    (True, True)
    """
    root, owners = Box(), list[list[Box]]()
    for i, vertex in enumerate(graph.vertices):
        owners.append(_boxes(root, vertex.calls))
        owners[i][-1].items[i] = Item(*size(i))
    hops = {edge: list(_hops(graph, owners, *edge)) for edge in dict.fromkeys(graph.edges)}
    for steps in hops.values():
        for box, edge in steps:
            box.edges[edge] = None
    _arrange(root)
    boxes = list(_place(root, 0., 0.))
    paths = {edge: [(box.x + x, box.y + y) for box, part in steps for x, y in box.routes[part]]
             for edge, steps in hops.items()}
    vertices = [chain[-1].items[i] for i, chain in enumerate(owners)]
    for item, chain in zip(vertices, owners, strict=True):
        item.x, item.y = item.x + chain[-1].x, item.y + chain[-1].y
    return Drawing(root.width, root.height, vertices, boxes[1:], paths)


def _boxes(root: Box, calls: tuple[Call, ...]) -> list[Box]:
    """Return the boxes around a vertex from the outside to the inside, made if need be."""
    boxes = [root]
    for call in calls:
        inner = boxes[-1].items.setdefault(call, Box(text=call[1]))
        boxes.append(inner)  # type: ignore[arg-type]
    return boxes


def _hops(graph: Graph, owners: list[list[Box]], start: int, end: int
          ) -> Iterator[tuple[Box, Edge]]:
    """Yield the parts of an edge: out of the boxes of its start, then into those of its end."""
    up, down = graph.vertices[start].calls, graph.vertices[end].calls
    shared = 0
    while shared < min(len(up), len(down)) and up[shared] == down[shared]:
        shared += 1
    for depth in range(len(up), shared, -1):
        box, inner = owners[start][depth], start if depth == len(up) else up[depth]
        yield box, (inner, _port(box, "out", start), start)
    yield owners[start][shared], (start if shared == len(up) else up[shared],
                                  end if shared == len(down) else down[shared], start)
    for depth in range(shared + 1, len(down) + 1):
        box, inner = owners[end][depth], end if depth == len(down) else down[depth]
        yield box, (_port(box, "in", start), inner, start)


def _port(box: Box, kind: str, vertex: int) -> Key:
    """Return the key of the place where edges from a vertex come in or go out of a box."""
    box.items.setdefault((kind, vertex), Item())
    return kind, vertex


def _place(box: Box, x: float, y: float) -> Iterator[Box]:
    """Turn the corners of a box and of those within into absolute ones."""
    box.x, box.y = box.x + x, box.y + y
    yield box
    for item in box.items.values():
        if isinstance(item, Box):
            yield from _place(item, box.x, box.y)


# ---------------------------------------------------------------- one box


def _arrange(box: Box) -> None:
    """Lay out the content of a box and set its size."""
    for item in box.items.values():
        if isinstance(item, Box):
            _arrange(item)
    chains = _layer(box)
    links = [link for chain in chains.values() for link in pairwise(chain)]
    _order(box, links)
    _set_x(box, links)
    header = HEADER if box.text else 0.
    top = PADDING + header
    tops = []
    for layer in box.layers:
        height = max(box.items[key].height for key in layer)
        only_ports = layer is box.layers[0] and not height
        tops.append((0., 0.) if only_ports else (top, top + height))
        for key in layer:
            box.items[key].y = top + (height - box.items[key].height) / 2
        top += height + GAP_Y * (height > 0)
    box.height = top - GAP_Y + PADDING
    box.width = max(box.width, len(box.text) * CHARACTER + 2 * PADDING)
    level = {key: i for i, layer in enumerate(box.layers) for key in layer}
    for edge, chain in chains.items():
        box.routes[edge] = list(_route(box, edge[2], chain, [tops[level[k]] for k in chain]))


def _layer(box: Box) -> dict[Edge, list[Key]]:
    """Fill ``box.layers``; return the items along each edge, with a bend in each layer between."""
    level = _levels(box)
    box.layers = [[] for _ in range(max(level.values()) + 1)]
    for key in dict.fromkeys([*(start for start, _, _ in box.edges), *box.items]):
        box.layers[level[key]].append(key)  # inputs in the order in which they are used
    chains: dict[Edge, list[Key]] = {}
    for start, end, vertex in box.edges:
        bends = [(start, end, vertex, i) for i in range(level[start] + 1, level[end])]
        for bend in bends:
            box.items[bend] = Item()
            box.layers[bend[3]].append(bend)
        chains[start, end, vertex] = [start, *bends, end]
    return chains


def _levels(box: Box) -> dict[Key, int]:
    """Return the layer of each item, counted from the top."""
    above, below = _neighbours([(start, end) for start, end, _ in box.edges])
    level: dict[Key, int] = {}
    order = list(TopologicalSorter({key: above[key] for key in box.items}).static_order())
    for key in order:
        level[key] = 1 + max((level[k] for k in above[key]), default=-1)
    last = max(level.values())
    for key in reversed(order):
        if _is_port(key, "out"):
            level[key] = last
        elif not above[key] and below[key] and not _is_port(key, "in"):
            level[key] = min(level[k] for k in below[key]) - 1  # an input stands near its use
    return level


def _is_port(key: Key, kind: str) -> bool:
    return isinstance(key, tuple) and key[0] == kind


def _neighbours(links: Sequence[tuple[Key, Key]]) -> list[dict[Key, list[Key]]]:
    """Return the items above and the items below each item."""
    above, below = defaultdict[Key, list[Key]](list), defaultdict[Key, list[Key]](list)
    for start, end in links:
        above[end].append(start)
        below[start].append(end)
    return [above, below]


def _sweeps(box: Box, links: Sequence[tuple[Key, Key]]
            ) -> Iterator[tuple[list[Key], dict[Key, list[Key]]]]:
    """Yield layers with the neighbours to look at: downwards, upwards, downwards, ..."""
    above, below = _neighbours(links)
    for _ in range(SWEEPS // 2):
        yield from ((layer, above) for layer in box.layers[1:])
        yield from ((layer, below) for layer in box.layers[-2::-1])


def _order(box: Box, links: Sequence[tuple[Key, Key]]) -> None:
    """Order each layer by the mean places of the neighbours."""
    place = {key: (i + .5) / len(layer) for layer in box.layers for i, key in enumerate(layer)}
    for layer, near in _sweeps(box, links):
        mean = {key: sum(place[k] for k in near[key]) / len(near[key]) if near.get(key)
                else place[key] for key in layer}
        layer.sort(key=mean.__getitem__)
        place.update({key: (i + .5) / len(layer) for i, key in enumerate(layer)})


def _set_x(box: Box, links: Sequence[tuple[Key, Key]]) -> None:
    """Set the horizontal places and the width of a box."""
    items = box.items
    for layer in box.layers:
        _spread([items[key] for key in layer], [0.] * len(layer))
    for layer, near in _sweeps(box, links):
        _spread([items[key] for key in layer],
                [sum(items[k].middle for k in near[key]) / len(near[key]) if near.get(key)
                 else items[key].middle for key in layer])
    left = min(item.x for item in items.values()) - PADDING
    for item in items.values():
        item.x -= left
    box.width = max(item.x + item.width for item in items.values()) + PADDING


def _spread(items: list[Item], wished: list[float]) -> None:
    """Put the centres of a row of items as near to the wished ones as their widths allow.

    Least squares under ``x[i + 1] - x[i] >= gap[i]``: neighbours that would overlap are merged
    into one block, which stands at its mean (pool adjacent violators).
    """
    offsets = [0.]
    for left, right in pairwise(items):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + GAP_X)
    blocks: list[tuple[float, int]] = []  # mean, number of items
    for wish, offset in zip(wished, offsets, strict=True):
        mean, n = wish - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, m = blocks.pop()
            mean, n = (mean * n + other * m) / (n + m), n + m
        blocks.append((mean, n))
    starts = [mean for mean, n in blocks for _ in range(n)]
    for item, start, offset in zip(items, starts, offsets, strict=True):
        item.x = start + offset - item.width / 2


def _route(box: Box, vertex: int, chain: list[Key], spans: list[Point]) -> Iterator[Point]:
    """Yield the points of an edge: below its start, through its bends, above its end."""
    first, last = box.items[chain[0]], box.items[chain[-1]]
    yield (_exit(first, "out", vertex), first.y + first.height) if not _is_port(chain[0], "in") \
        else (first.middle, 0.)
    for key, (top, bottom) in zip(chain, spans, strict=True):
        if key not in (chain[0], chain[-1]) or _is_port(key, "in") or _is_port(key, "out"):
            yield box.items[key].middle, min(top, box.height)
            yield box.items[key].middle, min(bottom, box.height)
    yield (_exit(last, "in", vertex), last.y) if not _is_port(chain[-1], "out") \
        else (last.middle, box.height)


def _exit(item: Item, kind: str, vertex: int) -> float:
    """Return where an edge meets an item: at the port of a box, else at the centre."""
    return item.x + item.items[kind, vertex].middle if isinstance(item, Box) else item.middle
