"""What a contestant is asked to do, and the data it does it with; needs nothing but NumPy.

The data of a case lie in a folder of .npy files that all contestants map into memory, so that
25 million ratings are there once however many processes read them, and a process whose Python
has no minifast can read them too.
"""
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"
Round: TypeAlias = Callable[[int], float]
"""Train for so many steps; the last one's loss. One that can only train epochs trains one."""

LOW, HIGH = 0., 5.5
CHUNK = 1 << 20


@dataclass(frozen=True)
class Job:
    """One contestant's task: ``how`` chooses among its variants, ``folder`` has the data."""

    model: str
    optimizer: str = "AdamW"
    how: str = ""
    bs: int = 64
    lr: float = 1e-3
    wd: float = 1e-2
    mom: float = .9
    beta: float = .99
    threads: int = 1
    seed: int = 0
    folder: str = ""


def save(folder: Path, x: list[Array], y: Array, weights: Mapping[str, Array],
         **more: Array) -> None:
    """Write training rows, initial weights, and whatever else a case has."""
    (folder / "weights").mkdir(parents=True, exist_ok=True)
    columns = {f"x{i}": column for i, column in enumerate(x)}
    for name, array in {**columns, "y": y, **more}.items():
        np.save(folder / f"{name}.npy", array)
    for name, array in weights.items():
        np.save(folder / "weights" / f"{name}.npy", array)


def read(folder: str, name: str) -> Array:
    """An array of a case; what is written into it stays in this process."""
    array: Array = np.load(Path(folder) / f"{name}.npy", mmap_mode="c")
    return array.view(np.ndarray)


def rows(job: Job) -> tuple[list[Array], Array]:
    """The inputs' columns and the target."""
    names = sorted(path.stem for path in Path(job.folder).glob("x*.npy"))
    return [read(job.folder, name) for name in names], read(job.folder, "y")


def weights(job: Job) -> dict[str, Array]:
    """The initial weights by name: a copy."""
    return {path.stem: np.load(path) for path in sorted(Path(job.folder, "weights").glob("*.npy"))}


def batches(n: int, bs: int, seed: int) -> Iterator[Array]:
    """Row numbers of full batches, pass after pass, the same for all contestants.

    The rows lie in random order already: they are shuffled a million at a time, so that an order
    of 25 million is nowhere kept.
    """
    if bs > n:
        raise ValueError(f"{n} rows are fewer than one batch of {bs}; lower --bs, or raise --scale")
    rng = np.random.default_rng(seed)
    while True:
        for start in range(0, n, CHUNK):
            order = start + rng.permutation(min(CHUNK, n - start))
            for at in range(0, len(order) - bs + 1, bs):
                yield order[at:at + bs]
