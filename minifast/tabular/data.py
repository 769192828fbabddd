"""TabularDataBunch: batches from a frame of categories and numbers."""
from collections.abc import Hashable, Iterable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from warnings import warn

import numpy as np

from ..autograd import Tensor
from ..data.bunch import DataBunch
from ..data.categories import Categories, check_columns, emb_sz_rule
from ..data.loader import ArrayDataset, DataLoader, to_tensors
from ..data.split import split_by_idx
from .processors import Proc, TabularProcessor
from .targets import CategoryList, FloatList, MultiCategoryList, Targets, make_targets

if TYPE_CHECKING:
    import pandas as pd

Procs = Iterable[Proc] | Proc | None
Names: TypeAlias = Sequence[str] | None


class TabularRows(ArrayDataset):
    """Processed rows of a table, which know their columns, as v1's ``data.train_ds`` does.

    Attributes
    ----------
    cat_names, cont_names : list of str
        The columns of ids and of numbers.
    classes : list, optional
        Classes of the targets.
    c : int, optional
        Their number, or the number of columns of targets.

    Examples
    --------
    >>> rows = TabularRows([np.zeros((3, 1), np.int64), np.zeros((3, 0), np.float32)], np.zeros(3))
    >>> rows.cat_names = ["colour"]
    >>> rows.to("cpu").cat_names
    ['colour']
    """

    cat_names: Sequence[str] = ()
    cont_names: Sequence[str] = ()
    classes: Sequence[Any] | None = None
    c: int | None = None

    def to(self, device: str) -> "TabularRows":
        moved = copy(self)
        vars(moved).update(vars(super().to(device)))
        return moved


class TabularDataBunch(DataBunch):
    """Rows of a table in batches, made by ``from_df``: fastai v1's ``TabularDataBunch``.

    Inputs are [ids (bs, n_cat) of type int64, numbers (bs, n_cont) of type float32].

    Attributes
    ----------
    processor : TabularProcessor
        The fitted processors.
    targets : FloatList, CategoryList or MultiCategoryList
        How targets are encoded.
    dep_names : sequence of str
        The columns of targets.
    cat_names, cont_names : list of str
        The categorical columns, including those that FillMissing has added, and the continuous
        columns.
    categories : list of Categories
        The labels of each category column.
    classes : list, optional
        Classes of the targets; None if they are numbers.
    """

    processor: TabularProcessor
    targets: Targets
    dep_names: Sequence[Any] = ()
    cat_names: list[str]
    cont_names: list[str]
    categories: list[Categories]

    @classmethod
    def from_df(cls, path: str | Path, df: "pd.DataFrame", dep_var: Hashable | list[Any],
                valid_idx: Iterable[int], procs: Procs = None,
                cat_names: Names = None, cont_names: Names = None,
                classes: Iterable[Any] | None = None, test_df: "pd.DataFrame | None" = None,
                bs: int = 64, val_bs: int | None = None, label_cls: type[Any] | None = None,
                log: bool = False, **kwargs: Any) -> "TabularDataBunch":
        """Make batches from a frame.

        Parameters
        ----------
        path : str or Path
            Folder of the learner's files.
        df : DataFrame
            Training and validation rows.
        dep_var : str or list of str
            The columns of targets.
        valid_idx : iterable of int
            Positions of the validation rows.
        procs : processor, or iterable of processors, optional
            FillMissing, Categorify, Normalize; fitted on the training rows.
        cat_names, cont_names : sequence of str, optional
            The columns of categories and of numbers. Without ``cont_names`` all other columns are
            numbers.
        classes : iterable, optional
            All classes of the targets.
        test_df : DataFrame, optional
            Rows to predict. If they have no targets, those of ``test_dl`` are NaN, or -1 for
            classes.
        bs, val_bs : int
            Rows in a training batch and, if different, in all other batches.
        label_cls, log : optional
            The kind of targets; see ``make_targets``.
        **kwargs
            Other arguments of ``DataBunch.create``: ``seed``, ``device``.

        Returns
        -------
        TabularDataBunch
            The data.

        Raises
        ------
        TypeError, ValueError, UnknownColumnError
            If columns, rows or targets are missing, named twice, or of the wrong kind.

        Examples
        --------
        >>> import pandas as pd
        >>> from minifast.tabular import Categorify, Normalize
        >>> df = pd.DataFrame({"colour": list("rgrg"), "size": [1., 2., 3., 9.], "price": .5})
        >>> data = TabularDataBunch.from_df(".", df, "price", [3], [Categorify, Normalize],
        ...                                 cat_names=["colour"], bs=3)
        >>> data.get_emb_szs(), data.cont_names, data.c
        ([(3, 3)], ['size'], 1)
        """
        names = [dep_var] if isinstance(dep_var, Hashable) else list(dep_var)
        cats = list(cat_names or [])
        conts = [name for name in df.columns if name not in [*cats, *names]] \
            if cont_names is None else list(cont_names)
        _check_frame(df, cats, conts, names)
        train, valid = split_by_idx(len(df), valid_idx)
        labels: Any = df[names[0] if len(names) == 1 else names]
        targets = make_targets(labels.iloc[train], label_cls, classes, log)
        processor = TabularProcessor(procs, cats, conts)
        y = targets.encode(labels)
        train_ds = TabularRows(processor.fit(df.iloc[train]), y[train])
        valid_ds = TabularRows(processor.apply(df.iloc[valid]), y[valid])
        for ds in (train_ds, valid_ds):
            ds.cat_names, ds.cont_names = processor.cat_names, processor.cont_names
            ds.classes, ds.c = targets.classes, targets.c
        bunch = cls.create(train_ds, valid_ds, bs=bs, val_bs=val_bs, path=path, c=targets.c,
                           classes=targets.classes, **kwargs)
        bunch.processor, bunch.targets, bunch.dep_names = processor, targets, names
        bunch.cat_names, bunch.cont_names = processor.cat_names, processor.cont_names
        bunch.categories = [processor.categories[name] for name in bunch.cat_names]
        return bunch if test_df is None else bunch.add_test(test_df, bs=val_bs or bs)

    def add_test(self, items: Any, label: Any = None, bs: int = 64) -> "TabularDataBunch":
        """Add rows to predict: fastai v1's ``data.add_test``.

        ``learn.get_preds(DatasetType.Test)`` returns their predictions.

        Parameters
        ----------
        items : DataFrame or TabularList
            The rows, with the columns of the inputs. Labels that are not in the training rows
            count as missing.
        label : object, optional
            The target of all rows. By default targets are those in the rows; if there are none,
            they are NaN, or -1 for classes.
        bs : int
            Rows in a batch.

        Returns
        -------
        TabularDataBunch
            The same data.

        Raises
        ------
        TypeError, ValueError, UnknownColumnError
            If columns are missing, or of the wrong kind.

        Examples
        --------
        >>> import pandas as pd
        >>> df = pd.DataFrame({"size": [1., 2., 3., 4.], "price": [2., 4., 6., 8.]})
        >>> data = TabularDataBunch.from_df(".", df, "price", [3], bs=3)
        >>> len(data.add_test(df[["size"]]).test_dl.dataset)
        4
        """
        frame = getattr(items, "df", items)
        given = frame if label is None else frame.assign(**dict.fromkeys(self.dep_names, label))
        rows = ArrayDataset(self.processor.apply(frame), self._targets_of(given))
        self.test_dl = DataLoader(rows.to(self.device), bs)
        return self

    def _targets_of(self, frame: Any) -> "np.ndarray[Any, Any]":
        """Return the targets in a frame; NaN or -1 if it has none."""
        if self.dep_names and all(name in frame for name in self.dep_names):
            names = self.dep_names
            return self.targets.encode(frame[names[0] if len(names) == 1 else names])
        several = self.targets.c > 1 and not isinstance(self.targets, CategoryList)
        shape = (len(frame), self.targets.c) if several else len(frame)
        return np.full(shape, np.nan, np.float32) if isinstance(self.targets, FloatList) \
            else np.full(shape, -1, np.int64)

    def get_y_range(self, margin: float = .1) -> tuple[float, float]:
        """Return a ``y_range`` for ``tabular_learner``: the range of the training targets, widened.

        The sigmoid of a ``y_range`` never reaches its limits, so they need a margin.

        Parameters
        ----------
        margin : float
            How much to add on both sides, as a share of the range.

        Returns
        -------
        low, high : float
            The range.

        Raises
        ------
        ValueError
            If the targets are classes, or are all equal.

        Examples
        --------
        >>> import pandas as pd
        >>> df = pd.DataFrame({"size": [1., 2., 3., 4.], "price": [2., 4., 6., 8.]})
        >>> TabularDataBunch.from_df(".", df, "price", [3], bs=3).get_y_range(margin=.25)
        (1.0, 7.0)
        """
        low, high = getattr(self.targets, "low", None), getattr(self.targets, "high", None)
        if low is None or high is None or low == high:
            raise ValueError(f"a y_range needs targets that are different numbers; these are "
                             f"{self.classes or f'all {low}'}")
        return low - margin * (high - low), high + margin * (high - low)

    def get_emb_szs(self, sz_dict: Mapping[str, int] | None = None) -> list[tuple[int, int]]:
        """Return the size of an embedding for each category column.

        Parameters
        ----------
        sz_dict : mapping of str to int, optional
            Widths by column; by default, ``emb_sz_rule`` chooses them.

        Returns
        -------
        list of (int, int)
            Rows and width.

        Raises
        ------
        UnknownColumnError
            If ``sz_dict`` names a column that is not categorical.

        Examples
        --------
        >>> import pandas as pd
        >>> from minifast.tabular import Categorify
        >>> df = pd.DataFrame({"colour": list("rgrg"), "price": [1., 2., 3., 4.]})
        >>> data = TabularDataBunch.from_df(".", df, "price", [3], Categorify, ["colour"], bs=3)
        >>> data.get_emb_szs({"colour": 2})
        [(3, 2)]
        """
        widths = sz_dict or {}
        check_columns(self.cat_names, widths, "sz_dict: ", "the category columns are")
        return [(len(cats), widths.get(cats.name, emb_sz_rule(len(cats))))
                for cats in self.categories]

    def one_item(self, item: Any) -> Any:
        """Return a row as a batch of one.

        Parameters
        ----------
        item : Series, or mapping of str to value
            The row. A label that is missing or not in the training rows becomes ``#na#``;
            FillMissing fills a missing number.

        Returns
        -------
        list of Tensor
            Ids (1, n_cat) and numbers (1, n_cont).

        Raises
        ------
        TypeError
            If this is not a row.
        """
        import pandas as pd
        if not isinstance(item, (Mapping, pd.Series)):
            raise TypeError(f"one row is a Series or a mapping of column to value, got "
                            f"{type(item).__name__}; give df.iloc[i] or a dictionary")
        frame = pd.DataFrame({name: pd.Series([value]) for name, value in item.items()})
        return to_tensors(self.processor.apply(frame), self.device)

    def batch_table(self, xb: Any, yb: Any, rows: int = 5) -> Any:
        frame = self.processor.undo([x.numpy()[:rows] for x in xb])
        for name in self.cont_names:  # six digits, about as many as float32 has
            frame[name] = _whole_if_large([float(f"{value:.6g}") for value in frame[name]])
        decoded = self.targets.decode(yb.numpy()[:rows])
        frame.insert(len(frame.columns), "target", decoded, allow_duplicates=True)
        return frame

    def analyze_pred(self, pred: Tensor) -> Tensor:
        return self.targets.analyze_pred(pred)

    def decode(self, target: Tensor) -> Any:
        if isinstance(self.targets, MultiCategoryList):
            return self.targets.decode(target.numpy()[None])[0]
        if isinstance(self.targets, FloatList):
            _warn_if_far(target.numpy(), self.targets)
        return super().decode(target)


def _whole_if_large(values: list[float]) -> list[Any]:
    """Return large numbers as integers, so that seconds are not shown as 1.41e+09."""
    return [int(value) for value in values] \
        if all(1e7 <= abs(value) < 1e15 for value in values) else values


def _warn_if_far(numbers: "np.ndarray[Any, Any]", targets: FloatList) -> None:
    """Warn if a prediction is outside the range of the training targets by more than its width."""
    if targets.low is None or targets.high is None:
        return
    width = targets.high - targets.low
    if (far := np.abs(numbers - (targets.low + targets.high) / 2) > 1.5 * width).any():
        warn(f"a prediction of {numbers[far].flat[0]:.6g} is far outside the training targets, "
             f"which go from {targets.low:.6g} to {targets.high:.6g}. Compare the row with the "
             "training rows; tabular_learner(scale_y=True), or y_range=data.get_y_range(), and "
             "Normalize(clip=...) limit the effect of unusual rows", stacklevel=5)


def _check_frame(df: "pd.DataFrame", cats: list[str], conts: list[str], deps: list[Any]) -> None:
    """Check that the columns exist, each is named once, and no target is missing."""
    names = [*cats, *conts, *deps]
    check_columns(df.columns, names, have="there are")
    if twice := [name for name in names if names.count(name) > 1 or df[name].ndim > 1]:
        raise ValueError(f"column {twice[0]!r} is named twice: cat_names {cats}, cont_names "
                         f"{conts}, dep_var {deps}, frame {list(df.columns)}; name it once")
    if len(names) == len(deps):
        raise ValueError("no column is an input; name some in cat_names or cont_names")
    for dep in deps:
        if len(missing := df.index[df[dep].isna()]):
            raise ValueError(f"{len(missing)} of {len(df)} targets in {dep!r} are missing (the "
                             f"first in row {missing[0]}); drop these rows with "
                             f"df.dropna(subset=[{dep!r}]), or predict them as test_df=")
