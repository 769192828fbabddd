"""Files of ratings, read in chunks of rows as frames."""
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..data.ratings import column_names

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 1 << 20
"""Rows in a chunk."""


def csv_chunks(file: Any, rows: int = CHUNK, **kwargs: Any) -> "Generator[pd.DataFrame]":
    r"""Yield the rows of a CSV file in chunks.

    Parameters
    ----------
    file : path or file object
        The file.
    rows : int
        Rows in a chunk.
    **kwargs
        Arguments of ``pandas.read_csv``.

    Yields
    ------
    pandas.DataFrame
        At most `rows` rows.

    Raises
    ------
    ValueError
        If pandas cannot read the file; the message names it.

    Examples
    --------
    >>> from io import StringIO
    >>> [chunk.shape for chunk in csv_chunks(StringIO("a,b\n1,2\n3,4\n5,6"), rows=2)]
    [(2, 2), (1, 2)]
    """
    import pandas as pd
    with _named(file, "sep=, header=, names=, dtype=, encoding= say how it is written"), \
            pd.read_csv(file, chunksize=rows, **kwargs) as reader:
        yield from reader


def parquet_chunks(file: Any, rows: int = CHUNK, wanted: Sequence[str | None] = (None,) * 3
                   ) -> "Generator[pd.DataFrame]":
    """Yield three columns of a Parquet file in chunks, numbered through the file.

    Parameters
    ----------
    file : path
        The file.
    rows : int
        Rows in a chunk.
    wanted : sequence of three str or None
        Names of the columns; None stands for the first, second or third.

    Yields
    ------
    pandas.DataFrame
        At most `rows` rows of the three columns.

    Raises
    ------
    ValueError
        If pyarrow cannot read the file, or it has fewer than three columns.
    UnknownColumnError
        If a column does not exist. It is a KeyError.
    ImportError
        If pyarrow is not installed.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ImportError("Parquet files are read with pyarrow: pip install 'minifast[parquet]', "
                          "or write the ratings as a CSV file for from_csv") from error
    hint = "give one Parquet file; several go to from_pieces, as frames"
    with _named(file, hint):
        columns = parquet.read_schema(file).names
    names, start = column_names(columns, wanted, f"{file}: "), 0
    # pre_buffer=True would keep all that was read in memory
    with _named(file, hint), parquet.ParquetFile(file, pre_buffer=False) as table:
        for batch in table.iter_batches(rows, columns=names):
            chunk = batch.to_pandas().reset_index()[names]  # a column may have been the index
            chunk.index = range(start, start := start + len(chunk))
            yield chunk


@contextmanager
def _named(file: Any, hint: str) -> Iterator[None]:
    """Within this, an error in reading names the file."""
    try:
        yield
    except FileNotFoundError:
        raise  # its message has the name
    except (ValueError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({str(error).strip()}); {hint}") from error
