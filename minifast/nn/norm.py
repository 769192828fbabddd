"""Batch normalisation."""
import numpy as np

from ..autograd import ShapeError, Tensor, apply, normalize
from ..backend import Array
from .module import Module
from .parameter import Buffer, Parameter


class BatchNorm(Module):
    """Each feature to mean 0 and variance 1 over the batch, then scaled and shifted.

    (bs, n, ...) to the same; features are the second axis. torch's batch norms with their names
    and defaults. In training mode the batch's statistics are used and the running ones follow
    with ``momentum``; in evaluation mode the running ones are used. ``BatchNorm1d`` and
    ``BatchNorm2d`` are this for the shapes that they name.
    """

    shapes: tuple[str, ...] = ()
    """What may follow (bs, n) in the input's shape, by the number of axes."""

    def __init__(self, n: int, eps: float = 1e-5, momentum: float = .1) -> None:
        self.eps, self.momentum = eps, momentum
        self.weight = Parameter(np.ones(n, np.float32), no_wd=True)
        self.bias = Parameter(np.zeros(n, np.float32), no_wd=True)
        self.running_mean = Buffer(np.zeros(n, np.float32))
        self.running_var = Buffer(np.ones(n, np.float32))
        self.num_batches_tracked = Buffer(np.array(0, np.int64))

    def forward(self, x: Tensor) -> Tensor:
        """(bs, n, ...) to the same."""
        self._check_features(x)
        mean, var = self._batch_statistics(x.data) if self.training \
            else (self.running_mean.data, self.running_var.data)
        return apply(normalize.batch_norm, x, self.weight, self.bias, mean, var, eps=self.eps,
                     own=self.training)

    def _check_features(self, x: Tensor) -> None:
        n = self.weight.shape[0]
        fitting = [f"(bs, {n}{more})" for more in self.shapes]
        if x.ndim not in [text.count(",") + 1 for text in fitting] or x.shape[1] != n:
            raise ShapeError(f"batch norm of {n} features needs {' or '.join(fitting)}, "
                             f"got {x.shape}")

    def _batch_statistics(self, x: Array) -> tuple[Array, Array]:
        n = x.size // max(x.shape[1], 1)
        if n < 2:
            raise ValueError(f"batch norm cannot train on a batch of shape {x.shape}: one value "
                             "has no variance. Use a batch size of 2 or more, drop a last batch "
                             "of one, or call model.eval()")
        mean, var = normalize.batch_statistics(x)
        self._follow(self.running_mean, mean)
        self._follow(self.running_var, var * (n / (n - 1)))  # unbiased, as in torch
        self.num_batches_tracked.data += 1
        return mean, var

    def _follow(self, running: Buffer, batch: Array) -> None:
        running.data *= 1 - self.momentum
        running.data += self.momentum * batch

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}, momentum={self.momentum}, " \
               "affine=True, track_running_stats=True"


class BatchNorm1d(BatchNorm):
    """Batch norm of (bs, n) or (bs, n, length); ``torch.nn.BatchNorm1d``.

    >>> from minifast import tensor
    >>> BatchNorm1d(1)(tensor([[1.], [3.]]))
    tensor([[-1.0000],
            [ 1.0000]], grad_fn=<batch_norm>)
    """

    shapes = ("", ", length")


class BatchNorm2d(BatchNorm):
    """Batch norm of images (bs, n, height, width); ``torch.nn.BatchNorm2d``.

    >>> from minifast import tensor
    >>> BatchNorm2d(1)(tensor([[[[1., 3.]]]]))
    tensor([[[[-1.0000,  1.0000]]]], grad_fn=<batch_norm>)
    """

    shapes = (", height, width",)
