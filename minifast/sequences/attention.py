"""Causal self-attention (Vaswani and others 2017), and a block of a transformer around it."""
from math import sqrt

import numpy as np

from ..autograd import ShapeError, Tensor, apply, ops, where
from ..backend import generator
from ..nn import Dropout, Linear, Module, Parameter, softmax, xavier_uniform_
from ..nn.init import Seed
from .norm import LayerNorm


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return for each position a weighted mean of the values up to there.

    The weight of position j at position i is the softmax over all j <= i of
    q[i] @ k[j] / sqrt(width). Later positions have weight 0.

    Parameters
    ----------
    q, k : Tensor (..., length, width)
        Queries and keys.
    v : Tensor (..., length, n)
        Values.

    Returns
    -------
    Tensor (..., length, n)
        The means.

    Examples
    --------
    >>> q = Tensor(np.zeros((3, 1)))  # all weights are equal
    >>> causal_attention(q, q, Tensor(np.array([[6.], [0.], [3.]])))
    tensor([[6.],
            [3.],
            [3.]], dtype=float64)
    """
    *front, length, width = q.shape
    n = len(front)
    scores = q @ k.transpose(*range(n), n + 1, n) * (1 / sqrt(width))
    position = np.arange(length, like=q.data)
    return softmax(where(position <= position[:, None], scores, -np.inf)) @ v


class CausalSelfAttention(Module):
    """Causal attention with several heads: (bs, length, n) to (bs, length, n).

    Queries, keys and values are three linear functions of the input. Each head attends with its
    own n / n_heads columns of them. A last linear layer mixes the heads.

    Parameters
    ----------
    n : int
        Number of features.
    n_heads : int
        Number of heads; it divides `n`.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    Raises
    ------
    ValueError
        If `n_heads` does not divide `n`.

    See Also
    --------
    torch.nn.MultiheadAttention : With a causal mask; the weights have the same names.

    Examples
    --------
    >>> CausalSelfAttention(8, 2)(Tensor(np.ones((1, 5, 8), np.float32))).shape
    (1, 5, 8)
    """

    def __init__(self, n: int, n_heads: int, seed: Seed = None) -> None:
        if n_heads < 1 or n % n_heads:
            raise ValueError(f"{n} features cannot be split into {n_heads} equal heads; use a "
                             "number that divides them")
        rng, self.n_heads = generator(seed), n_heads
        self.in_proj_weight = xavier_uniform_(Parameter(np.empty((3 * n, n), np.float32)),
                                              seed=rng)
        self.in_proj_bias = Parameter(np.zeros(3 * n, np.float32), no_wd=True)
        self.out_proj = Linear(n, n, seed=rng)
        self.out_proj.bias = Parameter(np.zeros(n, np.float32), no_wd=True)

    def forward(self, x: Tensor) -> Tensor:
        n = self.in_proj_weight.shape[1]
        if x.ndim != 3 or x.shape[2] != n:
            raise ShapeError(f"attention with {n} features needs (bs, length, {n}), got {x.shape}")
        bs, length, _ = x.shape
        projected = apply(ops.linear, x, self.in_proj_weight, self.in_proj_bias)
        heads = projected.reshape(bs, length, 3, self.n_heads, n // self.n_heads)
        mixed = causal_attention(*heads.transpose(2, 0, 3, 1, 4))
        joined = mixed.transpose(0, 2, 1, 3).reshape(bs, length, n)
        result: Tensor = self.out_proj(joined)
        return result

    def extra_repr(self) -> str:
        return f"{self.in_proj_weight.shape[1]}, n_heads={self.n_heads}"


class TransformerBlock(Module):
    """Attention, then two linear layers, each added to its input: (bs, length, n) to the same.

    Parameters
    ----------
    n, n_heads : int
        As for `CausalSelfAttention`.
    n_hidden : int, optional
        Number of hidden units; 4 * n by default.
    p : float
        Dropout probability of what is added.
    seed : int, numpy.random.Generator or None
        Source of the initial weights and of dropout.

    See Also
    --------
    torch.nn.TransformerEncoderLayer : With ``norm_first=True`` and a causal mask; the weights
        have the same names.

    Examples
    --------
    >>> TransformerBlock(8, 2)(Tensor(np.ones((1, 5, 8), np.float32))).shape
    (1, 5, 8)
    """

    def __init__(self, n: int, n_heads: int, n_hidden: int | None = None, p: float = 0.,
                 seed: Seed = None) -> None:
        rng = generator(seed)
        self.self_attn = CausalSelfAttention(n, n_heads, rng)
        self.linear1 = Linear(n, n_hidden or 4 * n, seed=rng)
        self.linear2 = Linear(n_hidden or 4 * n, n, seed=rng)
        self.norm1, self.norm2 = LayerNorm(n), LayerNorm(n)
        self.dropout = Dropout(p, rng)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.self_attn(self.norm1(x)))
        more: Tensor = self.dropout(self.linear2(self.linear1(self.norm2(x)).relu()))
        return x + more
