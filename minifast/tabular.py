"""Models on tables: categories through embeddings, numbers through batch norm."""
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from .autograd import ShapeError, Tensor, cat
from .data import TabularDataBunch
from .nn import (
    BatchNorm1d,
    Dropout,
    Module,
    ModuleList,
    ReLU,
    Sequential,
    bn_drop_lin,
    embedding,
    sigmoid_range,
)
from .nn.activation import check_range
from .nn.init import Seed
from .random import generator
from .star import NOTEBOOK_NAMES, notebook_name
from .train import Learner

__all__ = ["TabularModel", "bn_drop_lin", *NOTEBOOK_NAMES]


def __getattr__(name: str) -> Any:
    return notebook_name(name, __name__)


class TabularModel(Module):
    """Embeddings of the categories beside the numbers, then linear layers with ReLU between.

    ``emb_szs`` (classes, width) per category, ``n_cont`` numbers, ``out_sz`` outputs, ``layers``
    widths of hidden layers, ``ps`` dropout of each. forward: category ids (bs, n_cat) and
    numbers (bs, n_cont) to (bs, out_sz). fastai v1's ``TabularModel``.

    >>> len(TabularModel([(5, 3)], 2, 1, [10]).layers)
    4
    """

    def __init__(self, emb_szs: Sequence[tuple[int, int]], n_cont: int, out_sz: int,
                 layers: Sequence[int], ps: float | Sequence[float] | None = None,
                 emb_drop: float = 0., y_range: tuple[float, float] | None = None,
                 use_bn: bool = True, bn_final: bool = False, seed: Seed = None) -> None:
        rng = generator(seed)
        self.y_range, self.n_cont = y_range, n_cont
        self.embeds = ModuleList(embedding(n, width, rng) for n, width in emb_szs)
        self.emb_drop = Dropout(emb_drop, rng)
        self.bn_cont = BatchNorm1d(n_cont)
        sizes = [sum(width for _, width in emb_szs) + n_cont, *layers, out_sz]
        drops = [0., *_one_each(ps, len(layers))]
        made: list[Module] = []
        for i, ((n_in, n_out), p) in enumerate(zip(pairwise(sizes), drops, strict=True)):
            actn = ReLU() if i < len(layers) else None
            made += bn_drop_lin(n_in, n_out, use_bn and i != 0, p, actn, rng)
        self.layers = Sequential(*made, *([BatchNorm1d(out_sz)] if bn_final else []))

    def forward(self, x_cat: Tensor | Sequence[Tensor], x_cont: Tensor | None = None) -> Tensor:
        """Category ids (bs, n_cat) or [(bs,), ...], numbers (bs, n_cont) or None, to (bs, out_sz).
        """
        parts = []
        if len(self.embeds):
            columns = _columns(x_cat, len(self.embeds))
            rows = [embed(ids) for embed, ids in zip(self.embeds, columns, strict=True)]
            parts.append(self.emb_drop(cat(rows, axis=1)))
        if self.n_cont and x_cont is not None:
            parts.append(self.bn_cont(x_cont))
        x: Any = self.layers(parts[0] if len(parts) == 1 else cat(parts, axis=1))
        return x if self.y_range is None else sigmoid_range(x, *self.y_range)


def _columns(x_cat: Tensor | Sequence[Tensor], n: int) -> Sequence[Tensor]:
    """The ids as ``n`` columns (bs,)."""
    columns = [x_cat[:, i] for i in range(x_cat.shape[1])] \
        if isinstance(x_cat, Tensor) and x_cat.ndim == 2 else x_cat
    if isinstance(columns, Tensor) or len(columns) != n:
        got = x_cat.shape if isinstance(x_cat, Tensor) else f"{len(columns)} columns"
        raise ShapeError(f"{n} embeddings look up ids of shape (bs, {n}), got {got}")
    return columns


def _one_each(ps: float | Sequence[float] | None, n: int) -> list[float]:
    if ps is None or isinstance(ps, (int, float)):
        return [ps or 0.] * n
    if len(ps) != n:
        raise ValueError(f"{len(ps)} dropouts {list(ps)} for {n} hidden layers; give one number, "
                         f"or {n} of them")
    return list(ps)


def tabular_learner(data: TabularDataBunch, layers: Sequence[int],
                    emb_szs: Mapping[str, int] | None = None, metrics: Any = None,
                    ps: float | Sequence[float] | None = None, emb_drop: float = 0.,
                    y_range: tuple[float, float] | Sequence[float] | None = None,
                    use_bn: bool = True, seed: Seed = None, **learn_kwargs: Any) -> Learner:
    """A learner with a TabularModel that fits the data; hidden layers are ``layers`` wide.

    ``emb_szs`` sets widths of embeddings by column, ``ps`` and ``emb_drop`` are dropout, and
    ``y_range`` (low, high) stretches a sigmoid over the output. ``learn_kwargs`` go to the
    Learner, ``seed`` fixes the initial weights. fastai v1's ``tabular_learner``.

    >>> import pandas as pd
    >>> df = pd.DataFrame({"size": [1., 2., 3., 4.], "price": [2., 4., 6., 8.]})
    >>> data = TabularDataBunch.from_df(".", df, "price", [3], bs=3)
    >>> tabular_learner(data, [10], y_range=(0, 10)).model.layers
    Sequential(
      (0): Linear(in_features=1, out_features=10, bias=True)
      (1): ReLU()
      (2): BatchNorm1d(10, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
      (3): Linear(in_features=10, out_features=1, bias=True)
    )
    """
    low_high = None if y_range is None else _low_high(y_range)
    model = TabularModel(data.get_emb_szs(emb_szs), len(data.cont_names), data.targets.c, layers,
                         ps, emb_drop, low_high, use_bn, seed=seed)
    return Learner(data, model, metrics=metrics, **learn_kwargs)


def _low_high(y_range: Any) -> tuple[float, float]:
    if len(y_range) != 2:
        raise ValueError(f"y_range is a pair (low, high), got {y_range!r}")
    low, high = map(float, y_range)
    check_range(low, high)
    return low, high
