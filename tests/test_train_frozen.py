"""Frozen means bit-identical: whatever the optimizer does, what is frozen does not move."""
from functools import partial
from typing import Any

import numpy as np
import pytest
from tiny import Spy, fit_quietly, frozen_copy, ratings_data, rows, three_groups

from minifast.collab import collab_learner
from minifast.data import DataBunch
from minifast.nn import BatchNorm1d, Linear, MSELossFlat, Parameter, Sequential
from minifast.optim import SGD, Adam, RMSProp
from minifast.train import BnFreeze, Learner

OPTIMIZERS = {"SGD": partial(SGD, mom=.9), "RMSProp": partial(RMSProp, mom=.9), "Adam": Adam}


def model_bytes(learn: Learner) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in learn.model.state_dict().items()}


def warm(learn: Learner) -> Learner:
    """Ten steps with everything trainable: momentum is there, for all of it."""
    with learn.no_logging():
        learn.fit(1, 1e-2)
    moments = [array for state in learn.opt.state.values() for array in state.values()]
    assert moments
    assert all((np.abs(m) > 0).any() for m in moments)
    return learn


def moved_by_ten_steps(learn: Learner) -> tuple[set[str], set[str]]:
    """Names that changed, and names that did not, in one epoch of ten batches."""
    before = model_bytes(learn)
    with learn.no_logging():
        learn.fit(1, slice(1e-3, 1e-2))
    assert learn.recorder.nb_batches == [10]
    after = model_bytes(learn)
    moved = {name for name in after if after[name] != before[name]}
    return moved, set(after) - moved


def names_of_group(learn: Learner, i: int) -> tuple[set[str], set[str]]:
    """(all but batch norm, batch norm) in layer group i: parameters and buffers."""
    norm: set[str] = set()
    plain: set[str] = set()
    leaves = list(learn.layer_groups)[i].children()
    inside = {id(leaf) for leaf in leaves}
    for name, module in learn.model.named_modules():
        if id(module) in inside:
            own = {f"{name}.{k}" for k in module.state_dict()}
            (norm if isinstance(module, BatchNorm1d) else plain).update(own)
    return plain, norm


@pytest.mark.parametrize("train_bn", [True, False], ids=["train_bn", "bn frozen"])
@pytest.mark.parametrize("n", [0, 1, 2, -1])
@pytest.mark.parametrize("bn_wd", [True, False], ids=["bn_wd", "no bn_wd"])
@pytest.mark.parametrize("true_wd", [True, False], ids=["decoupled", "coupled"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_ten_steps_do_not_move_what_is_frozen(optimizer: str, true_wd: bool, bn_wd: bool, n: int,
                                              train_bn: bool) -> None:
    learn = warm(three_groups(drop=.2, opt_func=OPTIMIZERS[optimizer], true_wd=true_wd,
                              bn_wd=bn_wd, wd=.3, train_bn=train_bn))
    learn.freeze_to(n)
    moved, still = moved_by_ten_steps(learn)
    groups = [names_of_group(learn, i) for i in range(3)]
    first = n % 3
    expected: set[str] = set()
    for plain, norm in groups[:first]:
        expected |= plain if train_bn else plain | norm
    assert still == expected
    assert moved == set().union(*(a | b for a, b in groups)) - expected


@pytest.mark.parametrize("true_wd", [True, False], ids=["decoupled", "coupled"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_parameter_frozen_by_hand_while_its_optimizer_lives(optimizer: str,
                                                              true_wd: bool) -> None:
    """No new optimizer is made, its momentum is warm, and still nothing reaches the parameter."""
    learn = warm(three_groups(opt_func=OPTIMIZERS[optimizer], true_wd=true_wd, wd=.3))
    opt = learn.opt
    learn.model[3].weight.requires_grad_(False)
    learn.model[0].requires_grad_(False)
    moved, still = moved_by_ten_steps(learn)
    assert learn.opt is opt
    assert still == {"0.weight", "0.bias", "3.weight"}
    learn.model.requires_grad_(True)
    assert moved_by_ten_steps(learn)[1] == set()
    assert moved


def test_a_frozen_table_of_embeddings() -> None:
    learn = collab_learner(ratings_data(), n_factors=3, y_range=[0, 5.5], wd=.3)
    learn.split([learn.model.u_bias])
    with learn.no_logging():
        learn.fit(4, 1e-2)
        learn.freeze()
        before = model_bytes(learn)
        learn.fit(4, 1e-2)
    after = model_bytes(learn)
    assert {name for name in after if after[name] != before[name]} == {
        "u_bias.weight", "i_bias.weight"}


def test_no_gradient_is_computed_for_what_is_frozen() -> None:
    """The walk back ends where nothing below wants a gradient."""
    learn, reached = three_groups(train_bn=False), set()
    learn.freeze()
    learn.callbacks.append(Spy(lambda event, state: reached.update(
        name for name, p in learn.model.named_parameters() if p.grad is not None)))
    with learn.no_logging():
        learn.fit(1, 1e-2)
    assert reached == {"7.weight", "7.bias"}
    hidden = learn.model[:6](learn.data.one_batch()[0])
    assert not hidden.requires_grad
    assert hidden.node is None


def behind_batch_norm(**kwargs: Any) -> Learner:
    """Batch norm whose running mean is 5, in a group of its own, before a layer that trains."""
    net = Sequential(BatchNorm1d(3), Linear(3, 1, seed=0))
    net[0].running_mean.data[...] = 5
    learn = Learner(DataBunch([rows(4)]), net, loss_func=MSELossFlat(), **kwargs)
    return learn.split(net[1])


def first_loss(learn: Learner, mean: Any, var: Any) -> float:
    """The loss of the only batch before its step, by the formula of batch norm."""
    x, y = rows(4)
    linear = learn.model[1]
    outputs = ((x - mean) / np.sqrt(var + 1e-5)) @ linear.weight.numpy()[0] + linear.bias.numpy()
    return float(((outputs - y) ** 2).mean())


def affine(learn: Learner) -> bytes:
    return learn.model[0].weight.numpy().tobytes() + learn.model[0].bias.numpy().tobytes()


def test_frozen_batch_norm_uses_the_statistics_it_keeps() -> None:
    """With train_bn=False a batch's own statistics neither count nor are kept."""
    learn = behind_batch_norm(train_bn=False)
    learn.freeze()
    expected = first_loss(learn, 5, 1)
    before = {k: v for k, v in model_bytes(learn).items() if k.startswith("0.")}
    fit_quietly(learn, 3, 1e-2)
    np.testing.assert_allclose(float(learn.recorder.losses[0]), expected, rtol=1e-5)
    assert {k: v for k, v in model_bytes(learn).items() if k.startswith("0.")} == before
    learn.unfreeze()
    fit_quietly(learn, 1, 1e-2)
    assert (learn.model[0].running_mean.numpy() != 5).all()


@pytest.mark.parametrize("by_hand", [False, True], ids=["freeze()", "requires_grad_"])
def test_without_bn_freeze_frozen_batch_norm_is_v1_s(by_hand: bool) -> None:
    """The batch's statistics count and are followed; scale and shift stay to the bit."""
    learn = behind_batch_norm(train_bn=by_hand)
    if by_hand:  # no BnFreeze comes by itself then
        learn.model[0].requires_grad_(False)
    else:
        learn.callback_fns.remove(BnFreeze)
        learn.freeze()
    x, _ = rows(4)
    expected, before = first_loss(learn, x.mean(0), x.var(0)), affine(learn)
    fit_quietly(learn, 1, 1e-2)
    np.testing.assert_allclose(float(learn.recorder.losses[0]), expected, rtol=1e-5)
    np.testing.assert_allclose(learn.model[0].running_mean.numpy(), .9 * 5 + .1 * x.mean(0),
                               rtol=1e-5)
    assert affine(learn) == before


def test_bn_freeze_can_be_asked_for_with_any_learner() -> None:
    learn = behind_batch_norm(callback_fns=[BnFreeze])
    fit_quietly(learn, 1, 1e-2)
    assert (learn.model[0].running_mean.numpy() != 5).all()  # trainable: nothing to freeze
    learn = behind_batch_norm(callback_fns=[BnFreeze])
    learn.model[0].requires_grad_(False)
    fit_quietly(learn, 1, 1e-2)
    assert learn.model[0].running_mean.numpy().tolist() == [5, 5, 5]


def test_bn_freeze_twice_is_bn_freeze_once() -> None:
    assert behind_batch_norm(train_bn=False).callback_fns.count(BnFreeze) == 1
    assert behind_batch_norm(train_bn=True).callback_fns.count(BnFreeze) == 0
    learn = behind_batch_norm(train_bn=False, callback_fns=[BnFreeze])
    assert learn.callback_fns.count(BnFreeze) == 1
    learn.freeze()
    other = behind_batch_norm(train_bn=False)
    other.freeze()
    fit_quietly(learn, 2, 1e-2, callbacks=[BnFreeze(learn)])
    fit_quietly(other, 2, 1e-2)
    assert model_bytes(learn) == model_bytes(other)


def test_a_parameter_that_two_groups_share() -> None:
    """It trains while the last group that holds it does."""
    first = Linear(3, 3, seed=0)
    second = Linear(3, 3, seed=1)
    second.weight = first.weight
    net = Sequential(first, second, Linear(3, 1))
    assert isinstance(first.weight, Parameter)
    learn = Learner(DataBunch([rows(4)]), net, loss_func=MSELossFlat()).split([second, net[2]])
    learn.freeze_to(1)
    before = frozen_copy(learn)
    with learn.no_logging():
        learn.fit(1, 1e-2)
    after = frozen_copy(learn)
    assert {k for k in before if before[k] != after[k]} == {
        "0.weight", "1.weight", "1.bias", "2.weight", "2.bias"}
