"""Batches: whole ones, gathered at once."""
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..autograd import Tensor
from ..backend import Array, backend_of, generator, transfer
from .split import row_type

Batch: TypeAlias = tuple[Any, Any]
"""(xb, yb): tensors, or lists of tensors."""
BLOCK = 1 << 18
"""Bytes up to which several batches are gathered at once."""
MANY = 1 << 20
"""Rows from which the order of a pass is kept as int32. That is half as large; NumPy looks up by
int64, and converting is felt in batches of few rows."""


class ArrayDataset:
    """Rows in arrays: ``x`` one array (n, ...) or a list of them, ``y`` (n, ...).

    >>> len(ArrayDataset(np.zeros((3, 2)), np.zeros(3)))
    3
    """

    def __init__(self, x: Array | Sequence[Array], y: Array) -> None:
        self.x = list(x) if isinstance(x, (list, tuple)) else x
        self.y = y
        self.checked: object = None  # the model whose embeddings are known to have all the ids
        lengths = [len(a) for a in self._arrays()]
        if len(set(lengths)) > 1:
            raise ValueError(f"all arrays of a data set need the same length, got {lengths}")

    def _arrays(self) -> list[Array]:
        return [*self.x, self.y] if isinstance(self.x, list) else [self.x, self.y]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Any) -> tuple[Any, Array]:
        if isinstance(self.x, list):
            return [a[rows] for a in self.x], self.y[rows]
        return self.x[rows], self.y[rows]

    def to(self, device: str) -> "ArrayDataset":
        """The same rows on ``device``."""
        x = [transfer(a, device) for a in self.x] if isinstance(self.x, list) \
            else transfer(self.x, device)
        return ArrayDataset(x, transfer(self.y, device))


class DataLoader:
    """Batches of ``bs`` rows of a data set, as tensors; ``torch.utils.data.DataLoader``.

    A batch is one gather per array, or a view of one that serves several batches, never row by
    row; without ``shuffle`` it is a view of the data.
    ``seed`` (a number or a generator) decides the order of shuffling.

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

    def __len__(self) -> int:
        n = len(self.dataset)
        return n // self.bs if self.drop_last else -(-n // self.bs)

    def __iter__(self) -> Iterator[Batch]:
        take = self._gather if self.shuffle else lambda a, place: a[place]
        order, x, y = self._order(), self.dataset.x, self.dataset.y
        end, block = len(self) * self.bs, self._rows_at_once()
        for start in range(0, end, block):
            rows = order(start, min(start + block, end))
            xs, ys = [take(a, rows) for a in x] if isinstance(x, list) else take(x, rows), \
                take(y, rows)
            for at in range(0, len(ys), self.bs):
                place = slice(at, at + self.bs)
                yield [Tensor(a[place]) for a in xs] if isinstance(xs, list) \
                    else Tensor(xs[place]), Tensor(ys[place])

    def _rows_at_once(self) -> int:
        """Rows that are gathered at once: several batches, where they are small."""
        first = self.dataset[:1]
        arrays = [*first[0], first[1]] if isinstance(first[0], list) else first
        row = sum(int(a.nbytes) for a in arrays)
        return max(BLOCK // max(row, 1) // self.bs, 1) * self.bs

    def _order(self) -> Any:
        """From start and stop of a batch to its rows."""
        if not self.shuffle:
            return slice
        n = len(self.dataset)
        rows = np.arange(n, dtype=np.int64 if n < MANY else row_type(n))
        self.rng.shuffle(rows)  # the order of permutation(n), whatever the type
        rows = backend_of(self.dataset.y).from_host(rows)
        return lambda start, stop: rows[start:stop]

    @staticmethod
    def _gather(array: Array, rows: Array) -> Array:
        return backend_of(array).gather(array, rows)


def to_tensors(batch: Any, device: str) -> Any:
    """A batch of arrays or tensors, nested in lists, as tensors on ``device``.

    >>> to_tensors((np.zeros(2), [np.ones(1)]), "cpu")
    (tensor([0., 0.], dtype=float64), [tensor([1.], dtype=float64)])
    """
    if isinstance(batch, (list, tuple)):
        return type(batch)(to_tensors(item, device) for item in batch)
    return (batch if isinstance(batch, Tensor) else Tensor(batch)).to(device)
