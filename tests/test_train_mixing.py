"""Rows mixed, rows drawn by weight, targets smoothed."""
from functools import partial
from typing import Any

import numpy as np
import pytest
from tiny import Spy, fit_quietly, frozen_copy, host, line_learner, rows

from minifast import Tensor, gradcheck
from minifast.autograd import tensor
from minifast.backend import default_device
from minifast.callbacks import (
    MixUpCallback,
    MixUpLoss,
    OverSamplingCallback,
)
from minifast.data import ArrayDataset, DataBunch, DataLoader, DatasetType
from minifast.nn import (
    BCEWithLogitsFlat,
    CrossEntropyFlat,
    FlattenedLoss,
    Lambda,
    Linear,
    MSELossFlat,
    mse_loss,
    softmax,
)
from minifast.optim import SGD
from minifast.train import Learner
from minifast.vision import LabelSmoothingCrossEntropy


def class_learner(counts: Any = (40, 8, 16), bs: int = 8, **kwargs: Any) -> Learner:
    """Rows of three classes, as many of each as ``counts`` say."""
    y = np.repeat(np.arange(len(counts)), counts)
    x = np.random.default_rng(0).normal(size=(len(y), 3)).astype(np.float32) + y[:, None]
    data = DataBunch.create(ArrayDataset(x, y), ArrayDataset(x[::5], y[::5]), bs=bs, seed=1)
    return Learner(data, Linear(3, len(counts), seed=0), **kwargs)


# ------------------------------------------------------------------------------------ mixup's loss


def log_softmax(scores: Any) -> Any:
    scores = np.asarray(scores, np.float64)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_loss_of_a_mixture_of_classes(reduction: str) -> None:
    scores = np.array([[.5, -1, 2], [0, 1, .25]], np.float32)
    one, other, share = np.array([0, 1]), np.array([2, 0]), np.array([.75, .6], np.float32)
    logs = log_softmax(scores)
    expected = [-.75 * logs[0, 0] - .25 * logs[0, 2], -.6 * logs[1, 1] - .4 * logs[1, 0]]
    loss = MixUpLoss(CrossEntropyFlat(reduction))
    assert loss.reduction == reduction
    found = host(loss(*map(tensor, (scores, one, other, share))))
    reduce = {"mean": np.mean, "sum": np.sum, "none": np.array}[reduction]
    np.testing.assert_allclose(found, reduce(expected), rtol=1e-6)
    np.testing.assert_allclose(host(loss(tensor(scores), tensor(one))),
                               reduce([-logs[0, 0], -logs[1, 1]]), rtol=1e-6)


def test_the_loss_of_a_mixture_of_several_labels_and_of_a_plain_function() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(3, 4)).astype(np.float32)
    one, other = rng.integers(0, 2, (2, 3, 4)).astype(np.float32)
    share = np.array([.5, .9, 1], np.float32)

    def binary(y: Any) -> Any:
        return (np.log1p(np.exp(scores)) - scores * y) * 1.
    part = share[:, None]
    found = MixUpLoss(BCEWithLogitsFlat())(*map(tensor, (scores, one, other, share)))
    np.testing.assert_allclose(float(found), (binary(one) * part + binary(other) * (1 - part)
                                              ).mean(), rtol=1e-5)
    plain = MixUpLoss(mse_loss)(*map(tensor, (scores, one, other, share)))
    np.testing.assert_allclose(float(plain), ((scores - one) ** 2 * part
                                              + (scores - other) ** 2 * (1 - part)).mean(),
                               rtol=1e-5)


def test_a_mixture_s_loss_leaves_the_loss_it_was_made_from() -> None:
    crit = CrossEntropyFlat()
    loss = MixUpLoss(crit)
    with pytest.raises(ValueError):
        loss(tensor([[0., 1.]]), tensor([0, 1]), tensor([1, 0]), tensor([.5, .5]))
    assert crit.reduction == "mean"
    loss.reduction = "sum"
    assert float(loss(tensor([[0., 0.]] * 2), tensor([0, 1]))) == pytest.approx(2 * np.log(2))
    assert crit.reduction == "mean"
    assert loss.activation is softmax
    assert repr(loss) == "MixUpLoss of FlattenedLoss of CrossEntropyLoss()"
    with pytest.raises(TypeError, match="gives one number for all; let it take reduction='none'"):
        MixUpLoss(lambda pred, target: pred.mean())


# ------------------------------------------------------------------------------------------- mixup


def heard_by_the_loss(learn: Learner, **kwargs: Any) -> list[tuple[Any, ...]]:
    """What the model and the loss get in one epoch: (xb, *targets), training batches only."""
    seen: list[tuple[Any, ...]] = []

    def hear(event: str, state: dict[str, Any]) -> None:
        if event == "loss_begin" and state["train"]:
            xb, yb = state["last_input"], state["last_target"]
            parts = [x if isinstance(x, list) else [x] for x in (xb, yb)]
            seen.append(tuple(host(part) for part in [*parts[0], *parts[1]]))
    fit_quietly(learn, 1, 0., callbacks=[MixUpCallback(learn, **kwargs), Spy(hear)])
    return seen


def test_inputs_and_targets_are_mixed_alike() -> None:
    learn = line_learner(3)
    originals = list(learn.data.train_dl)
    for (x, y), (mixed, one, other, share) in zip(
            originals, heard_by_the_loss(learn, alpha=.4, seed=0), strict=True):
        np.testing.assert_array_equal(one, y)
        partner = [int(np.flatnonzero(y == v)[0]) for v in other]  # the targets are all different
        assert sorted(partner) == [0, 1, 2, 3]
        part = share[:, None]
        np.testing.assert_allclose(mixed, x * part + x[partner] * (1 - part), rtol=1e-6)
        assert (share >= .5).all()
        assert (share <= 1).all()
        assert share.dtype == np.float32


def test_shares_are_drawn_from_the_larger_half_of_a_beta() -> None:
    """Two moments against 100 000 draws of NumPy's; 4000 shares, so four standard errors."""
    x, y = rows(4000)
    for alpha in (.2, 1., 8.):
        learn = line_learner()
        learn.data.train_dl = [(x, y)]
        (_, _, _, share), = heard_by_the_loss(learn, alpha=alpha, seed=1)
        drawn = np.random.default_rng(2).beta(alpha, alpha, 100_000)
        drawn = np.maximum(drawn, 1 - drawn)
        for power in (1, 2):
            error = (drawn ** power).std() / np.sqrt(4000)
            assert abs((share ** power).mean() - (drawn ** power).mean()) < 4 * error


def test_stacked_inputs_and_mixed_targets() -> None:
    learn = line_learner(1)
    learn.model = Lambda(lambda x, other, share: (x.sum(1) + other.sum(1)) * share)
    learn.opt = SGD([Linear(1, 1).weight])
    learn.loss_func = FlattenedLoss("L", lambda a, b, reduction: mse_loss(a, b).requires_grad_())
    (x, y), = learn.data.train_dl
    learn.data.valid_dl = []
    (one, other, share, mixed), = heard_by_the_loss(learn, stack_x=True, stack_y=False, seed=3)
    np.testing.assert_array_equal(one, x)
    partner = [int(np.flatnonzero((x == row).all(1))[0]) for row in other]
    np.testing.assert_allclose(mixed, y * share + y[partner] * (1 - share), rtol=1e-6)


def test_a_step_of_mixup_by_hand() -> None:
    """One step of SGD along the gradient of the mixture's loss, in float64."""
    learn = line_learner(1)
    weight, bias = (host(p).astype(np.float64) for p in learn.model.parameters())
    seen: list[Any] = []
    learn.callbacks.append(Spy(lambda event, state: seen.append(
        [host(part) for part in (state["last_input"], *state["last_target"])])
        if event == "loss_begin" and state["train"] else None))
    learn.mixup(alpha=1.)
    fit_quietly(learn, 1, .1)
    x, one, other, share = (part.astype(np.float64) for part in seen[0])
    pred = x @ weight[0] + bias
    g = 2 * ((pred - one) * share + (pred - other) * (1 - share)) / len(x)
    np.testing.assert_allclose(host(learn.model.weight), weight - .1 * g @ x, rtol=1e-5)
    np.testing.assert_allclose(host(learn.model.bias), bias - .1 * g.sum(), rtol=1e-5)


def test_validation_is_not_mixed() -> None:
    mixed, plain = line_learner(2).mixup(), line_learner(2)
    assert isinstance(mixed, Learner)
    fit_quietly(mixed, 1, 0.)
    fit_quietly(plain, 1, 0.)
    assert mixed.recorder.val_losses == plain.recorder.val_losses
    assert mixed.recorder.losses[-1] != plain.recorder.losses[-1]


@pytest.mark.parametrize("event", ["train_begin", "epoch_begin", "loss_begin", "train_end"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_loss_is_put_back(event: str, error: type[BaseException]) -> None:
    def hear(heard: str, state: dict[str, Any]) -> None:
        if heard == event:
            raise error
    learn = class_learner().mixup()
    before = learn.loss_func
    with pytest.raises(error):
        fit_quietly(learn, callbacks=[Spy(hear)])
    assert learn.loss_func is before
    fit_quietly(learn)
    assert learn.loss_func is before
    assert before.reduction == "mean"
    with pytest.raises(error):
        learn.validate(callbacks=[MixUpCallback(learn), Spy(hear)])
    assert learn.loss_func is before


def test_mixup_draws_from_its_seed_or_from_numpy_s() -> None:
    def shares(seed: Any = None, numpy_seed: int = 0) -> Any:
        np.random.seed(numpy_seed)
        return np.concatenate([batch[3] for batch in heard_by_the_loss(line_learner(2), seed=seed)])
    np.testing.assert_array_equal(shares(5, 0), shares(5, 1))
    np.testing.assert_array_equal(shares(None, 0), shares(None, 0))
    assert (shares(None, 0) != shares(None, 1)).any()
    assert (shares(5) != shares(6)).any()


def test_what_cannot_be_mixed() -> None:
    for alpha in (0, -1, float("nan")):
        with pytest.raises(ValueError, match=f"alpha is a positive number, got {alpha}"):
            MixUpCallback(line_learner(), alpha)
    with pytest.raises(TypeError, match=r"int64 cannot be mixed.*stack_y=True for targets"):
        fit_quietly(class_learner().mixup(stack_y=False))
    learn = class_learner().mixup().mixup()
    before = learn.loss_func
    with pytest.raises(RuntimeError, match="mixes up already; take one of the two out"):
        fit_quietly(learn)
    assert learn.loss_func is before


def test_mixup_trains_and_predicts_classes() -> None:
    learn = class_learner().mixup()
    loss = learn.validate()[0]
    fit_quietly(learn, 5, .05)
    assert learn.validate()[0] < loss
    np.testing.assert_allclose(host(learn.get_preds()[0]).sum(1), 1, rtol=1e-6)


# ------------------------------------------------------------------------------------ oversampling


def drawn_classes(learn: Learner, epochs: int, callback: Any) -> Any:
    seen: list[Any] = []
    fit_quietly(learn, epochs, 0., callbacks=[callback, Spy(
        lambda event, state: seen.append(host(state["last_target"]))
        if event == "batch_end" and state["train"] else None)])
    return np.concatenate(seen)


def test_classes_come_equally_often() -> None:
    """3 x 40 rows per epoch, in 30 epochs; the shares within four standard errors of a third."""
    learn = class_learner()
    own = learn.data.train_dl
    drawn = drawn_classes(learn, 30, OverSamplingCallback(learn))
    assert len(drawn) == 30 * 120
    assert learn.recorder.nb_batches == [15] * 30
    shares = np.bincount(drawn) / len(drawn)
    np.testing.assert_allclose(shares, 1 / 3, atol=4 * np.sqrt(2 / 9 / len(drawn)))
    assert learn.data.train_dl is own
    assert len(own) == 8


def test_weights_of_one_s_own() -> None:
    learn = class_learner()
    weights = np.array([1., 0., 2.])[host(learn.data.train_ds.y)]
    shares = np.bincount(drawn_classes(learn, 20, OverSamplingCallback(learn, weights))) / 2400
    expected = 40 / 72, 0, 32 / 72
    np.testing.assert_allclose(shares, expected, atol=4 * np.sqrt(.25 / 2400))


def test_a_short_last_batch_and_every_row_is_there() -> None:
    learn = class_learner((5, 2), bs=4)
    learn.data.train_dl = DataLoader(learn.data.train_ds, 4, seed=0)
    drawn = drawn_classes(learn, 1, OverSamplingCallback(learn))
    assert len(drawn) == 10
    assert learn.recorder.nb_batches == [3]


def test_one_cycle_and_fit_fc_know_the_longer_epochs() -> None:
    learn = class_learner(callback_fns=[OverSamplingCallback])
    with learn.no_logging():
        learn.fit_one_cycle(2, .1)
        assert learn.recorder.nb_batches == [15, 15]
        assert max(learn.recorder.lrs) == learn.recorder.lrs[9] == .1
        learn.fit_fc(2, .1)
        assert learn.recorder.nb_batches == [15, 15]
        assert learn.recorder.lrs[21] == .1 > learn.recorder.lrs[22]


@pytest.mark.parametrize("event", ["train_begin", "epoch_begin", "batch_end", "train_end"])
def test_the_loader_is_put_back(event: str) -> None:
    def hear(heard: str, state: dict[str, Any]) -> None:
        if heard == event:
            raise RuntimeError
    learn = class_learner()
    own = learn.data.train_dl
    with pytest.raises(RuntimeError):
        fit_quietly(learn, callbacks=[OverSamplingCallback(learn), Spy(hear)])
    assert learn.data.train_dl is own
    assert learn.data.dl(DatasetType.Train) is own


def test_the_same_seed_draws_the_same_rows() -> None:
    first, second = (drawn_classes(learn, 2, OverSamplingCallback(learn))
                     for learn in (class_learner(), class_learner()))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("make", "weights", "error", "message"), [
    (line_learner, None, TypeError, "training loader is a list. Make the data with DataBunch"),
    (class_learner, [1., 2.], ValueError, r"weights of shape \(2,\) for 64 training rows"),
    (class_learner, [-1.] * 64, ValueError, r"these go from -1\.0 to -1\.0"),
    (class_learner, [0.] * 64, ValueError, r"these go from 0\.0 to 0\.0"),
    (partial(class_learner, callback_fns=[OverSamplingCallback]), None, TypeError,
     "once; the training loader is a WeightedLoader")])
def test_what_cannot_be_oversampled(make: Any, weights: Any, error: Any, message: str) -> None:
    learn = make()
    before, own = frozen_copy(learn), learn.data.train_dl
    with pytest.raises(error, match=message):
        fit_quietly(learn, callbacks=[OverSamplingCallback(learn, weights)])
    assert {k: frozen_copy(learn)[k] for k in before} == before
    assert learn.data.train_dl is own


def test_numbers_are_no_classes() -> None:
    x, y = rows(16)
    learn = Learner(DataBunch.create(ArrayDataset(x, y), bs=4), Linear(3, 1))
    with pytest.raises(TypeError, match=r"one class number per row.*\(16,\) and type float32"):
        fit_quietly(learn, callbacks=[OverSamplingCallback(learn)])


# --------------------------------------------------------------------------------- label smoothing


@pytest.mark.parametrize("eps", [0., .1, .5])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_label_smoothing_by_the_formula(eps: float, reduction: str) -> None:
    rng = np.random.default_rng(0)
    scores, target = rng.normal(scale=5, size=(6, 4)), rng.integers(0, 4, 6)
    logs = log_softmax(scores)
    expected = -(1 - eps) * logs[np.arange(6), target] - eps / 4 * logs.sum(1)
    loss = LabelSmoothingCrossEntropy(eps, reduction)
    reduce = {"mean": np.mean, "sum": np.sum, "none": np.array}[reduction]
    np.testing.assert_allclose(host(loss(tensor(scores), tensor(target))), reduce(expected),
                               rtol=1e-12)
    single = host(loss(tensor(scores.astype(np.float32)), tensor(target)))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, reduce(expected), rtol=1e-5)


def test_label_smoothing_has_derivatives_extremes_and_an_activation() -> None:
    target = tensor([2, 0])
    loss = LabelSmoothingCrossEntropy()
    scores = np.random.default_rng(0).normal(size=(2, 3))
    assert gradcheck(lambda x: loss(x, target), tensor(scores))
    large = loss(tensor([[1e4, 0., -1e4]]), tensor([0]))
    np.testing.assert_allclose(float(large), .1 / 3 * 3e4, rtol=1e-6)
    assert loss.activation is softmax
    flat = loss(tensor(np.zeros((2, 5, 3), np.float32)), tensor(np.zeros((2, 5), np.int64)))
    np.testing.assert_allclose(float(flat), np.log(3), rtol=1e-6)
    for eps in (-.1, 1., 2.):
        with pytest.raises(ValueError, match=f"from 0 to below 1, got {eps}"):
            LabelSmoothingCrossEntropy(eps)


def test_label_smoothing_trains() -> None:
    learn = class_learner(loss_func=LabelSmoothingCrossEntropy())
    assert learn.model.weight.device == default_device()
    loss = learn.validate()[0]
    fit_quietly(learn, 3, .05)
    assert learn.validate()[0] < loss
    assert isinstance(learn.get_preds(with_loss=True)[2], Tensor)
    assert repr(MSELossFlat()) != repr(learn.loss_func)
