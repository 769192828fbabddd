"""The small steps that optimizers are lists of.

A step changes one block in place, given its group's hyper-parameters by name; it takes those
that it needs. Formulas: Loshchilov and Hutter 2019 (decoupled decay), Kingma and Ba 2015 (Adam),
Hinton's lecture 6e (RMSProp), with the constants where torch has them.
"""
from math import sqrt
from typing import Any

import numpy as np

from .arena import Block


def weight_decay(p: Block, *, lr: float, wd: float, **_: Any) -> None:
    """Decoupled: the parameters shrink by themselves, data <- data (1 - lr wd)."""
    if wd and p.decays:
        p.data *= 1 - lr * wd


def l2_reg(p: Block, *, wd: float, **_: Any) -> None:
    """Coupled: the gradient of wd/2 data^2 joins the gradient, and all that averages it."""
    if wd and p.decays:
        p.grad = p.grad + np.multiply(p.data, wd, out=p.scratch)  # not into the user's array


def momentum(p: Block, *, mom: float, **_: Any) -> None:
    """average <- mom average + grad."""
    average = p["average"]
    average *= mom
    average += p.grad


def average_grad(p: Block, *, mom: float, **_: Any) -> None:
    """average <- mom average + (1 - mom) grad."""
    average = p["average"]
    average *= mom
    average += np.multiply(p.grad, 1 - mom, out=p.scratch)


def average_sqr_grad(p: Block, *, beta: float, **_: Any) -> None:
    """square <- beta square + (1 - beta) grad^2."""
    square = p["square"]
    square *= beta
    np.multiply(p.grad, p.grad, out=p.scratch)
    p.scratch *= 1 - beta
    square += p.scratch


def sgd_step(p: Block, *, lr: float, **_: Any) -> None:
    """data <- data - lr average."""
    p.data -= np.multiply(p["average"], lr, out=p.scratch)


def rms_momentum(p: Block, *, mom: float, eps: float, **_: Any) -> None:
    """average <- mom average + grad / (sqrt(square) + eps)."""
    np.sqrt(p["square"], out=p.scratch)
    p.scratch += eps
    average = p["average"]
    average *= mom
    average += np.divide(p.grad, p.scratch, out=p.scratch)


def adam_step(p: Block, *, lr: float, mom: float, beta: float, eps: float, **_: Any) -> None:
    """data <- data - lr m / (sqrt(v) + eps), with m and v the averages freed of their start at 0:
    m = average / (1 - mom^t), v = square / (1 - beta^t), t = 1, 2, ... and the present mom.

    Both corrections are numbers, so they are drawn out of the long arrays.
    """
    p.steps += 1
    root = sqrt(1 - beta ** p.steps)
    np.sqrt(p["square"], out=p.scratch)
    p.scratch += eps * root
    np.divide(p["average"], p.scratch, out=p.scratch)
    p.scratch *= lr * root / (1 - mom ** p.steps)
    p.data -= p.scratch
