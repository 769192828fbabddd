"""Deferred updates: tables of which a batch reads few rows are updated only at those rows.

The results are the dense optimizer's. A row without a gradient moves by an amount that its
momentum and the schedule determine (``coefficients.py``), so the value that it will reach is
stored instead of the present one:

    z = (w - remaining) / A,   u = m / C,   r = sqrt(v / B),

where A, C, B are the products of all factors by which weights, momentum and mean square have
decayed. Rows that a batch does not read keep their z, u and r. docs/lazy.md derives this.
"""
from collections.abc import Callable, Iterable
from math import sqrt
from typing import Any

import numpy as np

from ..backend import Array
from .coefficients import AdamCoefficients, SGDCoefficients, evaluate
from .sparse_grad import SparseGrad
from .store import EmbeddingStore
from .threads import chunks, finish, for_each

CHUNK = 1 << 17
"""Number of elements processed at a time: they fit into a core's cache."""
SHARE = .1
"""A batch that reads more than this share of a store updates it densely."""
SMALLEST = 1 << 15
"""Number of elements from which deferring a store is worthwhile."""
PATIENCE = 16
"""A store whose values were read after fewer steps than this stays dense for as many steps."""
FEW = 1024
"""Up to this many rows, computing a repeated row twice is faster than finding the repeats."""
THREADS = 2
"""Threads that share a batch: the rows of users and the rows of items, say."""
SMALL = 1e-28
"""Products of decay factors below this are multiplied into the arrays and start again at 1."""


class DeferredTable:
    """The deferred form of a store; in use while ``store.deferred`` is this object.

    z, u and r are kept in the arrays of w, m and v. After an error in any method, the weights can
    still be materialized: each chunk is converted completely or not at all, the chunks in
    deferred form are known, and a step keeps the old values until it is complete.

    Parameters
    ----------
    store : EmbeddingStore
        The tables.
    state : callable
        Returns the flat array of a kind of state by its name.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.fast import accelerate
    >>> from minifast.nn import Embedding
    >>> from minifast.optim import SGD
    >>> layer = Embedding(3, 2, seed=0)
    >>> opt = SGD(layer.parameters(), lr=.1)
    >>> with accelerate(layer, opt, always=True):
    ...     layer(tensor([1, 1])).sum().backward()
    ...     opt.step()
    ...     type(layer.weight.store.deferred).__name__
    'DeferredTable'
    """

    def __init__(self, store: EmbeddingStore, state: Callable[[str], Array]) -> None:
        self.store, self.state = store, state
        self.chunk = max(CHUNK // max(store.width, 1), FEW)
        self.arrays: list[Array] = []
        self.records: list[Array] = []
        self.coefficients: Any = None
        self.k = self.age = self.wait = 0
        self.a = self.c = self.b = 1.
        self.read: list[tuple[Array, list[Array]]] = []
        self.in_form: set[tuple[int, int]] = set()  # ends of the chunks in deferred form
        self.changing = False  # to or from this form; it stays True after an error
        self.undo: tuple[float, float, float, int, Array, Array] | None = None

    def _throughout(self, parts: Iterable[tuple[int, int]], work: Callable[..., None],
                    deferred: bool) -> None:
        """Convert chunks with ``work`` to or from the deferred form, each completely or not."""
        flat = [a.reshape(-1) for a in self.arrays]
        done, undone = self.in_form.add, self.in_form.discard
        if not deferred:
            done, undone = undone, done

        def change(part: tuple[int, int]) -> None:
            arrays = [a[slice(*part)] for a in flat]
            before = [a.copy() for a in arrays]
            try:
                work(*arrays)
                done(part)
            except BaseException:
                undone(part)
                for array, values in zip(arrays, before, strict=True):
                    array[...] = values
                raise
        self.changing = True
        for_each(list(parts), change)

    # ---- from the dense form and back

    def defer(self, coefficients: SGDCoefficients, k: int) -> None:
        """Change to the deferred form.

        Parameters
        ----------
        coefficients : SGDCoefficients
            Those of the next steps.
        k : int
            The next step, counted from the first of ``coefficients``.

        Examples
        --------
        >>> from minifast import tensor
        >>> from minifast.fast import accelerate
        >>> from minifast.nn import Embedding
        >>> from minifast.optim import SGD
        >>> layer = Embedding(3, 2, seed=0)
        >>> opt = SGD(layer.parameters(), lr=.1)
        >>> with accelerate(layer, opt, always=True):
        ...     layer(tensor([1, 1])).sum().backward()
        ...     opt.step()  # calls defer and step
        ...     layer.weight.store.deferred.k
        1
        """
        self.arrays = [self.store.data, *(self.store.matrix(self.state(name))
                                          for name in coefficients.state)]
        row = np.dtype((np.void, self.store.width * self.store.data.itemsize))
        *self.records, self.gradients = (a.view(row) for a in (*self.arrays, self.store.grad))
        self.zero, self.seats = np.zeros(1, row), np.zeros(len(self.store.data), np.int32)
        self.coefficients, self.k, self.age = coefficients, k, 0
        self.a = self.c = self.b = 1.
        self.touched: Array | None = None
        self.read = []

        def defer(z: Array, u: Array, *r: Array) -> None:
            for square in r:
                np.sqrt(square, out=square)
            z -= coefficients.remaining(k, u, *r)
        self.store.deferred = self
        parts = [(s.start, s.stop) for s in chunks(self.store.data.size, CHUNK)]
        self._throughout(parts, defer, True)
        self.changing = False

    def materialize(self) -> None:
        """Change to the dense form: weights and state as the dense optimizer has them.

        After an error in a step, the weights are those from before the step.
        """
        finish()
        if self.undo is not None:
            self.a, self.c, self.b, self.k, *_ = self.undo

        def materialize(z: Array, u: Array, *r: Array) -> None:
            u *= self.c
            z *= self.a
            for root in r:
                root *= sqrt(self.b)
            z += self.coefficients.remaining(self.k, u, *r)
            for root in r:
                np.square(root, out=root)
        self._throughout(list(self.in_form), materialize, False)
        if self.undo is not None:
            *_, rows, weights = self.undo
            self.store.data[rows] = weights
        self.store.deferred, self.read, self.undo, self.changing = None, [], None, False
        if self.age < PATIENCE:
            self.wait = PATIENCE

    # ---- some rows

    def lookup(self, rows: Array) -> Array:
        """Return the present weights of rows (n,), copies (n, width).

        Parameters
        ----------
        rows : array (n,)
            Rows of the store.

        Returns
        -------
        array (n, width)
            Their weights.

        Examples
        --------
        >>> from minifast import tensor
        >>> from minifast.fast import accelerate
        >>> from minifast.nn import Embedding
        >>> from minifast.optim import SGD
        >>> layer = Embedding(3, 2, seed=0)
        >>> opt = SGD(layer.parameters(), lr=.1)
        >>> with accelerate(layer, opt, always=True):
        ...     layer(tensor([1, 1])).sum().backward()
        ...     opt.step()
        ...     layer.weight.store.deferred.lookup(np.array([0, 2])).shape
        (2, 2)
        """
        if self.changing:  # an error has interrupted a materialization
            self.materialize()
            return self.store.lookup(rows)
        shape = len(rows), self.store.width
        found = [np.empty(shape, array.dtype) for array in self.arrays]

        def look(rows: Array, w: Array, *state: Array) -> None:
            for array, copies in zip(self.arrays, (w, *state), strict=True):
                array.take(rows, 0, copies, "clip")  # the fastest mode
            w *= self.a
            w += self.coefficients.remaining(self.k, *state, c=self.c, b=self.b)
        self._by_chunk(look, rows, *found)
        self.read.append((rows, found))
        return found[0]

    def _halves(self, rows: Array) -> list[slice]:
        """Both halves of many rows, if no row is in both, as with users first and items second.

        Else one slice of everything.
        """
        half = len(rows) // 2
        if len(rows) <= self.chunk or rows[:half].max() >= rows[half:].min():
            return [slice(None)]
        return [slice(half), slice(half, None)]

    def _known(self, rows: Array) -> list[Array]:
        """Weights and state of rows as the batch has read them: copies (n, width)."""
        for read, found in self.read:
            if read is rows:
                return found
        parts = [read for read, _ in self.read]
        if parts and sum(map(len, parts)) == len(rows) and (np.concatenate(parts) == rows).all():
            return [np.concatenate(arrays) for arrays in zip(*(f for _, f in self.read),
                                                             strict=True)]
        self.lookup(rows)
        return self.read[-1][1]

    def _with_sums(self, gradient: SparseGrad, known: list[Array], work: Callable[..., None]
                   ) -> None:
        """Call ``work`` with rows (n,), the sum of the gradients of each, and what is ``known``.

        If there are many rows, each comes once, chunk by chunk. If there are few, some may come
        twice: all copies of a row find the whole sum in ``store.grad``, so they write the same
        values.
        """
        rows = gradient.rows
        if len(rows) <= FEW:
            self.gradients.put(rows, self.zero)
            gradient.add_to(self.store.grad)
            work(rows, self.store.grad.take(rows, 0), *known)
            return

        def once_each(half: slice) -> None:
            first, place = self._unique(rows[half])
            total = gradient.part(half)._replace(
                rows=place, shape=(len(first), self.store.width)).dense()
            found = [rows[half].take(first), total, *(a[half].take(first, 0) for a in known)]
            self._by_chunk(work, *found)
        for_each(self._halves(rows), once_each)

    def _put(self, rows: Array, *values: Array) -> None:
        """Write z, u, r of rows. A repeated row must have the same values each time.

        Written as one record each, rows take half the time.
        """
        for records, new in zip(self.records, values, strict=True):
            records.put(rows, new.view(records.dtype))

    def _by_chunk(self, work: Callable[..., None], *arrays: Array) -> None:
        """Call ``work`` with chunks of arrays of equally many rows.

        Each half of the chunks belongs to one thread, which then has these rows in its core's
        cache when they are updated.
        """
        if (n := len(arrays[0])) <= self.chunk:
            work(*arrays)
        else:
            for_each(chunks(n, self.chunk, THREADS), lambda part: work(*(a[part] for a in arrays)),
                     THREADS)

    def _unique(self, rows: Array) -> tuple[Array, Array]:
        """Return the indices of the unique rows and the inverse mapping.

        Each index is written to its row's place; if a row is repeated, one of them remains.
        """
        index = np.arange(len(rows), dtype=np.int32)
        self.seats[rows] = index
        first = np.flatnonzero(self.seats.take(rows) == index)
        self.seats[rows[first]] = index[:len(first)]
        return first, self.seats.take(rows)

    # ---- a step

    def applies(self, always: bool) -> bool:
        """Return whether the next step is a deferred one: few rows have a gradient.

        Parameters
        ----------
        always : bool
            Defer wherever it is possible, not only where it is faster.

        Returns
        -------
        bool
            Whether to defer.

        Examples
        --------
        >>> from minifast import tensor
        >>> from minifast.fast import accelerate
        >>> from minifast.nn import Embedding
        >>> from minifast.optim import SGD
        >>> layer = Embedding(3, 2, seed=0)
        >>> opt = SGD(layer.parameters(), lr=.1)
        >>> with accelerate(layer, opt, always=True):
        ...     layer(tensor([1, 1])).sum().backward()
        ...     opt.step()
        ...     layer(tensor([2, 0])).sum().backward()
        ...     layer.weight.store.deferred.applies(always=True)
        True
        """
        if self.changing:
            self.materialize()
        share, deferred = self.store.share(), self.store.deferred is not None
        if not self.store.is_sparse() or not (share or deferred):
            return False
        if self.wait and not always:
            self.wait -= 1
            return False
        return always or share <= SHARE * (1 + deferred)  # does not switch back and forth

    def step(self, coefficients: SGDCoefficients, k: int) -> None:
        """Take the optimizer's step with the gradients that wait in the store.

        Parameters
        ----------
        coefficients : SGDCoefficients
            Those of the next steps.
        k : int
            Which of their steps this is.

        Examples
        --------
        >>> from minifast import tensor
        >>> from minifast.fast import accelerate
        >>> from minifast.nn import Embedding
        >>> from minifast.optim import SGD
        >>> layer = Embedding(3, 2, seed=0)
        >>> opt = SGD(layer.parameters(), lr=.1)
        >>> with accelerate(layer, opt, always=True):
        ...     for _ in range(2):
        ...         layer(tensor([1, 1])).sum().backward()
        ...         opt.step()  # calls step of the table
        ...     layer.weight.store.deferred.k
        2
        """
        if self.store.deferred is None:
            self.defer(coefficients, k)
        self.coefficients, self.k = coefficients, k
        gradient = self.store.gradient()
        known = self._known(gradient.rows)
        self.undo = self.a, self.c, self.b, k, gradient.rows, known[0]
        if isinstance(coefficients, AdamCoefficients):
            self._adam(coefficients, gradient, known)
        else:
            self._sgd(coefficients, gradient)
        self.k, self.age, self.read, self.undo = k + 1, self.age + 1, [], None
        self.store.last_reads = {}
        self._renormalize()

    def _sgd(self, coefficients: SGDCoefficients, gradient: SparseGrad) -> None:
        """SGD for rows with a gradient; the effect is proportional to it, so rows may repeat."""
        mom, shrink = coefficients.factors[self.k]
        self._decay(gradient.rows, shrink, mom, 1.)
        moved = (float(coefficients.lr[self.k]) + coefficients.d[self.k + 1]) / self.a
        z, u = self.arrays

        def add(half: slice) -> None:
            part = gradient.part(half)
            part.add_to(z, -moved)
            part.add_to(u, 1 / self.c)
        for_each(self._halves(gradient.rows), add)

    def _adam(self, coefficients: AdamCoefficients, gradient: SparseGrad, known: list[Array]
              ) -> None:
        """Adam for rows with a gradient: it joins the means, so the remaining move changes.

        A repeated row is computed each time, with the same result.
        """
        mom, shrink = coefficients.factors[self.k]
        beta, rule = coefficients.beta, coefficients.rules[self.k]
        self._decay(gradient.rows, shrink, mom, beta)

        def move(rows: Array, g: Array, w: Array, u: Array, r: Array) -> None:
            if not mom:
                u.fill(0)
            u += g * ((1 - mom) / self.c)
            g *= g
            g *= (1 - beta) / self.b
            r *= r
            r += g
            np.sqrt(r, out=r)
            z = w * (shrink / self.a)  # the graph may still need w
            z -= evaluate(rule, u, r, self.c / self.a, self.b)
            self._put(rows, z, u, r)
        self._with_sums(gradient, known, move)

    def _decay(self, rows: Array, a: float, c: float, b: float) -> None:
        """Let all rows decay by these factors, before ``rows`` are updated."""
        self.a, self.c, self.b = self.a * a, self.c * c, self.b * b
        if not c:  # without momentum, only the rows of the last step have any
            self.arrays[1][... if self.touched is None else self.touched] = 0
            self.c = 1.
        self.touched = None if c else rows

    def _renormalize(self) -> None:
        """Multiply products that have become small into the arrays, one statement for each."""
        if self.a < .001:
            self.arrays[0][...], self.a = self.arrays[0] * self.a, 1.
        if self.c < SMALL:
            self.arrays[1][...], self.c = self.arrays[1] * self.c, 1.
        if self.b < SMALL:
            self.arrays[2][...], self.b = self.arrays[2] * sqrt(self.b), 1.
