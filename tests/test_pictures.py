"""Pictures of graphs and of the backward pass: their structure, their numbers, their HTML."""
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from host import assert_same, host, put
from tiny import line_learner

from minifast import GraphReleasedError, Tensor, no_grad, tensor
from minifast.collab import EmbeddingDotBias
from minifast.inspect import detect_anomaly
from minifast.nn import BatchNorm1d, CrossEntropyFlat, Linear, Module, MSELossFlat, ReLU, Sequential
from minifast.pictures import (
    Picture,
    backward_player,
    lookup_picture,
    note_modules,
    one_cycle_slider,
    optimizer_race,
    show_graph,
)
from minifast.pictures.graph import Graph, read_graph
from minifast.pictures.layout import layered
from minifast.vision import res_block, simple_cnn

rng = np.random.default_rng(0)
ROWS = rng.normal(size=(6, 4)).astype(np.float32)
IMAGES = rng.normal(size=(2, 1, 8, 8)).astype(np.float32)


def dot_bias() -> tuple[Module, Any, list[Any], Any]:
    model = EmbeddingDotBias(5, 10, 12, [0, 5.5], seed=0)
    return model, MSELossFlat(), [tensor([1, 2, 2]), tensor([3, 4, 4])], tensor([3., 4., 5.])


def mlp() -> tuple[Module, Any, list[Any], Any]:
    model = Sequential(Linear(4, 8, seed=0), ReLU(), BatchNorm1d(8), Linear(8, 3, seed=1))
    return model, CrossEntropyFlat(), [put(tensor(ROWS))], tensor([0, 1, 2, 0, 1, 2])


def cnn() -> tuple[Module, Any, list[Any], Any]:
    model = Sequential(simple_cnn([1, 4, 4], bn=True, seed=0)[0], res_block(4, seed=1),
                       simple_cnn([4, 3], seed=2))
    return model, CrossEntropyFlat(), [put(tensor(IMAGES))], tensor([0, 1])


MODELS = [dot_bias, mlp, cnn]


def run(make: Any) -> tuple[Module, note_modules, Tensor]:
    model, loss_func, inputs, target = make()
    with note_modules(model) as notes:
        loss = loss_func(model(*inputs), target)
    return model, notes, loss


def script_data(picture: Picture) -> Any:
    """What the script of a picture is called with."""
    return json.loads(picture.html().rpartition("), ")[2].partition(");\n</script>")[0])


# ---------------------------------------------------------------- the walk


@pytest.mark.parametrize("make", MODELS)
def test_the_gradients_are_those_of_backward(make: Any) -> None:
    model, notes, loss = run(make)
    player = backward_player(loss, notes)
    assert all(p.grad is None for p in model.parameters())
    loss.backward()  # the graph is still there
    named = dict(model.named_parameters())
    shown = {player.walk.graph.vertices[i].title: g for i, g in player.walk.gradients.items()}
    assert shown.keys() == named.keys()
    for name, p in named.items():
        assert_same(shown[name], host(p.grad))


@pytest.mark.parametrize("make", MODELS)
def test_the_page_shows_the_gradients_of_backward(make: Any) -> None:
    model, notes, loss = run(make)
    data = script_data(backward_player(loss, notes))
    last = {step["to"]: step["short"] for step in data["steps"]}
    loss.backward()
    for name, p in model.named_parameters():
        numbers = host(p.grad).ravel()
        expected = " ".join(f"{x:.3g}" for x in numbers[:3].tolist()) + " …" * (p.numel() > 3)
        assert last[data["names"].index(name)] == expected


@pytest.mark.parametrize("make", MODELS)
def test_steps_are_those_of_a_heap(make: Any) -> None:
    _, notes, loss = run(make)
    walk = backward_player(loss, notes).walk
    queue: list[int] = []
    visited, released = [], []
    for step in walk.steps:
        if step.kind == "visit":
            assert step.at == queue[0] == max(queue)
            visited.append(step.at)
        expected = {*queue} - ({step.at} if step.kind == "visit" else set())
        if step.kind in ("start", "first"):
            expected.add(step.to)
        assert step.queue == sorted(expected, reverse=True)
        queue = step.queue
        released += step.released
        assert {*released} <= {*visited}
    assert queue == []
    assert visited == released == [*range(len(walk.graph.nodes))][::-1]


def test_two_gradients_of_one_tensor_add_up() -> None:
    x = tensor([1., 2.], requires_grad=True)
    a = x * 3
    walk = backward_player((a * a + a).sum(), x=x).walk
    kinds = [(step.kind, step.to) for step in walk.steps if step.to is not None]
    assert [kind for kind, to in kinds if to == 0] == ["first", "add", "add"]
    assert_same(walk.gradients[4], [(2 * 3 + 1) * 3, (2 * 6 + 1) * 3])
    added = next(step for step in walk.steps if step.kind == "add")
    assert [line for line in added.values.splitlines() if "shape" not in line] == [
        "so far", "1 1", "", "+ arrives", "3 6", "", "= sum", "4 7"]


def test_a_gradient_for_a_result_of_many_numbers() -> None:
    x = tensor([1., 2.], requires_grad=True)
    assert_same(backward_player(x * x, gradient=tensor([1., 10.])).walk.gradients[1], [2., 40.])


# ---------------------------------------------------------------- what is read from a graph


def titles(graph: Graph) -> list[str]:
    return [vertex.title for vertex in graph.vertices]


def test_vertices_have_names_shapes_and_values() -> None:
    w = tensor([[1.], [2.]], requires_grad=True)
    graph = read_graph((tensor([[3., 4.]]) @ w).sum(axis=1) / 4, w=w)
    assert titles(graph) == ["matmul", "sum axis=1", "div(·, 4)", "constant", "w"]
    assert [vertex.shape for vertex in graph.vertices] == ["(1, 1)", "(1,)", "(1,)", "(1, 2)",
                                                           "(2, 1)"]
    assert [vertex.value for vertex in graph.vertices] == ["11", "11", "2.75", "3 4", "1 2"]
    assert graph.edges == [(3, 0), (4, 0), (0, 1), (1, 2)]


def test_each_call_of_a_module_is_a_box() -> None:
    layer = Linear(2, 2)
    with note_modules(layer) as notes:
        loss = layer(layer(tensor([[1., 2.]])).exp()).sum()
    graph = read_graph(loss, notes)
    first, between, second, after = (graph.vertices[i].calls for i in range(4))
    assert [text for _, text in first] == [text for _, text in second] == ["Linear"]
    assert first != second
    assert between == after == ()
    assert graph.vertices[titles(graph).index("weight")].calls == ()  # both calls use it


def test_a_model_alone_has_boxes_around_what_reads_its_parameters() -> None:
    model, loss_func, inputs, target = mlp()
    graph = read_graph(loss_func(model(*inputs), target), model)
    boxes = {vertex.title: [text for _, text in vertex.calls] for vertex in graph.vertices}
    assert boxes["0.weight"] == ["0 · Linear"]
    assert boxes["relu"] == []


def test_notes_keep_what_else_records() -> None:
    model, loss_func, inputs, target = mlp()
    with detect_anomaly(), note_modules(model) as notes:
        loss = loss_func(model(*inputs), target)
    assert type(loss.node).__name__ == "_ExaminedNode"
    assert len(notes.calls) == len(read_graph(loss).nodes)
    with no_grad(), note_modules(model) as notes:
        model(*inputs)
    assert notes.calls == {}


def test_what_cannot_be_drawn_is_an_error() -> None:
    x = tensor([1.], requires_grad=True)
    with pytest.raises(TypeError, match=r"got float and NoneType; write show_graph\(loss, model"):
        show_graph(1.)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no operation .* of shape \(1,\)"):
        show_graph(x)
    loss = (x * 2).sum()
    loss.backward()
    with pytest.raises(GraphReleasedError, match=r"behind 'sum' was released .* draw it before"):
        backward_player(loss)


# ---------------------------------------------------------------- layout


def pairs(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    return ((a, b) for i, a in enumerate(items) for b in items[i + 1:])


def apart(a: Any, b: Any) -> bool:
    return bool(a.x + a.width <= b.x or b.x + b.width <= a.x
                or a.y + a.height <= b.y or b.y + b.height <= a.y)


def within(a: Any, b: Any) -> bool:
    return bool(b.x <= a.x and a.x + a.width <= b.x + b.width
                and b.y <= a.y and a.y + a.height <= b.y + b.height)


@pytest.mark.parametrize("make", MODELS)
def test_nothing_overlaps_and_edges_run_down(make: Any) -> None:
    _, notes, loss = run(make)
    graph = read_graph(loss, notes)
    drawing = layered(graph, lambda i: (90., 60.))
    assert all(apart(a, b) for a, b in pairs(drawing.vertices))
    assert all(apart(a, b) or within(a, b) or within(b, a) for a, b in pairs(drawing.boxes))
    for i, vertex in enumerate(graph.vertices):
        item = drawing.vertices[i]
        around = [box.text for box in drawing.boxes if within(item, box)]
        assert around == [text for _, text in vertex.calls]
        assert all(within(item, box) or apart(item, box) for box in drawing.boxes)
    for (start, end), points in drawing.paths.items():
        above, below = drawing.vertices[start], drawing.vertices[end]
        assert points[0] == (above.middle, above.y + above.height)
        assert points[-1] == (below.middle, below.y)
        heights = [y for _, y in points]
        assert heights == sorted(heights)
        assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in points)


def test_a_long_chain_is_drawn() -> None:
    x = tensor([1.], requires_grad=True)
    for _ in range(2000):  # deeper than Python's stack
        x = x + 1
    assert len(layered(read_graph(x), lambda i: (10., 10.)).vertices) == 2001


# ---------------------------------------------------------------- HTML


@pytest.mark.parametrize("make", MODELS)
def test_the_drawing_is_xml_with_a_group_for_each_vertex_and_edge(make: Any) -> None:
    _, notes, loss = run(make)
    graph = read_graph(loss, notes)
    html = show_graph(loss, notes).html()
    svg = ElementTree.fromstring(html[html.index("<svg"):html.index("</svg>") + 6])
    groups = svg.findall("{http://www.w3.org/2000/svg}g")
    assert {int(g.get("data-id", "")) for g in groups if g.get("data-id")} \
        == {*range(len(graph.vertices))}
    assert {(int(g.get("data-from", "")), int(g.get("data-to", ""))) for g in groups
            if g.get("data-from")} == {*graph.edges}


def test_names_are_escaped() -> None:
    x = tensor([1.], requires_grad=True)
    evil = "</script><img src=x onerror=alert(1)>"
    html = backward_player((x * 2).sum(), **{evil: x}).html()
    assert "<img" not in html
    assert html.count("</script") == html.count("<script") == 1
    assert evil in script_data(backward_player((x * 2).sum(), **{evil: x}))["names"]


@pytest.mark.parametrize("make", MODELS)
def test_a_page_needs_no_network_and_no_other_file(make: Any, tmp_path: Path) -> None:
    _, notes, loss = run(make)
    page = backward_player(loss, notes).save(tmp_path / "player.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert {*re.findall(r"[a-z]+://[^\"' )]*", page)} == {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"\b(src|href)=|@import|url\(|fetch\(|import\(", page)


def test_two_players_on_one_page_share_no_id() -> None:
    _, notes, loss = run(mlp)
    player = backward_player(loss, notes)
    ids = re.findall(r'\sid="([^"]+)"', player.html() + player._repr_html_())
    assert len(ids) == len({*ids}) == 2


def test_a_large_picture_stays_small() -> None:
    _, notes, loss = run(cnn)
    assert len(backward_player(loss, notes).html()) < 100_000


# ---------------------------------------------------------------- optimizers and schedules


def test_the_race_follows_the_optimizers_formulas() -> None:
    paths = optimizer_race(n=3, start=(-4., -2.), lr_sgd=.4, lr_adam=.2).data["paths"]
    x, average, lr = -4., 0., .4 * (1 - .9)
    for point in paths["sgd momentum none"]:
        assert point[0] == pytest.approx(x, abs=1e-3)
        average = .9 * average + (x - 2) / 10
        x -= lr * average
    assert paths["adam momentum bias none"][1][:2] == [-3.8, -1.8]  # the sign of the gradient
    biased = (1 - .9) / (1 - .99) ** .5 * .2
    assert paths["adam momentum none"][1][0] == pytest.approx(-4 + biased, abs=1e-3)
    shrunk = paths["adam momentum bias decoupled"][1][0]
    assert shrunk == pytest.approx(-4 * (1 - .2 * .1) + .2, abs=1e-3)
    assert paths["adam momentum bias L2"][1][:2] == [-3.8, -1.8]  # Adam divides by its size
    assert len(paths) == 2 * 2 * 2 * 3


def test_the_slider_shows_what_was_recorded() -> None:
    learn = line_learner(n_train=5)
    with pytest.raises(ValueError, match="has not been fitted"):
        one_cycle_slider(learn)
    with learn.no_logging():
        learn.fit_one_cycle(2, 1e-2)
    data = script_data(one_cycle_slider(learn))
    assert data["learning rate"] == pytest.approx(learn.recorder.lrs, rel=1e-4)
    assert data["momentum"] == pytest.approx(learn.recorder.moms, rel=1e-4)
    assert data["loss"] == pytest.approx([float(v) for v in learn.recorder.losses], rel=1e-4)


def test_the_lookup_adds_rows_one_after_the_other() -> None:
    data = lookup_picture(n=4, width=2, ids=[1, 3, 1]).data
    assert data["ids"] == [1, 3, 1]
    first, second, third = data["gradients"][1:]
    g = data["arriving"]
    assert data["gradients"][0] == [[0, 0]] * 4
    assert first == [[0, 0], g[0], [0, 0], [0, 0]]
    assert second == [[0, 0], g[0], [0, 0], g[1]]
    assert third[1] == pytest.approx([a + b for a, b in zip(g[0], g[2], strict=True)])
    assert third[3] == g[1]
    with pytest.raises(IndexError, match="4"):
        lookup_picture(n=4, ids=[4])


def test_jupyterlab_leaves_the_keys_of_pictures_alone() -> None:
    """Lumino looks for the attribute on the element that has the focus."""
    learn = line_learner(n_train=5)
    with learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
    x = tensor([1., 2.], requires_grad=True)
    for picture in (one_cycle_slider(learn), backward_player((x * x).sum()), optimizer_race(n=5),
                    show_graph((x * x).sum()), lookup_picture()):
        focusable = re.findall(r"<(?:button|input|select)\b[^>]*>|<[^>]*tabindex[^>]*>",
                               picture.html().partition("<script>")[0])
        assert focusable
        assert all('data-lm-suppress-shortcuts="true"' in tag for tag in focusable)
