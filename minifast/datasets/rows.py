"""RowDataset: a data set of your own, whose rows are read one by one."""
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import Array, default_device, transfer


class RowDataset:
    """Rows of any object with ``__len__`` and ``__getitem__``, joined into batches.

    ``DataBunch.create`` makes it from a data set such as those of torch. Rows are read again in
    each pass, so a row may be different each time. ``y`` holds the targets of all rows: the data
    set's own attribute ``y``, or else each row is read once.

    Parameters
    ----------
    dataset : object
        ``dataset[i]`` returns a row: a pair ``(x, y)``, or a dictionary with the target under
        ``"y"``, ``"target"`` or ``"label"``. An input is a number, an array or a Tensor, or a
        list of these; other entries of a dictionary become such a list, in their order.
    device : str, optional
        Where batches go; by default the current device.

    Raises
    ------
    TypeError
        If this is not such a data set, or a row is neither a pair nor a dictionary with a target.

    Examples
    --------
    >>> class Squares:
    ...     def __len__(self):
    ...         return 5
    ...     def __getitem__(self, i):
    ...         return np.float32(i), np.float32(i * i)
    >>> RowDataset(Squares())[[2, 4]]
    (array([2., 4.], dtype=float32), array([ 4., 16.], dtype=float32))
    """

    def __init__(self, dataset: Any, device: str | None = None) -> None:
        if isinstance(dataset, tuple) or not (hasattr(dataset, "__len__")
                                              and hasattr(dataset, "__getitem__")):
            raise TypeError(f"a data set is an object with __len__ and __getitem__ for each row, "
                            f"got {type(dataset).__name__}; write ArrayDataset(x, y), or give "
                            "loaders to DataBunch(train_dl)")
        self.dataset, self.device = dataset, device or default_device()
        self.checked: object = None
        own: Any = getattr(dataset, "y", None)
        known = own is not None and hasattr(own, "__len__") and len(own) == len(dataset)
        targets = own if known else [self._row(i)[1] for i in range(len(dataset))]
        self.y = transfer(_joined(list(targets), "y", range(len(dataset))), self.device)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, rows: Any) -> tuple[Any, Array]:
        at = np.arange(len(self))[transfer(rows, "cpu") if hasattr(rows, "dtype") else rows]
        if at.ndim == 0:  # one row, as from an ArrayDataset
            x, y = self[at[None]]
            return [column[0] for column in x] if isinstance(x, list) else x[0], y[0]
        pairs = [self._row(int(i)) for i in at]
        xs, ys = zip(*pairs, strict=True)
        several = isinstance(xs[0], list)
        joined = [_joined(column, f"x[{i}]", at) for i, column in
                  enumerate(zip(*xs, strict=True))] if several else _joined(xs, "x", at)
        put = [transfer(x, self.device) for x in joined] if several else \
            transfer(joined, self.device)
        return put, transfer(_joined(ys, "y", at), self.device)

    def _row(self, i: int) -> tuple[Any, Any]:
        """Return a row as a pair of input, or list of inputs, and target."""
        row = self.dataset[i]
        if isinstance(row, Mapping):
            target = next((name for name in ("y", "target", "label") if name in row), None)
            if target is not None:
                inputs = [value for name, value in row.items() if name != target]
                return inputs[0] if len(inputs) == 1 else inputs, row[target]
        elif isinstance(row, (tuple, list)) and len(row) == 2:
            return list(row[0]) if isinstance(row[0], (tuple, list)) else row[0], row[1]
        shown = f"keys {list(row)}" if isinstance(row, Mapping) else f"a {type(row).__name__}" + (
            f" of {len(row)}" if isinstance(row, (tuple, list)) else "")
        raise TypeError(f"row {i} of a {type(self.dataset).__name__} is {shown}; a row is (x, y), "
                        "or a dictionary with the target under 'y', 'target' or 'label'")

    def to(self, device: str) -> "RowDataset":
        """Return the same rows, for batches on ``device``.

        Parameters
        ----------
        device : str
            Such as ``'cpu'`` or ``'cuda'``.

        Returns
        -------
        RowDataset
            The data set for the device.

        Examples
        --------
        >>> RowDataset([(np.ones(2), 1.), (np.zeros(2), 0.)]).to("cpu").y
        array([1., 0.], dtype=float32)
        """
        moved: RowDataset = object.__new__(type(self))
        vars(moved).update(vars(self), device=device, y=transfer(self.y, device))
        return moved


def _joined(items: Any, name: str, rows: Any) -> Any:
    """Return items of one shape as an array with one more axis; floats as float32."""
    arrays = [item.numpy() if isinstance(item, Tensor) else np.asarray(item) for item in items]
    for row, array in zip(rows, arrays, strict=False):
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{name} of row {row} is a {type(items[0]).__name__} of type "
                            f"{array.dtype}, not a number; make it numeric in __getitem__")
        if array.shape != arrays[0].shape:
            raise ValueError(f"rows cannot be joined into a batch: {name} has shape {array.shape} "
                             f"in row {row} and {arrays[0].shape} in row {rows[0]}; bring all to "
                             "one shape in __getitem__")
    joined = np.stack(arrays) if arrays else np.zeros(0, np.float32)
    python = joined.dtype == np.float64 and isinstance(items[0], float) \
        and not isinstance(items[0], np.floating)
    return joined.astype(np.float32) if python else joined
