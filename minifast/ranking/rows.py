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
        """
        counts = self.counts[users]
        rows = np.repeat(np.arange(len(users)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, self.items[self.first[users][rows] + within]

    def with_user(self, items: Ints) -> "ItemsOfUsers":
        """Return these rows and, at the end, one more with the given items (n,)."""
        users = np.repeat(np.arange(self.n_users + 1), [*self.counts, len(items)])
        return ItemsOfUsers(users, np.concatenate([self.items, items]), self.n_users + 1,
                            self.n_items)

    def mask(self, users: Ints) -> Bools:
        """Return for some users (bs,) which items they have, (bs, n_items)."""
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
    """
    if not columns(train, threshold).size:
        raise ValueError(f"none of the {len(train)} training rows has a rating of at least "
                         f"{threshold}, so there is nothing to rank first; lower threshold")
