"""The contestant: a hand-written model and a hand-written optimizer."""
from typing import Any

from .. import job as given
from ..job import Job, Round
from .dot import Dot
from .flat import OPTIMIZERS
from .mlp import MLP
from .resnet import ResNet

PACKAGE = "numpy"
MODELS: dict[str, Any] = {"dot": Dot, "mlp": MLP, "resnet10": ResNet}


def make(job: Job) -> Round:
    """Return the training by a hand-written model and optimizer."""
    model = MODELS[job.model](given.weights(job))
    opt = OPTIMIZERS[job.optimizer](model.flat, job)
    x, y = given.rows(job)
    batches = given.batches(len(y), job.bs, job.seed)

    def train(steps: int) -> float:
        loss = 0.
        for _ in range(steps):
            rows = next(batches)
            loss = model.backward([column.take(rows, 0) for column in x], y.take(rows))
            opt.step()
        return loss
    return train
