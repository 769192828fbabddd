"""Three ways to sum the gradients of an embedding's rows, on one device.

    python -m benchmarks.scatter
    python -m benchmarks.scatter --device fakecuda    counts launches and waits; no times

A batch has looked up rows of an embedding table, some of them several times. The gradients of each
row are summed into a new array of zeros, which is timed as well. Row r is looked up in proportion
to 1 / (r + 1), as a few films have most of the ratings. The ways take turns, so a busy machine
slows all of them; the best of the repeats counts.
"""
import argparse
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter

import numpy as np

from minifast.backend import Array, backend_of, get_backend
from minifast.devices.fakecuda.counting import count

from .machine import machine, versions

ROWS, WIDTH, SIZES = 944, 40, (64, 1024, 16384)
Way = Callable[[Array, Array, int], Array]
"""(ids (bs,), values (bs, width), n_rows): sums (n_rows, width)."""


def one_hot_product(ids: Array, values: Array, n_rows: int) -> Array:
    """Multiply the values by a transposed one-hot matrix: the definition of the sum."""
    one_hot = np.zeros_like(values, shape=(len(ids), n_rows))
    one_hot[np.arange(len(ids), like=ids), ids] = 1
    return one_hot.T @ values


def add_at(ids: Array, values: Array, n_rows: int) -> Array:
    """Call the backend's scatter-add, as minifast does."""
    total = np.zeros_like(values, shape=(n_rows, values.shape[1]))
    backend_of(values).scatter_add(total, ids, values)
    return total


def sort_and_subtract(ids: Array, values: Array, n_rows: int) -> Array:
    """Sort the values by id; the sum of a segment is a difference of the running sum.

    The host needs no number from the device, so it does not wait for a GPU. The running sum is in
    float64, because a difference of two long sums loses digits.
    """
    order = np.argsort(ids, kind="stable")
    ends = np.searchsorted(ids[order], np.arange(n_rows, like=ids), side="right")
    running = np.zeros_like(values, np.float64, shape=(len(ids) + 1, values.shape[1]))
    running[1:] = np.cumsum(values[order], 0, dtype=np.float64)
    upto = running[ends]
    upto[1:] -= running[ends[:-1]]
    return upto.astype(values.dtype)


def sort_and_reduceat(ids: Array, values: Array, n_rows: int) -> Array:
    """Sum segments with NumPy's reduceat; the host has to know how many there are."""
    order = np.argsort(ids, kind="stable")
    in_order = ids[order]
    starts = np.flatnonzero(np.diff(in_order, prepend=-1))
    total = np.zeros_like(values, shape=(n_rows, values.shape[1]))
    total[in_order[starts]] = np.add.reduceat(values[order], starts, axis=0)
    return total


def add_at_by_rows(ids: Array, values: Array, n_rows: int) -> Array:
    """Call NumPy's add.at with row numbers."""
    total = np.zeros_like(values, shape=(n_rows, values.shape[1]))
    np.add.at(total, ids, values)
    return total


WAYS: dict[str, Way] = {"one-hot product": one_hot_product, "add.at": add_at,
                        "sort, running sum, subtract": sort_and_subtract}
NUMPY_ONLY: dict[str, Way] = {"sort, np.add.reduceat": sort_and_reduceat,
                              "np.add.at with row numbers": add_at_by_rows}


def ways(device: str) -> dict[str, Way]:
    """Return the three ways, and on the CPU two more that only NumPy has."""
    return {**WAYS, **(NUMPY_ONLY if device == "cpu" else {})}


# ---------------------------------------------------------------- measuring


def problem(size: int, n_rows: int, width: int, device: str) -> tuple[Array, Array]:
    """Return ids and gradients of a batch, on ``device``."""
    rng = np.random.default_rng(0)
    often = 1 / np.arange(1, n_rows + 1)
    ids = rng.choice(n_rows, size, p=often / often.sum())
    values = rng.normal(size=(size, width)).astype(np.float32)
    put = get_backend(device).from_host
    return put(ids), put(values)


def seconds(work: Callable[[], object], wait: Callable[[], None], loops: int) -> float:
    """Return the seconds of one run of ``work``, the mean of ``loops`` runs."""
    wait()
    start = perf_counter()
    for _ in range(loops):
        work()
    wait()
    return (perf_counter() - start) / loops


def measure(device: str, size: int, n_rows: int, width: int, repeats: int) -> dict[str, float]:
    """Return the best time of each way, in seconds."""
    ids, values = problem(size, n_rows, width, device)
    wait = get_backend(device).synchronize
    best: dict[str, float] = {}
    loops: dict[str, int] = {}
    for _ in range(repeats + 1):  # the first finds how many loops take some .02 s
        for name, way in ways(device).items():
            took = seconds(partial(way, ids, values, n_rows), wait, loops.get(name, 1))
            loops.setdefault(name, max(1, int(.02 / took)))
            best[name] = min(took, best.get(name, took))
    return best


def costs(way: Way) -> tuple[int, int]:
    """Return launches and waits, as the simulated device counts them."""
    ids, values = problem(64, 10, 4, "fakecuda")
    with count() as counts:
        way(ids, values, 10)
    return counts.launches, counts.synchronizations


# ---------------------------------------------------------------- the table


def table(device: str, repeats: int, sizes: Sequence[int], n_rows: int, width: int) -> list[str]:
    """Return the report, in Markdown: times by way and batch size, launches and waits."""
    found = {size: measure(device, size, n_rows, width, repeats) for size in sizes}
    lines = [machine(device), versions(), "",
             f"Microseconds; {width} columns, {n_rows} rows", "",
             "| way | " + " | ".join(f"batch {size}" for size in sizes) + " | launches | waits |",
             "|---" * (len(sizes) + 3) + "|"]
    for name in ways(device):
        times = [f"{found[size][name] * 1e6:,.0f}" for size in sizes]
        asked = map(str, costs(WAYS[name])) if name in WAYS else "--"
        lines.append(f"| {' | '.join([name, *times, *asked])} |")
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu, cuda or fakecuda (default: cpu)")
    parser.add_argument("--repeats", type=int, default=7, help="(default: 7)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rows in a batch")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"of the table (default: {ROWS})")
    parser.add_argument("--width", type=int, default=WIDTH, help=f"of a row (default: {WIDTH})")
    args = parser.parse_args(argv)
    print("\n".join(table(args.device, args.repeats, args.sizes, args.rows, args.width)))


if __name__ == "__main__":
    main()
