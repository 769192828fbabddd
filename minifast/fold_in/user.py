"""Fold in a user who comes after training, from a few ratings."""
from collections.abc import Hashable
from copy import deepcopy
from itertools import count
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import Array, device
from ..collab import CollabLearner
from ..data import ArrayDataset, Categories, CollabDataBunch
from ..data.categories import NA, check_columns, spellings
from ..data.ratings import read_numbers
from ..nn import Embedding, Parameter
from ..optim.optimizer import one_per_group
from ..train import Learner


def add_user(learn: CollabLearner, ratings: Any, name: Hashable | None = None, epochs: int = 40,
             lr: float = 3e-3) -> Any:
    """Learn the row of a new user from some ratings, with everything else frozen.

    The row starts at the mean of all users' rows and takes `epochs` steps over all the ratings,
    with the learner's optimizer, loss and weight decay, and the model in evaluation mode. All
    other rows and parameters keep every bit. A model that computes users' factors from their
    ratings, as that of ``minifast.ranking.rank_learner``, gets the ratings and learns nothing.
    Afterwards ``recommend``, ``predict``, ``bias`` and ``weight`` know the user.

    Parameters
    ----------
    learn : CollabLearner
        The learner that gets the user.
    ratings : mapping, sequence of pairs, or pandas.DataFrame
        Items and their ratings. A frame has the columns of the training data.
    name : label, optional
        The user's label; by default the next whole number, or "new 1", "new 2" where labels are
        not whole numbers.
    epochs : int
        Number of steps. Few steps are part of the method: forty factors can fit five ratings
        exactly, and such a row predicts worse than the mean row.
    lr : float
        Learning rate.

    Returns
    -------
    label
        The user's label.

    Raises
    ------
    ValueError
        If the user exists, there are no ratings, a rating is outside the model's ``y_range``, or
        the row does not stay finite. Nothing has changed then.
    UnknownLabelError
        If an item does not occur in the training rows. It is a KeyError.
    TypeError
        If the model does not say where its users are (`user_tables`).

    Notes
    -----
    The users' embeddings grow by a row, so older checkpoints no longer fit, and the next fit
    makes a new optimizer. The ratings do not join the training rows: a later fit only decays the
    row. For lasting use, train on data that contain them.

    Examples
    --------
    >>> import pandas as pd
    >>> from minifast.collab import collab_learner
    >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
    ...                         "rating": [5, 2, 4]})
    >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
    >>> learn = collab_learner(data, n_factors=3, y_range=[0, 5.5], seed=0)
    >>> add_user(learn, {"Brazil": 5}, epochs=2)
    3
    >>> learn.recommend(user=3)["film"].tolist()
    ['Alien']
    """
    items, y = read_ratings(learn.data, ratings)
    check_within(y, getattr(learn.model, "y_range", None))
    users = learn.data.categories[0]
    label = unused_label(users) if name is None else name
    if str(label) == NA or label in users.numbers or str(label) in users.numbers:
        raise ValueError(f"{label!r} is among the {len(users)} values of {users.name!r} already; "
                         "choose another label")
    if hasattr(learn.model, "append_user"):
        learn.model.append_user(items, y)
    else:
        append_rows(learn.model, learn_rows(learn, items, y, epochs, lr))
    number = append_label(users, label)
    learn.data.classes[users.name] = users.classes
    learn.data.added.append(ArrayDataset([np.full(len(items), number), items], y))
    learn.opt = None
    return label


CollabLearner.add_user = add_user  # type: ignore[attr-defined]


# ---------------------------------------------------------------- ratings


def read_ratings(data: CollabDataBunch, ratings: Any) -> tuple[Array, Array]:
    """Return one user's ratings as arrays.

    Parameters
    ----------
    data : CollabDataBunch
        The data whose items are rated.
    ratings : mapping, sequence of pairs, or pandas.DataFrame
        Items and their ratings; see `add_user`.

    Returns
    -------
    items, y : array (n,)
        Numbers of the items, and the ratings, on the host.

    Raises
    ------
    ValueError
        If there are no ratings, or they are not finite numbers.
    UnknownColumnError, UnknownLabelError
        If a frame lacks a column, or an item is unknown. Both are KeyErrors.

    Examples
    --------
    >>> import pandas as pd
    >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
    ...                         "rating": [5, 2, 4]})
    >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
    >>> read_ratings(data, {"Brazil": 5, "Alien": 1})
    (array([2, 1]), array([5., 1.], dtype=float32))
    """
    import pandas as pd
    names = [data.categories[1].name, data.rating_name]
    if not hasattr(ratings, "columns"):
        ratings = pd.DataFrame(_pairs(ratings), columns=names)
    check_columns(ratings.columns, names)
    if not len(ratings):
        raise ValueError(f"there are no ratings; give at least one, as {{{names[0]}: rating}}")
    y = read_numbers(ratings[names[1]])
    return data.encode(ratings[names[0]].tolist(), 1).numpy(), y


def _pairs(ratings: Any) -> list[tuple[Any, Any]]:
    pairs = list(ratings.items() if hasattr(ratings, "items") else ratings)
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ValueError(f"ratings are pairs (item, rating), or a mapping; got {pair!r}")
    return pairs


def check_within(y: Array, y_range: Any) -> None:
    """Raise ValueError for a rating that the model cannot predict.

    Parameters
    ----------
    y : array (n,)
        Ratings.
    y_range : (low, high) or None
        The range of the model's output.

    Raises
    ------
    ValueError
        If a rating is outside the range.

    Examples
    --------
    >>> check_within(np.array([1., 5.]), (0, 5.5))
    """
    if y_range is not None and len(wrong := y[(y < y_range[0]) | (y > y_range[1])]):
        low, high = y_range
        raise ValueError(f"a rating of {wrong[0]:g} is outside the model's y_range ({low:g}, "
                         f"{high:g}), so it cannot be met; correct it, or leave it out")


# ---------------------------------------------------------------- the row


def user_tables(model: Any) -> list[Embedding]:
    """Return the Embeddings that have a row for each user.

    They are the model's ``user_tables`` if it has such a property, else its ``u_weight`` and
    ``u_bias``.

    Parameters
    ----------
    model : Module
        A model of users and items.

    Returns
    -------
    list of Embedding
        Each has a row for each user.

    Raises
    ------
    TypeError
        If it has none of these.

    Examples
    --------
    >>> from minifast.collab import EmbeddingDotBias
    >>> user_tables(EmbeddingDotBias(3, 5, 7))
    [Embedding(5, 3), Embedding(5, 1)]
    """
    if hasattr(model, "user_tables"):
        return list(model.user_tables)
    tables = [getattr(model, name) for name in ("u_weight", "u_bias") if hasattr(model, name)]
    if not tables:
        raise TypeError(f"{type(model).__name__} does not say where its users are; give it a "
                        "property user_tables, the list of its Embeddings with a row per user")
    return tables


def append_rows(model: Any, rows: list[Array]) -> None:
    """Put a row at the end of each of the users' tables.

    Parameters
    ----------
    model : Module
        A model of users and items; it changes in place.
    rows : list of arrays (1, width)
        The rows, on the model's device.

    Examples
    --------
    >>> from minifast.collab import EmbeddingDotBias
    >>> model = EmbeddingDotBias(3, 5, 7, seed=0)
    >>> append_rows(model, [np.zeros((1, 3), np.float32), np.zeros((1, 1), np.float32)])
    >>> model.u_weight.weight.shape
    (6, 3)
    """
    for table, row in zip(user_tables(model), rows, strict=True):
        table.weight.data, table.weight.grad = np.concatenate([table.weight.data, row]), None


def learn_rows(learn: CollabLearner, items: Array, y: Array, epochs: int, lr: float) -> list[Array]:
    """Train a row for each of the users' tables, in a copy of the model with this one user.

    Parameters
    ----------
    learn : CollabLearner
        The learner. It and its model do not change.
    items, y : array (n,)
        Numbers of the rated items, and the ratings.
    epochs : int
        Number of steps.
    lr : float
        Learning rate.

    Returns
    -------
    list of arrays (1, width)
        The rows, on the model's device.

    Raises
    ------
    ValueError
        If a row becomes infinite or NaN.

    Examples
    --------
    >>> import pandas as pd
    >>> from minifast.collab import collab_learner
    >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
    ...                         "rating": [5, 2, 4]})
    >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
    >>> learn = collab_learner(data, n_factors=3, y_range=[0, 5.5], seed=0)
    >>> rows = learn_rows(learn, np.array([2]), np.float32([5]), epochs=2, lr=1e-3)
    >>> [row.shape for row in rows]
    [(1, 3), (1, 1)]
    """
    tables, decays = user_tables(learn.model), weight_decays(learn)
    # a copy that shares the weights, as tensors that cannot train
    frozen = deepcopy(learn.model, {id(p): p.detach() for p in learn.model.parameters()}).eval()
    with device(learn.data.device):
        # without row 0, which is #na#
        rows = [Parameter(table.weight.data[1:].mean(0, keepdims=True)) for table in tables]
    for table, row in zip(user_tables(frozen), rows, strict=True):
        table.weight = row
    opt = learn.opt_func([[row] for row in rows], lr=lr, true_wd=learn.true_wd,
                         wd=[decays[id(table.weight)] for table in tables], bn_wd=learn.bn_wd)
    user, item, target = (Tensor(a).to(learn.data.device) for a in (np.zeros_like(items), items, y))
    with learn.reproducibly():
        for _ in range(epochs):
            learn.loss_func(frozen(user, item), target).backward()
            opt.step()
            opt.zero_grad()
    if not all(np.isfinite(row.numpy()).all() for row in rows):
        raise ValueError(f"with lr={lr} the new user's row became infinite or NaN; nothing was "
                         "changed. Lower lr")
    return [row.data for row in rows]


def weight_decays(learn: Learner) -> dict[int, float]:
    """Return the weight decay of each parameter, by ``id``.

    Parameters
    ----------
    learn : Learner
        The learner.

    Returns
    -------
    dict of int to float
        The weight decays.

    Examples
    --------
    >>> import pandas as pd
    >>> from minifast.collab import collab_learner
    >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
    ...                         "rating": [5, 2, 4]})
    >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
    >>> learn = collab_learner(data, n_factors=3, y_range=[0, 5.5], seed=0)
    >>> set(weight_decays(learn).values())
    {0.01}
    """
    decays = one_per_group("wd", learn.wd, len(learn.layer_groups))
    return {id(p): wd for group, wd in zip(learn.layer_groups, decays, strict=True)
            for p in group.parameters()}


# ---------------------------------------------------------------- the label


def unused_label(cats: Categories) -> Any:
    """Return a new label: the next whole number, or 'new 1', 'new 2' among other labels.

    Parameters
    ----------
    cats : Categories
        The labels that exist.

    Returns
    -------
    int or str
        The new one.

    Examples
    --------
    >>> unused_label(Categories("user", [7, 3])), unused_label(Categories("user", ["ann"]))
    (8, 'new 1')
    """
    if cats.labels.dtype.kind in "iu":
        return int(cats.labels.max()) + 1
    return next(label for i in count(1) if (label := f"new {i}") not in cats.numbers)


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
    number, shown = len(cats), np.array([label], cats.classes.dtype.kind)  # as text among texts
    cats.labels = cats.labels.insert(len(cats.labels), label)
    cats.classes = np.concatenate([cats.classes, shown])
    cats.numbers |= dict.fromkeys(spellings(label), number)
    return number
