"""Lazy updates against the dense optimizer: the same weights and state, at a batch's price."""
import copy
import warnings
from collections.abc import Callable
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import Spy, fit_quietly

from minifast import Tensor
from minifast import callbacks as cbs
from minifast.autograd import Rows
from minifast.collab import CollabLearner, EmbeddingDotBias, collab_learner
from minifast.data import CollabDataBunch
from minifast.datasets import movielens_100k, planted_ratings
from minifast.nn import Embedding, MSELossFlat
from minifast.optim import SGD, Adam, Optimizer, RMSProp, one_cycle, planned
from minifast.optim.ahead import LENGTH, AdamAhead, Ahead, reach
from minifast.optim.quadrature import ERROR, gauss

pytestmark = pytest.mark.cpu_only("lazy updates are NumPy's; elsewhere tables stay dense")
Array = np.ndarray
MAKERS: dict[str, Callable[..., Optimizer]] = {"SGD": SGD, "Adam": partial(Adam, nodes=8)}
both = pytest.mark.parametrize("name", MAKERS)
RATES = {"SGD": .5, "Adam": 5e-3}


def distance(ours: Any, theirs: Any) -> float:
    """How far weights are from the second's, as a share of their norm, over all arrays.

    For optimizers the largest of these shares: average, average square, rates, steps.
    """
    kinds = {k.partition(".")[2] for k in theirs.state_dict()} \
        if isinstance(theirs, Optimizer) else {""}
    ours, theirs = (x.state_dict() if hasattr(x, "state_dict") else x for x in (ours, theirs))
    assert ours.keys() == theirs.keys()
    return max(share([k for k in theirs if k.endswith(kind)], ours, theirs) for kind in kinds)


def share(names: list[str], ours: dict[str, Array], theirs: dict[str, Array]) -> float:
    """The norm of the differences of these arrays as a share of the norm of theirs."""
    a, b = (np.concatenate([x[name].ravel().astype(np.float64) for name in names])
            for x in (ours, theirs))
    gap = np.linalg.norm(a - b)
    return float(gap and gap / np.linalg.norm(b))


# ---------------------------------------------------------------- a training by hand


class Training:
    """EmbeddingDotBias on planted ratings, 64 at a time; most rows wait long for their turn."""

    frame = planted_ratings(n_users=1500, n_items=1000, n_ratings=20_000).ratings
    factors, scale, bs = 8, 10., 64

    def __init__(self, name: str, lazy: bool | None, dtype: Any = np.float32, wd: float = .1,
                 steps: int = 400, **options: Any) -> None:
        n_users, n_items = self.frame[["userId", "movieId"]].max() + 1
        self.model = EmbeddingDotBias(self.factors, n_users, n_items, [0, 5.5], seed=0)
        for p in self.model.parameters():
            p.data = p.data.astype(dtype) * self.scale
        self.opt = MAKERS[name](self.model.parameters(), lr=RATES[name], wd=wd, lazy=lazy,
                                **options)
        self.lr, self.mom = one_cycle(steps, RATES[name])
        self.lrs, self.moms = ([curve(k) for k in range(steps + 1)]
                               for curve in (self.lr, self.mom))
        self.opt.plan(lr=[self.lrs], mom=[self.moms])
        self.ids = self.frame[["userId", "movieId"]].to_numpy().T
        self.y = self.frame["rating"].to_numpy().astype(dtype)
        self.number = 0

    def backward(self) -> None:
        """The next batch's gradient."""
        rows = np.random.default_rng(self.number).integers(0, len(self.y), self.bs)
        users, items = (Tensor(ids[rows]) for ids in self.ids)
        MSELossFlat()(self.model(users, items), Tensor(self.y[rows])).backward()

    def step(self, n: int = 1, **hypers: Any) -> "Training":
        for _ in range(n):
            self.opt.set_hypers(lr=self.lr(self.number), mom=self.mom(self.number))
            self.opt.set_hypers(**hypers)
            self.backward()
            self.opt.step()
            self.opt.zero_grad()
            self.number += 1
        return self

    @property
    def awake(self) -> list[bool]:
        return [p.lazy for p in self.model.parameters()]


def pair(name: str, **options: Any) -> tuple[Training, Training]:
    """The same training twice in float64, where only the method can differ: lazy, dense."""
    return Training(name, True, np.float64, **options), Training(name, False, np.float64, **options)


TOLERANCE = {"SGD": 1e-9, "Adam": 1e-8}
"""In float64, for what follows. Momentum below 1e-10 of what it was is left out, for which Adam's
quotients are the more sensitive; its eight nodes err by less (docs/lazy.md has a table)."""


def assert_equal(ours: Training, theirs: Training, name: str) -> None:
    assert distance(ours.model, theirs.model) < TOLERANCE[name]
    assert distance(ours.opt, theirs.opt) < TOLERANCE[name]


# ---------------------------------------------------------------- the same results


@pytest.mark.parametrize(("name", "wd", "options"), [
    ("SGD", 1e-3, {}), ("SGD", .1, {}), ("Adam", .1, {"eps": 1e-5}), ("Adam", .01, {})])
def test_thousands_of_steps_of_one_cycle(name: str, wd: float, options: dict[str, Any]) -> None:
    """The whole training, each step from the weights that the one before has made."""
    def run(lazy: bool, dtype: Any) -> dict[str, Array]:
        training = Training(name, lazy, dtype, wd, steps=2500, **options).step(2500)
        assert all(training.awake) == lazy
        return training.model.state_dict()
    truth = run(False, np.float64)
    assert distance(run(True, np.float64), truth) < TOLERANCE[name]
    rounding = distance(run(False, np.float32), truth)
    assert rounding < 1e-5
    assert distance(run(True, np.float32), truth) < 2 * rounding


@pytest.mark.parametrize(("nodes", "bound"), [(1, 1e-3), (2, 1e-5), (4, 1e-7), (8, 1e-11)])
def test_more_nodes_come_closer(nodes: int, bound: float) -> None:
    ours, theirs = (Training("Adam", lazy, np.float64, nodes=nodes, eps=1e-5).step(300)
                    for lazy in (True, False))
    assert bound / 100 < distance(ours.model, theirs.model) < bound


def test_as_many_nodes_as_it_takes() -> None:
    """Hardly more than two, save in the first steps; and much closer than two everywhere."""
    ours, dense, two = (
        Training("Adam", lazy, np.float64, nodes=nodes, eps=1e-5, steps=800).step(800)
        for lazy, nodes in ((True, None), (False, None), (True, 2)))
    assert 1e-9 < distance(ours.model, dense.model) < 1e-7
    assert distance(ours.model, dense.model) < distance(two.model, dense.model) / 20
    arena, = ours.opt.arenas
    assert arena is not None
    assert isinstance(arena.lazy, planned.LazyStores)
    ahead, = arena.lazy.aheads.values()  # from step LENGTH on
    assert isinstance(ahead, AdamAhead)
    assert {len(heights) for heights, _ in ahead.nodes_of_step} <= {2, 3}


def a_hundred_steps(kind: type[Training], name: str, wd: float) -> None:
    """In float32, with the nodes that everyone gets, against the dense steps of float64."""
    options = {"nodes": signature(Adam).parameters["nodes"].default} if name == "Adam" else {}
    lazily = kind(name, True, wd=wd, steps=100, **options).step(100)
    truth = kind(name, False, np.float64, wd, 100).step(100)
    assert all(lazily.awake)
    assert distance(lazily.model, truth.model) < 1e-5
    assert distance(lazily.opt, truth.opt) < 1e-5


@both
def test_a_hundred_steps_on_planted_ratings(name: str) -> None:
    a_hundred_steps(Training, name, .1)


@pytest.mark.parametrize("bs", [64, 4096])
@pytest.mark.parametrize(("name", "wd"), [("SGD", 1e-3), ("Adam", .1)])
def test_a_hundred_steps_on_movielens(name: str, wd: float, bs: int, movielens: Path) -> None:
    """The notebook's model from its first weights, which are small: gradients come near eps."""
    class OnMovieLens(Training):
        frame, factors, scale = movielens_100k(movielens), 40, 1.
    OnMovieLens.bs = bs
    a_hundred_steps(OnMovieLens, name, wd)


@both
@pytest.mark.parametrize("mom", [0., .5, .9])
def test_state_and_weights_at_any_time(name: str, mom: float) -> None:
    """Momentum zero leaves none on untouched rows; momentum of a half is soft to overflow."""
    ours, theirs = pair(name)
    for training in (ours, theirs):
        training.opt.plan(lr=[training.lrs])
    for _ in range(3):
        assert_equal(ours.step(60, mom=mom), theirs.step(60, mom=mom), name)


@both
def test_rows_that_no_batch_touches(name: str) -> None:
    """They shrink by weight decay as they do densely, and have no momentum."""
    ours, theirs = pair(name)
    for training in (ours.step(100), theirs.step(100)):
        assert not (training.ids[0] == 0).any()
    row, same = (t.model.u_weight.weight.numpy()[0] for t in (ours, theirs))
    np.testing.assert_allclose(row, same, rtol=1e-12)
    assert abs(row).max() > 0


@both
def test_spared_biases_and_groups_of_their_own_rates(name: str) -> None:
    results = []
    for by_hand in (True, False):
        training = Training(name, by_hand, np.float64)
        model, lr = training.model, RATES[name]
        for table in (model.u_bias, model.i_bias):
            table.weight.no_wd = True
        training.opt = MAKERS[name]([[model.u_weight.weight, model.u_bias.weight],
                                     [model.i_weight.weight, model.i_bias.weight]],
                                    lr=[lr, lr / 3], wd=.1, bn_wd=False, lazy=by_hand)
        training.opt.plan(mom=[training.moms])
        results.append(training.step(150, lr=[lr, lr / 3]))
    assert_equal(*results, name)


# ---------------------------------------------------------------- the work of a step


def counting(method: Any, seen: list[int]) -> Any:
    def counted(self: Any, k: int, *arrays: Array, **more: Array) -> Any:
        given = [part for x in (*arrays, *more.values())
                 for part in (x if isinstance(x, Rows) else [x])]
        seen.append(sum(a.size for a in given if isinstance(a, np.ndarray)))
        return method(self, k, *arrays, **more)
    return counted


@both
def test_the_work_of_a_step_does_not_depend_on_the_table(
        name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements that a step's formulas see, counted: the batch's rows, whatever the table."""
    seen: list[int] = []
    for kind in (Ahead, AdamAhead):
        for method in ("way", "step"):
            monkeypatch.setattr(kind, method, counting(vars(kind)[method], seen))

    def work(n: int) -> int:
        table = Embedding(n, 4, seed=0)
        opt = MAKERS[name]([table.weight], lr=.1, lazy=True)
        for k in range(3):
            seen.clear()
            (table(np.arange(k, k + 50) * 7 % 100) ** 2).sum().backward()
            opt.step()
            opt.zero_grad()
        assert table.weight.lazy
        return sum(seen)
    assert work(1000) == work(100_000) <= 50 * 4 * 20


def test_small_tables_and_large_shares_stay_dense() -> None:
    training = Training("Adam", None).step(3)
    assert training.awake == [False] * 4
    for n_ids, awake in ((1000, True), (4000, False)):
        table = Embedding(10_000, 40)
        opt = Adam([table.weight], lr=.1)
        table(np.arange(n_ids)).sum().backward()
        opt.step()
        assert (table.weight.lazy) == awake


@both
def test_a_batch_that_names_a_row_twice(name: str) -> None:
    tables = [Embedding(100, 3, seed=0) for _ in range(2)]
    for table, by_hand in zip(tables, (True, False), strict=True):
        opt = MAKERS[name]([table.weight], lr=.1, lazy=by_hand, wd=.1)
        for ids in ([[1, 1], [1, 7]], [[7, 2], [2, 2]], [[1, 2], [3, 4]]):
            (table(np.array(ids)) ** 2).sum().backward()
            opt.step()
            opt.zero_grad()
    np.testing.assert_allclose(tables[0].weight.numpy(), tables[1].weight.numpy(), atol=3e-7)


# ---------------------------------------------------------------- who looks, and who changes


@both
def test_two_lookups_adding_up_and_a_step_without_gradient(name: str) -> None:
    ours, theirs = pair(name)
    for training in (ours.step(5), theirs.step(5)):
        training.backward()
        training.number += 7
        training.backward()  # adds up
        training.opt.step()
        training.opt.zero_grad()
        training.opt.step()  # with no gradient, momentum goes on
    assert_equal(ours.step(5), theirs.step(5), name)


@both
def test_a_gradient_of_the_whole_table(name: str) -> None:
    """A penalty on all weights: the table is dense for that step, and gets the dense gradient."""
    ours, theirs = pair(name)
    for training in (ours.step(5), theirs.step(5)):
        training.backward()
        (training.model.u_weight.weight ** 2).sum().backward()
        training.opt.step()
        assert training.awake[0] is False
        training.opt.zero_grad()
    assert_equal(ours.step(5), theirs.step(5), name)


@both
def test_the_gradient_is_the_dense_one_for_whoever_asks(name: str) -> None:
    ours, theirs = pair(name)
    for training in (ours.step(20), theirs.step(20)):
        training.backward()
    for p, q in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad, atol=1e-9)
    for training in (ours, theirs):
        training.opt.step()
        training.opt.zero_grad()
    assert_equal(ours.step(20), theirs.step(20), name)


@both
def test_shapes_can_be_asked_without_waking_anyone(name: str) -> None:
    training = Training(name, True).step(3)
    table = training.model.u_weight.weight
    assert (table.ndim, table.shape[1], table.numel() // len(table)) == (2, 8, 8)
    assert all(training.awake)


@both
def test_a_step_after_which_nothing_is_left_of_the_weights(name: str) -> None:
    """Where lr wd is 1 there is no way back to where a row was: those steps are dense ones."""
    ours, theirs = pair(name)
    for training in (ours, theirs):
        training.opt.plan(lr=[[.1, .1, 10., .1]], mom=[[0.]])
        for lr in (.1, .1, 10., .1, .1):
            training.step(1, lr=lr, mom=0., wd=.1)
    assert_equal(ours, theirs, name)


def test_no_average_of_squares_is_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for mom in (0., .9):
            Training("Adam", True, beta=0.).step(2, mom=mom)


@both
def test_rates_that_no_plan_foretold(name: str) -> None:
    ours, theirs = pair(name)
    for training in (ours, theirs):
        training.step(30)
        training.step(30, lr=RATES[name] / 7)  # against the plan
        training.step(10)
        for k in range(10):
            training.step(1, lr=RATES[name] / (k + 1), wd=.02 * k)
        training.opt.plan()
        training.step(900, lr=RATES[name] / 9, mom=.9, wd=.1)  # beyond what is planned at a time
    assert all(ours.awake)
    assert_equal(ours, theirs, name)


@both
def test_a_plan_that_is_taken_back(name: str) -> None:
    """The old plan foretold a drop that never comes; up to there the rates agree with it."""
    ours, theirs = pair(name)
    for training in (ours, theirs):
        rate = RATES[name] / 9
        training.opt.plan(lr=[[rate] * (LENGTH + 28) + [0.]], mom=[[.9]])
        training.step(300, lr=rate, mom=.9)
        training.opt.plan()
        training.step(400, lr=rate, mom=.9)
    assert all(ours.awake)
    assert_equal(ours, theirs, name)


@both
def test_decay_so_strong_that_its_product_vanishes(name: str) -> None:
    ours, theirs = pair(name, wd=.2 / RATES[name])
    for training in (ours, theirs):
        training.opt.plan()
        training.step(120, lr=RATES[name], mom=.5)  # .8 ** 120 is 2e-12
    assert all(ours.awake)
    assert_equal(ours, theirs, name)


@both
def test_settling_leaves_the_next_gradient_alone(name: str) -> None:
    """A gradient that adds up in the arena, looked at before and after the weights are."""
    ours, theirs = pair(name)
    for training in (ours, theirs):
        weight = training.model.u_weight.weight
        (weight ** 2).sum().backward()
        training.step(9)  # the first of them dense, so that the gradient has its place
        training.backward()
        training.opt.step()
        training.number += 1
        training.backward()
        assert weight.grad is not None
        assert weight.data is not None
    np.testing.assert_allclose(ours.model.u_weight.weight.grad, theirs.model.u_weight.weight.grad,
                               rtol=1e-6, atol=1e-9)


@both
def test_rates_for_which_there_is_no_formula(name: str) -> None:
    """Weights that decay to nothing at once, a momentum that lasts for ever: dense steps."""
    ours, theirs = pair(name)
    for training in (ours.step(10), theirs.step(10)):
        training.step(3, lr=10., wd=.1)
        training.step(3, mom=.9999)
    assert not any(ours.awake)
    assert_equal(ours.step(10), theirs.step(10), name)


@both
def test_freezing_and_unfreezing_midway(name: str) -> None:
    ours, theirs = pair(name)
    for training in (ours.step(40), theirs.step(40)):
        training.model.freeze("u_weight", "i_bias")
        before = training.model.state_dict()
        training.step(40)
        after = training.model.state_dict()
        assert {k: np.array_equal(before[k], after[k]) for k in after} == {
            "u_weight.weight": True, "i_weight.weight": False, "u_bias.weight": False,
            "i_bias.weight": True}
        training.model.unfreeze("u_weight", "i_bias")
    assert_equal(ours.step(40), theirs.step(40), name)


@both
def test_frozen_with_no_look_before(name: str) -> None:
    """What was awake when it was frozen stays where its last step has left it."""
    ours, theirs = pair(name)
    for training in (ours.step(40), theirs.step(40)):
        training.model.u_weight.weight.requires_grad_(False)
        training.step(40)
    assert_equal(ours, theirs, name)


@both
def test_state_goes_from_dense_to_lazy_and_back(name: str) -> None:
    ours, theirs = pair(name)
    for training in (ours.step(40), theirs.step(40)):
        assert training.opt.misfit(training.opt.state_dict()) == ""
    weights, state = ours.model.state_dict(), ours.opt.state_dict()
    ours.model.load_state_dict(theirs.model.state_dict())
    ours.opt.load_state_dict(theirs.opt.state_dict())
    theirs.model.load_state_dict(weights)
    theirs.opt.load_state_dict(state)
    assert_equal(ours.step(40), theirs.step(40), name)


@both
def test_writing_into_weights_and_replacing_them(name: str) -> None:
    ours, theirs = pair(name)
    for training in (ours.step(30), theirs.step(30)):
        weight = training.model.u_weight.weight
        weight.data[3] = .5
        training.step(20)
        weight.data = weight.data + .01
        training.step(20)
        training.opt.clear()
    assert_equal(ours.step(20), theirs.step(20), name)


def test_two_optimizers_on_one_model() -> None:
    ours, theirs = pair("Adam")
    for training, by_hand in ((ours, True), (theirs, False)):
        first = training.opt
        second = SGD(training.model.parameters(), lr=.5, mom=.9, wd=.01, lazy=by_hand)
        for turn in range(6):
            training.opt = (first, second)[turn % 2]
            training.step(15, lr=(5e-3, .5)[turn % 2], mom=.9)
        training.opt = first
    assert_equal(ours, theirs, "Adam")


def test_copies_are_of_the_newest_weights() -> None:
    ours, theirs = pair("SGD")
    ours.step(30)
    twin = copy.deepcopy(ours.model)
    assert all(not p.lazy for p in twin.parameters())
    assert distance(twin, theirs.step(30).model) < 1e-9


def test_what_cannot_be_lazy_is_refused() -> None:
    table = Embedding(10, 2)
    with pytest.raises(ValueError, match="for SGD and Adam with decoupled decay"):
        SGD([table.weight], lazy=True, true_wd=False)
    with pytest.raises(TypeError, match="lazy"):
        RMSProp([table.weight], lazy=True)  # type: ignore[call-arg]


# ---------------------------------------------------------------- learners


@pytest.fixture
def learners(tmp_path: Path) -> Callable[..., list[CollabLearner]]:
    """Makes two learners that differ in ``lazy`` alone: [lazy, dense]."""
    def make(name: str = "Adam", **options: Any) -> list[CollabLearner]:
        made = []
        for by_hand in (True, False):
            data = CollabDataBunch.from_df(Training.frame[:4000], valid_pct=.1, seed=3, bs=64)
            learn = collab_learner(data, n_factors=6, y_range=[0, 5.5], wd=.1, seed=1,
                                   path=tmp_path / str(by_hand),
                                   opt_func=partial(MAKERS[name], lazy=by_hand), **options)
            data.train_dl.rng = np.random.default_rng(5)
            made.append(learn)
        return made
    return make


def same(lazily: CollabLearner, densely: CollabLearner) -> None:
    """Float32 trainings that round differently at each step, some hundred steps long."""
    assert distance(lazily.model, densely.model) < 1e-5
    assert distance(lazily.optimizer, densely.optimizer) < 2e-5
    for ours, theirs in zip(lazily.recorder.val_losses, densely.recorder.val_losses, strict=True):
        assert ours == (None if theirs is None else pytest.approx(theirs, rel=1e-5))


@both
def test_one_cycle_with_validation(name: str, learners: Any) -> None:
    pair = learners(name)
    for learn in pair:
        with learn.no_logging():
            learn.fit_one_cycle(3, RATES[name])
            learn.fit_fc(1, RATES[name] / 3)
            learn.fit(1, RATES[name] / 5)
    same(*pair)
    updates = [learn.recorder.last_update.ratios for learn in pair]
    assert updates[0] == pytest.approx(updates[1], rel=1e-3)
    assert str(pair[0].group_table()) == str(pair[1].group_table())


@both
@pytest.mark.parametrize("callback", [
    lambda learn: cbs.GradientClipping(learn, .02),
    lambda learn: cbs.AccumulateScheduler(learn, n_step=3),
    lambda learn: cbs.ReduceLROnPlateauCallback(learn, min_delta=1., factor=.5, min_lr=0.),
    lambda learn: cbs.SaveModelCallback(learn),
    lambda learn: cbs.StopAfterNBatches(70),
    lambda learn: Spy(lambda event, state: learn.model.u_weight.weight.data.sum() and None
                      if event == "step_end" else None),
    lambda learn: Spy(lambda event, state: learn.optimizer.set_hypers(
        lr=learn.optimizer.lr / 2) if event == "batch_begin" and state["iteration"] == 30
        else None),
], ids=["clipping", "accumulating", "plateau", "saving", "ending early", "looking", "halving"])
def test_callbacks(name: str, callback: Callable[..., Any], learners: Any,
                   capsys: pytest.CaptureFixture[str]) -> None:
    pair = learners(name, callback_fns=[callback])
    for learn in pair:
        fit_quietly(learn, 3, RATES[name])
        assert all(not p.lazy for p in learn.model.parameters())
    same(*pair)


def test_the_table_of_groups_within_a_fit(learners: Any) -> None:
    tables: list[str] = []
    for learn in learners():
        def look(event: str, state: Any, learn: Any = learn) -> None:
            if event == "step_end" and state["iteration"] == 20:
                tables.append(str(learn.group_table()))
        fit_quietly(learn, 1, 5e-3, callbacks=[Spy(look)])
    assert tables[0] == tables[1]


def test_the_finder_puts_everything_back(learners: Any, capsys: Any) -> None:
    pair = learners()
    for learn in pair:
        with learn.no_logging():
            before = learn.model.state_dict()
            learn.lr_find(end_lr=1., num_it=60)
            assert distance(learn.model, before) == 0
            learn.fit_one_cycle(1, 5e-3)
            learn.lr_find(end_lr=1., num_it=60)
            learn.fit_one_cycle(1, 5e-3)
    same(*pair)
    lazily, densely = ([float(x) for x in learn.recorder.losses] for learn in pair)
    assert lazily == pytest.approx(densely, rel=1e-4)


def test_checkpoints_new_users_and_predictions(learners: Any) -> None:
    lazily, densely = learners()
    for learn in (lazily, densely):
        fit_quietly(learn, 1, 5e-3)
        learn.save("one")
        fit_quietly(learn, 1, 5e-3)
        learn.load("one")
        fit_quietly(learn, 1, 5e-3)
    same(lazily, densely)
    assert all(not p.lazy for p in lazily.model.parameters())  # after a fit
    titles = densely.data.categories[1].classes[1:4]
    for learn in (lazily, densely):
        learn.add_user(dict.fromkeys(titles, 5.), name="new")
        fit_quietly(learn, 1, 5e-3)
    same(lazily, densely)


def test_predicting_in_the_middle_of_a_fit(learners: Any) -> None:
    pair, found = learners(), []
    for learn in pair:
        def look(event: str, state: Any, learn: Any = learn) -> None:
            if event == "batch_end" and state["train"] and state["iteration"] in (10, 11, 40):
                found.append(float(learn.validate()[0]))
                learn.model.train()
        fit_quietly(learn, 1, 5e-3, callbacks=[Spy(look)])
    assert found[:3] == pytest.approx(found[3:], rel=1e-5)
    same(*pair)


def test_the_whole_training_of_the_notebook(movielens: Path) -> None:
    """Seven thousand steps in float32, each form rounding its own way."""
    frame, fits = movielens_100k(movielens), []
    for by_hand in (True, False):
        data = CollabDataBunch.from_df(frame, .1, item_name="title", seed=42)
        data.train_dl.rng = np.random.default_rng(5)
        learn = collab_learner(data, n_factors=40, y_range=[0, 5.5], wd=.1, seed=1,
                               opt_func=partial(Adam, lazy=by_hand))
        with learn.no_logging():
            learn.fit_one_cycle(5, 6e-3)
        fits.append([float(learn.recorder.losses[-1]),
                     *(float(loss) for loss in learn.recorder.val_losses)])
    assert len(fits[0]) == 6
    assert fits[0] == pytest.approx(fits[1], rel=1e-5)


def test_automatic_choice_in_a_learner(monkeypatch: pytest.MonkeyPatch, learners: Any) -> None:
    monkeypatch.setattr(planned, "SMALLEST", 1000)
    awake: list[bool] = []
    chosen, dense = learners()
    chosen.opt_func = MAKERS["Adam"]
    fit_quietly(dense, 2, 5e-3)
    fit_quietly(chosen, 2, 5e-3, callbacks=[Spy(lambda event, state: awake.append(
        chosen.model.u_weight.weight.lazy) if event == "step_end" else None)])
    assert awake.count(True) > .6 * len(awake)
    same(chosen, dense)


# ---------------------------------------------------------------- the rule of Gauss


def test_nodes_are_exact_for_powers_of_the_place() -> None:
    rng = np.random.default_rng(0)
    heights, places = rng.random((5, 40)), .1 + rng.random((5, 40))
    for n in (1, 2, 4):
        weights, nodes = gauss(heights, places, n)
        for power in range(1 - n, n + 1):
            np.testing.assert_allclose((weights * nodes**power).sum(1),
                                       (heights * places**power).sum(1), rtol=1e-9)


def columns(lr: Any, mom: Any) -> dict[str, Any]:
    """Hyper-parameters of as many steps."""
    rest = {"wd": .1, "beta": .99, "eps": 1e-8}
    return {"lr": np.array(lr), "mom": np.array(mom),
            **{name: np.full(len(lr), value) for name, value in rest.items()}}


@pytest.mark.parametrize("steps", [0, 100])
@pytest.mark.parametrize("nodes", [2, 4, 8, None])
def test_a_rule_in_two_stages_is_the_rule_of_all_terms(nodes: int | None, steps: int) -> None:
    """And left to itself, its error is as small as it promises, whatever v is."""
    lr, mom = one_cycle(1600, 5e-3)
    hypers = columns(lr=[lr(steps + i) for i in range(1400)],
                     mom=[mom(steps + i) for i in range(1400)])
    ahead = AdamAhead(hypers, True, steps, nodes)
    ends = [0, 1, 7, ahead.length - 33, ahead.length - 1, ahead.length]
    heights, places = ahead._terms(np.array(ends)[:, None], np.arange(1400 - ahead.length))
    decayed = ahead._scale(np.array(ends)[:, None], np.array([1]))  # seen from the step's middle
    heights, places = heights / decayed[0], places / decayed[1]
    for root in (0, .01, .3, 1, 3, 100):
        truth = (heights / (root + places)).sum(1)
        found = [sum(h / (root + e / 1e-8) for h, e in zip(*ahead.nodes_of_step[k], strict=True))
                 for k in ends]
        if nodes is None:
            np.testing.assert_allclose(found, truth, rtol=2 * ERROR)
        else:
            h, e = gauss(heights, places, nodes)
            np.testing.assert_allclose(found, (h / (root + e)).sum(1), rtol=1e-9)


def test_a_rate_of_zero_is_a_way_of_zero() -> None:
    hypers = columns(lr=5e-3 * (np.arange(1400) < 700), mom=[.9] * 1400)
    rules = AdamAhead(hypers, True).nodes_of_step
    assert sum(rules[699][0]) > 0
    assert max(sum(heights) for heights, _ in rules[700:]) < 1e-290


def test_how_far_momentum_reaches() -> None:
    def reach_of(*mom: float) -> int:
        return reach({"lr": np.full(len(mom), .1), "wd": np.full(len(mom), .01),
                      "mom": np.array(mom)})
    assert .9 ** (reach_of(.5, .9) - 5) > 1e-10 > .9 ** (reach_of(.5, .9) + 5)
    assert reach_of(.5, float("nan")) > 2000
    assert reach_of(0.) == 1
