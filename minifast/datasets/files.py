"""Files of ratings, read in chunks of rows as frames."""
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

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
    hint = "sep=, header=, names=, dtype=, encoding=, compression= say how it is written"
    with named_errors(file, hint), \
            pd.read_csv(file, chunksize=rows, **{"index_col": False, **kwargs}) as reader:
        while (chunk := _next(reader)) is not None:
            yield chunk


def _next(reader: Any) -> "pd.DataFrame | None":
    """Return the next chunk; raise an error where pandas would drop fields of long rows."""
    from pandas.errors import ParserWarning
    with catch_warnings():
        simplefilter("error", ParserWarning)
        try:
            return next(reader, None)
        except ParserWarning as warning:
            raise ValueError(f"rows have more fields than there are columns: {warning}") from None


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

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> ratings = pd.DataFrame({"user": [1, 2, 3], "item": [1, 1, 2], "rating": [5., 4., 3.]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ratings.to_parquet(f"{folder}/ratings.parquet")
    ...     [len(chunk) for chunk in parquet_chunks(f"{folder}/ratings.parquet", rows=2)]
    [2, 1]
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ImportError("Parquet files are read with pyarrow: pip install 'minifast[parquet]', "
                          "or write the ratings as a CSV file for from_csv") from error
    hint = "give one Parquet file; several go to from_pieces, as frames"
    with named_errors(file, hint):
        columns = parquet.read_schema(file).names
    names, start = column_names(columns, wanted, f"{file}: "), 0
    # pre_buffer=True would keep everything read in memory
    with named_errors(file, hint, TypeError), parquet.ParquetFile(file, pre_buffer=False) as table:
        for batch in table.iter_batches(rows, columns=names):
            chunk = batch.to_pandas().reset_index()[names]  # a column may have been the index
            chunk.index = range(start, start := start + len(chunk))
            yield chunk


@contextmanager
def named_errors(file: Any, hint: str, *more: type[Exception]) -> Iterator[None]:
    """Turn errors of readers within this context into a ValueError that names the file.

    Parameters
    ----------
    file : path or file object
        The file.
    hint : str
        Advice for the user.
    *more : type
        Other errors that only a damaged file can cause.

    Raises
    ------
    ValueError
        If a reader finds that the file is damaged. A FileNotFoundError is not changed.

    Examples
    --------
    >>> with named_errors("ratings.csv.gz", "get it again"):
    ...     raise EOFError("the end is missing")
    Traceback (most recent call last):
    ValueError: ratings.csv.gz cannot be read (the end is missing); get it again
    """
    try:
        yield
    except FileNotFoundError:
        raise  # its message names the file
    except (*more, *_readers_errors()) as error:
        text = str(error).strip() or type(error).__name__
        raise ValueError(f"{file} cannot be read ({text}); {hint}") from error


def _readers_errors() -> tuple[type[Exception], ...]:
    """Return the errors of pandas, pyarrow and decompressors for damaged files."""
    from lzma import LZMAError
    from tarfile import TarError
    from zipfile import BadZipFile
    from zlib import error as zlib_error
    return (ValueError, OSError, EOFError, RuntimeError, LookupError, ArithmeticError, MemoryError,
            LZMAError, TarError, BadZipFile, zlib_error)
