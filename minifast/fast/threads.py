"""Work on long arrays, shared among the cores of the machine.

NumPy lets other threads run while it computes, so several chunks of an array can be worked on at
the same time. Every number is computed as on one thread: the results are the same to the bit.
"""
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar, copy_context
from functools import cache
from threading import local
from typing import TypeVar

Item = TypeVar("Item")
_inside: ContextVar[bool] = ContextVar("inside", default=False)
"""Whether the current work is one part of a ``for_each`` already."""


class _Local(local):
    others: list["Future[None]"] = []  # noqa: RUF012  (each thread sets its own)


_local = _Local()


@cache
def n_threads() -> int:
    """Return how many threads work: one per core, or OMP_NUM_THREADS if that is fewer."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") \
        else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) else cores


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads(), "minifast")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)  # threads do not survive a fork


def for_each(items: Sequence[Item], work: Callable[[Item], None], most: int = 1 << 10) -> None:
    """Call ``work`` with each item, on several threads.

    Parameters
    ----------
    items : sequence
        Each thread takes a run of consecutive items.
    work : callable
        Called with one item. No two calls may write to the same place. A ``for_each`` inside it is
        a plain loop. Each thread has a copy of the caller's context variables.
    most : int
        The maximum number of threads.

    Raises
    ------
    Exception
        Whatever ``work`` raises, once all threads are done.

    Examples
    --------
    >>> sizes = {}
    >>> for_each(["a", "bb"], lambda item: sizes.update({item: len(item)}))
    >>> sorted(sizes.items())
    [('a', 1), ('bb', 2)]
    """
    n = min(n_threads(), most, len(items))
    if n < 2 or _inside.get():
        for item in items:
            work(item)
        return

    def run(part: Sequence[Item]) -> None:
        for item in part:
            work(item)
    context = copy_context()
    context.run(_inside.set, True)
    size = -(-len(items) // n)
    first, *rest = [items[at:at + size] for at in range(0, len(items), size)]
    _local.others = others = []
    for part in rest:
        others.append(_helpers().submit(context.copy().run, run, part))
    try:
        context.run(run, first)
    finally:
        finish()
    for other in others:
        other.result()


def finish() -> None:
    """Wait for the helper threads of the last ``for_each`` in this thread.

    An error or Ctrl-C within ``for_each`` may leave them running, so call this before restoring
    anything after an error.

    Examples
    --------
    >>> finish()
    """
    wait(_local.others)


def chunks(n: int, size: int, most: int = 1 << 10) -> list[slice]:
    """Return slices of at most ``size`` that cover ``n`` rows, equally many for each thread.

    Parameters
    ----------
    n : int
        Number of rows.
    size : int
        The most rows in a chunk.
    most : int
        The maximum number of threads among which the chunks are shared.

    Returns
    -------
    list of slice
        The chunks in order.

    Examples
    --------
    >>> chunks(3, 8)
    [slice(0, 3, None)]
    """
    if (pieces := -(-n // size)) > 1:
        threads = min(n_threads(), most, pieces)
        size = -(-n // (-(-pieces // threads) * threads))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
