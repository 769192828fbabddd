"""Collaborative filtering: predict ratings from the rows of users and of items."""
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from . import notebook_attribute
from .autograd import Tensor, no_grad
from .backend import generator
from .data import CollabDataBunch
from .nn import Embedding, Module, TabularModel, check_y_range, embedding, sigmoid_range
from .nn.init import Seed
from .train import Learner
from .train.loop import evaluating

YRange: TypeAlias = tuple[float, float] | list[float] | None


__getattr__ = partial(notebook_attribute, sys.modules[__name__])  # fastai v1's star import


class EmbeddingDotBias(Module):
    """The dot product of a user's and an item's factors, plus their biases, through a sigmoid.

    ``model(users, items)`` maps numbers (bs,) and (bs,) to ratings (bs,), as in fastai v1.

    Parameters
    ----------
    n_factors : int
        Factors of each user and item.
    n_users, n_items : int
        Rows of the embeddings, ``#na#`` included.
    y_range : (low, high), optional
        Range of the sigmoid; None is for none.
    seed : int or numpy.random.Generator, optional
        Source of the initial weights.

    Raises
    ------
    ValueError
        If `y_range` is not a pair low < high.

    Examples
    --------
    >>> from minifast import tensor
    >>> EmbeddingDotBias(40, 944, 1654, [0, 5.5])(tensor([1, 2]), tensor([7, 8])).shape
    (2,)
    """

    def __init__(self, n_factors: int, n_users: int, n_items: int,
                 y_range: YRange = None, seed: Seed = None) -> None:
        rng = generator(seed)
        self.y_range = check_y_range(y_range)
        self.u_weight = embedding(n_users, n_factors, rng)
        self.i_weight = embedding(n_items, n_factors, rng)
        self.u_bias, self.i_bias = embedding(n_users, 1, rng), embedding(n_items, 1, rng)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        dot = (self.u_weight(users) * self.i_weight(items)).sum(1)
        res: Tensor = dot + self.u_bias(users).squeeze(-1) + self.i_bias(items).squeeze(-1)
        return res if self.y_range is None else sigmoid_range(res, *self.y_range)


class EmbeddingNN(TabularModel):
    """A neural network on the user's and the item's embeddings, side by side.

    ``model(users, items)`` maps numbers (bs,) and (bs,) to ratings (bs, 1), as in fastai v1.

    Parameters
    ----------
    emb_szs : list of (rows, width)
        Sizes of the users' and of the items' embedding.
    layers : list of int
        Widths of the hidden layers.
    ps, emb_drop : float, optional
        Dropout of the hidden layers (or a list for each) and of the embeddings.
    y_range : (low, high), optional
        Range of a final sigmoid.
    use_bn, bn_final : bool
        Whether to normalise hidden layers, and the output.
    seed : int or numpy.random.Generator, optional
        Source of the initial weights and of dropout.

    Raises
    ------
    ValueError
        If `y_range` is not a pair low < high.

    Examples
    --------
    >>> from minifast import tensor
    >>> EmbeddingNN([(5, 3), (7, 4)], [10])(tensor([1, 2]), tensor([0, 6])).shape
    (2, 1)
    """

    def __init__(self, emb_szs: list[tuple[int, int]], layers: list[int],
                 ps: float | list[float] | None = None, emb_drop: float = 0.,
                 y_range: YRange = None, use_bn: bool = True, bn_final: bool = False,
                 seed: Seed = None) -> None:
        super().__init__(emb_szs, 0, 1, layers, ps, emb_drop, check_y_range(y_range), use_bn,
                         bn_final, seed)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward([users, items])

    u_weight = property(lambda self: self.embeds[0], doc="The users' embedding.")
    i_weight = property(lambda self: self.embeds[1], doc="The items' embedding.")


class CollabLearner(Learner):
    """A Learner for ratings, which answers questions about users and items."""

    data: CollabDataBunch

    def get_idx(self, arr: Iterable[Any], is_item: bool = True) -> Tensor:
        """Return the numbers of items or users.

        Parameters
        ----------
        arr : iterable of labels (n,), or one label
            Titles, or users; ``5`` and ``"5"`` are the same.
        is_item : bool
            Whether they are items.

        Returns
        -------
        Tensor (n,) of int64
            The numbers.

        Raises
        ------
        UnknownLabelError
            If a label does not occur in the training rows. It is a KeyError.

        Examples
        --------
        >>> import pandas as pd
        >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
        ...                         "rating": [5, 2, 4]})
        >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, device="cpu", bs=2)
        >>> learn = collab_learner(data, n_factors=3, y_range=[0, 5.5], seed=0)
        >>> learn.get_idx(["Brazil", "Alien"])
        tensor([2, 1])
        """
        labels = [arr] if isinstance(arr, (str, bytes)) or not np.iterable(arr) else arr
        return self.data.encode(labels, int(is_item))

    def bias(self, arr: Iterable[Any], is_item: bool = True) -> Tensor:
        """Return the biases of items or users.

        Parameters
        ----------
        arr, is_item : as in `get_idx`
            The items or users.

        Returns
        -------
        Tensor (n,)
            A copy, on the CPU.

        Raises
        ------
        UnknownLabelError, AttributeError
            If a label is unknown; if the model has no biases.

        Examples
        --------
        >>> import pandas as pd
        >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
        ...                         "rating": [5, 2, 4]})
        >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
        >>> learn = collab_learner(data, n_factors=3, y_range=[0, 5.5], seed=0)
        >>> learn.bias(["Alien", "Brazil"]).shape
        (2,)
        """
        return self._rows("i_bias" if is_item else "u_bias", arr, is_item).squeeze(-1)

    def weight(self, arr: Iterable[Any], is_item: bool = True) -> Tensor:
        """Return the factors of items or users.

        Parameters
        ----------
        arr, is_item : as in `get_idx`
            The items or users.

        Returns
        -------
        Tensor (n, n_factors)
            A copy, on the CPU.

        Raises
        ------
        UnknownLabelError
            If a label is unknown.

        Examples
        --------
        >>> import pandas as pd
        >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
        ...                         "rating": [5, 2, 4]})
        >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
        >>> learn = collab_learner(data, n_factors=3, y_range=[0, 5.5], seed=0)
        >>> learn.weight(["Alien"]).shape, learn.weight([1, 2], is_item=False).shape
        ((1, 3), (2, 3))
        """
        return self._rows("i_weight" if is_item else "u_weight", arr, is_item)

    def _rows(self, name: str, arr: Iterable[Any], is_item: bool) -> Tensor:
        """Return rows (n, width) of the embedding with this name."""
        table: Embedding | None = getattr(self.model, name, None)
        if table is None:
            raise AttributeError(f"{type(self.model).__name__} has no {name}; biases belong to "
                                 "the dot product model (use_nn=False)")
        with no_grad():
            rows: Tensor = table(self.get_idx(arr, is_item))
        return rows.cpu()

    def recommend(self, user: Any, n: int = 10) -> Any:
        """Return the items with the highest predicted ratings, without those the user has rated.

        Parameters
        ----------
        user : label
            The user.
        n : int
            The most items to return.

        Returns
        -------
        pandas.DataFrame (n or fewer, 2)
            The item's column and ``prediction``, best first.

        Raises
        ------
        UnknownLabelError
            If the user is unknown.
        ValueError
            If `n` is negative.

        Examples
        --------
        >>> import pandas as pd
        >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
        ...                         "rating": [5, 2, 4]})
        >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
        >>> learn = collab_learner(data, n_factors=3, y_range=[0, 5.5], seed=0)
        >>> learn.recommend(user=2)["film"].tolist()
        ['Brazil']
        """
        import pandas as pd
        if n < 0:
            raise ValueError(f"recommend() returns at most n items; n must be at least 0, got {n}")
        users, items = self.data.categories
        number = users.index(user)
        scores = self._scores(number)
        scores[0] = -np.inf  # the row of #na#
        for ds in filter(None, (self.data.train_ds, self.data.valid_ds, *self.data.added)):
            raters, rated = (Tensor(column).numpy() for column in ds.x)
            scores[rated[raters == number]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:n]
        best = best[np.isfinite(scores[best])]
        return pd.DataFrame({items.name: items.classes[best], "prediction": scores[best]})

    def _scores(self, user: int) -> "np.ndarray[Any, Any]":
        """Return the predicted ratings (n_items,) of all items for the user of this number."""
        items = np.arange(len(self.data.categories[1]))
        inputs = [Tensor(ids).to(self.data.device) for ids in (np.full_like(items, user), items)]
        with self.reproducibly(), no_grad(), evaluating(self.model):
            return np.array(self.model(*inputs).numpy()).reshape(-1)


def collab_learner(data: CollabDataBunch, n_factors: int | None = None, use_nn: bool = False,
                   emb_szs: Mapping[str, int] | None = None, layers: list[int] | None = None,
                   ps: float | list[float] | None = None, emb_drop: float = 0.,
                   y_range: YRange = None, use_bn: bool = True, bn_final: bool = False,
                   seed: Seed = None, **learn_kwargs: Any) -> CollabLearner:
    """Make a learner with an EmbeddingDotBias or an EmbeddingNN, as fastai v1's function does.

    Parameters
    ----------
    data : CollabDataBunch
        The ratings.
    n_factors : int, optional
        Factors of the dot product model, which needs it.
    use_nn : bool
        Whether to take the neural network instead.
    emb_szs : mapping of str to int, optional
        Widths of the network's embeddings, by column.
    layers : list of int, optional
        Widths of the network's hidden layers. It needs them.
    ps, emb_drop : float, optional
        Dropout of the network; see `EmbeddingNN`.
    y_range : (low, high), optional
        Range of predictions, such as [0, 5.5] for ratings of 1 to 5.
    use_bn, bn_final : bool
        Normalisation of the network.
    seed : int or numpy.random.Generator, optional
        Source of the initial weights.
    **learn_kwargs
        Arguments of the learner, such as `wd` and `metrics`.

    Returns
    -------
    CollabLearner
        A learner whose model is not yet trained.

    Raises
    ------
    ValueError
        If `n_factors` or `layers` is missing, or `y_range` is not a pair low < high.

    Examples
    --------
    >>> import pandas as pd
    >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
    ...                         "rating": [5, 2, 4]})
    >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
    >>> learn = collab_learner(data, n_factors=3, y_range=[0, 5.5], seed=0)
    >>> [tuple(p.shape) for p in learn.model.parameters()]
    [(3, 3), (3, 3), (3, 1), (3, 1)]
    """
    model: Module
    if use_nn:
        if layers is None:
            raise ValueError("use_nn=True needs layers=, the widths of the hidden layers, for "
                             "example layers=[100, 50]")
        model = EmbeddingNN(data.get_emb_szs(emb_szs), layers, ps, emb_drop, y_range, use_bn,
                            bn_final, seed)
    else:
        if n_factors is None:
            raise ValueError("the dot product model needs n_factors=, for example n_factors=40")
        n_users, n_items = map(len, data.categories)
        model = EmbeddingDotBias(n_factors, n_users, n_items, y_range, seed)
    return CollabLearner(data, model, **learn_kwargs)
