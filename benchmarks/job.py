"""The task of a contestant and its data; needs nothing but NumPy.

The data of a case are .npy files in a folder that all contestants map into memory. So 25 million
ratings are in memory once, however many processes read them, and a Python without minifast can
read them too.
"""
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"
Round: TypeAlias = Callable[[int], float]
"""Train for a number of steps, or for an epoch, and return the last loss."""

LOW, HIGH = 0., 5.5
CHUNK = 1 << 20


@dataclass(frozen=True)
class Job:
    """The task of a contestant: ``how`` chooses among its forms, ``folder`` has the data."""

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
    """Write training rows, initial weights, and further arrays of a case."""
    (folder / "weights").mkdir(parents=True, exist_ok=True)
    columns = {f"x{i}": column for i, column in enumerate(x)}
    for name, array in {**columns, "y": y, **more}.items():
        np.save(folder / f"{name}.npy", array)
    for name, array in weights.items():
        np.save(folder / "weights" / f"{name}.npy", array)


def read(folder: str, name: str) -> Array:
    """Return an array of a case; changes to it stay in this process."""
    array: Array = np.load(Path(folder) / f"{name}.npy", mmap_mode="c")
    return array.view(np.ndarray)


def rows(job: Job) -> tuple[list[Array], Array]:
    """Return the columns of the input, and the target."""
    names = sorted(path.stem for path in Path(job.folder).glob("x*.npy"))
    return [read(job.folder, name) for name in names], read(job.folder, "y")


def weights(job: Job) -> dict[str, Array]:
    """Return a copy of the initial weights by name."""
    return {path.stem: np.load(path) for path in sorted(Path(job.folder, "weights").glob("*.npy"))}


def batches(n: int, bs: int, seed: int) -> Iterator[Array]:
    """Yield row numbers of full batches without end, the same for all contestants.

    The rows are in random order already. They are shuffled a million at a time, so no process
    holds an order of 25 million.
    """
    if bs > n:
        raise ValueError(f"{n} rows are fewer than one batch of {bs}; lower --bs, or raise --scale")
    rng = np.random.default_rng(seed)
    while True:
        for start in range(0, n, CHUNK):
            order = start + rng.permutation(min(CHUNK, n - start))
            for at in range(0, len(order) - bs + 1, bs):
                yield order[at:at + bs]
