"""BPR: train the dot product model on pairs of a liked item and a random one."""
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import backend_of, generator
from ..collab import CollabLearner, EmbeddingDotBias
from ..data import ArrayDataset, CollabDataBunch, DataLoader
from ..data.bunch import Batches
from ..nn.init import Seed
from .bunch import PairDataBunch
from .losses import bpr_loss
from .rows import Ints, ItemsOfUsers, check_liked, columns, items_of_users


class NegativeSampler(DataLoader):
    """Batches of positives, each followed by negatives that are drawn again for each batch.

    A positive is a row whose rating is at least the threshold. Its negatives are random items that
    the user has not rated. A batch is ([users, items], target). The target has shape
    (bs, 1 + n_negatives), with 1 in its first column and 0 elsewhere. Users and items, each of
    shape (bs * (1 + n_negatives),), are the pairs for its elements, row by row.

    Parameters
    ----------
    dataset : ArrayDataset
        Rows [users, items] and ratings.
    known : ItemsOfUsers
        The items that a user has rated. Users who have rated all items have no negatives, so their
        rows are left out, as are those of unknown users and items.
    bs : int
        Number of positives in a batch.
    n_negatives : int
        Number of negatives for each positive.
    threshold : float
        The lowest rating of a positive.
    shuffle : bool
        Whether each pass has a new order and new negatives; otherwise all passes are the same.
    seed : int or numpy.random.Generator, optional
        Source of orders and negatives.

    Raises
    ------
    ValueError
        If `bs` or `n_negatives` is below 1.

    Examples
    --------
    >>> rows = ArrayDataset([np.array([1, 1]), np.array([1, 2])], np.array([5., 2.]))
    >>> known = ItemsOfUsers(*rows.x, n_users=2, n_items=4)
    >>> (users, items), target = next(iter(NegativeSampler(rows, known, bs=1, n_negatives=2)))
    >>> users.tolist(), items.tolist(), target.tolist()
    ([1, 1, 1], [1, 3, 3], [[1.0, 0.0, 0.0]])
    """

    def __init__(self, dataset: ArrayDataset, known: ItemsOfUsers, bs: int = 64,
                 n_negatives: int = 1, threshold: float = 4, shuffle: bool = False,
                 seed: Seed = None) -> None:
        super().__init__(dataset, bs, shuffle, drop_last=shuffle, seed=seed)
        if n_negatives < 1:
            raise ValueError(f"each positive needs at least one negative, got {n_negatives}")
        self.n_negatives, self.n_items = n_negatives, known.n_items
        raters = np.repeat(np.arange(known.n_users), known.counts)
        self.taken = np.unique(raters * self.n_items + known.items)  # a number for each pair
        rated = np.bincount(self.taken // self.n_items, self.taken % self.n_items > 0,
                            minlength=known.n_users)
        users, items = columns(dataset, threshold)
        usable = (users > 0) & (items > 0) & (rated[users] < known.n_items - 1)
        self.users, self.positives = users[usable], items[usable]

    def __len__(self) -> int:
        n = len(self.users)
        return n // self.bs if self.drop_last else -(-n // self.bs)

    def __iter__(self) -> Iterator[Any]:
        rng = self.rng if self.shuffle else generator(0)
        order = rng.permutation(len(self.users)) if self.shuffle else np.arange(len(self.users))
        to_device = backend_of(self.dataset.y).from_host
        for start in range(0, len(self) * self.bs, self.bs):
            rows = order[start:start + self.bs]
            users = np.repeat(self.users[rows, None], 1 + self.n_negatives, axis=1)
            items = np.repeat(self.positives[rows, None], 1 + self.n_negatives, axis=1)
            items[:, 1:] = self.draw(users[:, 1:], rng)
            target = np.zeros(users.shape, np.float32)
            target[:, 0] = 1
            pairs = [Tensor(to_device(ids.ravel())) for ids in (users, items)]
            yield pairs, Tensor(to_device(target))

    def draw(self, users: Ints, rng: np.random.Generator) -> Ints:
        """Return for each user a random item that the user has not rated.

        Parameters
        ----------
        users : array of int
            Users, in any shape.
        rng : numpy.random.Generator
            Source of the items.

        Returns
        -------
        array of int
            Items in the shape of `users`.

        Examples
        --------
        >>> rows = ArrayDataset([np.array([1, 1]), np.array([1, 2])], np.array([5., 2.]))
        >>> known = ItemsOfUsers(*rows.x, n_users=2, n_items=4)
        >>> sampler = NegativeSampler(rows, known, bs=1)
        >>> sampler.draw(np.array([1, 1]), np.random.default_rng(0)).tolist()
        [3, 3]
        """
        items: Ints = rng.integers(1, self.n_items, users.shape, users.dtype)
        while len(again := np.argwhere(self._is_taken(users, items))):
            where = tuple(again.T)
            items[where] = rng.integers(1, self.n_items, len(again), users.dtype)
        return items

    def _is_taken(self, users: Ints, items: Ints) -> Any:
        pairs = users.astype(np.int64) * self.n_items + items
        place = np.searchsorted(self.taken, pairs).clip(max=len(self.taken) - 1)
        return self.taken[place] == pairs


def bpr_learner(data: CollabDataBunch, n_factors: int = 64, n_negatives: int = 4,
                threshold: float = 4, bs: int = 512, seed: Seed = None, **learn_kwargs: Any
                ) -> CollabLearner:
    """Make a learner whose scores rank items: the dot product model with `bpr_loss`.

    Scores are not ratings; only their order has a meaning. ``recommend`` works as with
    ``collab_learner``. The users' biases cancel out in the loss, so they have no meaning.

    Parameters
    ----------
    data : CollabDataBunch
        The ratings.
    n_factors : int
        Number of factors of each user and item.
    n_negatives : int
        Number of negatives for each positive.
    threshold : float
        The lowest rating of an item that a user likes.
    bs : int
        Number of positives in a batch.
    seed : int or numpy.random.Generator, optional
        Source of the initial weights, the order of rows and the negatives.
    **learn_kwargs
        Arguments of the learner, such as ``wd``, or ``loss_func=sampled_softmax_loss``.

    Returns
    -------
    CollabLearner
        An untrained learner. Its data are those given, with loaders of positives and negatives.

    Raises
    ------
    ValueError
        If no rating reaches the threshold.

    Examples
    --------
    >>> from minifast.datasets import planted_ratings
    >>> ratings = planted_ratings(60, 40, 900).ratings
    >>> learn = bpr_learner(CollabDataBunch.from_df(ratings, seed=1), n_factors=5, seed=0, bs=64)
    >>> with learn.no_logging():
    ...     learn.fit_one_cycle(2, 1e-2)
    >>> len(learn.recommend(7, n=3))
    3
    """
    rng = generator(seed)
    options: Any = {"bs": bs, "n_negatives": n_negatives, "threshold": threshold}
    train, valid = data.train_ds, data.valid_ds
    check_liked(train, threshold)
    train_dl = NegativeSampler(train, items_of_users(data, train), shuffle=True, seed=rng,
                               **options)
    valid_dl: Batches = [] if valid is None else NegativeSampler(
        valid, items_of_users(data, train, valid), **options)
    data = PairDataBunch.with_loaders(data, train_dl, valid_dl)
    n_users, n_items = map(len, data.categories)
    model = EmbeddingDotBias(n_factors, n_users, n_items, seed=rng)
    return CollabLearner(data, model, **{"loss_func": bpr_loss, **learn_kwargs})
