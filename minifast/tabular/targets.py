"""What a table's model is to predict: a number, or one of several classes."""
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..data.categories import Categories

if TYPE_CHECKING:
    import pandas as pd


class FloatList:
    """Targets that are numbers: float32, one output; fastai v1's ``FloatList``.

    >>> import pandas as pd
    >>> FloatList(pd.Series([3, 4])).encode(pd.Series([3, 4]))
    array([3., 4.], dtype=float32)
    """

    c, classes = 1, None

    def __init__(self, training: "pd.Series[Any]") -> None:
        self.name = training.name

    def encode(self, column: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
        """float32 (n,). TypeError if these are no numbers, ValueError for one that is infinite."""
        if column.dtype.kind not in "iufb":
            raise TypeError(f"the targets {self.name!r} are {column.dtype}, no numbers (for "
                            f"example {column.iloc[0]!r}); convert them with pd.to_numeric, or "
                            "predict classes with label_cls=CategoryList")
        values = column.to_numpy(np.float32)
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            raise ValueError(f"the targets {self.name!r} have {len(wrong)} infinite values (the "
                             f"first in row {column.index[wrong[0]]}); drop these rows")
        return values

    def decode(self, targets: "np.ndarray[Any, Any]") -> Any:
        """Targets as a person reads them."""
        return targets


class CategoryList:
    """Targets that are classes: int64, an output per class; fastai v1's ``CategoryList``.

    ``classes`` are the values in the training rows, in sorted order, or those that are given,
    in theirs.

    >>> import pandas as pd
    >>> column = pd.Series(["no", "yes", "no"])
    >>> CategoryList(column).encode(column).tolist()
    [0, 1, 0]
    """

    def __init__(self, training: "pd.Series[Any]", classes: Iterable[Any] | None = None) -> None:
        import pandas as pd
        self.name = training.name
        self.labels = Categories(str(self.name), training.to_numpy()).labels \
            if classes is None else pd.Index(list(classes))
        if not self.labels.is_unique or len(self.labels) < 2:
            where = "of the training rows" if classes is None else "given"
            raise ValueError(f"the classes of {self.name!r} {where} are {self.labels.tolist()}; "
                             "at least two are needed, each once")
        self.classes: list[Any] = self.labels.tolist()
        self.c = len(self.classes)

    def encode(self, column: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
        """int64 (n,). ValueError names a value that is not among the classes."""
        import pandas as pd
        codes = np.asarray(self.labels.get_indexer(pd.Index(column.to_numpy())), np.int64)
        unknown = column[codes < 0]
        if len(unknown):
            quantity = "; if it is a quantity, make it float: frame[name].astype(float)" \
                if column.dtype.kind in "iu" else ""
            raise ValueError(
                f"{unknown.tolist()[0]!r} in {self.name!r} (row {unknown.index[0]}) is none of the "
                f"{self.c} classes; choose validation rows whose classes are in training rows "
                f"too, or list all with classes=[...]{quantity}")
        return codes

    def decode(self, targets: "np.ndarray[Any, Any]") -> Any:
        """Targets as a person reads them."""
        return np.array(self.classes, object)[targets]


Targets: TypeAlias = FloatList | CategoryList


def make_targets(training: "pd.Series[Any]", label_cls: type[Any] | None = None,
                 classes: Iterable[Any] | None = None) -> Targets:
    """``label_cls``, or what suits the column: numbers if it is of floats, classes otherwise, also
    for ints, as in fastai v1, and where ``classes`` are given.

    >>> import pandas as pd
    >>> type(make_targets(pd.Series([1., 2.]))).__name__
    'FloatList'
    """
    kind = training.infer_objects().dtype.kind
    chosen = label_cls or (FloatList if kind == "f" and classes is None else CategoryList)
    if chosen is FloatList and classes is None:
        return FloatList(training)
    if chosen is not CategoryList:
        raise ValueError(f"label_cls is FloatList (without classes=) or CategoryList; got "
                         f"{chosen!r}, classes={classes!r}")
    return CategoryList(training, classes)
