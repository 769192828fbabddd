"""one_cycle_slider: rate, momentum and loss of a fit, with a slider over its batches."""
from collections.abc import Sequence
from html import escape

import numpy as np

from ..train import Learner
from .page import Picture

WIDTH, HEIGHT = 640, 90
"""Size of a curve in pixels."""


def one_cycle_slider(learn: Learner) -> Picture:
    """Show the learning rate, the momentum and the training loss of the last fit by batch.

    Parameters
    ----------
    learn : Learner
        A learner that has been fitted, for example by ``fit_one_cycle``.

    Returns
    -------
    Picture
        Three curves and a slider.

    Raises
    ------
    ValueError
        If there was no fit yet.

    Examples
    --------
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> x = np.ones((8, 2), np.float32)
    >>> learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4), Linear(2, 1))
    >>> with learn.no_logging():
    ...     learn.fit_one_cycle(3)
    >>> [len(curve) for curve in one_cycle_slider(learn).data.values()]
    [6, 6, 6]
    """
    recorder = getattr(learn, "recorder", None)
    if recorder is None or not len(recorder.losses):
        raise ValueError("this learner has not been fitted; call learn.fit_one_cycle(...) first")
    curves = {name: [float(f"{float(v):.5g}") for v in values] for name, values in
              [("learning rate", recorder.lrs), ("momentum", recorder.moms),
               ("loss", recorder.losses)]}
    return Picture("One cycle", _body(curves), "one_cycle.js", curves)


def _body(curves: dict[str, list[float]]) -> str:
    n = len(curves["loss"]) - 1
    rows = "\n".join(_curve(name, values) for name, values in curves.items())
    return f"""<div class="mf-bar">
<label>batch <input type="range" name="batch" min="0" max="{n}" value="0"></label>
<output></output>
</div>
<div class="mf-scroll" tabindex="0" role="region" aria-label="Curves; scrolls">
<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Rate, momentum and loss by batch"
 width="{WIDTH}" height="{(HEIGHT + 30) * len(curves)}">
{rows}
</svg></div>"""


def _curve(name: str, values: Sequence[float]) -> str:
    """Return one curve; the script translates it to its row and moves the dot."""
    low, high = min(values), max(values)
    x = np.linspace(10, WIDTH - 10, len(values))
    y = 25 + HEIGHT * (high - np.array(values)) / ((high - low) or 1.)
    points = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    row = ["learning rate", "momentum", "loss"].index(name)
    return (f'<g class="mf-curve" data-name="{escape(name)}" '
            f'transform="translate(0 {row * (HEIGHT + 30)})"><text x="10" y="15">{escape(name)} '
            f'{low:.3g} to {high:.3g}</text><path class="mf-path" d="M{points}"/>'
            f'<circle class="mf-dot" r="6" data-x="{",".join(f"{a:.1f}" for a in x)}" '
            f'data-y="{",".join(f"{b:.1f}" for b in y)}"/></g>')
