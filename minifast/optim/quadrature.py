"""Quadrature: few terms height / (x + place) that stand for many."""
import numpy as np

from ..backend import Array

ERROR, MOST = 1e-4, 8
"""How far a rule may be off, as a share of the way, and the most nodes it gets. After thousands of
steps it makes 2e-7 of the weights, far less than the rounding of float32 does (docs/lazy.md)."""


def gauss(heights: Array, places: Array, n: int) -> tuple[Array, Array]:
    """Few weights at few nodes that stand for many, row by row: (rows, n) of each.

    They have the same sum of height * place^p for p from 1 - n to n. The negative powers are
    what ``1 / (root + place)`` is made of where the root is small, the others where it is large.

    Lanczos' way to Gauss's rule: the matrix of the places, seen from the vector of the roots of
    the weights, is tridiagonal after n steps; its eigenvalues are the nodes. For given weights it
    is exact for powers 0 to 2 n - 1 (Golub and Welsch 1969), here for heights * place^(1 - n).

    >>> weights, nodes = gauss(np.ones((1, 9)), np.arange(1., 10)[None], 2)
    >>> float((weights * nodes ** 2).sum().round(6)), sum(i ** 2 for i in range(1, 10))
    (285.0, 285)
    """
    heights = heights * places ** (1. - n)
    total = np.maximum(heights.sum(1), 1e-300)
    q = np.sqrt(heights / total[:, None])
    before, link = np.zeros_like(q), np.zeros(len(q))
    matrix = np.zeros((len(q), n, n))
    for i in range(n):
        r = places * q
        matrix[:, i, i] = middle = np.vecdot(r, q)
        if i + 1 < n:
            r -= middle[:, None] * q + link[:, None] * before
            matrix[:, i, i + 1] = matrix[:, i + 1, i] = link = np.sqrt(np.vecdot(r, r)) + 1e-300
            before, q = q, r / link[:, None]
    nodes, vectors = np.linalg.eigh(matrix)
    nodes = np.clip(nodes, places.min(1, keepdims=True), places.max(1, keepdims=True))
    return total[:, None] * vectors[:, 0, :] ** 2 * nodes ** (n - 1.), nodes


def enough(heights: Array, places: Array) -> Array:
    """With how many nodes a rule errs by ERROR at most, (rows,).

    >>> enough(np.ones((2, 3)), np.array([[1., 1, 1], [1, 10, 100]])).tolist()
    [1, 3]
    """
    few, n = np.full(len(heights), MOST), 1
    truth = _sums(heights, places)
    while n < MOST and (few == MOST).any():
        error = np.abs(_sums(*gauss(heights, places, n)) - truth)
        few[(few == MOST) & (error <= ERROR * truth).all(0)] = n
        n += 1
    return few


def _sums(heights: Array, places: Array) -> Array:
    """Sums of height / (x + place) for x around 1, where Adam's rules err most: (n_x, rows)."""
    return np.array([(heights / (x + places)).sum(1) for x in 10 ** np.linspace(-1, 1, 9)])
