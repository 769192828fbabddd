"""fastai v1's small functions on lists, numbers and frames."""
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..optim import Adam
from ..train.callback import listify as items_of
from ..train.callback import snake_case
from ..train.groups import lr_range

T = TypeVar("T")

camel2snake = snake_case
"""fastai v1's name."""
AdamW = Adam
"""fastai v1's name of its default optimizer, whose weight decay is decoupled."""


def ifnone(a: Any, b: Any) -> Any:
    """Return ``a``, or ``b`` if ``a`` is None.

    Parameters
    ----------
    a, b : object
        The value, and its replacement.

    Returns
    -------
    object
        One of them.

    Examples
    --------
    >>> ifnone(None, 3), ifnone(0, 3)
    (3, 0)
    """
    return b if a is None else a


def is_listy(x: Any) -> bool:
    """Return whether ``x`` is a list or a tuple.

    Parameters
    ----------
    x : object
        Any object.

    Returns
    -------
    bool
        True for both, False for strings, arrays and anything else.

    Examples
    --------
    >>> is_listy([1]), is_listy((1,)), is_listy("a")
    (True, True, False)
    """
    return isinstance(x, (list, tuple))


def is_tuple(x: Any) -> bool:
    """Return whether ``x`` is a tuple.

    Parameters
    ----------
    x : object
        Any object.

    Returns
    -------
    bool
        True if it is one.

    Examples
    --------
    >>> is_tuple((1, 2)), is_tuple([1, 2])
    (True, False)
    """
    return isinstance(x, tuple)


def listify(p: Any = None, q: Any = None) -> list[Any]:
    """Return a list, as long as ``q``.

    Parameters
    ----------
    p : object
        None for an empty list, a value for a list of one item, or an iterable.
    q : int or sized, optional
        The length, or an object with this length; a list of one item is repeated.

    Returns
    -------
    list
        The list.

    Raises
    ------
    ValueError
        If ``p`` has neither one item nor this length.

    Examples
    --------
    >>> listify(3, 2), listify(None), listify("ab")
    ([3, 3], [], ['ab'])
    """
    one = isinstance(p, (str, bytes, dict)) or not isinstance(p, Iterable)
    found = items_of(p) if one else list(p)
    n = len(found) if q is None else q if isinstance(q, int) else len(q)
    if len(found) == 1:
        return found * n
    if len(found) != n:
        raise ValueError(f"a list of {len(found)} items where {n} are needed: {found!r}; give one "
                         f"item, or {n}")
    return found


def even_mults(start: float, stop: float, n: int) -> list[float]:
    """Return ``n`` numbers from start to stop that are evenly spaced on a logarithmic scale.

    Parameters
    ----------
    start, stop : float
        The first and the last number.
    n : int
        How many.

    Returns
    -------
    list of float
        The numbers.

    Examples
    --------
    >>> [round(x, 6) for x in even_mults(1e-5, 1e-3, 3)]
    [1e-05, 0.0001, 0.001]
    """
    return lr_range(slice(start, stop), n)  # type: ignore[no-any-return]


def uniqueify(x: Iterable[T], sort: bool = False) -> list[T]:
    """Return the distinct items.

    Parameters
    ----------
    x : iterable
        The items, which must be hashable.
    sort : bool
        Whether to sort them; otherwise they keep their order.

    Returns
    -------
    list
        The items.

    Examples
    --------
    >>> uniqueify([3, 1, 3]), uniqueify([3, 1, 3], sort=True)
    ([3, 1], [1, 3])
    """
    found: list[Any] = list(dict.fromkeys(x))
    return sorted(found) if sort else found


def chunks(items: Sequence[T], n: int) -> Iterator[Sequence[T]]:
    """Yield parts of a list with ``n`` items each.

    Parameters
    ----------
    items : sequence
        The list.
    n : int
        The length of a part; the last may be shorter.

    Returns
    -------
    iterator of sequence
        The parts.

    Examples
    --------
    >>> list(chunks("abcde", 2))
    ['ab', 'cd', 'e']
    """
    return (items[i:i + n] for i in range(0, len(items), n))


def series2cat(df: Any, *col_names: Any) -> None:
    """Turn columns of a frame into ordered categories, in place.

    Parameters
    ----------
    df : pandas.DataFrame
        The frame.
    *col_names : str, or list of str
        The columns.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"colour": ["red", "green"]})
    >>> series2cat(df, "colour")
    >>> df["colour"].cat.ordered
    True
    """
    for names in col_names:
        for name in listify(names):
            df[name] = df[name].astype("category").cat.as_ordered()


def ls(path: Path) -> list[Path]:
    """Return the contents of a folder: the method ``ls`` that v1 adds to ``Path``.

    Parameters
    ----------
    path : Path
        The folder.

    Returns
    -------
    list of Path
        Files and folders, sorted.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "train").mkdir()
    ...     [inside.name for inside in Path(folder).ls()]
    ['train']
    """
    return sorted(path.iterdir())


setattr(Path, ls.__name__, ls)
