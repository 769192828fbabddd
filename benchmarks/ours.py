"""minifast as a contestant: a raw loop over its public parts, or a Learner with all it does.

Both take the fast path, or the plain path if the job asks for it.
"""
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any

from minifast import Tensor
from minifast.collab import EmbeddingDotBias, collab_learner
from minifast.data import CollabDataBunch
from minifast.nn import (
    CrossEntropyFlat,
    Embedding,
    Linear,
    Module,
    MSELossFlat,
    ReLU,
    Sequential,
)
from minifast.optim import SGD, Adam, Optimizer
from minifast.vision import resnet10

from . import job as given
from .job import HIGH, LOW, Job, Round

PACKAGE = ""


def mlp() -> Module:
    """Return the layers 784-512-256-10."""
    return Sequential(Linear(784, 512), ReLU(), Linear(512, 256), ReLU(), Linear(256, 10))


class OwnDot(Module):
    """A model that a student writes: four embeddings and a dot product, not EmbeddingDotBias."""

    def __init__(self, width: int, n_users: int, n_items: int) -> None:
        self.u_weight, self.u_bias = Embedding(n_users, width), Embedding(n_users, 1)
        self.i_weight, self.i_bias = Embedding(n_items, width), Embedding(n_items, 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        dot = (self.u_weight(users) * self.i_weight(items)).sum(1)
        z = dot + (self.u_bias(users) + self.i_bias(items)).reshape(-1)
        return z.sigmoid() * (HIGH - LOW) + LOW


def digits_net() -> Module:
    """Return a network of ten layers for images with one channel."""
    return resnet10(1, 10, seed=0)


def model_of(job: Job) -> Module:
    """Return the job's model with its initial weights."""
    weights = given.weights(job)
    if job.model in ("dot", "own dot"):
        (n_users, width), n_items = weights["u_weight.weight"].shape, len(weights["i_bias.weight"])
        model: Module = EmbeddingDotBias(width, n_users, n_items, (LOW, HIGH)) \
            if job.model == "dot" else OwnDot(width, n_users, n_items)
    else:
        model = {"mlp": mlp, "resnet10": digits_net}[job.model]()
    model.load_state_dict(weights)
    return model


def optimizer(job: Job, model: Module) -> Optimizer:
    """Return the job's optimizer, with all parameters in one group."""
    groups = [model.parameters()]
    if job.optimizer == "SGD":
        return SGD(groups, lr=job.lr, mom=job.mom, wd=job.wd)
    return Adam(groups, lr=job.lr, mom=job.mom, beta=job.beta, wd=job.wd)


def make(job: Job) -> Round:
    """Return the training by a Learner or by a raw loop, as ``job.how`` says."""
    if "Learner" in job.how:
        return learner(job)
    rounds = loop(job)
    next(rounds)
    return rounds.send


def fast_path(job: Job, model: Module, opt: Optimizer) -> AbstractContextManager[object]:
    """Return the fast path; a context that does nothing if the job or minifast is without it."""
    if job.how == "plain" or find_spec("minifast.fast") is None:
        return nullcontext()
    from minifast import fast
    context: AbstractContextManager[object] = fast.accelerate(model, opt)
    return context


def loop(job: Job) -> Generator[float, int, None]:
    """Train in a raw loop: forward, backward, step, zero_grad, inside the fast path.

    Receives the number of steps of a round and yields the loss of the last one.
    """
    model = model_of(job)
    opt = optimizer(job, model)
    loss_func: Any = MSELossFlat() if "dot" in job.model else CrossEntropyFlat()
    x, y = given.rows(job)
    batches = given.batches(len(y), job.bs, job.seed)
    last = 0.
    with fast_path(job, model, opt):
        while True:
            steps = yield last
            for left in reversed(range(steps)):
                rows = next(batches)
                loss = loss_func(model(*(Tensor(column[rows]) for column in x)), Tensor(y[rows]))
                loss.backward()
                opt.step()
                opt.zero_grad()
                if not left:
                    last = float(loss)


def learner(job: Job) -> Round:
    """Return a training in epochs as in the notebook: recorder, schedule and validation."""
    import pandas as pd
    names = ("user", "item", "rating")
    frame = pd.DataFrame({name: given.read(job.folder, name) for name in names})
    data = CollabDataBunch.from_df(frame, seed=42, valid_pct=.1, bs=job.bs, device="cpu")
    weights = given.weights(job)
    learn = collab_learner(data, n_factors=weights["u_weight.weight"].shape[1],
                           y_range=[LOW, HIGH], wd=job.wd)
    learn.model.load_state_dict(weights)
    learn.fast = job.how == "Learner"

    def train(steps: int) -> float:
        with learn.no_logging():
            learn.fit_one_cycle(1, job.lr)
        return float(learn.recorder.losses[-1])
    return train
