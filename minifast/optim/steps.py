"""The small steps that optimizers are lists of.

A step changes one parameter in place. It is called as ``step(p, state, **hypers)``: ``p`` is the
parameter with its array ``p.data`` and its gradient ``p.grad``, of any shape; ``state`` is what the
optimizer keeps for it, a State; and of its group's hyper-parameters a step names those that it
needs: ``lr``, ``wd``, ``mom``, ``beta``, ``eps``. Nothing is returned.

References
----------
Decoupled weight decay: Loshchilov and Hutter 2019. Adam: Kingma and Ba 2015. RMSProp: Tieleman
and Hinton 2012. Constants stand where torch has them.
"""
from math import sqrt
from typing import Any, TypeAlias

import numpy as np

from ..backend import Array, backend_of

Target: TypeAlias = Any
"""A Parameter with its gradient, or anything else that has arrays ``data`` and ``grad``."""


class State(dict[str, Array]):
    """What an optimizer remembers of one parameter: arrays by name, and a count of updates.

    An array that is asked for the first time is made of zeros, in the parameter's shape.

    Parameters
    ----------
    p : Parameter
        The parameter.

    Examples
    --------
    >>> from minifast.nn import Parameter
    >>> State(Parameter(np.ones(2)))["average"]
    array([0., 0.])
    """

    def __init__(self, p: Target) -> None:
        super().__init__()
        self.p, self.count = p, 0
        self.device, self.kind = backend_of(p.data).name, (type(p.data), p.data.shape)

    def __missing__(self, name: str) -> Array:
        self[name] = zeros = np.zeros_like(self.p.data)
        return zeros


def weight_decay(p: Target, state: State, *, lr: float, wd: float, **_: Any) -> None:
    """Decoupled weight decay: data <- data (1 - lr wd).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> p = SimpleNamespace(data=np.array([1., 2.]))
    >>> weight_decay(p, {}, lr=.1, wd=.5)
    >>> p.data
    array([0.95, 1.9 ])
    """
    if wd:
        p.data *= 1 - lr * wd


def l2_reg(p: Target, state: State, *, wd: float, **_: Any) -> None:
    """Coupled weight decay: grad <- grad + wd data, the gradient of wd/2 data^2 added.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> p = SimpleNamespace(data=np.array([1., 2.]), grad=np.zeros(2))
    >>> l2_reg(p, {}, wd=.5)
    >>> p.grad
    array([0.5, 1. ])
    """
    if wd:
        p.grad = p.grad + wd * p.data


def momentum(p: Target, state: State, *, mom: float, **_: Any) -> None:
    """Momentum: average <- mom average + grad.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> state = {"average": np.array([2.])}
    >>> momentum(SimpleNamespace(grad=np.array([1.])), state, mom=.9)
    >>> state["average"]
    array([2.8])
    """
    state["average"] *= mom
    state["average"] += p.grad


def average_grad(p: Target, state: State, *, mom: float, **_: Any) -> None:
    """Running mean of the gradient: average <- mom average + (1 - mom) grad.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> state = {"average": np.array([2.])}
    >>> average_grad(SimpleNamespace(grad=np.array([1.])), state, mom=.5)
    >>> state["average"]
    array([1.5])
    """
    state["average"] *= mom
    state["average"] += (1 - mom) * p.grad


def average_sqr_grad(p: Target, state: State, *, beta: float, **_: Any) -> None:
    """Running mean of the squared gradient: square <- beta square + (1 - beta) grad^2.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> state = {"square": np.array([4.])}
    >>> average_sqr_grad(SimpleNamespace(grad=np.array([2.])), state, beta=.5)
    >>> state["square"]
    array([4.])
    """
    new = p.grad * p.grad
    new *= 1 - beta
    state["square"] *= beta
    state["square"] += new


def sgd_step(p: Target, state: State, *, lr: float, **_: Any) -> None:
    """Step of SGD: data <- data - lr average.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> p = SimpleNamespace(data=np.array([1., 2.]))
    >>> sgd_step(p, {"average": np.array([1., 1.])}, lr=.5)
    >>> p.data
    array([0.5, 1.5])
    """
    p.data -= lr * state["average"]


def rms_momentum(p: Target, state: State, *, mom: float, eps: float, **_: Any) -> None:
    """Momentum of RMSProp: average <- mom average + grad / (sqrt(square) + eps).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> state = {"average": np.zeros(1), "square": np.array([4.])}
    >>> rms_momentum(SimpleNamespace(grad=np.array([1.])), state, mom=.9, eps=0.)
    >>> state["average"]
    array([0.5])
    """
    state["average"] *= mom
    state["average"] += p.grad / (np.sqrt(state["square"]) + eps)


def adam_step(p: Target, state: State, *, lr: float, mom: float, beta: float, eps: float,
              **_: Any) -> None:
    """Step of Adam: data <- data - lr m / (sqrt(v) + eps).

    m = average / (1 - mom^t) and v = square / (1 - beta^t) are the running means without their
    bias towards zero at update t = 1, 2, ..., which is counted in ``state.count``. Both corrections
    are numbers, so they are taken out of the arrays: with root = sqrt(1 - beta^t) the update is
    lr root / (1 - mom^t) times average / (sqrt(square) + eps root).

    Examples
    --------
    The size of the first update is lr, whatever the size of the gradient.

    >>> from minifast.nn import Parameter
    >>> p = Parameter(np.float64([1.]))
    >>> p.grad = np.array([1000.])
    >>> state = State(p)
    >>> for step in (average_grad, average_sqr_grad, adam_step):
    ...     step(p, state, lr=.1, mom=.9, beta=.99, eps=1e-8)
    >>> p.data.round(6)
    array([0.9])
    """
    state.count += 1
    root = sqrt(1 - beta ** state.count)
    move = np.sqrt(state["square"], out=np.empty_like(p.data))
    move += eps * root
    np.divide(state["average"], move, out=move)
    move *= lr * root / (1 - mom ** state.count)
    p.data -= move
