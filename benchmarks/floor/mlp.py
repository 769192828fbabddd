"""Linear layers with ReLUs between them, written by hand."""
from collections.abc import Mapping

import numpy as np

from ..job import Array
from .flat import Flat


def cross_entropy(z: Array, y: Array) -> tuple[float, Array]:
    """Return the loss, and its gradient with respect to the logits."""
    z = z - z.max(1, keepdims=True)
    e, rows = np.exp(z), np.arange(len(y))
    total = e.sum(1, keepdims=True)
    loss = float((np.log(total[:, 0]) - z[rows, y]).mean())
    e /= total
    e[rows, y] -= 1
    e /= np.float32(len(y))
    return loss, e


class MLP:
    """The network; weights (out, in) have torch's names: 0.weight, 0.bias, 2.weight ..."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self.flat = Flat(weights)
        self.names = sorted({name.split(".")[0] for name in weights}, key=int)

    def backward(self, x: list[Array], y: Array) -> float:
        """Return the cross entropy; write its gradient into the flat gradient."""
        data, grad, inputs = self.flat.data, self.flat.grad, [x[0]]
        for name in self.names:
            z = inputs[-1] @ data[f"{name}.weight"].T
            z += data[f"{name}.bias"]
            inputs.append(np.maximum(z, 0, out=z) if name != self.names[-1] else z)
        loss, g = cross_entropy(inputs.pop(), y)
        for name in reversed(self.names):
            h = inputs.pop()
            np.matmul(g.T, h, out=grad[f"{name}.weight"])
            g.sum(0, out=grad[f"{name}.bias"])
            if inputs:
                g = g @ data[f"{name}.weight"]
                g *= h > 0
        return loss
