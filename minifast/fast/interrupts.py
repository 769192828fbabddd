"""Ctrl-C waits while arrays are being updated, so that no update is half done."""
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Local(threading.local):
    busy = False
    waiting = False


_local = _Local()


def _raise_waiting() -> None:
    if _local.waiting and not _local.busy:
        _local.waiting = False
        raise KeyboardInterrupt


class uninterrupted:  # noqa: N801  (reads as a statement: with uninterrupted():)
    """Within this, Ctrl-C waits; KeyboardInterrupt is raised at the end.

    Only where ``interrupts_wait`` has installed its handler.
    """

    def __enter__(self) -> None:
        self._before, _local.busy = _local.busy, True

    def __exit__(self, *error: object) -> None:
        _local.busy = self._before
        _raise_waiting()


class interrupted:  # noqa: N801
    """Within this, Ctrl-C does not wait, whatever is around it."""

    def __enter__(self) -> None:
        _local.busy = False
        _raise_waiting()

    def __exit__(self, *error: object) -> None:
        _local.busy = True


def _handle(signum: int, frame: FrameType | None) -> None:
    if not _local.busy:
        raise KeyboardInterrupt
    _local.waiting = True


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Install the handler that makes Ctrl-C wait, here and in ``uninterrupted``, until the end.

    Only within ``interrupted`` it does not wait. Nothing is installed in a thread other than the
    main one, or where Python's own handler was replaced already.
    """
    install = threading.current_thread() is threading.main_thread() \
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        _local.busy = True
        if install:
            signal.signal(signal.SIGINT, _handle)
        yield
    finally:
        _local.busy = True
        if install:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        _local.busy = False
        _raise_waiting()
