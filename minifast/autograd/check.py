"""Is a derivative rule right? Compare it with differences, element by element."""
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..backend import transfer
from .primitive import Primitive
from .tensor import Tensor, apply


class GradientError(ArithmeticError):
    """A gradient that differs from the finite difference; the message says where."""


def gradcheck(f: Callable[..., Tensor] | Primitive, *inputs: Any, eps: float = 1e-6,
              atol: float = 1e-5, rtol: float = 1e-4, seed: int = 0) -> bool:
    """True if the gradients of ``f(*inputs)`` agree with central differences, else an error.

    Every float tensor among ``inputs`` is checked, in float64. The output may have any shape:
    its elements are summed with random weights. An element at which the slopes to the left and
    to the right differ (a kink, as ReLU's 0) has no derivative and is skipped; if nothing else
    is left, that is an error too. torch's ``torch.autograd.gradcheck``.

    >>> from minifast import tensor
    >>> gradcheck(lambda x: (x * x).sum(), tensor([1., -2.]))
    True
    """
    wide = [Tensor(x.data.astype(np.float64), True) if _is_float(x) else x for x in inputs]
    project = _Projection(f, wide, seed)
    if (projected := project()).requires_grad:
        projected.backward()
    checked = [_check_input(project, i, x, eps, atol, rtol)
               for i, x in enumerate(wide) if _is_float(x)]
    if not any(checked):
        raise GradientError("nothing was checked: no float input, or a kink everywhere; "
                            "choose other inputs")
    return True


def _is_float(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype.kind == "f"


class _Projection:
    """f(*inputs) as one number: its output summed with fixed random weights."""

    def __init__(self, f: Callable[..., Tensor] | Primitive, inputs: list[Any], seed: int) -> None:
        self.f: Callable[..., Tensor] = partial(apply, f) if isinstance(f, Primitive) else f
        # a stream of its own: weights equal to inputs from default_rng(seed) would hide errors
        self.inputs, self.rng = inputs, np.random.default_rng((seed, 1))
        self.weights: Any = None

    def __call__(self) -> Tensor:
        y = self.f(*self.inputs)
        if self.weights is None:
            self.weights = np.asarray(self.rng.normal(size=y.shape))
        return (y * Tensor(self.weights).to(y.device)).sum()

    def at(self, x: Tensor, index: tuple[int, ...], value: float) -> float:
        """The number with one element of one input changed, then put back."""
        before = float(x.data[index])
        x.data[index] = value
        try:
            return self().item()  # type: ignore[no-any-return]
        finally:
            x.data[index] = before


def _check_input(project: _Projection, i: int, x: Tensor, eps: float,
                 atol: float, rtol: float) -> int:
    gradient = np.zeros(x.shape) if x.grad is None else transfer(x.grad, "cpu")
    middle, checked = project().item(), 0
    for index in np.ndindex(x.shape):
        value = float(x.data[index])
        up = (project.at(x, index, value + eps) - middle) / eps
        down = (middle - project.at(x, index, value - eps)) / eps
        slope = (up + down) / 2
        if abs(up - down) > 1e-3 * (1 + abs(slope)):
            continue
        checked += 1
        if not abs(gradient[index] - slope) <= atol + rtol * abs(slope):
            raise GradientError(f"input {i} at {index}: the rule gives {gradient[index]:.8g}, "
                                f"the difference {slope:.8g}")
    return checked
