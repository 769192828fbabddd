"""A denoising autoencoder: from the items that a user has rated to the scores of all items."""
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import backend_of, generator
from ..collab import CollabLearner
from ..data import ArrayDataset, CollabDataBunch, DataLoader
from ..data.bunch import Batches
from ..nn import Dropout, Linear, Module
from ..nn.init import Seed
from .bunch import UserDataBunch
from .losses import multinomial_loss
from .rows import Ints, ItemsOfUsers, check_liked, items_of_users


class Autoencoder(Module):
    """A model that computes a user's factors from the items that the user has rated and liked.

    ``model(users)`` returns the scores of all items (bs, n_items) for users (bs,), and
    ``model(users, items)`` the scores (bs,) of pairs. A score is the dot product of the user's and
    the item's factors plus the item's bias, as in the dot product model. But a user's factors are
    not parameters. They are the tanh of a weighted sum over the items that the user has rated and
    liked. Dropout hides most of these during training, so that the model learns to predict items
    from other items.

    Parameters
    ----------
    n_factors : int
        Number of factors, the width between the layers.
    seen, liked : ItemsOfUsers
        The items that users have rated, and those among them that they like.
    dropout : float
        Share of the items that are hidden during training.
    seed : int or numpy.random.Generator, optional
        Source of the initial weights and of dropout.
    threshold : float
        The lowest rating of an item that a user likes, for ``append_user``.

    References
    ----------
    Liang, D., Krishnan, R. G., Hoffman, M. D. and Jebara, T. (2018). Variational autoencoders for
    collaborative filtering. WWW. https://arxiv.org/abs/1802.05814. This is their Mult-DAE,
    whose input contains only the liked items.

    Examples
    --------
    >>> from minifast import tensor
    >>> seen = ItemsOfUsers(np.array([1, 1, 2]), np.array([1, 2, 3]), n_users=3, n_items=5)
    >>> model = Autoencoder(2, seen, seen)
    >>> model(tensor([1, 2])).shape, model(tensor([1, 2]), tensor([4, 4])).shape
    ((2, 5), (2,))
    """

    def __init__(self, n_factors: int, seen: ItemsOfUsers, liked: ItemsOfUsers,
                 dropout: float = .6, seed: Seed = None, threshold: float = 4) -> None:
        rng = generator(seed)
        self.seen, self.liked, self.threshold = seen, liked, threshold
        self.dropout = Dropout(dropout, rng)
        self.encode = Linear(2 * seen.n_items, n_factors, bias=False, seed=rng)
        self.decode = Linear(n_factors, seen.n_items, seed=rng)

    def forward(self, users: Tensor, items: Tensor | None = None) -> Tensor:
        if items is None:
            scores: Tensor = self.decode(self.u_weight(users))
            return scores
        different, places = np.unique(users.numpy(), return_inverse=True)
        rows: Tensor = self(Tensor(different).to(users.device))
        return rows[Tensor(places).to(users.device), items]

    def u_weight(self, users: Tensor) -> Tensor:
        """Return the factors (bs, n_factors) of users (bs,).

        Parameters
        ----------
        users : Tensor (bs,)
            Numbers of users.

        Returns
        -------
        Tensor (bs, n_factors)
            Their factors.

        Examples
        --------
        >>> from minifast import tensor
        >>> seen = ItemsOfUsers(np.array([1, 1, 2]), np.array([1, 2, 3]), n_users=3, n_items=5)
        >>> model = Autoencoder(2, seen, seen)
        >>> model.u_weight(tensor([1, 2])).shape
        (2, 2)
        """
        factors: Tensor = self.encode(self.dropout(self.history(users))).tanh()
        return factors

    def i_weight(self, items: Tensor) -> Tensor:
        """Return the factors (bs, n_factors) of items (bs,).

        Parameters
        ----------
        items : Tensor (bs,)
            Numbers of items.

        Returns
        -------
        Tensor (bs, n_factors)
            Their factors.

        Examples
        --------
        >>> from minifast import tensor
        >>> seen = ItemsOfUsers(np.array([1, 1, 2]), np.array([1, 2, 3]), n_users=3, n_items=5)
        >>> model = Autoencoder(2, seen, seen)
        >>> model.i_weight(tensor([4])).shape
        (1, 2)
        """
        return self.decode.weight[items]

    def i_bias(self, items: Tensor) -> Tensor:
        """Return the biases (bs, 1) of items (bs,).

        Parameters
        ----------
        items : Tensor (bs,)
            Numbers of items.

        Returns
        -------
        Tensor (bs, 1)
            Their biases.

        Examples
        --------
        >>> from minifast import tensor
        >>> seen = ItemsOfUsers(np.array([1, 1, 2]), np.array([1, 2, 3]), n_users=3, n_items=5)
        >>> model = Autoencoder(2, seen, seen)
        >>> model.i_bias(tensor([4])).shape
        (1, 1)
        """
        bias: Any = self.decode.bias
        return bias[items].reshape(-1, 1)  # type: ignore[no-any-return]

    def history(self, users: Tensor) -> Tensor:
        """Return the input (bs, 2 n_items) for users (bs,): the items rated, then those liked.

        An entry is 1 / sqrt(number of items that the user has rated), or 0.

        Parameters
        ----------
        users : Tensor (bs,)
            Numbers of users.

        Returns
        -------
        Tensor (bs, 2 n_items)
            The items.

        Examples
        --------
        >>> from minifast import tensor
        >>> seen = ItemsOfUsers(np.array([1, 1, 2]), np.array([1, 2, 3]), n_users=3, n_items=5)
        >>> model = Autoencoder(2, seen, seen)
        >>> model.history(tensor([2])).numpy().nonzero()[1].tolist()
        [3, 8]
        """
        numbers = users.numpy()
        rows = np.concatenate([self.seen.mask(numbers), self.liked.mask(numbers)], axis=1)
        scale = np.maximum(self.seen.counts[numbers], 1) ** -.5
        return Tensor((rows * scale[:, None]).astype(np.float32)).to(users.device)

    def append_user(self, items: Ints, ratings: Any) -> None:
        """Add a user with the next number; ``learn.add_user`` calls this method.

        Parameters
        ----------
        items : array (n,) of int
            Numbers of the rated items.
        ratings : array (n,)
            Their ratings.

        Examples
        --------
        >>> from minifast import tensor
        >>> seen = ItemsOfUsers(np.array([1, 1, 2]), np.array([1, 2, 3]), n_users=3, n_items=5)
        >>> model = Autoencoder(2, seen, seen)
        >>> model.append_user(np.array([2, 4]), np.array([5., 1.]))
        >>> model.seen.n_users
        4
        """
        self.seen = self.seen.with_user(items)
        self.liked = self.liked.with_user(items[ratings >= self.threshold])


class UserLoader(DataLoader):
    """Batches of users (bs,) and of the items that they like (bs, n_items), as 0 and 1.

    Parameters
    ----------
    dataset : ArrayDataset
        The rows from which the items are taken.
    liked : ItemsOfUsers
        The liked items. Users without any are left out.
    bs : int
        Users in a batch.
    shuffle : bool
        Whether each pass has a new random order.
    seed : int or numpy.random.Generator, optional
        Source of the orders.

    Examples
    --------
    >>> rows = ArrayDataset([np.array([1, 1, 3]), np.array([1, 2, 2])], np.ones(3))
    >>> dl = UserLoader(rows, ItemsOfUsers(*rows.x, n_users=4, n_items=3))
    >>> [(users.tolist(), liked.tolist()) for users, liked in dl]
    [([1, 3], [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])]
    """

    def __init__(self, dataset: ArrayDataset, liked: ItemsOfUsers, bs: int = 64,
                 shuffle: bool = False, seed: Seed = None) -> None:
        super().__init__(dataset, bs, shuffle, seed=seed)
        self.liked, self.users = liked, np.flatnonzero(liked.counts[1:]) + 1

    def __len__(self) -> int:
        return -(-len(self.users) // self.bs)

    def __iter__(self) -> Iterator[Any]:
        users = self.rng.permutation(self.users) if self.shuffle else self.users
        to_device = backend_of(self.dataset.y).from_host
        for start in range(0, len(users), self.bs):
            some = users[start:start + self.bs]
            yield Tensor(to_device(some)), Tensor(to_device(self._targets(some)))

    def _targets(self, users: Ints) -> Any:
        liked = self.liked.mask(users).astype(np.float32)
        liked[:, 0] = 0  # #na#
        return liked


def rank_learner(data: CollabDataBunch, n_factors: int = 64, dropout: float = .6,
                 threshold: float = 4, bs: int = 64, seed: Seed = None, **learn_kwargs: Any
                 ) -> CollabLearner:
    """Make a learner whose scores rank items: an `Autoencoder` with `multinomial_loss`.

    An epoch is a pass over users, not over ratings, so it is short, and many are needed:
    ``learn.fit_one_cycle(40, 2e-2)``. Scores are not ratings; only their order has a meaning.
    ``recommend`` works as with ``collab_learner``.

    Parameters
    ----------
    data : CollabDataBunch
        The ratings. The training rows are also the input of the model.
    n_factors : int
        Number of factors of each user and item.
    dropout : float
        Share of a user's items that are hidden during training.
    threshold : float
        The lowest rating of an item that a user likes.
    bs : int
        Users in a batch.
    seed : int or numpy.random.Generator, optional
        Source of the initial weights, the order of users and dropout.
    **learn_kwargs
        Arguments of the learner. ``wd`` is 2 by default.

    Returns
    -------
    CollabLearner
        An untrained learner. Its data are those given, with loaders of users.

    Raises
    ------
    ValueError
        If no rating reaches the threshold.

    Examples
    --------
    >>> from minifast.datasets import planted_ratings
    >>> ratings = planted_ratings(60, 40, 900).ratings
    >>> learn = rank_learner(CollabDataBunch.from_df(ratings, seed=1), n_factors=5, seed=0)
    >>> with learn.no_logging():
    ...     learn.fit_one_cycle(5, 1e-2)
    >>> len(learn.recommend(7, n=3))
    3
    """
    rng = generator(seed)
    train, valid = data.train_ds, data.valid_ds
    check_liked(train, threshold)
    seen, liked = (items_of_users(data, train, threshold=t) for t in (-np.inf, threshold))
    train_dl = UserLoader(train, liked, bs, shuffle=True, seed=rng)
    valid_dl: Batches = [] if valid is None else UserLoader(
        valid, items_of_users(data, valid, threshold=threshold), bs)
    data = UserDataBunch.with_loaders(data, train_dl, valid_dl)
    model = Autoencoder(n_factors, seen, liked, dropout, rng, threshold)
    return CollabLearner(data, model, **{"loss_func": multinomial_loss, "wd": 2., **learn_kwargs})
