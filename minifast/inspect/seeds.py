"""Curves over several seeds: the mean, and a band for the spread."""
from collections.abc import Mapping
from typing import Any

import numpy as np

from .style import panels, plot_style

BANDS = ("std", "sem", "range")
MANY = 30
"""A line with more points than this has no markers."""


@plot_style()
def plot_seeds(curves: Mapping[str, Any], x: Any = None, band: str = "std",
               return_fig: bool = False, ax: Any = None, **labels: Any) -> Any:
    """Plot curves over several seeds: for each name, a line for the mean and a band around it.

    Parameters
    ----------
    curves : mapping of str to array (seeds, n)
        The values for each seed, by the name in the legend.
    x : sequence of float (n,), optional
        The positions of the values on the x-axis; by default, 1 to n.
    band : {'std', 'sem', 'range'}
        What the band shows: one standard deviation, one standard error of the mean, or the
        smallest and the largest value.
    return_fig : bool
        Return the figure.
    ax : Axes, optional
        Axes to draw in.
    **labels
        Properties of the axes, such as ``xlabel``, ``ylabel``, ``title``, ``xscale``.

    Returns
    -------
    matplotlib.figure.Figure or None
        The figure, if asked for.

    Raises
    ------
    ValueError
        If the band is unknown, or a curve does not have the shape (seeds, n).

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> figure = plot_seeds({"Adam": [[3., 2.], [5., 2.]]}, ylabel="loss", return_fig=True)
    >>> figure.axes[0].lines[0].get_ydata().tolist()
    [4.0, 2.0]
    >>> plt.close(figure)
    """
    found = {name: np.asarray(values, np.float64) for name, values in curves.items()}
    if band not in BANDS:
        raise ValueError(f"band is one of {', '.join(BANDS)}; got {band!r}")
    if wrong := {name: values.shape for name, values in found.items()
                 if values.ndim != 2 or (x is not None and values.shape[1] != len(x))}:
        raise ValueError(f"curves have the shape (seeds, n), and n is the length of x; got {wrong}"
                         + (f" and {len(x)} values of x" if x is not None else ""))
    figure, (axes,) = panels(1, ax)
    for (name, values), marker in zip(found.items(), "os^Dv<>p*h" * len(found), strict=False):
        where = np.arange(1, values.shape[1] + 1) if x is None else np.asarray(x)
        (line,) = axes.plot(where, values.mean(0), label=name,
                            marker=marker if len(where) <= MANY else "")
        axes.fill_between(where, *_edges(values, band), color=line.get_color(), alpha=.18,
                          linewidth=0)
    axes.set(**labels)
    axes.legend()
    return figure if return_fig else None


def _edges(values: Any, band: str) -> tuple[Any, Any]:
    """Return the lower and the upper edge (n,) of a band."""
    if band == "range":
        return values.min(0), values.max(0)
    spread = values.std(0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
    spread /= np.sqrt(len(values)) if band == "sem" else 1
    return values.mean(0) - spread, values.mean(0) + spread
