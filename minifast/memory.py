"""Memory that stays from step to step."""
import numpy as np

LARGE = 31 << 20


def keep_memory() -> None:
    """Let the C library keep what is freed, instead of giving it back to the system at once.

    A training step makes and frees the same large arrays again and again. glibc gives a large
    block back as soon as it is free, and the system clears it before it is had again: that can
    be half of a step's time. What counts as large follows the largest block freed so far, up to
    32 MiB (mallopt(3), M_MMAP_THRESHOLD), so one is freed here; it is never touched, so it costs
    nothing. With other C libraries nothing happens.

    >>> keep_memory()
    """
    np.empty(LARGE, np.uint8)
