"""Collaborative filtering: who would rate what how.

``from minifast.collab import *`` gives a notebook the names that fastai v1's did.
"""
import sys
from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import notebook_attribute
from .autograd import Tensor, cat, no_grad
from .backend import generator
from .data import CollabDataBunch
from .fold_in import check_within, learn_rows, user_tables
from .nn import Embedding, Module, TabularModel, check_y_range, embedding, sigmoid_range
from .nn.init import Seed
from .train import Learner
from .train.loop import evaluating

if TYPE_CHECKING:
    import pandas as pd

def __getattr__(name: str) -> Any:
    return notebook_attribute(sys.modules[__name__], name)


# ---------------------------------------------------------------- models


class EmbeddingDotBias(Module):
    """rating = user factors . item factors + user bias + item bias, through a sigmoid.

    ``y_range`` (low, high) stretches the sigmoid; without it there is none. forward:
    users (bs,), items (bs,) to ratings (bs,). fastai v1's ``EmbeddingDotBias``.

    >>> EmbeddingDotBias(40, 944, 1654, [0, 5.5])
    EmbeddingDotBias(
      (u_weight): Embedding(944, 40)
      (i_weight): Embedding(1654, 40)
      (u_bias): Embedding(944, 1)
      (i_bias): Embedding(1654, 1)
    )
    """

    def __init__(self, n_factors: int, n_users: int, n_items: int,
                 y_range: tuple[float, float] | list[float] | None = None, seed: Seed = None
                 ) -> None:
        rng = generator(seed)
        self.y_range = check_y_range(y_range)
        self.u_weight, self.i_weight, self.u_bias, self.i_bias = (
            embedding(n, width, rng) for n, width in
            [(n_users, n_factors), (n_items, n_factors), (n_users, 1), (n_items, 1)])

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """users (bs,), items (bs,) to ratings (bs,)."""
        dot = (self.u_weight(users) * self.i_weight(items)).sum(-1)
        res = dot + self.u_bias(users).squeeze(-1) + self.i_bias(items).squeeze(-1)
        return res if self.y_range is None else sigmoid_range(res, *self.y_range)

    @property
    def user_tables(self) -> list[Embedding]:
        """The tables with a row per user."""
        return [self.u_weight, self.u_bias]


class EmbeddingNN(TabularModel):
    """A neural network on the users' and the items' embeddings side by side.

    ``emb_szs`` [(n_users, width), (n_items, width)], ``layers`` the widths of the hidden layers,
    ``ps`` their dropout. forward: users (bs,), items (bs,) to ratings (bs, 1).

    >>> from minifast import tensor
    >>> EmbeddingNN([(5, 3), (7, 4)], [10])(tensor([1, 2]), tensor([0, 6])).shape
    (2, 1)
    """

    def __init__(self, emb_szs: list[tuple[int, int]], layers: list[int],
                 ps: float | list[float] | None = None, emb_drop: float = 0.,
                 y_range: tuple[float, float] | list[float] | None = None, use_bn: bool = True,
                 bn_final: bool = False, seed: Seed = None) -> None:
        super().__init__(emb_szs, 0, 1, layers, ps, emb_drop, y_range, use_bn, bn_final,
                         seed)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:  # type: ignore[override]
        """users (bs,), items (bs,) to ratings (bs, 1)."""
        return super().forward([users, items])

    @property
    def user_tables(self) -> list[Embedding]:
        """The table with a row per user, in a list."""
        return [self.embeds[0]]


# ---------------------------------------------------------------- learner


class CollabLearner(Learner):
    """A learner for ratings, which can be asked about users and items."""

    data: CollabDataBunch

    def __post_init__(self) -> None:
        super().__post_init__()
        self._rated_since: dict[int, list[int]] = {}  # items by users who came after training

    def get_idx(self, arr: Iterable[Any], is_item: bool = True) -> Tensor:
        """Numbers (n,) of titles or users; a label may be of any type that reads the same.

        UnknownLabelError, a KeyError, names a label that was not in the training rows.
        """
        labels = [arr] if isinstance(arr, (str, bytes)) or not np.iterable(arr) else arr
        return self.data.encode(labels, int(is_item))

    def bias(self, arr: Iterable[Any], is_item: bool = True) -> Tensor:
        """The biases (n,) of these items, or users: detached copies, nothing else changes."""
        table = self._table("i_bias" if is_item else "u_bias")
        return self._look_up(table, arr, is_item).squeeze(-1)

    def weight(self, arr: Iterable[Any], is_item: bool = True) -> Tensor:
        """The factors (n, n_factors) of these items, or users: detached copies."""
        name = "embeds" if hasattr(self.model, "embeds") else "i_weight" if is_item else "u_weight"
        table = self._table(name)
        return self._look_up(table[int(is_item)] if name == "embeds" else table, arr, is_item)

    def _table(self, name: str) -> Any:
        table = getattr(self.model, name, None)
        if table is None:
            raise AttributeError(f"{type(self.model).__name__} has no {name}; biases belong to "
                                 "the dot product model (use_nn=False)")
        return table

    def _look_up(self, table: Embedding, arr: Iterable[Any], is_item: bool) -> Tensor:
        with no_grad():
            rows: Tensor = table(self.get_idx(arr, is_item))
        return rows.detach().cpu()

    def recommend(self, user: Any, n: int = 10) -> "pd.DataFrame":
        """The ``n`` items with the highest predicted rating for ``user``, best first.

        Items that the user has rated, in training or validation rows, are left out, as is
        ``#na#``. A frame with the item's column and ``prediction``.
        """
        import pandas as pd
        u = self.get_idx([user], is_item=False)
        items = self.data.categories[1]
        scores = self._scores(u, len(items))
        scores[[0, *self._rated(int(u[0]))]] = -np.inf
        order = np.argsort(-scores, kind="stable")[:n]
        order = order[np.isfinite(scores[order])]
        return pd.DataFrame({items.name: items.classes[order], "prediction": scores[order]})

    def _scores(self, user: Tensor, n_items: int) -> "np.ndarray[Any, Any]":
        every = Tensor(np.arange(n_items)).to(self.data.device)
        with no_grad(), evaluating(self.model):
            scores = self.model(cat([user] * n_items), every)
        return np.array(scores.detach().numpy()).reshape(-1)

    def _rated(self, user: int) -> Iterable[int]:
        for ds in (self.data.train_ds, self.data.valid_ds):
            users, items = (Tensor(column).numpy() for column in ds.x)
            yield from items[users == user].tolist()
        yield from self._rated_since.get(user, [])

    # ---- a user who comes later

    def add_user(self, ratings: Any, name: Hashable | None = None, epochs: int = 40,
                 lr: float = 3e-3) -> Any:
        """Learn who somebody is from some ratings, with all else frozen: the new user's label.

        ``ratings`` maps labels of items to ratings (or pairs, or a frame with these columns).
        ``name`` is the label, by default the next number. ``recommend``, ``predict`` and the
        look-ups know the user afterwards.

        The row starts at the mean of the users' rows. ``epochs`` steps over all the ratings with
        the learner's optimizer, loss and weight decay take it from there, with the model in
        evaluation mode. Few steps are part of the method: five ratings can be met exactly by
        forty factors, and such a row predicts worse than the mean. All other rows and parameters
        stay as they are to the bit.

        The tables get one row longer, so checkpoints from before no longer fit, and the
        optimizer is made anew at the next fit. These ratings do not join the training rows: a
        later fit only decays the row. For lasting use, train on data that hold them.

        ValueError for a user who is known, no ratings, or one outside of the model's y_range;
        UnknownLabelError for an unknown item. Nothing has changed then.
        """
        items, y = self.data.read_ratings(ratings)
        check_within(y.numpy(), getattr(self.model, "y_range", None))
        users = self.data.categories[0]
        label = users.unused() if name is None else name
        users.check_new(label)
        tables = user_tables(self.model)
        rows = learn_rows(self, items, y, epochs, lr)
        grown = [np.concatenate([table.weight.data, row.data])
                 for table, row in zip(tables, rows, strict=True)]
        for table, data in zip(tables, grown, strict=True):
            table.weight.data, table.weight.grad = data, None
        self._rated_since[users.add(label)] = items.tolist()
        self.data.classes[users.name] = users.classes
        self.opt = None
        return label


def collab_learner(data: CollabDataBunch, n_factors: int | None = None, use_nn: bool = False,
                   emb_szs: Mapping[str, int] | None = None, layers: list[int] | None = None,
                   ps: float | list[float] | None = None, emb_drop: float = 0.,
                   y_range: tuple[float, float] | list[float] | None = None, use_bn: bool = True,
                   bn_final: bool = False, seed: Seed = None, **learn_kwargs: Any
                   ) -> CollabLearner:
    """A learner with an EmbeddingDotBias of ``n_factors``, or with ``use_nn`` an EmbeddingNN.

    ``learn_kwargs`` go to the learner (``wd``, ``metrics`` ...), with either model. ``seed``
    fixes the initial weights. fastai v1's ``collab_learner``.
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
        users, items = (len(cats) for cats in data.categories)
        model = EmbeddingDotBias(n_factors, users, items, y_range, seed)
    return CollabLearner(data, model, **learn_kwargs)
