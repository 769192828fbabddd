"""A raw jax loop: loss, gradient and AdamW in one compiled function."""
import os
from functools import partial
from typing import Any

import numpy as np

from .. import job as given
from ..job import HIGH, LOW, Job, Round

PACKAGE = "jax"


def dot_loss(w: Any, users: Any, items: Any, y: Any) -> Any:
    """Return the mean squared error of EmbeddingDotBias."""
    import jax
    dot = (w["u_weight.weight"][users] * w["i_weight.weight"][items]).sum(1)
    z = dot + (w["u_bias.weight"][users] + w["i_bias.weight"][items])[:, 0]
    return ((jax.nn.sigmoid(z) * (HIGH - LOW) + LOW - y) ** 2).mean()


def mlp_loss(w: Any, x: Any, y: Any) -> Any:
    """Return the cross entropy of the layers 784-512-256-10."""
    import jax
    for name in ("0", "2"):
        x = jax.nn.relu(x @ w[f"{name}.weight"].T + w[f"{name}.bias"])
    z = x @ w["4.weight"].T + w["4.bias"]
    return (jax.nn.logsumexp(z, 1) - z[np.arange(len(y)), y]).mean()


def adamw(job: Job, loss_func: Any, state: Any, step: Any, *batch: Any) -> Any:
    """Return weights, averages and averages of squares after a step, and the loss."""
    import jax
    tree = jax.tree_util.tree_map
    w, m, v = state
    loss, g = jax.value_and_grad(loss_func)(w, *batch)
    m = tree(lambda m, g: job.mom * m + (1 - job.mom) * g, m, g)
    v = tree(lambda v, g: job.beta * v + (1 - job.beta) * g * g, v, g)
    by, root = job.lr / (1 - job.mom ** step), (1 - job.beta ** step) ** .5
    w = tree(lambda w, m, v: w * (1 - job.lr * job.wd) - by * m / (v ** .5 / root + 1e-8), w, m, v)
    return (w, m, v), loss


def make(job: Job) -> Round:
    """Return the training in a raw loop, on as many processors as the job has threads.

    jax has no setting for the number of threads.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:job.threads])
    import jax
    loss_func = {"dot": dot_loss, "mlp": mlp_loss}[job.model]
    update = jax.jit(partial(adamw, job, loss_func), donate_argnums=0)
    w = {name: jax.numpy.asarray(a) for name, a in given.weights(job).items()}
    zeros = [jax.tree_util.tree_map(jax.numpy.zeros_like, w) for _ in range(2)]
    state, count = (w, *zeros), 0
    x, y = given.rows(job)
    batches = given.batches(len(y), job.bs, job.seed)

    def train(steps: int) -> float:
        nonlocal state, count
        loss = 0.
        for _ in range(steps):
            rows, count = next(batches), count + 1
            state, loss = update(state, np.float32(count), *(c[rows] for c in x), y[rows])
        return float(loss)
    return train
