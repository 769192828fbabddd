"""A raw torch loop, without a learner: its optimizers fused, foreach and as a plain loop."""
from typing import Any

import torch
from torch import nn
from torch.nn import functional as f

from .. import job as given
from ..job import HIGH, LOW, Job, Round

PACKAGE = "torch"
HOW = {"fused": {"fused": True}, "foreach": {"foreach": True},
       "for-loop": {"foreach": False, "fused": False}}


class Dot(nn.Module):
    """The model of EmbeddingDotBias, and of ``OwnDot`` in ``benchmarks.ours``."""

    def __init__(self, width: int, n_users: int, n_items: int) -> None:
        super().__init__()
        self.u_weight, self.u_bias = nn.Embedding(n_users, width), nn.Embedding(n_users, 1)
        self.i_weight, self.i_bias = nn.Embedding(n_items, width), nn.Embedding(n_items, 1)

    def forward(self, users: Any, items: Any) -> Any:
        """Return the predicted ratings."""
        dot = (self.u_weight(users) * self.i_weight(items)).sum(1)
        z = dot + (self.u_bias(users) + self.i_bias(items)).squeeze(1)
        return torch.sigmoid(z) * (HIGH - LOW) + LOW


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, ni: int, nf: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(ni, nf, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(nf)
        self.conv2 = nn.Conv2d(nf, nf, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(nf)
        self.downsample = None if ni == nf else nn.Sequential(
            nn.Conv2d(ni, nf, 1, stride, bias=False), nn.BatchNorm2d(nf))

    def forward(self, x: Any) -> Any:
        """Return the block's output for a batch of images."""
        y = self.bn2(self.conv2(f.relu(self.bn1(self.conv1(x)))))
        return f.relu(y + (x if self.downsample is None else self.downsample(x)))


def mlp() -> nn.Module:
    """Return the layers 784-512-256-10."""
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(),
                         nn.Linear(256, 10))


def resnet10() -> nn.Module:
    """Return the network of ``minifast.vision.resnet10``, children in the same order."""
    stages = [nn.Sequential(Block(ni, nf, stride), Block(nf, nf, 1))
              for ni, nf, stride in ((32, 32, 1), (32, 64, 2))]
    return nn.Sequential(nn.Conv2d(1, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
                         *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def model_of(job: Job) -> nn.Module:
    """Return the job's model with its initial weights."""
    weights = {name: torch.from_numpy(a) for name, a in given.weights(job).items()}
    if "dot" in job.model:
        (n_users, width), n_items = weights["u_weight.weight"].shape, len(weights["i_bias.weight"])
        model: nn.Module = Dot(width, n_users, n_items)
    else:
        model = {"mlp": mlp, "resnet10": resnet10}[job.model]()
    model.load_state_dict(weights)
    return model


def optimizer(job: Job, model: nn.Module) -> Any:
    """Return the job's optimizer in one of its three forms."""
    how = HOW[job.how or "fused"]
    if job.optimizer == "SGD":
        return torch.optim.SGD(model.parameters(), job.lr, job.mom, weight_decay=job.wd, **how)
    return torch.optim.AdamW(model.parameters(), job.lr, (job.mom, job.beta), weight_decay=job.wd,
                             **how)


def make(job: Job) -> Round:
    """Return the training in a raw loop."""
    torch.set_num_threads(job.threads)
    model = model_of(job)
    opt = optimizer(job, model)
    loss_func = f.mse_loss if "dot" in job.model else f.cross_entropy
    x, y = given.rows(job)
    columns, target = [torch.from_numpy(column) for column in x], torch.from_numpy(y)
    batches = given.batches(len(y), job.bs, job.seed)

    def train(steps: int) -> float:
        loss = torch.zeros(())
        for _ in range(steps):
            rows = torch.from_numpy(next(batches))
            loss = loss_func(model(*(column[rows] for column in columns)), target[rows])
            loss.backward()
            opt.step()
            opt.zero_grad()
        return float(loss.detach())
    return train
