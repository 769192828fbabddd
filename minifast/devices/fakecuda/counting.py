"""Count, or forbid, what a GPU would do: kernel launches, transfers, waits for the device."""
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


class ForbiddenError(RuntimeError):
    """A transfer or a wait inside ``forbid``."""


@dataclass
class Counts:
    """The work of the device since ``count`` began.

    Attributes
    ----------
    launches : int
        Kernels started.
    transfers, bytes_moved : int
        Copies between host and device, and their bytes.
    synchronizations : int
        How often the host waited for the device.

    Examples
    --------
    >>> Counts(launches=2)
    Counts(launches=2, transfers=0, bytes_moved=0, synchronizations=0)
    """

    launches: int = 0
    transfers: int = 0
    bytes_moved: int = 0
    synchronizations: int = 0


class FakeOutOfMemoryError(MemoryError):
    """The simulated device has no memory left for an array."""


_room: ContextVar[float] = ContextVar("room", default=float("inf"))
_counting: ContextVar[tuple[Counts, ...]] = ContextVar("counting", default=())
_forbidden: ContextVar[frozenset[str]] = ContextVar("forbidden", default=frozenset())


@contextmanager
def _within(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    """Set a variable inside a ``with`` block."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


@contextmanager
def count() -> Iterator[Counts]:
    """Count the work of the simulated device inside a ``with`` block.

    Examples
    --------
    >>> from minifast import tensor
    >>> with count() as counts:
    ...     y = tensor([1., 2.], device="fakecuda") * 3
    >>> counts.launches, counts.transfers
    (1, 1)
    """
    counts = Counts()
    with _within(_counting, (*_counting.get(), counts)):
        yield counts


def forbid(*kinds: str) -> AbstractContextManager[None]:
    """Raise ForbiddenError for work of the given kinds inside a ``with`` block.

    Parameters
    ----------
    *kinds : str
        ``"transfers"``, ``"synchronizations"`` or ``"launches"``.

    Examples
    --------
    >>> from minifast import tensor
    >>> t = tensor(1., device="fakecuda")
    >>> with forbid("synchronizations"):
    ...     float(t)
    Traceback (most recent call last):
    minifast.devices.fakecuda.counting.ForbiddenError: ... are forbidden here: item() asks for one
    """
    return _within(_forbidden, _forbidden.get() | set(kinds))


def room(n_bytes: int) -> AbstractContextManager[None]:
    """Let no array of more than ``n_bytes`` fit on the device inside a ``with`` block.

    Parameters
    ----------
    n_bytes : int
        The size of the largest array that fits.

    Returns
    -------
    context manager
        For a ``with`` statement.

    Examples
    --------
    >>> from minifast import tensor
    >>> with room(100):
    ...     tensor([0.] * 100, device="fakecuda")
    Traceback (most recent call last):
    minifast...FakeOutOfMemoryError: no room for 400 bytes; 100 are left
    """
    return _within(_room, n_bytes)


def allocate(n_bytes: int) -> None:
    """Check that an array fits into the device's memory.

    Parameters
    ----------
    n_bytes : int
        The size of the array.

    Raises
    ------
    FakeOutOfMemoryError
        If ``room`` allows fewer bytes.

    Examples
    --------
    >>> with room(100):
    ...     allocate(400)
    Traceback (most recent call last):
    minifast...FakeOutOfMemoryError: no room for 400 bytes; 100 are left
    """
    if n_bytes > _room.get():
        raise FakeOutOfMemoryError(f"no room for {n_bytes:,} bytes; {_room.get():,.0f} are left")


def note(kind: str, what: str, n: int = 1, n_bytes: int = 0) -> None:
    """Count work of one kind.

    Parameters
    ----------
    kind : str
        A field of ``Counts``: ``"launches"``, ``"transfers"`` or ``"synchronizations"``.
    what : str
        The function or operation that asks for it, for the error message.
    n : int
        How often.
    n_bytes : int
        How many bytes it moves between host and device.

    Raises
    ------
    ForbiddenError
        Inside a ``forbid`` that names this kind.

    Examples
    --------
    >>> with count() as counts:
    ...     note("transfers", "get()", n_bytes=8)
    >>> counts.transfers, counts.bytes_moved
    (1, 8)
    """
    if kind in _forbidden.get():
        raise ForbiddenError(f"{kind} are forbidden here: {what} asks for one")
    for counts in _counting.get():
        setattr(counts, kind, getattr(counts, kind) + n)
        counts.bytes_moved += n_bytes
