"""Where randomness comes from: a generator that is handed in, or one seeded by NumPy's own."""
from typing import Any

import numpy as np


def generator(seed: int | np.random.Generator | None = None) -> np.random.Generator:
    """A generator for initial weights, shuffling or dropout.

    A number gives that stream; a generator is used as it is; None draws a seed from NumPy's
    global state, so that ``np.random.seed(42)`` at the top of a notebook fixes all of it, as
    ``torch.manual_seed`` does there.

    >>> int(generator(3).integers(10))
    8
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if seed is None:
        return np.random.default_rng(np.random.randint(2**31, size=4))
    return np.random.default_rng(seed)


def hashed_uniform(rng: np.random.Generator, like: Any) -> Any:
    """Uniform float32 in [0, 1), made where ``like`` lives: each position's number and a seed
    from ``rng``, mixed by MurmurHash3's finalizer (Appleby, public domain).

    All state is in ``rng``, on the host; nothing is transferred, and every library draws alike.

    >>> hashed_uniform(np.random.default_rng(0), np.zeros((2, 3))).shape
    (2, 3)
    """
    x = np.arange(like.size, dtype=np.uint32, like=like) + int(rng.integers(2**32))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> shift)) * factor
    return ((x ^ (x >> 16)) >> 8).astype(np.float32).reshape(like.shape) * np.float32(2**-24)
