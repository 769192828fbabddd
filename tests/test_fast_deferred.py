"""Deferred updates against the dense optimizer: the same weights and state, for less work."""
import copy
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fast_training import (
    MAKERS,
    RATES,
    TOLERANCE,
    Known,
    Training,
    assert_equal,
    assert_plain,
    distance,
    flats,
    is_deferred,
    pair,
    trainings_end,  # noqa: F401
)
from tiny import Spy, fit_quietly

import minifast.fold_in  # noqa: F401  (adds learn.add_user)
from minifast import callbacks as cbs
from minifast import tensor
from minifast.collab import CollabLearner, EmbeddingDotBias, collab_learner
from minifast.data import CollabDataBunch
from minifast.datasets import movielens_100k
from minifast.fast import accelerate, coefficients, deferred_table
from minifast.fast.coefficients import LENGTH, LONGEST, AdamCoefficients, SGDCoefficients, horizon
from minifast.fast.deferred_table import PATIENCE, DeferredTable
from minifast.fast.flat import Chunk
from minifast.fast.future import Schedules
from minifast.fast.quadrature import ACCURACY, gauss
from minifast.fast.sparse_grad import SparseGrad
from minifast.nn import Embedding
from minifast.optim import SGD, Adam, Optimizer, RMSProp, one_cycle

pytestmark = pytest.mark.cpu_only("updates are deferred on the CPU; elsewhere tables stay dense")
Array = np.ndarray
both = pytest.mark.parametrize("name", MAKERS)


# ---------------------------------------------------------------- the same results


def short_fit(fast: bool, n: int, lr: float, one: bool, scale: float) -> list[list[Array]]:
    """Weights after each of ``n`` steps of Adam, on the fast path after the last one only.

    The gradients are ``scale`` times those of the squared error. Small ones come near Adam's eps,
    where rules need the most nodes.
    """
    model = EmbeddingDotBias(5, 300, 200, [0, 5.5], seed=0)
    for p in model.parameters():
        p.data = p.data.astype(np.float64)
    opt, rng = Adam(model.parameters(), lr=lr, wd=.1), np.random.default_rng(0)
    rates, moms = one_cycle(300, lr) if one else (lambda i: lr, lambda i: .9)
    known, found = Known(300, lr=rates, mom=moms), []
    with accelerate(model, opt, [known], always=True) if fast else nullcontext():
        for known.position in range(n):
            opt.set_hypers(lr=rates(known.position), mom=moms(known.position))
            y = tensor(rng.integers(1, 6, 4).astype(np.float64))
            output = model(tensor(rng.integers(0, 300, 4)), tensor(rng.integers(0, 200, 4)))
            (((output - y) ** 2).mean() * scale).backward()
            opt.step()
            opt.zero_grad()
            if not fast:
                found.append([p.data.copy() for p in model.parameters()])
    return found or [[p.data for p in model.parameters()]]


@pytest.mark.parametrize("scale", [1., 1e-4])
@pytest.mark.parametrize("one", [False, True], ids=["constant", "one cycle"])
@pytest.mark.parametrize("lr", [1e-2, 1e-1])
def test_adam_is_exact_at_any_length(lr: float, one: bool, scale: float) -> None:
    """With default nodes no weight is off by 1e-6 of the largest, however short the fit is."""
    truth = short_fit(False, 300, lr, one, scale)
    for n in (*range(1, 20), *range(20, 300, 40), 300):
        for ours, theirs in zip(short_fit(True, n, lr, one, scale)[0], truth[n - 1], strict=True):
            assert abs(ours - theirs).max() < 1e-6 * max(abs(w).max() for w in truth[n - 1])


@pytest.mark.parametrize(("name", "wd", "options"), [
    ("SGD", 1e-3, {}), ("SGD", .1, {}), ("Adam", .1, {"eps": 1e-5}), ("Adam", .01, {})])
def test_thousands_of_steps_of_one_cycle(name: str, wd: float, options: dict[str, Any]) -> None:
    """A whole training, each step from the weights that the previous one has made."""
    def run(fast: bool, dtype: Any) -> dict[str, Array]:
        training = Training(name, fast, dtype, wd, steps=2500, **options).step(2500)
        assert training.deferred == [fast] * 4
        return training.model.state_dict()
    truth = run(False, np.float64)
    assert distance(run(True, np.float64), truth) < TOLERANCE[name]
    rounding = distance(run(False, np.float32), truth)
    assert rounding < 1e-5
    assert distance(run(True, np.float32), truth) < 2 * rounding


@pytest.mark.parametrize(("nodes", "bound"), [(1, 1e-3), (2, 1e-5), (4, 1e-7), (8, 1e-11)])
def test_more_nodes_come_closer(nodes: int, bound: float) -> None:
    ours, theirs = (Training("Adam", fast, np.float64, nodes=nodes, eps=1e-5).step(300)
                    for fast in (True, False))
    assert bound / 100 < distance(ours.model, theirs.model) < bound


def test_as_many_nodes_as_it_takes() -> None:
    """In float64 the default is far below 1e-9 at any length of the training."""
    for n in (3, 30, 800):
        ours, dense = (Training("Adam", fast, np.float64, nodes=None, eps=1e-5, steps=n).step(n)
                       for fast in (True, False))
        assert distance(ours.model, dense.model) < 1e-10


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rules_that_are_not_accurate_are_not_used(dtype: Any) -> None:
    """With momentum as slow as the root of the mean square, terms are too far apart."""
    ours, dense = (Training("Adam", fast, kind, nodes=None, eps=1e-3, beta=.9).step(5, mom=.9)
                   for fast, kind in ((True, dtype), (False, np.float64)))
    assert distance(ours.model, dense.model) < (1e-9 if dtype is np.float64 else 1e-6)


def test_few_nodes_are_enough_for_float32() -> None:
    """Hardly more than two, except in the first steps."""
    ours = Training("Adam", True, np.float32, nodes=None, eps=1e-5, steps=800).step(800)
    flat, = flats(ours.opt)
    assert flat.deferred is not None
    made = flat.deferred.coefficients  # from step LENGTH on
    assert isinstance(made, AdamCoefficients)
    assert {len(weights) for weights, _ in made.rules} <= {2, 3}


def a_hundred_steps(kind: type[Training], name: str, wd: float) -> None:
    """In float32, with the default number of nodes, against the dense steps of float64."""
    fast = kind(name, True, wd=wd, steps=100, nodes=None).step(100)
    truth = kind(name, False, np.float64, wd, 100).step(100)
    assert all(fast.deferred)
    assert distance(fast.model, truth.model) < 1e-5
    assert distance(fast.opt, truth.opt) < 1e-5


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
    """Momentum zero leaves none on other rows; momentum of a half soon overflows its inverse."""
    ours, theirs = pair(name)
    for training in (ours, theirs):
        del training.known.curves["mom"]
    for _ in range(3):
        assert_equal(ours.step(60, mom=mom), theirs.step(60, mom=mom), name)


@both
def test_rows_that_no_batch_reads(name: str) -> None:
    """They shrink by weight decay as they do densely, and have no momentum."""
    ours, theirs = pair(name)
    for training in (ours.step(100), theirs.step(100)):
        assert not (training.ids[0] == 0).any()
    row, same = (t.model.u_weight.weight.numpy()[0] for t in (ours, theirs))
    np.testing.assert_allclose(row, same, rtol=1e-12)
    assert abs(row).max() > 0


@both
def test_biases_without_decay_and_a_rate_for_each_group(name: str) -> None:
    results = []
    for fast in (True, False):
        training = Training(name, False, np.float64)
        model, lr = training.model, RATES[name]
        for table in (model.u_bias, model.i_bias):
            table.weight.no_wd = True
        training.fast = fast
        del training.known.curves["lr"]
        training.use(MAKERS[name]([[model.u_weight.weight, model.u_bias.weight],
                                   [model.i_weight.weight, model.i_bias.weight]],
                                  lr=[lr, lr / 3], wd=.1, bn_wd=False))
        training.step(150, lr=[lr, lr / 3])
        assert any(training.deferred) == fast
        results.append(training)
    assert_equal(*results, name)


def test_a_curve_for_each_layer_group() -> None:
    """The schedules of the groups are told apart, and so is the end that each stays at."""
    known = Known(3, mom=lambda step: .9)
    known.curves["lr"] = [lambda step: .1 * step, lambda step: .2 * step]
    known.position = 1
    schedules = Schedules([known])
    for group, rate in ((0, .1), (1, .2)):
        told = schedules.future(group, {"lr": rate, "mom": .9, "wd": .3})(4)
        np.testing.assert_allclose(told["lr"], [rate, 2 * rate, 3 * rate, 3 * rate])
        assert (told["mom"].tolist(), told["wd"].tolist()) == ([.9] * 4, [.3] * 4)
    other = schedules.future(0, {"lr": .7, "mom": .9, "wd": .3})(3)  # somebody else has set it
    assert other["lr"].tolist() == [.7] * 3


# ---------------------------------------------------------------- the work of a step


def counting(whole: Callable[..., Any], seen: list[int]) -> Callable[..., Any]:
    """``whole``, which notes how many elements it is given."""
    def counted(*given: Any, **more: Any) -> Any:
        arrays = [a for x in (*given, *more.values())
                  for a in (x[:2] if isinstance(x, SparseGrad) else [x])]
        seen.append(sum(a.size for a in arrays if isinstance(a, np.ndarray)))
        return whole(*given, **more)
    return counted


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of elements that the functions of a step see."""
    found: list[int] = []
    places = [(module, "evaluate") for module in (coefficients, deferred_table)]
    places += [(kind, "remaining") for kind in (SGDCoefficients, AdamCoefficients)]
    places += [(DeferredTable, name) for name in ("lookup", "_put", "_by_chunk", "_unique")]
    for place, name in places:
        monkeypatch.setattr(place, name, counting(getattr(place, name), found))
    throughout, chunk_step = DeferredTable._throughout, Chunk.step
    monkeypatch.setattr(DeferredTable, "_throughout", lambda table, *given: (
        found.append(table.store.data.size), throughout(table, *given)))
    monkeypatch.setattr(Chunk, "step", lambda chunk, steps, hypers: (
        found.append(chunk.data.size), chunk_step(chunk, steps, hypers)))
    return found


@both
def test_the_work_of_a_step_does_not_depend_on_the_table(name: str, seen: list[int]) -> None:
    """Elements that a step's functions see, counted: the batch's rows, whatever the table."""
    def work(n: int) -> int:
        table = Embedding(n, 4, seed=0)
        opt = MAKERS[name]([table.weight], lr=.1)
        with accelerate(table, opt, always=True, nodes=8):
            for k in range(3):
                seen.clear()
                (table(tensor(np.arange(k, k + 50) * 7 % 100)) ** 2).sum().backward()
                opt.step()
                opt.zero_grad()
                if not k:
                    assert sum(seen) > 4 * n  # the first one defers the whole table
            assert is_deferred(table.weight)
            return sum(seen)
    assert 0 < work(1000) == work(100_000) <= 50 * 4 * 20


def test_small_tables_and_large_shares_stay_dense() -> None:
    training = Training("Adam", True, always=False).step(3)
    assert training.deferred == [False] * 4
    for n_ids, deferred in ((1000, True), (4000, False)):
        table = Embedding(10_000, 40)
        opt = Adam([table.weight], lr=.1)
        with accelerate(table, opt):
            table(tensor(np.arange(n_ids))).sum().backward()
            opt.step()
            assert is_deferred(table.weight) == deferred


@both
def test_a_batch_that_names_a_row_twice(name: str) -> None:
    tables = [Embedding(100, 3, seed=0) for _ in range(2)]
    for table, fast in zip(tables, (True, False), strict=True):
        opt = MAKERS[name]([table.weight], lr=.1, wd=.1)
        with accelerate(table, opt, always=True, nodes=8) if fast else nullcontext():
            for ids in ([[1, 1], [1, 7]], [[7, 2], [2, 2]], [[1, 2], [3, 4]]):
                (table(tensor(ids)) ** 2).sum().backward()
                opt.step()
                opt.zero_grad()
            assert is_deferred(table.weight) == fast
    np.testing.assert_allclose(tables[0].weight.numpy(), tables[1].weight.numpy(), atol=3e-7)


# ---------------------------------------------------------------- reading and changing values


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
def test_a_first_and_a_last_step_without_gradient(name: str) -> None:
    ours, theirs = pair(name)
    for training in (ours, theirs):
        training.opt.step()
        training.step(3)
        training.opt.step()
        assert training.deferred == [training.fast] * 4
    assert_equal(ours, theirs, name)


@both
def test_a_gradient_of_the_whole_table(name: str) -> None:
    """A penalty on all weights: the table is dense for that step, and gets the dense gradient."""
    ours, theirs = pair(name)
    for training in (ours.step(5), theirs.step(5)):
        training.backward()
        (training.model.u_weight.weight ** 2).sum().backward()
        training.opt.step()
        assert training.deferred[0] is False
        training.opt.zero_grad()
    ours.step(5)
    assert all(ours.deferred)
    assert_equal(ours, theirs.step(5), name)


@both
def test_whoever_asks_sees_the_dense_gradient(name: str) -> None:
    ours, theirs = pair(name)
    for training in (ours.step(20), theirs.step(20)):
        training.backward()
    for p, q in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad, atol=1e-9)
    assert all(ours.deferred)
    for training in (ours, theirs):
        training.opt.step()
        training.opt.zero_grad()
    assert_equal(ours.step(20), theirs.step(20), name)


@both
def test_asking_for_a_shape_materializes_nothing(name: str) -> None:
    training = Training(name, True).step(3)
    table = training.model.u_weight.weight
    assert (table.ndim, table.shape[1], table.numel() // table.shape[0]) == (2, 8, 8)
    assert (table.dtype, table.device) == (np.float32, "cpu")
    assert all(training.deferred)


@both
def test_a_step_after_which_nothing_is_left_of_the_weights(name: str) -> None:
    """Where lr wd is 1 a row's earlier value cannot be computed back: such steps are dense."""
    ours, theirs = pair(name)
    for training in (ours, theirs):
        rates = [.1, .1, 10., .1, .1]
        training.known.n_steps = 3
        training.known.curves = {"lr": [rates.__getitem__], "mom": [lambda step: 0.]}
        for lr in rates:
            training.step(1, lr=lr, mom=0., wd=.1)
    assert_equal(ours, theirs, name)


def test_a_mean_square_without_memory_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for mom in (0., .9):
            Training("Adam", True, beta=0.).step(2, mom=mom)


@both
def test_rates_that_no_schedule_tells(name: str) -> None:
    ours, theirs = pair(name)
    for training in (ours, theirs):
        training.step(30)
        training.step(30, lr=RATES[name] / 7)  # against the schedule
        training.step(10)
        for k in range(10):
            training.step(1, lr=RATES[name] / (k + 1), wd=.02 * k)
        training.known.curves = {}
        training.step(900, lr=RATES[name] / 9, mom=.9, wd=.1)  # longer than is planned at a time
    assert all(ours.deferred)
    assert_equal(ours, theirs, name)


@both
@pytest.mark.parametrize("n", [400, 500])
def test_a_schedule_that_is_given_up(name: str, n: int) -> None:
    """The old one has a drop that never comes; up to there the rates agree with it."""
    ours, theirs = pair(name)
    rate, drop = RATES[name] / 9, LENGTH + 28
    for training in (ours, theirs):
        training.known.n_steps = drop
        training.known.curves = {"lr": [lambda step: rate if step < drop else 0.],
                                 "mom": [lambda step: .9]}
        training.step(300, lr=rate, mom=.9)
        training.known.curves = {}
        training.step(n, lr=rate, mom=.9)
    assert all(ours.deferred)
    assert_equal(ours, theirs, name)


@both
def test_decay_so_strong_that_its_product_vanishes(name: str) -> None:
    ours, theirs = pair(name, wd=.2 / RATES[name])
    for training in (ours, theirs):
        training.known.curves = {}
        training.step(120, lr=RATES[name], mom=.5)  # .8 ** 120 is 2e-12
    assert all(ours.deferred)
    assert_equal(ours, theirs, name)


@both
def test_reading_weights_leaves_the_next_gradient_alone(name: str) -> None:
    """A gradient that adds up, read before the weights are, and again after them."""
    ours, theirs = pair(name)
    for training in (ours, theirs):
        weight = training.model.u_weight.weight
        (weight ** 2).sum().backward()
        training.step(9)  # the first of them dense
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
    """Weights that decay to nothing at once, a momentum that never ends: dense steps."""
    ours, theirs = pair(name)
    for training in (ours.step(10), theirs.step(10)):
        training.step(3, lr=10., wd=.1)
        training.step(3, mom=.9999)
    assert not any(ours.deferred)
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
def test_freezing_a_deferred_table_that_nobody_has_read(name: str) -> None:
    """It stays where its last step has left it."""
    ours, theirs = pair(name)
    for training in (ours.step(40), theirs.step(40)):
        training.model.u_weight.weight.requires_grad_(False)
        training.step(40)
    assert_equal(ours, theirs, name)


@both
def test_state_goes_from_dense_to_deferred_and_back(name: str) -> None:
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
    deferred = []
    for training in (ours, theirs):
        first = training.opt
        second = SGD(training.model.parameters(), lr=.5, mom=.9, wd=.01)
        for turn in range(6):
            training.use((first, second)[turn % 2])
            training.step(PATIENCE + 4, lr=(5e-3, .5)[turn % 2], mom=.9)
            deferred.append(all(training.deferred))
        training.use(first)
    assert deferred == [True] * 6 + [False] * 6
    assert_equal(ours, theirs, "Adam")


def test_two_optimizers_of_a_part_each() -> None:
    """Of users and of items: each keeps its own tables, and the layers find all of them."""
    results = []
    for fast in (True, False):
        training = Training("Adam", False, np.float64)
        model, opt = training.model, training.opt
        opts = [MAKERS[name]([getattr(model, f"{who}_{what}").weight
                              for what in ("weight", "bias")], lr=RATES[name], wd=.1)
                for who, name in (("u", "Adam"), ("i", "SGD"))]
        training.fast = fast
        for part in opts:
            training.use(part)
        training.opt = opt
        for k in range(40):
            training.number = k
            training.backward()
            for part in opts:
                part.step()
                part.zero_grad()
        results.append((model, *opts))
    for ours, theirs in zip(*results, strict=True):
        assert distance(ours, theirs) < TOLERANCE["Adam"]


def test_copies_have_the_newest_weights() -> None:
    ours, theirs = pair("SGD")
    ours.step(30)
    twin = copy.deepcopy(ours.model)
    assert_plain(twin, None)
    assert distance(twin, theirs.step(30).model) < 1e-9


@pytest.mark.parametrize("make", [partial(SGD, mom=.9, true_wd=False),
                                  partial(Adam, true_wd=False), RMSProp])
def test_optimizers_without_a_formula_stay_dense(make: Callable[..., Optimizer]) -> None:
    results = []
    for fast in (True, False):
        training = Training("SGD", False, np.float64)
        training.fast = fast
        training.use(make(training.model.parameters(), lr=1e-3, wd=.1))
        training.step(20, lr=1e-3)
        assert not any(training.deferred)
        results.append(training)
    assert_equal(*results, "SGD")


# ---------------------------------------------------------------- learners


@pytest.fixture
def learners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[CollabLearner]]:
    """Makes two learners that differ in ``fast`` alone: [fast, plain].

    The tables of the fast one are deferred, although they are small.
    """
    monkeypatch.setattr("minifast.fast.deferred_updates.SMALLEST", 1)
    monkeypatch.setattr(deferred_table, "SHARE", 1e9)

    def make(name: str = "Adam", **options: Any) -> list[CollabLearner]:
        made = []
        for fast in (True, False):
            data = CollabDataBunch.from_df(Training.frame[:4000], valid_pct=.1, seed=3, bs=64)
            learn = collab_learner(data, n_factors=6, y_range=[0, 5.5], wd=.1, seed=1,
                                   path=tmp_path / str(fast), opt_func=MAKERS[name], **options)
            data.train_dl.rng = np.random.default_rng(5)
            learn.fast = fast
            made.append(learn)
        return made
    return make


def same(fast: CollabLearner, plain: CollabLearner) -> None:
    """Float32 trainings that round differently at each step, some hundred steps long."""
    assert distance(fast.model, plain.model) < 1e-5
    assert distance(fast.optimizer, plain.optimizer) < 2e-5
    for ours, theirs in zip(fast.recorder.val_losses, plain.recorder.val_losses, strict=True):
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
], ids=["clipping", "accumulating", "plateau", "saving", "ending early", "reading", "halving"])
def test_callbacks(name: str, callback: Callable[..., Any], learners: Any,
                   capsys: pytest.CaptureFixture[str]) -> None:
    pair = learners(name, callback_fns=[callback])
    for learn in pair:
        fit_quietly(learn, 3, RATES[name])
        assert_plain(learn.model, learn.opt)
    same(*pair)


def test_the_table_of_groups_within_a_fit(learners: Any) -> None:
    tables: list[str] = []
    for learn in learners():
        def look(event: str, state: Any, learn: Any = learn) -> None:
            if event == "step_end" and state["iteration"] == 20:
                tables.append(str(learn.group_table()))
        fit_quietly(learn, 1, 5e-3, callbacks=[Spy(look)])
    assert tables[0] == tables[1]


def test_lr_find_puts_everything_back(learners: Any, capsys: Any) -> None:
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
    fast, plain = ([float(x) for x in learn.recorder.losses] for learn in pair)
    assert fast == pytest.approx(plain, rel=1e-4)


def test_a_fit_after_lr_find_is_the_same_to_the_bit(learners: Any, capsys: Any) -> None:
    found = []
    for find in (False, True):
        learn = learners()[0]
        with learn.no_logging():
            learn.fit_one_cycle(1, 5e-3)
            if find:
                learn.lr_find(num_it=30)
            learn.fit_one_cycle(1, 5e-3)
        found.append(learn.model.state_dict())
    for name, value in found[0].items():
        np.testing.assert_array_equal(found[1][name], value)


def test_checkpoints_new_users_and_predictions(learners: Any) -> None:
    fast, plain = learners()
    for learn in (fast, plain):
        fit_quietly(learn, 1, 5e-3)
        learn.save("one")
        fit_quietly(learn, 1, 5e-3)
        learn.load("one")
        fit_quietly(learn, 1, 5e-3)
    same(fast, plain)
    titles = plain.data.categories[1].classes[1:4]
    for learn in (fast, plain):
        learn.add_user(dict.fromkeys(titles, 5.), name="new")
        fit_quietly(learn, 1, 5e-3)
    same(fast, plain)


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
    """Seven thousand steps in float32, each form rounding in its own way."""
    frame, fits = movielens_100k(movielens), []
    for fast in (True, False):
        data = CollabDataBunch.from_df(frame, .1, item_name="title", seed=42)
        data.train_dl.rng = np.random.default_rng(5)
        learn = collab_learner(data, n_factors=40, y_range=[0, 5.5], wd=.1, seed=1)
        learn.fast = fast
        with learn.no_logging():
            learn.fit_one_cycle(5, 6e-3)
        fits.append([float(learn.recorder.losses[-1]),
                     *(float(loss) for loss in learn.recorder.val_losses)])
    assert len(fits[0]) == 6
    assert fits[0] == pytest.approx(fits[1], rel=1e-5)


def test_automatic_choice_in_a_learner(monkeypatch: pytest.MonkeyPatch, learners: Any) -> None:
    fast, plain = learners()
    monkeypatch.undo()
    monkeypatch.setattr("minifast.fast.deferred_updates.SMALLEST", 1000)
    deferred: list[bool] = []
    fit_quietly(plain, 2, 5e-3)
    fit_quietly(fast, 2, 5e-3, callbacks=[Spy(lambda event, state: deferred.append(
        is_deferred(fast.model.u_weight.weight)) if event == "step_end" else None)])
    assert deferred.count(True) > .6 * len(deferred)
    same(fast, plain)


def test_values_that_are_read_often_stay_dense(learners: Any, monkeypatch: pytest.MonkeyPatch
                                               ) -> None:
    """Changing the form takes a pass over the table; it is worth it for PATIENCE steps or more."""
    fast, _ = learners()
    read: list[bool] = []

    def look(event: str, state: Any) -> None:
        if event == "step_end" and state["train"]:
            read.append(is_deferred(fast.model.u_weight.weight))
            assert fast.model.u_weight.weight.data is not None
    fit_quietly(fast, 1, 5e-3, callbacks=[Spy(look)])
    assert read[:2 * PATIENCE + 2] == ([True] + [False] * PATIENCE) * 2


# ---------------------------------------------------------------- Gauss's rule and coefficients


def test_nodes_are_exact_for_powers_of_the_node() -> None:
    rng = np.random.default_rng(0)
    weights, nodes = rng.random((5, 40)), .1 + rng.random((5, 40))
    for n in (1, 2, 4):
        few, at = gauss(weights, nodes, n)
        for power in range(1 - n, n + 1):
            np.testing.assert_allclose((few * at**power).sum(1),
                                       (weights * nodes**power).sum(1), rtol=1e-9)


def columns(lr: Any, mom: Any) -> dict[str, Any]:
    """Hyper-parameters of as many steps."""
    rest = {"wd": .1, "beta": .99, "eps": 1e-8}
    return {"lr": np.array(lr), "mom": np.array(mom),
            **{name: np.full(len(lr), value) for name, value in rest.items()}}


@pytest.mark.parametrize("steps", [0, 100])
@pytest.mark.parametrize("nodes", [2, 4, 8, None])
def test_a_rule_in_two_stages_is_the_rule_of_all_terms(nodes: int | None, steps: int) -> None:
    """And by default, its error is as small as it promises, whatever the mean square is."""
    lr, mom = one_cycle(1600, 5e-3)
    hypers = columns(lr=[lr(steps + i) for i in range(1400)],
                     mom=[mom(steps + i) for i in range(1400)])
    made = AdamCoefficients(hypers, steps, nodes)
    ends = [0, 1, 7, made.length - 33, made.length - 1, made.length]
    k = np.array(ends)[:, None]
    weights, at = made._terms(k, np.arange(1400 - made.length))
    decayed = made._decay(k, np.array([1]))  # seen from the step's middle
    weights, at = weights / decayed[0], at / decayed[1]
    for root in (0, .01, .3, 1, 3, 100):
        truth = (weights / (root + at)).sum(1)
        found = [sum(w / (root + e / 1e-8) for w, e in zip(*made.rules[k], strict=True))
                 for k in ends]
        if nodes is None:
            np.testing.assert_allclose(found, truth, rtol=2 * ACCURACY["float32"][0])
        else:
            w, e = gauss(weights, at, nodes)
            np.testing.assert_allclose(found, (w / (root + e)).sum(1), rtol=1e-9)


def test_with_a_rate_of_zero_nothing_moves() -> None:
    hypers = columns(lr=5e-3 * (np.arange(1400) < 700), mom=[.9] * 1400)
    rules = AdamCoefficients(hypers).rules
    assert sum(rules[699][0]) > 0
    assert max(sum(weights) for weights, _ in rules[700:]) < 1e-290


def test_how_long_momentum_lasts() -> None:
    def horizon_of(*mom: float) -> int:
        return horizon({"lr": np.full(len(mom), .1), "wd": np.full(len(mom), .01),
                        "mom": np.array(mom)})
    assert .9 ** (horizon_of(.5, .9) - 5) > 1e-10 > .9 ** (horizon_of(.5, .9) + 5)
    assert horizon_of(.5, float("nan")) > LONGEST
    assert horizon_of(0.) == 1
