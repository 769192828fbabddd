"""Loaders that pass each batch through functions: fastai v1's transforms of batches."""
from collections.abc import Callable, Iterator

from ..data import DataLoader
from ..data.loader import Batch

BatchTransform = Callable[[Batch], Batch]
"""Takes and returns (xb, yb)."""


class TransformedLoader(DataLoader):
    """A loader whose batches pass through functions; v1's ``DeviceDataLoader`` with ``tfms``.

    Parameters
    ----------
    dl : DataLoader
        The loader: its rows, batch size and random generator are shared.
    tfms : list of callable
        Functions of a batch ``(xb, yb)`` that return one, called one after the other.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset
    >>> dl = DataLoader(ArrayDataset(np.arange(2.), np.arange(2.)), bs=2)
    >>> doubled = TransformedLoader(dl, [lambda batch: (batch[0] * 2, batch[1])])
    >>> [xb.tolist() for xb, yb in doubled]
    [[0.0, 2.0]]
    """

    def __init__(self, dl: DataLoader, tfms: list[BatchTransform]) -> None:
        vars(self).update(vars(dl))
        self.dl, self.tfms = dl, tfms

    def __len__(self) -> int:
        return len(self.dl)

    def __iter__(self) -> Iterator[Batch]:
        self.dl.dataset, self.dl.bs = self.dataset, self.bs  # learn.to() and others set them here
        for batch in self.dl:
            for tfm in self.tfms:
                batch = tfm(batch)
            yield batch


def _set_batch_size(dl: DataLoader, bs: int) -> None:
    dl.bs = bs


setattr(DataLoader, "batch_size",  # noqa: B010
        property(lambda dl: dl.bs, _set_batch_size, doc="Rows in a batch: ``bs``."))
setattr(DataLoader, "num_workers",  # noqa: B010
        property(lambda dl: 0, doc="0: batches are gathered in this process."))
