"""Which stores of an arena are updated lazily at a step, and what is known of the schedule."""
from collections.abc import Callable, Sequence
from typing import Any

from ..backend import backend_of
from .ahead import LENGTH, LONGEST, AdamAhead, Ahead, reach
from .arena import Arena
from .hyper import Coming, Hypers
from .lazy import SMALLEST, LazyForm
from .steps import adam_step, average_grad, average_sqr_grad, momentum, sgd_step, weight_decay

KINDS: dict[tuple[Any, ...], type[Ahead]] = {
    (weight_decay, momentum, sgd_step): Ahead,
    (weight_decay, average_grad, average_sqr_grad, adam_step): AdamAhead}
"""The optimizers for which there are formulas, by their steps."""


class LazyStores:
    """The stores of one arena that may be updated lazily."""

    def __init__(self, arena: Arena, kind: type[Ahead], by_hand: bool, nodes: int | None) -> None:
        self.arena, self.kind, self.by_hand, self.nodes = arena, kind, by_hand, nodes
        self.forms = [LazyForm(store, arena, kind) for store in arena.stores
                      if by_hand or store.data.size >= SMALLEST]
        self.planned: Hypers = {}
        self.rows: list[tuple[float, ...]] = []
        self.aheads: dict[bool, Ahead] = {}
        self.base = self.steps = self.length = 0
        self.left_out: list[LazyForm] = []

    def settle(self) -> None:
        """Change all stores to the dense form."""
        for form in self.forms:
            form.store.settle()

    def step(self, number: int, now: dict[str, float], foresee: Callable[[], Coming]) -> None:
        """Step those stores whose gradient is of few rows; the others are left to the blocks.

        ``now`` are the hyper-parameters of this step, ``foresee()(n)`` those of the next n, as
        far as one knows.
        """
        chosen = [form for form in self.forms if form.chosen(self.by_hand)]
        k = self._look(number, now, foresee) if chosen else 0
        stepped = []
        for form in self.forms:
            if form in chosen and (ahead := self._ahead(form.decays)).works:
                form.step(ahead, k)
                stepped.append(form)
            elif form.store.awake:
                form.store.settle()
        if stepped != self.left_out:
            self.arena.leave_out([form.store.place for form in stepped])
            self.left_out = stepped
        if self.kind.counts and not self.arena.blocks:
            self.arena.steps += 1

    def _ahead(self, decays: bool) -> Ahead:
        if decays not in self.aheads:
            self.aheads[decays] = self.kind(self.planned, decays, self.steps, self.nodes,
                                            self.length)
        return self.aheads[decays]

    def _look(self, number: int, now: dict[str, float], foresee: Callable[[], Coming]) -> int:
        """Which step of what was planned this one is; plans anew when it is none.

        If all that was planned is still to come, stores stay as they are. If not, the ways that
        they were made with are wrong from here on, and they are settled first.
        """
        k = number - self.base
        known = self.rows[k:k + 1] == [tuple(now.values())] \
            and (self.arena.steps == self.steps + k or not self.kind.counts)
        if known and k < self.length:
            return k
        self.planned, self.length = plan(foresee())
        rows = list(zip(*(column.tolist() for column in self.planned.values()), strict=True))
        rest = self.rows[k:]
        if not known or rest != rows[:len(rest)]:
            self.settle()
        self.rows, self.aheads, self.base, self.steps = rows, {}, number, self.arena.steps
        return 0


def plan(coming: Coming) -> tuple[Hypers, int]:
    """The hyper-parameters of the next LENGTH steps, and as far beyond as momentum reaches; for
    how many of these steps all of that is there."""
    n, needed = 0, LENGTH
    while n < needed:
        n, hypers = needed, coming(needed)
        reaches = reach(hypers)
        needed = LENGTH + min(reaches, LONGEST)
    return hypers, n - reaches


def lazy_stores(arena: Arena, steps: Sequence[Any], by_hand: bool, nodes: int | None
                ) -> LazyStores | None:
    """The stores of an arena that may be updated lazily; None if there are none.

    There must be formulas for these steps, and the arena must be NumPy's: on a GPU a pass over
    the whole table is fast, and picking rows out waits for the device.
    """
    kind = KINDS.get(tuple(steps))
    if kind is None or backend_of(arena.data).name != "cpu":
        return None
    stores = LazyStores(arena, kind, by_hand, nodes)
    return stores if stores.forms else None
