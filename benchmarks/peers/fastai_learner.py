"""fastai 2's collab_learner with its one-cycle fit, progress bar and log switched off."""
import torch
from fastai.collab import CollabDataLoaders, collab_learner
from pandas import DataFrame

from .. import job as given
from ..job import HIGH, LOW, Job, Round

PACKAGE = "fastai"


def make(job: Job) -> Round:
    """Return a training in epochs as in the notebook: recorder, schedule and validation."""
    torch.set_num_threads(job.threads)
    names = ("user", "item", "rating")
    frame = DataFrame({name: given.read(job.folder, name) for name in names})
    dls = CollabDataLoaders.from_df(frame, seed=42, valid_pct=.1, bs=job.bs)
    n_factors = given.weights(job)["u_weight.weight"].shape[1]
    learn = collab_learner(dls, n_factors=n_factors, y_range=(LOW, HIGH), wd=job.wd)

    def train(steps: int) -> float:
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1, job.lr)
        return float(learn.recorder.losses[-1])
    return train
