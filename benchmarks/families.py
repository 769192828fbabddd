"""Families of cases: their options, and the contestants that they share."""
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from .contest import Case, Contest, Contestant, Result
from .job import Array


@dataclass(frozen=True)
class Options:
    """Options of all families.

    ``scale`` multiplies the sizes of data; ``bs`` and ``steps`` replace a family's own.
    """

    scale: float = 1.
    bs: tuple[int, ...] = ()
    steps: int = 0

    def sized(self, n: int, least: int = 50) -> int:
        """Return a number of rows, scaled."""
        return max(least, round(n * self.scale))


@dataclass(frozen=True)
class Family:
    """The cases of one table.

    ``per`` is the unit of work that a time is given for. ``results`` measures what is not a case;
    ``after`` yields lines below the table.
    """

    title: str
    per: str
    cases: Callable[[Options], Iterable[Case]] = lambda options: ()
    results: Callable[[Contest, Options], Iterator[Result]] | None = None
    after: Callable[[Contest, Options], Iterator[str]] = lambda contest, options: iter(())


def torch(optimizer: str, how: str) -> Contestant:
    """Return a torch loop with one of the forms of its optimizers."""
    return Contestant(f"torch loop, {optimizer} {how}", "torch", "benchmarks.peers.torch_loop",
                      optimizer, how)


def ours(optimizer: str = "AdamW", how: str = "") -> Contestant:
    """Return a raw loop with minifast, on the fast path unless ``how`` is ``"plain"``."""
    return Contestant(f"minifast loop, {optimizer} {how}".rstrip(), "minifast", "benchmarks.ours",
                      optimizer, how)


def floor(optimizer: str = "AdamW") -> Contestant:
    """Return the hand-written NumPy loop."""
    return Contestant(f"NumPy by hand, {optimizer}", "numpy", "benchmarks.floor.loop", optimizer)


LEARNER = Contestant("minifast Learner", "minifast", "benchmarks.ours", how="Learner")
PLAIN = [Contestant("minifast Learner, plain", "minifast", "benchmarks.ours", how="plain Learner"),
         ours(how="plain")]
FASTAI = Contestant("fastai collab_learner", "fastai", "benchmarks.peers.fastai_learner")
JAX = Contestant("jax loop, AdamW", "jax", "benchmarks.peers.jax_loop")
SURPRISE = [Contestant(f"scikit-surprise {how}, batches of 1", "surprise",
                       "benchmarks.peers.surprise_svd", how=how) for how in ("SVD", "SVD++")]
TORCH = [torch(optimizer, how) for optimizer in ("AdamW", "SGD")
         for how in ("fused", "foreach", "for-loop")]


def dot_weights(n_users: int, n_items: int, width: int) -> dict[str, Array]:
    """Return small initial weights for an EmbeddingDotBias."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Array:
        values: Array = rng.standard_normal(shape, np.float32)
        values *= .01
        return values
    return {"u_weight.weight": normal(n_users, width), "i_weight.weight": normal(n_items, width),
            "u_bias.weight": normal(n_users, 1), "i_bias.weight": normal(n_items, 1)}
