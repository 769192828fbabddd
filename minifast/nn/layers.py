"""Layers: Linear, activations, dropout, and layers that only reshape or call a function."""
from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from ..autograd import Tensor, apply, ops
from ..backend import Array, backend_of, generator
from .init import Seed, kaiming_uniform_, uniform_
from .module import Module, Parameter


class Linear(Module):
    """``x @ weight.T + bias``, from (..., in) to (..., out): ``torch.nn.Linear``.

    Weight and bias start uniform within +-1 / sqrt(in_features), as in torch.

    Parameters
    ----------
    in_features, out_features : int
        Numbers of inputs and outputs.
    bias : bool
        Whether there is a bias.
    seed : int, Generator or None
        Seed of the initial weights.

    Examples
    --------
    >>> from minifast import tensor
    >>> Linear(3, 2)(tensor([[1., 2., 3.]])).shape
    (1, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True,
                 seed: Seed = None) -> None:
        n_in, n_out = in_features, out_features
        rng, bound = generator(seed), 1 / sqrt(max(n_in, 1))
        self.weight = kaiming_uniform_(Parameter(np.empty((n_out, n_in), np.float32)), sqrt(5), rng)
        self.bias = None if not bias else uniform_(
            Parameter(np.empty(n_out, np.float32), no_wd=True), -bound, bound, rng)

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is None:
            return x @ self.weight.T
        return apply(ops.linear, x, self.weight, self.bias)

    def extra_repr(self) -> str:
        n_out, n_in = self.weight.shape
        return f"in_features={n_in}, out_features={n_out}, bias={self.bias is not None}"


# ---------------------------------------------------------------- activations


class ReLU(Module):
    """max(x, 0), element by element: ``torch.nn.ReLU``.

    Parameters
    ----------
    inplace : bool
        Accepted as in torch. It saves memory there, and changes nothing here.

    Examples
    --------
    >>> from minifast import tensor
    >>> ReLU()(tensor([-1., 2.]))
    tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        """Keep nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return x.relu()


class Sigmoid(Module):
    """1 / (1 + exp(-x)), element by element: ``torch.nn.Sigmoid``.

    Examples
    --------
    >>> from minifast import tensor
    >>> Sigmoid()(tensor([0.]))
    tensor([0.5000])
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.sigmoid()


def check_y_range(y_range: Any) -> tuple[float, float] | None:
    """Return ``y_range`` as a tuple (low, high), or None if there is none.

    Parameters
    ----------
    y_range : pair of float, Tensor (2,), or None
        The range of a model's output.

    Returns
    -------
    tuple of float, or None
        Low and high.

    Raises
    ------
    ValueError
        If this is not a pair, or if low is not below high.

    Examples
    --------
    >>> check_y_range([0, 5.5])
    (0.0, 5.5)
    """
    if y_range is None:
        return None
    if np.shape(y_range) != (2,) or not y_range[0] < y_range[1]:
        raise ValueError("y_range is a pair that goes from low to high, such as [0, 5.5] for "
                         f"ratings of 1 to 5; got {y_range!r}")
    return float(y_range[0]), float(y_range[1])  # of a tensor too


def sigmoid_range(x: Tensor, low: float, high: float) -> Tensor:
    """Apply a sigmoid stretched to (low, high): fastai's ``sigmoid_range``.

    Parameters
    ----------
    x : Tensor
        The input, of any shape.
    low, high : float
        The range of the output.

    Returns
    -------
    Tensor
        The output, of the same shape.

    Examples
    --------
    >>> from minifast import tensor
    >>> sigmoid_range(tensor([0.]), 0, 5.5)
    tensor([2.7500])
    """
    return apply(ops.sigmoid_range, x, low=low, high=high)


class SigmoidRange(Module):
    """``sigmoid_range`` as a layer: fastai's ``SigmoidRange``.

    Parameters
    ----------
    low, high : float
        The range of the output.

    Raises
    ------
    ValueError
        If ``low`` is not below ``high``.

    Examples
    --------
    >>> from minifast import tensor
    >>> SigmoidRange(0, 5.5)(tensor([0.]))
    tensor([2.7500])
    """

    def __init__(self, low: float, high: float) -> None:
        check_y_range((low, high))
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        return sigmoid_range(x, self.low, self.high)

    def extra_repr(self) -> str:
        return f"{self.low}, {self.high}"


# ---------------------------------------------------------------- dropout


class Dropout(Module):
    """Zero elements at random while training, and scale the others: ``torch.nn.Dropout``.

    An element is zeroed with probability ``p``, otherwise divided by 1 - p. In evaluation mode
    nothing changes.

    Parameters
    ----------
    p : float
        Probability, in [0, 1).
    seed : int, Generator or None
        Seed of the random numbers.
    inplace : bool
        Accepted as in torch; it changes nothing here.

    Raises
    ------
    ValueError
        If ``p`` is out of range.

    Examples
    --------
    >>> from minifast import tensor
    >>> Dropout(.5).eval()(tensor([1.]))
    tensor([1.])
    """

    def __init__(self, p: float = .5, seed: Seed = None, inplace: bool = False) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"a dropout probability lies in [0, 1), got {p}")
        self.p, self.rng = p, generator(seed)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        keep = backend_of(x.data).random(self.rng, self._drawn(x.data)) >= self.p
        return x * Tensor(keep * ops.floats(x.data).dtype.type(1 / (1 - self.p)))

    def _drawn(self, x: Array) -> Array:
        """Return an array with an element for each random number to draw."""
        return x

    def extra_repr(self) -> str:
        return f"p={self.p}"


# ---------------------------------------------------------------- shapes and functions


class Flatten(Module):
    """Reshape (bs, ...) to (bs, n): fastai's ``Flatten``.

    Parameters
    ----------
    full : bool
        Whether to flatten the batch axis too, to (bs * n,).

    Examples
    --------
    >>> from minifast import tensor
    >>> Flatten()(tensor([[[1., 2.], [3., 4.]]])).shape
    (1, 4)
    """

    def __init__(self, full: bool = False) -> None:
        self.full = full

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1) if self.full else x.reshape(x.shape[0], -1)


class Lambda(Module):
    """A function as a layer: fastai's ``Lambda``.

    Parameters
    ----------
    func : callable
        Called with the inputs; its result is the output.

    Examples
    --------
    >>> from minifast import tensor
    >>> Lambda(lambda x: x * 2)(tensor([1.]))
    tensor([2.])
    """

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func

    def forward(self, *inputs: Any) -> Any:
        return self.func(*inputs)
