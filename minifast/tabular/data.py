"""Tables of categories and numbers, from a frame to batches."""
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.bunch import DataBunch
from ..data.categories import Categories, UnknownColumnError, check_columns, emb_sz_rule
from ..data.loader import ArrayDataset, to_tensors
from ..data.split import Rows, random_split
from .processors import Proc, TabularProcessor
from .targets import Targets, make_targets

if TYPE_CHECKING:
    import pandas as pd

Procs = Iterable[Proc] | Proc | None


class TabularDataBunch(DataBunch):
    """Rows of a table, as batches [ids (bs, n_cat) int64, numbers (bs, n_cont) float32], targets.

    ``cat_names`` and ``cont_names`` are the columns of ids and numbers, ``<name>_na`` included.
    ``classes`` are those of the target, None where it is a number. fastai v1's
    ``TabularDataBunch``.
    """

    processor: TabularProcessor
    targets: Targets

    @classmethod
    def from_df(cls, path: str | Path, df: "pd.DataFrame", dep_var: str,
                valid_idx: Iterable[int], procs: Procs = None,
                cat_names: Sequence[str] | None = None, cont_names: Sequence[str] | None = None,
                classes: Iterable[Any] | None = None, test_df: "pd.DataFrame | None" = None,
                bs: int = 64, val_bs: int | None = None, device: str | None = None,
                seed: int | np.random.Generator | None = None,
                label_cls: type[Any] | None = None) -> "TabularDataBunch":
        """From a frame whose rows at the positions ``valid_idx`` validate.

        ``procs`` (FillMissing, Categorify, Normalize) are fitted on the training rows. Without
        ``cont_names``, all columns that are not named are numbers. Targets in a column of floats
        are numbers, others are classes, ints too, unless ``label_cls`` says otherwise
        (FloatList or CategoryList). ``seed`` decides the order of the training batches.

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
        train, valid = _checked_rows(df, cats, conts, dep_var, valid_idx)
        targets = make_targets(df[dep_var].iloc[train], label_cls, classes)
        processor = TabularProcessor(procs, cats, conts)

        def dataset(x: Any, rows: Rows) -> ArrayDataset:
            return ArrayDataset(x, targets.encode(df[dep_var].iloc[rows]))
        train_ds = dataset(processor.fit(df.iloc[train]), train)
        valid_ds = dataset(processor.apply(df.iloc[valid]), valid)
        bunch = cls.create(train_ds, valid_ds, _test_rows(test_df, processor, train_ds), bs, val_bs,
                           seed, device, path=path, c=targets.c, classes=targets.classes)
        bunch.processor, bunch.targets = processor, targets
        return bunch

    @property
    def cat_names(self) -> list[str]:
        """The columns of ids."""
        return self.processor.cat_names

    @property
    def cont_names(self) -> list[str]:
        """The columns of numbers."""
        return self.processor.cont_names

    @property
    def categories(self) -> list[Categories]:
        """The labels of each category column."""
        return [self.processor.categories[name] for name in self.cat_names]

    def get_emb_szs(self, sz_dict: Mapping[str, int] | None = None) -> list[tuple[int, int]]:
        """(rows, width) of an embedding for each category column; ``sz_dict`` sets widths."""
        given = sz_dict or {}
        for name in given:
            if name not in self.cat_names:
                raise UnknownColumnError(f"an embedding width is given for {name!r}; the category "
                                         f"columns are {', '.join(self.cat_names) or 'none'}")
        return [(len(cats), given.get(cats.name, emb_sz_rule(len(cats))))
                for cats in self.categories]

    def one_item(self, item: Any) -> Any:
        """A row (a Series, or a mapping of column to value) as a batch of one.

        A category that is missing or not among the training rows becomes ``#na#``, a missing
        number what FillMissing says. UnknownColumnError names a column that the row lacks.
        """
        import pandas as pd
        if not isinstance(item, (Mapping, pd.Series)):
            raise TypeError(f"one row is a Series or a mapping of column to value, got "
                            f"{type(item).__name__}; give df.iloc[i] or a dictionary")
        frame = pd.DataFrame({name: pd.Series([value]) for name, value in item.items()})
        return to_tensors(self.processor.apply(frame), self.device)

    def batch_table(self, xb: Any, yb: Any, rows: int = 5) -> Any:
        """The first rows of a batch as they were before the processors."""
        import pandas as pd
        frame = self.processor.undo([x.numpy()[:rows] for x in xb])
        for name in self.cont_names:  # six digits: float32 has not many more
            frame[name] = [float(f"{value:.6g}") for value in frame[name]]
        target = pd.Series(self.targets.decode(yb.numpy()[:rows]), name="target")
        return pd.concat([frame, target], axis=1)


@dataclass(frozen=True)
class TabularList:
    """The way to a TabularDataBunch in steps, each of which gives a new list; v1's
    ``TabularList``: ``from_df``, a split, ``label_from_df``, ``add_test``, ``databunch``.

    >>> import pandas as pd
    >>> df = pd.DataFrame({"size": [1., 2., 3., 4.], "price": [2., 4., 6., 8.]})
    >>> items = TabularList.from_df(df, cont_names=["size"]).split_by_idx([3])
    >>> items.label_from_df("price").databunch(bs=3).one_batch()[0][1].shape
    (3, 1)
    """

    df: "pd.DataFrame"
    path: str | Path = "."
    cat_names: Sequence[str] = ()
    cont_names: Sequence[str] = ()
    procs: Procs = None
    valid_idx: Iterable[int] | None = None
    dep_var: str | None = None
    label_cls: type[Any] | None = None
    classes: Iterable[Any] | None = None
    test_df: "pd.DataFrame | None" = None

    @classmethod
    def from_df(cls, df: "pd.DataFrame", path: str | Path = ".",
                cat_names: Sequence[str] | None = None, cont_names: Sequence[str] | None = None,
                procs: Procs = None) -> "TabularList":
        """The rows of a frame, and the columns that are inputs."""
        return cls(df, path, cat_names or (), cont_names or (), procs)

    def split_by_idx(self, valid_idx: Iterable[int]) -> "TabularList":
        """The rows at these positions validate."""
        return replace(self, valid_idx=valid_idx)

    def split_by_rand_pct(self, valid_pct: float = .2, seed: int | None = None) -> "TabularList":
        """A random share of the rows validates (``random_split``)."""
        return self.split_by_idx(random_split(len(self.df), valid_pct, seed)[1])

    def label_from_df(self, cols: str, label_cls: type[Any] | None = None,
                      classes: Iterable[Any] | None = None) -> "TabularList":
        """The column of targets; see ``TabularDataBunch.from_df`` for what they are."""
        return replace(self, dep_var=cols, label_cls=label_cls, classes=classes)

    def add_test(self, items: "TabularList | pd.DataFrame") -> "TabularList":
        """Rows without targets, to be predicted."""
        return replace(self, test_df=items.df if isinstance(items, TabularList) else items)

    def databunch(self, path: str | Path | None = None, bs: int = 64, val_bs: int | None = None,
                  device: str | None = None, seed: int | np.random.Generator | None = None
                  ) -> TabularDataBunch:
        """Process and load the rows."""
        if self.valid_idx is None or self.dep_var is None:
            step = "split_by_rand_pct()" if self.valid_idx is None else "label_from_df(cols=...)"
            raise ValueError(f"a databunch needs a split and targets; call .{step} before it")
        return TabularDataBunch.from_df(
            self.path if path is None else path, self.df, self.dep_var, self.valid_idx,
            self.procs, self.cat_names, self.cont_names, self.classes, self.test_df, bs, val_bs,
            device, seed, self.label_cls)


def _test_rows(test_df: "pd.DataFrame | None", processor: TabularProcessor, like: ArrayDataset
               ) -> ArrayDataset | None:
    if test_df is None:
        return None
    return ArrayDataset(processor.apply(test_df), np.zeros(len(test_df), like.y.dtype))


def _checked_rows(df: "pd.DataFrame", cats: list[str], conts: list[str], dep_var: str,
                  valid_idx: Iterable[int]) -> tuple[Rows, Rows]:
    """(training rows, validation rows), once columns and targets are found to be in order."""
    if not isinstance(dep_var, Hashable):
        raise TypeError(f"the targets are one column, got {dep_var!r}; give its name")
    names = [*cats, *conts, dep_var]
    check_columns(df.columns, names, have="there are")
    twice = [name for name in names if names.count(name) > 1 or df[name].ndim > 1]
    if twice:
        raise ValueError(f"column {twice[0]!r} is named twice: cat_names {cats}, cont_names "
                         f"{conts}, dep_var {dep_var!r}, frame {list(df.columns)}; name it once")
    if len(names) == 1:
        raise ValueError("no column is an input; name some in cat_names or cont_names")
    missing = np.flatnonzero(df[dep_var].isna())
    if len(missing):
        raise ValueError(f"{len(missing)} of {len(df)} targets in {dep_var!r} are missing (the "
                         f"first in row {df.index[missing[0]]}); drop these rows with "
                         f"df.dropna(subset=[{dep_var!r}]), or predict them as test_df=")
    return _split(len(df), valid_idx)


def _split(n: int, valid_idx: Iterable[int]) -> tuple[Rows, Rows]:
    valid = np.asarray(list(valid_idx))
    if len(valid) and valid.dtype.kind not in "iu":
        raise TypeError(f"valid_idx are positions of rows, got {valid.tolist()[0]!r}; turn a mask "
                        "into positions with np.flatnonzero(mask)")
    wrong = valid[(valid < 0) | (valid >= n)]
    if len(wrong):
        raise ValueError(f"valid_idx has {wrong[0]}; {n} rows are numbered 0 to {n - 1}, whatever "
                         "the frame's index says")
    valid = valid.astype(np.int64)
    times = np.bincount(valid, minlength=n)
    if times.max(initial=0) > 1:
        raise ValueError(f"valid_idx has row {times.argmax()} {times.max()} times; give each once")
    train = np.flatnonzero(times == 0)
    if not len(train):
        raise ValueError(f"valid_idx names all {n} rows; leave some to train on")
    return train, valid
