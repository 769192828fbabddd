"""The notebook's training, one epoch at a time, beside a hand-written loop and other libraries.

    python -m benchmarks.notebook

All run on the same ratings (MovieLens 100K if it is there, else the planted ones), 40 factors,
batches of 64, AdamW with weight decay 0.1 on all rows, one after the other in turn, so that a
busy machine slows all of them. torch and fastai take part if they are installed.
"""
import argparse
import os
import platform
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd

from minifast.collab import CollabDataBunch, collab_learner
from minifast.data import DataNotFoundError, movielens_100k, planted_ratings

FACTORS, BS, LR, WD, LOW, HIGH = 40, 64, 6e-3, .1, 0., 5.5
Epoch = Callable[[], None]


def ratings() -> tuple[str, pd.DataFrame]:
    """MovieLens 100K, or its planted twin; nothing is downloaded."""
    try:
        if os.environ.get("MINIFAST_HOME"):
            return "MovieLens 100K", movielens_100k()
    except DataNotFoundError:
        pass
    return "planted ratings", planted_ratings().ratings


def minifast_epoch(frame: pd.DataFrame) -> Epoch:
    """The Learner with recorder and schedule, and validation after the epoch."""
    data = CollabDataBunch.from_df(frame, seed=42, valid_pct=.1, item_name="title", device="cpu")
    learn = collab_learner(data, n_factors=FACTORS, y_range=[LOW, HIGH], wd=WD)

    def epoch() -> None:
        with learn.no_logging():
            learn.fit_one_cycle(1, LR)
    return epoch


class HandWritten:
    """The same model and optimizer as one plain NumPy function: the price of having no framework.

    One table holds the factors and biases of users and items; buffers are made once.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        data = CollabDataBunch.from_df(frame, seed=42, valid_pct=.1, item_name="title",
                                       device="cpu")
        users, items = data.train_ds.x
        n_users, n_items = (len(c) for c in data.categories)
        self.ids, self.y = np.stack([users, items + n_users]), data.train_ds.y
        rng = np.random.default_rng(0)
        self.table = rng.normal(0, .01, (n_users + n_items, FACTORS + 1)).astype(np.float32)
        self.mean, self.square, self.grad, self.scratch = (np.zeros_like(self.table)
                                                           for _ in range(4))
        self.columns, self.step, self.rng = np.arange(FACTORS + 1), 0, rng

    def epoch(self) -> None:
        """All full batches in random order."""
        order = self.rng.permutation(len(self.y))
        for start in range(0, len(order) - BS + 1, BS):
            rows = order[start:start + BS]
            self.backward(self.ids[:, rows].reshape(-1), self.y[rows])
            self.adam()

    def backward(self, ids: np.ndarray, y: np.ndarray) -> None:
        """Forward, and the gradient of the mean squared error into ``grad``."""
        rows = self.table[ids]
        u, v = rows[:BS], rows[BS:]
        z = np.vecdot(u[:, :-1], v[:, :-1]) + u[:, -1] + v[:, -1]
        s = 1 / (1 + np.exp(-z))
        d = (LOW + s * (HIGH - LOW) - y) * s * (1 - s) * np.float32(2 * (HIGH - LOW) / BS)
        g = np.empty_like(rows)
        g[:BS, :-1], g[BS:, :-1] = d[:, None] * v[:, :-1], d[:, None] * u[:, :-1]
        g[:BS, -1] = g[BS:, -1] = d
        self.grad.fill(0)
        flat = (ids[:, None] * (FACTORS + 1) + self.columns).reshape(-1)
        np.add.at(self.grad.reshape(-1), flat, g.reshape(-1))

    def adam(self, mom: float = .9, beta: float = .99, eps: float = 1e-8) -> None:
        """One step with decoupled decay, in place."""
        self.step += 1
        p, m, v, g, t = self.table, self.mean, self.square, self.grad, self.scratch
        root = (1 - beta ** self.step) ** .5
        p *= 1 - LR * WD
        m *= mom
        m += np.multiply(g, 1 - mom, out=t)
        v *= beta
        np.multiply(g, g, out=t)
        t *= 1 - beta
        v += t
        np.sqrt(v, out=t)
        t += eps * root
        np.divide(m, t, out=t)
        t *= LR * root / (1 - mom ** self.step)
        p -= t


def torch_epoch(frame: pd.DataFrame) -> Epoch:
    """A raw torch loop without learner: fused AdamW, one thread."""
    import torch
    torch.set_num_threads(1)
    data = CollabDataBunch.from_df(frame, seed=42, valid_pct=.1, item_name="title", device="cpu")
    users, items, y = (torch.from_numpy(a) for a in [*data.train_ds.x, data.train_ds.y])
    tables = [torch.nn.Embedding(len(c), width) for width in (FACTORS, 1) for c in data.categories]
    for t in tables:
        torch.nn.init.trunc_normal_(t.weight, std=.01)
    opt = torch.optim.AdamW([t.weight for t in tables], lr=LR, betas=(.9, .99), weight_decay=WD,
                            fused=True)

    def epoch() -> None:
        order = torch.randperm(len(y))
        for start in range(0, len(order) - BS + 1, BS):
            rows = order[start:start + BS]
            u, i = users[rows], items[rows]
            z = (tables[0](u) * tables[1](i)).sum(1) + (tables[2](u) + tables[3](i)).squeeze(1)
            loss = torch.nn.functional.mse_loss(torch.sigmoid(z) * (HIGH - LOW) + LOW, y[rows])
            loss.backward()
            opt.step()
            opt.zero_grad()
    return epoch


def fastai_epoch(frame: pd.DataFrame) -> Epoch:
    """fastai 2's collab_learner with its one-cycle fit, bar and log off."""
    from fastai.collab import CollabDataLoaders, collab_learner
    dls = CollabDataLoaders.from_df(frame, seed=42, valid_pct=.1, item_name="title",
                                    rating_name="rating", bs=BS)
    learn = collab_learner(dls, n_factors=FACTORS, y_range=(LOW, HIGH), wd=WD)

    def epoch() -> None:
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1, LR)
    return epoch


CASES: dict[str, Callable[[pd.DataFrame], Epoch]] = {
    "minifast Learner": minifast_epoch,
    "hand-written NumPy loop": lambda frame: HandWritten(frame).epoch,
    "torch loop, fused AdamW, 1 thread": torch_epoch,
    "fastai 2 collab_learner": fastai_epoch,
}


def measure(frame: pd.DataFrame, repeats: int) -> dict[str, list[float]]:
    """Seconds per epoch of every case that is installed, in turn, after one epoch of warm-up."""
    epochs: dict[str, Epoch] = {}
    for name, make in CASES.items():
        try:
            epochs[name] = make(frame)
        except ImportError as error:
            print(f"({name}: not installed, {error})")
    seconds: dict[str, list[float]] = {name: [] for name in epochs}
    for repeat in range(repeats + 1):
        for name, epoch in epochs.items():
            start = perf_counter()
            epoch()
            if repeat:
                seconds[name].append(perf_counter() - start)
    return seconds


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="epochs of each that count")
    repeats = parser.parse_args().repeats
    name, frame = ratings()
    print(f"{name}, {len(frame)} rows; Python {platform.python_version()}, numpy {np.__version__}, "
          f"{platform.machine()}, {os.cpu_count()} cores")
    seconds = measure(frame, repeats)
    ours = median(seconds["minifast Learner"])
    for case, values in seconds.items():
        print(f"{case:<36}{median(values):8.3f} s/epoch  (min {min(values):.3f}, max "
              f"{max(values):.3f})  {median(values) / ours:5.2f}x minifast")


if __name__ == "__main__":
    main()
