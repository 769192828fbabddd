"""What a trained learner says: metrics, validation, predictions, the summary, the printed loop."""
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from tiny import batches, fit_quietly, host, line_learner, ratings_learner, rows, three_groups

from minifast import ShapeError, Tensor
from minifast.autograd import tensor
from minifast.collab import EmbeddingDotBias
from minifast.data import ArrayDataset, DataBunch, DataLoader, DatasetType
from minifast.metrics import (
    RMSE,
    ExplainedVariance,
    R2Score,
    accuracy,
    accuracy_thresh,
    error_rate,
    explained_variance,
    mae,
    mse,
    msle,
    r2_score,
    rmse,
    top_k_accuracy,
)
from minifast.nn import BCEWithLogitsFlat, CrossEntropyFlat, Linear, MSELossFlat, Sequential
from minifast.train import Callback, Learner

rng = np.random.default_rng(8)
PRED = rng.uniform(.2, 5, 50)
TARGET = PRED + rng.normal(scale=.3, size=50).clip(-.1, 1)


def as_float(metric: Callable[..., Any], pred: Any, target: Any, **kwargs: Any) -> float:
    return float(metric(Tensor(pred), Tensor(target), **kwargs))


# ------------------------------------------------------------------------------------- the metrics


@pytest.mark.parametrize(("metric", "formula"), [
    (mse, lambda p, t: sk.mean_squared_error(t, p)),
    (rmse, lambda p, t: np.sqrt(np.mean((t - p) ** 2))),
    (mae, lambda p, t: sk.mean_absolute_error(t, p)),
    (msle, lambda p, t: sk.mean_squared_log_error(t, p)),
    (r2_score, lambda p, t: sk.r2_score(t, p)),
    (explained_variance, lambda p, t: sk.explained_variance_score(t, p))])
@pytest.mark.parametrize("shape", [(50,), (50, 1), (5, 10)])
def test_regression(metric: Callable[..., Any], formula: Callable[..., float],
                    shape: tuple[int, ...]) -> None:
    assert as_float(metric, PRED.reshape(shape), TARGET) == pytest.approx(
        formula(PRED, TARGET), rel=1e-12)
    assert as_float(metric, TARGET, TARGET) == pytest.approx(
        float(metric in (r2_score, explained_variance)))


@pytest.mark.parametrize("metric", [mse, rmse, mae, msle, r2_score, explained_variance])
def test_as_many_predictions_as_targets(metric: Callable[..., Any]) -> None:
    with pytest.raises(ShapeError, match="as many predictions as targets, got 6 and 3"):
        metric(Tensor(np.zeros((3, 2))), Tensor(np.zeros(3)))


SCORES, CLASSES = rng.normal(size=(60, 7)), rng.integers(7, size=60)


@pytest.mark.parametrize("column", [False, True])
def test_classification(column: bool) -> None:
    target = CLASSES.reshape(-1, 1) if column else CLASSES
    share = sk.accuracy_score(CLASSES, SCORES.argmax(1))
    assert as_float(accuracy, SCORES, target) == pytest.approx(share)
    assert as_float(error_rate, SCORES, target) == pytest.approx(1 - share)
    assert as_float(top_k_accuracy, SCORES, target) == as_float(top_k_accuracy, SCORES, target, k=5)
    for k in (1, 3, 7, 100):
        expected = sk.top_k_accuracy_score(CLASSES, SCORES, k=min(k, 7), labels=range(7)) \
            if k < 7 else 1.
        assert as_float(top_k_accuracy, SCORES, target, k=k) == pytest.approx(expected)


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.bool_])
def test_yes_or_no(kind: type) -> None:
    answers = rng.integers(2, size=SCORES.shape)
    for thresh in (.5, .3):
        probability = 1 / (1 + np.exp(-SCORES))
        expected = ((probability > thresh) == answers).mean()
        got = as_float(accuracy_thresh, SCORES, answers.astype(kind), thresh=thresh)
        assert got == pytest.approx(expected)
    assert as_float(accuracy_thresh, probability, answers.astype(kind), sigmoid=False) == \
        pytest.approx(((probability > .5) == answers).mean())


@pytest.mark.parametrize(("metric", "per_batch"), [
    (RMSE, rmse), (R2Score, r2_score), (ExplainedVariance, explained_variance)])
def test_metrics_of_the_whole_epoch(metric: Any, per_batch: Any) -> None:
    """Batches of 20, 20, 10: a class sees all rows, a function's values are averaged by rows."""
    x = TARGET.reshape(-1, 1).astype(np.float32)
    data = DataBunch(batches(1), DataLoader(ArrayDataset(x, PRED.astype(np.float32)), 20))
    learn = Learner(data, _Same(), loss_func=MSELossFlat(), metrics=[metric, per_batch, metric()])
    _, whole, averaged, again = learn.validate()
    cut = [slice(0, 20), slice(20, 40), slice(40, 50)]
    means = [as_float(per_batch, TARGET[c], PRED[c]) for c in cut]
    assert whole == again == pytest.approx(as_float(per_batch, TARGET, PRED), rel=1e-5)
    assert averaged == pytest.approx(np.average(means, weights=[20, 20, 10]), rel=1e-5)
    assert whole != pytest.approx(averaged, rel=1e-4)
    assert learn.validate()[1] == whole  # the first pass is forgotten


class _Same(Linear):
    def __init__(self) -> None:
        super().__init__(1, 1)
        self.weight.data[...], self.bias.data[...] = 1, 0


def test_the_heads_of_the_columns() -> None:
    def mine(pred: Tensor, target: Tensor) -> float:
        return 3.

    class MeanPrediction:
        def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
            return pred.mean()
    top = partial(top_k_accuracy, k=1)
    learn = line_learner(metrics=[rmse, mae, mine, RMSE, MeanPrediction(), partial(mine)])
    fit_quietly(learn)
    assert learn.recorder.names[3:-1] == [
        "root_mean_squared_error", "mean_absolute_error", "mine", "RMSE", "MeanPrediction", "mine"]
    assert learn.recorder.metrics[0][2] == 3
    assert as_float(top, SCORES, CLASSES) == as_float(accuracy, SCORES, CLASSES)


# ------------------------------------------------------------------------------------- validation


def outputs(learn: Learner, x: Any) -> Any:
    return learn.model.eval()(tensor(x)).detach().numpy()


def test_validate() -> None:
    learn = line_learner(2, 3, metrics=[mae])
    before = learn.model.weight.numpy().copy()
    x, y = (np.concatenate(part) for part in zip(*batches(3, seed=1), strict=True))
    error = outputs(learn, x)[:, 0] - y
    assert learn.validate() == pytest.approx([(error ** 2).mean(), np.abs(error).mean()], rel=1e-6)
    assert learn.validate(metrics=[]) == learn.validate()[:1]
    assert learn.validate(metrics=rmse)[1] == pytest.approx(
        np.sqrt((error.reshape(3, 4) ** 2).mean(1)).mean(), rel=1e-6)
    x, y = batches(2)[0]
    error = outputs(learn, x)[:, 0] - y
    assert learn.validate([(x, y)])[0] == pytest.approx((error ** 2).mean(), rel=1e-6)
    np.testing.assert_array_equal(learn.model.weight.numpy(), before)
    assert not learn.model.training
    assert all(type(v) is float for v in learn.validate())


def test_validating_on_nothing() -> None:
    assert line_learner(n_valid=0, metrics=[mae]).validate() == [None]


def test_callbacks_hear_a_validation() -> None:
    heard: list[bool] = []

    class Listen(Callback):
        def on_batch_end(self, train: bool = True, **state: Any) -> None:
            heard.append(train)
    learn = line_learner(1, 2, callbacks=[Listen()])
    learn.validate(callbacks=[Listen()])
    assert heard == [False] * 4


# ------------------------------------------------------------------------------------- predictions


def full_learner(loss: Any = None) -> Learner:
    data = DataBunch.create(ArrayDataset(*rows(11)), ArrayDataset(*rows(6, seed=1)),
                            ArrayDataset(*rows(5, seed=2)), bs=4)
    return Learner(data, Linear(3, 1, seed=0), loss_func=loss or MSELossFlat())


@pytest.mark.parametrize(("kind", "n", "seed"), [
    (DatasetType.Valid, 6, 1), (DatasetType.Test, 5, 2), (DatasetType.Fix, 11, 0)])
def test_predictions_for_a_whole_loader(kind: DatasetType, n: int, seed: int) -> None:
    learn = full_learner()
    x, y = rows(n, seed=seed)
    preds, targets, losses = learn.get_preds(kind, with_loss=True)
    np.testing.assert_allclose(preds.numpy(), outputs(learn, x), rtol=1e-6)
    np.testing.assert_array_equal(targets.numpy(), y)
    np.testing.assert_allclose(losses.numpy(), (outputs(learn, x)[:, 0] - y) ** 2, rtol=1e-5)
    assert not preds.requires_grad
    assert not losses.requires_grad
    assert repr(learn.loss_func.reduction) == "'mean'"


def test_training_rows_come_shuffled_and_cut_to_whole_batches() -> None:
    learn = full_learner()
    preds, targets = learn.get_preds(DatasetType.Train)
    assert preds.shape == (8, 1)
    assert set(targets.tolist()) <= set(rows(11)[1].tolist())
    assert len(learn.get_preds()[0]) == 6  # validation rows, if nothing is said


def test_the_first_batches_only() -> None:
    learn = full_learner()
    for n_batch, n in ((1, 4), (2, 8), (3, 11), (9, 11)):
        assert len(learn.get_preds(DatasetType.Fix, n_batch=n_batch)[0]) == n
    with pytest.raises(ValueError, match="nothing to predict: the loader has no batch"):
        line_learner(n_valid=0).get_preds()


def with_loss(loss: Any, y: Any) -> Learner:
    x = rng.normal(size=(len(y), 3)).astype(np.float32)
    data = DataBunch.create(ArrayDataset(x, y), ArrayDataset(x, y), bs=4)
    return Learner(data, Linear(3, 4, seed=1), loss_func=loss)


def test_softmax_belongs_to_cross_entropy() -> None:
    y = rng.integers(4, size=10)
    learn = with_loss(CrossEntropyFlat(), y)
    raw = outputs(learn, host(learn.data.valid_ds.x))
    expected = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    preds, _, losses = learn.get_preds(with_loss=True)
    np.testing.assert_allclose(preds.numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(losses.numpy(), -np.log(expected[range(10), y]), rtol=1e-5)
    assert losses.mean().item() == pytest.approx(learn.validate()[0], rel=1e-6)
    label, target, probabilities = learn.predict(host(learn.data.valid_ds.x)[0])
    assert label == target.item() == expected[0].argmax()
    np.testing.assert_allclose(probabilities.numpy(), expected[0], rtol=1e-5)


def test_sigmoid_belongs_to_binary_cross_entropy() -> None:
    learn = with_loss(BCEWithLogitsFlat(), rng.integers(2, size=(10, 4)))
    raw = outputs(learn, host(learn.data.valid_ds.x))
    np.testing.assert_allclose(learn.get_preds()[0].numpy(), 1 / (1 + np.exp(-raw)), rtol=1e-5)
    np.testing.assert_allclose(learn.get_preds(activ=lambda x: x * 2)[0].numpy(), raw * 2,
                               rtol=1e-6)


def test_losses_per_row_need_a_reduction() -> None:
    learn = full_learner(lambda output, y: ((output.reshape(-1) - y) ** 2).mean())
    assert len(learn.get_preds()) == 2
    with pytest.raises(TypeError, match="a loss function with a reduction attribute, such as"):
        learn.get_preds(with_loss=True)


def test_one_prediction() -> None:
    learn = line_learner()
    x = batches(1)[0][0][1]
    value, pred, raw = learn.predict(x)
    assert value == pred.item() == raw.item() == pytest.approx(float(outputs(learn, x[None])[0, 0]))
    assert pred.shape == raw.shape == (1,)
    assert not learn.model.training


def test_dropout_does_not_drop_in_predictions() -> None:
    learn = three_groups(drop=.5)
    fit_quietly(learn)
    preds = learn.get_preds()[0].tolist()
    learn.model.train()
    assert learn.get_preds()[0].tolist() == preds
    x = host(learn.data.valid_ds.x)[0]
    learn.model.train()
    assert learn.predict(x)[1].tolist() == pytest.approx(preds[0])
    learn.model.train()
    assert learn.validate() == learn.validate()
    assert learn.validate()[0] == pytest.approx(learn.recorder.val_losses[-1], rel=1e-6)


# ------------------------------------------------------------------------------------ the summary

NOTEBOOK_SUMMARY = """\
EmbeddingDotBias
{s}
Layer (type)  Output Shape  Param #  Trainable
{s}
Embedding     [40]          37,760   True
Embedding     [40]          66,160   True
Embedding     [1]           944      True
Embedding     [1]           1,654    True
{s}

Total params: 106,518
Total trainable params: 106,518
Total non-trainable params: 0
Optimizer: Adam, weight decay 0.1 (decoupled)
Loss: FlattenedLoss of MSELoss()

Layer groups
{g}
#  Layers                  State      Trains              lr  wd   Gradient  Update
{g}
0  u_weight .. i_bias (4)  trainable  106,518 of 106,518  -   0.1  -         -
{g}""".format(s="_" * 46, g="_" * 83)


def test_the_summary_of_the_notebook_s_model() -> None:
    ids = np.array([3, 4], np.int64)
    learn = Learner(DataBunch([([ids, ids], np.ones(2, np.float32))]),
                    EmbeddingDotBias(40, 944, 1654, [0, 5.5]), loss_func=MSELossFlat(), wd=.1)
    text = learn.summary()
    assert text == NOTEBOOK_SUMMARY
    assert repr(text) == NOTEBOOK_SUMMARY


def test_the_summary_of_a_frozen_model() -> None:
    learn = three_groups(train_bn=False, true_wd=False, opt_func=partial(line_learner().opt_func))
    learn.freeze()
    lines = learn.summary().splitlines()
    kinds = [line.split() for line in lines[4:12]]
    assert [k[0] for k in kinds] == ["Linear", "ReLU", "BatchNorm1d", "Linear", "ReLU",
                                     "BatchNorm1d", "Dropout", "Linear"]
    assert [k[1:] for k in kinds[::7]] == [["[5]", "20", "False"], ["[1]", "5", "True"]]
    assert "Total trainable params: 5" in lines
    assert "Total non-trainable params: 62" in lines
    assert "Optimizer: plain_sgd, weight decay 0.01 (coupled)" in lines


def test_a_summary_changes_nothing() -> None:
    learn, twin = (three_groups(drop=.2) for _ in range(2))
    for one in (learn, twin):
        one.model.eval()
        one.model[2].train()
    modes = [m.training for m in twin.model.modules()]
    np.random.seed(0)
    learn.summary()
    assert np.random.rand() == np.random.RandomState(0).rand()
    assert [m.training for m in learn.model.modules()] == modes
    assert all(m.forward_hooks == () for m in learn.model.modules())
    assert learn.opt is None
    for one in (learn, twin):
        fit_quietly(one)
    for name, array in learn.model.state_dict().items():
        assert array.tobytes() == twin.model.state_dict()[name].tobytes(), name


def test_a_model_that_fails_is_left_as_it_was() -> None:
    learn = line_learner()
    learn.model = Sequential(Linear(3, 2), Linear(9, 1))
    with pytest.raises(ShapeError):
        learn.summary()
    assert all(m.training and m.forward_hooks == () for m in learn.model.modules())


# ------------------------------------------------------------------------------- the printed loop


def test_the_printed_loop(capsys: pytest.CaptureFixture[str]) -> None:
    class Mine(Callback):
        _order = 5

        def on_backward_end(self, **state: Any) -> None: ...

        def on_batch_end(self, **state: Any) -> None: ...
    learn = line_learner(callbacks=[Mine()]).clip_grad(1.)
    learn.show_training_loop()
    text = capsys.readouterr().out
    lines = {line.split()[0]: line.split(None, 1)[1:] for line in text.splitlines()}
    assert "on_train_begin" in text.splitlines()[1]
    assert lines["on_backward_end"] == ["GradientClipping, Mine"]
    assert lines["on_backward_begin"] == ["Recorder"]
    assert text.count("ProgressBar, Mine") == 2  # at both ends of a batch
    assert [line.split()[0] for line in text.splitlines() if line.strip().startswith("on_")] == [
        "on_train_begin", "on_epoch_begin", "on_batch_begin", "on_loss_begin",
        "on_backward_begin", "on_backward_end", "on_step_end", "on_batch_end",
        "on_batch_begin", "on_loss_begin", "on_batch_end", "on_epoch_end", "on_train_end"]


def test_the_printed_loop_says_which_path_a_fit_takes(monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    learn, printed = line_learner(), []
    for fast, spec in ((False, "there"), (True, None), (True, "there")):
        monkeypatch.setattr("minifast.inspect.training_loop.find_spec",
                            lambda *name, spec=spec: spec)
        learn.fast = fast
        learn.show_training_loop()
        printed.append(capsys.readouterr().out.splitlines())
    off, missing, accelerated = printed
    assert off[0] == "# plain path: learn.fast is False"
    assert missing[0] == "# plain path: there is no minifast.fast"
    assert accelerated[0].startswith("with fast.accelerate(model, opt):   # ")
    assert accelerated[1:] == [f"    {line}" for line in off[1:]]
    assert off[1:] == missing[1:]


def test_printing_the_loop_leaves_the_learner_alone(capsys: pytest.CaptureFixture[str]) -> None:
    learn = line_learner().clip_grad(1.)
    before = dict(vars(learn))
    learn.show_training_loop()
    assert vars(learn) == before
    fit_quietly(learn)
    before = dict(vars(learn))
    learn.show_training_loop()
    assert vars(learn) == before
    assert len(learn.recorder.losses) == 2
    assert "GradientClipping" in capsys.readouterr().out


def test_ratings_predict_what_the_model_says() -> None:
    learn = ratings_learner()
    preds, targets = learn.get_preds()
    value, _, _ = learn.predict({"user": 2, "item": "e"})
    assert value == pytest.approx(preds[0].item())
    assert targets.tolist() == [3, 4, 2, 3]
