"""Rows of the data next to what a learner predicts for them."""
from typing import Any

from ..autograd.display import show_table
from ..data import DatasetType
from ..train import Learner


def show_results(learn: Learner, ds_type: DatasetType = DatasetType.Valid, rows: int = 5,
                 **kwargs: Any) -> None:
    """Show the first rows of a kind, their targets, and the predictions.

    Ratings and tables are shown as a table, images as a grid of ``rows`` times ``rows``.

    Parameters
    ----------
    learn : Learner
        The learner.
    ds_type : DatasetType
        The rows to show. ``Train`` stands for the training rows in order (``Fix``).
    rows : int
        How many rows to show, at most a batch.
    **kwargs
        Options of ``data.show_items`` for images, such as ``figsize``.

    Notes
    -----
    fastai v1's ``Learner.show_results``.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> ds = ArrayDataset(np.array([[1.], [2.]], np.float32), np.array([2., 4.], np.float32))
    >>> learn = Learner(DataBunch.create(ds, ds, bs=2), Linear(1, 1, seed=0))
    >>> learn.model.weight.data[:], learn.model.bias.data[:] = 1.75, .25
    >>> show_results(learn)
      x0  target  prediction
    [1.]     2.0        2.00
    [2.]     4.0        3.75
    """
    kind, data = in_order(ds_type), learn.data
    xb, yb = data.one_batch(kind)
    preds = learn.get_preds(kind, n_batch=1)[0]
    decoded = [data.decode(data.analyze_pred(pred)) for pred in preds[:rows * rows]]
    if hasattr(data, "show_items"):
        titles = [f"{data.decode(y)} / {guess}" for y, guess in zip(yb, decoded, strict=False)]
        data.show_items(xb[:rows * rows], titles, "actual / prediction", **kwargs)
    else:
        table = data.batch_table(xb, yb, rows)
        show_table(table.assign(prediction=decoded[:len(table)]))


def in_order(ds_type: DatasetType) -> DatasetType:
    """Return the kind that has these rows in order: ``Fix`` for the shuffled training rows.

    Parameters
    ----------
    ds_type : DatasetType
        The kind.

    Returns
    -------
    DatasetType
        The same kind, or ``Fix``.

    Examples
    --------
    >>> in_order(DatasetType.Train).name
    'Fix'
    """
    return DatasetType.Fix if ds_type is DatasetType.Train else ds_type
