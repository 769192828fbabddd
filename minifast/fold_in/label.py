"""Labels that join Categories after training."""
from collections.abc import Hashable
from itertools import count
from typing import Any

import numpy as np

from ..data import Categories
from ..data.categories import NA, spellings


def unused_label(cats: Categories) -> Any:
    """Return a new label: the next whole number, or 'new 1', 'new 2' beside other labels."""
    if cats.labels.dtype.kind in "iu":
        return int(cats.labels.max()) + 1
    return next(label for i in count(1) if (label := f"new {i}") not in cats.numbers)


def check_new(cats: Categories, label: Hashable) -> None:
    """Check that a label is not one of the categories.

    Parameters
    ----------
    cats : Categories
        The known labels.
    label : hashable
        The new one.

    Raises
    ------
    ValueError
        If it is known, or is ``#na#``.
    """
    if str(label) == NA or label in cats.numbers or str(label) in cats.numbers:
        raise ValueError(f"{label!r} is among the {len(cats)} values of {cats.name!r} "
                         "already; choose another label")


def append_label(cats: Categories, label: Hashable) -> int:
    """Give a new label the highest number; the others keep theirs.

    Parameters
    ----------
    cats : Categories
        They change in place.
    label : hashable
        The new label.

    Returns
    -------
    int
        Its number.

    Examples
    --------
    >>> cats = Categories("user", [7, 3])
    >>> append_label(cats, 5), cats.index("5"), cats.classes.tolist()
    (3, 3, ['#na#', '3', '7', '5'])
    """
    import pandas as pd
    shown = np.array([str(label)]) if cats.classes.dtype.kind == "U" \
        else np.array([label], dtype=object)
    number = len(cats)
    cats.labels = cats.labels.append(pd.Index([label]))
    cats.classes = np.concatenate([cats.classes, shown])
    cats.numbers |= dict.fromkeys(spellings(label), number)
    return number
