"""A graph as SVG."""
from collections import Counter
from collections.abc import Mapping
from html import escape

from .graph import Graph, Vertex
from .layout import Box, Drawing, Item, Point, layered

LINE, CHARACTER, WIDEST = 16, 7.3, 28
"""Height of a line and width of a character in pixels; most characters in a line."""


def draw(graph: Graph, room: Mapping[int, int] | None = None) -> str:
    """Return the SVG element of a graph.

    Vertices have the class ``mf-vertex`` and their number as ``data-id``; edges have
    ``data-from`` and ``data-to``.

    Parameters
    ----------
    graph : Graph
        The graph.
    room : mapping of int to int, optional
        Vertices that get an empty line of class ``mf-gradient``, for a script to fill, and for
        how many characters there must be room.

    Returns
    -------
    str
        The element.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.pictures.graph import read_graph
    >>> draw(read_graph((tensor([1., 2.], requires_grad=True) * 3).sum())).startswith("<svg")
    True
    """
    extra = room or {}

    def size(i: int) -> tuple[float, float]:
        return _width(graph.vertices[i], extra.get(i, 0)), (3 + (i in extra)) * LINE + 10

    drawing = layered(graph, size)
    times = Counter(graph.edges)
    parts = [*map(_box, drawing.boxes),
             *(_edge(edge, points, times[edge]) for edge, points in drawing.paths.items()),
             *(_vertex(i, graph.vertices[i], item, i in extra)
               for i, item in enumerate(drawing.vertices))]
    return _svg(graph, drawing, parts)


def _svg(graph: Graph, drawing: Drawing, parts: list[str]) -> str:
    width, height = round(drawing.width), round(drawing.height)
    text = f"A graph of {len(graph.nodes)} operations, inputs at the top and the result below"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{text}" '
            f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
            + "\n".join(parts) + "\n</svg>")


def _width(vertex: Vertex, room: int) -> float:
    lines = vertex.title, vertex.shape, vertex.value
    return max(room, 9, *(len(_cut(line)) for line in lines)) * CHARACTER + 16


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else text[:WIDEST - 1] + "…"


def _box(box: Box) -> str:
    return (f'<g class="mf-box">{_rect(box)}<text x="{box.x + 8:.1f}" y="{box.y + 16:.1f}">'
            f"{escape(box.text)}</text></g>")


def _rect(item: Item) -> str:
    return (f'<rect x="{item.x:.1f}" y="{item.y:.1f}" width="{item.width:.1f}" '
            f'height="{item.height:.1f}" rx="6"/>')


def _vertex(i: int, vertex: Vertex, item: Item, extra: bool) -> str:
    lines = [vertex.title, vertex.shape, vertex.value]
    texts = "".join(f'<text x="{item.middle:.1f}" y="{item.y + 17 + LINE * n:.1f}">'
                    f"{escape(_cut(line))}</text>" for n, line in enumerate(lines))
    if extra:
        texts += (f'<text class="mf-gradient" x="{item.middle:.1f}" '
                  f'y="{item.y + 17 + LINE * len(lines):.1f}"></text>')
    title = escape("\n".join([vertex.kind, *lines]))
    return (f'<g class="mf-vertex mf-{vertex.kind}" data-id="{i}"><title>{title}</title>'
            f"{_rect(item)}{texts}</g>")


def _edge(edge: tuple[int, int], points: list[Point], times: int) -> str:
    x, y = points[-1]
    head = f"M{x - 4:.1f} {y - 8:.1f}L{x:.1f} {y:.1f}L{x + 4:.1f} {y - 8:.1f}Z"
    twice = f'<text x="{x + 8:.1f}" y="{y - 8:.1f}">×{times}</text>' if times > 1 else ""
    return (f'<g class="mf-edge" data-from="{edge[0]}" data-to="{edge[1]}">'
            f'<path d="{_curve(points)}"/><path class="mf-head" d="{head}"/>{twice}</g>')


def _curve(points: list[Point]) -> str:
    """Return a path through points that runs vertically at each of them."""
    (x, y), *rest = points
    path = f"M{x:.1f} {y:.1f}"
    for to_x, to_y in rest:
        if (to_x, to_y) != (x, y):
            half = (y + to_y) / 2
            path += f"L{to_x:.1f} {to_y:.1f}" if abs(to_x - x) < .05 else \
                f"C{x:.1f} {half:.1f} {to_x:.1f} {half:.1f} {to_x:.1f} {to_y:.1f}"
            x, y = to_x, to_y
    return path
