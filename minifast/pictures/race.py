"""optimizer_race: the paths of SGD and Adam on a contour plot, with switches."""
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from ..autograd import Tensor
from ..nn import Parameter
from ..optim.steps import (
    State,
    adam_step,
    average_grad,
    average_sqr_grad,
    l2_reg,
    momentum,
    sgd_step,
    weight_decay,
)
from .graph import host
from .page import Picture

SIZE, DECAY = 420, .1
"""Side of the plot in pixels, and the weight decay of the switch."""
Points: TypeAlias = list[list[float]]
DECAYS: dict[str, list[Any]] = {"none": [], "L2": [l2_reg], "decoupled": [weight_decay]}


def _valley(x: Tensor, y: Tensor) -> Tensor:
    """Return (x - 2)² / 20 + (y - 1)²: a valley whose lowest point is not 0, where decay pulls."""
    return (x - 2) ** 2 / 20 + (y - 1) ** 2


def _biased_adam_step(p: Any, state: State, *, lr: float, eps: float, **_: Any) -> None:
    """Step of Adam without bias correction: data <- data - lr average / (sqrt(square) + eps)."""
    p.data -= lr * state["average"] / (np.sqrt(state["square"]) + eps)


def optimizer_race(f: Callable[[Tensor, Tensor], Tensor] = _valley,
                   start: tuple[float, float] = (-4., -2.), n: int = 60, lr_sgd: float = .4,
                   lr_adam: float = .2, span: float = 5.) -> Picture:
    """Show the paths of SGD and Adam, with switches for momentum, bias correction and decay.

    All paths are computed with the steps of ``minifast.optim`` when the picture is made.

    Parameters
    ----------
    f : callable
        The loss of two coordinates, in NumPy's words.
    start : (float, float)
        Where the paths start.
    n : int
        The number of updates.
    lr_sgd, lr_adam : float
        The learning rates.
    span : float
        Both coordinates are shown from ``-span`` to ``span``.

    Returns
    -------
    Picture
        The picture.

    Examples
    --------
    >>> race = optimizer_race(n=20)
    >>> [len(race.data["paths"][name]) for name in ("sgd momentum none", "adam bias L2")]
    [21, 21]
    """
    def curve(steps: Sequence[Any], lr: float, mom: float) -> Points:
        return path(f, start, n, steps, lr=lr, mom=mom, beta=.99, eps=1e-8, wd=DECAY)

    paths: dict[str, Points] = {}
    for with_momentum, bias, (name, decay) in product([True, False], [True, False],
                                                      DECAYS.items()):
        mom = .9 * with_momentum
        switches = " ".join(["momentum"] * with_momentum + ["bias"] * bias + [name])
        last = adam_step if bias else _biased_adam_step
        paths[f"sgd {switches}"] = curve([*decay, momentum, sgd_step], lr_sgd * (1 - mom), mom)
        paths[f"adam {switches}"] = curve([*decay, average_grad, average_sqr_grad, last], lr_adam,
                                          mom)
    data = {"paths": paths, "span": span, "size": SIZE}
    return Picture("Optimizer race", _body(f, span, n), "race.js", data)


def path(f: Callable[[Tensor, Tensor], Tensor], start: tuple[float, float], n: int,
         steps: Sequence[Any], **hypers: float) -> Points:
    """Return the points that an optimizer goes through, each with its loss.

    Parameters
    ----------
    f : callable
        The loss of two coordinates.
    start : (float, float)
        The first point.
    n : int
        The number of updates.
    steps : sequence of callable
        The steps of the optimizer.
    **hypers : float
        Their hyper-parameters.

    Returns
    -------
    list of [x, y, loss]
        ``n + 1`` points.

    Examples
    --------
    >>> from minifast.optim.steps import momentum, sgd_step
    >>> points = path(lambda x, y: x * x + y * y, (1., 0.), 2, [momentum, sgd_step], lr=.25, mom=0.)
    >>> [[round(float(value), 4) for value in point] for point in points]
    [[1.0, 0.0, 1.0], [0.5, 0.0, 0.25], [0.25, 0.0, 0.0625]]
    """
    p = Parameter(np.array(start, np.float32))
    state, points = State(p), []
    for _ in range(n + 1):
        loss = f(p[0], p[1])
        points.append([round(v, 4) for v in [*host(p.data).tolist(), loss.item()]])
        p.grad = None
        loss.backward()
        for step in steps:
            step(p, state, **hypers)
    return points


def _body(f: Callable[[Tensor, Tensor], Tensor], span: float, n: int) -> str:
    decays = "".join(f"<option>{name}</option>" for name in DECAYS)
    return f"""<div class="mf-bar">
<label><input type="checkbox" name="momentum" checked> momentum</label>
<label><input type="checkbox" name="bias" checked> bias correction (Adam)</label>
<label>decay <select name="decay">{decays}</select></label>
<label>update <input type="range" name="update" min="0" max="{n}" value="{n}"></label>
<output></output>
</div>
<div class="mf-scroll" tabindex="0" role="region" aria-label="Contour plot; scrolls">
<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Paths of two optimizers"
 width="{SIZE}" height="{SIZE}" viewBox="0 0 {SIZE} {SIZE}">
{_contours(f, span)}
<path class="mf-origin" d="M{SIZE / 2 - 6} {SIZE / 2}h12m-6 -6v12"/>
<path class="mf-path mf-sgd"/><path class="mf-path mf-adam"/>
<circle class="mf-dot mf-sgd" r="6"/><rect class="mf-dot mf-adam" width="11" height="11"/>
</svg></div>
<p class="mf-help"><span class="mf-key mf-sgd">● SGD</span>
<span class="mf-key mf-adam">■ Adam</span>
+ is 0, where decay pulls.
The learning rate of SGD is scaled by 1 - momentum, so that both settings move equally far.</p>"""


def _contours(f: Callable[[Tensor, Tensor], Tensor], span: float) -> str:
    """Return contour lines at the quantiles of the loss over the plot."""
    from contourpy import contour_generator  # matplotlib's

    axis = np.linspace(-span, span, 81, dtype=np.float32)
    z = host(f(Tensor(np.tile(axis, (81, 1))), Tensor(np.tile(axis[:, None], (1, 81)))))
    lines = contour_generator(axis, axis, z)
    levels = np.quantile(z, np.linspace(.02, .98, 12))
    drawn = [np.asarray(line) for level in levels for line in lines.lines(float(level))]
    pixels = [(line * [1, -1] + span) * SIZE / (2 * span) for line in drawn]
    return "\n".join('<path class="mf-contour" d="M' + "L".join(f"{x:.0f} {y:.0f}" for x, y in line)
                     + '"/>' for line in pixels)
