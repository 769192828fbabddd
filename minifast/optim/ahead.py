"""What is still to come of steps already taken: the coefficients of lazy updates.

After a step with gradient, momentum keeps moving a row for some hundred steps. If the schedule of
the rates is known, so is this way: ``Ahead.way(k, m, v)`` is how far a row with momentum m
(and average square v) will yet move from before step k on, in weights of that time, if it
never gets another gradient. docs/lazy.md derives the formulas.
"""
from collections.abc import Callable
from math import ceil, log, sqrt
from typing import Protocol

import numpy as np

from ..autograd import Rows
from ..backend import Array
from .hyper import Hypers
from .quadrature import MOST, enough, gauss

Nodes = tuple[list[float], list[float]]
"""Heights and places: what a rule has for ``sum_i height_i / (x + place_i)``."""
LENGTH = 704
"""Steps for which coefficients are made at a time."""
LONGEST = 2400
"""Steps to look ahead at most: enough for a momentum of .99."""
EVERY = 32
"""Steps from one look at all that is to come to the next."""


def reach(hypers: Hypers) -> int:
    """After how many steps what momentum does is below 1e-10 of what it did at first.

    More than LONGEST if that takes too long, or never comes.

    >>> still = {"lr": np.zeros(1), "wd": np.zeros(1), "mom": np.array([.9])}
    >>> reach(still), reach({"beta": np.array([.99]), **still})
    (219, 230)
    """
    kept = np.sqrt(hypers.get("beta", 1.)) * np.maximum(1 - hypers["lr"] * hypers["wd"], 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):  # of a beta of 0 it never comes to that
        ratios = hypers["mom"] / kept
    if not ((ratios >= 0) & (ratios < 1)).all():
        return LONGEST + 1
    return ceil(log(1e-10) / log(largest)) if (largest := ratios.max()) > 0 else 1



class Stored(Protocol):
    """What a step needs of a store in the form of lazy updates: docs/lazy.md."""

    arrays: list[Array]
    a: float
    c: float
    b: float

    def each_part(self, gradient: Rows, work: Callable[[Rows], None]) -> None: ...

    def known(self, rows: Array) -> list[Array]: ...

    def with_sums(self, gradient: Rows, known: list[Array], work: Callable[..., None]) -> None: ...

    def put(self, rows: Array, *values: Array) -> None: ...

    def shrink(self, rows: Array, a: float, c: float, b: float) -> None: ...


class Ahead:
    """The ways ahead for SGD with momentum and decoupled decay: ``D m``, exactly.

    ``hypers`` are those of the coming steps, LENGTH and as many as momentum reaches beyond;
    ``decays`` says whether weight decay concerns the table. ``works`` is False for a schedule
    to which the formulas do not apply; then the table has to be updated densely. ``length`` is
    for how many steps there are coefficients.
    """

    state: tuple[str, ...] = ("average",)
    counts = False

    def __init__(self, hypers: Hypers, decays: bool, steps: int = 0,
                 nodes: int | None = None, length: int | None = None) -> None:
        self.hypers, self.steps, self.nodes = hypers, steps, nodes
        self.lr, self.mom, self.n = hypers["lr"], hypers["mom"], len(hypers["lr"])
        self.shrink = 1 - self.lr * hypers["wd"] if decays else np.ones(self.n)
        self.factors = list(zip(self.mom.tolist(), self.shrink.tolist(), strict=True))
        self.length = self.n - reach(hypers) if length is None else length
        self.works = self.length >= LENGTH and self._fit()
        if self.works:
            self._prepare()

    def _fit(self) -> bool:
        return bool(np.isfinite(self.lr).all() and self.shrink.all())

    def _prepare(self) -> None:
        """D before each step, from the last backwards: D = (mom / shrink)(lr + next D)."""
        self.way_per_momentum = [0.]
        for lr, mom, shrink in zip(self.lr[::-1], self.mom[::-1], self.shrink[::-1], strict=True):
            self.way_per_momentum.append(mom / shrink * (lr + self.way_per_momentum[-1]))
        self.way_per_momentum = [float(d) for d in self.way_per_momentum[::-1]]

    def way(self, k: int, u: Array, *r: Array, c: float = 1., b: float = 1.) -> Array:
        """How far rows of momentum c u and average square b r^2 will move from before step k on."""
        return u * (c * self.way_per_momentum[k])

    def step(self, k: int, form: Stored, gradient: Rows) -> None:
        """Step k of the dense optimizer, for rows with a gradient.

        What a gradient changes is in proportion to it, so rows may come twice.
        """
        mom, shrink = self.factors[k]
        form.shrink(gradient.rows, shrink, mom, 1.)
        moved = (float(self.lr[k]) + self.way_per_momentum[k + 1]) / form.a
        z, u = form.arrays

        def add(part: Rows) -> None:
            part.add_to(z, -moved)
            part.add_to(u, 1 / form.c)
        form.each_part(gradient, add)


class AdamAhead(Ahead):
    """The ways ahead for AdamW: ``m sum_i H_i / (root + E_i)``, a Gauss rule with few nodes.

    ``steps`` is how many steps Adam has counted so far, ``nodes`` how many nodes there are; None
    is as many as it takes.
    """

    state = ("average", "square")
    counts = True

    def _fit(self) -> bool:
        betas, epses = self.hypers["beta"], self.hypers["eps"]
        alike = (betas == betas[0]).all() and (epses == epses[0]).all()
        return bool(super()._fit() and alike and epses[0] > 0 and self.lr.min() >= 0
                    and betas[0] > 0 and (self.mom.min() > 0 or self.mom.max() == 0))

    def _prepare(self) -> None:
        self.beta, self.eps = float(self.hypers["beta"][0]), float(self.hypers["eps"][0])
        count = self.steps + np.arange(1, self.n + 1)
        self.bias = np.sqrt(1 - self.beta ** count)
        self.rate = self.lr * self.bias / (1 - self.mom ** count)
        if not self.rate.any() or not self.mom.any():  # nothing moves on after a step
            self.nodes_of_step = [([h], [e]) for h, e in zip(
                self.rate.tolist(), (self.eps * self.bias).tolist(), strict=True)]
            return
        self.shrunk = np.concatenate([[0.], np.cumsum(np.log(self.mom) - np.log(self.shrink))])
        self.nodes_of_step = self._rules()

    def _rules(self) -> list[Nodes]:
        """The nodes that stand for each step and all that follow, seen from its middle: weights
        and averages have decayed, and a gradient has joined, if there is one."""
        heights, places, n = self._gathered()
        rules: list[Nodes] = [([], [])] * len(n)
        for few in np.unique(n):
            steps = np.flatnonzero(n == few)
            h, e = gauss(heights[steps], places[steps], int(few))
            height, place = self._scale(steps, np.ones(1, int))
            h, e = h / height[:, None], e * (self.eps / place)
            for k, nodes in zip(steps.tolist(), zip(h.tolist(), e.tolist(), strict=True),
                                strict=True):
                rules[k] = nodes
        return rules

    def _gathered(self) -> tuple[Array, Array, Array]:
        """Terms that stand for all that is to come before each step, and how many nodes do.

        All of it is looked at before some steps only. In between, the terms up to the next of
        them, and the nodes that stand for the rest, are the same to a rule.
        """
        window = self.n - self.length
        every = min(EVERY, window)
        ends = np.unique([0, *range(self.length, 0, -every)])
        terms = self._terms(ends[:, None], np.arange(window))
        n = np.full(len(ends), self.nodes) if self.nodes else enough(*terms)
        k, j = np.ogrid[:self.length + 1, :every]
        end = np.searchsorted(ends, k[:, 0])
        gap = ends[end] - k[:, 0]
        later = (factor[:, None] * rule[end] for factor, rule in
                 zip(self._scale(k[:, 0], gap), gauss(*terms, self.nodes or MOST), strict=True))
        heights, places = (np.concatenate(both, 1) for both in
                           zip(self._terms(k, j), later, strict=True))
        heights[:, :every] *= j < gap[:, None]
        return heights, places, np.maximum(n, np.roll(n, 1))[end]

    def _scale(self, k: Array, n: Array) -> tuple[Array, Array]:
        """By how much heights and places change that are seen from n steps earlier, from step k.

        m and v shrink in these steps; taken out of the root, beta^(1/2) a step moves the place
        and makes the height larger.
        """
        grown = self.beta ** (-n / 2)
        return np.exp(self.shrunk[k + n] - self.shrunk[k]) * grown, grown

    def _terms(self, k: Array, j: Array) -> tuple[Array, Array]:
        """Before step k, what step k + j will add: heights and places.

        Step i moves a row by rate_i m_i / (sqrt(v_i) + eps bias_i) where m_i and v_i have shrunk.
        """
        height, place = self._scale(k, j + 1)
        return self.rate[k + j] * height, self.bias[k + j] * place

    def way(self, k: int, u: Array, *r: Array, c: float = 1., b: float = 1.) -> Array:
        """How far rows of momentum c u and average square b r^2 will move from before step k on."""
        mom, shrink = self.factors[k]
        return fractions(self.nodes_of_step[k], u, r[0], c * mom / shrink, b * self.beta)

    def step(self, k: int, form: Stored, gradient: Rows) -> None:
        """Step k of the dense optimizer, for rows with a gradient.

        It joins the averages. The row's weight is the same as before, what it will yet move is
        not, and so it will rest elsewhere. A row that comes twice is computed twice, with the
        same result.
        """
        mom, shrink = self.factors[k]
        known = form.known(gradient.rows)
        form.shrink(gradient.rows, shrink, mom, self.beta)

        def move(rows: Array, g: Array, w: Array, u: Array, r: Array) -> None:
            if not mom:
                u.fill(0)
            u += g * ((1 - mom) / form.c)
            g *= g
            g *= (1 - self.beta) / form.b
            r *= r
            r += g
            np.sqrt(r, out=r)
            z = w * (shrink / form.a)  # the model may still have w
            z -= fractions(self.nodes_of_step[k], u, r, form.c / form.a, form.b)
            form.put(rows, z, u, r)
        form.with_sums(gradient, known, move)


def fractions(nodes: Nodes, u: Array, root: Array, c: float, b: float) -> Array:
    """c u sum_i height_i / (sqrt(b) root + place_i), with the numbers drawn out of the arrays.

    >>> fractions(([1., 2.], [1., 0.]), np.array([6.]), np.array([.5]), .5, 4.)
    array([7.5])
    """
    outer, total = sqrt(b), None
    for height, place in zip(*nodes, strict=True):
        term = root + place / outer
        np.divide(height * c / outer, term, term)
        total = term if total is None else np.add(total, term, total)
    total *= u
    return total
