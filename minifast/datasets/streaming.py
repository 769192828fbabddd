"""Columns that arrive in chunks and become one array each.

No second array of the data's length is made: long arrays are changed in place, a slice at a time.
"""
from array import array
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.categories import Categories
from ..data.ratings import first_text
from ..data.split import Rows

if TYPE_CHECKING:
    import pandas as pd

SLICE = 1 << 20
"""Rows in a slice."""
NUMBERS = {"integer": "number", "floating": "number", "mixed-integer-float": "number"}
"""Types of labels, as pandas names them, that one column may mix: a gap makes integers floats."""
EXACT = 2 ** 53
"""The first whole number after which floats have gaps."""


def slices(n: int) -> Iterator[slice]:
    """Yield slices of at most SLICE rows that cover ``n`` rows.

    Parameters
    ----------
    n : int
        The number of rows.

    Returns
    -------
    iterator of slice
        The slices, in order.

    Examples
    --------
    >>> list(slices(3))
    [slice(0, 3, None)]
    """
    return (slice(start, min(start + SLICE, n)) for start in range(0, n, SLICE))


def take(values: "np.ndarray[Any, Any]", rows: Rows) -> "np.ndarray[Any, Any]":
    """Return ``values[rows]`` without an int64 copy of all row numbers, which NumPy makes.

    Parameters
    ----------
    values : array (n,)
        The values.
    rows : array (m,) of int32
        Row numbers, all in range.

    Returns
    -------
    array (m,)
        The values in these rows.

    Examples
    --------
    >>> take(np.array([5., 6., 7.]), np.array([2, 0], np.int32))
    array([7., 5.])
    """
    out = np.empty(len(rows), values.dtype)
    for part in slices(len(rows)):
        values.take(rows[part], out=out[part], mode="clip")  # mode="raise" would buffer the output
    return out


class LabelColumn:
    """A column of labels that arrives in chunks.

    Labels are numbered from 0 as they arrive. Once all are known, these numbers are replaced by
    those of the sorted labels.

    Examples
    --------
    >>> import pandas as pd
    >>> column = LabelColumn()
    >>> column.append(pd.Series([7, 3], name="user"))
    >>> column.append(pd.Series([5, 7], name="user"))
    >>> cats, codes = column.finish(np.array([0, 1, 3, 2]), n_train=3)
    >>> cats.classes.tolist(), codes.tolist()
    (['#na#', '3', '7'], [2, 1, 2, 0])
    """

    def __init__(self) -> None:
        self.name: Any = None
        self._numbers: dict[Hashable, int] = {}
        self._labels: list[pd.Index[Any]] = []
        self._codes = array("i")
        self._kind = ""

    def append(self, column: "pd.Series[Any]", where: str = "") -> None:
        """Assign numbers to the labels of a chunk.

        Parameters
        ----------
        column : pandas.Series (n,)
            The labels.
        where : str
            Beginning of error messages.

        Raises
        ------
        TypeError
            If a label cannot be hashed, or has another type than those before it.

        Examples
        --------
        >>> import pandas as pd
        >>> column = LabelColumn()
        >>> column.append(pd.Series([7, 3, 7], name="user"))
        >>> column.name
        'user'
        """
        self.name = column.name
        for part in slices(len(column)):
            self._append(column.iloc[part], where)

    def _append(self, column: "pd.Series[Any]", where: str) -> None:
        import pandas as pd
        try:
            places, unique = pd.factorize(column)
        except TypeError as error:
            raise TypeError(f"{where}column {self.name!r} holds values that cannot be labels "
                            f"({error}); convert them to numbers or strings") from error
        labels = pd.Index(unique.to_numpy()).infer_objects()
        if len(labels):
            self._check_kind(labels, column, where)
        known = len(self._numbers)
        numbers = [self._numbers.setdefault(label, len(self._numbers)) for label in labels.tolist()]
        codes = np.array([*numbers, -1], np.int32)  # the last one has index -1: missing
        self._labels.append(labels[codes[:-1] >= known])
        self._codes.frombytes(codes[places].tobytes())

    def _check_kind(self, labels: "pd.Index[Any]", column: "pd.Series[Any]", where: str) -> None:
        kind = NUMBERS.get(labels.inferred_type, labels.inferred_type)
        if self._kind not in ("", kind):
            row, value = first_text(column)
            raise TypeError(f"{where}column {self.name!r} holds labels of type {kind}, {value!r} "
                            f"in row {row!r}, and of type {self._kind} before, such as "
                            f"{next(iter(self._numbers))!r}; convert the column to one type, when "
                            f"reading a CSV file with dtype={{{self.name!r}: str}}")
        self._kind = kind

    def finish(self, order: Rows, n_train: int, where: str = "") -> tuple[Categories, Rows]:
        """Return the categories and all codes, and become empty.

        Parameters
        ----------
        order : array (n,) of int32
            Row numbers: the training rows, then the validation rows.
        n_train : int
            Number of training rows.
        where : str
            Beginning of error messages.

        Returns
        -------
        categories : Categories
            The labels of the training rows.
        codes : array (n,) of int32
            The number of each row's label, in this order.

        Raises
        ------
        ValueError
            If there are floats above 2^53, which do not represent every integer.

        Examples
        --------
        >>> import pandas as pd
        >>> column = LabelColumn()
        >>> column.append(pd.Series([7, 3, 7], name="user"))
        >>> cats, codes = column.finish(np.array([0, 1, 2], np.int32), n_train=3)
        >>> cats.classes.tolist(), codes.tolist()
        (['#na#', '3', '7'], [2, 1, 2])
        """
        codes = take(np.asarray(self._codes), order)
        del self._codes[:]
        seen = np.zeros(len(self._numbers) + 1, bool)
        for part in slices(n_train):
            seen[codes[part]] = True
        cats, final = self.categories(seen, where)
        for part in slices(len(codes)):
            codes[part] = final[codes[part]]
        return cats, codes

    def pop_codes(self) -> Rows:
        """Return the numbers of the labels appended so far, and forget them; -1 is missing."""
        codes = np.array(self._codes, np.int32)
        del self._codes[:]
        return codes

    def categories(self, seen: "np.ndarray[Any, Any]", where: str = "") -> tuple[Categories, Rows]:
        """Return the categories and their numbers.

        Parameters
        ----------
        seen : array of bool
            Whether each label occurs in a training row; the array may be longer or shorter.
        where : str
            Beginning of error messages.

        Returns
        -------
        categories : Categories
            The labels of the training rows.
        numbers : array (n_labels + 1,) of int32
            The number of each label in the order of arrival; the last one stands for missing.

        Examples
        --------
        >>> import pandas as pd
        >>> column = LabelColumn()
        >>> column.append(pd.Series([7, 3, 5], name="user"))
        >>> cats, numbers = column.categories(np.array([True, True, False]))
        >>> cats.classes.tolist(), numbers.tolist()
        (['#na#', '3', '7'], [2, 1, 0, 0])
        """
        labels = self._all_labels(where)
        occurs = np.zeros(len(labels), bool)
        n = min(len(labels), len(seen))
        occurs[:n] = seen[:n]
        cats = Categories(self.name, labels[occurs])
        return cats, np.append(cats.encode(labels), 0).astype(np.int32)

    def _all_labels(self, where: str) -> "pd.Index[Any]":
        import pandas as pd
        parts = [part for part in self._labels if len(part)] or self._labels[:1]
        labels: pd.Index[Any] = parts[0].append(parts[1:]) \
            if len({part.dtype for part in parts}) == 1 \
            else pd.Index([label for part in parts for label in part.tolist()])
        if labels.dtype.kind == "f" and max(-labels.min(), labels.max()) >= EXACT:
            raise ValueError(f"{where}column {self.name!r} has whole numbers above {EXACT} as "
                             "floats, which are not exact there (a missing value turns whole "
                             "numbers into floats); when reading a CSV file, "
                             f"dtype={{{self.name!r}: 'Int64'}} keeps them whole")
        return labels
