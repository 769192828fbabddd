"""minifast's part of ``benchmarks.tables``, with the settings that fastai 2 has by default."""
from functools import partial
from typing import Any

from minifast.optim import Adam
from minifast.tabular import Categorify, FillMissing, Normalize, TabularDataBunch, tabular_learner

from .tables import Array, Table


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
