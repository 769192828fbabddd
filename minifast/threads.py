"""Work on long arrays, shared among the cores of the machine.

NumPy lets other threads go on while it computes, so that pieces of an array can be worked on at
the same time. Every number is computed as it would be on one thread, and so the results are the
same to the bit.
"""
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
_shared: ContextVar[bool] = ContextVar("shared", default=False)
"""Whether the work at hand is shared among threads already."""


@cache
def n_threads() -> int:
    """How many threads work: as many as there are cores, or OMP_NUM_THREADS if that is fewer,
    the setting that BLAS and torch obey too."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") \
        else os.cpu_count() or 1
    told = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(told)) if told.isdecimal() and int(told) else cores


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads(), "minifast")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)  # a fork takes no threads along


def for_each(items: Sequence[Item], work: Callable[[Item], None], crew: int = 1 << 10) -> None:
    """Call ``work`` with each of ``items``, several at a time: the caller works on the first run
    of them, helpers on the others. No more than ``n_threads()`` take part, nor than ``crew``.

    No two calls may write to the same place. An error is raised when all threads are done. Each
    has a copy of the caller's context, so what ``work`` sets there is not seen afterwards. Work
    that is shared already is not shared again: a ``for_each`` inside of ``work`` is a loop.

    >>> sizes = {}
    >>> for_each(["a", "bb"], lambda item: sizes.update({item: len(item)}))
    >>> sorted(sizes.items())
    [('a', 1), ('bb', 2)]
    """
    crew = min(n_threads(), crew, len(items))
    if crew < 2 or _shared.get():
        for item in items:
            work(item)
        return

    def share(run: Sequence[Item]) -> None:
        for item in run:
            work(item)
    context = copy_context()
    context.run(_shared.set, True)
    size = -(-len(items) // crew)
    first, *rest = [items[at:at + size] for at in range(0, len(items), size)]
    others = [_helpers().submit(context.copy().run, share, run) for run in rest]
    try:
        context.run(share, first)
    finally:
        errors = [error for other in others if (error := other.exception())]  # waits for it
    if errors:
        raise errors[0]


def cut(n: int, size: int, crew: int = 1 << 10) -> list[slice]:
    """``n`` rows in pieces of at most ``size``; if several, as many for each thread of the crew.

    >>> cut(3, 8)
    [slice(0, 3, None)]
    """
    if (pieces := -(-n // size)) > 1:
        crew = min(n_threads(), crew, pieces)
        size = -(-n // (-(-pieces // crew) * crew))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
