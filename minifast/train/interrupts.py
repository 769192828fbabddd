"""Ctrl-C during training: delayed until the end of a batch, so that no update is half done."""
import signal
import threading
from types import FrameType
from typing import Any, Self


class Interrupts:
    """A handler of Ctrl-C for the duration of a ``with`` block, which ``interrupts`` returns.

    The first Ctrl-C is delayed until ``check`` or the end of the block. A second one raises
    KeyboardInterrupt at once.

    Parameters
    ----------
    install : bool
        Whether the block installs the handler. If not, Ctrl-C has its usual effect.

    Attributes
    ----------
    waiting : bool
        Whether Ctrl-C was pressed after the last check.
    depth : int
        The number of nested blocks that use the handler.
    busy : int
        While this is not 0, a second Ctrl-C is delayed too.

    Examples
    --------
    >>> with interrupts() as ctrl_c:
    ...     ctrl_c.waiting
    False
    """

    def __init__(self, install: bool) -> None:
        self.install, self.waiting, self.depth, self.busy = install, False, 0, 0

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if self.waiting and not self.busy:
            self.check()
        self.waiting = True

    def check(self) -> None:
        """Raise the KeyboardInterrupt of a delayed Ctrl-C.

        Raises
        ------
        KeyboardInterrupt
            If Ctrl-C was pressed after the last check.
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
    """Return the handler of Ctrl-C for the current thread.

    Within another block, this is the handler of that block. Outside the main thread, and where
    the user has installed a handler, it is one that installs nothing.

    Returns
    -------
    Interrupts
        A context manager.

    Examples
    --------
    >>> with interrupts() as ctrl_c:
    ...     for batch in range(3):
    ...         ctrl_c.check()
    """
    main = threading.current_thread() is threading.main_thread()
    now: Any = signal.getsignal(signal.SIGINT) if main else None
    return now if isinstance(now, Interrupts) else Interrupts(now is signal.default_int_handler)
