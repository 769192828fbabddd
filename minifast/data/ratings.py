"""Ratings of items by users, from a frame to batches."""
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor
from .bunch import DataBunch
from .categories import Categories, check_columns, emb_sz_rule
from .loader import ArrayDataset
from .split import random_split, split_by_idx

if TYPE_CHECKING:
    import pandas as pd


class CollabDataBunch(DataBunch):
    """Ratings in batches: [users, items], each (bs,) of int32, and ratings (bs,) of float32.

    Attributes
    ----------
    categories : list of Categories
        The labels of users and of items.
    rating_name : str
        Name of the ratings' column.
    added : list of ArrayDataset
        Ratings that are in neither the training nor the validation rows, of users who were added
        after training.
    """

    categories: list[Categories]
    rating_name: str
    added: list[ArrayDataset]

    @classmethod
    def from_df(cls, ratings: "pd.DataFrame", valid_pct: float = .2, user_name: str | None = None,
                item_name: str | None = None, rating_name: str | None = None,
                test: "pd.DataFrame | None" = None, seed: int | None = None, path: Any = ".",
                bs: int = 64, val_bs: int | None = None, device: str | None = None,
                valid_idx: Iterable[int] | None = None, **v1: Any) -> "CollabDataBunch":
        """Make batches from a frame that has a row for each rating.

        Users and items are numbered by their order among the training rows, from 1. Those that
        occur in validation rows only, or are missing, become 0, ``#na#``.

        Parameters
        ----------
        ratings : pandas.DataFrame (n, 3 or more)
            The ratings.
        valid_pct : float
            Share of rows to validate on, in [0, 1).
        user_name, item_name, rating_name : str, optional
            The columns; by default the first, second and third.
        test : pandas.DataFrame, optional
            Users and items to predict ratings for. Its ratings, if there are any, are the targets
            of `test_dl`; otherwise the targets are NaN.
        seed : int, optional
            Seed of the split (see `random_split`) and of the order of training rows.
        path : str or Path
            Folder for checkpoints.
        bs, val_bs : int
            Rows in a training batch and, if different, in all other batches.
        device : str, optional
            Where the batches are; by default the current device.
        valid_idx : iterable of int, optional
            Positions of the validation rows, if the split is given instead of random.
        **v1
            Other arguments of v1, such as ``num_workers``; see `DataBunch`.

        Returns
        -------
        CollabDataBunch
            The rows of both parts, with the labels of users and items.

        Raises
        ------
        TypeError
            If `ratings` is not a frame, or the labels of a column cannot be sorted.
        UnknownColumnError
            If a column does not exist. It is a KeyError.
        ValueError
            If there are no rows, fewer than three columns, ratings that are not finite numbers,
            or fewer training rows than `bs`; if `valid_pct` is outside [0, 1), or `valid_idx` has
            wrong positions; if two of the columns are the same.

        Notes
        -----
        fastai v1's ``CollabDataBunch.from_df``.

        Examples
        --------
        >>> import pandas as pd
        >>> rows = [(1, "a", 5), (1, "b", 3), (2, "a", 4), (2, "b", 1)]
        >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
        >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
        >>> {name: c.tolist() for name, c in data.classes.items()}
        {'user': ['#na#', '1', '2'], 'item': ['#na#', 'a', 'b']}
        """
        check_frame(ratings)
        names = column_names(ratings.columns, [user_name, item_name, rating_name])
        y = read_numbers(ratings[names[2]])
        train, valid = random_split(len(ratings), valid_pct, seed) if valid_idx is None \
            else split_by_idx(len(ratings), valid_idx)
        categories = [Categories(name, _labels(ratings[name]).iloc[train]) for name in names[:2]]
        rows = ArrayDataset([encode(cats, ratings) for cats in categories], y)
        return cls.from_encoded(categories, names[2], ArrayDataset(*rows[train]),
                                ArrayDataset(*rows[valid]), test, path=path, bs=bs, val_bs=val_bs,
                                device=device, seed=seed, **v1)

    @classmethod
    def from_encoded(cls, categories: list[Categories], rating_name: str, train: ArrayDataset,
                     valid: ArrayDataset, test: "pd.DataFrame | None" = None, **kwargs: Any
                     ) -> "CollabDataBunch":
        """Make batches from ratings whose users and items are numbers already.

        Parameters
        ----------
        categories : list of two Categories
            The labels of users and of items.
        rating_name : str
            Name of the ratings' column.
        train, valid : ArrayDataset
            Inputs [users, items] and targets, all (n,).
        test : pandas.DataFrame, optional
            Users and items to predict ratings for, with or without their ratings.
        **kwargs
            Arguments of `DataBunch.create`.

        Returns
        -------
        CollabDataBunch
            The batches and the labels.

        Examples
        --------
        >>> users, items = Categories("user", ["ann", "bob"]), Categories("item", ["x", "y"])
        >>> rows = ArrayDataset([np.array([1, 2]), np.array([1, 1])], np.float32([5, 3]))
        >>> data = CollabDataBunch.from_encoded([users, items], "rating", rows, rows, bs=2)
        >>> data.get_emb_szs()
        [(3, 3), (3, 3)]
        """
        test_ds = None
        if test is not None:
            check_columns(test.columns, [cats.name for cats in categories])
            y = read_numbers(test[rating_name]) if rating_name in test else \
                np.full(len(test), np.nan, np.float32)
            test_ds = ArrayDataset([encode(cats, test) for cats in categories], y)
        data = cls.create(train, valid, test_ds, c=1, **kwargs)
        data.categories, data.rating_name, data.added = categories, rating_name, []
        data.classes = {cats.name: cats.classes for cats in categories}
        return data

    def get_emb_szs(self, sz_dict: Mapping[str, int] | None = None) -> list[tuple[int, int]]:
        """Return (rows, width) of the users' and the items' embedding; ``sz_dict`` sets widths.

        Parameters
        ----------
        sz_dict : mapping of str to int, optional
            Widths by the names of the columns; the others follow `emb_sz_rule`.

        Returns
        -------
        list of (int, int)
            For users and for items.

        Examples
        --------
        >>> import pandas as pd
        >>> ratings = pd.DataFrame({"user": [1, 2, 3], "item": [1, 1, 2], "rating": [5, 4, 3]})
        >>> CollabDataBunch.from_df(ratings, valid_pct=0, bs=2).get_emb_szs({"item": 10})
        [(4, 3), (3, 10)]
        """
        widths = sz_dict or {}
        return [(len(c), widths.get(c.name, emb_sz_rule(len(c)))) for c in self.categories]

    def encode(self, labels: Iterable[Any], column: int) -> Tensor:
        """Return the numbers of labels, on the data's device.

        Parameters
        ----------
        labels : iterable (n,)
            Labels of users or items.
        column : int
            0 for users, 1 for items.

        Returns
        -------
        Tensor (n,) of int64
            The numbers.

        Raises
        ------
        UnknownLabelError
            If a label does not occur in the training rows. It is a KeyError.

        Examples
        --------
        >>> import pandas as pd
        >>> ratings = pd.DataFrame({"user": [7, 8, 9], "item": [1, 1, 2], "rating": [5, 4, 3]})
        >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2, device="cpu")
        >>> data.encode([9, 7], column=0)
        tensor([3, 1])
        """
        numbers = [self.categories[column].index(label) for label in labels]
        return Tensor(np.array(numbers, np.int64)).to(self.device)

    def one_item(self, item: Any) -> list[Tensor]:
        """Return a pair (user, item), or a row with these columns, as a batch of one."""
        labels = [item[cats.name] for cats in self.categories] if hasattr(item, "keys") \
            else list(item)
        if len(labels) != len(self.categories):
            raise ValueError(f"a rating is predicted for a user and an item, got {item!r}; give "
                             "(user, item), or a row of a frame")
        return [self.encode([label], i) for i, label in enumerate(labels)]

    def batch_table(self, xb: Any, yb: Any, rows: int = 5) -> Any:
        """Return the first rows of a batch as a frame, with their labels."""
        import pandas as pd
        labels = {cats.name: cats.classes[x.numpy()[:rows]]
                  for cats, x in zip(self.categories, xb, strict=True)}
        return pd.DataFrame({**labels, "target": yb.numpy()[:rows]})


def check_frame(ratings: Any) -> None:
    """Check that ratings are a frame with rows.

    Parameters
    ----------
    ratings : pandas.DataFrame
        The ratings.

    Raises
    ------
    TypeError
        If this is not a frame.
    ValueError
        If it has no rows.

    Examples
    --------
    >>> check_frame([1, 2])
    Traceback (most recent call last):
    TypeError: ratings must be a frame, got list; read a file with pandas.read_csv first
    """
    if not hasattr(ratings, "columns"):
        raise TypeError(f"ratings must be a frame, got {type(ratings).__name__}; read a file with "
                        "pandas.read_csv first")
    if not len(ratings):
        raise ValueError("the frame of ratings has 0 rows; check how it was read and filtered")


def column_names(columns: Iterable[Any], wanted: Sequence[str | None], where: str = ""
                 ) -> list[str]:
    """Return the names of the users', items' and ratings' columns.

    Parameters
    ----------
    columns : iterable of str
        The columns that exist.
    wanted : sequence of three str or None
        The chosen names; None stands for the first, second or third column.
    where : str
        Beginning of error messages.

    Returns
    -------
    list of three str
        The names.

    Raises
    ------
    ValueError
        If there are fewer than three columns, or two of the chosen ones are the same.
    UnknownColumnError
        If a chosen column does not exist.

    Examples
    --------
    >>> column_names(["user", "item", "stars", "when"], [None, "item", None])
    ['user', 'item', 'stars']
    """
    columns = list(columns)
    if len(columns) < 3:
        raise ValueError(f"{where}ratings need three columns (user, item, rating), got {columns}")
    names = [default if name is None else name
             for name, default in zip(wanted, columns, strict=False)]
    check_columns(columns, names, where)
    if twice := [name for name in names if [*names, *columns].count(name) > 2]:
        raise ValueError(f"{where}column {twice[0]!r} occurs twice: user, item and rating are "
                         f"{names}, of the columns {columns}; give each a different name")
    return names


def encode(cats: Categories, frame: "pd.DataFrame") -> "np.ndarray[Any, np.dtype[np.int32]]":
    """Return the numbers of the labels in a frame's column.

    Parameters
    ----------
    cats : Categories
        The labels of a column.
    frame : pandas.DataFrame (n, ...)
        A frame that has the column.

    Returns
    -------
    array (n,) of int32
        The numbers, 0 for unknown and missing labels.

    Examples
    --------
    >>> import pandas as pd
    >>> encode(Categories("user", [7, 3]), pd.DataFrame({"user": [3, 7, 5]}))
    array([1, 2, 0], dtype=int32)
    """
    return cats.encode(_labels(frame[cats.name])).astype(np.int32)


def _labels(column: "pd.Series[Any]") -> Any:
    """Return the labels of a column, without their type if that is categorical."""
    return column.astype(column.cat.categories.dtype) if hasattr(column, "cat") else column


def read_numbers(column: "pd.Series[Any]", where: str = ""
                 ) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """Return a column of ratings as float32.

    Parameters
    ----------
    column : pandas.Series (n,)
        Numbers of any type.
    where : str
        Beginning of error messages.

    Returns
    -------
    array (n,) of float32
        The ratings.

    Raises
    ------
    ValueError
        If the column does not hold numbers, or one is missing or infinite; the message names the
        first.

    Examples
    --------
    >>> import pandas as pd
    >>> read_numbers(pd.Series([4, 3]))
    array([4., 3.], dtype=float32)
    """
    if column.dtype.kind not in "iufb":
        row, value = first_text(column)
        raise ValueError(f"{where}ratings must be numbers; column {column.name!r} holds "
                         f"{column.dtype} (for example {value!r} in row {row!r}). Convert it with "
                         "pd.to_numeric, or name another column with rating_name=")
    with np.errstate(over="ignore"):
        values = column.to_numpy(np.float32, na_value=np.nan)
    if len(bad := np.flatnonzero(~np.isfinite(values))):
        row = column.index[[bad[0]]].tolist()[0]  # a number or text of Python, for the message
        how = ", in each piece, and give the pieces to from_pieces" if where else ""
        raise ValueError(f"{where}column {column.name!r} has {len(bad)} missing or infinite "
                         f"ratings (the first, {values[bad[0]]}, in row {row!r}); drop the "
                         f"missing ones with ratings.dropna(subset=[{column.name!r}]){how}")
    return values


def first_text(column: "pd.Series[Any]") -> tuple[Any, Any]:
    """Return row and value of the first entry that is not a number, or of the first entry.

    Parameters
    ----------
    column : pandas.Series (n,)
        Numbers, with a text among them.

    Returns
    -------
    row, value : object
        The label of the row, and what it holds.

    Examples
    --------
    >>> import pandas as pd
    >>> first_text(pd.Series([4, "five", "six"]))
    (1, 'five')
    """
    import pandas as pd
    present = column.dropna() if column.notna().any() else column
    texts = present[pd.to_numeric(present, errors="coerce").isna()]
    return next(iter((texts if len(texts) else present).items()))
