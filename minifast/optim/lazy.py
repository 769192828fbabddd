"""Lazy updates: tables of which a batch touches few rows are changed at those rows only.

The results are the dense optimizer's. A row without gradient goes a way that is known from
its momentum and the schedule (``ahead.py``). So what is stored is where the row will come to rest:

    z = (w - way) / A,   u = m / C,   r = sqrt(v / B),

with A, C, B the products of all factors by which weights, momentum and average square shrink at a
step. All three stay as they are on rows that the batch does not touch. docs/lazy.md derives this.
"""
from collections.abc import Callable
from math import sqrt

import numpy as np

from ..autograd import Rows
from ..backend import Array
from ..threads import cut, for_each
from .ahead import Ahead
from .arena import BLOCK, Arena
from .store import Store

SHARE = .1
"""A batch that looks up more than this share of a store's rows does not update it lazily."""
SMALLEST = 1 << 15
"""Elements from which a store is worth it."""
PATIENCE = 16
"""A store whose values were asked for after fewer steps than this is dense for as many steps."""
FEW = 1024
"""Rows up to which it is faster to compute one twice than to find out that it comes twice."""
CREW = 2
"""Threads that share the rows of a batch: one has the first half, such as users, one the second."""
SMALL = 1e-28
"""Products of factors below this are multiplied into what they divide, and start anew."""
NOTHING: tuple[Array, list[Array]] = (None, [])


class LazyForm:
    """The form of lazy updates for one store of an arena: in use while the store is ``awake``.

    The numbers z, u, r stand in the arena's own arrays, in the places of w, m, v.
    """

    def __init__(self, store: Store, arena: Arena, kind: type[Ahead]) -> None:
        self.store, self.arena, self.kind = store, arena, kind
        self.decays = store.place.stop <= arena.boundary
        self.piece = max(BLOCK // max(store.width, 1), FEW)
        self.arrays: list[Array] = []
        self.things: list[Array] = []
        self.read: tuple[Array, list[Array]] = NOTHING
        self.ahead: Ahead
        self.k = self.age = self.wait = 0
        self.a = self.c = self.b = 1.

    def _throughout(self, work: Callable[..., None]) -> None:
        """Call ``work`` with z, u, r in pieces that fit into a cache."""
        flat = [a.reshape(-1) for a in self.arrays]
        for_each(cut(len(flat[0]), BLOCK), lambda piece: work(*(a[piece] for a in flat)))

    # ---- from the dense form and back

    def wake(self, ahead: Ahead, k: int) -> None:
        """Change to this form: the weights move to where they would rest."""
        self.store.move_in()
        self.arrays = [self.store.data, *(self.store.matrix(self.arena.whole(name))
                                          for name in self.kind.state)]
        row = np.dtype((np.void, self.store.width * self.store.data.itemsize))
        *self.things, self.gradients = (a.view(row) for a in (*self.arrays, self.store.grad))
        self.zero, self.seats = np.zeros(1, row), np.zeros(len(self.store.data), np.int32)
        self.ahead, self.k, self.age, self.a, self.c, self.b = ahead, k, 0, 1., 1., 1.
        self.touched: Array | None = None
        self.last: Rows | None = None

        def to_rest(z: Array, u: Array, *r: Array) -> None:
            for square in r:
                np.sqrt(square, out=square)
            z -= ahead.way(k, u, *r)
        self._throughout(to_rest)
        self.store.form = self

    def settle(self) -> None:
        """Write down weights, state and the last gradient as the dense optimizer has them."""
        self.store.form, self.read = None, NOTHING

        def as_they_are(z: Array, u: Array, *r: Array) -> None:
            u *= self.c
            z *= self.a
            for root in r:
                root *= sqrt(self.b)
            z += self.ahead.way(self.k, u, *r)
            for root in r:
                np.square(root, out=root)
        self._throughout(as_they_are)
        if self.last is not None:
            self._write_gradient(self.last.dense())
        if self.age < PATIENCE:
            self.wait = PATIENCE

    def _write_gradient(self, last: Array) -> None:
        """The gradient of the last step, for tables whose next one is not in its place already."""
        for table, _, grad in self.store.places:
            if table.only_rows():
                grad[...] = self.store.part_of(table, last)

    # ---- some rows

    def look_up(self, rows: Array) -> Array:
        """The weights of these rows (n,) as they are now: copies (n, width)."""
        shape = len(rows), self.store.width
        found = [np.empty(shape, array.dtype) for array in self.arrays]

        def look(rows: Array, w: Array, *state: Array) -> None:
            for array, copies in zip(self.arrays, (w, *state), strict=True):
                array.take(rows, 0, copies, "clip")  # the fastest mode
            w *= self.a
            w += self.ahead.way(self.k, *state, c=self.c, b=self.b)
        self.in_pieces(look, rows, *found)
        self.read = rows, found
        return found[0]

    def _halves(self, rows: Array) -> list[slice]:
        """Both halves of many rows, if these have none in common, as users and items have none:
        all of the first come before all of the second. Else one part, which is everything."""
        half = len(rows) // 2
        if len(rows) <= self.piece or rows[:half].max() >= rows[half:].min():
            return [slice(None)]
        return [slice(half), slice(half, None)]

    def each_part(self, gradient: Rows, work: Callable[[Rows], None]) -> None:
        """Call ``work`` with parts of the gradient that have no row in common, at the same time."""
        if len(halves := self._halves(gradient.rows)) == 1:
            work(gradient)
        else:
            for_each([gradient.part(half) for half in halves], work)

    def known(self, rows: Array) -> list[Array]:
        """Weights and state of these rows as the batch has read them: copies (n, width)."""
        if self.read[0] is not rows:
            self.look_up(rows)
        return self.read[1]

    def with_sums(self, gradient: Rows, known: list[Array], work: Callable[..., None]) -> None:
        """Call ``work`` with rows (n,), the sum of the gradients of each, and what is ``known`` of
        them. Many rows come once each, in pieces. Few come as they are, some perhaps twice: all
        copies of a row find the whole sum in ``store.grad``, and so they write the same."""
        rows = gradient.rows
        if len(rows) <= FEW:
            self.gradients.put(rows, self.zero)
            gradient.add_to(self.store.grad)
            work(rows, self.store.grad.take(rows, 0), *known)
            return

        def once_each(part: slice) -> None:
            first, place = self._first(rows[part])
            total = gradient.part(part)._replace(
                rows=place, shape=(len(first), self.store.width)).dense()
            found = [rows[part].take(first), total, *(a[part].take(first, 0) for a in known)]
            self.in_pieces(work, *found)
        for_each(self._halves(rows), once_each)

    def put(self, rows: Array, *values: Array) -> None:
        """New z, u, r of these rows. A row may come twice, if its values are the same twice.

        Taken as single things, rows are written in half the time.
        """
        for things, new in zip(self.things, values, strict=True):
            things.put(rows, new.view(things.dtype))

    def in_pieces(self, work: Callable[..., None], *arrays: Array) -> None:
        """Call ``work`` with arrays of as many rows, in pieces that fit into a cache. The pieces of
        a half are one thread's, which has these rows in its core's cache when they are updated."""
        if (n := len(arrays[0])) <= self.piece:
            work(*arrays)
        else:
            for_each(cut(n, self.piece, CREW), lambda piece: work(*(a[piece] for a in arrays)),
                     CREW)

    def _first(self, rows: Array) -> tuple[Array, Array]:
        """Of rows (n,) that come several times, one: where these are, and for all n, which of them.

        Every place writes its number to the seat of its row; the one that is found there is it.
        """
        places = np.arange(len(rows), dtype=np.int32)
        self.seats[rows] = places
        first = np.flatnonzero(self.seats.take(rows) == places)
        self.seats[rows[first]] = places[:len(first)]
        return first, self.seats.take(rows)

    # ---- a step

    def chosen(self, by_hand: bool) -> bool:
        """Whether the next step is a lazy one: the gradient is of rows, and of few of them."""
        share, awake = self.store.share(), self.store.form is not None
        if not self.store.only_rows() or not (share or awake):
            return False
        if self.wait and not by_hand:
            self.wait -= 1
            return False
        return by_hand or share <= SHARE * (1 + awake)  # no going to and fro

    def step(self, ahead: Ahead, k: int) -> None:
        """Step k of ``ahead``, with the gradients that wait in the tables."""
        if self.store.form is None:
            self.wake(ahead, k)
        self.ahead, self.k = ahead, k
        gradient = self.store.gradient()
        ahead.step(k, self, gradient)
        self._start_anew()
        self.k, self.age, self.last, self.read = k + 1, self.age + 1, gradient, NOTHING

    def shrink(self, rows: Array, a: float, c: float, b: float) -> None:
        """Let all rows shrink by these factors, before what is done to ``rows``."""
        self.a, self.c, self.b = self.a * a, self.c * c, self.b * b
        if not c:  # no momentum: it is nowhere but on the rows of the last step
            self.arrays[1][... if self.touched is None else self.touched] = 0
            self.c = 1.
        self.touched = None if c else rows

    def _start_anew(self) -> None:
        """Products that have become small are multiplied into the arrays."""
        if self.a < .001:
            self.arrays[0] *= self.a
            self.a = 1.
        if self.c < SMALL:
            self.arrays[1] *= self.c
            self.c = 1.
        if self.b < SMALL:
            self.arrays[2] *= sqrt(self.b)
            self.b = 1.
