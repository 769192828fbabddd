"""A grid of pictures with titles."""
from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

from .pixels import Images


def show_pictures(pictures: Images, titles: Sequence[str], heading: str | None = None,
                  figsize: tuple[float, float] | None = None) -> Any:
    """Draw pictures (n, c, h, w) as a square grid, in the order of reading; the figure.

    Values 0 to 1 go from black to white. If there are others, the whole range is stretched
    over the grid, alike for all pictures.
    """
    import matplotlib.pyplot as plt
    side = ceil(sqrt(len(pictures)))
    down, wide = ceil(len(pictures) / side), max(2.2, .1 * max(map(len, titles)))
    figure, grid = plt.subplots(down, side, squeeze=False, layout="constrained",
                                figsize=figsize or (wide * side, 2.4 * down))
    low, high = min(0., float(pictures.min())), max(1., float(pictures.max()))
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, picture, title in zip(grid.flat, pictures, titles, strict=False):
        if len(picture) == 1:
            axes.imshow(picture[0], cmap="gray", vmin=low, vmax=high)
        else:
            axes.imshow((picture.transpose(1, 2, 0) - low) / (high - low))
        axes.set_title(title)
    if heading:
        figure.suptitle(heading)
    return figure
