"""Disturb a distributed fit: ``mpiexec -n 2 python ranks_faults.py FAULT FOLDER``."""
import os
import signal
import sys
from functools import partial
from typing import Any

import numpy as np

from minifast.callbacks import MixUpCallback
from minifast.checkpoints import CheckpointCallback
from minifast.collab import CollabDataBunch, collab_learner
from minifast.data import ArrayDataset, DataBunch, DataLoader
from minifast.datasets import planted_ratings
from minifast.distributed import world
from minifast.nn import BatchNorm1d, Dropout, Linear, MSELossFlat, Sequential
from minifast.train import Callback, Learner, LearnerCallback

FAULT, FOLDER = sys.argv[1:3]
COMM = world()
LAST = COMM.size - 1


class Fault(Callback):
    """What happens on the last rank in the second epoch."""

    def on_batch_end(self, epoch: int, num_batch: int, train: bool) -> None:
        if COMM.rank == LAST and epoch == 1 and num_batch == 3 and train:
            if FAULT == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if FAULT == "raises":
                raise RuntimeError("the disk is on fire")
            if FAULT == "leaves":
                sys.exit(0)


def main() -> None:
    seed = COMM.rank if FAULT == "data" else 0
    if FAULT == "early" and COMM.rank == LAST:
        raise RuntimeError("there is no such file")
    ratings = planted_ratings(200, 90, 2000, seed=seed).ratings
    data = CollabDataBunch.from_df(ratings, seed=42, bs=64, path=FOLDER)
    learn = collab_learner(data, n_factors=30, y_range=[0, 5.5], seed=0)
    if "dropout" in sys.argv:
        learn = dropout_learner(data)
    learn.to_distributed(timeout=2)
    if FAULT == "weights":
        learn.model.u_bias.weight.data[0] += COMM.rank  # rank 0's are sent to all
    learn.callbacks.append(Fault())
    if FAULT == "fewer fits" and COMM.rank == LAST:
        return
    learn.fit_one_cycle(3, 5e-3, resume=True)
    if FAULT == "replaced":
        learn.fit(1, callbacks=Replace(learn))
    if FAULT == "drift":
        if COMM.rank == LAST:
            learn.opt.step()
        learn.fit(1, callbacks=Drift())
    np.savez(f"{FOLDER}/weights{COMM.rank}.npz", **learn.model.state_dict())


def dropout_learner(data: Any) -> Learner:
    """A learner whose ranks have random numbers and running statistics of their own."""
    x = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
    rows = ArrayDataset(x, x[:, 0])
    model = Sequential(Linear(4, 8, seed=0), BatchNorm1d(8), Dropout(.5, seed=0),
                       Linear(8, 1, seed=1))
    learn = Learner(DataBunch(DataLoader(rows, 20, True, seed=0), DataLoader(rows, 20),
                              path=data.path), model, loss_func=MSELossFlat())
    learn.callback_fns += [partial(CheckpointCallback, every=2, unit="batch"),
                           partial(MixUpCallback, seed=0)]
    return learn


class Replace(LearnerCallback):
    """Give the data another loader when the fit has begun."""

    def on_epoch_begin(self) -> None:
        self.learn.data.train_dl = DataLoader(self.learn.data.train_ds, 64)


class Drift(Callback):
    def on_step_end(self) -> Any:
        from gc import get_objects
        if COMM.rank == LAST:
            for found in get_objects():
                if type(found).__name__ == "EmbeddingDotBias":
                    found.u_bias.weight.data[0] += 1e-3


main()
