"""Targets of a table: a number, or one of several classes."""
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..data.categories import Categories
from .processors import to_numbers

if TYPE_CHECKING:
    import pandas as pd


class FloatList:
    """Targets that are numbers, for a model with one output: fastai v1's ``FloatList``.

    Examples
    --------
    >>> import pandas as pd
    >>> FloatList().encode(pd.Series([3, 4]))
    array([3., 4.], dtype=float32)
    """

    c, classes = 1, None

    def encode(self, column: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
        """Return targets (n,) as float32; raises like ``to_numbers``."""
        return to_numbers(column, np.float32, "predict classes with label_cls=CategoryList")

    def decode(self, targets: "np.ndarray[Any, Any]") -> Any:
        """Return encoded targets (n,) as they are."""
        return targets


class CategoryList:
    """Targets that are classes, for a model with an output each: fastai v1's ``CategoryList``.

    Parameters
    ----------
    training : Series
        The targets of the training rows.
    classes : iterable, optional
        All classes, in the order of the outputs; by default the sorted values in ``training``.

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
    """

    def __init__(self, training: "pd.Series[Any]", classes: Iterable[Any] | None = None) -> None:
        import pandas as pd
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
        """
        codes = np.asarray(self.labels.get_indexer(column.to_numpy()), np.int64)
        if len(unknown := column[codes < 0]):
            raise ValueError(
                f"{unknown.tolist()[0]!r} in {column.name!r} (row {unknown.index[0]}) is none of "
                f"the {self.c} classes; choose validation rows of classes that training rows have, "
                "or list all in classes=; if it is a quantity, make it float with .astype(float)")
        return codes

    def decode(self, targets: "np.ndarray[Any, Any]") -> Any:
        """Return the classes (n,) with these numbers."""
        return np.array(self.classes, object)[targets]


Targets: TypeAlias = FloatList | CategoryList


def make_targets(training: "pd.Series[Any]", label_cls: type[Any] | None = None,
                 classes: Iterable[Any] | None = None) -> Targets:
    """Return the kind of targets that suits a column.

    Parameters
    ----------
    training : Series
        The targets of the training rows.
    label_cls : {FloatList, CategoryList}, optional
        The kind. By default floats are numbers; everything else is classes, whole numbers too,
        as in fastai v1.
    classes : iterable, optional
        All classes; the targets are classes then.

    Returns
    -------
    FloatList or CategoryList
        The targets.

    Raises
    ------
    ValueError
        If ``label_cls`` is something else, or FloatList beside ``classes``.

    Examples
    --------
    >>> import pandas as pd
    >>> type(make_targets(pd.Series([1., 2.]))).__name__
    'FloatList'
    """
    kind = training.infer_objects().dtype.kind
    chosen = label_cls or (FloatList if kind == "f" and classes is None else CategoryList)
    if chosen is FloatList and classes is None:
        return FloatList()
    if chosen is not CategoryList:
        raise ValueError(f"label_cls is FloatList (without classes=) or CategoryList; got "
                         f"{chosen!r}, classes={classes!r}")
    return CategoryList(training, classes)
