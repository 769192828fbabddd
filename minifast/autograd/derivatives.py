"""grad: derivatives as tensors. gradcheck: compare derivative rules with finite differences."""
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..backend import transfer
from .primitive import Primitive
from .tape import walk_back
from .tensor import Operand, Tensor, apply


def grad(loss: Tensor, inputs: Tensor | Sequence[Tensor], create_graph: bool = False,
         gradient: Operand | None = None, retain_graph: bool = False) -> tuple[Tensor, ...]:
    """Return the derivatives of ``loss`` with respect to ``inputs``, without changing any ``grad``.

    Parameters
    ----------
    loss : Tensor
        The tensor to differentiate.
    inputs : Tensor or sequence of Tensor
        Leaves or results of operations that require a gradient.
    create_graph : bool
        Whether the results can be differentiated again. The graph of ``loss`` is then kept.
    gradient : Tensor or array, optional
        The gradient of ``loss``, with its shape; needed unless ``loss`` has one element.
    retain_graph : bool
        Whether to keep the graph of ``loss`` for another call.

    Returns
    -------
    tuple of Tensor
        The derivative with respect to each input, with the shape of the input.

    Raises
    ------
    RuntimeError
        If ``loss`` does not depend on an input, or does not require a gradient.
    ShapeError
        If ``gradient`` has the wrong shape, or is needed and missing.
    ChangedArrayError
        If an array that is needed was changed in place after the forward pass.
    TypeError
        If ``create_graph`` is set and the rule of an operation does not run on tensors.

    Notes
    -----
    The counterpart of ``torch.autograd.grad``. The gradients of all leaves are computed,
    including those that are not in ``inputs``.

    Examples
    --------
    >>> import numpy as np
    >>> x = Tensor(np.array([1., 2.]), requires_grad=True)
    >>> first, = grad((x ** 3).sum(), x, create_graph=True)
    >>> grad(first.sum(), x)
    (tensor([ 6., 12.], dtype=float64),)
    """
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not all(isinstance(x, Tensor) for x in (loss, *wanted)):
        raise TypeError("grad(loss, inputs) takes tensors; make them with tensor(...)")
    keys = [x.node or x for x in wanted]
    found = walk_back(loss, loss._start(gradient, create_graph), retain_graph or create_graph,
                      create_graph, set(keys))
    for i, (x, key) in enumerate(zip(wanted, keys, strict=True)):
        if key not in found:
            raise RuntimeError(f"the tensor does not depend on input {i}, {x.shape}; leave it out. "
                               "For a table in an accelerated fit set learn.fast = False")
    return tuple(found[key].clone() if create_graph else Tensor(found[key].copy()) for key in keys)


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
    checked = [_check(lambda: (function(*wide) * weights).sum().item(), i, x, eps, atol, rtol)
               for i, x in enumerate(wide) if _is_float(x)]
    if not any(checked):
        raise GradientError("nothing was checked: no float input, or a kink everywhere; "
                            "choose other inputs")
    return True


def _is_float(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype.kind == "f"


def _check(f: Callable[[], float], i: int, x: Tensor, eps: float, atol: float, rtol: float) -> int:
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
