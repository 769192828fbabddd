"""minifast as a contestant: a plain loop over its public parts, or a Learner with all it does."""
from typing import Any

from minifast import Tensor
from minifast.collab import EmbeddingDotBias, collab_learner
from minifast.data import CollabDataBunch
from minifast.nn import CrossEntropyFlat, Linear, Module, MSELossFlat, ReLU, Sequential
from minifast.optim import SGD, Adam, Optimizer
from minifast.vision import resnet10

from . import job as given
from .job import HIGH, LOW, Job, Round

PACKAGE = ""


def mlp() -> Module:
    """784-512-256-10."""
    return Sequential(Linear(784, 512), ReLU(), Linear(512, 256), ReLU(), Linear(256, 10))


def digits_net() -> Module:
    """Ten layers for images with one channel."""
    return resnet10(1, 10, seed=0)


def model_of(job: Job) -> Module:
    """The job's model with its initial weights."""
    weights = given.weights(job)
    if job.model == "dot":
        (n_users, width), n_items = weights["u_weight.weight"].shape, len(weights["i_bias.weight"])
        model: Module = EmbeddingDotBias(width, n_users, n_items, (LOW, HIGH))
    else:
        model = {"mlp": mlp, "resnet10": digits_net}[job.model]()
    model.load_state_dict(weights)
    return model


def optimizer(job: Job, model: Module) -> Optimizer:
    """The job's optimizer, all parameters in one group."""
    groups = [model.parameters()]
    if job.optimizer == "SGD":
        return SGD(groups, lr=job.lr, mom=job.mom, wd=job.wd)
    return Adam(groups, lr=job.lr, mom=job.mom, beta=job.beta, wd=job.wd)


def make(job: Job) -> Round:
    """The Learner, or the loop."""
    return learner(job) if job.how == "Learner" else loop(job)


def loop(job: Job) -> Round:
    """Forward, backward, step, zero_grad: what a user writes without a Learner."""
    model = model_of(job)
    opt = optimizer(job, model)
    loss_func: Any = MSELossFlat() if job.model == "dot" else CrossEntropyFlat()
    x, y = given.rows(job)
    batches = given.batches(len(y), job.bs, job.seed)

    def train(steps: int) -> float:
        last = 0.
        for left in reversed(range(steps)):
            rows = next(batches)
            loss = loss_func(model(*(Tensor(column[rows]) for column in x)), Tensor(y[rows]))
            loss.backward()
            opt.step()
            opt.zero_grad()
            if not left:
                last = float(loss)
        return last
    return train


def learner(job: Job) -> Round:
    """An epoch of the notebook: recorder, schedule and validation."""
    import pandas as pd
    names = ("user", "item", "rating")
    frame = pd.DataFrame({name: given.read(job.folder, name) for name in names})
    data = CollabDataBunch.from_df(frame, seed=42, valid_pct=.1, bs=job.bs, device="cpu")
    weights = given.weights(job)
    learn = collab_learner(data, n_factors=weights["u_weight.weight"].shape[1],
                           y_range=[LOW, HIGH], wd=job.wd)
    learn.model.load_state_dict(weights)

    def train(steps: int) -> float:
        with learn.no_logging():
            learn.fit_one_cycle(1, job.lr)
        return float(learn.recorder.losses[-1])
    return train
