"""gradcheck: compare derivative rules with finite differences."""
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..backend import transfer
from .primitive import Primitive
from .tensor import Tensor, apply


class GradientError(ArithmeticError):
    """A gradient that differs from the finite difference."""


def gradcheck(f: Callable[..., Tensor] | Primitive, *inputs: Any, eps: float = 1e-6,
              atol: float = 1e-5, rtol: float = 1e-4, seed: int = 0) -> bool:
    """Check the gradients of ``f(*inputs)`` against central differences, in float64.

    The output may have any shape; its elements are summed with random weights. An element where
    the slopes to the left and to the right differ (a kink, such as ReLU's at 0) is skipped.

    Parameters
    ----------
    f : callable or Primitive
        The function.
    *inputs
        Its inputs. Every float tensor among them is checked.
    eps : float
        The step of the differences.
    atol, rtol : float
        The allowed error: ``atol + rtol * abs(difference)``.
    seed : int
        The seed of the random weights.

    Returns
    -------
    bool
        True.

    Raises
    ------
    GradientError
        If a gradient is wrong, or if there was nothing to check.

    Notes
    -----
    The counterpart of ``torch.autograd.gradcheck``.

    Examples
    --------
    >>> from minifast import tensor
    >>> gradcheck(lambda x: (x * x).sum(), tensor([1., -2.]))
    True
    """
    function = partial(apply, f) if isinstance(f, Primitive) else f
    wide = [Tensor(x.data.astype(np.float64), True) if _is_float(x) else x for x in inputs]
    y = function(*wide)
    # another stream than default_rng(seed): weights equal to the inputs would hide errors
    rng = np.random.default_rng((seed, 1))
    weights = Tensor(np.asarray(rng.normal(size=y.shape))).to(y.device)
    if y.requires_grad:
        y.backward(weights)
    checked = [_check_input(lambda: (function(*wide) * weights).sum().item(), i, x, eps, atol, rtol)
               for i, x in enumerate(wide) if _is_float(x)]
    if not any(checked):
        raise GradientError("nothing was checked: no float input, or a kink everywhere; "
                            "choose other inputs")
    return True


def _is_float(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype.kind == "f"


def _check_input(f: Callable[[], float], i: int, x: Tensor, eps: float, atol: float, rtol: float
                 ) -> int:
    """Check the gradient of ``x``, input number ``i`` of ``f``; return how many elements count."""
    gradient = np.zeros(x.shape) if x.grad is None else transfer(x.grad, "cpu")
    middle, checked = f(), 0
    for index in np.ndindex(x.shape):
        up = (_moved(f, x, index, eps) - middle) / eps
        down = (middle - _moved(f, x, index, -eps)) / eps
        slope = (up + down) / 2
        if abs(up - down) > 1e-3 * (1 + abs(slope)):
            continue  # a kink
        checked += 1
        if not abs(gradient[index] - slope) <= atol + rtol * abs(slope):
            raise GradientError(f"input {i} at {index}: the rule gives {gradient[index]:.8g}, "
                                f"the difference {slope:.8g}")
    return checked


def _moved(f: Callable[[], float], x: Tensor, index: tuple[int, ...], step: float) -> float:
    """Return ``f()`` with one element of ``x`` changed by ``step``."""
    before = float(x.data[index])
    x.data[index] = before + step
    try:
        return f()
    finally:
        x.data[index] = before
