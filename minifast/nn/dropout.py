"""Dropout: while training, some activations are set to zero."""
import numpy as np

from ..autograd import Tensor
from ..backend import Array, backend_of, generator
from .init import Seed
from .module import Module


class Dropout(Module):
    """Zero with probability ``p``, the rest divided by 1 - p; nothing in evaluation mode.
    ``torch.nn.Dropout``.

    >>> from minifast import tensor
    >>> Dropout(.5).eval()(tensor([1.]))
    tensor([1.])
    """

    def __init__(self, p: float = .5, seed: Seed = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"a dropout probability lies in [0, 1), got {p}")
        self.p, self.rng = p, generator(seed)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        if not self.training or not self.p:
            return x
        keep = backend_of(x.data).random(self.rng, self._drawn(x.data)) >= self.p
        return x * Tensor(keep * np.float32(1 / (1 - self.p)))

    def _drawn(self, x: Array) -> Array:
        """An array with an element for each number to draw."""
        return x

    def extra_repr(self) -> str:
        return f"p={self.p}"
