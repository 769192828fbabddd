"""DataBunch: the loaders that a learner trains and validates on."""
from collections.abc import Iterator, Sized
from enum import Enum
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from ..autograd import Tensor
from ..backend import backend_of, default_device, get_backend
from ..nn import BCEWithLogitsFlat, CrossEntropyFlat, MSELossFlat
from .loader import ArrayDataset, Batch, DataLoader, to_tensors


class DatasetType(Enum):
    """The loaders of a bunch. ``Fix`` has all training rows, in order."""

    Train = 1
    Valid = 2
    Test = 3
    Fix = 4


class Batches(Sized, Protocol):
    """A loader: a sized iterable of batches (xb, yb)."""

    def __iter__(self) -> Iterator[Any]: ...


class DataBunch:
    """A training loader, a validation loader and perhaps a test loader, on one device.

    Parameters
    ----------
    train_dl, valid_dl, fix_dl, test_dl : DataLoader or sized iterable of (xb, yb)
        The loaders of the four kinds in `DatasetType`. Batches are arrays or tensors. Without
        `fix_dl`, `train_dl` takes its place.
    path : str or Path
        Folder for checkpoints.
    device : str, optional
        Where batches go; by default the current device.
    c : int, optional
        Number of outputs; by default it is derived from the targets or `classes`.
    classes : sequence of str, optional
        Names of the outputs.
    loss_func : callable, optional
        By default mean squared error for floats, cross entropy for whole numbers (n,), binary
        cross entropy for whole numbers (n, c).
    **v1
        Arguments of v1 that change nothing here, such as ``num_workers``, and ``dl_tfms``:
        functions that each batch passes through.

    Notes
    -----
    fastai v1's ``DataBunch``.

    Examples
    --------
    >>> data = DataBunch([(np.zeros((2, 3)), np.zeros(2))], [])
    >>> len(data.train_dl), data.empty_val
    (1, True)
    """

    def __init__(self, train_dl: Batches, valid_dl: Batches | None = None,
                 fix_dl: Batches | None = None, test_dl: Batches | None = None,
                 path: str | Path = ".", device: str | None = None, c: int | None = None,
                 classes: Any = None, loss_func: Any = None, **v1: Any) -> None:
        self.device = get_backend(device or default_device()).name
        self.path = Path(path)
        self.train_dl = train_dl
        self.valid_dl: Batches | None = [] if valid_dl is None else valid_dl
        self.fix_dl, self.test_dl = train_dl if fix_dl is None else fix_dl, test_dl
        y = train_dl.dataset.y if isinstance(train_dl, DataLoader) else None
        self.classes, self.c = classes, len(classes) if c is None and classes is not None else c
        if y is not None:
            self.c = _count_outputs(y) if self.c is None else self.c
            loss_func = _fitting_loss(y) if loss_func is None else loss_func
        self.loss_func = loss_func
        if v1:
            import_module("minifast.v1").accept_options(self, v1)

    @classmethod
    def create(cls, train_ds: Any, valid_ds: Any = None, test_ds: Any = None, bs: int = 64,
               val_bs: int | None = None, seed: int | np.random.Generator | None = None,
               device: str | None = None, **kwargs: Any) -> Self:
        """Make loaders from data sets; training is shuffled and drops its last short batch.

        Parameters
        ----------
        train_ds, valid_ds, test_ds : ArrayDataset, or sequence of (x, y)
            The rows. They move to `device`. Rows of a data set of your own are read one by one
            in each pass and joined with ``np.stack``, see `minifast.datasets.RowDataset`.
        bs, val_bs : int
            Rows in a training batch and, if different, in all other batches.
        seed : int or numpy.random.Generator, optional
            Source of the order of the training rows.
        device : str, optional
            Where the rows are kept; by default the current device.
        **kwargs
            Other arguments of the class.

        Returns
        -------
        DataBunch
            The training rows are in ``train_dl`` and ``fix_dl``.

        Raises
        ------
        ValueError
            If there are fewer training rows than `bs`.
        TypeError
            If the rows are not data sets, or an argument of v1 does not fit.

        Examples
        --------
        >>> x = np.arange(6, dtype=np.float32).reshape(3, 2)
        >>> data = DataBunch.create(ArrayDataset(x, x[:, 0]), bs=2, device="cpu")
        >>> [len(yb) for xb, yb in data.train_dl], [len(yb) for xb, yb in data.fix_dl]
        ([2], [2, 1])
        """
        train_ds, valid_ds, test_ds = (ds if ds is None or isinstance(ds, ArrayDataset)
                                       else import_module("minifast.datasets").RowDataset(ds)
                                       for ds in (train_ds, valid_ds, test_ds))
        if len(train_ds) < bs:
            raise ValueError(f"{len(train_ds)} training rows are fewer than one batch of {bs}; "
                             f"pass bs={max(len(train_ds), 1)} or lower, or give more rows")
        device = get_backend(device or default_device()).name
        train = train_ds.to(device)

        def in_order(ds: ArrayDataset | None) -> DataLoader | None:
            return None if ds is None else DataLoader(ds.to(device), val_bs or bs)
        shuffled = DataLoader(train, bs, shuffle=True, drop_last=True, seed=seed)
        return cls(shuffled, in_order(valid_ds), DataLoader(train, val_bs or bs),
                   in_order(test_ds), device=device, **kwargs)

    def to(self, device: str) -> Self:
        """Move the rows of all loaders to ``device``, where batches come from afterwards.

        Parameters
        ----------
        device : str
            Such as ``'cpu'`` or ``'cuda'``.

        Returns
        -------
        DataBunch
            This bunch.

        Examples
        --------
        >>> DataBunch([(np.zeros((2, 3)), np.zeros(2))], []).to("cpu").device
        'cpu'
        """
        self.device = get_backend(device).name
        move = cache(lambda ds: ds.to(device))  # two loaders share the training rows
        for dl in (self.train_dl, self.valid_dl, self.fix_dl, self.test_dl):
            if isinstance(dl, DataLoader):
                dl.dataset = move(dl.dataset)
        return self

    train_ds = property(lambda s: getattr(s.train_dl, "dataset", None), doc="Training rows.")
    valid_ds = property(lambda s: getattr(s.valid_dl, "dataset", None), doc="Validation rows.")
    empty_val = property(lambda s: not s.valid_dl, doc="Whether there are no validation rows.")
    batch_size = property(lambda s: getattr(s.train_dl, "bs", None), doc="Rows of a batch.")

    def dl(self, ds_type: DatasetType = DatasetType.Valid) -> Batches:
        """Return the loader of a kind.

        Parameters
        ----------
        ds_type : DatasetType
            The kind.

        Returns
        -------
        DataLoader or sized iterable of (xb, yb)
            The loader.

        Raises
        ------
        ValueError
            If there is no such loader, for example no test set.

        Examples
        --------
        >>> data = DataBunch([(np.zeros((2, 3)), np.zeros(2))], [])
        >>> data.dl(DatasetType.Train) is data.train_dl
        True
        """
        found: Batches | None = getattr(self, f"{ds_type.name.lower()}_dl")
        if found is None:
            raise ValueError(f"this bunch has no {ds_type.name} set: {ds_type.name.lower()}_dl is "
                             "None; pass the rows when you create it, a test set as test=")
        return found

    def batches(self, dl: Batches) -> Iterator[Batch]:
        """Pass over a loader once, in tensors on this bunch's device.

        Parameters
        ----------
        dl : DataLoader or sized iterable of (xb, yb)
            The loader.

        Returns
        -------
        iterator of (xb, yb)
            Inputs and targets, Tensor (bs, ...) or list of these.

        Yields
        ------
        xb, yb : Tensor (bs, ...) or list of these
            Inputs and targets.

        Examples
        --------
        >>> data = DataBunch([(np.zeros((2, 3)), np.zeros(2))], [])
        >>> [xb.shape for xb, yb in data.batches(data.train_dl)]
        [(2, 3)]
        """
        if isinstance(dl, DataLoader) and backend_of(dl.dataset.y).name == self.device:
            return iter(dl)  # its tensors are on the device already
        return (to_tensors(tuple(batch), self.device) for batch in dl)

    def one_batch(self, ds_type: DatasetType = DatasetType.Train, detach: bool = True,
                  denorm: bool = False, cpu: bool = False) -> Batch:
        """Return the first batch of a pass.

        Parameters
        ----------
        ds_type : DatasetType
            The loader to take it from.
        detach : bool
            Accepted as in v1; data have no history.
        denorm : bool
            Whether to undo the normalisation of images; True by default in v1.
        cpu : bool
            Whether to bring the batch to the CPU; True by default in v1.

        Returns
        -------
        xb, yb : Tensor (bs, ...) or list of these
            Inputs and targets.

        Raises
        ------
        ValueError
            If the loader has no batch.

        Examples
        --------
        >>> xb, yb = DataBunch([(np.zeros((2, 3)), np.zeros(2))], []).one_batch()
        >>> xb.shape, yb.shape
        ((2, 3), (2,))
        """
        for xb, yb in self.batches(self.dl(ds_type)):
            x = self.denormalized(xb) if denorm and hasattr(self, "denormalized") else xb
            return to_tensors((x, yb), "cpu" if cpu else self.device)  # type: ignore[no-any-return]
        raise ValueError(f"the {ds_type.name} loader has no batch")

    def one_item(self, item: Any) -> Any:
        """Return one sample as a batch of one, the model's input in ``Learner.predict``.

        Parameters
        ----------
        item : array_like (...)
            The input of one row.

        Returns
        -------
        Tensor (1, ...)
            The batch.

        Examples
        --------
        >>> DataBunch([], []).one_item([1., 2.]).shape
        (1, 2)
        """
        return to_tensors(np.asarray(item)[None], self.device)

    def analyze_pred(self, pred: Tensor) -> Tensor:
        """Return the target that a prediction (c,) stands for: its largest entry, or itself.

        Parameters
        ----------
        pred : Tensor (c,)
            What the model returned for one row.

        Returns
        -------
        Tensor
            A class number, or ``pred``.

        Examples
        --------
        >>> data = DataBunch([], [], classes=["cat", "dog"])
        >>> data.analyze_pred(Tensor(np.float32([.2, .8])))
        tensor(1)
        """
        return pred.argmax() if self.c and self.c > 1 and pred.numel() == self.c else pred

    def decode(self, target: Tensor) -> Any:
        """Return what a target means: a class, or a number.

        Parameters
        ----------
        target : Tensor
            A class number, or a value.

        Returns
        -------
        object
            The class or the number; ``target`` itself if it has several elements.

        Examples
        --------
        >>> data = DataBunch([], [], classes=["cat", "dog"])
        >>> data.decode(Tensor(np.array(1))), data.decode(Tensor(np.float32([1.5])))
        ('dog', 1.5)
        """
        if target.dtype.kind in "iu":
            return int(target) if self.classes is None else self.classes[int(target)]
        return float(target.reshape(-1)[0]) if target.numel() == 1 else target

    def show_batch(self, rows: int = 5, ds_type: DatasetType = DatasetType.Train,
                   reverse: bool = False) -> None:
        """Show a batch as a table.

        Parameters
        ----------
        rows : int
            How many of its rows to show.
        ds_type : DatasetType
            The loader to take it from.
        reverse : bool
            Whether to show its last rows, the last one first.

        Examples
        --------
        >>> DataBunch([(np.float32([1, 2]), np.float32([3, 4]))], []).show_batch(rows=1)
         x0  target
        1.0     3.0
        """
        from ..autograd.display import show_table
        xb, yb = self.one_batch(ds_type)
        table = self.batch_table(xb, yb, len(yb) if reverse else rows)
        show_table(table[::-1].head(rows) if reverse else table)

    def batch_table(self, xb: Any, yb: Any, rows: int = 5) -> Any:
        """Return the first rows of a batch as a frame.

        Parameters
        ----------
        xb, yb : Tensor (bs, ...) or list of these
            Inputs and targets.
        rows : int
            How many rows to return.

        Returns
        -------
        pandas.DataFrame (rows or fewer, ...)
            A column for each input, then ``target``.

        Examples
        --------
        >>> data = DataBunch([(np.float32([1, 2]), np.float32([3, 4]))], [])
        >>> data.batch_table(*data.one_batch(), rows=1)
            x0  target
        0  1.0     3.0
        """
        import pandas as pd
        columns = xb if isinstance(xb, (list, tuple)) else [xb]
        table = {f"x{i}": list(x.numpy()[:rows]) for i, x in enumerate(columns)}
        return pd.DataFrame({**table, "target": [self.decode(y) for y in yb[:rows]]})

    def __repr__(self) -> str:
        loaders = {"Train": self.train_dl, "Valid": self.valid_dl, "Test": self.test_dl}
        sizes = "".join(f"\n\n{kind}: {dl if isinstance(dl, DataLoader) else f'{len(dl)} batches'}"
                        for kind, dl in loaders.items() if dl is not None)
        return f"{type(self).__name__};{sizes}\n\nPath: {self.path}; device: {self.device}"


def _count_outputs(y: Any) -> int:
    """Return the number of classes in whole numbers (n,), else the number of columns."""
    if y.dtype.kind in "iu" and y.ndim == 1:
        return int(y.max()) + 1 if len(y) else 0
    return 1 if y.ndim == 1 else int(y.shape[1])


def _fitting_loss(y: Any) -> Any:
    """Return the loss function that suits targets."""
    if y.dtype.kind == "f":
        return MSELossFlat()
    return CrossEntropyFlat() if y.ndim == 1 else BCEWithLogitsFlat()
