"""TabularDataBunch: a frame of categories and numbers, as batches."""
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..data.bunch import DataBunch
from ..data.categories import Categories, check_columns, emb_sz_rule
from ..data.loader import ArrayDataset, to_tensors
from ..data.split import random_split, split_by_idx
from .processors import Proc, TabularProcessor
from .targets import Targets, make_targets

if TYPE_CHECKING:
    import pandas as pd

Procs = Iterable[Proc] | Proc | None
Names: TypeAlias = Sequence[str] | None


class TabularDataBunch(DataBunch):
    """Rows of a table in batches, made by ``from_df``: fastai v1's ``TabularDataBunch``.

    Inputs are [ids (bs, n_cat) of type int64, numbers (bs, n_cont) of type float32].

    Attributes
    ----------
    processor : TabularProcessor
        The fitted processors.
    targets : FloatList or CategoryList
        How targets are encoded.
    cat_names, cont_names : list of str
        The columns of ids, those that FillMissing has added too, and the columns of numbers.
    categories : list of Categories
        The labels of each category column.
    classes : list, optional
        Classes of the targets; None if they are numbers.
    """

    processor: TabularProcessor
    targets: Targets
    cat_names: list[str]
    cont_names: list[str]
    categories: list[Categories]

    @classmethod
    def from_df(cls, path: str | Path, df: "pd.DataFrame", dep_var: str,
                valid_idx: Iterable[int], procs: Procs = None,
                cat_names: Names = None, cont_names: Names = None,
                classes: Iterable[Any] | None = None, test_df: "pd.DataFrame | None" = None,
                label_cls: type[Any] | None = None, **kwargs: Any) -> "TabularDataBunch":
        """Make batches from a frame.

        Parameters
        ----------
        path : str or Path
            Folder of the learner's files.
        df : DataFrame
            Training and validation rows.
        dep_var : str
            The column of targets.
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
        label_cls : {FloatList, CategoryList}, optional
            What targets are; see ``make_targets``.
        **kwargs
            Arguments of ``DataBunch.create``: ``bs``, ``val_bs``, ``seed``, ``device``.

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
        cats = list(cat_names or [])
        conts = [name for name in df.columns if name not in [*cats, dep_var]] \
            if cont_names is None else list(cont_names)
        _check_frame(df, cats, conts, dep_var)
        train, valid = split_by_idx(len(df), valid_idx)
        targets = make_targets(df[dep_var].iloc[train], label_cls, classes)
        processor = TabularProcessor(procs, cats, conts)
        y = targets.encode(df[dep_var])
        train_ds = ArrayDataset(processor.fit(df.iloc[train]), y[train])
        valid_ds = ArrayDataset(processor.apply(df.iloc[valid]), y[valid])
        test_ds = None if test_df is None else ArrayDataset(
            processor.apply(test_df), targets.encode(test_df[dep_var]) if dep_var in test_df
            else np.full(len(test_df), np.nan if y.dtype.kind == "f" else -1, y.dtype))
        bunch = cls.create(train_ds, valid_ds, test_ds, path=path, c=targets.c,
                           classes=targets.classes, **kwargs)
        bunch.processor, bunch.targets = processor, targets
        bunch.cat_names, bunch.cont_names = processor.cat_names, processor.cont_names
        bunch.categories = [processor.categories[name] for name in bunch.cat_names]
        return bunch

    def get_emb_szs(self, sz_dict: Mapping[str, int] | None = None) -> list[tuple[int, int]]:
        """Return the size of an embedding for each category column.

        Parameters
        ----------
        sz_dict : mapping of str to int, optional
            Widths by column; the others follow ``emb_sz_rule``.

        Returns
        -------
        list of (int, int)
            Rows and width.

        Raises
        ------
        UnknownColumnError
            If ``sz_dict`` names another column.
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
            If this is no row.
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
            frame[name] = [float(f"{value:.6g}") for value in frame[name]]
        decoded = self.targets.decode(yb.numpy()[:rows])
        frame.insert(len(frame.columns), "target", decoded, allow_duplicates=True)
        return frame


class TabularList:
    """The steps from a frame to a TabularDataBunch: fastai v1's ``TabularList``.

    ``from_df``, a split, ``label_from_df``, perhaps ``add_test``, then ``databunch``. Each step
    returns a new list, with more arguments of ``TabularDataBunch.from_df``.

    Parameters
    ----------
    df : DataFrame
        Training and validation rows.
    **chosen
        Other arguments of ``TabularDataBunch.from_df``.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"size": [1., 2., 3., 4.], "price": [2., 4., 6., 8.]})
    >>> items = TabularList.from_df(df, cont_names=["size"]).split_by_idx([3])
    >>> items.label_from_df("price").databunch(bs=3).one_batch()[0][1].shape
    (3, 1)
    """

    def __init__(self, df: "pd.DataFrame", **chosen: Any) -> None:
        self.df, self.chosen = df, chosen

    def _with(self, **chosen: Any) -> "TabularList":
        return TabularList(self.df, **{**self.chosen, **chosen})

    @classmethod
    def from_df(cls, df: "pd.DataFrame", path: str | Path = ".", cat_names: Names = None,
                cont_names: Names = None, procs: Procs = None) -> "TabularList":
        """Start with a frame.

        Parameters
        ----------
        df : DataFrame
            Training and validation rows.
        path : str or Path
            Folder of the learner's files.
        cat_names, cont_names : sequence of str, optional
            The columns of categories and of numbers; by default there are none.
        procs : processor, or iterable of processors, optional
            FillMissing, Categorify, Normalize.

        Returns
        -------
        TabularList
            The new list.
        """
        return cls(df, path=path, cat_names=cat_names, cont_names=cont_names or (), procs=procs)

    def split_by_idx(self, valid_idx: Iterable[int]) -> "TabularList":
        """Validate on the rows at these positions."""
        return self._with(valid_idx=valid_idx)

    def split_by_rand_pct(self, valid_pct: float = .2, seed: int | None = None) -> "TabularList":
        """Validate on random rows.

        Parameters
        ----------
        valid_pct : float
            Share of the rows, in [0, 1).
        seed : int, optional
            Seed of the draw; see ``random_split``.

        Returns
        -------
        TabularList
            The new list.
        """
        return self._with(valid_idx=random_split(len(self.df), valid_pct, seed)[1])

    def label_from_df(self, cols: str, label_cls: type[Any] | None = None,
                      classes: Iterable[Any] | None = None) -> "TabularList":
        """Choose the targets.

        Parameters
        ----------
        cols : str
            The column of targets.
        label_cls, classes : optional
            What targets are; see ``make_targets``.

        Returns
        -------
        TabularList
            The new list.
        """
        return self._with(dep_var=cols, label_cls=label_cls, classes=classes)

    def add_test(self, items: "TabularList | pd.DataFrame") -> "TabularList":
        """Add rows without targets."""
        return self._with(test_df=items.df if isinstance(items, TabularList) else items)

    def databunch(self, path: str | Path | None = None, bs: int = 64, **kwargs: Any
                  ) -> TabularDataBunch:
        """Process the rows, and make batches.

        Parameters
        ----------
        path : str or Path, optional
            Folder of the learner's files; by default that of the list.
        bs : int
            Rows in a training batch.
        **kwargs
            ``val_bs``, ``seed``, ``device``, as in ``DataBunch.create``.

        Returns
        -------
        TabularDataBunch
            The data.

        Raises
        ------
        ValueError
            If the split or the targets are missing.
        """
        for name, step in (("valid_idx", "split_by_rand_pct()"),
                           ("dep_var", "label_from_df(cols=...)")):
            if name not in self.chosen:
                raise ValueError(f"a databunch needs a split and targets; call .{step} before it")
        chosen = self.chosen if path is None else {**self.chosen, "path": path}
        return TabularDataBunch.from_df(df=self.df, bs=bs, **chosen, **kwargs)


def _check_frame(df: "pd.DataFrame", cats: list[str], conts: list[str], dep_var: str) -> None:
    """Check that the columns exist, each is named once, and no target is missing."""
    if not isinstance(dep_var, Hashable):
        raise TypeError(f"the targets are one column, got {dep_var!r}; give its name")
    names = [*cats, *conts, dep_var]
    check_columns(df.columns, names, have="there are")
    if twice := [name for name in names if names.count(name) > 1 or df[name].ndim > 1]:
        raise ValueError(f"column {twice[0]!r} is named twice: cat_names {cats}, cont_names "
                         f"{conts}, dep_var {dep_var!r}, frame {list(df.columns)}; name it once")
    if len(names) == 1:
        raise ValueError("no column is an input; name some in cat_names or cont_names")
    if len(missing := df.index[df[dep_var].isna()]):
        raise ValueError(f"{len(missing)} of {len(df)} targets in {dep_var!r} are missing (the "
                         f"first in row {missing[0]}); drop these rows with "
                         f"df.dropna(subset=[{dep_var!r}]), or predict them as test_df=")
