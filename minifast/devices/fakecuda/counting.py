"""What a device would have had to do: counted, or forbidden."""
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


class ForbiddenError(RuntimeError):
    """Something that this part of the program promised not to make the device do."""


@dataclass
class Counts:
    """How often, and how much, since counting began."""

    launches: int = 0
    transfers: int = 0
    bytes_moved: int = 0
    synchronizations: int = 0


class FakeOutOfMemoryError(MemoryError):
    """The simulated device has no room for an array."""


_room: ContextVar[float] = ContextVar("room", default=float("inf"))
_counting: ContextVar[tuple[Counts, ...]] = ContextVar("counting", default=())
_forbidden: ContextVar[frozenset[str]] = ContextVar("forbidden", default=frozenset())


@contextmanager
def count() -> Iterator[Counts]:
    """Within this, what the simulated device is asked to do is counted.

    >>> from minifast import tensor
    >>> with count() as counts:
    ...     y = tensor([1., 2.], device="fakecuda") * 3
    >>> counts.launches, counts.transfers
    (1, 1)
    """
    counts = Counts()
    token = _counting.set((*_counting.get(), counts))
    try:
        yield counts
    finally:
        _counting.reset(token)


@contextmanager
def forbid(*kinds: str) -> Iterator[None]:
    """Within this, 'transfers' or 'synchronizations' raise ForbiddenError and say what asked.

    >>> from minifast import tensor
    >>> t = tensor(1., device="fakecuda")
    >>> with forbid("synchronizations"):
    ...     float(t)
    Traceback (most recent call last):
    minifast.devices.fakecuda.counting.ForbiddenError: ... are forbidden here: item() asks for one
    """
    token = _forbidden.set(_forbidden.get() | set(kinds))
    try:
        yield
    finally:
        _forbidden.reset(token)


@contextmanager
def room(n_bytes: int) -> Iterator[None]:
    """Within this, an array of more than ``n_bytes`` does not fit on the simulated device."""
    token = _room.set(n_bytes)
    try:
        yield
    finally:
        _room.reset(token)


def allocate(n_bytes: int) -> None:
    """Raise FakeOutOfMemoryError if there is no room for an array of this size."""
    if n_bytes > _room.get():
        raise FakeOutOfMemoryError(f"no room for {n_bytes:,} bytes; {_room.get():,.0f} are left")


def note(kind: str, what: str, n: int = 1, n_bytes: int = 0) -> None:
    """Count ``n`` of a kind that ``what`` asked for."""
    if kind in _forbidden.get():
        raise ForbiddenError(f"{kind} are forbidden here: {what} asks for one")
    for counts in _counting.get():
        setattr(counts, kind, getattr(counts, kind) + n)
        counts.bytes_moved += n_bytes
