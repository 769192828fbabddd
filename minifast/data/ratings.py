"""Ratings of items by users, from a frame to batches."""
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor
from .bunch import DataBunch
from .categorify import Categories, UnknownColumnError, emb_sz_rule
from .loader import ArrayDataset
from .split import random_split

if TYPE_CHECKING:
    import pandas as pd


class CollabDataBunch(DataBunch):
    """Ratings of items by users, as batches [users, items], ratings.

    ``categories`` are the two columns' Categories, users first.
    """

    categories: list[Categories]
    rating_name: str

    @classmethod
    def from_df(cls, ratings: "pd.DataFrame", valid_pct: float = .2, user_name: str | None = None,
                item_name: str | None = None, rating_name: str | None = None,
                test: "pd.DataFrame | None" = None, seed: int | None = None, path: Any = ".",
                bs: int = 64, val_bs: int | None = None, device: str | None = None
                ) -> "CollabDataBunch":
        """From a frame with a row per rating; by default its first three columns.

        A random ``valid_pct`` of the rows, drawn with ``seed``, validates. Users and items are
        numbered by their order among the training rows, from 1; others become 0 (``#na#``).
        fastai v1's ``CollabDataBunch.from_df``.

        >>> import pandas as pd
        >>> rows = [(1, "a", 5), (1, "b", 3), (2, "a", 4), (2, "b", 1)]
        >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
        >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
        >>> {name: c.tolist() for name, c in data.classes.items()}
        {'user': ['#na#', '1', '2'], 'item': ['#na#', 'a', 'b']}
        """
        names = _column_names(ratings, user_name, item_name, rating_name)
        if test is not None:
            _check_columns(test, names[:2])
        y = _numbers(ratings, names[2])
        train, valid = random_split(len(ratings), valid_pct, seed)
        columns = [ratings[name].to_numpy() for name in names[:2]]
        categories = [Categories(name, column[train]) for name, column in
                      zip(names[:2], columns, strict=True)]
        codes = [cats.encode(column) for cats, column in zip(categories, columns, strict=True)]

        def rows(chosen: Any) -> ArrayDataset:
            return ArrayDataset([c[chosen] for c in codes], y[chosen])
        bunch = cls.create(rows(train), rows(valid), _test_rows(test, names, categories), bs,
                           val_bs, device=device, path=path, c=1)
        bunch.categories, bunch.rating_name = categories, names[2]
        bunch.classes = {cats.name: cats.classes for cats in categories}
        return bunch

    def get_emb_szs(self, sz_dict: Mapping[str, int] | None = None) -> list[tuple[int, int]]:
        """(rows, width) of an embedding for users and one for items; ``sz_dict`` sets widths."""
        given = sz_dict or {}
        return [(len(cats), given.get(cats.name, emb_sz_rule(len(cats))))
                for cats in self.categories]

    def one_item(self, item: Any) -> list[Tensor]:
        """A row (mapping of column to label, or (user, item)) as a batch of one."""
        labels = [item[cats.name] for cats in self.categories] if hasattr(item, "keys") \
            else list(item)
        if len(labels) != len(self.categories):
            raise ValueError(f"a rating is predicted for a user and an item, got {item!r}; give "
                             "(user, item), or a row of a frame")
        return [self.encode([label], i) for i, label in enumerate(labels)]

    def encode(self, labels: Iterable[Any], column: int) -> Tensor:
        """Numbers (n,) of users (column 0) or items (1); UnknownLabelError names the label."""
        numbers = [self.categories[column].index(label) for label in labels]
        return Tensor(np.array(numbers, np.int64)).to(self.device)

    def read_ratings(self, ratings: Any) -> tuple[Tensor, Tensor]:
        """One person's ratings as numbers of items (n,) and ratings (n,), on this device.

        ``ratings`` maps labels of items to numbers, or is a list of such pairs, or a frame with
        the two columns' names. ValueError if there are none or they are no numbers,
        UnknownLabelError for an item that was not in training.
        """
        import pandas as pd
        names = [self.categories[1].name, self.rating_name]
        if not hasattr(ratings, "columns"):
            ratings = pd.DataFrame(_pairs(ratings), columns=names)
        _check_columns(ratings, names)
        if not len(ratings):
            raise ValueError(f"there are no ratings; give at least one, as {{{names[0]}: rating}}")
        y = Tensor(_numbers(ratings, names[1])).to(self.device)
        return self.encode(ratings[names[0]].tolist(), 1), y

    def batch_table(self, xb: Any, yb: Any, rows: int = 5) -> Any:
        """The first rows of a batch with their labels."""
        import pandas as pd
        table = {cats.name: cats.classes[x.numpy()[:rows]]
                 for cats, x in zip(self.categories, xb, strict=True)}
        return pd.DataFrame({**table, "target": yb.numpy()[:rows]})


def _pairs(ratings: Any) -> list[tuple[Any, Any]]:
    pairs = list(ratings.items() if hasattr(ratings, "items") else ratings)
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ValueError(f"ratings are pairs (item, rating), or a mapping from item to rating; "
                             f"got {pair!r}")
    return pairs


def _column_names(ratings: "pd.DataFrame", user: str | None, item: str | None,
                  rating: str | None) -> list[str]:
    if not len(ratings):
        raise ValueError("the frame of ratings has 0 rows; look at how it was read and filtered")
    if len(ratings.columns) < 3:
        raise ValueError(f"ratings need three columns (user, item, rating), got "
                         f"{list(ratings.columns)}")
    names = [given or default for given, default in
             zip([user, item, rating], ratings.columns[:3], strict=True)]
    _check_columns(ratings, names)
    return names


def _check_columns(frame: "pd.DataFrame", names: list[str]) -> None:
    for name in names:
        if name not in frame.columns:
            raise UnknownColumnError(f"no column {name!r}; the frame has "
                                     f"{', '.join(map(str, frame.columns))}")


def _numbers(ratings: "pd.DataFrame", name: str) -> "np.ndarray[Any, np.dtype[np.float32]]":
    column = ratings[name]
    if column.dtype.kind not in "iufb":
        raise ValueError(f"ratings must be numbers; column {name!r} holds {column.dtype} "
                         f"(for example {column.iloc[0]!r}). Convert it with pd.to_numeric, or "
                         "name another column with rating_name=")
    values = column.to_numpy(np.float32, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        row = column.index[[bad[0]]].tolist()[0]  # Python's own number or text
        raise ValueError(f"column {name!r} has {len(bad)} missing or infinite ratings (the first, "
                         f"{values[bad[0]]}, in row {row!r}); drop the missing "
                         f"ones with ratings.dropna(subset=[{name!r}])")
    return values


def _test_rows(test: "pd.DataFrame | None", names: list[str], categories: list[Categories]
               ) -> ArrayDataset | None:
    if test is None:
        return None
    codes = [cats.encode(test[name].to_numpy())
             for cats, name in zip(categories, names[:2], strict=True)]
    return ArrayDataset(codes, np.zeros(len(test), np.float32))
