"""Linear: a matrix product and a bias."""
from math import sqrt

import numpy as np

from ..autograd import Tensor, apply, ops
from ..backend import generator
from .init import Seed, kaiming_uniform_, uniform_
from .module import Module
from .parameter import Parameter


class Linear(Module):
    """``x @ weight.T + bias``: (..., n_in) to (..., n_out); ``torch.nn.Linear``, its initial
    weights included (uniform in +-1 / sqrt(n_in)).

    >>> from minifast import tensor
    >>> Linear(3, 2)(tensor([[1., 2., 3.]])).shape
    (1, 2)
    """

    def __init__(self, n_in: int, n_out: int, bias: bool = True, seed: Seed = None) -> None:
        rng = generator(seed)
        self.weight = kaiming_uniform_(_empty(n_out, n_in), sqrt(5), rng)
        self.bias: Parameter | None = None
        if bias:
            bound = 1 / sqrt(max(n_in, 1))
            self.bias = uniform_(Parameter(np.empty(n_out, np.float32), no_wd=True),
                                 -bound, bound, rng)

    def forward(self, x: Tensor) -> Tensor:
        """(..., n_in) to (..., n_out)."""
        if self.bias is None:
            return x @ self.weight.T
        return apply(ops.linear, x, self.weight, self.bias)

    def extra_repr(self) -> str:
        n_out, n_in = self.weight.shape
        return f"in_features={n_in}, out_features={n_out}, bias={self.bias is not None}"


def _empty(*shape: int) -> Parameter:
    return Parameter(np.empty(shape, np.float32))
