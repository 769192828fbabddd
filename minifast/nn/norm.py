"""Batch normalisation (Ioffe and Szegedy 2015, section 3)."""
import numpy as np

from ..autograd import ShapeError, Tensor, apply, primitive
from ..autograd.tape import changed
from ..backend import Array
from .module import Buffer, Module, Parameter

# ---------------------------------------------------------------- the primitive


def as_rows(x: Array) -> Array:
    """Return x (bs, n, ...) as rows (-1, n); a view if the channels are last in memory.

    Parameters
    ----------
    x : array (bs, n, ...)
        Rows, sequences or images.

    Returns
    -------
    array (-1, n)
        A row for every position.

    Examples
    --------
    >>> as_rows(np.zeros((2, 3, 4, 5))).shape
    (40, 3)
    """
    return x.transpose(0, *range(2, x.ndim), 1).reshape(-1, x.shape[1])


def as_images(rows: Array, bs: int, size: tuple[int, ...]) -> Array:
    """Return rows (-1, n) as images ``(bs, n, *size)``: the inverse of `as_rows`.

    Parameters
    ----------
    rows : array (-1, n)
        A row for every pixel.
    bs : int
        The number of images.
    size : tuple of int
        Height and width.

    Returns
    -------
    array of shape ``(bs, n, *size)``
        A view, with the channels last in memory.

    Examples
    --------
    >>> as_images(np.zeros((40, 3)), 2, (4, 5)).shape
    (2, 3, 4, 5)
    """
    return channels_second(rows.reshape(bs, *size, rows.shape[1]))


def channels_second(x: Array) -> Array:
    """Return x (bs, ..., n) as a view (bs, n, ...).

    Parameters
    ----------
    x : array (bs, ..., n)
        Images with the channels last.

    Returns
    -------
    array (bs, n, ...)
        A view.

    Examples
    --------
    >>> channels_second(np.zeros((2, 4, 5, 3))).shape
    (2, 3, 4, 5)
    """
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def column_sums(rows: Array) -> Array:
    """Return the sums over the first axis; for many rows by a faster matrix product.

    Parameters
    ----------
    rows : array (n, ...)
        The rows.

    Returns
    -------
    array (...)
        The sums.

    Examples
    --------
    >>> column_sums(np.ones((4, 3)))
    array([4., 4., 4.])
    """
    few = len(rows) < 1024 or isinstance(rows, Tensor) \
        or rows.dtype.kind != "f"  # a product of uint8 would overflow
    return rows.sum(0) if few else np.ones_like(rows[:, 0]) @ rows


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Return mean and variance (n,) of each feature of x (bs, n, ...).

    Parameters
    ----------
    x : array (bs, n, ...)
        Rows, sequences or images.

    Returns
    -------
    mean, variance : array (n,)
        Over all axes but the second; the divisor of the variance is the number of values.

    Examples
    --------
    >>> batch_statistics(np.array([[1., 5.], [3., 5.]]))
    (array([2., 5.]), array([1., 0.]))
    """
    rows = as_rows(x)
    mean = column_sums(rows) / len(rows)
    centred = rows - mean
    return mean, column_sums(centred * centred) / len(rows)


def _of_batch(g: Array, x: Array, mean: Array, var: Array, own: bool) -> tuple[Array, Array]:
    """Return mean and variance; if gradients are tensors, compute them from x again."""
    return batch_statistics(x) if own and isinstance(g, Tensor) else (mean, var)


def _standardize(x: Array, mean: Array, var: Array, eps: float) -> Array:
    rows = as_rows(x) - mean
    rows /= np.sqrt(var + eps)
    return rows


def _input_gradient(g: Array, y: Array, x: Array, weight: Array, bias: Array, mean: Array,
                    var: Array, eps: float, own: bool) -> Array:
    """Go back through the difference and, for statistics of x itself, through those too."""
    mean, var = _of_batch(g, x, mean, var, own)
    rows, scale = as_rows(g), 1 / np.sqrt(var + eps)
    if own:  # mean and variance depend on x
        centred, n = as_rows(x) - mean, len(rows)
        centred *= column_sums(rows * centred) * scale * scale / n
        centred += column_sums(rows) / n
        rows = rows - centred
    return as_images(rows * (scale * weight), x.shape[0], x.shape[2:])


@primitive(_input_gradient,
           lambda g, y, x, weight, bias, mean, var, eps, own:
           column_sums(as_rows(g) * _standardize(x, *_of_batch(g, x, mean, var, own), eps)),
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
    """Normalise each feature to mean 0 and variance 1, then scale and shift it.

    Features are the second axis of the input (bs, n, ...). Training mode uses the batch's mean
    and variance, and moves the running statistics towards them. Evaluation mode uses the running
    statistics. ``BatchNorm1d`` and ``BatchNorm2d`` say which shapes fit.

    Parameters
    ----------
    num_features : int
        Number of features.
    eps : float
        Added to the variance.
    momentum : float, optional
        The share of the new batch in the running statistics, from 0 to 1. With None, they are
        the averages over all batches.

    Examples
    --------
    >>> norm = BatchNorm1d(2)
    >>> norm(Tensor(np.float32([[1, 5], [3, 7]]))).detach().numpy().round(2)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    >>> norm.running_mean
    tensor([0.2000, 0.6000])
    """

    shapes: tuple[str, ...] = ()
    """The input shapes that fit, where ``{n}`` is the number of features."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = .1) -> None:
        n, self.eps, self.momentum = num_features, eps, momentum
        self.weight = Parameter(np.ones(n, np.float32), no_wd=True)
        self.bias = Parameter(np.zeros(n, np.float32), no_wd=True)
        self.running_mean = Buffer(np.zeros(n, np.float32))
        self.running_var = Buffer(np.ones(n, np.float32))
        self.num_batches_tracked = Buffer(np.array(0, np.int64))

    def forward(self, x: Tensor) -> Tensor:
        n = len(self.weight.data)
        if x.ndim not in [shape.count(",") + 1 for shape in self.shapes] or x.shape[1] != n:
            raise ShapeError(f"batch norm of {n} features needs "
                             f"{' or '.join(self.shapes).format(n=n)}, got {x.shape}")
        mean, var = self._update_statistics(x.data) if self.training \
            else (self.running_mean.data, self.running_var.data)
        return apply(batch_norm, x, self.weight, self.bias, mean, var, eps=self.eps,
                     own=self.training)

    def _update_statistics(self, x: Array) -> tuple[Array, Array]:
        """Return mean and variance of a batch, and move the running statistics towards them."""
        n = x.size // max(x.shape[1], 1)
        if n < 2:
            raise ValueError(f"batch norm cannot train on a batch of shape {x.shape}: one value "
                             "has no variance. Use a batch size of 2 or more, drop a last batch "
                             "of one, or call model.eval()")
        mean, var = batch_statistics(x if x.dtype.kind == "f" else x.astype(np.float32))
        unbiased = var * (n / (n - 1))  # as in torch
        self.num_batches_tracked.data += 1
        share = 1 / self.num_batches_tracked.data if self.momentum is None else self.momentum
        changed.mark([self.running_mean.data, self.running_var.data])
        for running, batch in ((self.running_mean, mean), (self.running_var, unbiased)):
            running.data *= 1 - share
            running.data += share * batch
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
