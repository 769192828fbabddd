"""Batch normalisation (Ioffe and Szegedy 2015, section 3)."""
import numpy as np

from ..autograd import ShapeError, Tensor, apply, primitive
from ..backend import Array
from .module import Module
from .parameter import Buffer, Parameter

# ---------------------------------------------------------------- the primitive


def as_rows(x: Array) -> Array:
    """Return x (bs, n, ...) as rows (-1, n); a view if the channels are last in memory."""
    return x.transpose(0, *range(2, x.ndim), 1).reshape(-1, x.shape[1])


def as_images(rows: Array, bs: int, size: tuple[int, ...]) -> Array:
    """Return rows (-1, n) as images (bs, n, *size): the inverse of `as_rows`.

    Parameters
    ----------
    rows : array, (-1, n)
        A row for every pixel.
    bs : int
        The number of images.
    size : tuple of int
        Height and width.

    Returns
    -------
    array, (bs, n, *size)
        A view, with the channels last in memory.
    """
    return channels_second(rows.reshape(bs, *size, rows.shape[1]))


def channels_second(x: Array) -> Array:
    """Return x (bs, ..., n) as a view (bs, n, ...)."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def column_sums(rows: Array) -> Array:
    """Return the sums over the first axis; for many rows a matrix product is ten times faster."""
    return rows.sum(0) if len(rows) < 1024 else np.ones_like(rows[:, 0]) @ rows


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Return mean and variance (n,) of each feature of x (bs, n, ...)."""
    rows = as_rows(x)
    mean = column_sums(rows) / len(rows)
    centred = rows - mean
    return mean, column_sums(centred * centred) / len(rows)


def _standardize(x: Array, mean: Array, var: Array, eps: float) -> Array:
    rows = as_rows(x) - mean
    rows /= np.sqrt(var + eps)
    return rows


def _weight_gradient(g: Array, y: Array, x: Array, weight: Array, bias: Array, mean: Array,
                     var: Array, eps: float, own: bool) -> Array:
    return column_sums(as_rows(g) * _standardize(x, mean, var, eps))


def _input_gradient(g: Array, y: Array, x: Array, weight: Array, bias: Array, mean: Array,
                    var: Array, eps: float, own: bool) -> Array:
    rows, scale = as_rows(g), 1 / np.sqrt(var + eps)
    if own:  # mean and variance depend on x
        centred, n = as_rows(x) - mean, len(rows)
        along = column_sums(rows * centred) * scale * scale / n
        centred *= along
        centred += column_sums(rows) / n
        rows = rows - centred
    return as_images(rows * (scale * weight), len(x), x.shape[2:])


@primitive(_input_gradient, _weight_gradient,
           lambda g, y, x, weight, bias, mean, var, eps, own: column_sums(as_rows(g)))
def batch_norm(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float,
               own: bool) -> Array:
    """(x - mean) / sqrt(var + eps) * weight + bias for each feature of x (bs, n, ...).

    ``own`` says that mean and variance are those of x, so that they depend on it.
    """
    rows = _standardize(x, mean, var, eps)
    rows *= weight
    rows += bias
    return as_images(rows, len(x), x.shape[2:])


# ---------------------------------------------------------------- the layers


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
        return apply(batch_norm, x, self.weight, self.bias, mean, var, eps=self.eps,
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
        mean, var = batch_statistics(x)
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
