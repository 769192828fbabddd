"""Plots of embeddings, of several seeds, and of images."""
from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import assert_readable, assert_ticks_apart, overlapping
from tiny import ratings_learner

from minifast import Tensor
from minifast.inspect import plot_embeddings, plot_seeds
from minifast.inspect.image_grid import image_grid
from minifast.inspect.style import COLORS

pytestmark = pytest.mark.cpu_only("draws arrays of the host")


@pytest.fixture(autouse=True)
def _no_figure_stays_open() -> Iterator[None]:
    yield
    plt.close("all")


# ------------------------------------------------------------------------------------ embeddings


def named(n: int, width: int = 5, seed: int = 0) -> tuple[Any, list[str]]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, width)) * np.arange(width, 0, -1)
    return vectors, [f"A long title number {i} (1995)" for i in range(n)]


@pytest.mark.parametrize("n", [3, 40, 1000])
def test_names_of_embeddings_do_not_overlap(n: int) -> None:
    vectors, names = named(n)
    figure = plot_embeddings(Tensor(vectors), names, n_labels=12, return_fig=True)
    assert_readable(figure)
    assert_ticks_apart(figure)
    (axes,) = figure.axes
    assert 3 <= len(axes.texts) <= 12
    assert {text.get_text() for text in axes.texts} <= set(names)
    assert overlapping(axes.texts) == []
    frame = axes.get_window_extent()
    for text in axes.texts:
        box = text.get_window_extent()
        assert frame.x0 <= box.x0 <= box.x1 <= frame.x1
        assert frame.y0 <= box.y0 <= box.y1 <= frame.y1


def test_each_named_point_is_marked_and_free() -> None:
    vectors, names = named(300)
    figure = plot_embeddings(vectors, names, return_fig=True)
    figure.canvas.draw()
    (axes,) = figure.axes
    cloud, *dots = axes.lines
    assert len(cloud.get_xdata()) == 300
    assert len(dots) == len(axes.texts)
    assert {dot.get_color() for dot in dots} == {COLORS[0]}
    points = dict(zip(names, np.transpose(cloud.get_data()), strict=True))
    for dot, text in zip(dots, axes.texts, strict=True):
        np.testing.assert_array_equal(np.ravel(dot.get_data()), points[text.get_text()])
        at = axes.transData.transform(points[text.get_text()])
        assert not any(other.get_window_extent().contains(*at) for other in axes.texts)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_axes_are_the_principal_components(dtype: str) -> None:
    vectors, names = named(50)
    vectors = vectors.astype(dtype)
    axes = plot_embeddings(vectors, names, return_fig=True).axes[0]
    points = np.transpose(axes.lines[0].get_data())
    np.testing.assert_allclose(points, Tensor(vectors).pca(2).numpy(), rtol=1e-9)
    values = np.linalg.eigvalsh(np.cov(vectors.T, bias=True))[::-1]
    np.testing.assert_allclose(points.var(0), values[:2], rtol=1e-5)
    assert axes.get_xlabel() == f"component 1 ({values[0] / values.sum():.0%} of the variance)"
    assert axes.get_ylabel() == f"component 2 ({values[1] / values.sum():.0%} of the variance)"
    flat = plot_embeddings(vectors[:, :2], names, return_fig=True, title="Flat").axes[0]
    np.testing.assert_array_equal(np.transpose(flat.lines[0].get_data()), vectors[:, :2])
    assert (flat.get_xlabel(), flat.get_title()) == ("factor 1", "Flat")


def test_embeddings_of_a_learner_in_given_axes() -> None:
    learn = ratings_learner()
    figure, axs = plt.subplots(1, 2, figsize=(10, 5))
    for axes, labels, is_item in ((axs[0], "abcde", True), (axs[1], ["1", "2", "3", "4"], False)):
        known = [x for x in labels if x in learn.data.classes["item" if is_item else "user"]]
        vectors = learn.weight(known if is_item else map(int, known), is_item)
        assert plot_embeddings(vectors, known, ax=axes) is None
        assert {text.get_text() for text in axes.texts} <= set(known)
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize(("vectors", "labels"), [
    (np.zeros((4, 3)), "abc"), (np.zeros((2, 3)), "ab"), (np.zeros(3), "abc")])
def test_vectors_without_a_name_each_are_refused(vectors: Any, labels: str) -> None:
    with pytest.raises(ValueError, match=r"needs three or more vectors \(n, k\) and n labels; got "
                                         rf".*{vectors.shape[0]}.* and {len(labels)} labels"):
        plot_embeddings(vectors, labels)
    assert plt.get_fignums() == []


def test_equal_vectors_are_drawn() -> None:
    axes = plot_embeddings(np.ones((4, 3)), "abcd", return_fig=True).axes[0]
    assert len(axes.texts) == 1  # there is room for one name


# ------------------------------------------------------------------------------------- seeds

CURVES = {"Adam": np.array([[3., 2, 1], [5, 2, 3], [4, 5, 2]]), "SGD": np.arange(9.).reshape(3, 3)}


@pytest.mark.parametrize("band", ["std", "sem", "range"])
def test_curves_over_seeds_have_bands(band: str) -> None:
    x = [1, 10, 100]
    figure = plot_seeds(CURVES, x, band, xscale="log", xlabel="images", ylabel="loss",
                        title="Three seeds", return_fig=True)
    assert_readable(figure)
    assert_ticks_apart(figure)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["Adam", "SGD"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title(), axes.get_xscale()) == (
        "images", "loss", "Three seeds", "log")
    assert [line.get_color() for line in axes.lines] == list(COLORS[:2])
    assert len({line.get_marker() for line in axes.lines}) == 2
    for line, patch, values in zip(axes.lines, axes.collections, CURVES.values(), strict=True):
        mean = values.sum(0) / 3
        spread = np.sqrt(((values - mean) ** 2).sum(0) / 2)
        low, high = {"std": (mean - spread, mean + spread), "range": (values.min(0), values.max(0)),
                     "sem": (mean - spread / 3 ** .5, mean + spread / 3 ** .5)}[band]
        np.testing.assert_array_equal(line.get_xdata(), x)
        np.testing.assert_allclose(line.get_ydata(), mean)
        edges = {tuple(np.round(v, 9)) for v in patch.get_paths()[0].vertices}
        assert edges == {tuple(np.round(v, 9)) for e in (low, high) for v in zip(x, e, strict=True)}


def test_one_seed_has_no_spread_and_long_curves_no_markers() -> None:
    figure, axes = plt.subplots()
    assert plot_seeds({"one": np.ones((1, 50))}, ax=axes) is None
    assert axes.lines[0].get_xdata().tolist() == list(range(1, 51))
    assert axes.lines[0].get_marker() in ("", "None")
    assert np.ptp(axes.collections[0].get_paths()[0].vertices[:, 1]) == 0
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize(("args", "message"), [
    (({"a": [1., 2.]},), r"shape \(seeds, n\).*got \{'a': \(2,\)\}"),
    (({"a": [[1., 2.]]}, [1]), r"got \{'a': \(1, 2\)\} and 1 values of x"),
    (({"a": [[1., 2.]]}, None, "ci"), "one of std, sem, range; got 'ci'")])
def test_curves_of_another_shape_are_refused(args: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot_seeds(*args)
    assert plt.get_fignums() == []


# ------------------------------------------------------------------------------------- images


@pytest.mark.parametrize("n", [1, 4, 9, 25])
def test_titles_of_images_do_not_overlap(n: int) -> None:
    x = np.random.default_rng(0).random((n, 3, 8, 6))
    titles = [f"yellow dog / ibex / {i}.75 / 0.02" for i in range(n)]
    figure = image_grid(x, titles, "prediction / actual / loss / probability")
    assert_readable(figure)
    assert len([axes for axes in figure.axes if axes.images]) == n
    assert [axes.get_title().replace("\n", " ") for axes in figure.axes][:n] == titles
    assert overlapping([axes.title for axes in figure.axes]) == []
    for axes in figure.axes:
        assert not any(line.startswith("/") for line in axes.get_title().split("\n"))


@pytest.mark.parametrize("n", [1, 2])
def test_the_range_of_images(n: int) -> None:
    shown = image_grid(np.full((n, 1, 2, 2), 3.), ["x"] * n).axes[0].images[0]
    np.testing.assert_array_equal(shown.get_array().ravel(), 1)
