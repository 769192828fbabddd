"""The items of each user, stored next to each other in one array."""
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..autograd import Tensor
from ..data import ArrayDataset, CollabDataBunch

Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]


class ItemsOfUsers:
    """Which items each user has: a sparse matrix in compressed row format.

    Parameters
    ----------
    users, items : array (n,) of int
        The pairs.
    n_users, n_items : int
        Rows and columns of the matrix.

    Examples
    --------
    >>> rows = ItemsOfUsers(np.array([2, 0, 2]), np.array([1, 3, 0]), 3, 4)
    >>> rows.mask(np.array([2, 1])).astype(int)
    array([[1, 1, 0, 0],
           [0, 0, 0, 0]])
    """

    def __init__(self, users: Ints, items: Ints, n_users: int, n_items: int) -> None:
        self.items = items[np.argsort(users, kind="stable")]
        self.counts = np.bincount(users, minlength=n_users)
        self.first = np.cumsum(self.counts) - self.counts
        self.n_items = n_items

    @property
    def n_users(self) -> int:
        """The number of users."""
        return len(self.counts)

    def pairs(self, users: Ints) -> tuple[Ints, Ints]:
        """Return the pairs of some users.

        Parameters
        ----------
        users : array (bs,) of int
            The users.

        Returns
        -------
        rows, items : array (n,) of int
            For each pair, the position of the user in `users`, and the item.

        Examples
        --------
        >>> rows = ItemsOfUsers(np.array([0, 0, 2]), np.array([1, 3, 2]), n_users=3, n_items=4)
        >>> rows.pairs(np.array([2, 0]))
        (array([0, 1, 1]), array([2, 1, 3]))
        """
        counts = self.counts[users]
        rows = np.repeat(np.arange(len(users)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, self.items[self.first[users][rows] + within]

    def with_user(self, items: Ints) -> "ItemsOfUsers":
        """Return these rows and, at the end, one more with the given items (n,).

        Parameters
        ----------
        items : array (n,) of int
            The items of the new user.

        Returns
        -------
        ItemsOfUsers
            The longer rows.

        Examples
        --------
        >>> rows = ItemsOfUsers(np.array([0, 0, 2]), np.array([1, 3, 2]), n_users=3, n_items=4)
        >>> rows.with_user(np.array([0])).n_users
        4
        """
        users = np.repeat(np.arange(self.n_users + 1), [*self.counts, len(items)])
        return ItemsOfUsers(users, np.concatenate([self.items, items]), self.n_users + 1,
                            self.n_items)

    def mask(self, users: Ints) -> Bools:
        """Return for some users (bs,) which items they have, (bs, n_items).

        Parameters
        ----------
        users : array (bs,) of int
            The users.

        Returns
        -------
        array (bs, n_items) of bool
            Whether the user has the item.

        Examples
        --------
        >>> rows = ItemsOfUsers(np.array([0, 0, 2]), np.array([1, 3, 2]), n_users=3, n_items=4)
        >>> rows.mask(np.array([0])).tolist()
        [[False, True, False, True]]
        """
        mask = np.zeros((len(users), self.n_items), bool)
        mask[self.pairs(users)] = True
        return mask


def items_of_users(data: CollabDataBunch, *parts: ArrayDataset | None,
                   threshold: float = -np.inf) -> ItemsOfUsers:
    """Return the items that users rated with at least a threshold.

    Parameters
    ----------
    data : CollabDataBunch
        Data that know the numbers of users and items.
    *parts : ArrayDataset
        Rows [users, items] and ratings; None means no rows.
    threshold : float
        The lowest rating that counts.

    Returns
    -------
    ItemsOfUsers
        A row for each user; unknown users and items have number 0.

    Examples
    --------
    >>> import pandas as pd
    >>> from minifast.data import CollabDataBunch
    >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
    ...                         "rating": [5, 2, 4]})
    >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
    >>> items_of_users(data, data.train_ds, threshold=4).counts.tolist()
    [0, 1, 1]
    """
    rows = [columns(part, threshold) for part in parts if part is not None]
    users, items = np.concatenate([np.zeros((2, 0), np.int32), *rows], axis=1)
    return ItemsOfUsers(users, items, *map(len, data.categories))


def columns(part: ArrayDataset, threshold: float = -np.inf) -> Ints:
    """Return the users and items of the rows rated with at least a threshold.

    Parameters
    ----------
    part : ArrayDataset
        Rows [users, items] and ratings.
    threshold : float
        The lowest rating that counts.

    Returns
    -------
    array (2, n) of int
        Users and items, on the host.

    Examples
    --------
    >>> part = ArrayDataset([np.array([1, 2]), np.array([3, 4])], np.float32([5, 2]))
    >>> columns(part, threshold=4).tolist()
    [[1], [3]]
    """
    users, items, ratings = (Tensor(column).numpy() for column in (*part.x, part.y))
    return np.stack([users, items])[:, ratings >= threshold]


def check_liked(train: ArrayDataset, threshold: float) -> None:
    """Check that at least one training row has a rating that reaches the threshold.

    Parameters
    ----------
    train : ArrayDataset
        The training rows.
    threshold : float
        The lowest rating of a liked item.

    Raises
    ------
    ValueError
        If no rating reaches the threshold.

    Examples
    --------
    >>> check_liked(ArrayDataset([np.array([1]), np.array([3])], np.float32([5])), 4)
    """
    if not columns(train, threshold).size:
        raise ValueError(f"none of the {len(train)} training rows has a rating of at least "
                         f"{threshold}, so there is nothing to rank first; lower threshold")
