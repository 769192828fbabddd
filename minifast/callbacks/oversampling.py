"""Oversampling: a training loader that draws rows of rare classes more often."""
from copy import copy
from typing import Any

import numpy as np

from ..backend import Array, backend_of, transfer
from ..data import DataLoader
from ..train import Learner, LearnerCallback

Weights = np.ndarray[Any, np.dtype[np.float64]]


class WeightedLoader(DataLoader):
    """Batches of rows drawn with replacement, with probabilities in proportion to weights.

    Parameters
    ----------
    dl : DataLoader
        The loader whose data set, batch size, ``drop_last`` and generator are used.
    weights : array of shape (rows,)
        A weight for each row of the data set.
    n : int
        Rows drawn in one pass.

    See Also
    --------
    torch.utils.data.WeightedRandomSampler : The counterpart.

    Examples
    --------
    >>> from minifast.data import ArrayDataset
    >>> rows = ArrayDataset(np.arange(4.), np.array([0, 0, 0, 1]))
    >>> dl = WeightedLoader(DataLoader(rows, bs=6), np.array([0., 0., 0., 1.]), n=6)
    >>> [yb.tolist() for xb, yb in dl]
    [[1, 1, 1, 1, 1, 1]]
    """

    def __init__(self, dl: DataLoader, weights: Weights, n: int) -> None:
        super().__init__(dl.dataset, dl.bs, True, dl.drop_last, dl.rng)
        self.chances, self.n = weights / weights.sum(), n

    def __len__(self) -> int:
        return self.n // self.bs if self.drop_last else -(-self.n // self.bs)

    def _shuffled(self) -> Array:
        rows = self.rng.choice(len(self.chances), self.n, p=self.chances)
        return backend_of(self.dataset.y).from_host(rows)


class OverSamplingCallback(LearnerCallback):
    """Draw training rows so that all classes come equally often during a fit.

    A pass has as many rows as if every class were as large as the largest. After the fit the
    learner has its own loader back.

    Parameters
    ----------
    learn : Learner
        Its targets are class numbers, one per row.
    weights : array of shape (rows,), optional
        A weight for each training row. By default 1 / (number of rows of its class).

    Raises
    ------
    TypeError
        When a fit begins, if the training loader is not a ``DataLoader`` or already oversampled,
        or if there are no class numbers and no ``weights``.
    ValueError
        When a fit begins, if ``weights`` have another shape, or are negative, infinite or all 0.

    Notes
    -----
    fastai v1's ``OverSamplingCallback``.

    Examples
    --------
    >>> from functools import partial
    >>> weighted = partial(OverSamplingCallback, weights=[1., 1., 3.])  # for callback_fns=[...]
    """

    _order = -30  # before schedulers, which count batches

    def __init__(self, learn: Learner, weights: Any = None) -> None:
        super().__init__(learn)
        self.weights = weights
        self.loader: DataLoader | None = None  # the learner's own, during a fit

    def on_train_begin(self) -> None:
        data, dl = self.learn.data, self.learn.data.train_dl
        if not isinstance(dl, DataLoader) or isinstance(dl, WeightedLoader):
            raise TypeError(f"oversampling draws rows of a DataLoader, once; the training loader "
                            f"is a {type(dl).__name__}. Make the data with DataBunch.create(...)")
        labels = transfer(dl.dataset.y, "cpu")
        weights = class_weights(labels) if self.weights is None else self.weights
        counts = np.unique(labels, return_counts=True)[1]
        rows: Any = getattr(dl, "dl", dl)  # the loader inside one that transforms batches
        drawn = WeightedLoader(rows, _checked(weights, len(labels)),
                               len(counts) * int(counts.max()))
        if rows is dl:
            data.train_dl = drawn
        else:
            data.train_dl = copy(dl)
            data.train_dl.dl = drawn
        self.loader = dl

    def on_train_end(self) -> None:
        if self.loader is not None:
            self.learn.data.train_dl, self.loader = self.loader, None


def class_weights(labels: "np.ndarray[Any, Any]") -> Weights:
    """Return one over the size of each row's class.

    Parameters
    ----------
    labels : array of int, shape (rows,)
        Class numbers.

    Returns
    -------
    array of shape (rows,)
        The weights.

    Raises
    ------
    TypeError
        If ``labels`` are not integers, one per row.

    Examples
    --------
    >>> class_weights(np.array([0, 0, 0, 1])).round(2).tolist()
    [0.33, 0.33, 0.33, 1.0]
    """
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise TypeError(f"oversampling needs one class number per row, got targets of shape "
                        f"{labels.shape} and type {labels.dtype}; pass weights= instead")
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return 1 / counts[places]


def _checked(weights: Any, n: int) -> Weights:
    found: Weights = np.asarray(weights, np.float64)
    if found.shape != (n,):
        raise ValueError(f"weights of shape {found.shape} for {n} training rows; give one per row")
    if not (np.isfinite(found).all() and (found >= 0).all() and found.any()):
        raise ValueError(f"weights are finite, not negative and not all 0; these go from "
                         f"{found.min()} to {found.max()}")
    return found
