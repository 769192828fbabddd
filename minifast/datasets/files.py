"""Files of ratings, read piece by piece as frames."""
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from ..data.categories import check_columns

if TYPE_CHECKING:
    import pandas as pd

Pieces: TypeAlias = "Generator[pd.DataFrame]"
PIECE = 1 << 20
"""Rows in a piece."""


def csv_pieces(file: Any, rows: int = PIECE, **kwargs: Any) -> "Pieces":
    """A CSV file, ``rows`` at a time; ``kwargs`` go to ``pandas.read_csv``.

    ValueError names the file that pandas cannot read.

    >>> from io import StringIO
    >>> [piece.shape for piece in csv_pieces(StringIO("a,b\\n1,2\\n3,4\\n5,6"), rows=2)]
    [(2, 2), (1, 2)]
    """
    import pandas as pd
    with _named(file, "sep=, header=, names=, dtype=, encoding= say how it is written"), \
            pd.read_csv(file, chunksize=rows, **kwargs) as reader:
        yield from reader


def parquet_pieces(file: Any, rows: int = PIECE, wanted: Sequence[str | None] = (None,) * 3
                   ) -> "Pieces":
    """Three columns of a Parquet file, ``rows`` at a time: those that are ``wanted``, or where
    None is, its first, second or third. Rows are numbered through the file.
    """
    import pandas as pd
    parquet, hint = _parquet(), "give one Parquet file; several go to from_pieces, as frames"
    with _named(file, hint):
        columns = parquet.read_schema(file).names
    names, start = column_names(columns, wanted, f"{file}: "), 0
    # a buffer would keep all that was read, to the end of the file
    with _named(file, hint), parquet.ParquetFile(file, pre_buffer=False) as table:
        for batch in table.iter_batches(rows, columns=names):
            piece = batch.to_pandas().reset_index()[names]  # a column may have been the index
            piece.index = pd.RangeIndex(start, start := start + len(piece))
            yield piece


def _parquet() -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ImportError("Parquet files are read with pyarrow: pip install 'minifast[parquet]', "
                          "or write the ratings as a CSV file for from_csv") from error
    return parquet


@contextmanager
def _named(file: Any, hint: str) -> Iterator[None]:
    """Within this, an error of the reading says which file it was."""
    try:
        yield
    except FileNotFoundError:
        raise  # names it already
    except (ValueError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({str(error).strip()}); {hint}") from error


# ---------------------------------------------------------------- the columns


def column_names(columns: Sequence[Any], wanted: Sequence[str | None], where: str = ""
                 ) -> list[str]:
    """The names of users, items and ratings: the first three of ``columns`` unless ``wanted``.

    >>> column_names(["user", "item", "stars", "when"], [None, "item", None])
    ['user', 'item', 'stars']
    """
    if len(columns) < 3:
        raise ValueError(f"{where}ratings need three columns (user, item, rating), got "
                         f"{list(columns)}")
    names = [default if given is None else given
             for given, default in zip(wanted, columns, strict=False)]
    check_columns(columns, names, where)
    return names
