"""Networks: a multi-layer perceptron, and a small residual network for images of digits."""
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from minifast.nn import Module

from .contest import Case
from .families import JAX, TORCH, Family, Options, floor, ours
from .job import Job, save
from .ours import digits_net, mlp

BATCHES = 20


def write(build: Callable[[], Module], shape: tuple[int, ...], n: int, folder: Path) -> int:
    """Write random images of ten classes and initial weights; return the number of images."""
    rng = np.random.default_rng(0)
    save(folder, [rng.normal(size=(n, *shape)).astype(np.float32)], rng.integers(0, 10, n),
         {name: np.array(a) for name, a in build().state_dict().items()})
    return n


def mlp_cases(options: Options) -> Iterator[Case]:
    """Yield steps of the layers 784-512-256-10."""
    for bs in options.bs or (128,):
        yield Case(f"MLP, batch {bs}", Job("mlp", bs=bs), [ours(), floor(), *TORCH[:3], JAX],
                   f"mlp-{bs}", partial(write, mlp, (784,), bs * BATCHES), options.steps or 50)


def digits_cases(options: Options) -> Iterator[Case]:
    """Yield steps of resnet10 on images of 8 x 8 pixels."""
    for bs in options.bs or (64,):
        yield Case(f"resnet10, batch {bs}", Job("resnet10", bs=bs),
                   [ours(), floor(), *TORCH[:3]], f"digits-{bs}",
                   partial(write, digits_net, (1, 8, 8), bs * BATCHES), options.steps or 10)


FAMILIES = {
    "mlp": Family("MLP 784-512-256-10", "step", mlp_cases),
    "digits": Family("resnet10 on images of 8 x 8 pixels", "step", digits_cases),
}
