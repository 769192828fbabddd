"""Targets of a table: numbers, one of several classes, or several classes per row."""
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..autograd import Tensor
from ..data.categories import Categories
from .processors import to_numbers

if TYPE_CHECKING:
    import pandas as pd

Columns: TypeAlias = Any
"""A Series (n,) of targets, or a DataFrame (n, c)."""


class FloatList:
    """Targets that are numbers, with one output per column: fastai v1's ``FloatList``.

    Parameters
    ----------
    training : Series (n,) or DataFrame (n, c), optional
        The targets of the training rows.
    log : bool
        Whether the model predicts the logarithms of the targets. As in v1, predictions are not
        converted back; apply ``np.exp`` to them.

    Attributes
    ----------
    c : int
        Number of outputs.
    low, high : float, optional
        The range of the training targets, over all columns.

    Raises
    ------
    TypeError, ValueError
        See ``encode``.

    Examples
    --------
    >>> import pandas as pd
    >>> FloatList().encode(pd.Series([3, 4]))
    array([3., 4.], dtype=float32)
    """

    c, classes = 1, None
    low: float | None = None
    high: float | None = None
    log = False

    def __init__(self, training: Columns | None = None, log: bool = False
                 ) -> None:
        self.log = log
        if training is not None:
            y = self.encode(training)
            self.c = 1 if y.ndim == 1 else y.shape[1]
            self.low, self.high = float(y.min()), float(y.max())

    def encode(self, columns: Columns) -> "np.ndarray[Any, Any]":
        """Return targets as float32.

        Parameters
        ----------
        columns : Series (n,) or DataFrame (n, c)
            The targets.

        Returns
        -------
        ndarray (n,) or (n, c)
            The numbers, or their logarithms.

        Raises
        ------
        TypeError, ValueError
            If a target is not a number, or infinite, or has no logarithm.

        Examples
        --------
        >>> import pandas as pd
        >>> FloatList(log=True).encode(pd.Series([1, 10])).round(3)
        array([0.   , 2.303], dtype=float32)
        """
        if columns.ndim == 2:
            return np.stack([self.encode(columns[name]) for name in columns], axis=1)
        y = to_numbers(columns, np.float32, "predict classes with label_cls=CategoryList")
        if not self.log:
            return y
        for row in np.flatnonzero(y <= 0):
            raise ValueError(f"{y[row]} in {columns.name!r} (row {columns.index[row]}) has no "
                             "logarithm; leave out log=True, or predict np.log1p of the column")
        return np.asarray(np.log(y))

    def analyze_pred(self, pred: Tensor) -> Tensor:
        """Return a prediction (c,) as it is.

        Parameters
        ----------
        pred : Tensor
            The prediction (c,).

        Returns
        -------
        Tensor
            The same prediction.

        Examples
        --------
        >>> from minifast import tensor
        >>> FloatList().analyze_pred(tensor([2.5]))
        tensor([2.5000])
        """
        return pred

    def decode(self, targets: "np.ndarray[Any, Any]") -> Any:
        """Return encoded targets (n,) or (n, c) as a list of n.

        Parameters
        ----------
        targets : ndarray
            The encoded targets.

        Returns
        -------
        list
            The n numbers, or rows of numbers.

        Examples
        --------
        >>> FloatList().decode(np.array([3., 4.]))
        [np.float64(3.0), np.float64(4.0)]
        """
        return list(targets)


class CategoryList:
    """Targets that are classes, with one output per class: fastai v1's ``CategoryList``.

    Parameters
    ----------
    training : Series
        The targets of the training rows.
    classes : iterable, optional
        All classes, in the order of the outputs. By default, an ordered pandas categorical keeps
        its order; otherwise, the classes are the sorted values in ``training``.

    Raises
    ------
    ValueError
        If there are fewer than two classes, or one is given twice.

    Examples
    --------
    >>> import pandas as pd
    >>> column = pd.Series(["no", "yes", "no"])
    >>> CategoryList(column).encode(column).tolist()
    [0, 1, 0]
    >>> sizes = pd.Series(pd.Categorical(["S", "L"], ["S", "M", "L"], ordered=True))
    >>> CategoryList(sizes).classes
    ['S', 'M', 'L']
    """

    def __init__(self, training: "pd.Series[Any]", classes: Iterable[Any] | None = None) -> None:
        import pandas as pd
        if classes is None and getattr(training.dtype, "ordered", False):
            classes = training.cat.categories
        self.labels = Categories(str(training.name), training.to_numpy()).labels \
            if classes is None else pd.Index(list(classes))
        if not self.labels.is_unique or len(self.labels) < 2:
            where = "of the training rows" if classes is None else "given"
            raise ValueError(f"the classes of {training.name!r} {where} are "
                             f"{self.labels.tolist()}; at least two are needed, each once")
        self.classes, self.c = self.labels.tolist(), len(self.labels)

    def encode(self, column: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
        """Return the numbers of the classes, as int64.

        Parameters
        ----------
        column : Series
            Targets (n,).

        Returns
        -------
        ndarray
            Numbers (n,) of the classes.

        Raises
        ------
        ValueError
            If a target is not among the classes.

        Examples
        --------
        >>> import pandas as pd
        >>> CategoryList(pd.Series(["no", "yes"])).encode(pd.Series(["yes", "yes", "no"]))
        array([1, 1, 0])
        """
        codes = np.asarray(self.labels.get_indexer(column.to_numpy()), np.int64)
        if len(unknown := column[codes < 0]):
            raise ValueError(
                f"{unknown.tolist()[0]!r} in {column.name!r} (row {unknown.index[0]}) is none of "
                f"the {self.c} classes; choose validation rows of classes that training rows have, "
                "or list all in classes=; if it is a quantity, make it float with .astype(float)")
        return codes

    def analyze_pred(self, pred: Tensor) -> Tensor:
        """Return the number of the most probable class in a prediction (c,).

        Parameters
        ----------
        pred : Tensor
            The prediction (c,).

        Returns
        -------
        Tensor
            The number ().

        Examples
        --------
        >>> import pandas as pd
        >>> CategoryList(pd.Series(["no", "yes"])).analyze_pred(Tensor([.2, .8]))
        tensor(1)
        """
        return pred.argmax()

    def decode(self, targets: "np.ndarray[Any, Any]") -> Any:
        """Return the classes (n,) with these numbers.

        Parameters
        ----------
        targets : ndarray
            The numbers (n,) of the classes.

        Returns
        -------
        ndarray
            The classes (n,).

        Examples
        --------
        >>> import pandas as pd
        >>> CategoryList(pd.Series(["no", "yes"])).decode(np.array([1, 0])).tolist()
        ['yes', 'no']
        """
        return np.array(self.classes, object)[targets]


class MultiCategoryList:
    """Targets in several columns of 0 and 1: fastai v1's ``MultiCategoryList``.

    Parameters
    ----------
    training : DataFrame (n, c)
        The targets of the training rows. Each column is a class and has an output.

    Raises
    ------
    ValueError
        See ``encode``.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"cat": [0, 1], "dog": [True, True]})
    >>> MultiCategoryList(df).decode(MultiCategoryList(df).encode(df))
    [['dog'], ['cat', 'dog']]
    """

    def __init__(self, training: "pd.DataFrame") -> None:
        self.classes, self.c = training.columns.tolist(), training.shape[1]
        self.encode(training)

    def encode(self, columns: "pd.DataFrame") -> "np.ndarray[Any, Any]":
        """Return targets as int64.

        Parameters
        ----------
        columns : DataFrame (n, c)
            The targets.

        Returns
        -------
        ndarray (n, c)
            0 and 1.

        Raises
        ------
        ValueError
            If a target is neither 0 nor 1.

        Examples
        --------
        >>> import pandas as pd
        >>> df = pd.DataFrame({"cat": [0, 1], "dog": [True, True]})
        >>> MultiCategoryList(df).encode(df).tolist()
        [[0, 1], [1, 1]]
        """
        for name in columns:
            if len(wrong := columns[name][~columns[name].isin([0, 1])]):
                raise ValueError(f"{wrong.tolist()[0]!r} in {name!r} (row {wrong.index[0]}) is "
                                 "neither 0 nor 1; several columns of targets mark the classes of "
                                 "each row with 0 and 1, or are numbers with label_cls=FloatList")
        return columns.to_numpy(np.int64)

    def analyze_pred(self, pred: Tensor) -> Tensor:
        """Return 1 where a probability in the prediction (c,) is at least one half.

        Parameters
        ----------
        pred : Tensor
            The prediction (c,).

        Returns
        -------
        Tensor
            0 and 1 (c,).

        Examples
        --------
        >>> import pandas as pd
        >>> targets = MultiCategoryList(pd.DataFrame({"cat": [0, 1], "dog": [1, 1]}))
        >>> targets.analyze_pred(Tensor([.2, .8]))
        tensor([0, 1])
        """
        return (pred >= .5).astype(np.int64)

    def decode(self, targets: "np.ndarray[Any, Any]") -> Any:
        """Return the classes of each row of targets (n, c), as n lists.

        Parameters
        ----------
        targets : ndarray
            0 and 1 (n, c).

        Returns
        -------
        list of list
            The classes of each row.

        Examples
        --------
        >>> import pandas as pd
        >>> targets = MultiCategoryList(pd.DataFrame({"cat": [0, 1], "dog": [1, 1]}))
        >>> targets.decode(np.array([[0, 1], [1, 1]]))
        [['dog'], ['cat', 'dog']]
        """
        return [[name for name, on in zip(self.classes, row, strict=True) if on]
                for row in targets]


Targets: TypeAlias = FloatList | CategoryList | MultiCategoryList


def make_targets(training: Columns, label_cls: type[Any] | None = None,
                 classes: Iterable[Any] | None = None, log: bool = False) -> Targets:
    """Return the kind of targets that suits one or several columns.

    Parameters
    ----------
    training : Series (n,) or DataFrame (n, c)
        The targets of the training rows.
    label_cls : {FloatList, CategoryList, MultiCategoryList}, optional
        The kind. By default, floats are numbers. All other targets are classes, even whole
        numbers, as in fastai v1. One column holds a class per row; each of several columns is a
        class of its own.
    classes : iterable, optional
        All classes of one column. If given, the targets are classes.
    log : bool
        Whether to predict logarithms. If True, the targets are numbers.

    Returns
    -------
    FloatList, CategoryList or MultiCategoryList
        The targets.

    Raises
    ------
    ValueError
        If ``label_cls`` is another class, or does not fit the other arguments.

    Examples
    --------
    >>> import pandas as pd
    >>> type(make_targets(pd.Series([1., 2.]))).__name__
    'FloatList'
    """
    numbers = log or (classes is None and _all_floats(training))
    one_column = CategoryList if training.ndim == 1 else MultiCategoryList
    chosen = label_cls or (FloatList if numbers else one_column)
    if chosen is FloatList and classes is None:
        return FloatList(training, log)
    if chosen is not one_column or log or (training.ndim == 2 and classes is not None):
        raise ValueError(
            f"label_cls is FloatList (without classes=) or {one_column.__name__} for "
            f"{'one column' if training.ndim == 1 else 'several columns'} of targets; got "
            f"{chosen!r}, classes={classes!r}, log={log}")
    return CategoryList(training, classes) if training.ndim == 1 else MultiCategoryList(training)


def _all_floats(training: Columns) -> bool:
    types = training.infer_objects().dtypes
    return all(dtype.kind == "f" for dtype in ([types] if training.ndim == 1 else types))
