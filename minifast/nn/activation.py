"""Activation functions: element by element, no parameters."""
from ..autograd import Tensor, apply, ops
from .module import Module


class ReLU(Module):
    """max(x, 0); ``torch.nn.ReLU``.

    >>> from minifast import tensor
    >>> ReLU()(tensor([-1., 2.]))
    tensor([0., 2.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return x.relu()


class Sigmoid(Module):
    """1 / (1 + exp(-x)); ``torch.nn.Sigmoid``.

    >>> from minifast import tensor
    >>> Sigmoid()(tensor([0.]))
    tensor([0.5000])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same, in (0, 1)."""
        return x.sigmoid()


def check_range(low: float, high: float) -> None:
    """Raise ValueError unless ``low < high``.

    >>> check_range(0, 5.5)
    """
    if not low < high:
        raise ValueError(f"y_range must go from low to high, got [{low}, {high}]; "
                         "for ratings of 1 to 5 use [0, 5.5]")


def sigmoid_range(x: Tensor, low: float, high: float) -> Tensor:
    """A sigmoid stretched to (low, high); fastai's ``sigmoid_range``.

    >>> from minifast import tensor
    >>> sigmoid_range(tensor([0.]), 0, 5.5)
    tensor([2.7500])
    """
    return apply(ops.sigmoid_range, x, low=low, high=high)


class SigmoidRange(Module):
    """``sigmoid_range`` as a layer; fastai's ``SigmoidRange``.

    >>> from minifast import tensor
    >>> SigmoidRange(0, 5.5)(tensor([0.]))
    tensor([2.7500])
    """

    def __init__(self, low: float, high: float) -> None:
        check_range(low, high)
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same, in (low, high)."""
        return sigmoid_range(x, self.low, self.high)

    def extra_repr(self) -> str:
        return f"{self.low}, {self.high}"
