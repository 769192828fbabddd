"""fastai 2's part of ``benchmarks.tables``, with its progress bar and log switched off."""
import warnings
from typing import Any

import numpy as np
from fastai.tabular.all import (
    Categorify,
    CategoryBlock,
    FillMissing,
    Normalize,
    RegressionBlock,
    TabDataLoader,
    TabularPandas,
    set_seed,
    tabular_learner,
)

from ..tables import Array, Table

warnings.simplefilter("ignore")


def train(table: Table, frame: Any, valid: Array, seed: int) -> tuple[Array, Array]:
    """Train on a table; return predictions and targets of the validation rows."""
    set_seed(seed)
    rows = np.setdiff1d(np.arange(len(frame)), valid)
    block = CategoryBlock() if table.classes else RegressionBlock()
    to = TabularPandas(frame, [FillMissing, Categorify, Normalize], list(table.cats),
                       list(table.conts), y_names=table.target, y_block=block,
                       splits=(list(rows), list(valid)))
    dls = to.dataloaders(bs=table.bs, device="cpu", dl_type=TabDataLoader)  # not with replacement
    learn = tabular_learner(dls, layers=list(table.layers), wd=table.wd)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(table.epochs, table.lr)
        preds, targets = learn.get_preds()
    return preds.numpy(), targets.numpy().reshape(len(valid), -1)[:, 0]
