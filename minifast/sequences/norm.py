"""Layer normalisation (Ba, Kiros and Hinton 2016)."""
import numpy as np

from ..autograd import ShapeError, Tensor, apply, primitive
from ..backend import Array
from ..nn import Module, Parameter


def standardize(x: Array, eps: float) -> tuple[Array, Array]:
    """Return x with mean 0 and variance 1 along its last axis, and the factor of that.

    Parameters
    ----------
    x : array or Tensor (..., n)
        The numbers.
    eps : float
        Added to the variance.

    Returns
    -------
    z : array or Tensor (..., n)
        ``(x - mean) * scale``.
    scale : array or Tensor (..., 1)
        ``1 / sqrt(variance + eps)``.

    Examples
    --------
    >>> standardize(np.array([1., 3.]), 0.)
    (array([-1.,  1.]), array([1.]))
    """
    centred = x - x.mean(axis=-1, keepdims=True)
    scale = 1 / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps)
    return centred * scale, scale


def _input_gradient(g: Array, y: Array, x: Array, weight: Array, bias: Array, eps: float
                    ) -> Array:
    """Go back through the difference, the mean and the variance: all three depend on x."""
    z, scale = standardize(x, eps)
    g = g * weight
    along_z = (g * z).mean(axis=-1, keepdims=True)
    return (g - g.mean(axis=-1, keepdims=True) - z * along_z) * scale


@primitive(_input_gradient,
           lambda g, y, x, weight, bias, eps: g * standardize(x, eps)[0],
           lambda g, y, x, weight, bias, eps: g)
def layer_norm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    """(x - mean) / sqrt(variance + eps) * weight + bias, along the last axis of x (..., n).

    The variance is the mean of the squared differences from the mean. Each row is normalised by
    its own numbers.
    """
    return standardize(x, eps)[0] * weight + bias


class LayerNorm(Module):
    """Normalise each row to mean 0 and variance 1, then scale and shift it: (..., n) to (..., n).

    Unlike batch norm it treats each row alone. So it does the same in training and in evaluation
    mode, and needs no running statistics.

    Parameters
    ----------
    n : int
        Length of a row.
    eps : float
        Added to the variance.

    See Also
    --------
    torch.nn.LayerNorm

    Examples
    --------
    >>> from minifast import tensor
    >>> LayerNorm(2)(tensor([[1., 3.], [10., 30.]]))
    tensor([[-1.0000,  1.0000],
            [-1.0000,  1.0000]], grad_fn=<layer_norm>)
    """

    def __init__(self, n: int, eps: float = 1e-5) -> None:
        self.eps = eps
        self.weight = Parameter(np.ones(n, np.float32), no_wd=True)
        self.bias = Parameter(np.zeros(n, np.float32), no_wd=True)

    def forward(self, x: Tensor) -> Tensor:
        n = len(self.weight.data)
        if x.shape[-1:] != (n,):
            raise ShapeError(f"layer norm of {n} features needs (..., {n}), got {x.shape}")
        return apply(layer_norm, x, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{len(self.weight.data)}, eps={self.eps}"
