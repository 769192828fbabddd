"""Categories: from labels to the rows of an embedding, and back."""
from collections.abc import Hashable, Iterable, Iterator
from difflib import get_close_matches
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

NA = "#na#"


class _PlainKeyError(KeyError):
    """A KeyError whose message prints as it is, not quoted."""

    def __str__(self) -> str:
        return str(self.args[0])


class UnknownLabelError(_PlainKeyError):
    """A label that was not among the training rows."""


class UnknownColumnError(_PlainKeyError):
    """A column that the frame does not have."""


def check_columns(columns: Iterable[Any], names: Iterable[Any], where: str = "",
                  have: str = "the frame has") -> None:
    """UnknownColumnError, a KeyError, for the first name that is not among ``columns``; ``where``
    begins the message, ``have`` introduces those that are.

    >>> check_columns(["user", "item"], ["item"])
    """
    columns = list(columns)
    for name in names:
        if name not in columns:
            raise UnknownColumnError(f"{where}no column {name!r}; {have} "
                                     f"{', '.join(map(str, columns)) or 'none'}")


class Categories:
    """The labels of one column, in sorted order, numbered from 1; 0 is ``#na#``.

    Fitted on the training rows: a label that does not occur there, or is missing, becomes 0.
    ``classes`` are the labels as fastai v1 shows them: ``#na#`` first, numbers as text. v1's
    ``Categorify``, for one column.

    >>> cats = Categories("user", [7, 3, 7])
    >>> cats.classes.tolist(), cats.encode([3, 7, 9]).tolist()
    (['#na#', '3', '7'], [1, 2, 0])
    """

    def __init__(self, name: str, training_labels: "Iterable[Any]") -> None:
        import pandas as pd
        self.name = name
        unique = pd.Index(pd.unique(pd.Series(training_labels).dropna())).infer_objects()
        self.labels = _sorted(name, unique)
        self.classes = np.concatenate([np.array([NA]), np.asarray(self.labels)]) \
            if len(self.labels) and self.labels.dtype.kind in "iufb" \
            else np.array([NA, *self.labels], dtype=object)
        self._numbers = {spelling: i for i, label in enumerate(self.labels, start=1)
                         for spelling in _spellings(label)}

    def __len__(self) -> int:
        return len(self.classes)

    def encode(self, labels: "Iterable[Any]") -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Numbers (n,) for labels (n,); 0 for one that is unknown or missing."""
        import pandas as pd
        return np.asarray(self.labels.get_indexer(pd.Index(labels)), np.int64) + 1

    def index(self, label: Hashable) -> int:
        """The number of one label, 5 and '5' alike. KeyError if it was not in training."""
        number = self._numbers.get(label, self._numbers.get(str(label)))
        if number is None:
            raise UnknownLabelError(self._unknown(label))
        return number

    def unused(self) -> Any:
        """A label that is not taken: the next whole number, or 'new 1', 'new 2' beside text."""
        if self.labels.dtype.kind in "iu":
            return int(self.labels.max()) + 1
        return next(label for i in count(1) if (label := f"new {i}") not in self._numbers)

    def check_new(self, label: Hashable) -> None:
        """Raise ValueError if ``add`` would refuse this label."""
        if str(label) == NA or label in self._numbers or str(label) in self._numbers:
            raise ValueError(f"{label!r} is among the {len(self)} values of {self.name!r} "
                             "already; choose another label")

    def add(self, label: Hashable) -> int:
        """Append a label that is not known yet: its number, the highest. The others keep theirs.

        >>> cats = Categories("user", [7, 3])
        >>> cats.add(5), cats.index("5"), cats.classes.tolist()
        (3, 3, ['#na#', '3', '7', '5'])
        """
        import pandas as pd
        self.check_new(label)
        shown = np.array([str(label)]) if self.classes.dtype.kind == "U" \
            else np.array([label], dtype=object)
        self.labels = self.labels.append(pd.Index([label]))
        self.classes = np.concatenate([self.classes, shown])
        self._numbers |= {spelling: len(self) - 1 for spelling in _spellings(label)}
        return len(self) - 1

    def _unknown(self, label: Hashable) -> str:
        near = _near(str(label), list(map(str, self.labels)))
        hint = f"; near it: {', '.join(map(repr, near))}" if near else ""
        return (f"{label!r} is not among the {len(self) - 1} values of {self.name!r} in the "
                f"training rows (it may be in the validation rows only){hint}")


def _spellings(label: Any) -> Iterator[Any]:
    """What finds a label: itself, its text, and for a whole float the text without the point."""
    yield from (label, str(label))
    if isinstance(label, float) and label.is_integer():
        yield str(int(label))


def _near(text: str, known: list[str]) -> list[str]:
    """At most three: first what contains the text (a title without its year), then what is
    spelt alike.
    """
    within = [label for label in known if text.lower() in label.lower()]
    return list(dict.fromkeys([*within, *get_close_matches(text, known)]))[:3]


def _sorted(name: str, labels: "pd.Index[Any]") -> "pd.Index[Any]":
    try:
        return labels.sort_values()
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels})
        raise TypeError(f"the values of {name!r} cannot be put in order: they are of types "
                        f"{', '.join(kinds)}; convert the column to one type") from error


def emb_sz_rule(n: int) -> int:
    """Width of an embedding for ``n`` classes, ``#na#`` included: fastai's rule of thumb.

    >>> emb_sz_rule(944), emb_sz_rule(1654), emb_sz_rule(50_000)
    (74, 102, 600)
    """
    return min(600, round(float(1.6 * n ** .56)))
