"""Images with titles, as a grid."""
from collections.abc import Sequence
from math import ceil, sqrt
from textwrap import fill
from typing import Any

import numpy as np

from .style import WIDTH, plot_style

CHARACTER, LINE = .088, .2
"""Inches that a character is wide on average, and that a line is high."""


@plot_style()
def image_grid(images: "np.ndarray[Any, Any]", titles: Sequence[str], heading: str | None = None,
               figsize: tuple[float, float] | None = None) -> Any:
    """Draw images as a square grid, with titles in lines that fit.

    Values 0 to 1 go from black to white; if there are others, the range of all images does.

    Parameters
    ----------
    images : array (n, c, h, w)
        The images.
    titles : sequence of str
        A title per image.
    heading : str, optional
        The title of the figure.
    figsize : tuple of float, optional
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> figure = image_grid(np.zeros((3, 1, 8, 8)), ["zero"] * 3)
    >>> [axes.get_title() for axes in figure.axes]
    ['zero', 'zero', 'zero', '']
    >>> plt.close(figure)
    """
    import matplotlib.pyplot as plt
    columns = ceil(sqrt(len(images)))
    rows, width = ceil(len(images) / columns), max(WIDTH, columns) / columns
    texts = [_in_lines(title, figsize[0] / columns if figsize else width) for title in titles]
    lines = 1 + max(text.count("\n") for text in texts)
    height = width * images.shape[2] / images.shape[3] + LINE * (lines + .5)
    figure, grid = plt.subplots(rows, columns, squeeze=False, figsize=figsize or (
        width * columns, height * rows + 2 * LINE * bool(heading)))
    low, high = min(0., float(images.min())), max(1., float(images.max()))
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, text in zip(grid.flat, images, texts, strict=False):
        shades = (image.transpose(1, 2, 0) - low) / (high - low)
        axes.imshow(shades, cmap="gray", vmin=0, vmax=1)  # a single channel is grey
        axes.set_title(text)
    if heading:
        figure.suptitle(_in_lines(heading, figure.get_figwidth()))
    return figure


def _in_lines(text: str, width: float) -> str:
    """Break a text into lines of some inches, after slashes rather than before."""
    return fill(text.replace(" /", "\u00a0/"), int(width / CHARACTER)).replace("\u00a0", " ")
