"""Ratings of items by users, from frames or files to batches."""
from collections.abc import Iterable, Mapping
from contextlib import closing
from inspect import signature
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor
from ..datasets.files import PIECE, column_names, csv_pieces, parquet_pieces
from ..datasets.streaming import Codes, Growing, LabelColumn, picked, read_numbers
from .bunch import DataBunch
from .categories import Categories, check_columns, emb_sz_rule
from .loader import ArrayDataset
from .split import Rows, check_share, random_split

if TYPE_CHECKING:
    import pandas as pd


class CollabDataBunch(DataBunch):
    """Ratings of items by users, as batches [users, items] (bs,) int32, ratings (bs,) float32.

    Training and validation rows are two parts of the same three arrays. ``categories`` are the
    two columns' Categories, users first.
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
        return cls.from_pieces([ratings], valid_pct, user_name, item_name, rating_name, test, seed,
                               path, bs, val_bs, device, source="")

    @classmethod
    def from_pieces(cls, pieces: "Iterable[pd.DataFrame]", valid_pct: float = .2,
                    user_name: str | None = None, item_name: str | None = None,
                    rating_name: str | None = None, test: "pd.DataFrame | None" = None,
                    seed: int | None = None, path: Any = ".", bs: int = 64,
                    val_bs: int | None = None, device: str | None = None,
                    source: str = "the ratings") -> "CollabDataBunch":
        """From frames that come one after the other; the result is that of ``from_df`` with all
        of them in one.

        What stays of a frame is 12 bytes a rating, so all of them need never be there at once.
        Missing labels become 0. ``source`` is what errors call the pieces.

        >>> import pandas as pd
        >>> halves = (pd.DataFrame({"user": [user] * 2, "item": ["a", "b"], "rating": [5, 3]})
        ...           for user in (7, 3))
        >>> CollabDataBunch.from_pieces(halves, valid_pct=0, bs=2).classes["user"].tolist()
        ['#na#', '3', '7']
        """
        check_share(valid_pct)
        rows = _Ratings([user_name, item_name, rating_name], test, source)
        for piece in pieces:
            rows.add(piece)
        train, valid = random_split(len(rows), valid_pct, seed)
        n, order = len(train), np.concatenate([train, valid])
        del train, valid
        categories, codes, y = rows.finish(order, n)

        def part(place: slice) -> ArrayDataset:
            return ArrayDataset([c[place] for c in codes], y[place])
        bunch = cls.create(part(slice(n)), part(slice(n, None)), _test_rows(test, categories), bs,
                           val_bs, device=device, path=path, c=1)
        bunch.categories, bunch.rating_name = categories, rows.names[2]
        bunch.classes = {cats.name: cats.classes for cats in categories}
        return bunch

    @classmethod
    def from_csv(cls, file: Any, chunksize: int = PIECE, **kwargs: Any) -> "CollabDataBunch":
        """From a CSV file that is read ``chunksize`` rows at a time; else as ``from_df``.

        ``kwargs`` are those of ``from_df`` and of ``pandas.read_csv``. MovieLens 25M is
        ``CollabDataBunch.from_csv("ml-25m/ratings.csv", seed=42, bs=4096)``.

        >>> from io import StringIO
        >>> text = StringIO("1::b::5::978300760\\n1::a::3::978302109\\n2::b::4::978301968")
        >>> names = ["userId", "movieId", "rating", "timestamp"]
        >>> data = CollabDataBunch.from_csv(text, valid_pct=0, bs=2, sep="::", header=None,
        ...                                 names=names, engine="python")
        >>> data.classes["movieId"].tolist()
        ['#na#', 'a', 'b']
        """
        ours = {name: kwargs.pop(name) for name in _OPTIONS & kwargs.keys()}
        with closing(csv_pieces(file, chunksize, **kwargs)) as pieces:
            return cls.from_pieces(pieces, **{"source": _name(file), **ours})

    @classmethod
    def from_parquet(cls, file: Any, chunksize: int = PIECE, **kwargs: Any) -> "CollabDataBunch":
        """From a Parquet file that is read ``chunksize`` rows and three columns at a time; else as
        ``from_df``, whose arguments ``kwargs`` are. Needs pyarrow: ``minifast[parquet]``.
        """
        wanted = [kwargs.get(name) for name in ("user_name", "item_name", "rating_name")]
        with closing(parquet_pieces(file, chunksize, wanted)) as pieces:
            return cls.from_pieces(pieces, **{"source": _name(file), **kwargs})

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
        check_columns(ratings.columns, names)
        if not len(ratings):
            raise ValueError(f"there are no ratings; give at least one, as {{{names[0]}: rating}}")
        y = Tensor(read_numbers(ratings[names[1]])).to(self.device)
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


_OPTIONS = signature(CollabDataBunch.from_pieces).parameters.keys() - {"pieces"}


def _name(file: Any) -> str:
    """What errors call a file: its path, or the type of what it is read from."""
    return str(file) if isinstance(file, (str, PathLike)) else f"the {type(file).__name__}"


class _Ratings:
    """Ratings as they arrive: three columns, each one array in the end."""

    def __init__(self, wanted: list[str | None], test: "pd.DataFrame | None", source: str) -> None:
        self.wanted, self.test, self.source = wanted, test, source
        self.names: list[str] = []
        self.labels: list[LabelColumn] = []
        self.y = Growing(np.float32)
        self.pieces = 0

    def __len__(self) -> int:
        if not len(self.y):
            raise ValueError(f"{self.source or 'the frame of ratings'} has 0 rows; look at how it "
                             "was read and filtered")
        return len(self.y)

    def add(self, piece: "pd.DataFrame") -> None:
        """Take what is needed from a frame."""
        self.pieces += 1
        where = f"{self.source}, piece {self.pieces}: " if self.source else ""
        if not hasattr(piece, "columns"):
            raise TypeError(f"{where}a piece is a frame, got {type(piece).__name__}; one frame "
                            "alone goes to from_df")
        if not len(piece):
            return
        if not self.names:
            self._begin(piece, where)
        check_columns(piece.columns, self.names, where)
        y = read_numbers(piece[self.names[2]], where)
        for column in self.labels:
            column.add(piece[column.name], where)
        self.y.append(y)

    def _begin(self, piece: "pd.DataFrame", where: str) -> None:
        self.names = column_names(list(piece.columns), self.wanted, where)
        if self.test is not None:
            check_columns(self.test.columns, self.names[:2])
        self.labels = [LabelColumn(name) for name in self.names[:2]]

    def finish(self, order: Rows, n_train: int) -> tuple[list[Categories], list[Codes], Any]:
        """Categories, codes and ratings, rows in this order; what was gathered is given up."""
        y = picked(self.y.whole(), order)
        categories, codes = zip(*(column.finish(order, n_train) for column in self.labels),
                                strict=True)
        return list(categories), list(codes), y


def _test_rows(test: "pd.DataFrame | None", categories: list[Categories]) -> ArrayDataset | None:
    if test is None:
        return None
    codes = [cats.encode(test[cats.name].to_numpy()).astype(np.int32) for cats in categories]
    return ArrayDataset(codes, np.zeros(len(test), np.float32))
