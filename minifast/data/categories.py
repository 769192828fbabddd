"""Categories: from labels to the rows of an embedding, and back."""
from collections.abc import Hashable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any

import numpy as np

from ..nn import UnknownNameError

NA = "#na#"


class UnknownLabelError(UnknownNameError):
    """A label that does not occur in the training rows."""


class UnknownColumnError(UnknownNameError):
    """A column that the frame does not have."""


def check_columns(columns: Iterable[Any], names: Iterable[Any], where: str = "",
                  have: str = "the frame has") -> None:
    """Check that all ``names`` are among ``columns``.

    Parameters
    ----------
    columns : iterable of str
        The columns that exist.
    names : iterable of str
        The columns that are wanted.
    where, have : str
        Beginning of the error message, and its words before the list of columns.

    Raises
    ------
    UnknownColumnError
        If a name is missing. It is a KeyError.

    Examples
    --------
    >>> check_columns(["user", "item"], ["item"])
    """
    columns = list(columns)
    for name in names:
        if name not in columns:
            raise UnknownColumnError(f"{where}no column {name!r}; {have} "
                                     f"{', '.join(map(str, columns)) or 'none'}")


class Categories:
    """The labels of one column, sorted and numbered from 1; 0 is ``#na#``, unknown or missing.

    Parameters
    ----------
    name : str
        Name of the column.
    training_labels : iterable of labels (n,)
        The column in the training rows. Labels that do not occur here have the number 0.

    Attributes
    ----------
    labels : pandas.Index (n_classes - 1,)
        The labels in order.
    classes : array (n_classes,)
        ``#na#`` and the labels, as fastai shows them: numbers as text.
    numbers : dict
        The number of a label, by each of its spellings.

    Raises
    ------
    TypeError
        If the labels cannot be hashed or cannot be sorted.

    Notes
    -----
    fastai v1's ``Categorify``, for one column.

    Examples
    --------
    >>> cats = Categories("user", [7, 3, 7])
    >>> cats.classes.tolist(), cats.encode([3, 7, 9]).tolist()
    (['#na#', '3', '7'], [1, 2, 0])
    """

    def __init__(self, name: str, training_labels: Iterable[Any]) -> None:
        self.name = name
        self.labels = _sorted_labels(name, training_labels)
        self.classes = np.concatenate([np.array([NA]), np.asarray(self.labels)]) \
            if len(self.labels) and self.labels.dtype.kind in "iufb" \
            else np.array([NA, *self.labels], dtype=object)
        self.numbers = {spelling: number for number, label in enumerate(self.labels, start=1)
                        for spelling in spellings(label)}

    def __len__(self) -> int:
        return len(self.classes)

    def encode(self, labels: Iterable[Any]) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Return the numbers (n,) of labels (n,), 0 for unknown and missing ones.

        Parameters
        ----------
        labels : iterable (n,)
            Labels.

        Returns
        -------
        array (n,) of int64
            Their numbers.

        Examples
        --------
        >>> Categories("user", [7, 3, 7]).encode([3, 7, 9])
        array([1, 2, 0])
        """
        import pandas as pd
        return np.asarray(self.labels.get_indexer(pd.Index(labels)), np.int64) + 1

    def index(self, label: Hashable) -> int:
        """Return the number of one label.

        Parameters
        ----------
        label : hashable
            The label; 5 and '5' are the same.

        Returns
        -------
        int
            Its number, from 1.

        Raises
        ------
        UnknownLabelError
            If the label does not occur in the training rows. It is a KeyError.

        Examples
        --------
        >>> Categories("user", [7, 3, 7]).index("7")
        2
        """
        number = self.numbers.get(label, self.numbers.get(str(label)))
        if number is None:
            near = _similar(str(label), list(map(str, self.labels)))
            hint = f"; near it: {', '.join(map(repr, near))}" if near else ""
            raise UnknownLabelError(
                f"{label!r} is not among the {len(self) - 1} values of {self.name!r} in the "
                f"training rows (it may be in the validation rows only){hint}")
        return number


def spellings(label: Any) -> Iterator[Any]:
    """Yield the keys of a label: itself, its text, for a whole float the text without point.

    Parameters
    ----------
    label : object
        The label.

    Yields
    ------
    object
        A key.

    Examples
    --------
    >>> list(spellings(3.))
    [3.0, '3.0', '3']
    """
    yield from (label, str(label))
    if isinstance(label, float) and label.is_integer():
        yield str(int(label))


def _similar(text: str, known: list[str]) -> list[str]:
    """Return up to three labels: those that contain the text first, then those spelt alike."""
    within = [label for label in known if text.lower() in label.lower()]
    return list(dict.fromkeys([*within, *get_close_matches(text, known)]))[:3]


def _sorted_labels(name: str, labels: Iterable[Any]) -> Any:
    """Return the distinct labels in order, as a pandas Index."""
    import pandas as pd
    try:
        unique = pd.Index(pd.unique(pd.Series(labels).dropna())).infer_objects()
    except TypeError as error:
        raise TypeError(f"column {name!r} holds values that cannot be labels ({error}); convert "
                        "them to numbers or strings") from error
    try:
        return unique.sort_values()
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in unique})
        raise TypeError(f"the values of {name!r} cannot be put in order: they are of types "
                        f"{', '.join(kinds)}; convert the column to one type") from error


def emb_sz_rule(n: int) -> int:
    """Return fastai's width of an embedding for ``n`` classes, ``#na#`` included.

    Parameters
    ----------
    n : int
        The number of classes.

    Returns
    -------
    int
        The width.

    Examples
    --------
    >>> emb_sz_rule(944), emb_sz_rule(1654), emb_sz_rule(50_000)
    (74, 102, 600)
    """
    return min(600, round(float(1.6 * n ** .56)))
