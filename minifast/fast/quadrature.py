"""Quadrature: a few terms weight / (x + node) that replace many."""
import numpy as np

from ..backend import Array

ACCURACY = {"float32": (1e-4, 8), "float64": (1e-9, 16)}
"""For each type of weights, the relative error allowed for a rule, and its largest size.
Most of the error cancels from step to step: docs/lazy.md measures what remains in the weights."""


def gauss(weights: Array, nodes: Array, n: int) -> tuple[Array, Array]:
    """Return a few weights and nodes that replace many, row by row.

    They have the same sums of weight * node^p for p from 1 - n to n. Negative powers matter in
    ``1 / (root + node)`` where the root is small, positive ones where it is large.

    Parameters
    ----------
    weights, nodes : array (rows, m)
        The many terms of each row, positive.
    n : int
        How many terms replace them.

    Returns
    -------
    weights, nodes : array (rows, n)
        The terms that replace them.

    References
    ----------
    Golub and Welsch 1969: the Lanczos process turns the nodes, started from the roots of the
    weights, into a tridiagonal matrix whose eigenvalues are the nodes of Gauss's rule. It is
    exact for powers 0 to 2 n - 1, here of the weights weight * node^(1 - n).

    Examples
    --------
    >>> weights, nodes = gauss(np.ones((1, 9)), np.arange(1., 10)[None], 2)
    >>> float((weights * nodes ** 2).sum().round(6)), sum(i ** 2 for i in range(1, 10))
    (285.0, 285)
    """
    weights = weights * nodes ** (1. - n)
    total = np.maximum(weights.sum(1), 1e-300)
    q = np.sqrt(weights / total[:, None])
    before, link = np.zeros_like(q), np.zeros(len(q))
    matrix = np.zeros((len(q), n, n))
    for i in range(n):
        r = nodes * q
        matrix[:, i, i] = middle = np.vecdot(r, q)
        if i + 1 < n:
            r -= middle[:, None] * q + link[:, None] * before
            matrix[:, i, i + 1] = matrix[:, i + 1, i] = link = np.sqrt(np.vecdot(r, r)) + 1e-300
            before, q = q, r / link[:, None]
    few, vectors = np.linalg.eigh(matrix)
    few = np.clip(few, nodes.min(1, keepdims=True), nodes.max(1, keepdims=True))
    return total[:, None] * vectors[:, 0, :] ** 2 * few ** (n - 1.), few


def fewest(weights: Array, nodes: Array, error: float, most: int) -> Array:
    """Return the fewest nodes whose rule is accurate enough, (rows,).

    Parameters
    ----------
    weights, nodes : array (rows, m)
        The terms that the rule replaces.
    error : float
        The allowed relative error.
    most : int
        The most nodes.

    Returns
    -------
    array (rows,)
        From 1 to ``most``; ``most + 1`` where ``most`` nodes are not accurate enough.

    Examples
    --------
    >>> fewest(np.ones((2, 3)), np.array([[1., 1, 1], [1, 10, 100]]), 1e-4, 8).tolist()
    [1, 3]
    """
    found, n = np.full(len(weights), most + 1), 1
    truth = _sums(weights, nodes)
    while n <= most and (found > most).any():
        off = np.abs(_sums(*gauss(weights, nodes, n)) - truth)
        found[(found > most) & (off <= error * truth).all(0)] = n
        n += 1
    return found


def _sums(weights: Array, nodes: Array) -> Array:
    """Sums of weight / (x + node) for x around 1, where the error is largest: (n_x, rows)."""
    return np.array([(weights / (x + nodes)).sum(1) for x in 10 ** np.linspace(-1, 1, 9)])
