"""The smoothed training loss."""
from ..autograd import Tensor
from ..backend import Array


class SmoothenValue:
    """An exponentially weighted average, freed of its start at 0 (Adam's correction).

    average <- beta average + (1 - beta) value, shown as average / (1 - beta^n). Values stay on
    their device, so that adding one does not wait for a GPU. fastai v1's ``SmoothenValue``.

    >>> import numpy as np
    >>> smooth = SmoothenValue(.98)
    >>> [round(float(smooth.add(np.float64(v))), 7) for v in (4, 2, 3, 1)]
    [4.0, 2.989899, 2.9933342, 2.479799]
    """

    def __init__(self, beta: float) -> None:
        self.beta, self.n = beta, 0
        self.average: Array = 0.

    def add(self, value: Array) -> Tensor:
        """The average with ``value`` in it."""
        self.n += 1
        self.average = self.average * self.beta + value * (1 - self.beta)
        return Tensor(self.average / (1 - self.beta ** self.n))
