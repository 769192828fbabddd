"""A training step on a device, compared with torch on the same device.

    python -m benchmarks.gpu                     on the GPU if there is one, else simulated
    python -m benchmarks.gpu --save docs/gpu     writes the report into a file named after the GPU
    python -m benchmarks.gpu --device cpu        the same steps on the processor, without torch

A time is that of an epoch of a Learner with recorder and schedule, divided by the number of
batches. The device is synchronized at both ends; the best of the repeats counts. Launches, and
bytes moved between host and device within a step, are counted on the simulated device, which runs
the same code. torch takes part if it is installed and sees the GPU. Times of the simulated device
mean nothing: a run there shows that the script works.
"""
import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import minifast
from minifast.backend import cuda_state, get_backend
from minifast.collab import EmbeddingDotBias
from minifast.data import ArrayDataset, DataBunch
from minifast.datasets import planted_ratings
from minifast.devices.fakecuda.counting import count
from minifast.nn import BatchNorm2d, Flatten, Linear, Module, ReLU, Sequential
from minifast.train import Learner
from minifast.vision import AdaptiveAvgPool2d, Conv2d

from .machine import machine, versions

BATCHES = 40


@dataclass(frozen=True)
class Case:
    """A model, the rows that it is trained on, and the same model in torch."""

    name: str
    bs: int
    rows: Callable[[int], ArrayDataset]
    model: Callable[[], Module]
    twin: Callable[[], Any]


def ratings(n: int) -> ArrayDataset:
    """Return ``n`` planted ratings of MovieLens 100K's size, with repeats if needed."""
    frame = planted_ratings().ratings
    rows = np.arange(n) % len(frame)
    ids = [frame[c].to_numpy(np.int64)[rows] for c in ("userId", "movieId")]
    return ArrayDataset(ids, frame["rating"].to_numpy(np.float32)[rows])


def images(n: int, shape: tuple[int, ...]) -> ArrayDataset:
    """Return random images of ten classes."""
    rng = np.random.default_rng(0)
    return ArrayDataset(rng.normal(size=(n, *shape)).astype(np.float32), rng.integers(0, 10, n))


def mlp() -> Module:
    """Return the layers 784-512-256-10."""
    return Sequential(Linear(784, 512), ReLU(), Linear(512, 256), ReLU(), Linear(256, 10))


def cnn() -> Module:
    """Return a network of three convolutions for 28 x 28 pixels."""
    blocks = [layer for n_in, n_out in ((1, 16), (16, 32), (32, 64))
              for layer in (Conv2d(n_in, n_out, 3, 2, 1), BatchNorm2d(n_out), ReLU())]
    return Sequential(*blocks, AdaptiveAvgPool2d(1), Flatten(), Linear(64, 10))


def torch_dot() -> Any:
    """Return EmbeddingDotBias in torch."""
    from torch import nn, sigmoid

    class Dot(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tables = nn.ModuleList(nn.Embedding(n, w) for w in (40, 1) for n in (944, 1683))

        def forward(self, users: Any, items: Any) -> Any:
            u, i, bu, bi = (t(ids) for t, ids in zip(self.tables, (users, items) * 2, strict=True))
            return sigmoid((u * i).sum(1) + (bu + bi).squeeze(1)) * 5.5
    return Dot()


def torch_mlp() -> Any:
    """Return the MLP in torch."""
    from torch import nn
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(),
                         nn.Linear(256, 10))


def torch_cnn() -> Any:
    """Return the small CNN in torch."""
    from torch import nn
    blocks = [layer for n_in, n_out in ((1, 16), (16, 32), (32, 64))
              for layer in (nn.Conv2d(n_in, n_out, 3, 2, 1), nn.BatchNorm2d(n_out), nn.ReLU())]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


CASES = [
    *(Case(f"notebook, batch {bs}", bs, ratings,
           lambda: EmbeddingDotBias(40, 944, 1683, [0, 5.5]), torch_dot)
      for bs in (64, 1024, 16384)),
    Case("MLP 784-512-256-10, batch 128", 128, lambda n: images(n, (784,)), mlp, torch_mlp),
    Case("CNN of 3 convolutions, 28 x 28, batch 64", 64, lambda n: images(n, (1, 28, 28)), cnn,
         torch_cnn),
]


# ---------------------------------------------------------------- measuring


def learner(case: Case, device: str, batches: int) -> Learner:
    """Return a learner of a case with everything on ``device``."""
    with minifast.device(device):
        return Learner(DataBunch.create(case.rows(case.bs * batches), bs=case.bs, seed=0),
                       case.model(), wd=.1)


def minifast_step(case: Case, device: str, repeats: int, batches: int) -> float:
    """Return the seconds of a Learner's training step."""
    learn, wait = learner(case, device, batches), get_backend(device).synchronize
    best = float("inf")
    with learn.no_logging():
        for _ in range(repeats + 1):  # the first compiles kernels
            wait()
            start = perf_counter()
            learn.fit_one_cycle(1, 1e-3)
            wait()
            best = min(best, (perf_counter() - start) / batches)
    return best


def costs(case: Case) -> tuple[int, int]:
    """Return launches and bytes moved in a training step, as the simulated device counts them."""
    counted = []
    for batches in (1, 2):  # their difference is one step, without what an epoch costs
        learn = learner(case, "fakecuda", batches)
        with learn.no_logging():
            learn.fit(1, 1e-3)
            with count() as counts:
                learn.fit(1, 1e-3)
        order = 8 * case.bs * batches  # the epoch's shuffled row numbers
        counted.append((counts.launches, counts.bytes_moved - order))
    return counted[1][0] - counted[0][0], counted[1][1] - counted[0][1]


def torch_step(case: Case, repeats: int, batches: int) -> float | None:
    """Return the seconds of a step of a raw torch loop with fused AdamW; None without torch."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    rows = case.rows(case.bs * batches)
    columns = [torch.tensor(a).cuda() for a in (rows.x if isinstance(rows.x, list) else [rows.x])]
    y, model = torch.tensor(rows.y).cuda(), case.twin().cuda()
    loss_func = torch.nn.functional.mse_loss if y.is_floating_point() \
        else torch.nn.functional.cross_entropy
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(.9, .99), fused=True)
    best = float("inf")
    for _ in range(repeats + 1):
        torch.cuda.synchronize()
        start = perf_counter()
        for place in torch.randperm(len(y), device="cuda").split(case.bs):
            loss_func(model(*(c[place] for c in columns)), y[place]).backward()
            opt.step()
            opt.zero_grad()
        torch.cuda.synchronize()
        best = min(best, (perf_counter() - start) / batches)
    return best


def copy_bandwidth(device: str, n_bytes: int) -> float:
    """Return the bytes per second that a copy on the device reads and writes."""
    backend = get_backend(device)
    a = backend.from_host(np.zeros(n_bytes // 4, np.float32))
    b = np.empty_like(a)
    best = float("inf")
    for _ in range(5):
        backend.synchronize()
        start = perf_counter()
        b[...] = a
        backend.synchronize()
        best = min(best, perf_counter() - start)
    return 2 * n_bytes / best


# ---------------------------------------------------------------- the report


def report(device: str, repeats: int, batches: int) -> Iterator[str]:
    """Yield the lines of the report, in Markdown."""
    real = device == "cuda"
    yield f"# {machine(device)}\n"
    yield f"{versions()}\n\nCommand: `python -m benchmarks.gpu {' '.join(sys.argv[1:])}`\n"
    n_bytes = 1 << {"cuda": 30, "cpu": 28}.get(device, 20)
    yield f"Copy on the device: {copy_bandwidth(device, n_bytes) / 1e9:,.0f} GB/s\n"
    yield "| case | step, us | torch, us | torch / minifast | launches | bytes moved |"
    yield "|---|---|---|---|---|---|"
    for case in CASES:
        ours = minifast_step(case, device, repeats, batches)
        theirs = torch_step(case, repeats, batches) if real else None
        launches, moved = costs(case)
        beside = f"{theirs * 1e6:.0f} | {theirs / ours:.2f}" if theirs else "- | -"
        yield f"| {case.name} | {ours * 1e6:.0f} | {beside} | {launches} | {moved} |"


def main() -> None:
    """Measure, print, and save the report if asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda" if cuda_state().state == "ok" else "fakecuda")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, default=BATCHES, help="batches of an epoch")
    parser.add_argument("--save", type=Path, help="folder to write the report into")
    args = parser.parse_args()
    lines = []
    for line in report(args.device, args.repeats, args.batches):
        print(line, flush=True)
        lines.append(line)
    if args.save:
        name = "".join(c if c.isalnum() else "-" for c in lines[0].split(";")[0].strip("# "))
        args.save.mkdir(parents=True, exist_ok=True)
        (args.save / f"{name.lower()}.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
