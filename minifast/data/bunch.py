"""DataBunch: the loaders that a learner trains and validates on."""
from collections.abc import Iterator, Sized
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from ..autograd import Tensor
from ..backend import backend_of, default_device, get_backend
from ..nn import BCEWithLogitsFlat, CrossEntropyFlat, MSELossFlat
from .loader import ArrayDataset, Batch, DataLoader, to_tensors

Self = TypeVar("Self", bound="DataBunch")


class DatasetType(Enum):
    """Which of a bunch's loaders: ``Fix`` is the training rows in order, none left out."""

    Train = 1
    Valid = 2
    Test = 3
    Fix = 4


class Batches(Sized, Protocol):
    """A loader: it has a length, and each pass over it gives (xb, yb) batches."""

    def __iter__(self) -> Iterator[Any]: ...


class DataBunch:
    """A training loader and a validation loader, on one device; fastai v1's ``DataBunch``.

    A loader is a DataLoader or any sized iterable of ``(xb, yb)`` batches, of arrays or
    tensors. ``c`` is the number of outputs, ``classes`` their names, ``loss_func`` the loss that
    suits the targets; they are found from a DataLoader's data set and can be given.

    >>> data = DataBunch([(np.zeros((2, 3)), np.zeros(2))], [])
    >>> len(data.train_dl), data.empty_val
    (1, True)
    """

    def __init__(self, train_dl: Batches, valid_dl: Batches | None = None,
                 fix_dl: Batches | None = None, test_dl: Batches | None = None,
                 path: str | Path = ".", device: str | None = None, c: int | None = None,
                 classes: Any = None, loss_func: Any = None) -> None:
        self.device = get_backend(device or default_device()).name
        self.path = Path(path)
        self.train_dl, self.valid_dl = train_dl, [] if valid_dl is None else valid_dl
        self.fix_dl, self.test_dl = train_dl if fix_dl is None else fix_dl, test_dl
        self.c = _outputs(train_dl, classes) if c is None else c
        self.classes = classes
        self.loss_func = _fitting_loss(train_dl) if loss_func is None else loss_func

    @classmethod
    def create(cls: type[Self], train_ds: ArrayDataset, valid_ds: ArrayDataset | None = None,
               test_ds: ArrayDataset | None = None, bs: int = 64, val_bs: int | None = None,
               seed: int | np.random.Generator | None = None, device: str | None = None,
               **kwargs: Any) -> Self:
        """Loaders for data sets: training shuffled, its last short batch dropped."""
        if len(train_ds) < bs:
            raise ValueError(f"{len(train_ds)} training rows are fewer than one batch of {bs}; "
                             f"pass bs={max(len(train_ds), 1)} or lower, or give more rows")
        device = get_backend(device or default_device()).name
        train = train_ds.to(device)

        def in_order(ds: ArrayDataset | None) -> DataLoader | None:
            return None if ds is None else DataLoader(ds.to(device), val_bs or bs)
        return cls(DataLoader(train, bs, shuffle=True, drop_last=True, seed=seed),
                   in_order(valid_ds), DataLoader(train, val_bs or bs), in_order(test_ds),
                   device=device, **kwargs)

    def to(self: Self, device: str) -> Self:
        """Move all loaders' rows to ``device``; batches come from there from now on."""
        self.device = get_backend(device).name
        move = cache(lambda ds: ds.to(device))  # training rows have two loaders, and move once
        for dl in (self.train_dl, self.valid_dl, self.fix_dl, self.test_dl):
            if isinstance(dl, DataLoader):
                dl.dataset = move(dl.dataset)
        return self

    @property
    def empty_val(self) -> bool:
        """Whether there is nothing to validate on."""
        return len(self.valid_dl) == 0

    @property
    def train_ds(self) -> Any:
        """The training rows."""
        return getattr(self.train_dl, "dataset", None)

    @property
    def valid_ds(self) -> Any:
        """The validation rows."""
        return getattr(self.valid_dl, "dataset", None)

    @property
    def batch_size(self) -> int | None:
        """Rows in a training batch."""
        return getattr(self.train_dl, "bs", None)

    def dl(self, ds_type: DatasetType = DatasetType.Valid) -> Batches:
        """The loader of one kind."""
        loaders = {DatasetType.Train: self.train_dl, DatasetType.Valid: self.valid_dl,
                   DatasetType.Test: self.test_dl, DatasetType.Fix: self.fix_dl}
        found = loaders[ds_type]
        if found is None:
            raise ValueError("this bunch has no test set; pass test= when you make it")
        return found

    def batches(self, dl: Batches) -> Iterator[Batch]:
        """One pass over a loader, as tensors on this bunch's device."""
        if isinstance(dl, DataLoader) and backend_of(dl.dataset.y).name == self.device:
            return iter(dl)  # gathered on the device already
        return (to_tensors(tuple(batch), self.device) for batch in dl)

    def one_batch(self, ds_type: DatasetType = DatasetType.Train) -> Batch:
        """The first batch of a pass: (xb, yb)."""
        for batch in self.batches(self.dl(ds_type)):
            return batch
        raise ValueError(f"the {ds_type.name} loader has no batch")

    def one_item(self, item: Any) -> Any:
        """One sample as a batch of one: what ``Learner.predict`` gives to the model."""
        return to_tensors(np.asarray(item)[None], self.device)

    def analyze_pred(self, pred: Tensor) -> Tensor:
        """The target that a prediction for one sample amounts to: the number of the likeliest
        class, or the predicted number itself.
        """
        return pred.argmax() if self.c and self.c > 1 and pred.numel() == self.c else pred

    def decode(self, target: Tensor) -> Any:
        """What a target means: a class, or a number."""
        if target.dtype.kind in "iu":
            return int(target) if self.classes is None else self.classes[int(target)]
        return float(target.reshape(-1)[0]) if target.numel() == 1 else target

    def show_batch(self, rows: int = 5, ds_type: DatasetType = DatasetType.Train) -> None:
        """Show the first rows of a batch as a table."""
        from ..autograd.display import show_table
        show_table(self.batch_table(*self.one_batch(ds_type), rows=rows))

    def batch_table(self, xb: Any, yb: Any, rows: int = 5) -> Any:
        """The first rows of a batch as a frame."""
        import pandas as pd
        columns = xb if isinstance(xb, (list, tuple)) else [xb]
        table = {f"x{i}": list(x.numpy()[:rows]) for i, x in enumerate(columns)}
        return pd.DataFrame({**table, "target": list(yb.numpy()[:rows])})

    def __repr__(self) -> str:
        sizes = "".join(f"\n\n{kind}: {_size(dl)}" for kind, dl in
                        [("Train", self.train_dl), ("Valid", self.valid_dl),
                         ("Test", self.test_dl)] if dl is not None)
        return f"{type(self).__name__};{sizes}\n\nPath: {self.path}; device: {self.device}"


def _size(dl: Batches) -> str:
    rows = f"{len(dl.dataset)} rows in " if isinstance(dl, DataLoader) else ""
    return f"{rows}{len(dl)} batches"


def _targets(dl: Any) -> Any:
    return dl.dataset.y if isinstance(dl, DataLoader) else None


def _outputs(dl: Any, classes: Any) -> int | None:
    if classes is not None:
        return len(classes)
    y = _targets(dl)
    if y is None:
        return None
    if y.dtype.kind in "iu" and y.ndim == 1:
        return int(y.max()) + 1 if len(y) else 0
    return 1 if y.ndim == 1 else int(y.shape[1])


def _fitting_loss(dl: Any) -> Any:
    y = _targets(dl)
    if y is None:
        return None
    if y.dtype.kind == "f":
        return MSELossFlat()
    return CrossEntropyFlat() if y.ndim == 1 else BCEWithLogitsFlat()
