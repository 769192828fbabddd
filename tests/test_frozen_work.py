"""What is frozen costs nothing: no rule of it is evaluated, no node keeps its activations."""
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

CONVS = 10  # of a resnet10: the stem, four in each of the two stages, a shortcut


def residual(**kwargs: Any) -> Learner:
    """A resnet10 in two groups; the head is its last three layers."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3, 8, 8)).astype(np.float32)
    net = resnet10(seed=0)
    return Learner(DataBunch([(x, rng.integers(0, 10, 4))]), net, loss_func=CrossEntropyFlat(),
                   **kwargs).split(net[5])


MODELS = {"mlp": (three_groups, 7), "residual": (residual, 5)}
"""How a learner is made, and how many modules its frozen body has."""


def training(learn: Learner) -> Learner:
    """In the modes of training, as a fit leaves them."""
    learn.data.valid_dl = []
    return fit_quietly(learn, lr=1e-3)


def step_of(model: Any, learn: Learner, *inputs: Any) -> Work:
    """The work of a forward and backward pass."""
    yb = learn.data.one_batch()[1]
    with counted() as work:
        learn.loss_func(model(*inputs), yb).backward()
    return work


def whole_step(learn: Learner) -> Work:
    return step_of(learn.model, learn, learn.data.one_batch()[0])


@pytest.mark.parametrize("model", MODELS)
def test_a_frozen_body_leaves_the_work_of_the_head_alone(model: str) -> None:
    make, n = MODELS[model]
    learn = make(train_bn=False)
    learn.freeze()
    training(learn)
    body, head = learn.model[:n], learn.model[n:]
    alone = step_of(head, learn, body(learn.data.one_batch()[0]).detach())
    work = whole_step(learn)
    assert Counter(work.rules) == Counter(alone.rules)
    assert work.nodes == alone.nodes
    assert len(work.rules) == {"mlp": 4, "residual": 5}[model]  # the loss, a reshape, weight, bias
    learn.unfreeze()
    training(learn)
    assert len(whole_step(learn).rules) > 4 * len(work.rules)


def test_a_group_in_the_middle() -> None:
    """What is above the first frozen groups is computed as ever; below them nothing is."""
    learn = three_groups(train_bn=False)
    learn.freeze_to(1)
    training(learn)
    first = learn.model[:3](learn.data.one_batch()[0])
    assert not first.requires_grad
    assert first.node is None
    assert Counter(whole_step(learn).rules) == Counter(
        step_of(learn.model[3:], learn, first.detach()).rules)


def test_a_frozen_table_of_embeddings() -> None:
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
    assert len(every.rules) - len(work.rules) == 2


# ---------------------------------------------------------------- batch norm that goes on training


def test_what_is_saved_while_frozen_batch_norm_trains() -> None:
    """The rules of the convolutions' weights. Their inputs' are needed: batch norm lies below."""
    learn = training(residual())
    every = whole_step(learn)
    assert every.evaluated("conv2d") == [CONVS - 1, CONVS]  # nothing lies below the stem
    assert every.evaluated("batch_norm") == [CONVS] * 3
    learn.freeze()
    training(learn)
    work = whole_step(learn)
    assert work.evaluated("conv2d") == [CONVS - 1]
    assert work.evaluated("batch_norm") == [CONVS - 1, CONVS, CONVS]  # no input below the stem's
    assert work.nodes.count("conv2d") == CONVS - 1
    assert len(every.rules) - len(work.rules) == CONVS + 1


def test_what_is_saved_in_the_mlp_while_its_batch_norm_trains() -> None:
    learn = training(three_groups())
    every = Counter(whole_step(learn).rules)
    learn.freeze()
    training(learn)
    saved = every - Counter(whole_step(learn).rules)
    # two weights, two biases; and below the first batch norm its input's and the ReLU's
    assert saved.total() == 6
    assert {op for op, _ in saved} >= {"batch_norm"}


# ---------------------------------------------------------------- memory


def activations(learn: Learner, modules: list[Module]) -> tuple[Tensor, list[Any]]:
    """The loss, and references to the arrays that these modules have made, which keep none."""
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


@pytest.mark.cpu_only("about the lifetime of NumPy's arrays")
@pytest.mark.parametrize("frozen", [True, False])
def test_activations_of_a_frozen_body_are_let_go(frozen: bool) -> None:
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
