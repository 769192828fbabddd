"""Ratings in batches of pairs, or in batches of users with all items that they like."""
from typing import Any, Self

import numpy as np

from ..data import CollabDataBunch
from ..data.bunch import Batches


class RankingDataBunch(CollabDataBunch):
    """Ratings in batches for ranking; ``recommend`` and labels work as in CollabDataBunch."""

    @classmethod
    def with_loaders(cls, data: CollabDataBunch, train_dl: Batches, valid_dl: Batches) -> Self:
        """Return the same ratings with other loaders.

        Parameters
        ----------
        data : CollabDataBunch
            The ratings. They do not change.
        train_dl, valid_dl : DataLoader or sized iterable of (xb, yb)
            The loaders.

        Returns
        -------
        RankingDataBunch
            A bunch that shares the rows and labels of `data`.

        Examples
        --------
        >>> import pandas as pd
        >>> from minifast.data import CollabDataBunch
        >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
        ...                         "rating": [5, 2, 4]})
        >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
        >>> new = RankingDataBunch.with_loaders(data, data.train_dl, data.valid_dl)
        >>> new.train_dl is data.train_dl
        True
        """
        new = cls.__new__(cls)
        vars(new).update(vars(data))
        new.train_dl, new.valid_dl = train_dl, valid_dl
        return new


class PairDataBunch(RankingDataBunch):
    """Ratings in the batches of a NegativeSampler."""

    def batch_table(self, xb: Any, yb: Any, rows: int = 5) -> Any:
        """Return the first pairs as a frame, with 1 for a positive and 0 for a negative."""
        return super().batch_table(xb, yb.reshape(-1), rows)


class UserDataBunch(RankingDataBunch):
    """Ratings in the batches of a UserLoader."""

    def batch_table(self, xb: Any, yb: Any, rows: int = 5) -> Any:
        """Return the first users as a frame, with the items that they like."""
        import pandas as pd
        users, items = self.categories
        liked = [", ".join(items.classes[np.flatnonzero(row)]) for row in yb.numpy()[:rows]]
        return pd.DataFrame({users.name: users.classes[xb.numpy()[:rows]], items.name: liked})
