"""Schedules of one's own: phases one after the other, and the flat rate that ends in a cosine."""
from math import cos, pi
from typing import Any

import numpy as np
import pytest
from tiny import answer, fit_quietly, frozen_copy, line_learner, three_groups

from minifast.callbacks import GeneralScheduler, TrainingPhase
from minifast.optim import annealing_cos, annealing_exp, annealing_poly
from minifast.train import Learner


def run(phases: list[TrainingPhase], n_batches: int, epochs: int = 1, learn: Learner | None = None,
        **kwargs: Any) -> Learner:
    learn = learn or line_learner(n_batches)
    return fit_quietly(learn, epochs, .5, callbacks=[GeneralScheduler(learn, phases, **kwargs)])


@pytest.mark.parametrize(("anneal", "formula"), [
    (None, lambda p: .2 + .6 * p),
    (annealing_cos, lambda p: .8 - .3 * (1 + cos(pi * p))),
    (annealing_exp, lambda p: .2 * 4 ** p),
    (annealing_poly(3), lambda p: .8 - .6 * (1 - p) ** 3)])
def test_one_phase_is_its_curve(anneal: Any, formula: Any) -> None:
    learn = run([TrainingPhase(8).schedule_hp("lr", (.2, .8), anneal)], 8)
    np.testing.assert_allclose(learn.recorder.lrs, [formula(i / 8) for i in range(8)], rtol=1e-12)
    assert learn.opt.lr == pytest.approx(.8)  # the end is left in the optimizer
    assert learn.recorder.moms == [0] * 8


def test_phases_in_turn() -> None:
    """As in v1, the batch between two phases has the end of the first."""
    learn = run([TrainingPhase(4).schedule_hp("lr", (0., .4)).schedule_hp("mom", .9),
                 TrainingPhase(2).schedule_hp("lr", (1., 2.)),
                 TrainingPhase(3).schedule_hp("mom", (.5, .2))], 9)
    np.testing.assert_allclose(learn.recorder.lrs, [0, .1, .2, .3, .4, 1.5, 2, 2, 2])
    np.testing.assert_allclose(learn.recorder.moms, [.9] * 7 + [.4, .3])


@pytest.mark.parametrize(("vals", "anneal", "expected"), [
    (.3, None, [.3] * 4), (.4, annealing_cos, [.2 * (1 + cos(pi * i / 4)) for i in range(4)])])
def test_one_value_stays_or_falls_to_nothing(vals: Any, anneal: Any, expected: Any) -> None:
    learn = run([TrainingPhase(4).schedule_hp("lr", vals, anneal)], 4)
    np.testing.assert_allclose(learn.recorder.lrs, expected)


def test_training_ends_with_the_phases() -> None:
    learn = run([TrainingPhase(3).schedule_hp("lr", .1)], 2, epochs=5)
    assert learn.recorder.nb_batches == [2, 1]  # v1 trains a batch after the last phase


def test_an_empty_phase_takes_one_step() -> None:
    learn = run([TrainingPhase(0).schedule_hp("lr", .1), TrainingPhase(2).schedule_hp("lr", .2)], 3)
    assert learn.recorder.lrs == [.1, .1, .2]


def test_a_schedule_goes_on_at_an_epoch() -> None:
    phases = [TrainingPhase(6).schedule_hp("lr", (0., .6)).schedule_hp("mom", .7),
              TrainingPhase(2).schedule_hp("lr", .5)]
    learn = run(phases, 2, epochs=3, start_epoch=1)
    np.testing.assert_allclose(learn.recorder.lrs, [.2, .3, .4, .5, .6, .5])
    assert learn.recorder.moms == [.7] * 6


def test_each_layer_group_has_its_curve() -> None:
    learn = three_groups()
    seen: list[Any] = []

    class Watch(GeneralScheduler):
        def on_batch_begin(self, train: bool = True, **state: Any) -> None:
            if train:
                seen.append(self.learn.opt.get_hyper("lr"))
    starts, ends = [.001, .002, .003], [.01, .02, .03]
    fit_quietly(learn, 1, callbacks=[Watch(learn, [
        TrainingPhase(10).schedule_hp("lr", (starts, ends)).schedule_hp("wd", (.1, .2))])])
    np.testing.assert_allclose(seen, np.linspace(starts, ends, 11)[:10])
    np.testing.assert_allclose(learn.opt.get_hyper("wd"), [.2] * 3)


def test_what_cannot_be_scheduled() -> None:
    with pytest.raises(ValueError, match=r"whole number of batches, got 2\.5"):
        TrainingPhase(2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="whole number of batches, got -1"):
        TrainingPhase(-1)
    with pytest.raises(ValueError, match=r"lr goes from one value to another, got 3 in \(1, 2"):
        TrainingPhase(1).schedule_hp("lr", (1, 2, 3))
    with pytest.raises(TypeError, match=r"a list of TrainingPhase, got 0\.1 in it"):
        GeneralScheduler(line_learner(), [.1])  # type: ignore[list-item]
    learn = line_learner()
    before = frozen_copy(learn)
    for phases, message in (
            ([], "no phases"),
            ([TrainingPhase(1).schedule_hp("rate", .1)], "no 'rate' to schedule; it has lr, mom"),
            ([TrainingPhase(1).schedule_hp("lr", [.1, .2])], "2 values of lr are scheduled for 1")):
        with pytest.raises(ValueError, match=message):
            run(phases, 2, learn=learn)
    assert {k: frozen_copy(learn)[k] for k in before} == before


# ------------------------------------------------------------------------------ flat, then cosine


def test_fit_fc_by_the_formula() -> None:
    """25 batches: int(25 * 0.72) = 18 of them flat, then half a cosine over the 7 that are left."""
    learn = line_learner(5)
    with learn.no_logging():
        learn.fit_fc(5, .3)
    flat = [.3] * 18
    fall = [.15 * (1 + cos(pi * i / 7)) for i in range(7)]
    np.testing.assert_allclose(learn.recorder.lrs, flat + fall, rtol=1e-12)
    assert learn.recorder.moms == [.95] * 19 + [.85] * 6
    assert learn.opt.lr == pytest.approx(0, abs=1e-15)
    assert learn.recorder.nb_batches == [5] * 5


def test_fit_fc_s_arguments() -> None:
    learn = three_groups()
    ends = answer("epoch_end", stop_training=True)
    with learn.no_logging():
        learn.fit_fc(2, slice(1e-3, 1e-1), moms=(.8, .6), start_pct=.5, wd=.2, callbacks=[ends])
    np.testing.assert_allclose(learn.recorder.group_lrs, [[1e-3, 1e-2, 1e-1]] * 10)
    assert learn.recorder.moms == [.8] * 10
    assert learn.opt.get_hyper("wd") == [.2] * 3
    assert learn.flat_cos_anneal_scheduler.learn is learn
    with pytest.raises(ValueError, match=r"from 0 to 1, got 1\.5"):
        learn.fit_fc(1, start_pct=1.5)


@pytest.mark.parametrize(("start_pct", "lrs"), [
    (1., [.2] * 4), (0., [.2, .2, *[.1 * (1 + cos(pi * i / 4)) for i in (1, 2)]])])
def test_fit_fc_at_its_ends(start_pct: float, lrs: list[float]) -> None:
    learn = line_learner(4)
    with learn.no_logging():
        learn.fit_fc(1, .2, start_pct=start_pct)
    np.testing.assert_allclose(learn.recorder.lrs, lrs, rtol=1e-12)
