"""A map of embedding vectors, some of them with names."""
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from .style import COLORS, GREY, WIDTH, panels, plot_style

Points = np.ndarray[Any, Any]


@plot_style()
def plot_embeddings(vectors: Any, labels: Sequence[Any], n_labels: int = 15,
                    title: str | None = None, return_fig: bool = False, ax: Any = None,
                    **kwargs: Any) -> Any:
    """Plot the two principal components of vectors, and write the names of some next to them.

    The names are alternately those of the outermost vectors and of the first vectors in the list,
    so put the best known first. A name that would overlap another one is left out.

    Parameters
    ----------
    vectors : Tensor or array (n, k)
        The vectors, such as ``learn.weight(titles)``. If k is 2, they are plotted unchanged.
    labels : sequence (n,)
        Their names.
    n_labels : int
        The largest number of names to write.
    title : str, optional
        The title of the plot.
    return_fig : bool
        Return the figure.
    ax : Axes, optional
        Axes to draw in.
    **kwargs
        Options of the figure, such as ``figsize``.

    Returns
    -------
    matplotlib.figure.Figure or None
        The figure, if asked for.

    Raises
    ------
    ValueError
        If the number of labels differs from that of the vectors, or is below three.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> rng = np.random.default_rng(0)
    >>> figure = plot_embeddings(rng.normal(size=(26, 5)), "abcdefghijklmnopqrstuvwxyz",
    ...                          n_labels=4, return_fig=True)
    >>> len(figure.axes[0].texts)
    4
    >>> plt.close(figure)
    """
    numbers = np.asarray(vectors.numpy() if isinstance(vectors, Tensor) else vectors) * 1.
    if numbers.ndim != 2 or len(numbers) != len(labels) or len(numbers) < 3:
        raise ValueError(f"plot_embeddings needs three or more vectors (n, k) and n labels; got "
                         f"vectors of shape {numbers.shape} and {len(labels)} labels")
    points, names = principal_components(numbers)
    figure, (axes,) = panels(1, ax, **{"figsize": (WIDTH, WIDTH), **kwargs})
    axes.plot(*points.T, "o", color=GREY, markersize=2.5, alpha=.45, markeredgewidth=0)
    axes.set(xlabel=names[0], ylabel=names[1], title=title or f"{len(points):,} embeddings")
    axes.margins(.08)
    outermost = np.abs(points / (points.std(0) + 1e-12)).max(1).argsort()[::-1].tolist()
    turns = (i for pair in zip(outermost, range(len(points)), strict=True) for i in pair)
    write_names(axes, points, [str(label) for label in labels], turns, n_labels)
    return figure if return_fig else None


def principal_components(vectors: Points) -> tuple[Points, list[str]]:
    """Return the two principal components of vectors (``Tensor.pca``), and labels for the axes.

    Parameters
    ----------
    vectors : array (n, k)
        The vectors.

    Returns
    -------
    points : array (n, 2)
        The components, the one with the larger variance first; if k is 2, the vectors.
    names : list of two str
        Labels of the axes, with the share of the variance.

    Examples
    --------
    >>> principal_components(np.array([[0., 0, 0], [2, 0, 0], [1, 0, 1]]))[1]
    ['component 1 (75% of the variance)', 'component 2 (25% of the variance)']
    """
    if vectors.shape[1] == 2:
        return vectors, ["factor 1", "factor 2"]
    points = Tensor(vectors).pca(2).numpy()
    share = points.var(0) / max(vectors.var(0).sum(), 1e-12)
    return points, [f"component {i + 1} ({share[i]:.0%} of the variance)" for i in (0, 1)]


def write_names(axes: Any, points: Points, names: Sequence[str], order: Iterable[int],
                n: int) -> None:
    """Write names next to their points, if they overlap no other name and stay inside the axes.

    Parameters
    ----------
    axes : Axes
        The axes that the points are plotted in.
    points : array (m, 2)
        The points.
    names : sequence of str (m,)
        Their names.
    order : iterable of int
        The points, in the order in which to try them; repeated numbers are skipped.
    n : int
        The largest number of names to write.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> figure, axes = plt.subplots()
    >>> points = np.array([[0., 0.], [1., 1.], [1., 1.]])
    >>> write_names(axes, points / 2 + .25, ["a", "b", "c"], range(3), 2)
    >>> [text.get_text() for text in axes.texts]
    ['a', 'b']
    >>> plt.close(figure)
    """
    axes.figure.canvas.draw()  # sets the limits and the layout
    taken: list[Any] = []  # boxes of names, and of their dots
    for i in dict.fromkeys(order):
        if len(taken) >= 2 * n:
            return
        text, box = _place(axes, points[i], names[i], taken)
        if box is None:
            text.remove()
            continue
        axes.plot(*points[i], "o", color=COLORS[0], markersize=4)
        taken += [box, _around(axes, points[i])]


def _place(axes: Any, point: Points, name: str, taken: list[Any]) -> tuple[Any, Any]:
    """Write a name on the first free side of a point; the box is None if no side is free."""
    from matplotlib.patheffects import withStroke
    frame, dot = axes.get_window_extent(), _around(axes, point)
    free = not any(dot.overlaps(other) for other in taken)
    text = axes.annotate(name, point, textcoords="offset points", xytext=(0, 0), path_effects=[
        withStroke(linewidth=2.5, foreground=axes.get_facecolor())])
    for x, y, ha, va in ((5, 0, "left", "center"), (-5, 0, "right", "center"),
                         (0, 5, "center", "bottom"), (0, -5, "center", "top")):
        text.set(position=(x, y), horizontalalignment=ha, verticalalignment=va)
        box = text.get_window_extent().padded(2)
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 \
            and box.y1 <= frame.y1
        if free and inside and not any(box.overlaps(other) for other in taken):
            return text, box
    return text, None


def _around(axes: Any, point: Points) -> Any:
    """Return a box of four pixels around a point."""
    from matplotlib.transforms import Bbox
    return Bbox([axes.transData.transform(point)] * 2).padded(2)
