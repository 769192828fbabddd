"""Methods of fastai v1's DataBunch that the core does not have; importing this adds them."""
from collections.abc import Callable
from typing import Any
from warnings import warn

from ..data import DataBunch, DataLoader, DatasetType
from .loaders import BatchTransform, TransformedLoader

LOADERS = ("train_dl", "valid_dl", "fix_dl", "test_dl")
UNUSED = {"num_workers": "batches are gathered at once, in this process",
          "pin_memory": "there is no copy from pageable memory to wait for",
          "no_check": "data are always checked when they are made"}
"""Arguments of v1 that change nothing here, and why."""
REFUSED = {"collate_fn": "rows are joined with np.stack; for other batches give "
                         "DataBunch(train_dl, valid_dl) loaders, lists of (xb, yb) for example",
           "ds_tfms": "transforms of single rows belong to images: ImageDataBunch takes them; for "
                      "whole batches call data.add_tfm(function)",
           "tfms": "transforms of single rows belong to images: ImageDataBunch takes them"}
"""Arguments of v1 that are not accepted, and what to write instead."""


def accept_options(data: DataBunch, options: dict[str, Any]) -> None:
    """Apply the arguments of v1 that have an effect here, and raise an error for the others.

    An argument that is None, such as ``ds_tfms=None``, is ignored.

    Parameters
    ----------
    data : DataBunch
        The data, which are already made.
    options : dict of str to object
        The arguments.

    Raises
    ------
    TypeError
        If an argument is unknown or not accepted.

    Examples
    --------
    >>> data = DataBunch([], [])
    >>> accept_options(data, {"ds_tfms": None, "no_check": True})
    >>> accept_options(data, {"collate_fn": list})
    Traceback (most recent call last):
    TypeError: DataBunch takes no collate_fn=: rows are joined with np.stack; ...
    """
    given = {name: value for name, value in options.items() if value is not None}
    for tfm in _listed(given.pop("dl_tfms", [])):
        add_tfm(data, tfm)
    for name, value in given.items():
        if name not in UNUSED:
            raise TypeError(f"{type(data).__name__} takes no {name}="
                            + (f": {REFUSED[name]}" if name in REFUSED else ""))
        if value and name != "no_check":
            warn(f"{name}={value!r} changes nothing: {UNUSED[name]}", stacklevel=5)
    if unknown := options.keys() - UNUSED.keys() - REFUSED.keys() - {"dl_tfms"}:
        raise TypeError(f"{type(data).__name__} takes no {', '.join(sorted(unknown))}=")


def _listed(tfms: Any) -> list[BatchTransform]:
    return list(tfms) if isinstance(tfms, (list, tuple)) else [tfms]


# ---------------------------------------------------------------- transforms of batches


def add_tfm(data: DataBunch, tfm: BatchTransform) -> None:
    """Pass each batch of all loaders through a function, after those added earlier.

    Parameters
    ----------
    data : DataBunch
        The data.
    tfm : callable
        Takes and returns ``(xb, yb)``.

    Raises
    ------
    TypeError
        If a loader is not a DataLoader; the data do not change.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset
    >>> data = DataBunch.create(ArrayDataset(np.ones(4), np.ones(4)), bs=4)
    >>> data.add_tfm(lambda batch: (batch[0] + 1, batch[1]))
    >>> data.one_batch()[0]
    tensor([2., 2., 2., 2.], dtype=float64)
    """
    _set_tfms(data, [*tfms(data), tfm])


def remove_tfm(data: DataBunch, tfm: BatchTransform) -> None:
    """Remove a function that batches pass through; if it is not there, nothing changes.

    Parameters
    ----------
    data : DataBunch
        The data.
    tfm : callable
        The function.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset
    >>> data = DataBunch.create(ArrayDataset(np.ones(4), np.ones(4)), bs=4)
    >>> data.add_tfm(tuple)
    >>> data.remove_tfm(tuple)
    >>> data.tfms
    []
    """
    _set_tfms(data, [other for other in tfms(data) if other is not tfm])


def tfms(data: DataBunch) -> list[BatchTransform]:
    """Return the functions that batches pass through.

    Parameters
    ----------
    data : DataBunch
        The data.

    Returns
    -------
    list of callable
        The functions, in the order in which they are called.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset
    >>> data = DataBunch.create(ArrayDataset(np.ones(4), np.ones(4)), bs=4)
    >>> data.add_tfm(tuple)
    >>> data.tfms
    [<class 'tuple'>]
    """
    return list(getattr(data.train_dl, "tfms", []))


def _set_tfms(data: DataBunch, tfms: list[BatchTransform]) -> None:
    loaders: dict[str, Any] = {name: getattr(data, name) for name in LOADERS}
    inner = {name: getattr(dl, "dl", dl) for name, dl in loaders.items() if dl not in (None, [])}
    for name, dl in inner.items():
        if not isinstance(dl, DataLoader):
            raise TypeError(f"{name} is a {type(dl).__name__}, not a DataLoader, so its batches "
                            "cannot be transformed here; transform them there, or use "
                            "DataBunch.create")
    for name, dl in inner.items():
        setattr(data, name, TransformedLoader(dl, tfms) if tfms else dl)


# ---------------------------------------------------------------- loaders and rows


def single_dl(data: DataBunch) -> DataLoader | None:
    """Return a loader of single rows for validation or, without these, training; or None.

    Parameters
    ----------
    data : DataBunch
        The data.

    Returns
    -------
    DataLoader or None
        The loader, whose batches have one row.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset
    >>> DataBunch.create(ArrayDataset(np.ones(4), np.ones(4)), bs=4).single_dl
    4 rows in 4 batches of 1
    """
    rows = data.valid_ds if data.valid_ds is not None else data.train_ds
    return None if rows is None else DataLoader(rows, 1, seed=0)


def dls(data: DataBunch) -> list[Any]:
    """Return all loaders that exist, in the order train, valid, fix, single, test.

    Parameters
    ----------
    data : DataBunch
        The data.

    Returns
    -------
    list of DataLoader
        The loaders.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset
    >>> DataBunch.create(ArrayDataset(np.ones(4), np.ones(4)), bs=4).dls
    [4 rows in 1 batches of 4, 4 rows in 1 batches of 4, 4 rows in 4 batches of 1]
    """
    found = [data.train_dl, None if data.empty_val else data.valid_dl, data.fix_dl,
             single_dl(data), data.test_dl]
    return [dl for dl in found if dl is not None]


def is_empty(data: DataBunch) -> bool:
    """Return whether there are neither training nor validation rows, as after ``load_learner``.

    Parameters
    ----------
    data : DataBunch
        The data.

    Returns
    -------
    bool
        True if there are none.

    Examples
    --------
    >>> DataBunch([], []).is_empty
    True
    """
    return len(data.train_dl) == 0 and data.empty_val


def sanity_check(data: DataBunch) -> None:
    """Check that each loader can return a batch.

    Parameters
    ----------
    data : DataBunch
        The data.

    Raises
    ------
    ValueError
        If there is no training batch.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset
    >>> DataBunch.create(ArrayDataset(np.ones(4), np.ones(4)), bs=4).sanity_check()
    >>> DataBunch([], []).sanity_check()
    Traceback (most recent call last):
    ValueError: the training loader has no batch: ...
    """
    if len(data.train_dl) == 0:
        raise ValueError(f"the training loader has no batch: there are fewer rows than the batch "
                         f"size of {data.batch_size}; lower bs")
    for kind in DatasetType:
        dl = getattr(data, f"{kind.name.lower()}_dl")
        if kind is not DatasetType.Train and dl is not None and len(dl):
            data.one_batch(kind)


def _set_batch_size(data: DataBunch, bs: int) -> None:
    """Set the rows of a batch in all loaders."""
    if bs < 1:
        raise ValueError(f"a batch needs at least one row, got {bs}")
    for name in LOADERS:
        if isinstance(dl := getattr(data, name), DataLoader):
            dl.bs = bs


def _rows_of(name: str) -> Callable[[DataBunch], Any]:
    """Return a function that returns the data set of a loader."""
    def rows(data: DataBunch) -> Any:
        return getattr(getattr(data, name), "dataset", None)
    rows.__doc__ = f"The rows of ``{name}``, None if there is none."
    return rows


for _method in (add_tfm, remove_tfm, sanity_check):
    setattr(DataBunch, _method.__name__, _method)
for _getter in (tfms, single_dl, dls, is_empty):
    setattr(DataBunch, _getter.__name__, property(_getter))
for _name in ("test", "fix", "single"):
    setattr(DataBunch, f"{_name}_ds", property(_rows_of(f"{_name}_dl")))
setattr(DataBunch, "dl_tfms", property(tfms))  # noqa: B010
setattr(DataBunch, "batch_size",  # noqa: B010
        DataBunch.batch_size.setter(_set_batch_size))
