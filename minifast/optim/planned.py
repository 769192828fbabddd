"""Which stores of an arena are updated lazily at a step, and what is known of the schedule."""
from collections.abc import Callable, Sequence
from typing import Any

from ..backend import backend_of
from .ahead import LENGTH, LONGEST, AdamAhead, Ahead, Hypers, reach
from .arena import Arena
from .lazy import SMALLEST, LazyForm
from .steps import adam_step, average_grad, average_sqr_grad, momentum, sgd_step, weight_decay

Coming = Callable[[int], Hypers]
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
        self.planned: list[Hypers] = []
        self.aheads: dict[bool, Ahead] = {}
        self.base = self.steps = self.length = 0
        self.left_out: list[LazyForm] = []

    def settle(self) -> None:
        """Change all stores to the dense form."""
        for form in self.forms:
            form.store.settle()

    def step(self, number: int, now: Hypers, foresee: Callable[[], Coming]) -> None:
        """Step those stores whose gradient is of few rows; the others are left to the blocks.

        ``now`` are the hyper-parameters of this step, ``foresee()(j)`` those j steps from now,
        as far as one knows.
        """
        chosen = [form for form in self.forms if form.chosen(self.by_hand)]
        if chosen:
            k = self._look(number, now, foresee)
            chosen = [form for form in chosen if self._ahead(form.decays).works]
        for form in self.forms:
            if form.store.awake and form not in chosen:
                form.store.settle()
        for form in chosen:
            if not form.store.awake:
                form.wake(self._ahead(form.decays), k)
            form.step(self._ahead(form.decays), k)
        if chosen != self.left_out:
            self.arena.leave_out([form.store.place for form in chosen])
            self.left_out = chosen
        if self.kind.counts and not self.arena.blocks:
            self.arena.steps += 1

    def _ahead(self, decays: bool) -> Ahead:
        if decays not in self.aheads:
            self.aheads[decays] = self.kind(self.planned, decays, self.steps, self.nodes,
                                            self.length)
        return self.aheads[decays]

    def _look(self, number: int, now: Hypers, foresee: Callable[[], Coming]) -> int:
        """Which step of what was planned this one is; plans anew when it is none.

        If all that was planned is still to come, stores stay as they are. If not, the ways that
        they were made with are wrong from here on, and they are settled first.
        """
        k = number - self.base
        known = self.planned[k:k + 1] == [now] and self.steps + k == self._count(k)
        if known and k < self.length:
            return k
        planned, length = plan(foresee())
        rest = self.planned[k:]
        if not known or rest != planned[:len(rest)]:
            self.settle()
        self.planned, self.aheads, self.base = planned, {}, number
        self.steps, self.length = self.arena.steps, length
        return 0

    def _count(self, k: int) -> int:
        """How many steps the arena has counted; optimizers that count none agree always."""
        return self.arena.steps if self.kind.counts else self.steps + k


def plan(coming: Coming) -> tuple[list[Hypers], int]:
    """The hyper-parameters of the next LENGTH steps, and as far beyond as momentum reaches; for
    how many of these steps all of that is there."""
    hypers: list[Hypers] = []
    reaches, missing = 0, LENGTH
    while missing > 0:
        more = [coming(j) for j in range(len(hypers), len(hypers) + missing)]
        hypers, reaches = hypers + more, max(reaches, reach(more))
        missing = LENGTH + min(reaches, LONGEST) - len(hypers)
    return hypers, len(hypers) - reaches


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
