"""TabularList: the steps from a frame to a TabularDataBunch."""
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..data.categories import check_columns
from ..data.split import random_split
from .data import Names, Procs, TabularDataBunch

if TYPE_CHECKING:
    import pandas as pd


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

    def __getattr__(self, name: str) -> NoReturn:
        """Name the steps that there are, where one of v1's other steps is asked for."""
        steps = [step for step in vars(TabularList) if step.startswith(("split", "label"))]
        hint = f"; the steps are {', '.join(steps)}, add_test and databunch" \
            if "split" in name or name.startswith("label") else ""
        raise AttributeError(f"a TabularList has no {name!r}{hint}", name=name, obj=self)

    def _with(self, **chosen: Any) -> "TabularList":
        return TabularList(self.df, **{**self.chosen, **chosen})

    @classmethod
    def from_df(cls, df: "pd.DataFrame", cat_names: Names = None, cont_names: Names = None,
                procs: Procs = None, path: str | Path = ".") -> "TabularList":
        """Start with a frame.

        Parameters
        ----------
        df : DataFrame
            Training and validation rows.
        cat_names, cont_names : sequence of str, optional
            The columns of categories and of numbers; by default there are none.
        procs : processor, or iterable of processors, optional
            FillMissing, Categorify, Normalize.
        path : str or Path
            Folder of the learner's files.

        Returns
        -------
        TabularList
            The new list.

        Examples
        --------
        >>> import pandas as pd
        >>> df = pd.DataFrame({"size": [1., 2., 3., 4.], "price": [2., 4., 6., 8.]})
        >>> TabularList.from_df(df, cont_names=["size"]).chosen["cont_names"]
        ['size']
        """
        return cls(df, path=path, cat_names=cat_names, cont_names=cont_names or (), procs=procs)

    def split_by_idx(self, valid_idx: Iterable[int]) -> "TabularList":
        """Validate on the rows at these positions.

        Parameters
        ----------
        valid_idx : iterable of int
            The positions.

        Returns
        -------
        TabularList
            The new list.

        Examples
        --------
        >>> import pandas as pd
        >>> df = pd.DataFrame({"size": [1., 2., 3., 4.], "price": [2., 4., 6., 8.]})
        >>> TabularList(df).split_by_idx([0, 3]).chosen
        {'valid_idx': [0, 3]}
        """
        return self._with(valid_idx=valid_idx)

    def split_from_df(self, col: str = "is_valid") -> "TabularList":
        """Validate on the rows in which a column is True.

        Parameters
        ----------
        col : str
            The column.

        Returns
        -------
        TabularList
            The new list.

        Raises
        ------
        UnknownColumnError
            If there is no such column.

        Examples
        --------
        >>> import pandas as pd
        >>> df = pd.DataFrame({"size": [1., 2., 3.], "is_valid": [False, True, False]})
        >>> TabularList(df).split_from_df().chosen["valid_idx"]
        array([1])
        """
        check_columns(self.df.columns, [col])
        return self._with(valid_idx=np.flatnonzero(self.df[col]))

    def split_none(self) -> "TabularList":
        """Train on all rows, and validate on none."""
        return self._with(valid_idx=[])

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

        Examples
        --------
        >>> import pandas as pd
        >>> df = pd.DataFrame({"size": [1., 2., 3., 4.], "price": [2., 4., 6., 8.]})
        >>> len(TabularList(df).split_by_rand_pct(.25, seed=0).chosen["valid_idx"])
        1
        """
        return self._with(valid_idx=random_split(len(self.df), valid_pct, seed)[1])

    def label_from_df(self, cols: Hashable | list[Any], label_cls: type[Any] | None = None,
                      classes: Iterable[Any] | None = None, log: bool = False) -> "TabularList":
        """Choose the targets.

        Parameters
        ----------
        cols : str or list of str
            The columns of targets.
        label_cls, classes, log : optional
            The kind of targets; see ``make_targets``.

        Returns
        -------
        TabularList
            The new list.

        Examples
        --------
        >>> import pandas as pd
        >>> df = pd.DataFrame({"size": [1., 2., 3., 4.], "price": [2., 4., 6., 8.]})
        >>> items = TabularList.from_df(df, cont_names=["size"]).split_by_idx([3])
        >>> items.label_from_df("price", log=True).databunch(bs=3).targets.log
        True
        """
        return self._with(dep_var=cols, label_cls=label_cls, classes=classes, log=log)

    def add_test(self, items: "TabularList | pd.DataFrame") -> "TabularList":
        """Add rows without targets.

        Parameters
        ----------
        items : TabularList or DataFrame
            The rows, with the columns of the inputs.

        Returns
        -------
        TabularList
            The new list.

        Examples
        --------
        >>> import pandas as pd
        >>> df = pd.DataFrame({"size": [1., 2., 3., 4.], "price": [2., 4., 6., 8.]})
        >>> items = TabularList.from_df(df, cont_names=["size"]).split_by_idx([3])
        >>> data = items.label_from_df("price").add_test(df[["size"]]).databunch(bs=3)
        >>> len(data.test_dl.dataset)
        4
        """
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

        Examples
        --------
        >>> import pandas as pd
        >>> df = pd.DataFrame({"size": [1., 2., 3., 4.], "price": [2., 4., 6., 8.]})
        >>> items = TabularList.from_df(df, cont_names=["size"]).split_by_idx([3])
        >>> data = items.label_from_df("price").databunch(bs=3)
        >>> len(data.train_ds), len(data.valid_ds)
        (3, 1)
        """
        for name, step in (("valid_idx", "split_by_rand_pct()"),
                           ("dep_var", "label_from_df(cols=...)")):
            if name not in self.chosen:
                raise ValueError(f"a databunch needs a split and targets; call .{step} before it")
        chosen = self.chosen if path is None else {**self.chosen, "path": path}
        return TabularDataBunch.from_df(df=self.df, bs=bs, **chosen, **kwargs)
