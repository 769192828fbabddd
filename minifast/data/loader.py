"""Data sets of arrays, and loaders that cut them into batches."""
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..autograd import Tensor
from ..backend import Array, backend_of, generator, transfer

Batch: TypeAlias = tuple[Any, Any]
"""Inputs and targets: tensors, or lists of tensors."""


class ArrayDataset:
    """Rows held in arrays; ``torch.utils.data.TensorDataset``.

    Parameters
    ----------
    x : array (n, ...) or sequence of arrays (n, ...)
        Inputs.
    y : array (n, ...)
        Targets.

    Raises
    ------
    ValueError
        If the arrays differ in length.

    Examples
    --------
    >>> dataset = ArrayDataset([np.arange(4), np.arange(4) * 10], np.ones(4))
    >>> dataset[[2, 0]]
    ([array([2, 0]), array([20,  0])], array([1., 1.]))
    """

    def __init__(self, x: Array | Sequence[Array], y: Array) -> None:
        self.x = list(x) if isinstance(x, (list, tuple)) else x
        self.y = y
        self.checked: object = None  # the model whose embeddings are known to have all the ids
        lengths = [len(a) for a in (*self.x, y)] if isinstance(self.x, list) else [len(x), len(y)]
        if len(set(lengths)) > 1:
            raise ValueError(f"all arrays of a data set need the same length, got {lengths}")

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Any) -> tuple[Any, Array]:
        if isinstance(self.x, list):
            return [a[rows] for a in self.x], self.y[rows]
        return self.x[rows], self.y[rows]

    def to(self, device: str) -> "ArrayDataset":
        """Return the same rows on ``device``.

        Parameters
        ----------
        device : str
            Such as ``'cpu'`` or ``'cuda'``.

        Returns
        -------
        ArrayDataset
            The rows; an array that is there already is not copied.

        Examples
        --------
        >>> len(ArrayDataset(np.zeros((4, 2)), np.zeros(4)).to("cpu"))
        4
        """
        x = [transfer(a, device) for a in self.x] if isinstance(self.x, list) \
            else transfer(self.x, device)
        return ArrayDataset(x, transfer(self.y, device))


class DataLoader:
    """Batches of a data set, as tensors on its device; ``torch.utils.data.DataLoader``.

    A shuffled batch is one gather for each array, never a loop over rows; a batch in order is a
    copy of a slice. So changing a batch in place does not change the data.

    Parameters
    ----------
    dataset : ArrayDataset
        The rows.
    bs : int
        Rows in a batch.
    shuffle : bool
        Whether each pass has a random order of its own.
    drop_last : bool
        Whether to leave out a last batch of fewer than `bs` rows.
    seed : int or numpy.random.Generator, optional
        Source of the random orders; see `minifast.backend.generator`.

    Raises
    ------
    ValueError
        If `bs` is below 1.

    Examples
    --------
    >>> dl = DataLoader(ArrayDataset(np.arange(5.), np.arange(5.)), bs=2)
    >>> len(dl), [len(yb) for xb, yb in dl]
    (3, [2, 2, 1])
    """

    def __init__(self, dataset: ArrayDataset, bs: int = 64, shuffle: bool = False,
                 drop_last: bool = False, seed: int | np.random.Generator | None = None) -> None:
        if bs < 1:
            raise ValueError(f"a batch needs at least one row, got bs={bs}")
        self.dataset, self.bs, self.shuffle, self.drop_last = dataset, bs, shuffle, drop_last
        self.rng = generator(seed)

    def __repr__(self) -> str:
        return f"{len(self.dataset)} rows in {len(self)} batches of {self.bs}"

    def __len__(self) -> int:
        n = len(self.dataset)
        return n // self.bs if self.drop_last else -(-n // self.bs)

    def __iter__(self) -> Iterator[Batch]:
        order = self._shuffled() if self.shuffle else None
        own: Callable[[Array], Tensor] = Tensor if self.shuffle else lambda a: Tensor(a.copy())
        for start in range(0, len(self) * self.bs, self.bs):
            rows = slice(start, start + self.bs)
            xb, yb = self.dataset[rows if order is None else order[rows]]
            yield [own(x) for x in xb] if isinstance(xb, list) else own(xb), own(yb)

    def _shuffled(self) -> Array:
        """Return all row numbers in random order, on the data's device."""
        return backend_of(self.dataset.y).from_host(self.rng.permutation(len(self.dataset)))


def to_tensors(batch: Any, device: str) -> Any:
    """Return a batch as tensors on ``device``.

    Parameters
    ----------
    batch : array, Tensor, or list or tuple of these, nested to any depth
        The batch.
    device : str
        Name of the device.

    Returns
    -------
    Tensor, or list or tuple of these
        Nested like `batch`.

    Examples
    --------
    >>> to_tensors((np.zeros(2), [np.ones(1)]), "cpu")
    (tensor([0., 0.], dtype=float64), [tensor([1.], dtype=float64)])
    """
    if isinstance(batch, (list, tuple)):
        return type(batch)(to_tensors(item, device) for item in batch)
    return (batch if isinstance(batch, Tensor) else Tensor(batch)).to(device)
