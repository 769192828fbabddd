"""Fits that go on after they were stopped end with the same bytes as fits that never were."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import Spy, frozen_copy, plain_sgd, ratings_data, three_groups

from minifast.callbacks import AccumulateScheduler, EarlyStoppingCallback, MixUpCallback
from minifast.checkpoints import CheckpointCallback
from minifast.collab import collab_learner
from minifast.data import CollabDataBunch
from minifast.datasets import planted_ratings
from minifast.metrics import mae
from minifast.nn import MSELossFlat
from minifast.train import CheckpointError, Learner

Make = Callable[[Path], Learner]


class Stopped(Exception):  # noqa: N818
    """What stops a fit in these tests."""


def groups(path: Path, **kwargs: Any) -> Learner:
    """Batch norm, dropout, three layer groups, shuffled rows, a metric."""
    return three_groups(.3, path=path, metrics=[mae], **kwargs)


def frozen(path: Path) -> Learner:
    learn = groups(path, train_bn=False)
    learn.freeze_to(1)
    return learn


def dot(path: Path) -> Learner:
    """Large enough for deferred updates."""
    ratings = planted_ratings(900, 800, 4000, seed=1).ratings
    data = CollabDataBunch.from_df(ratings, seed=3, bs=64)
    data.train_dl.rng = np.random.default_rng(2)
    return collab_learner(data, 20, y_range=[0, 5.5], seed=1, path=path)


def network(path: Path) -> Learner:
    data = ratings_data()
    data.train_dl.rng = np.random.default_rng(2)
    return collab_learner(data, use_nn=True, layers=[6], ps=.2, emb_drop=.1, seed=1, path=path)


def accumulating(path: Path) -> Learner:
    learn = groups(path)
    learn.callback_fns.append(lambda learn: AccumulateScheduler(learn, 3))
    return learn


def mixing(path: Path) -> Learner:
    learn = groups(path, loss_func=MSELossFlat())
    learn.callback_fns.append(MixUpCallback)
    return learn


MAKERS: dict[str, Make] = {make.__name__: make for make in (groups, frozen, dot, network,
                                                            accumulating, mixing)}


def all_of(learn: Learner) -> tuple[Any, ...]:
    """Weights, optimizer and history, to the bit."""
    recorder = learn.recorder
    return (frozen_copy(learn), learn.optimizer.hypers, [float(x) for x in recorder.losses],
            recorder.lrs, recorder.moms, recorder.group_lrs, recorder.val_losses,
            recorder.metrics, recorder.nb_batches)


def stop_at(event: str, iteration: int) -> Spy:
    def hear(heard: str, state: dict[str, Any]) -> None:
        if heard == event and state["iteration"] >= iteration and state.get("train", True):
            raise Stopped
    return Spy(hear)


def fit(learn: Learner, *callbacks: Any, every: int = 1, unit: str = "epoch", epochs: int = 3,
        resume: bool = True, **kwargs: Any) -> Learner:
    saver = CheckpointCallback(learn, every=every, unit=unit, resume=resume)
    np.random.seed(7)
    with learn.no_logging():
        learn.fit_one_cycle(epochs, slice(1e-3, 1e-2), callbacks=[*callbacks, saver], **kwargs)
    return learn


def stop_and_go(make: Make, folder: Path, stops: list[tuple[str, int]], fast: bool,
                **kwargs: Any) -> Learner:
    """Stop a fit at each of these places, each time in a new learner, and bring it to its end."""
    for event, iteration in stops:
        learn = make(folder)
        learn.fast = fast
        with pytest.raises(Stopped):
            fit(learn, stop_at(event, iteration), **kwargs)
    np.random.seed(999)  # no matter what state the process is in
    learn = make(folder)
    learn.fast = fast
    return fit(learn, stop_at("train_end", 10 ** 9), **kwargs)


@pytest.mark.cpu_only("bytes of the CPU; the device's follow the same code")
@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(("every", "unit"), [(1, "epoch"), (2, "epoch"), (3, "batch")])
def test_the_bytes_are_those_of_a_fit_that_never_stopped(
        make: Make, every: int, unit: str, fast: bool, tmp_path: Path) -> None:
    whole = make(tmp_path / "whole")
    whole.fast = fast
    fit(whole, every=every, unit=unit)
    n = len(whole.data.train_dl)
    stops = [("batch_end", n // 2), ("backward_end", n), ("step_end", n + n // 2),
             ("batch_begin", 2 * n + 1), ("loss_begin", 2 * n + n // 2)]
    again = stop_and_go(make, tmp_path / "parts", stops, fast, every=every, unit=unit)
    assert all_of(again) == all_of(whole)
    assert len(again.recorder.losses) == 3 * n


def test_a_device_goes_on_too(tmp_path: Path) -> None:
    whole = fit(groups(tmp_path / "whole"), every=2, unit="batch")
    again = stop_and_go(groups, tmp_path / "parts", [("batch_end", 3)], True, every=2,
                        unit="batch")
    assert all_of(again) == all_of(whole)


def test_a_device_goes_on_with_embeddings(tmp_path: Path) -> None:
    """A device adds the gradients of repeated rows in any order, so the last bits are free."""
    whole = fit(network(tmp_path / "whole"), every=2, unit="batch")
    again = stop_and_go(network, tmp_path / "parts", [("batch_end", 3)], True, every=2,
                        unit="batch")
    losses = [[float(x) for x in learn.recorder.losses] for learn in (again, whole)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_on_the_plain_path_checkpoints_change_nothing(tmp_path: Path) -> None:
    whole, saved = groups(tmp_path), groups(tmp_path)
    whole.fast = saved.fast = False
    with whole.no_logging():
        whole.fit_one_cycle(3, slice(1e-3, 1e-2))
    assert all_of(fit(saved, every=2, unit="batch")) == all_of(whole)


@pytest.mark.parametrize("resume", [True, "mine"])
def test_the_short_way(resume: bool | str, tmp_path: Path) -> None:
    whole = fit(groups(tmp_path / "whole"))
    for stop in (stop_at("batch_end", 15), stop_at("train_end", 10 ** 9)):
        learn = groups(tmp_path)
        try:
            with learn.no_logging():
                learn.fit_one_cycle(3, slice(1e-3, 1e-2), callbacks=[stop], resume=resume)
        except Stopped:
            pass
    assert all_of(learn) == all_of(whole)
    name = "fit" if resume is True else resume
    assert [p.name for p in (tmp_path / "models").iterdir()] == [f"{name}.safetensors"]


def test_a_constant_rate_and_a_part_of_a_cycle(tmp_path: Path) -> None:
    for call in (lambda learn, cb: learn.fit(3, 1e-2, callbacks=cb, resume="a"),
                 lambda learn, cb: learn.fit_one_cycle(2, 1e-2, tot_epochs=3, start_epoch=1,
                                                       callbacks=cb, resume="b")):
        results = []
        for folder, stops in (("whole", []), ("parts", [3, 12])):
            for stop in [*stops, 10 ** 9]:
                learn = groups(tmp_path / folder)
                with learn.no_logging():
                    try:
                        call(learn, [stop_at("batch_end", stop)])
                    except Stopped:
                        assert stop < 10 ** 9
            results.append(all_of(learn))
        assert results[0] == results[1]


def test_early_stopping_remembers_and_the_end_is_the_end(tmp_path: Path) -> None:
    def make() -> tuple[Learner, list[Any]]:
        learn = groups(tmp_path)
        return learn, [EarlyStoppingCallback(learn, patience=0, min_delta=10.)]
    learn, callbacks = make()
    fit(learn, *callbacks, epochs=5)
    assert len(learn.recorder.val_losses) == 2
    before = all_of(learn)
    learn, callbacks = make()
    assert all_of(fit(learn, *callbacks, epochs=5)) == before  # nothing left to do


def test_an_ended_fit_of_the_same_learner_is_not_passed_over(tmp_path: Path) -> None:
    learn = fit(groups(tmp_path))
    before = learn.model.state_dict()["0.weight"]
    with pytest.raises(ValueError, match="has already completed the fit 'fit'; give the next one"):
        fit(learn)
    assert (learn.model.state_dict()["0.weight"] == before).all()
    fit(learn, resume=False)
    assert (learn.model.state_dict()["0.weight"] != before).any()


@pytest.mark.parametrize(("change", "words"), [
    (lambda learn: fit(learn, epochs=4), "epochs: 3 in the file, 4 here"),
    (lambda learn: fit(learn, wd=.5), "hyper-parameters"),
    (lambda learn: fit(learn, pct_start=.5), "schedules"),
    (lambda learn: fit(learn, EarlyStoppingCallback(learn)), "callbacks"),
    (lambda learn: (setattr(learn, "opt_func", plain_sgd), fit(learn)), "optimizer")])
def test_another_fit_is_refused(change: Any, words: str, tmp_path: Path) -> None:
    fit(groups(tmp_path))
    learn = groups(tmp_path)
    before = learn.model.state_dict()
    with pytest.raises(CheckpointError, match=rf"is of another fit: .*{words}.*resume="):
        change(learn)
    assert all((before[k] == v).all() for k, v in learn.model.state_dict().items())


def test_a_damaged_fit_is_refused(tmp_path: Path) -> None:
    learn = groups(tmp_path)
    fit(learn)
    path = tmp_path / "models" / "fit.safetensors"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="was changed since it was written"):
        fit(groups(tmp_path))
    learn.save("fit")
    with pytest.raises(CheckpointError, match="is not a fit"):
        fit(groups(tmp_path))


def test_the_weights_of_a_fit_can_be_loaded(tmp_path: Path) -> None:
    learn = fit(groups(tmp_path))
    other = groups(tmp_path).load("fit")
    assert frozen_copy(other) == frozen_copy(learn)


@pytest.mark.parametrize("wrong", [{"every": 0}, {"every": 1.5}, {"unit": "step"}])
def test_wrong_arguments(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"every=1, 2, ... unit='epoch' or 'batch'"):
        CheckpointCallback(groups(tmp_path), **wrong)


def test_the_table_shows_all_epochs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for stop in (25, 10 ** 9):
        learn = groups(tmp_path)
        saver = CheckpointCallback(learn, resume=True)
        try:
            learn.fit(3, 1e-2, callbacks=[saver, stop_at("batch_end", stop)])
        except Stopped:
            capsys.readouterr()
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["epoch", "0", "1", "2"]


def test_a_validation_and_a_learning_rate_finder_are_no_fits(tmp_path: Path) -> None:
    learn = groups(tmp_path)
    learn.callbacks = [CheckpointCallback(learn, unit="batch", resume=True)]
    learn.validate()
    path = tmp_path / "models" / "fit.safetensors"
    assert not path.exists()
    with learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
        content = path.read_bytes()
        learn.validate()
        learn.lr_find(num_it=5)
    assert path.read_bytes() == content


@pytest.mark.cpu_only("bytes of the CPU; the device's follow the same code")
@pytest.mark.parametrize("make", [groups, dot])
@pytest.mark.parametrize("fast", [True, False])
def test_the_same_learner_begins_again_if_it_was_stopped_before_a_save(
        fast: bool, make: Make, tmp_path: Path) -> None:
    """As in a notebook: Ctrl-C in the first epoch, then the same cell again."""
    ends = []
    for stops in ([3], []):
        learn = make(tmp_path / str(len(stops)))
        learn.fast = fast

        def stop(event: str, state: dict[str, Any], stops: list[int] = stops) -> None:
            if stops and event == "batch_end" and state["iteration"] == stops[0]:
                stops.pop()
                raise KeyboardInterrupt
        with learn.no_logging():
            if stops:
                with pytest.raises(KeyboardInterrupt):
                    learn.fit_one_cycle(2, 1e-2, callbacks=[Spy(stop)], resume=True)
            learn.fit_one_cycle(2, 1e-2, callbacks=[Spy(stop)], resume=True)
        ends.append(all_of(learn))
    assert ends[0] == ends[1]
