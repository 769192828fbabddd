"""Models on tables: categories through embeddings, numbers through batch norm."""
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ..autograd import ShapeError, Tensor, cat
from ..backend import generator
from .activation import ReLU, sigmoid_range
from .containers import ModuleList, Sequential
from .dropout import Dropout
from .embedding import embedding
from .init import Seed
from .linear import Linear
from .module import Module
from .norm import BatchNorm1d


def bn_drop_lin(n_in: int, n_out: int, bn: bool = True, p: float = 0., actn: Module | None = None,
                seed: Seed = None) -> list[Module]:
    """Batch norm, dropout, Linear, activation: those that are asked for, in this order.

    fastai v1's ``bn_drop_lin``.

    >>> [type(layer).__name__ for layer in bn_drop_lin(4, 2, p=.5, actn=ReLU())]
    ['BatchNorm1d', 'Dropout', 'Linear', 'ReLU']
    """
    rng = generator(seed)
    layers: list[Module] = [BatchNorm1d(n_in)] if bn else []
    if p:
        layers.append(Dropout(p, rng))
    layers.append(Linear(n_in, n_out, seed=rng))
    return layers if actn is None else [*layers, actn]


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
