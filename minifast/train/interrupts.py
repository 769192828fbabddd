"""Ctrl-C during training: taken at the end of a batch, so that no update is half done."""
import signal
import threading
from types import FrameType
from typing import Any, Self


class Interrupts:
    """A handler of Ctrl-C for the time of a ``with`` block; use it through ``interrupts``.

    The first Ctrl-C waits until ``check``, or until the end of the block. A second one raises
    KeyboardInterrupt at once.

    Parameters
    ----------
    install : bool
        Whether the block installs it. If not, Ctrl-C does what it did before.

    Attributes
    ----------
    waiting : bool
        Whether a Ctrl-C came since the last check.
    depth : int
        How many blocks it serves, one within the other.
    busy : int
        While this is not 0, a second Ctrl-C waits too.
    """

    def __init__(self, install: bool) -> None:
        self.install, self.waiting, self.depth, self.busy = install, False, 0, 0

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if self.waiting and not self.busy:
            self.check()
        self.waiting = True

    def check(self) -> None:
        """Take a Ctrl-C that has come since the last check.

        Raises
        ------
        KeyboardInterrupt
            If there is one.
        """
        if self.waiting:
            self.waiting = False
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        self.depth += 1
        if self.install and self.depth == 1:
            signal.signal(signal.SIGINT, self)
        return self

    def __exit__(self, *error: object) -> None:
        self.depth -= 1
        if self.install and not self.depth:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.check()


def interrupts() -> Interrupts:
    """Return the handler of Ctrl-C that serves the present thread.

    It is the one of the block around, if there is one. In a thread other than the main one, and
    where the user has installed a handler, it is one that installs nothing.

    Returns
    -------
    Interrupts
        For a ``with`` statement.

    Examples
    --------
    >>> with interrupts() as ctrl_c:
    ...     for batch in range(3):
    ...         ctrl_c.check()
    """
    main = threading.current_thread() is threading.main_thread()
    now: Any = signal.getsignal(signal.SIGINT) if main else None
    return now if isinstance(now, Interrupts) else Interrupts(now is signal.default_int_handler)
