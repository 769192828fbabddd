"""The callbacks that minifast ships: early stopping, best model, plateaus, NaN, logs, clipping,
a few batches only, several batches for one step.
"""
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import (
    Spy,
    answer,
    fit_quietly,
    floats,
    frozen_copy,
    host,
    line_learner,
    rows,
    scripted,
    three_groups,
)

from minifast import Tensor
from minifast.autograd import tensor
from minifast.callbacks import (
    AccumulateScheduler,
    CSVLogger,
    EarlyStoppingCallback,
    GradientClipping,
    ReduceLROnPlateauCallback,
    SaveModelCallback,
    StopAfterNBatches,
    TerminateOnNaNCallback,
    TrackerCallback,
)
from minifast.data import DataBunch
from minifast.metrics import mae
from minifast.nn import Linear, MSELossFlat, ReLU, Sequential, mse_loss
from minifast.optim import SGD
from minifast.train import Learner

NAN = float("nan")


def fit_scripted(values: list[float], make: Any, **kwargs: Any) -> Learner:
    """A learner whose validation losses are these, with the callback that ``make`` gives."""
    learn = line_learner(**kwargs)
    learn.callbacks += [scripted(values), make(learn)]
    with learn.no_logging():
        learn.fit(len(values), .1)
    return learn


# -------------------------------------------------------------------------------- what is watched


@pytest.mark.parametrize(("monitor", "mode", "falling"), [
    ("valid_loss", "auto", True), ("train_loss", "auto", True), ("error_rate", "auto", True),
    ("accuracy", "auto", False), ("mean_absolute_error", "auto", True), ("accuracy", "min", True),
    ("valid_loss", "max", False)])
def test_which_way_is_better(monitor: str, mode: str, falling: bool) -> None:
    tracker = TrackerCallback(line_learner(), monitor, mode)
    assert [tracker.improved(v) for v in (2., 1., 3.)] == [True, falling, not falling]
    assert tracker.best == (1. if falling else 3.)
    assert not tracker.improved(NAN)


def test_small_steps_do_not_count() -> None:
    tracker = TrackerCallback(line_learner())
    assert [tracker.improved(v, min_delta=.5) for v in (5., 4.6, 4.4, 4.1)] == [
        True, False, True, False]


def test_an_unknown_mode() -> None:
    with pytest.raises(ValueError, match="mode is 'auto', 'min' or 'max', got 'low'"):
        TrackerCallback(line_learner(), mode="low")


def test_what_can_be_watched() -> None:
    seen: list[Any] = []

    class Watch(TrackerCallback):
        def on_epoch_end(self, smooth_loss: Any = None, last_metrics: Any = (),
                         **state: Any) -> None:
            for self.monitor in ("train_loss", "valid_loss", "mean_absolute_error"):
                seen.append(self.value(smooth_loss, last_metrics))
    learn = line_learner(metrics=[mae], callback_fns=[Watch])
    with learn.no_logging():
        learn.fit(1)
    rec = learn.recorder
    assert seen == pytest.approx([float(rec.losses[-1]), rec.val_losses[0], rec.metrics[0][0]])


@pytest.mark.parametrize("make", [EarlyStoppingCallback, SaveModelCallback,
                                  ReduceLROnPlateauCallback])
def test_a_value_that_is_not_there_is_a_warning(make: Any, tmp_path: Path) -> None:
    learn = line_learner(path=tmp_path)
    learn.callbacks.append(make(learn, monitor="accuracy"))
    with learn.no_logging(), pytest.warns(UserWarning, match=rf"{make.__name__} watches "
                                          "'accuracy', which is not among train_loss, valid_loss"):
        learn.fit(2)
    assert len(learn.recorder.val_losses) == 2
    assert list(tmp_path.iterdir()) == []
    learn = line_learner(n_valid=0, callback_fns=[make])
    with learn.no_logging(), pytest.warns(UserWarning, match="not among train_loss; nothing was"):
        learn.fit(1)


# ----------------------------------------------------------------------------------- early stopping


@pytest.mark.parametrize(("values", "patience", "min_delta", "epochs"), [
    ([3, 2, 1, 0], 0, 0, 4), ([3, 2, 2, 1], 0, 0, 3), ([3, 4, 5, 6], 0, 0, 2),
    ([3, 4, 5, 6, 1], 2, 0, 4), ([3, 4, 2, 5, 6, 1], 1, 0, 5), ([3, 2.9, 2.8], 0, .5, 2),
    ([3, NAN, 1], 0, 0, 2)])
def test_early_stopping(values: list[float], patience: int, min_delta: float, epochs: int,
                        capsys: pytest.CaptureFixture[str]) -> None:
    learn = fit_scripted(values, lambda learn: EarlyStoppingCallback(
        learn, patience=patience, min_delta=min_delta))
    np.testing.assert_array_equal(learn.recorder.val_losses, values[:epochs])
    stopped = f"Epoch {epochs - 1}: early stopping\n"
    assert capsys.readouterr().out == (stopped if epochs < len(values) else "")


def test_early_stopping_begins_anew_at_each_fit() -> None:
    learn = fit_scripted([3, 4, 5], EarlyStoppingCallback)
    assert learn.recorder.val_losses == [3, 4]
    with learn.no_logging():
        learn.fit(3)
    assert learn.recorder.val_losses == [3, 4]


def test_early_stopping_on_the_training_loss() -> None:
    learn = line_learner(n_valid=0, callback_fns=[
        lambda learn: EarlyStoppingCallback(learn, "train_loss", min_delta=100.)])
    with learn.no_logging():
        learn.fit(5)
    assert learn.recorder.nb_batches == [2, 2]


# ---------------------------------------------------------------------------------- the best model


def weights_per_epoch(learn: Learner) -> list[bytes]:
    seen: list[bytes] = []

    def hear(event: str, state: dict[str, Any]) -> None:
        if event == "epoch_end":
            seen.append(learn.model.weight.numpy().tobytes())
    learn.callbacks.append(Spy(hear))
    return seen


def test_the_best_model_is_taken_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learn = line_learner(path=tmp_path)
    seen = weights_per_epoch(learn)
    learn.callbacks += [scripted([3, 1, 2, 1.5]), SaveModelCallback(learn)]
    with learn.no_logging():
        learn.fit(4, .1)
    assert len(set(seen)) == 4
    assert learn.model.weight.numpy().tobytes() == seen[1]
    assert capsys.readouterr().out.splitlines() == [
        f"Better model found at epoch {i} with valid_loss value: {v}." for i, v in
        [(0, 3.0), (1, 1.0)]]
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["bestmodel.safetensors"]


def test_a_model_per_epoch(tmp_path: Path) -> None:
    learn = line_learner(path=tmp_path)
    seen = weights_per_epoch(learn)
    learn.callbacks.append(SaveModelCallback(learn, every="epoch", name="mine"))
    with learn.no_logging():
        learn.fit(3, .1)
    assert learn.model.weight.numpy().tobytes() == seen[2]
    for i, expected in enumerate(seen):
        assert learn.load(f"mine_{i}").model.weight.data.tobytes() == expected
    with pytest.raises(ValueError, match="every is 'improvement' or 'epoch', got 'day'"):
        SaveModelCallback(learn, every="day")


def test_an_interrupted_fit_still_gives_the_best_model(tmp_path: Path) -> None:
    learn = line_learner(path=tmp_path)
    seen = weights_per_epoch(learn)

    def hear(event: str, state: dict[str, Any]) -> None:
        if event == "step_end" and state["epoch"] == 2:
            raise KeyboardInterrupt
    learn.callbacks += [scripted([3, 1, 2]), SaveModelCallback(learn), Spy(hear)]
    with learn.no_logging(), pytest.raises(KeyboardInterrupt):
        learn.fit(3, .1)
    assert learn.model.weight.numpy().tobytes() == seen[1]


def test_a_fit_without_an_improvement_takes_no_older_fit_s_model(tmp_path: Path) -> None:
    learn = line_learner(path=tmp_path)
    learn.callbacks += [scripted([1, 2]), SaveModelCallback(learn)]
    with learn.no_logging():
        learn.fit(2, .1)
        learn.callbacks[0] = scripted([NAN, NAN])
        seen = weights_per_epoch(learn)
        learn.fit(2, .1)
    assert learn.model.weight.numpy().tobytes() == seen[1]


# ---------------------------------------------------------------------------------------- plateaus


def rates_of(values: list[float], **kwargs: Any) -> list[float]:
    learn = fit_scripted(values, lambda learn: ReduceLROnPlateauCallback(learn, **kwargs))
    return learn.recorder.lrs[::2]


def test_a_plateau_lowers_the_rate(capsys: pytest.CaptureFixture[str]) -> None:
    assert rates_of([5, 4, 4, 3, 3, 3]) == pytest.approx([.1, .1, .1, .02, .02, .004])
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 2: reducing lr to 0.02", "Epoch 4: reducing lr to 0.004",
        "Epoch 5: reducing lr to 0.001"]
    assert rates_of([5, 6, 7, 8, 9], patience=1) == pytest.approx([.1, .1, .1, .02, .02])
    assert rates_of([5, 6, 7], factor=.5, min_lr=.04) == pytest.approx([.1, .1, .05])
    assert rates_of([5] * 5, factor=.5, min_lr=.04) == pytest.approx([.1, .1, .05, .04, .04])
    assert rates_of([5] * 3, min_lr=.5) == pytest.approx([.1] * 3)  # never raised to it


def test_a_plateau_lowers_the_rate_of_every_group() -> None:
    learn = three_groups()
    learn.callbacks += [scripted([1, 1]), ReduceLROnPlateauCallback(learn, min_lr=1e-6)]
    with learn.no_logging():
        learn.fit(2, slice(1e-4, 1e-2))
    np.testing.assert_allclose(learn.opt.get_hyper("lr"), [2e-5, 2e-4, 2e-3])


# --------------------------------------------------------------------------------------------- NaN


@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_a_lost_loss_ends_the_training(value: float, capsys: pytest.CaptureFixture[str]) -> None:
    before: list[Any] = []

    def hear(event: str, state: dict[str, Any]) -> Any:
        if event != "batch_begin" or (state["epoch"], state["num_batch"]) != (1, 2):
            return None
        before.append(frozen_copy(learn))
        return {"last_target": tensor(np.full(4, value, np.float32))}
    learn = line_learner(5, metrics=[mae])
    learn.callbacks += [Spy(hear), TerminateOnNaNCallback()]
    with learn.no_logging():
        learn.fit(4, .01)
    assert learn.recorder.nb_batches == [5, 3]
    assert learn.recorder.val_losses[1] is None
    assert capsys.readouterr().out == (
        f"Epoch/Batch (1/2): the loss is {value}, training ends. "
        "A lower learning rate usually helps: see learn.lr_find().\n")
    after = frozen_copy(learn)
    assert {k: after[k] for k in after if not k.startswith("opt.")} == {
        k: before[0][k] for k in before[0] if not k.startswith("opt.")}
    assert np.isfinite(learn.model.weight.numpy()).all()


def test_a_finite_loss_goes_on() -> None:
    learn = line_learner(3)
    learn.callbacks.append(TerminateOnNaNCallback())
    with learn.no_logging():
        learn.fit(2)
    assert learn.recorder.nb_batches == [3, 3]
    assert None not in learn.recorder.val_losses


# -------------------------------------------------------------------------------------------- logs


def test_the_log_holds_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learn = line_learner(path=tmp_path, metrics=[mae], callback_fns=[CSVLogger])
    learn.fit(2)
    shown = [line.split()[:-1] for line in capsys.readouterr().out.splitlines()]
    text = (tmp_path / "history.csv").read_text()
    assert [line.split(",") for line in text.splitlines()] == shown
    assert shown[0] == ["epoch", "train_loss", "valid_loss", "mean_absolute_error"]
    frame = learn.csv_logger.read_logged_file()
    np.testing.assert_allclose(frame.valid_loss, learn.recorder.val_losses, atol=5e-7)
    np.testing.assert_allclose(frame.train_loss, floats(learn.recorder.losses)[1::2], atol=5e-7)


@pytest.mark.parametrize(("append", "epochs"), [(False, ["0", "1"]), (True, ["0", "0", "1"])])
def test_a_second_fit_s_log(append: bool, epochs: list[str], tmp_path: Path) -> None:
    learn = line_learner(path=tmp_path / "new" / "folder", add_time=False, callback_fns=[
        lambda learn: CSVLogger(learn, "mine", append)])
    with learn.no_logging():
        learn.fit(1)
        learn.fit(2)
    rows = (tmp_path / "new" / "folder" / "mine.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", *epochs]


def test_a_row_is_written_when_its_epoch_is_done(tmp_path: Path) -> None:
    counts: list[int] = []
    learn = line_learner(path=tmp_path, callback_fns=[CSVLogger])
    file = tmp_path / "history.csv"
    learn.callbacks.append(Spy(lambda event, state: counts.append(
        len(file.read_text().splitlines()) if file.exists() else 0)
        if event == "epoch_begin" else None))
    with learn.no_logging():
        learn.fit(3)
    assert counts == [0, 2, 3]


def test_the_log_without_validation(tmp_path: Path) -> None:
    learn = line_learner(n_valid=0, path=tmp_path, metrics=[mae], callback_fns=[CSVLogger])
    with learn.no_logging():
        learn.fit(1)
    row = (tmp_path / "history.csv").read_text().splitlines()[1].split(",")
    assert row[2:] == ["#na#", "#na#"]


# ---------------------------------------------------------------------------------------- clipping


def norms(learn: Learner, **kwargs: Any) -> list[float]:
    """The norm of all gradients together, as the optimizer gets them."""
    seen: list[float] = []

    def hear(event: str, state: dict[str, Any]) -> None:
        if event == "step_end":
            grads = [host(p.grad) for p in learn.model.parameters() if p.grad is not None]
            seen.append(float(np.sqrt(sum((g ** 2).sum() for g in grads))))
    with learn.no_logging():
        learn.fit(1, 0., callbacks=[Spy(hear)], **kwargs)
    return seen


def test_gradients_are_scaled_down_to_the_norm() -> None:
    free = norms(line_learner(3))
    clip = sorted(free)[1] * 1.01  # two of the three norms are below it
    clipped = norms(line_learner(3).clip_grad(clip))
    assert clipped == pytest.approx([min(n, clip) for n in free], rel=1e-6)
    assert max(free) > clip


def test_clipping_keeps_the_direction() -> None:
    def gradient(learn: Learner) -> Any:
        seen: list[Any] = []
        spy = Spy(lambda event, state: seen.append(host(learn.model.weight.grad).copy())
                  if event == "step_end" else None)
        with learn.no_logging():
            learn.fit(1, 0., callbacks=[spy])
        return seen[0]
    free, clipped = gradient(line_learner(1)), gradient(line_learner(1).clip_grad(.01))
    ratio = clipped / free
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-6)
    assert 0 < ratio[0, 0] < 1


def test_clipping_by_the_formula() -> None:
    """torch's: clip / (norm + 1e-6), where that is below 1."""
    learn = line_learner().clip_grad()
    for size, clip, factor in ((1e-6, 1e-6, 1 / 6), (1., .1, .1 / 5.000001), (1e-3, .1, 1.)):
        learn.model.weight.grad = tensor([[3 * size, 4 * size, 0.]]).data
        learn.model.bias.grad = None
        GradientClipping(learn, clip).on_backward_end()
        np.testing.assert_allclose(host(learn.model.weight.grad),
                                   [[3 * size * factor, 4 * size * factor, 0]], rtol=1e-6)
    assert learn.callback_fns[-1](learn).clip == .1


def test_clipping_counts_what_is_trainable_only() -> None:
    learn = three_groups(train_bn=False).clip_grad(.05)
    learn.freeze()
    assert norms(learn) == pytest.approx([.05] * 10, rel=1e-4)  # v1's 1e-6 beside the norm
    assert learn.clip_grad() is learn


@pytest.mark.parametrize("clip", [0, -1, NAN])
def test_a_norm_to_clip_to_is_positive(clip: float) -> None:
    with pytest.raises(ValueError, match=f"clipped to a positive norm, got {clip}"):
        GradientClipping(line_learner(), clip)


# ------------------------------------------------------------------------------ a few batches only


@pytest.mark.parametrize(("n_batches", "per_epoch"), [(1, [1]), (3, [3]), (4, [4]), (6, [4, 2])])
def test_stopping_after_some_batches(n_batches: int, per_epoch: list[int]) -> None:
    learn = fit_quietly(line_learner(4), 5, callbacks=[StopAfterNBatches(n_batches)])
    assert learn.recorder.nb_batches == per_epoch
    assert [loss is None for loss in learn.recorder.val_losses] == [
        i == len(per_epoch) - 1 for i in range(len(per_epoch))]
    fit_quietly(learn, 2)  # it leaves nothing behind
    assert learn.recorder.nb_batches == [4, 4]
    assert learn.recorder.val_losses[1] is not None


@pytest.mark.parametrize("n_batches", [0, -1, 1.5])
def test_how_many_batches_can_be_stopped_after(n_batches: Any) -> None:
    with pytest.raises(ValueError, match=f"n_batches of 1 or more, got {n_batches}"):
        StopAfterNBatches(n_batches)


# ------------------------------------------------------------------------- several batches, a step


def cut(sizes: list[int]) -> list[Any]:
    """The same rows in batches of these sizes."""
    x, y = rows(sum(sizes))
    ends = np.cumsum(sizes)[:-1]
    return list(zip(np.split(x, ends), np.split(y, ends), strict=True))


def trained(sizes: list[int], n_step: int | None = None, drop_last: bool = False,
            reduction: str = "mean", clip: float | None = None) -> Learner:
    """Three epochs of SGD with momentum and decay; ``n_step`` accumulates."""
    net = Sequential(Linear(3, 4, seed=1), ReLU(), Linear(4, 1, seed=2))
    fns = [] if n_step is None else [lambda learn: AccumulateScheduler(learn, n_step, drop_last)]
    learn = Learner(DataBunch(cut(sizes), cut([4])), net, loss_func=MSELossFlat(reduction), wd=.1,
                    opt_func=lambda groups, **kwargs: SGD(groups, mom=.9, **kwargs))
    if clip is not None:
        learn.clip_grad(clip)
    learn.callback_fns += fns
    return fit_quietly(learn, 3, .05)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("clip", [None, .5])
@pytest.mark.parametrize(("small", "n_step", "large"), [
    ([4] * 6, 3, [12, 12]), ([4] * 5, 2, [8, 8, 4]), ([4, 2, 6, 5, 5, 2], 3, [12, 12]),
    ([4] * 3, 1, [4] * 3), ([4] * 3, 9, [12])])
def test_accumulating_is_a_larger_batch(small: list[int], n_step: int, large: list[int],
                                        clip: float | None, reduction: str) -> None:
    many = trained(small, n_step, reduction=reduction, clip=clip)
    one = trained(large, clip=clip)
    for name, weights in one.model.state_dict().items():  # float32 rounding of sums of 12 rows
        np.testing.assert_allclose(many.model.state_dict()[name], weights, rtol=2e-5, atol=1e-6)
    if reduction == "mean":
        np.testing.assert_allclose(many.recorder.val_losses, one.recorder.val_losses, rtol=1e-5)


def test_a_last_step_of_fewer_batches_can_be_dropped() -> None:
    many = trained([4] * 5, 2, drop_last=True)
    x, y = rows(20)
    one = Learner(DataBunch([(x[i:i + 8], y[i:i + 8]) for i in (0, 8)], cut([4])),
                  Sequential(Linear(3, 4, seed=1), ReLU(), Linear(4, 1, seed=2)),
                  loss_func=MSELossFlat(), wd=.1,
                  opt_func=lambda groups, **kwargs: SGD(groups, mom=.9, **kwargs))
    fit_quietly(one, 3, .05)
    for name, weights in one.model.state_dict().items():
        np.testing.assert_allclose(many.model.state_dict()[name], weights, rtol=2e-5, atol=1e-6)


def test_accumulating_shows_losses_as_they_are() -> None:
    """The recorded loss of each batch is its mean, whatever becomes of the gradients."""
    learn = line_learner(4)
    seen: list[float] = []
    learn.callbacks.append(Spy(lambda event, state: seen.append(float(state["last_loss"]))
                               if event == "batch_end" and state["train"] else None))
    fit_quietly(learn, 1, 0., callbacks=[AccumulateScheduler(learn, 2)])
    other = line_learner(4)
    plain = [float(((host(other.model(tensor(x))).reshape(-1) - y) ** 2).mean())
             for x, y in other.data.train_dl]
    np.testing.assert_allclose(seen, plain, rtol=1e-5)


def test_an_epoch_left_between_two_steps_leaves_no_gradient() -> None:
    learn = line_learner(4)
    before = frozen_copy(learn)
    fit_quietly(learn, 2, callbacks=[answer("batch_end", stop_epoch=True),
                                     AccumulateScheduler(learn, 3)])
    assert {k: frozen_copy(learn)[k] for k in before} == before
    assert all(p.grad is None for p in learn.model.parameters())


def test_accumulating_and_a_lost_loss(capsys: pytest.CaptureFixture[str]) -> None:
    """The batch without a backward pass does not count; the others' mean makes the step."""
    x, y = rows(12)
    learn, other = line_learner(3), line_learner(1)
    learn.data.train_dl = [(x[:4], y[:4]), (x[4:8], y[4:8] * NAN), (x[8:], y[8:])]
    other.data.train_dl = [(np.r_[x[:4], x[8:]], np.r_[y[:4], y[8:]])]
    skip = Spy(lambda event, state: {"skip_bwd": True} if event == "backward_begin"
               and state["num_batch"] == 1 else None)
    fit_quietly(learn, 1, callbacks=[skip, AccumulateScheduler(learn, 3)])
    fit_quietly(other, 1)
    np.testing.assert_allclose(learn.model.weight.numpy(), other.model.weight.numpy(), rtol=1e-5)


@pytest.mark.parametrize("n_step", [0, -2, .5])
def test_how_many_batches_can_be_accumulated(n_step: Any) -> None:
    with pytest.raises(ValueError, match=f"every n_step batches, 1 or more, got {n_step}"):
        AccumulateScheduler(line_learner(), n_step)


def test_accumulating_needs_to_know_what_the_loss_is() -> None:
    def plain(pred: Tensor, target: Tensor) -> Tensor:
        return mse_loss(pred.reshape(-1), target)
    learn = line_learner(2, loss_func=plain)
    before = frozen_copy(learn)
    with pytest.raises(ValueError, match=r"a mean or a sum .* loss_func.reduction = 'mean'"):
        fit_quietly(learn, callbacks=[AccumulateScheduler(learn, 2)])
    assert {k: frozen_copy(learn)[k] for k in before} == before
    plain.reduction = "mean"  # type: ignore[attr-defined]
    fit_quietly(learn, callbacks=[AccumulateScheduler(learn, 2)])
    assert {k: frozen_copy(learn)[k] for k in before} != before
