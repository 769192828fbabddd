"""Batch norm over the rows of all ranks."""
import numpy as np

from ..autograd import Tensor, apply, primitive
from ..autograd.tape import changed
from ..backend import Array
from ..nn import Module
from ..nn.norm import BatchNorm, as_images, as_rows, column_sums
from .loader import Shards


def _input_gradient(g: Array, y: Array, x: Array, weight: Array, bias: Array, mean: Array,
                    var: Array, eps: float, n: int, shards: Shards) -> Array:
    rows, scale = as_rows(g), 1 / np.sqrt(var + eps)
    centred = as_rows(x) - mean
    sums = shards.comm.sum(np.stack([column_sums(rows * centred), column_sums(rows)]))
    centred *= sums[0] * scale * scale / n
    centred += sums[1] / n
    if not shards.own:
        centred *= 0  # mean and variance do not include the row that does not count
    return as_images((rows - centred) * (scale * weight), x.shape[0], x.shape[2:])


def _standardize(x: Array, mean: Array, var: Array, eps: float) -> Array:
    return (as_rows(x) - mean) / np.sqrt(var + eps)


@primitive(_input_gradient,
           lambda g, y, x, weight, bias, mean, var, eps, n, shards:
           column_sums(as_rows(g) * _standardize(x, mean, var, eps)),
           lambda g, y, x, weight, bias, mean, var, eps, n, shards: column_sums(as_rows(g)))
def sync_batch_norm(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float,
                    n: int, shards: Shards) -> Array:
    """(x - mean) / sqrt(var + eps) * weight + bias, with mean and variance over all ranks.

    The gradient of x (bs, n, ...) includes the losses of all ranks, because x contributes to the
    mean and variance that all of them use.
    """
    rows = _standardize(x, mean, var, eps) * weight + bias
    return as_images(rows, len(x), x.shape[2:])


class SyncBatchNorm(BatchNorm):
    """Batch norm that uses the mean and variance of all ranks' rows during training.

    ``synchronise`` gives this class to the batch norm layers of a model.

    See Also
    --------
    torch.nn.SyncBatchNorm : The counterpart.
    """

    shards: Shards

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.shards.rows:
            return super().forward(x)
        mean, var, n = self._joint_statistics(x.data)
        return apply(sync_batch_norm, x, self.weight, self.bias, mean, var, eps=self.eps, n=n,
                     shards=self.shards)

    def _joint_statistics(self, x: Array) -> tuple[Array, Array, int]:
        """Return mean and variance over all ranks, and the number of values per feature."""
        rows, comm = as_rows(x[:self.shards.own]), self.shards.comm
        n = self.shards.rows * x.size // (len(x) * x.shape[1])  # rows of all ranks, times pixels
        if n < 2:
            raise ValueError(f"batch norm cannot train on a batch of shape {x.shape}: one value "
                             "has no variance")
        mean = comm.sum(column_sums(rows)) / n
        var = comm.sum(column_sums((rows - mean) ** 2)) / n
        self.num_batches_tracked.data += 1
        share = 1 / self.num_batches_tracked.data if self.momentum is None else self.momentum
        changed.mark([self.running_mean.data, self.running_var.data])
        for running, batch in ((self.running_mean, mean), (self.running_var, var * (n / (n - 1)))):
            running.data *= 1 - share
            running.data += share * batch
        return mean, var, n


def synchronise(model: Module, shards: Shards) -> None:
    """Make the batch norm layers of a model use the statistics of all ranks.

    Parameters
    ----------
    model : Module
        The model.
    shards : Shards
        Knows how many rows of a batch belong to this rank.

    Examples
    --------
    >>> from minifast.distributed import world
    >>> from minifast.nn import BatchNorm1d
    >>> layer = BatchNorm1d(2)
    >>> synchronise(layer, Shards(world()))
    >>> isinstance(layer, SyncBatchNorm)
    True
    """
    for layer in model.modules():
        if isinstance(layer, BatchNorm) and not isinstance(layer, SyncBatchNorm):
            kind = type(layer)
            layer.__class__ = type(kind.__name__, (SyncBatchNorm, kind), {})
            vars(layer)["shards"] = shards
