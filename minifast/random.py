"""Where randomness comes from: a generator that is handed in, or one seeded by NumPy's own."""
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
