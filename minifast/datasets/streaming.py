"""Columns that arrive piece by piece, each one array in the end.

Nothing as long as the data lies beside the columns themselves: the work is done in slices.
"""
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.categories import Categories
from ..data.split import Rows

if TYPE_CHECKING:
    import pandas as pd

Codes = np.ndarray[Any, np.dtype[np.int32]]
SLICE = 1 << 20
"""How many rows at a time are worked on."""
NUMBERS = {"integer": "number", "floating": "number", "mixed-integer-float": "number"}
"""What pandas calls labels that can be in one column: a gap makes floats of whole numbers."""
EXACT = 2 ** 53
"""From here on not every whole number is a float."""


def slices(n: int) -> Iterator[slice]:
    """``n`` rows in slices of at most SLICE.

    >>> list(slices(3))
    [slice(0, 3, None)]
    """
    return (slice(start, min(start + SLICE, n)) for start in range(0, n, SLICE))


def picked(array: "np.ndarray[Any, Any]", rows: Rows) -> "np.ndarray[Any, Any]":
    """``array[rows]``, without turning all row numbers into int64 at once, as NumPy does.

    >>> picked(np.array([5., 6., 7.]), np.array([2, 0], np.int32))
    array([7., 5.])
    """
    out = np.empty(len(rows), array.dtype)
    for part in slices(len(rows)):
        array.take(rows[part], out=out[part], mode="clip")  # raising would buffer; rows fit
    return out


class Growing:
    """An array that grows at its end, in place: a list of pieces to be joined is there twice.

    >>> column = Growing(np.float32)
    >>> column.append(np.ones(2)), column.append(np.zeros(1)), len(column)
    (None, None, 3)
    >>> column.whole()
    array([1., 1., 0.], dtype=float32)
    """

    def __init__(self, dtype: Any) -> None:
        self._array, self._n = np.empty(0, dtype), 0

    def __len__(self) -> int:
        return self._n

    def append(self, values: "np.ndarray[Any, Any]") -> None:
        """Copy ``values`` to the end."""
        start, self._n = self._n, self._n + len(values)
        if self._n > len(self._array):  # a quarter more, so that many small pieces take few moves
            self._array.resize(max(self._n, len(self._array) * 5 // 4), refcheck=False)
        self._array[start:self._n] = values

    def whole(self) -> "np.ndarray[Any, Any]":
        """The array, given away: this is empty afterwards."""
        self._array.resize(self._n, refcheck=False)
        whole, self._array, self._n = self._array, self._array[:0].copy(), 0
        return whole


class LabelColumn:
    """A column of labels: numbered from 0 as they come, and by their order once all are there.

    >>> import pandas as pd
    >>> column = LabelColumn("user")
    >>> column.add(pd.Series([7, 3]))
    >>> column.add(pd.Series([5, 7]))
    >>> cats, codes = column.finish(np.array([0, 1, 3, 2]), n_train=3)
    >>> cats.classes.tolist(), codes.tolist()
    (['#na#', '3', '7'], [2, 1, 2, 0])
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._numbers: dict[Hashable, int] = {}
        self._labels: list[pd.Index[Any]] = []
        self._codes = Growing(np.int32)
        self._kind = ""

    def add(self, column: "pd.Series[Any]", where: str = "") -> None:
        """Number the labels of a piece. TypeError for a kind that does not go with those before;
        ``where`` begins the message.
        """
        for part in slices(len(column)):
            self._add(column.iloc[part], where)

    def _add(self, column: "pd.Series[Any]", where: str) -> None:
        import pandas as pd
        try:
            places, unique = pd.factorize(column)
        except TypeError as error:
            raise TypeError(f"{where}column {self.name!r} holds what cannot be a label ({error}); "
                            "make numbers or texts of it") from error
        labels = pd.Index(unique.to_numpy()).infer_objects()
        if len(labels):
            self._check_kind(labels, column, where)
        known = len(self._numbers)
        numbers = [self._numbers.setdefault(label, len(self._numbers)) for label in labels.tolist()]
        lut = np.array([*numbers, -1], np.int32)  # the last is found at place -1: missing
        self._labels.append(labels[lut[:-1] >= known])
        self._codes.append(lut[places])

    def _check_kind(self, labels: "pd.Index[Any]", column: "pd.Series[Any]", where: str) -> None:
        import pandas as pd
        found = pd.api.types.infer_dtype(labels)
        kind = NUMBERS.get(found, found)
        if self._kind not in ("", kind):
            row, value = _telling(column)
            before = next(iter(self._numbers))
            raise TypeError(f"{where}column {self.name!r} holds labels of type {kind}, {value!r} "
                            f"in row {row!r}, and of type {self._kind} before, such as {before!r}; "
                            "convert the column to one type, when reading a CSV file with "
                            f"dtype={{{self.name!r}: str}}")
        self._kind = kind

    def finish(self, order: Rows, n_train: int) -> tuple[Categories, Codes]:
        """The labels of the training rows, and the number of each row's label among them.

        ``order`` says which rows come in which place; the first ``n_train`` train. What was
        gathered is given up.
        """
        codes = picked(self._codes.whole(), order)
        labels = self._all_labels()
        seen = np.zeros(len(labels) + 1, bool)
        for part in slices(n_train):
            seen[codes[part]] = True
        cats = Categories(self.name, labels[seen[:-1]])
        final = np.append(cats.encode(labels), 0).astype(np.int32)
        for part in slices(len(codes)):
            codes[part] = final[codes[part]]
        return cats, codes

    def _all_labels(self) -> "pd.Index[Any]":
        import pandas as pd
        parts = [part for part in self._labels if len(part)] or self._labels[:1]
        if len({part.dtype for part in parts}) == 1:
            one: pd.Index[Any] = parts[0].append(parts[1:])
            return one
        labels: pd.Index[Any] = pd.Index([label for part in parts for label in part.tolist()])
        if labels.dtype.kind == "f" and max(-labels.min(), labels.max()) >= EXACT:
            raise ValueError(f"column {self.name!r} has whole numbers above {EXACT}, and floats in "
                             "other pieces, which are not exact there (a missing value makes "
                             "floats of whole numbers); when reading a CSV file, "
                             f"dtype={{{self.name!r}: 'Int64'}} keeps them whole")
        return labels


# ---------------------------------------------------------------- numbers


def read_numbers(column: "pd.Series[Any]", where: str = ""
                 ) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """A column of ratings as float32, a new array.

    ValueError names the first that is no number, missing or infinite; ``where`` begins it.

    >>> import pandas as pd
    >>> read_numbers(pd.Series([4, 3]))
    array([4., 3.], dtype=float32)
    """
    if column.dtype.kind not in "iufb":
        row, value = _telling(column)
        raise ValueError(f"{where}ratings must be numbers; column {column.name!r} holds "
                         f"{column.dtype} (for example {value!r} in row {row!r}). Convert it with "
                         "pd.to_numeric, or name another column with rating_name=")
    values = np.empty(len(column), np.float32)
    for part in slices(len(column)):
        values[part] = column.iloc[part].to_numpy(np.float32, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        row = column.index[[bad[0]]].tolist()[0]  # Python's own number or text
        how = ", in each piece, and give the pieces to from_pieces" if where else ""
        raise ValueError(f"{where}column {column.name!r} has {len(bad)} missing or infinite "
                         f"ratings (the first, {values[bad[0]]}, in row {row!r}); drop the "
                         f"missing ones with ratings.dropna(subset=[{column.name!r}]){how}")
    return values


def _telling(column: "pd.Series[Any]") -> tuple[Any, Any]:
    """Row and value of the first that is no number; if all are, of the first."""
    present = column.dropna() if column.notna().any() else column
    for row, value in present.items():
        try:
            float(value)
        except (TypeError, ValueError):
            return row, value
    return next(iter(present.items()))
