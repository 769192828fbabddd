"""minifast's part of ``benchmarks.tables``, and models and data that help with rare rows.

    python -m benchmarks.our_tables TABLES
"""
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from minifast.optim import Adam
from minifast.tabular import Categorify, FillMissing, Normalize, TabularDataBunch, tabular_learner

from .tables import TABLES, Array, Table, error, mean_and_error, read, validation_rows


def train(table: Table, frame: Any, valid: Array, seed: int) -> tuple[Array, Array]:
    """Train on a table; return predictions and targets of the validation rows."""
    data = TabularDataBunch.from_df(
        ".", frame, table.target, valid, [FillMissing, Categorify, Normalize], table.cats,
        table.conts, bs=table.bs, seed=seed, device="cpu")
    learn = tabular_learner(data, table.layers, seed=seed, wd=table.wd, bn_wd=False,
                            opt_func=partial(Adam, eps=1e-5))
    with learn.no_logging():
        learn.fit_one_cycle(table.epochs, table.lr, pct_start=.25, final_div=1e5)
    preds, targets = learn.get_preds()
    return preds.numpy(), targets.numpy()


REMEDIES: dict[str, dict[str, Any]] = {
    "fastai v1's model: `lin_bias=True`": {"lin_bias": True},
    "the default": {},
    "v1's model, `scale_y=True`": {"lin_bias": True, "scale_y": True},
    "v1's model, `use_bn=False`": {"lin_bias": True, "use_bn": False},
    "v1's model, `y_range=data.get_y_range()`": {"lin_bias": True, "y_range": True},
    "v1's model, `Normalize(clip=5)`": {"lin_bias": True, "clip": 5}}


def preds_with(table: Table, frame: Any, valid: Array, seed: int, clip: float | None = None,
               y_range: bool = False, **kwargs: Any) -> tuple[Array, Array]:
    """Train with minifast's defaults but for some; return predictions and targets."""
    procs = [FillMissing, Categorify, Normalize(clip=clip)]
    data = TabularDataBunch.from_df(".", frame, table.target, valid, procs, table.cats,
                                    table.conts, bs=table.bs, seed=seed, device="cpu")
    learn = tabular_learner(data, table.layers, seed=seed, **kwargs,
                            y_range=data.get_y_range() if y_range else None)
    with learn.no_logging():
        learn.fit_one_cycle(table.epochs, table.lr)
    preds, targets = learn.get_preds()
    return preds.numpy().ravel(), targets.numpy()


def remedies(folder: str, splits: int = 6) -> Iterator[str]:
    """Yield the lines of a table about the flights."""
    yield "| Learner | RMSE | Highest RMSE | Median error | Largest error |"
    yield "|---|---|---|---|---|"
    table = TABLES[0]
    frame = read(folder, table)
    for name, kwargs in REMEDIES.items():
        pairs = [preds_with(table, frame, validation_rows(len(frame), split), split, **kwargs)
                 for split in range(splits)]
        rmse = np.array([error(table, *pair) for pair in pairs])
        off = [abs(preds - targets) for preds, targets in pairs]
        yield (f"| {name} | {mean_and_error(rmse)} | {rmse.max():.1f} "
               f"| {np.median(off):.1f} | {np.max(off):.0f} |")


if __name__ == "__main__":
    for line in remedies(*sys.argv[1:2]):
        print(line, flush=True)
