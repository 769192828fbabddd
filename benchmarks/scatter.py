"""Three ways to sum the gradients of an embedding's rows, on one device.

    python -m benchmarks.scatter
    python -m benchmarks.scatter --device fakecuda    for what they ask of a GPU; no times

A batch has looked up rows of a table, some of them more than once. Each row's gradients are to
be summed into its place in a table of zeros, which is made anew and timed too. Row number r is
looked up in proportion to 1 / (r + 1), as a few films have most of the ratings. The ways take
turns, so that a busy machine slows all of them; the best of the repeats counts.
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
    """A matrix with a one per id, transposed, times the values: what the sum is by definition."""
    one_hot = np.zeros_like(values, shape=(len(ids), n_rows))
    one_hot[np.arange(len(ids), like=ids), ids] = 1
    return one_hot.T @ values


def add_at(ids: Array, values: Array, n_rows: int) -> Array:
    """The library's scatter-add, from its table in backend.py: what minifast does."""
    total = np.zeros_like(values, shape=(n_rows, values.shape[1]))
    backend_of(values).scatter_add(total, ids, values)
    return total


def sort_and_subtract(ids: Array, values: Array, n_rows: int) -> Array:
    """Values in the order of their ids; what a running sum gains within a segment is its sum.

    No number has to be known on the host, so a GPU need not be waited for. The running sum is
    in float64, since a difference of two long sums would lose digits.
    """
    order = np.argsort(ids, kind="stable")
    ends = np.searchsorted(ids[order], np.arange(n_rows, like=ids), side="right")
    running = np.zeros_like(values, np.float64, shape=(len(ids) + 1, values.shape[1]))
    running[1:] = np.cumsum(values[order], 0, dtype=np.float64)
    upto = running[ends]
    upto[1:] -= running[ends[:-1]]
    return upto.astype(values.dtype)


def sort_and_reduceat(ids: Array, values: Array, n_rows: int) -> Array:
    """NumPy's own segment sum; the number of segments has to be known."""
    order = np.argsort(ids, kind="stable")
    in_order = ids[order]
    starts = np.flatnonzero(np.diff(in_order, prepend=-1))
    total = np.zeros_like(values, shape=(n_rows, values.shape[1]))
    total[in_order[starts]] = np.add.reduceat(values[order], starts, axis=0)
    return total


def add_at_by_rows(ids: Array, values: Array, n_rows: int) -> Array:
    """NumPy's add.at as one would write it; minifast gives it flat positions."""
    total = np.zeros_like(values, shape=(n_rows, values.shape[1]))
    np.add.at(total, ids, values)
    return total


WAYS: dict[str, Way] = {"one-hot product": one_hot_product, "add.at": add_at,
                        "sort, running sum, subtract": sort_and_subtract}
NUMPY_ONLY: dict[str, Way] = {"sort, np.add.reduceat": sort_and_reduceat,
                              "np.add.at with row numbers": add_at_by_rows}


def ways(device: str) -> dict[str, Way]:
    """The three ways, and on the CPU two variants that are written for NumPy."""
    return {**WAYS, **(NUMPY_ONLY if device == "cpu" else {})}


# ---------------------------------------------------------------- measuring


def problem(size: int, n_rows: int, width: int, device: str) -> tuple[Array, Array]:
    """Ids and gradients of a batch, on ``device``."""
    rng = np.random.default_rng(0)
    often = 1 / np.arange(1, n_rows + 1)
    ids = rng.choice(n_rows, size, p=often / often.sum())
    values = rng.normal(size=(size, width)).astype(np.float32)
    put = get_backend(device).from_host
    return put(ids), put(values)


def seconds(work: Callable[[], object], wait: Callable[[], None], loops: int) -> float:
    """Of one run of ``work``, on average over ``loops`` in a row."""
    wait()
    start = perf_counter()
    for _ in range(loops):
        work()
    wait()
    return (perf_counter() - start) / loops


def measure(device: str, size: int, n_rows: int, width: int, repeats: int) -> dict[str, float]:
    """The best time of each way, in seconds."""
    ids, values = problem(size, n_rows, width, device)
    wait = get_backend(device).synchronize
    best: dict[str, float] = {}
    loops: dict[str, int] = {}
    for _ in range(repeats + 1):  # the first finds out how many loops take some 20 ms
        for name, way in ways(device).items():
            took = seconds(partial(way, ids, values, n_rows), wait, loops.get(name, 1))
            loops.setdefault(name, max(1, int(.02 / took)))
            best[name] = min(took, best.get(name, took))
    return best


def costs(way: Way) -> tuple[int, int]:
    """Launches and waits, counted on the simulated device."""
    ids, values = problem(64, 10, 4, "fakecuda")
    with count() as counts:
        way(ids, values, 10)
    return counts.launches, counts.synchronizations


# ---------------------------------------------------------------- the table


def table(device: str, repeats: int, sizes: Sequence[int], n_rows: int, width: int) -> list[str]:
    """The report, in Markdown: microseconds by way and batch size, launches and waits."""
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
