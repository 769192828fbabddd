"""Ctrl-C waits while arrays are being updated, so that no update is half done."""
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Local(threading.local):
    busy = 0
    waiting = False


_local = _Local()


class uninterrupted:  # noqa: N801  (reads as a statement: with uninterrupted():)
    """Within this, Ctrl-C waits; KeyboardInterrupt is raised at the end.

    Only where ``interrupts_wait`` has installed its handler.
    """

    def __enter__(self) -> None:
        _local.busy += 1

    def __exit__(self, *error: object) -> None:
        _local.busy -= 1
        if _local.waiting and not _local.busy:
            _local.waiting = False
            raise KeyboardInterrupt


def _handle(signum: int, frame: FrameType | None) -> None:
    if not _local.busy:
        raise KeyboardInterrupt
    _local.waiting = True


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Install the handler that makes Ctrl-C wait in ``uninterrupted``, until the end.

    Nothing is installed in a thread other than the main one, or where Python's own handler was
    replaced already.
    """
    if threading.current_thread() is not threading.main_thread() \
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
