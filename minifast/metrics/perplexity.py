"""The perplexity of a language model."""
from math import exp

from ..autograd import Tensor
from ..nn import CrossEntropyFlat
from ..train import Metric


class Perplexity(Metric):
    """The perplexity of a language model: exp(mean cross entropy of all words of an epoch).

    Examples
    --------
    >>> from minifast import tensor
    >>> perplexity = Perplexity()
    >>> perplexity.reset()
    >>> perplexity.add(tensor([[[0., 0.], [0., 0.]]]), tensor([[1, 0]]))
    >>> round(perplexity.value(), 6)
    2.0
    """

    def reset(self) -> None:
        self.total, self.words = 0., 0

    def add(self, pred: Tensor, target: Tensor) -> None:
        self.total += float(CrossEntropyFlat("sum")(pred, target))
        self.words += target.numel()

    def value(self) -> float:
        return exp(self.total / self.words)
