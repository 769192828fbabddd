"""Processors for tables: fill missing numbers, number the categories, scale numbers.

A processor is fitted on the training rows only, then applied to validation, test and single rows.
"""
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..data.categories import Categories, check_columns
from ..train.callback import listify

if TYPE_CHECKING:
    import pandas as pd

Arrays: TypeAlias = "list[np.ndarray[Any, Any]]"


class TabularProc:
    """Base class of processors: fastai v1's ``TabularProc``.

    A subclass defines ``apply_train``, and ``apply_test`` if it treats other rows differently.
    Both change a frame in place; it is a copy whose rows are numbered from 0. A processor that
    adds a column appends its name to ``cat_names`` or ``cont_names``.

    Parameters
    ----------
    cat_names, cont_names : sequence of str
        The columns of categories and of numbers. A TabularProcessor sets them to its own.

    Raises
    ------
    TypeError
        If a single string is given instead of a list of names.

    Examples
    --------
    >>> class Logarithm(TabularProc):
    ...     def apply_train(self, frame):
    ...         frame[self.cont_names] = np.log(frame[self.cont_names])
    """

    cat_names: list[str]
    cont_names: list[str]

    def __init__(self, cat_names: Sequence[str] = (), cont_names: Sequence[str] = ()) -> None:
        for name in (cat_names, cont_names):
            if isinstance(name, str):
                raise TypeError(f"cat_names and cont_names are lists of columns, got {name!r}; "
                                f"write [{name!r}], or give other arguments by name, such as "
                                "fill_strategy='median'")
        self.cat_names, self.cont_names = list(cat_names), list(cont_names)

    def __call__(self, df: "pd.DataFrame", test: bool = False) -> None:
        """Process a frame in place.

        Parameters
        ----------
        df : DataFrame
            The rows, which are changed.
        test : bool
            Whether to process them in the same way as the training rows, without fitting.
        """
        (self.apply_test if test else self.apply_train)(df)

    def apply_train(self, frame: "pd.DataFrame") -> None:
        """Fit on the training rows, and process them; every subclass overrides this.

        Parameters
        ----------
        frame : DataFrame
            The rows, which are changed.

        Examples
        --------
        >>> import pandas as pd
        >>> scale = Normalize(cont_names=["age"])
        >>> frame = pd.DataFrame({"age": [1., 3., 5.]})
        >>> scale.apply_train(frame)
        >>> frame["age"].round(6).tolist()
        [-1.0, 0.0, 1.0]
        """
        raise NotImplementedError(f"{type(self).__name__} has no apply_train method")

    def apply_test(self, frame: "pd.DataFrame") -> None:
        """Process other rows.

        Parameters
        ----------
        frame : DataFrame
            The rows, which are changed.

        Examples
        --------
        >>> import pandas as pd
        >>> scale = Normalize(cont_names=["age"])
        >>> scale.apply_train(pd.DataFrame({"age": [1., 3., 5.]}))
        >>> frame = pd.DataFrame({"age": [7.]})
        >>> scale.apply_test(frame)
        >>> frame["age"].round(6).tolist()
        [2.0]
        """
        self.apply_train(frame)

    def undo(self, frame: "pd.DataFrame") -> None:
        """Turn processed rows back into readable ones, where possible.

        Parameters
        ----------
        frame : DataFrame
            The rows, which are changed.

        Examples
        --------
        >>> import pandas as pd
        >>> scale = Normalize(cont_names=["age"])
        >>> frame = pd.DataFrame({"age": [1., 3., 5.]})
        >>> scale.apply_train(frame)
        >>> scale.undo(frame)
        >>> frame["age"].round(6).tolist()
        [1.0, 3.0, 5.0]
        """


class FillStrategy(StrEnum):
    """How to fill missing numbers: fastai v1's ``FillStrategy``.

    Examples
    --------
    >>> FillStrategy.COMMON == "mode"
    True
    """

    MEDIAN = "median"
    COMMON = "mode"
    CONSTANT = "constant"


STRATEGIES: "dict[str, Callable[[pd.Series[Any], float], float]]" = {
    "median": lambda column, fill_val: float(column.median()),
    "mode": lambda column, fill_val: float(column.mode()[0]),
    "constant": lambda column, fill_val: fill_val,
}
"""Functions of a column and ``fill_val`` that return what fills a gap."""


class FillMissing(TabularProc):
    """Fill missing numbers: fastai v1's ``FillMissing``.

    Parameters
    ----------
    cat_names, cont_names : sequence of str
        The columns; see ``TabularProc``.
    fill_strategy : FillStrategy, or 'median', 'mode' or 'constant'
        Fill with the median or the most frequent number of the training rows, or with
        ``fill_val``.
    add_col : bool
        Whether to add a categorical column ``<name>_na`` that marks the gaps, for each column with
        gaps in the training rows. A column with gaps only in other rows gets none, because no
        training row shows what they mean; fastai v1 raises an error in this case.
    fill_val : float
        The number for 'constant'.

    Attributes
    ----------
    values : dict of str to float
        The number that fills the gaps of each column.

    Raises
    ------
    ValueError
        If the strategy is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": [1., 3., None, 8.]})
    >>> FillMissing(cont_names=["age"])(frame)
    >>> frame["age"].tolist(), frame["age_na"].tolist()
    ([1.0, 3.0, 3.0, 8.0], [False, False, True, False])
    """

    def __init__(self, cat_names: Sequence[str] = (), cont_names: Sequence[str] = (),
                 fill_strategy: str = FillStrategy.MEDIAN, add_col: bool = True,
                 fill_val: float = 0.) -> None:
        super().__init__(cat_names, cont_names)
        if fill_strategy not in STRATEGIES:
            raise ValueError(f"fill_strategy is one of {', '.join(map(repr, STRATEGIES))}; got "
                             f"{fill_strategy!r}")
        self.fill_strategy = str(fill_strategy)
        self.add_col, self.fill_val = add_col, fill_val

    def apply_train(self, frame: "pd.DataFrame") -> None:
        fill = STRATEGIES[self.fill_strategy]
        self.values = {name: fill(frame[name], self.fill_val) for name in self.cont_names}
        gaps = [name for name in self.cont_names if self.add_col and frame[name].isna().any()]
        self.na_names = {name: f"{name}_na" for name in gaps}
        for taken in {*self.na_names.values()} & {*self.cat_names, *self.cont_names}:
            raise ValueError(f"FillMissing would add a column {taken!r}, which already exists; "
                             "rename it, or use FillMissing(add_col=False)")
        self.apply_test(frame)
        self.cat_names += self.na_names.values()

    def apply_test(self, frame: "pd.DataFrame") -> None:
        for name, na_name in self.na_names.items():
            frame[na_name] = frame[name].isna()
        for name, value in self.values.items():
            frame[name] = frame[name].fillna(value)


class Categorify(TabularProc):
    """Number the labels of each category column from 1: fastai v1's ``Categorify``.

    Labels are sorted; a pandas categorical keeps its order. Number 0, ``#na#``, is for labels that
    are missing or do not occur in the training rows. Called by itself, it turns the columns into
    ordered pandas categories instead, as v1 does.

    Attributes
    ----------
    categories : dict of str to Categories
        The labels of each column.

    Examples
    --------
    >>> import pandas as pd
    >>> train, valid = (pd.DataFrame({"colour": c}) for c in (["red", None, "blue"], ["red", "x"]))
    >>> tfm = Categorify(["colour"])
    >>> tfm(train)
    >>> tfm(valid, test=True)
    >>> train["colour"].cat.categories.tolist(), valid["colour"].tolist()
    (['blue', 'red'], ['red', nan])
    >>> train["colour"].cat.codes.tolist()
    [1, -1, 0]
    >>> tfm.apply_train(frame := pd.DataFrame({"colour": ["red", None, "blue"]}))
    >>> frame["colour"].tolist()
    [2, 0, 1]
    """

    def __call__(self, df: "pd.DataFrame", test: bool = False) -> None:
        """Turn the columns of a frame into ordered pandas categories, in place.

        Parameters
        ----------
        df : DataFrame
            The rows, which are changed.
        test : bool
            Whether to use the labels of the training rows; others are then missing.
        """
        import pandas as pd
        if not test:
            self.categories = {name: _categories(name, df[name]) for name in self.cat_names}
        for name, categories in self.categories.items():
            codes = categories.encode(df[name].to_numpy()) - 1  # -1 is missing
            df[name] = pd.Categorical.from_codes(codes, categories.labels, ordered=True)

    def apply_train(self, frame: "pd.DataFrame") -> None:
        self.categories = {name: _categories(name, frame[name]) for name in self.cat_names}
        self.apply_test(frame)

    def apply_test(self, frame: "pd.DataFrame") -> None:
        for name, categories in self.categories.items():
            frame[name] = categories.encode(frame[name].to_numpy())

    def undo(self, frame: "pd.DataFrame") -> None:
        for name, categories in self.categories.items():
            frame[name] = categories.classes[frame[name]]


class Normalize(TabularProc):
    """Scale numbers to mean 0 and standard deviation 1: fastai v1's ``Normalize``.

    Subtracts the mean of the training rows and divides by their standard deviation (divisor
    n - 1) plus 1e-7. Leave out columns that are constant in the training rows: any other number
    would become huge.

    Parameters
    ----------
    cat_names, cont_names : sequence of str
        The columns; see ``TabularProc``.
    clip : float, optional
        The largest distance of a number from the mean, in standard deviations. Numbers that are
        farther away are set to this limit. fastai v1 does not clip.

    Attributes
    ----------
    stats : dict of str to (float, float)
        Mean and standard deviation of each column.

    Raises
    ------
    ValueError
        If ``clip`` is not positive.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": [1., 3., 5.]})
    >>> Normalize(cont_names=["age"])(frame)
    >>> frame["age"].round(6).tolist()
    [-1.0, 0.0, 1.0]
    """

    clip: float | None = None

    def __init__(self, cat_names: Sequence[str] = (), cont_names: Sequence[str] = (),
                 clip: float | None = None) -> None:
        super().__init__(cat_names, cont_names)
        if clip is not None and not clip > 0:
            raise ValueError(f"clip is a positive number of standard deviations, got {clip!r}")
        self.clip = clip

    @property
    def means(self) -> dict[str, float]:
        """The mean of each column."""
        return {name: mean for name, (mean, _) in self.stats.items()}

    @property
    def stds(self) -> dict[str, float]:
        """The standard deviation of each column."""
        return {name: std for name, (_, std) in self.stats.items()}

    def apply_train(self, frame: "pd.DataFrame") -> None:
        ddof = min(1, len(frame) - 1)  # the deviation of a single row is 0, not NaN
        self.stats = {name: (float(frame[name].mean()), float(frame[name].std(ddof=ddof)))
                      for name in self.cont_names}
        self.apply_test(frame)

    def apply_test(self, frame: "pd.DataFrame") -> None:
        for name, (mean, std) in self.stats.items():
            scaled = (frame[name] - mean) / (std + 1e-7)
            frame[name] = scaled if self.clip is None else scaled.clip(-self.clip, self.clip)

    def undo(self, frame: "pd.DataFrame") -> None:
        for name, (mean, std) in self.stats.items():
            frame[name] = frame[name] * (std + 1e-7) + mean


Proc: TypeAlias = TabularProc | Callable[[], TabularProc]
"""A processor, or a function that makes one: a class, or a partial of it."""


class TabularProcessor:
    """The processors of a table, applied in order: fastai v1's ``TabularProcessor``.

    It works on copies of the frames and of the processors.

    Parameters
    ----------
    procs : processor, or iterable of processors, optional
        Classes or objects.
    cat_names, cont_names : sequence of str
        The columns of categories and of numbers. The attributes of these names include columns
        that processors have added.

    Attributes
    ----------
    categories : dict of str to Categories
        The labels of each category column.

    Examples
    --------
    >>> import pandas as pd
    >>> table = TabularProcessor([FillMissing, Categorify], ["colour"], ["age"])
    >>> [a.tolist() for a in table.fit(pd.DataFrame({"colour": ["b", "a"], "age": [4., None]}))]
    [[[2, 1], [1, 2]], [[4.0], [4.0]]]
    """

    def __init__(self, procs: Iterable[Proc] | Proc | None, cat_names: Sequence[str],
                 cont_names: Sequence[str]) -> None:
        self.procs = [_instance(proc) for proc in listify(procs)]
        self.inputs = [*cat_names], [*cont_names]
        self.cat_names, self.cont_names = [*cat_names], [*cont_names]
        self.categories: dict[str, Categories] = {}

    def fit(self, rows: "pd.DataFrame") -> Arrays:
        """Fit every processor on the training rows, and process them.

        Parameters
        ----------
        rows : DataFrame
            The training rows (n).

        Returns
        -------
        list of ndarray
            Ids (n, n_cat) of type int64, numbers (n, n_cont) of type float32.

        Raises
        ------
        ValueError
            If a column has no numbers, if numbers are still missing or infinite after all
            processors, or if no processor numbers the categories.

        Examples
        --------
        >>> import pandas as pd
        >>> table = TabularProcessor([FillMissing, Categorify], ["colour"], ["age"])
        >>> ids, numbers = table.fit(pd.DataFrame({"colour": ["b", "a"], "age": [4., 6.]}))
        >>> ids.tolist(), numbers.tolist()
        ([[2], [1]], [[4.0], [6.0]])
        """
        frame = self._copy(rows)
        for name in self.cont_names:
            if frame[name].isna().all():
                raise ValueError(f"column {name!r} has no number in the {len(frame)} training "
                                 "rows; leave it out of cont_names")
        for proc in self.procs:
            proc.cat_names, proc.cont_names = self.cat_names, self.cont_names
            proc.apply_train(frame)
            self.categories |= getattr(proc, "categories", {})
        if left := [name for name in self.cat_names if name not in self.categories]:
            raise ValueError(f"no processor numbers the labels of {', '.join(map(repr, left))}; "
                             "put Categorify in procs (after FillMissing, which adds columns)")
        return self._arrays(frame, rows.index)

    def apply(self, rows: "pd.DataFrame") -> Arrays:
        """Process other rows; the result is like that of ``fit``.

        Parameters
        ----------
        rows : DataFrame
            The rows (n), with the columns of the inputs.

        Returns
        -------
        list of ndarray
            Ids (n, n_cat) of type int64, numbers (n, n_cont) of type float32.

        Examples
        --------
        >>> import pandas as pd
        >>> table = TabularProcessor([FillMissing, Categorify], ["colour"], ["age"])
        >>> _ = table.fit(pd.DataFrame({"colour": ["b", "a"], "age": [4., 6.]}))
        >>> [a.tolist() for a in table.apply(pd.DataFrame({"colour": ["c"], "age": [None]}))]
        [[[0]], [[5.0]]]
        """
        frame = self._copy(rows)
        for proc in self.procs:
            proc.apply_test(frame)
        return self._arrays(frame, rows.index)

    def undo(self, arrays: Arrays) -> "pd.DataFrame":
        """Turn processed rows back into readable ones.

        Parameters
        ----------
        arrays : list of ndarray
            Ids (n, n_cat) and numbers (n, n_cont), as from ``fit`` and ``apply``.

        Returns
        -------
        DataFrame
            The rows (n).

        Examples
        --------
        >>> import pandas as pd
        >>> table = TabularProcessor([FillMissing, Categorify], ["colour"], ["age"])
        >>> arrays = table.fit(pd.DataFrame({"colour": ["b", "a"], "age": [4., 6.]}))
        >>> table.undo(arrays)
          colour  age
        0      b  4.0
        1      a  6.0
        """
        import pandas as pd
        frame = pd.concat([pd.DataFrame(a, columns=pd.Index(names)) for a, names in
                           zip(arrays, [self.cat_names, self.cont_names], strict=True)], axis=1)
        for proc in reversed(self.procs):
            proc.undo(frame)
        return frame

    def _copy(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        """Return the columns that are needed, rows numbered from 0."""
        import pandas as pd
        cats, conts = self.inputs
        check_columns(rows.columns, [*cats, *conts], have="there are")
        return pd.DataFrame({**{name: _labels(rows[name]) for name in cats},
                             **{name: to_numbers(rows[name]) for name in conts}},
                            index=range(len(rows)))

    def _arrays(self, frame: "pd.DataFrame", labels: "pd.Index[Any]") -> Arrays:
        with np.errstate(over="ignore"):  # numbers that are too large are found below
            ids, numbers = (np.ascontiguousarray(frame[names].to_numpy(dtype)) for names, dtype in
                            [(self.cat_names, np.int64), (self.cont_names, np.float32)])
        for row, column in np.argwhere(~np.isfinite(numbers)):
            raise ValueError(f"column {self.cont_names[column]!r} has {numbers[row, column]} in "
                             f"row {labels[row]} after procs; put FillMissing in procs to fill "
                             "missing numbers, and Normalize to scale large ones")
        return [ids, numbers]


def _labels(column: "pd.Series[Any]") -> Any:
    """Return labels as an array, a pandas category as it is."""
    return column.array if hasattr(column, "cat") else column.to_numpy()


def _categories(name: str, column: "pd.Series[Any]") -> Categories:
    """Return the labels of a column, those of a pandas category in its order."""
    categories = Categories(name, _labels(column))
    if hasattr(labels := categories.labels, "categories"):
        categories.labels = labels.astype(labels.categories.dtype)  # it compares with any labels
    return categories


def _instance(proc: Any) -> TabularProc:
    """Return a copy of a processor, or a new one of a class."""
    made = copy(proc) if isinstance(proc, TabularProc) else proc() if callable(proc) else None
    if not isinstance(made, TabularProc):
        raise TypeError(f"procs are classes or objects such as FillMissing, Categorify, Normalize; "
                        f"got {proc!r}")
    return made


def to_numbers(column: "pd.Series[Any]", dtype: type[np.floating[Any]] = np.float64,
               otherwise: str = "name it in cat_names") -> "np.ndarray[Any, Any]":
    """Return a column as an array of numbers, NaN where one is missing.

    Parameters
    ----------
    column : Series
        The column (n,).
    dtype : type
        Type of the result.
    otherwise : str
        What the error message suggests for a column of text.

    Returns
    -------
    ndarray
        The numbers (n,).

    Raises
    ------
    TypeError
        If the column does not hold numbers.
    ValueError
        If a number is infinite, or too large for ``dtype``.

    Examples
    --------
    >>> import pandas as pd
    >>> to_numbers(pd.Series([1, None]))
    array([ 1., nan])
    """
    if column.dtype.kind not in "iufb" and not column.isna().all():
        raise TypeError(f"column {column.name!r} holds {column.dtype}, not numbers (for example "
                        f"{column.dropna().iloc[0]!r}); convert them with pd.to_numeric, or "
                        f"{otherwise}")
    with np.errstate(over="ignore"):
        values = column.to_numpy(dtype, na_value=np.nan)
    if len(infinite := np.flatnonzero(np.isinf(values))):
        raise ValueError(f"column {column.name!r} has {len(infinite)} infinite values (the first, "
                         f"{values[infinite[0]]}, in row {column.index[infinite[0]]}); drop these "
                         "rows, or replace the values, with NaN if they mean missing")
    return values
