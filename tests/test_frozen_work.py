"""Frozen layers cost nothing: none of their rules is evaluated, no node keeps activations."""
import gc
from collections import Counter
from typing import Any
from weakref import ref

import numpy as np
import pytest
from counting import Work, counted
from tiny import fit_quietly, ratings_learner, three_groups

from minifast import Tensor
from minifast.data import DataBunch
from minifast.nn import CrossEntropyFlat, Module
from minifast.train import Learner
from minifast.vision import resnet10

CONVS = 10  # in a resnet10: the stem, four in each of two stages, and a shortcut


def residual(**kwargs: Any) -> Learner:
    """Return a learner of a resnet10 in two groups; the head is its last three layers."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3, 8, 8)).astype(np.float32)
    net = resnet10(seed=0)
    return Learner(DataBunch([(x, rng.integers(0, 10, 4))]), net, loss_func=CrossEntropyFlat(),
                   **kwargs).split(net[5])


MODELS = {"mlp": (three_groups, 7), "residual": (residual, 5)}
"""A function that makes a learner, and the number of modules of its frozen body."""


def training(learn: Learner) -> Learner:
    """Put the modules into training mode, as a fit leaves them."""
    learn.data.valid_dl = []
    return fit_quietly(learn, lr=1e-3)


def step_of(model: Any, learn: Learner, *inputs: Any) -> Work:
    """Count the work of a forward and backward pass."""
    yb = learn.data.one_batch()[1]
    with counted() as work:
        learn.loss_func(model(*inputs), yb).backward()
    return work


def whole_step(learn: Learner) -> Work:
    return step_of(learn.model, learn, learn.data.one_batch()[0])


@pytest.mark.parametrize("model", MODELS)
def test_with_a_frozen_body_only_the_head_costs_work(model: str) -> None:
    make, n = MODELS[model]
    learn = make(train_bn=False)
    learn.freeze()
    training(learn)
    body, head = learn.model[:n], learn.model[n:]
    alone = step_of(head, learn, body(learn.data.one_batch()[0]).detach())
    work = whole_step(learn)
    assert Counter(work.rules) == Counter(alone.rules)
    assert work.nodes == alone.nodes
    assert len(work.rules) == {"mlp": 4, "residual": 5}[model]  # loss, reshape, weight, bias
    learn.unfreeze()
    training(learn)
    assert len(whole_step(learn).rules) > 4 * len(work.rules)


def test_only_the_first_group_is_frozen() -> None:
    """The groups above the frozen one are computed as usual."""
    learn = three_groups(train_bn=False)
    learn.freeze_to(1)
    training(learn)
    first = learn.model[:3](learn.data.one_batch()[0])
    assert not first.requires_grad
    assert first.node is None
    assert Counter(whole_step(learn).rules) == Counter(
        step_of(learn.model[3:], learn, first.detach()).rules)


def test_a_frozen_embedding() -> None:
    learn = ratings_learner()
    (users, items), yb = learn.data.one_batch()
    with counted() as every:
        learn.loss_func(learn.model(users, items), yb).backward()
    assert every.evaluated("lookup") == [4]
    assert every.evaluated("mul") == [1, 1]
    learn.model.freeze("u_weight")
    with counted() as work:
        learn.loss_func(learn.model(users, items), yb).backward()
    assert work.evaluated("lookup") == [3]
    assert work.evaluated("mul") == [0, 1]  # no rule for the factors of the users
    assert work.nodes.count("lookup") == 3
    assert len(every.rules) - len(work.rules) == 2  # of the lookup, and of the product with it


# ---------------------------------------------------------------- batch norm that stays trainable


def test_work_saved_in_a_resnet_while_its_batch_norm_trains() -> None:
    """The convolutions' weight rules are skipped; their input rules lead to batch norm below."""
    learn = training(residual())
    every = whole_step(learn)
    assert every.evaluated("conv2d") == [CONVS - 1, CONVS]  # the stem needs no input gradient
    assert every.evaluated("batch_norm") == [CONVS] * 3
    learn.freeze()
    training(learn)
    work = whole_step(learn)
    assert work.evaluated("conv2d") == [CONVS - 1]
    assert work.evaluated("batch_norm") == [CONVS - 1, CONVS, CONVS]  # not of the stem's input
    assert work.nodes.count("conv2d") == CONVS - 1
    assert len(every.rules) - len(work.rules) == CONVS + 1


def test_work_saved_in_an_mlp_while_its_batch_norm_trains() -> None:
    learn = training(three_groups())
    every = Counter(whole_step(learn).rules)
    learn.freeze()
    training(learn)
    saved = every - Counter(whole_step(learn).rules)
    # two weights, two biases, and below the first batch norm its input and the ReLU
    assert saved.total() == 6
    assert {op for op, _ in saved} >= {"batch_norm"}


# ---------------------------------------------------------------- memory


def activations(learn: Learner, modules: list[Module]) -> tuple[Tensor, list[Any]]:
    """Return the loss, and the arrays that these modules computed if they are still alive."""
    found: list[Any] = []

    def note(module: Module, inputs: Any, output: Tensor) -> None:
        array = output.data
        found.append(ref(array if array.base is None else array.base))
    for module in modules:
        module.forward_hooks = (note,)
    xb, yb = learn.data.one_batch()
    loss = learn.loss_func(learn.model(xb), yb)
    for module in modules:
        module.forward_hooks = ()
    gc.collect()
    return loss, [r() for r in found]


@pytest.mark.cpu_only("checks the lifetime of NumPy arrays")
@pytest.mark.parametrize("frozen", [True, False])
def test_activations_of_a_frozen_body_are_freed(frozen: bool) -> None:
    learn = residual(train_bn=False)
    learn.freeze_to(1 if frozen else 0)
    training(learn)
    blocks = [block for stage in learn.model[3:5] for block in stage]
    inside = [module for block in blocks for module in block.children()]
    loss, alive = activations(learn, inside)
    assert loss.requires_grad
    assert len(alive) == 4 * 6 + 1  # per block two of convolution, norm, ReLU; one shortcut
    if frozen:
        assert alive == [None] * len(alive)
    else:
        assert not any(array is None for array in alive)
