"""Metrics of classification against fastai v1's formulas, written out, and scikit-learn."""
from functools import partial
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from host import host
from tiny import fit_quietly

from minifast import ShapeError, Tensor, metrics, tensor
from minifast.data import ArrayDataset, DataBunch, DataLoader
from minifast.metrics import (
    AUROC,
    ConfusionMatrix,
    ExpRMSPE,
    FBeta,
    KappaScore,
    MatthewsCorreff,
    MultiLabelFbeta,
    Perplexity,
    Precision,
    Recall,
    auc_roc_score,
    dice,
    exp_rmspe,
    fbeta,
    foreground_acc,
    roc_curve,
)
from minifast.nn import BCEWithLogitsFlat, CrossEntropyFlat, Linear, Module
from minifast.train import Learner

rng = np.random.default_rng(7)
FASTAI = [
    "error_rate", "accuracy", "accuracy_thresh", "dice", "exp_rmspe", "fbeta", "FBeta", "mse",
    "mean_squared_error", "mae", "mean_absolute_error", "rmse", "root_mean_squared_error",
    "msle", "mean_squared_logarithmic_error", "explained_variance", "r2_score",
    "top_k_accuracy", "KappaScore", "ConfusionMatrix", "MatthewsCorreff", "Precision",
    "Recall", "R2Score", "ExplainedVariance", "ExpRMSPE", "RMSE", "Perplexity", "AUROC",
    "auc_roc_score", "roc_curve", "MultiLabelFbeta", "foreground_acc"]
"""What fastai 1.0.61's metrics module exports."""
CLOSE = 1e-6  # counts are exact; quotients of float32 differ by some 1e-7


def sample(classes: int, n: int = 53) -> tuple[Any, Any]:
    """Scores (n, classes) in float32, which are right more often than not, and classes (n,)."""
    target = rng.integers(classes, size=n)
    scores = rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[target]
    return scores.astype(np.float32), target


class Same(Module):
    """Returns its input."""

    def __init__(self) -> None:
        self.unused = Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x


def measured(metric: Any, scores: Any, target: Any, loss: Any = None, **kwargs: Any) -> Any:
    """The metric after validating in batches of 20, 20, 13."""
    data = DataBunch([(scores[:1], target[:1])], DataLoader(ArrayDataset(scores, target), 20))
    learn = Learner(data, Same(), loss_func=loss or CrossEntropyFlat(), metrics=[metric], **kwargs)
    return learn.validate()[1]


def test_every_name_of_fastai_is_there() -> None:
    assert not [name for name in FASTAI if not hasattr(metrics, name)]


# ---------------------------------------------------------------- the confusion matrix


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_confusion_matrix(classes: int) -> None:
    scores, target = sample(classes)
    matrix = ConfusionMatrix()
    assert measured(matrix, scores, target) is None  # an empty cell of the table
    expected = sk.confusion_matrix(target, scores.argmax(1), labels=range(classes))
    np.testing.assert_array_equal(matrix.cm.numpy(), expected)
    assert matrix.metric is matrix.cm


def test_the_confusion_matrix_of_pixels() -> None:
    target = rng.integers(3, size=(6, 4, 5))
    scores = rng.normal(size=(6, 3, 4, 5)).astype(np.float32)
    matrix = ConfusionMatrix(clas_idx=1)
    matrix.add(tensor(scores), tensor(target))
    expected = sk.confusion_matrix(target.ravel(), scores.argmax(1).ravel())
    np.testing.assert_array_equal(matrix.cm.numpy(), expected)


@pytest.mark.parametrize("average", ["binary", "micro", "macro", "weighted", None])
@pytest.mark.parametrize("classes", [2, 4])
def test_precision_recall_and_f(average: str | None, classes: int) -> None:
    if average == "binary" and classes > 2:
        return
    scores, target = sample(classes)
    best = scores.argmax(1)
    p, r, f, _ = sk.precision_recall_fscore_support(target, best, beta=2, average=average)
    for make, expected in ((Precision, p), (Recall, r), (FBeta, f)):
        metric = make(average=average)
        in_table = measured(metric, scores, target)
        if average is None:
            assert in_table is None
            np.testing.assert_allclose(metric.metric.numpy(), expected, rtol=CLOSE)
        else:
            assert in_table == pytest.approx(expected, rel=CLOSE)


def test_the_averages_are_fastais() -> None:
    """As fastai computes them: weights times the scores of the classes, from the matrix."""
    scores, target = sample(3)
    cm = sk.confusion_matrix(target, scores.argmax(1)).astype(float)
    prec, rec = np.diag(cm) / cm.sum(0), np.diag(cm) / cm.sum(1)
    f = 10 * prec * rec / (prec * 9 + rec + 1e-9)
    for metric, each in ((Precision, prec), (Recall, rec), (partial(FBeta, beta=3), f)):
        assert measured(metric("macro"), scores, target) == pytest.approx(each.mean())
        assert measured(metric("weighted"), scores, target) == \
            pytest.approx((each * cm.sum(1) / cm.sum()).sum())
        assert measured(metric("macro", ignore_idx=1), scores, target) == \
            pytest.approx(each[[0, 2]].mean())


@pytest.mark.parametrize("make", [Precision, Recall, FBeta])
def test_the_other_positive_class(make: Any) -> None:
    scores, target = sample(2)
    reverse = measured(make(), scores[:, ::-1].copy(), 1 - target)
    assert measured(make(pos_label=0), scores, target) == reverse
    assert measured(make(), scores, target) != reverse


def test_binary_becomes_macro_with_more_classes() -> None:
    scores, target = sample(3)
    with pytest.warns(UserWarning, match="Precision: average='binary' is for two classes and "
                                         "there are 3; now it is 'macro'"):
        got = measured(Precision(), scores, target)
    assert got == measured(Precision("macro"), scores, target)


def test_a_class_that_never_occurs_scores_zero() -> None:
    scores, target = np.float32([[3, 1, 0], [3, 1, 0], [1, 3, 0]]), np.array([0, 0, 1])
    for make in (Precision, Recall, FBeta):
        metric = make(average=None)
        measured(metric, scores, target)
        np.testing.assert_allclose(metric.metric.numpy(), [1, 1, 0])


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_kappa(weights: str | None, classes: int) -> None:
    scores, target = sample(classes)
    assert measured(KappaScore(weights), scores, target) == pytest.approx(
        sk.cohen_kappa_score(target, scores.argmax(1), weights=weights))


@pytest.mark.parametrize("classes", [2, 4])
def test_matthews(classes: int) -> None:
    scores, target = sample(classes)
    assert measured(MatthewsCorreff, scores, target) == pytest.approx(
        sk.matthews_corrcoef(target, scores.argmax(1)))


@pytest.mark.parametrize("make", [KappaScore, MatthewsCorreff])
def test_no_agreement_can_be_measured_within_one_class(make: Any) -> None:
    scores = np.float32([[1, 0], [1, 0]])
    assert np.isnan(measured(make, scores, np.array([0, 0])))


def test_each_epoch_starts_anew() -> None:
    scores, target = sample(3)
    data = DataBunch([], DataLoader(ArrayDataset(scores, target), 20))
    matrix = ConfusionMatrix()
    learn = Learner(data, Same(), loss_func=CrossEntropyFlat(), metrics=matrix)
    learn.validate()
    learn.validate()
    assert matrix.cm.numpy().sum() == len(target)


def test_the_table_of_a_fit_has_an_empty_cell_for_a_matrix() -> None:
    scores, target = sample(3, 30)
    data = DataBunch.create(ArrayDataset(scores, target), ArrayDataset(scores, target), bs=10)
    learn = Learner(data, Linear(3, 3), metrics=[ConfusionMatrix, FBeta("macro")], add_time=False)
    fit_quietly(learn)
    assert learn.recorder.names[-2:] == ["ConfusionMatrix", "FBeta"]
    assert learn.recorder.table.rows[-1][3] == "#na#"
    assert float(learn.recorder.table.rows[-1][4]) == pytest.approx(
        learn.recorder.metrics[-1][0], abs=1e-6)


# ---------------------------------------------------------------- ROC


def test_the_roc_curve_and_its_area() -> None:
    for decimals in (0, 1, 8):  # few decimals make ties
        score, target = rng.normal(size=60).round(decimals), rng.integers(2, size=60)
        score = (score + target).astype(np.float32)
        fpr, tpr, _ = sk.roc_curve(target, score, drop_intermediate=False)
        got = roc_curve(tensor(score), tensor(target))
        np.testing.assert_allclose(host(got[0]), fpr, rtol=CLOSE)
        np.testing.assert_allclose(host(got[1]), tpr, rtol=CLOSE)
        area = sk.roc_auc_score(target, score)
        assert float(auc_roc_score(tensor(score), tensor(target))) == pytest.approx(area, rel=1e-5)


def test_auroc_of_an_epoch() -> None:
    scores, target = sample(2)
    e = np.exp(scores.astype(float))
    area = sk.roc_auc_score(target, (e / e.sum(1, keepdims=True))[:, 1])
    assert measured(AUROC, scores, target) == pytest.approx(area, rel=1e-5)


# ---------------------------------------------------------------- several labels, pixels, words


def labels(n: int = 53) -> tuple[Any, Any]:
    scores = rng.normal(size=(n, 4)).astype(np.float32)
    return scores, (scores + rng.normal(size=(n, 4)) > .5).astype(np.float32)


@pytest.mark.parametrize(("thresh", "beta", "sigmoid"), [(.2, 2, True), (.5, 1, True),
                                                         (.3, 2, False)])
def test_fbeta(thresh: float, beta: float, sigmoid: bool) -> None:
    scores, target = labels()
    chance = 1 / (1 + np.exp(-scores))
    got = fbeta(tensor(scores if sigmoid else chance), tensor(target), thresh, beta,
                sigmoid=sigmoid)
    yes = (chance > thresh).astype(float)
    right = (yes * target).sum(1)
    prec, rec = right / (yes.sum(1) + 1e-9), right / (target.sum(1) + 1e-9)
    expected = ((prec * rec) / (prec * beta ** 2 + rec + 1e-9) * (1 + beta ** 2)).mean()
    assert float(got) == pytest.approx(expected, rel=CLOSE)
    sklearn = sk.fbeta_score(target, yes, beta=beta, average="samples", zero_division=0)
    assert float(got) == pytest.approx(sklearn, rel=1e-5)


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "none"])
def test_fbeta_of_an_epoch(average: str) -> None:
    scores, target = labels()
    data = DataBunch.create(ArrayDataset(scores[:20], target[:20]), ArrayDataset(scores, target),
                            bs=10, val_bs=20, classes=["a", "b", "c", "d"])
    learn = Learner(data, Linear(4, 4), loss_func=BCEWithLogitsFlat(), add_time=False,
                    callback_fns=partial(MultiLabelFbeta, average=average, beta=1))
    fit_quietly(learn)
    yes = host(learn.get_preds()[0]) > .3
    expected = np.atleast_1d(sk.fbeta_score(target, yes, beta=1, zero_division=0,
                                            average=None if average == "none" else average))
    np.testing.assert_allclose(learn.recorder.metrics[-1], expected, rtol=CLOSE)
    assert learn.recorder.names[3:] == (["fbeta_a", "fbeta_b", "fbeta_c", "fbeta_d"]
                                        if average == "none" else [f"{average}_fbeta"])


def test_fbeta_of_an_epoch_without_validation() -> None:
    scores, target = labels(20)
    data = DataBunch.create(ArrayDataset(scores, target), bs=10)
    learn = Learner(data, Linear(4, 4), add_time=False, callback_fns=MultiLabelFbeta)
    fit_quietly(learn)
    assert learn.recorder.table.rows[-1][-1] == "#na#"


@pytest.mark.parametrize("iou", [False, True])
def test_dice(iou: bool) -> None:
    target = (rng.random((5, 3, 4)) > .6).astype(int)
    scores = rng.normal(size=(5, 2, 3, 4)).astype(np.float32)
    target[0], scores[0, 1] = 0, -9  # no pixel of class 1 on either side
    yes = scores.argmax(1)
    both, total = (yes * target).sum((1, 2)), (yes + target).sum((1, 2))
    with np.errstate(invalid="ignore"):
        each = both / (total - both) if iou else 2 * both / total
    each[0] = 1
    for shape in ((5, 3, 4), (5, 1, 3, 4)):
        got = dice(tensor(scores), tensor(target.reshape(shape)), iou=iou)
        assert float(got) == pytest.approx(each.mean(), rel=CLOSE)


def test_the_foreground() -> None:
    target = rng.integers(4, size=(5, 1, 3, 4))
    scores = rng.normal(size=(5, 4, 3, 4)).astype(np.float32)
    mask = target[:, 0] != 2
    expected = (scores.argmax(1)[mask] == target[:, 0][mask]).mean()
    got = foreground_acc(tensor(scores), tensor(target), void_code=2)
    assert float(got) == pytest.approx(expected, rel=CLOSE)


def test_perplexity_counts_every_word() -> None:
    scores, target = sample(6, 48)
    metric = Perplexity()
    metric.reset()
    for rows in (slice(0, 32), slice(32, 48)):
        metric.add(tensor(scores[rows].reshape(2, -1, 6)), tensor(target[rows].reshape(2, -1)))
    e = np.exp(scores.astype(float))
    chance = (e / e.sum(1, keepdims=True))[range(48), target]
    assert metric.value() == pytest.approx(np.exp(-np.log(chance).mean()), rel=1e-5)


def test_exp_rmspe() -> None:
    pred, target = rng.normal(size=53), rng.normal(size=53)
    expected = np.sqrt((((np.exp(target) - np.exp(pred)) / np.exp(target)) ** 2).mean())
    assert float(exp_rmspe(tensor(pred), tensor(target))) == pytest.approx(expected)
    whole = measured(ExpRMSPE, pred, target, loss=lambda p, t: ((p - t) ** 2).mean())
    assert whole == pytest.approx(expected)


# ---------------------------------------------------------------- what is refused


def add(metric: Any, pred: Any, target: Any) -> None:
    metric.reset()
    metric.add(pred, target)


@pytest.mark.parametrize(("kind", "message", "call"), [
    (ShapeError, r"Precision needs a score for each of two or more classes; the model's output "
                 r"has shape \(3, 1\)",
     lambda: add(Precision(), tensor(np.ones((3, 1))), tensor([0, 1, 1]))),
    (ShapeError, "as many predictions as targets, got 3 and 2",
     lambda: add(KappaScore(), tensor(np.ones((3, 2))), tensor([0, 1]))),
    (ValueError, "targets go from 0 to 2, but the model has scores for the classes 0 to 1",
     lambda: add(Recall(), tensor(np.ones((3, 2))), tensor([0, 1, 2]))),
    (ValueError, "targets go from -1 to 1",
     lambda: add(Recall(), tensor(np.ones((2, 2))), tensor([-1, 1]))),
    (ValueError, "average is one of 'binary', 'micro', 'macro', 'weighted', None, got 'mean'",
     lambda: FBeta("mean")),
    (ValueError, "pos_label is 0 or 1, got 2", lambda: Precision(pos_label=2)),
    (ValueError, "weights is None, 'linear' or 'quadratic', got 'cubic'",
     lambda: KappaScore("cubic")),
    (ShapeError, r"AUROC needs a model with outputs \(bs, 2\), got \(3, 1\); .* auc_roc_score",
     lambda: add(AUROC(), tensor(np.ones((3, 1))), tensor([0, 1, 1]))),
    (ValueError, "rows of class 1 and others; 2 of 2 targets are 1",
     lambda: roc_curve(tensor([.1, .2]), tensor([1, 1]))),
    (ShapeError, r"same shape \(bs, labels\), got \(2, 3\) and \(3,\)",
     lambda: fbeta(tensor(np.ones((2, 3))), tensor([1, 0, 1]))),
    (ShapeError, r"dice needs scores .* got \(2, 2, 3\) and \(2, 4\)",
     lambda: dice(tensor(np.ones((2, 2, 3))), tensor(np.ones((2, 4), int)))),
    (ShapeError, "foreground_acc needs scores",
     lambda: foreground_acc(tensor(np.ones(3)), tensor([1, 0, 1]), 0))])
def test_what_does_not_fit_is_refused(kind: type, message: str, call: Any) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_an_unknown_average_of_labels_is_refused() -> None:
    data = DataBunch.create(ArrayDataset(*labels()), bs=10)
    learn = Learner(data, Linear(4, 4), callback_fns=partial(MultiLabelFbeta, average="mean"))
    with pytest.raises(ValueError, match="one of micro, macro, weighted, none, got 'mean'"):
        learn.fit(1)
    wrong = Learner(DataBunch.create(ArrayDataset(*sample(4)), ArrayDataset(*sample(4)), bs=10),
                    Linear(4, 4), callback_fns=MultiLabelFbeta)
    with pytest.raises(ShapeError, match=r"same shape \(bs, labels\), got \(10, 4\) and \(10,\)"):
        wrong.fit(1)
