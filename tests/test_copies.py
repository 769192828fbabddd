"""Copies of models with their optimizers, and of learners: they train on like the original."""
import copy
import pickle
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from fast_training import assert_plain
from tiny import Spy, fit_quietly, host

from minifast.autograd import tensor
from minifast.collab import CollabLearner, EmbeddingDotBias, collab_learner
from minifast.data import CollabDataBunch
from minifast.datasets import planted_ratings
from minifast.fast import accelerate
from minifast.nn import Embedding, Linear, Module, ReLU, Sequential
from minifast.optim import SGD, Adam, Optimizer, RMSProp

Both = tuple[Module, Optimizer]
MAKERS: dict[str, Callable[[Any], Optimizer]] = {
    "SGD": lambda groups: SGD(groups, lr=.1, mom=.9, wd=.1),
    "Adam": lambda groups: Adam(groups, lr=.01, wd=.1),
    "RMSProp": lambda groups: RMSProp(groups, lr=.01, mom=.9, wd=.1)}
WAYS: dict[str, Callable[[Both], Both]] = {
    "copy": copy.deepcopy, "pickle": lambda both: pickle.loads(pickle.dumps(both))}
MODELS: dict[str, Callable[[], Module]] = {
    "linear": lambda: net(), "ratings": lambda: EmbeddingDotBias(4, 30, 20, seed=0),
    "table": lambda: Sequential(Embedding(30, 3, seed=0), net())}
PATHS: dict[str, Callable[..., Any]] = {
    "plain": lambda model, opt: nullcontext(), "fast": accelerate,
    "deferred": lambda model, opt: accelerate(model, opt, always=True)}


def net() -> Sequential:
    return Sequential(Linear(3, 5, seed=0), ReLU(), Linear(5, 1, seed=1))


def backward(model: Module, k: int) -> None:
    rng = np.random.default_rng(k)
    if isinstance(model, EmbeddingDotBias):
        x = [tensor(rng.integers(0, n, 8)) for n in (30, 20)]
    elif isinstance(model[0], Embedding):  # type: ignore[index]
        x = [tensor(rng.integers(0, 30, 8))]
    else:
        x = [tensor(rng.standard_normal((8, 3), np.float32))]
    (model(*x) ** 2).mean().backward()


def steps(both: Both, first: int, n: int) -> list[Any]:
    model, opt = both
    for k in range(first, first + n):
        backward(model, k)
        opt.step()
        opt.zero_grad()
    return [*[host(p.data) for p in model.parameters()], *opt.state_dict().values()]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("path", PATHS)
def test_a_copy_trains_on_like_the_original(path: str, kind: str, maker: str, way: str) -> None:
    """Copied in the middle of an accelerated training, it is an ordinary model."""
    model = MODELS[kind]()
    both = model, MAKERS[maker]([model.parameters()])
    before = [host(p.data).copy() for p in model.parameters()]
    with PATHS[path](*both):
        steps(both, 0, 3)
        backward(model, 3)  # a gradient waits
        twin = WAYS[way](both)
        assert_plain(*twin)
        ours = steps(both, 4, 20)
        theirs = steps(twin, 4, 20)
        for our, their in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(our, their, rtol=1e-5, atol=1e-7)
        for p, start in zip(twin[0].parameters(), before, strict=True):
            assert not np.array_equal(host(p.data), start)
        mine = [np.array(array) for array in ours]
        steps(twin, 24, 2)
        for now, then in zip(steps(both, 0, 0), mine, strict=True):
            np.testing.assert_array_equal(now, then)  # the copy shares nothing with the original
    assert_plain(*both)


@pytest.fixture
def learn() -> CollabLearner:
    ratings = planted_ratings(n_users=60, n_items=40, n_ratings=900).ratings
    data = CollabDataBunch.from_df(ratings, valid_pct=.1, seed=1, bs=32, item_name="title")
    return collab_learner(data, n_factors=5, y_range=[0, 5.5], wd=.1, seed=0)


def test_a_copy_of_a_learner(learn: CollabLearner) -> None:
    fit_quietly(learn, 1)
    twin = copy.deepcopy(learn)
    weights = [host(p.data).copy() for p in learn.model.parameters()]
    fit_quietly(twin, 1)
    for p, was in zip(learn.model.parameters(), weights, strict=True):
        np.testing.assert_array_equal(host(p.data), was)
    fit_quietly(learn, 1)
    for ours, theirs in zip(learn.model.parameters(), twin.model.parameters(), strict=True):
        np.testing.assert_allclose(host(ours.data), host(theirs.data), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(twin.recorder.val_losses, learn.recorder.val_losses, rtol=1e-6)


def test_a_copy_of_a_learner_in_the_middle_of_a_fit(learn: CollabLearner) -> None:
    copies: list[Any] = []

    def look(event: str, state: Any) -> None:
        if event == "step_end" and state["iteration"] == 5:
            copies.append(copy.deepcopy((learn.model, learn.opt)))
            copies.append([host(p.data).copy() for p in learn.model.parameters()])
    fit_quietly(learn, 1, callbacks=[Spy(look)])
    (model, opt), weights = copies
    assert_plain(model, opt)
    for p, was in zip(model.parameters(), weights, strict=True):
        np.testing.assert_array_equal(host(p.data), was)
    learn.model, learn.opt = model, opt
    learn.layer_groups = [Sequential(*model.children())]
    fit_quietly(learn, 1)
    assert not np.array_equal(host(model.parameters()[0].data), weights[0])


def test_a_copy_of_a_frozen_group_and_of_an_unused_optimizer() -> None:
    model = net()
    for p in model[0].parameters():
        p.requires_grad = False
    both = model, Adam([model[0].parameters(), model[2].parameters()], lr=[.1, .01])
    twin = copy.deepcopy(both)
    assert twin[1].get_hyper("lr") == [.1, .01]
    held = [host(p.data).copy() for p in model[0].parameters()]
    for our, their in zip(steps(both, 0, 3), steps(twin, 0, 3), strict=True):
        np.testing.assert_array_equal(our, their)
    for p, was in zip(twin[0][0].parameters(), held, strict=True):
        np.testing.assert_array_equal(host(p.data), was)
    assert not all(a.requires_grad for a in twin[0].parameters())


@pytest.mark.cpu_only("sums of gradients on a GPU differ from run to run")
@pytest.mark.parametrize("way", WAYS)
def test_a_learner_is_copied_after_a_cycle(way: str) -> None:
    data = CollabDataBunch.from_df(planted_ratings(60, 50, 900, seed=0).ratings, seed=1, bs=64)
    learn = collab_learner(data, n_factors=4, seed=0)
    with learn.no_logging():
        learn.fit_one_cycle(1)
        other = copy.deepcopy(learn) if way == "copy" else pickle.loads(pickle.dumps(learn))
        for one in (learn, other):
            one.fit_one_cycle(1)
    for a, b in zip(learn.model.parameters(), other.model.parameters(), strict=True):
        np.testing.assert_array_equal(host(a.data), host(b.data))
