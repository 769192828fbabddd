"""The dot product model: one table, in which the product of two rows is the whole score.

A user's row is [factors, bias, -], an item's [factors, -, bias]. After gathering, a 1 is written
into the free element, so one product of rows also adds both biases. Gradients are summed by
SciPy's product with a one-hot matrix where it is installed, as in minifast.
"""
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from ..job import HIGH, LOW, Array
from .flat import Flat

try:
    add_rows: Any = import_module("scipy.sparse._sparsetools").csc_matvecs
except ImportError:
    add_rows = None


class Dot:
    """The model: one gather, one scatter, no graph."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        (self.first_item, width), n_items = weights["u_weight.weight"].shape, \
            len(weights["i_bias.weight"])
        table = np.zeros((self.first_item + n_items, width + 2), np.float32)
        for side, rows, place in (("u", table[:self.first_item], -2),
                                  ("i", table[self.first_item:], -1)):
            rows[:, :width] = weights[f"{side}_weight.weight"]
            rows[:, place] = weights[f"{side}_bias.weight"][:, 0]
        self.flat = Flat({"table": table})
        self.table, self.columns = self.flat.data["table"], np.arange(width + 2)
        self.make_room(0)

    def make_room(self, bs: int) -> None:
        """Return memory for intermediate results of a batch; allocating it each time is slow."""
        shape = 2 * bs, len(self.columns)
        self.rows, self.grad_rows = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self.ends, self.ones = np.arange(2 * bs + 1), np.ones(2 * bs, np.float32)

    def backward(self, x: list[Array], y: Array) -> float:
        """Return the mean squared error; write its gradient into the flat gradient."""
        users, items = x
        bs, ids = len(y), np.concatenate([users, items + self.first_item])
        if len(self.rows) != 2 * bs:
            self.make_room(bs)
        rows, g = self.rows, self.grad_rows
        self.table.take(ids, 0, rows, "clip")  # other modes copy the result once more
        u, v = rows[:bs], rows[bs:]
        u[:, -1] = v[:, -2] = 1
        s = 1 / (1 + np.exp(-np.vecdot(u, v)))
        error = LOW + s * (HIGH - LOW) - y
        d = error * s * (1 - s) * np.float32(2 * (HIGH - LOW) / bs)
        np.multiply(d[:, None], v, out=g[:bs])
        np.multiply(d[:, None], u, out=g[bs:])
        g[:bs, -1] = g[bs:, -2] = 0
        self.scatter(ids, g)
        return float(np.vecdot(error, error)) / bs

    def scatter(self, ids: Array, g: Array) -> None:
        """Sum the gradients of each row."""
        n, width = self.table.shape
        self.flat.all_grad.fill(0)
        if add_rows is not None:
            add_rows(n, len(ids), width, self.ends, ids, self.ones, g.reshape(-1),
                     self.flat.all_grad)
        else:
            places = ids[:, None] * width + self.columns
            np.add.at(self.flat.all_grad, places.reshape(-1), g.reshape(-1))
