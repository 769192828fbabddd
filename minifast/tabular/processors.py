"""What is done to a table before a model sees it: gaps filled, categories numbered, numbers scaled.

Each step is fitted on the training rows alone, then done to validation, test and single rows.
"""
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..data.categories import Categories, check_columns

if TYPE_CHECKING:
    import pandas as pd

Arrays: TypeAlias = "list[np.ndarray[Any, Any]]"


class TabularProc:
    """One step in the preparation of a table; fastai v1's ``TabularProc``.

    A subclass writes ``apply_train``, and ``apply_test`` where other rows are treated
    differently. Both change ``frame`` in place: it is a copy that belongs to the steps, without
    gaps in its row numbers. ``cat_names`` and ``cont_names`` are the columns so far, set before
    ``apply_train``; a step that makes a column appends its name.

    >>> class Logarithm(TabularProc):
    ...     def apply_train(self, frame):
    ...         frame[self.cont_names] = np.log(frame[self.cont_names])
    """

    cat_names: list[str]
    cont_names: list[str]

    def apply_train(self, frame: "pd.DataFrame") -> None:
        """Fit on the training rows, and change them."""
        raise NotImplementedError

    def apply_test(self, frame: "pd.DataFrame") -> None:
        """Change other rows, as fitted."""
        self.apply_train(frame)

    def undo(self, frame: "pd.DataFrame") -> None:
        """Turn rows back to what a person reads, where that can be done."""


STRATEGIES: "dict[str, Callable[[pd.Series[Any], float], float]]" = {
    "median": lambda column, fill_val: float(column.median()),
    "mode": lambda column, fill_val: float(column.mode()[0]),
    "constant": lambda column, fill_val: fill_val,
}
"""What a gap is filled with, from the training rows of its column."""


class FillMissing(TabularProc):
    """Fill missing numbers: with the column's ``median`` (or ``mode``) in the training rows, or
    with the constant ``fill_val``.

    With ``add_col`` a column in which training rows have gaps gets a category column beside it,
    ``<name>_na``, which says where they were. A column with gaps in other rows only is filled,
    without one: the model could not have learnt what it means (v1 raises an error there).

    ``values`` are what the gaps of each column are filled with. fastai v1's ``FillMissing``.

    >>> import pandas as pd
    >>> step, frame = FillMissing(), pd.DataFrame({"age": [1., 3., None, 8.]})
    >>> step.cat_names, step.cont_names = [], ["age"]
    >>> step.apply_train(frame)
    >>> frame["age"].tolist(), frame["age_na"].tolist()
    ([1.0, 3.0, 3.0, 8.0], [False, False, True, False])
    """

    def __init__(self, fill_strategy: str = "median", add_col: bool = True, fill_val: float = 0.
                 ) -> None:
        if fill_strategy not in STRATEGIES:
            raise ValueError(f"fill_strategy is one of {', '.join(map(repr, STRATEGIES))}; got "
                             f"{fill_strategy!r}")
        self.fill_strategy, self.add_col, self.fill_val = fill_strategy, add_col, fill_val

    def apply_train(self, frame: "pd.DataFrame") -> None:
        fill = STRATEGIES[self.fill_strategy]
        self.values = {name: fill(frame[name], self.fill_val) for name in self.cont_names}
        gaps = [name for name in self.cont_names if self.add_col and frame[name].isna().any()]
        self.na_names = {name: f"{name}_na" for name in gaps}
        for taken in {*self.na_names.values()} & {*self.cat_names, *self.cont_names}:
            raise ValueError(f"FillMissing would add a column {taken!r}, and there is one; rename "
                             "it, or use FillMissing(add_col=False)")
        self.apply_test(frame)
        self.cat_names += self.na_names.values()

    def apply_test(self, frame: "pd.DataFrame") -> None:
        for name, na_name in self.na_names.items():
            frame[na_name] = frame[name].isna()
        for name, value in self.values.items():
            frame[name] = frame[name].fillna(value)


class Categorify(TabularProc):
    """Number the labels of each category column from 1, in sorted order; 0 is ``#na#``, a label
    that is missing or not among the training rows. ``categories`` are the columns' Categories.

    >>> import pandas as pd
    >>> step, frame = Categorify(), pd.DataFrame({"colour": ["red", None, "blue"]})
    >>> step.cat_names, step.cont_names = ["colour"], []
    >>> step.apply_train(frame)
    >>> frame["colour"].tolist()
    [2, 0, 1]
    """

    categories: dict[str, Categories]

    def apply_train(self, frame: "pd.DataFrame") -> None:
        self.categories = {name: Categories(name, frame[name].to_numpy())
                           for name in self.cat_names}
        self.apply_test(frame)

    def apply_test(self, frame: "pd.DataFrame") -> None:
        for name, categories in self.categories.items():
            frame[name] = categories.encode(frame[name].to_numpy())

    def undo(self, frame: "pd.DataFrame") -> None:
        for name, categories in self.categories.items():
            frame[name] = categories.classes[frame[name]]


class Normalize(TabularProc):
    """Numbers minus the mean of their column, over its standard deviation + 1e-7, both of the
    training rows (divisor n - 1). ``stats`` are (mean, std) by column.

    A column that is constant there stays 0, but the slightest difference in another row becomes
    huge: leave such a column out. fastai v1's ``Normalize``.

    >>> import pandas as pd
    >>> step, frame = Normalize(), pd.DataFrame({"age": [1., 3., 5.]})
    >>> step.cat_names, step.cont_names = [], ["age"]
    >>> step.apply_train(frame)
    >>> frame["age"].round(6).tolist()
    [-1.0, 0.0, 1.0]
    """

    def apply_train(self, frame: "pd.DataFrame") -> None:
        ddof = min(1, len(frame) - 1)  # a single row has no spread: 0, not NaN
        self.stats = {name: (float(frame[name].mean()), float(frame[name].std(ddof=ddof)))
                      for name in self.cont_names}
        self.apply_test(frame)

    def apply_test(self, frame: "pd.DataFrame") -> None:
        for name, (mean, std) in self.stats.items():
            frame[name] = (frame[name] - mean) / (std + 1e-7)

    def undo(self, frame: "pd.DataFrame") -> None:
        for name, (mean, std) in self.stats.items():
            frame[name] = frame[name] * (std + 1e-7) + mean


Proc: TypeAlias = TabularProc | Callable[[], TabularProc]
"""A processor, or what makes one: a class, or a partial of it."""


class TabularProcessor:
    """The processors of a table, in their order; fastai v1's ``TabularProcessor``.

    ``fit`` takes the training rows, ``apply`` any others; both give [ids (n, n_cat) int64, numbers
    (n, n_cont) float32]. ``cat_names`` and ``cont_names`` are the columns of these. The frames
    that are handed in, and the processors, stay as they are: copies are worked on.

    >>> import pandas as pd
    >>> table = TabularProcessor([FillMissing, Categorify], ["colour"], ["age"])
    >>> [a.tolist() for a in table.fit(pd.DataFrame({"colour": ["b", "a"], "age": [4., None]}))]
    [[[2, 1], [1, 2]], [[4.0], [4.0]]]
    """

    def __init__(self, procs: Iterable[Proc] | Proc | None, cat_names: Sequence[str],
                 cont_names: Sequence[str]) -> None:
        self.procs = [_made(proc) for proc in _as_list(procs)]
        self.inputs = [*cat_names], [*cont_names]
        self.cat_names, self.cont_names = [*cat_names], [*cont_names]
        self.categories: dict[str, Categories] = {}

    def fit(self, rows: "pd.DataFrame") -> Arrays:
        """Fit every processor on these rows, and process them."""
        frame = self._own(rows)
        for name in self.cont_names:
            if frame[name].isna().all():
                raise ValueError(f"column {name!r} has no number in the {len(frame)} training "
                                 "rows; leave it out of cont_names")
        for proc in self.procs:
            proc.cat_names, proc.cont_names = self.cat_names, self.cont_names
            proc.apply_train(frame)
            self.categories |= getattr(proc, "categories", {})
        self._check_categories()
        return self._arrays(frame, rows.index)

    def apply(self, rows: "pd.DataFrame") -> Arrays:
        """Process rows as fitted."""
        frame = self._own(rows)
        for proc in self.procs:
            proc.apply_test(frame)
        return self._arrays(frame, rows.index)

    def undo(self, arrays: Arrays) -> "pd.DataFrame":
        """Rows of ``arrays`` as a person reads them."""
        import pandas as pd
        frame = pd.concat([pd.DataFrame(a, columns=pd.Index(names)) for a, names in
                           zip(arrays, [self.cat_names, self.cont_names], strict=True)], axis=1)
        for proc in reversed(self.procs):
            proc.undo(frame)
        return frame

    def _own(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        import pandas as pd
        cats, conts = self.inputs
        check_columns(rows.columns, [*cats, *conts], have="there are")
        return pd.DataFrame({**{name: rows[name].to_numpy() for name in cats},
                             **{name: finite_or_missing(rows[name]) for name in conts}},
                            index=range(len(rows)))

    def _check_categories(self) -> None:
        left = [name for name in self.cat_names if name not in self.categories]
        if left:
            raise ValueError(f"no processor numbers the labels of {', '.join(map(repr, left))}; "
                             "put Categorify in procs (after FillMissing, which adds columns)")

    def _arrays(self, frame: "pd.DataFrame", labels: "pd.Index[Any]") -> Arrays:
        with np.errstate(over="ignore"):  # what is too large is found below
            ids, numbers = (np.ascontiguousarray(frame[names].to_numpy(dtype)) for names, dtype in
                            [(self.cat_names, np.int64), (self.cont_names, np.float32)])
        for row, column in np.argwhere(~np.isfinite(numbers)):
            raise ValueError(
                f"column {self.cont_names[column]!r} has {numbers[row, column]} in row "
                f"{labels[row]} after procs; put FillMissing in procs to fill missing numbers, "
                "and Normalize to scale large ones")
        return [ids, numbers]


def _as_list(procs: Any) -> list[Any]:
    return [] if procs is None else list(procs) if isinstance(procs, (list, tuple)) else [procs]


def _made(proc: Any) -> TabularProc:
    made = copy(proc) if isinstance(proc, TabularProc) else proc() if callable(proc) else None
    if not isinstance(made, TabularProc):
        raise TypeError(f"procs are classes or objects such as FillMissing, Categorify, Normalize; "
                        f"got {proc!r}")
    return made


def finite_or_missing(column: "pd.Series[Any]") -> "np.ndarray[Any, np.dtype[np.float64]]":
    """A column as numbers, NaN where one is missing.

    TypeError if it holds something else, ValueError for one that is infinite.

    >>> import pandas as pd
    >>> finite_or_missing(pd.Series([1, None]))
    array([ 1., nan])
    """
    if column.dtype.kind not in "iufb" and not column.isna().all():
        raise TypeError(f"column {column.name!r} holds {column.dtype}, no numbers (for example "
                        f"{column.dropna().iloc[0]!r}); name it in cat_names, or convert it with "
                        "pd.to_numeric")
    values = column.to_numpy(np.float64, na_value=np.nan)
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise ValueError(f"column {column.name!r} has {len(infinite)} infinite values (the first, "
                         f"{values[infinite[0]]}, in row {column.index[infinite[0]]}); replace "
                         "them, with NaN if they mean missing")
    return values
