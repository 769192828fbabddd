"""The style of all plots: sizes, colours and labels."""
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any

from ..train import Recorder
from ..train.callback import snake_case

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours without yellow and black, in order of contrast. Colour-blind people can
tell them apart. The first four have a contrast ratio of at least 3 on white and on black."""
GREY = "#767676"
"""The colour of secondary elements. Its contrast ratio is 4.5 on white and on black."""
WIDTH, HEIGHT = 5., 3.3
"""Size in inches of a plot with one panel, which fits the column of a notebook."""
TEXT = 11.5
"""Size of all text in points: at least 11 pixels if a plot of ``WIDTH`` is 350 pixels wide."""
SIZES = ("font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize",
         "legend.fontsize", "figure.titlesize", "figure.labelsize")
LINE = 26
"""The most characters in a line of an axis label."""
WORDS = {"mse loss": "mean squared error",
         "binary cross entropy with logits": "binary cross entropy"}


@contextmanager
def plot_style() -> Iterator[None]:
    """Use the style of minifast's plots, in a ``with`` statement or as a decorator.

    The colours of text and background come from matplotlib's current style, so
    ``plt.style.use("dark_background")`` makes dark plots. The background is always drawn, so plots
    are readable on light and on dark pages.

    Yields
    ------
    None
        Nothing.

    References
    ----------
    Okabe, M., Ito, K. (2008). Color universal design. https://jfly.uni-koeln.de/color/

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> with plot_style():
    ...     figure, axes = plt.subplots()
    >>> figure.get_size_inches().tolist()
    [5.0, 3.3]
    >>> plt.close(figure)
    """
    import matplotlib as mpl
    from cycler import cycler
    settings: Any = {
        **dict.fromkeys(SIZES, TEXT), "figure.figsize": (WIDTH, HEIGHT),
        "figure.constrained_layout.use": True, "savefig.facecolor": "auto",
        "figure.facecolor": mpl.rcParams["axes.facecolor"],
        "axes.prop_cycle": cycler(linestyle=["-", "--", ":"]) * cycler(color=COLORS),
        "axes.grid": True, "axes.axisbelow": True, "grid.alpha": .4, "grid.linewidth": .6,
        "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.6,
        "lines.markersize": 5, "legend.framealpha": .85, "legend.edgecolor": "none"}
    before: Any = {name: mpl.rcParams[name] for name in settings}
    mpl.rcParams.update(settings)
    try:
        yield
    finally:  # not rc_context: it would undo what a notebook's backend sets when it is loaded
        mpl.rcParams.update(before)


def panels(n: int = 1, axs: Any = None, height: float | None = None, **kwargs: Any
           ) -> "tuple[Figure, list[Axes]]":
    """Return a figure and its axes: the given axes, or new ones below each other.

    Parameters
    ----------
    n : int
        The number of axes.
    axs : Axes or sequence of Axes, optional
        Axes to draw in.
    height : float, optional
        Height of a new panel in inches.
    **kwargs
        Arguments of ``matplotlib.pyplot.subplots``.

    Returns
    -------
    figure : Figure
        The figure of the axes.
    axes : list of Axes
        The axes.

    Raises
    ------
    ValueError
        If fewer axes are given than are needed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> figure, (upper, lower) = panels(2)
    >>> panels(1, axs=lower)[1] == [lower]
    True
    >>> plt.close(figure)
    """
    import matplotlib.pyplot as plt
    import numpy as np
    if axs is not None:
        given = list(np.ravel(axs))
        if len(given) < n:
            raise ValueError(f"this plot has {n} panels, got {len(given)} axes; make them with "
                             f"plt.subplots({n})")
        return given[0].figure, given[:n]
    size = (WIDTH, n * (height or (HEIGHT if n == 1 else .75 * HEIGHT)))
    figure, grid = plt.subplots(n, 1, squeeze=False, **{"figsize": size, **kwargs})
    return figure, list(grid[:, 0])


def legend_below(figure: "Figure", axes: "Axes", lines: int, **kwargs: Any) -> None:
    """Put the legend of some axes below them in a new figure, where it hides nothing.

    Parameters
    ----------
    figure : Figure
        The figure; its height is increased by that of the legend.
    axes : Axes
        The axes whose lines have labels.
    lines : int
        Number of lines of the legend.
    **kwargs
        Arguments of ``figure.legend``, such as ``ncols``.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> figure, axes = plt.subplots(figsize=(4, 2))
    >>> _ = axes.plot([1, 2], label="loss")
    >>> legend_below(figure, axes, lines=2)
    >>> float(figure.get_figheight())
    2.5
    >>> plt.close(figure)
    """
    figure.set_figheight(figure.get_figheight() + .25 * lines)
    figure.legend(**{**dict(zip(("handles", "labels"), axes.get_legend_handles_labels(),
                                strict=True)), "loc": "outside lower center", **kwargs})


def loss_label(recorder: Recorder) -> str:
    """Return the label of an axis of losses, such as ``loss (mean squared error)``.

    Parameters
    ----------
    recorder : Recorder
        The recorder of the losses.

    Returns
    -------
    str
        The label; "loss" if the loss has no name.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> from minifast.train import Learner
    >>> learn = Learner(DataBunch([]), Linear(1, 1), loss_func=MSELossFlat())
    >>> loss_label(Recorder(learn))
    'loss (mean squared error)'
    """
    try:
        loss: Any = recorder.learn.loss_func
    except ReferenceError:  # a recorder may outlive its learner
        return "loss"
    while hasattr(loss, "func"):  # a flattened loss, or a partial function
        loss = loss.func
    name = words(getattr(loss, "__name__", type(loss).__name__))
    return "loss" if name in ("loss", "<lambda>") else axis_label(f"loss ({name})")


def axis_label(text: str) -> str:
    r"""Return a label, broken into lines that fit along an axis.

    Parameters
    ----------
    text : str
        The label.

    Returns
    -------
    str
        The label, with line breaks.

    Examples
    --------
    >>> axis_label("loss (label smoothing cross entropy)")
    'loss (label smoothing\ncross entropy)'
    """
    return fill(text, LINE)


def words(name: str) -> str:
    """Return a name in the code as words.

    Parameters
    ----------
    name : str
        The name of a function or a class.

    Returns
    -------
    str
        The words, in lower case; an abbreviation stays as it is.

    Examples
    --------
    >>> words("root_mean_squared_error"), words("FocalLoss"), words("RMSE"), words("mse_loss")
    ('root mean squared error', 'focal loss', 'RMSE', 'mean squared error')
    """
    if name.isupper():
        return name
    text = snake_case(name).replace("_", " ").strip()
    return WORDS.get(text, text)
