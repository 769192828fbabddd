"""Coefficients for deferred updates: how far a row still moves after its last gradient.

After a step with a gradient, momentum keeps moving a row for a few hundred steps. If the schedule
is known, so is the sum of these moves: ``remaining(k, u, ...)`` is how far a row with that state
will move from step k on, in units of its weight before step k, if it never gets another gradient.
docs/lazy.md derives the formulas.
"""
from math import ceil, log, sqrt

import numpy as np

from ..backend import Array
from .future import Hypers
from .quadrature import ACCURACY, fewest, gauss

Rule = tuple[list[float], list[float]]
"""Weights and nodes of a sum ``sum_i weight_i / (x + node_i)``."""
LENGTH = 704
"""Number of steps for which coefficients are computed at a time."""
LONGEST = 2400
"""The longest horizon: enough for a momentum of .99."""
EVERY = 32
"""Steps between two rules of Adam that are computed from all their terms."""


def horizon(hypers: Hypers) -> int:
    """Return after how many steps a momentum has decayed to 1e-10 of its size.

    Parameters
    ----------
    hypers : dict of str to array (n,)
        Hyper-parameters of the next steps: lr, wd, mom, for Adam also beta.

    Returns
    -------
    int
        LONGEST + 1 if that takes longer than LONGEST, or never happens.

    Examples
    --------
    >>> still = {"lr": np.zeros(1), "wd": np.zeros(1), "mom": np.array([.9])}
    >>> horizon(still), horizon({"beta": np.array([.99]), **still})
    (219, 230)
    """
    kept = np.sqrt(hypers.get("beta", 1.)) * np.maximum(1 - hypers["lr"] * hypers["wd"], 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):  # beta may be 0
        ratios = hypers["mom"] / kept
    if not ((ratios >= 0) & (ratios < 1)).all():
        return LONGEST + 1
    return ceil(log(1e-10) / log(largest)) if (largest := ratios.max()) > 0 else 1


class SGDCoefficients:
    """For SGD with momentum and decoupled decay: the remaining move is ``d_k u``, exactly.

    Parameters
    ----------
    hypers : dict of str to array (n,)
        Hyper-parameters of the next steps: LENGTH of them, and their horizon beyond.
    count : int
        How many updates Adam has counted so far.
    nodes : int, optional
        For Adam: nodes of each rule; None takes the fewest that are accurate enough.
    length : int, optional
        For how many steps coefficients are needed; by default, as many as ``hypers`` allow.
    dtype : str
        Type of the weights, which determines the required accuracy.

    Attributes
    ----------
    works : bool
        Whether the formulas apply to this schedule; if not, tables are updated densely.

    Examples
    --------
    >>> hypers = {"lr": np.full(1000, .1), "wd": np.zeros(1000), "mom": np.full(1000, .5)}
    >>> SGDCoefficients(hypers).works
    True
    """

    state: tuple[str, ...] = ("average",)
    counts = False
    """Whether the optimizer counts its updates."""

    def __init__(self, hypers: Hypers, count: int = 0, nodes: int | None = None,
                 length: int | None = None, dtype: str = "float32") -> None:
        self.hypers, self.count, self.nodes = hypers, count, nodes
        self.error, self.most = ACCURACY.get(dtype, ACCURACY["float32"])
        self.lr, self.mom, self.n = hypers["lr"], hypers["mom"], len(hypers["lr"])
        self.shrink = 1 - self.lr * hypers["wd"]
        self.factors = list(zip(self.mom.tolist(), self.shrink.tolist(), strict=True))
        self.length = self.n - horizon(hypers) if length is None else length
        self.works = self.length >= LENGTH and self._apply()
        if self.works:
            self._prepare()

    def _apply(self) -> bool:
        return bool(np.isfinite(self.lr).all() and self.shrink.all())

    def _prepare(self) -> None:
        """d before each step, from the last step backwards: d_k = (mom / shrink)(lr + d_k+1)."""
        self.d = [0.]
        for lr, mom, shrink in zip(self.lr[::-1], self.mom[::-1], self.shrink[::-1], strict=True):
            self.d.append(mom / shrink * (lr + self.d[-1]))
        self.d = [float(d) for d in self.d[::-1]]

    def remaining(self, k: int, u: Array, *r: Array, c: float = 1., b: float = 1.) -> Array:
        """Return how far rows will still move from step k on.

        Parameters
        ----------
        k : int
            Number of the step, counted from the first of ``hypers``.
        u : array
            The momentum, divided by ``c``.
        *r : array
            For Adam: the root of the mean square, divided by the root of ``b``.
        c, b : float
            Factors by which the arrays have to be multiplied.

        Returns
        -------
        array
            In the shape of ``u``.

        Examples
        --------
        With momentum .5, .1 (.5 + .25 + ...) times the momentum remains to be moved.

        >>> hypers = {"lr": np.full(1000, .1), "wd": np.zeros(1000), "mom": np.full(1000, .5)}
        >>> SGDCoefficients(hypers).remaining(0, np.array([1.]))
        array([0.1])
        """
        return u * (c * self.d[k])


class AdamCoefficients(SGDCoefficients):
    """For AdamW: the remaining move is ``m sum_i weight_i / (root + node_i)``, a Gauss rule.

    See ``SGDCoefficients`` for the parameters.
    """

    state = ("average", "square")
    counts = True

    def _apply(self) -> bool:
        betas, epses = self.hypers["beta"], self.hypers["eps"]
        constant = (betas == betas[0]).all() and (epses == epses[0]).all()
        return bool(super()._apply() and constant and epses[0] > 0 and self.lr.min() >= 0
                    and betas[0] > 0 and (self.mom.min() > 0 or self.mom.max() == 0))

    def _prepare(self) -> None:
        self.beta, self.eps = float(self.hypers["beta"][0]), float(self.hypers["eps"][0])
        count = self.count + np.arange(1, self.n + 1)
        self.bias = np.sqrt(1 - self.beta ** count)
        self.rate = self.lr * self.bias / (1 - self.mom ** count)
        if not self.rate.any() or not self.mom.any():  # nothing moves after a step
            self.rules: list[Rule] = [([w], [e]) for w, e in zip(
                self.rate.tolist(), (self.eps * self.bias).tolist(), strict=True)]
            return
        self.log_decay = np.concatenate([[0.], np.cumsum(np.log(self.mom) - np.log(self.shrink))])
        self.rules = self._all_rules()

    def _all_rules(self) -> list[Rule]:
        """For each step, the rule for its own move and all later ones.

        It holds in the middle of the step, when weights and means have decayed and a gradient,
        if there is one, has joined the means.
        """
        weights, nodes, n = self._terms_of_all()
        rules: list[Rule] = [([], [])] * len(n)
        for few in np.unique(n):
            steps = np.flatnonzero(n == few)
            w, e = gauss(weights[steps], nodes[steps], int(few))
            weight, node = self._decay(steps, np.ones(1, int))
            w, e = w / weight[:, None], e * (self.eps / node)
            for k, rule in zip(steps.tolist(), zip(w.tolist(), e.tolist(), strict=True),
                               strict=True):
                rules[k] = rule
        return rules

    def _terms_of_all(self) -> tuple[Array, Array, Array]:
        """Terms that represent all moves from each step on, and how many nodes their rule needs.

        Every EVERY steps the terms of the whole horizon are reduced to a rule. For the steps in
        between, the terms up to the next such step and that step's rule stand for the same sum.
        """
        window = self.n - self.length
        every = min(EVERY, window)
        ends = np.unique([0, *range(self.length, 0, -every)])
        terms = self._terms(ends[:, None], np.arange(window))
        n = np.full(len(ends), self.nodes) if self.nodes else \
            fewest(*terms, self.error, self.most)
        self.works = bool(n.max() <= (self.nodes or self.most))  # not with a mom^2 near beta
        k, j = np.ogrid[:self.length + 1, :every]
        end = np.searchsorted(ends, k[:, 0])
        gap = ends[end] - k[:, 0]
        later = (factor[:, None] * rule[end] for factor, rule in
                 zip(self._decay(k[:, 0], gap), gauss(*terms, self.nodes or self.most),
                     strict=True))
        weights, nodes = (np.concatenate(both, 1) for both in
                          zip(self._terms(k, j), later, strict=True))
        weights[:, :every] *= j < gap[:, None]
        return weights, nodes, np.maximum(n, np.roll(n, 1))[end]

    def _decay(self, k: Array, n: Array) -> tuple[Array, Array]:
        """Factors of the weights and nodes of step k + n, seen from n steps before it.

        Both means decay in these steps. Taken out of the root, beta^(1/2) for each step moves
        the node and makes the weight larger.
        """
        grown = self.beta ** (-n / 2)
        return np.exp(self.log_decay[k + n] - self.log_decay[k]) * grown, grown

    def _terms(self, k: Array, j: Array) -> tuple[Array, Array]:
        """Weight and node, seen from before step k, of the move that step k + j makes.

        Step i moves a row by rate_i m_i / (sqrt(v_i) + eps bias_i), with the decayed m_i and v_i.
        """
        weight, node = self._decay(k, j + 1)
        return self.rate[k + j] * weight, self.bias[k + j] * node

    def remaining(self, k: int, u: Array, *r: Array, c: float = 1., b: float = 1.) -> Array:
        """Return how far rows will still move from step k on."""
        mom, shrink = self.factors[k]
        return evaluate(self.rules[k], u, r[0], c * mom / shrink, b * self.beta)


def evaluate(rule: Rule, u: Array, root: Array, c: float, b: float) -> Array:
    """Return c u sum_i weight_i / (sqrt(b) root + node_i).

    Parameters
    ----------
    rule : tuple of list of float
        Weights and nodes.
    u, root : array
        Numerator and root, of one shape.
    c, b : float
        Factors of the arrays, applied to the numbers of the rule instead.

    Returns
    -------
    array
        In the shape of ``u``.

    Examples
    --------
    >>> evaluate(([1., 2.], [1., 0.]), np.array([6.]), np.array([.5]), .5, 4.)
    array([7.5])
    """
    outer, total = sqrt(b), None
    for weight, node in zip(*rule, strict=True):
        term = root + node / outer
        np.divide(weight * c / outer, term, term)
        total = term if total is None else np.add(total, term, total)
    total *= u
    return total
