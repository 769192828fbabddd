"""Batch normalisation."""
import numpy as np

from ..autograd import ShapeError, Tensor, apply, normalize
from ..backend import Array
from .module import Buffer, Module, Parameter


class BatchNorm(Module):
    """Normalise each feature to mean 0 and variance 1, then scale and shift it.

    Features are the second axis of the input (bs, n, ...). Training mode uses the batch's mean
    and variance, and moves the running statistics towards them. Evaluation mode uses the running
    statistics. ``BatchNorm1d`` and ``BatchNorm2d`` say which shapes fit.

    Parameters
    ----------
    n : int
        Number of features.
    eps : float
        Added to the variance.
    momentum : float
        How far a batch moves the running statistics, from 0 to 1.

    References
    ----------
    Ioffe and Szegedy 2015, Batch normalization.
    """

    shapes: tuple[str, ...] = ()
    """The input shapes that fit; ``{n}`` stands for the number of features."""

    def __init__(self, n: int, eps: float = 1e-5, momentum: float = .1) -> None:
        self.eps, self.momentum = eps, momentum
        self.weight = Parameter(np.ones(n, np.float32), no_wd=True)
        self.bias = Parameter(np.zeros(n, np.float32), no_wd=True)
        self.running_mean = Buffer(np.zeros(n, np.float32))
        self.running_var = Buffer(np.ones(n, np.float32))
        self.num_batches_tracked = Buffer(np.array(0, np.int64))

    def forward(self, x: Tensor) -> Tensor:
        self._check_features(x)
        mean, var = self._batch_statistics(x.data) if self.training \
            else (self.running_mean.data, self.running_var.data)
        return apply(normalize.batch_norm, x, self.weight, self.bias, mean, var, eps=self.eps,
                     own=self.training)

    def _check_features(self, x: Tensor) -> None:
        n = len(self.weight.data)
        if x.ndim not in [shape.count(",") + 1 for shape in self.shapes] or x.shape[1] != n:
            raise ShapeError(f"batch norm of {n} features needs "
                             f"{' or '.join(self.shapes).format(n=n)}, got {x.shape}")

    def _batch_statistics(self, x: Array) -> tuple[Array, Array]:
        """Return mean and variance of the batch, and update the running statistics."""
        n = x.size // max(x.shape[1], 1)
        if n < 2:
            raise ValueError(f"batch norm cannot train on a batch of shape {x.shape}: one value "
                             "has no variance. Use a batch size of 2 or more, drop a last batch "
                             "of one, or call model.eval()")
        mean, var = normalize.batch_statistics(x)
        unbiased = var * (n / (n - 1))  # as in torch
        for running, batch in ((self.running_mean, mean), (self.running_var, unbiased)):
            running.data *= 1 - self.momentum
            running.data += self.momentum * batch
        self.num_batches_tracked.data += 1
        return mean, var

    def extra_repr(self) -> str:
        return f"{len(self.weight.data)}, eps={self.eps}, momentum={self.momentum}, " \
               "affine=True, track_running_stats=True"


class BatchNorm1d(BatchNorm):
    """Batch norm of (bs, n) or (bs, n, length): ``torch.nn.BatchNorm1d``.

    Examples
    --------
    >>> from minifast import tensor
    >>> BatchNorm1d(1)(tensor([[1.], [3.]]))
    tensor([[-1.0000],
            [ 1.0000]], grad_fn=<batch_norm>)
    """

    shapes = ("(bs, {n})", "(bs, {n}, length)")


class BatchNorm2d(BatchNorm):
    """Batch norm of images (bs, n, height, width): ``torch.nn.BatchNorm2d``.

    Examples
    --------
    >>> from minifast import tensor
    >>> BatchNorm2d(1)(tensor([[[[1., 3.]]]]))
    tensor([[[[-1.0000,  1.0000]]]], grad_fn=<batch_norm>)
    """

    shapes = ("(bs, {n}, height, width)",)
