"""TabularModel: categories through embeddings, next to numbers through batch norm."""
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ..autograd import ShapeError, Tensor, cat
from ..backend import generator
from .embedding import embedding
from .init import Seed
from .layers import Dropout, Linear, ReLU, check_y_range, sigmoid_range
from .module import Module, ModuleList, Sequential
from .norm import BatchNorm1d


def bn_drop_lin(n_in: int, n_out: int, bn: bool = True, p: float = 0., actn: Module | None = None,
                seed: Seed = None, bias: bool = True) -> list[Module]:
    """Return batch norm, dropout, Linear and activation in this order: v1's ``bn_drop_lin``.

    Parameters
    ----------
    n_in, n_out : int
        Numbers of inputs and outputs.
    bn : bool
        Whether to start with batch norm.
    p : float
        Dropout probability; 0 leaves the dropout out.
    actn : Module, optional
        The activation.
    seed : int, Generator or None
        Seed of the dropout and of the initial weights.
    bias : bool
        Whether the linear layer has a bias.

    Returns
    -------
    list of Module
        The layers.

    Examples
    --------
    >>> [type(layer).__name__ for layer in bn_drop_lin(4, 2, p=.5, actn=ReLU())]
    ['BatchNorm1d', 'Dropout', 'Linear', 'ReLU']
    """
    rng = generator(seed)
    layers = [BatchNorm1d(n_in) if bn else None, Dropout(p, rng) if p else None,
              Linear(n_in, n_out, bias, rng), actn]
    return [layer for layer in layers if layer is not None]


class TabularModel(Module):
    """Embeddings next to numbers, then linear layers with ReLU: fastai v1's ``TabularModel``.

    ``forward`` takes category ids (bs, n_cat), or a list of columns (bs,), and numbers
    (bs, n_cont) or None. It returns (bs, out_sz).

    Parameters
    ----------
    emb_szs : sequence of (int, int)
        Classes and embedding width of each category column.
    n_cont : int
        Number of columns of numbers.
    out_sz : int
        Number of outputs.
    layers : sequence of int
        Widths of the hidden layers.
    ps : float or sequence of float, optional
        Dropout after the hidden layers: one number, or one for each layer.
    emb_drop : float
        Dropout of the embeddings.
    y_range : (float, float), optional
        Range of a sigmoid over the output; None leaves the sigmoid out.
    use_bn : bool
        Whether there is batch norm between linear layers.
    bn_final : bool
        Whether there is batch norm after the last linear layer.
    seed : int, Generator or None
        Seed of the initial weights and of the dropouts.
    lin_bias : bool
        Whether a linear layer before batch norm has a bias, as in v1. fastai 2 has none: its inputs
        are embeddings or come from batch norm, so they have shifts that are trained.

    Raises
    ------
    ValueError
        If ``ps`` and ``layers`` differ in length, or ``y_range`` is not a pair from low to high.

    Examples
    --------
    >>> len(TabularModel([(5, 3)], 2, 1, [10]).layers)
    4
    """

    def __init__(self, emb_szs: Sequence[tuple[int, int]], n_cont: int, out_sz: int,
                 layers: Sequence[int], ps: float | Sequence[float] | None = None,
                 emb_drop: float = 0., y_range: Sequence[float] | None = None, use_bn: bool = True,
                 bn_final: bool = False, seed: Seed = None, lin_bias: bool = True) -> None:
        rng = generator(seed)
        self.y_range, self.n_cont = check_y_range(y_range), n_cont
        self.embeds = ModuleList(embedding(n, width, rng) for n, width in emb_szs)
        self.emb_drop = Dropout(emb_drop, rng)
        self.bn_cont = BatchNorm1d(n_cont)
        sizes = [sum(width for _, width in emb_szs) + n_cont, *layers, out_sz]
        drops = [0., *one_dropout_each(ps, len(layers), "hidden layers")]
        found: list[Module] = []
        for i, ((n_in, n_out), p) in enumerate(zip(pairwise(sizes), drops, strict=True)):
            actn = ReLU() if i < len(layers) else None
            bias = lin_bias or actn is None or not use_bn
            found += bn_drop_lin(n_in, n_out, use_bn and i != 0, p, actn, rng, bias)
        self.layers = Sequential(*found, *([BatchNorm1d(out_sz)] if bn_final else []))

    def forward(self, x_cat: Tensor | Sequence[Tensor], x_cont: Tensor | None = None) -> Tensor:
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
    """Return the ids as ``n`` columns (bs,)."""
    columns = [x_cat[:, i] for i in range(x_cat.shape[1])] \
        if isinstance(x_cat, Tensor) and x_cat.ndim == 2 else x_cat
    if isinstance(columns, Tensor) or len(columns) != n:
        got = x_cat.shape if isinstance(x_cat, Tensor) else f"{len(columns)} columns"
        raise ShapeError(f"{n} embeddings look up ids of shape (bs, {n}), got {got}")
    return columns


def one_dropout_each(ps: float | Sequence[float] | None, n: int, layers: str) -> list[float]:
    """Return a dropout probability for each of ``n`` layers.

    Parameters
    ----------
    ps : float or sequence of float, optional
        One number for all, or one for each layer; None is 0.
    n : int
        Number of layers.
    layers : str
        What the layers are, in the error message.

    Returns
    -------
    list of float
        ``n`` probabilities.

    Raises
    ------
    ValueError
        If a sequence has another length.

    Examples
    --------
    >>> one_dropout_each(.5, 2, "hidden layers")
    [0.5, 0.5]
    """
    if ps is None or isinstance(ps, (int, float)):
        return [ps or 0.] * n
    if len(ps) != n:
        raise ValueError(f"{len(ps)} dropouts {list(ps)} for {n} {layers}; give one number, "
                         f"or {n} of them")
    return list(ps)
