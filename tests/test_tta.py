"""Test time augmentation, focal loss, class weights and the layers of conv_layer."""
from typing import Any

import numpy as np
import pytest
from host import assert_same, check_layer, host, put
from sklearn.utils.class_weight import compute_class_weight
from tiny import fit_quietly

from minifast import ShapeError, gradcheck, tensor
from minifast.data import ArrayDataset, DataBunch, DatasetType
from minifast.nn import (
    BatchNorm2d,
    BCEWithLogitsFlat,
    CrossEntropyFlat,
    MSELossFlat,
    ReLU,
    kaiming_normal_,
)
from minifast.train import Learner
from minifast.vision import (
    FocalLoss,
    ImageDataBunch,
    LeakyReLU,
    NormType,
    apply_tfms,
    class_weights,
    conv_layer,
    focal_loss,
    get_transforms,
    res_block,
    rotate,
    simple_cnn,
    zoom,
)

Array = np.ndarray


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).random(shape, np.float32)


def learner(**kwargs: Any) -> Learner:
    x, y = noise(40, 8, 8), [i % 3 for i in range(40)]
    data = ImageDataBunch.from_arrays(x, y, seed=0, bs=8, test=noise(5, 8, 8, seed=1), **kwargs)
    return fit_quietly(Learner(data.normalize(), simple_cnn([1, 4, 3], seed=1)), 2)


def predictions(learn: Learner, x: Array) -> Array:
    """Return what get_preds returns for the validation set with other images."""
    dl: Any = learn.data.valid_dl
    before, dl.dataset = dl.dataset, ArrayDataset(put(x), dl.dataset.y)
    try:
        return host(learn.get_preds()[0])
    finally:
        dl.dataset = before


def test_tta_is_v1s_average_over_four_corners_and_their_flips() -> None:
    learn, scale = learner(), 1.35
    data: Any = learn.data
    x = host(data.valid_ds.x)
    mean, std = (s.reshape(-1, 1, 1) for s in data.stats)
    raw, copies = x * std + mean, []
    for i in range(8):
        copy = host(apply_tfms([zoom(scale, row_pct=i & 1, col_pct=(i & 2) / 2)], put(raw)))
        copies.append(predictions(learn, ((copy[..., ::-1] if i & 4 else copy) - mean) / std))
    plain, targets = (host(t) for t in learn.get_preds())
    found: Any = learn
    preds, y = found.TTA()
    np.testing.assert_allclose(host(preds), .4 * plain + .6 * np.mean(copies, 0), rtol=2e-5)
    assert_same(y, targets)
    for one, expected in zip(found.tta_only(), copies, strict=True):
        np.testing.assert_allclose(host(one), expected, rtol=2e-5)
    both = found.TTA(beta=None)
    np.testing.assert_allclose(host(both[0]), plain)
    np.testing.assert_allclose(host(both[1]), np.mean(copies, 0), rtol=2e-5)
    assert data.valid_ds.x is not None
    assert_same(data.valid_ds.x, x)


def test_tta_applies_training_transforms_other_than_flips_and_zooms() -> None:
    plain, turned = learner(), learner(ds_tfms=([rotate(90)], []))
    turned.model = plain.model
    x = host(plain.data.valid_ds.x)
    np.testing.assert_allclose(host(turned.TTA(beta=0)[0]),  # type: ignore[attr-defined]
                               host(_rotated(plain, x)), rtol=2e-5)
    random: Any = learner(ds_tfms=get_transforms())
    state = random.data.train_ds.rng.bit_generator.state
    first = host(random.TTA()[0])
    assert_same(random.TTA()[0], first)
    assert not np.array_equal(host(random.TTA(seed=1)[0]), first)
    assert random.data.train_ds.rng.bit_generator.state == state


def _rotated(learn: Any, x: Array) -> Any:
    """TTA of images turned by a right angle; a zoom to a corner is turned back with them."""
    preds = []
    data = learn.data
    mean, std = (s.reshape(-1, 1, 1) for s in data.stats)
    for i in range(8):
        tfms = [rotate(90), zoom(1.35, row_pct=i & 1, col_pct=i // 2 & 1)]
        copy = host(apply_tfms(tfms, put(x * std + mean)))
        preds.append(predictions(learn, ((copy[..., ::-1] if i & 4 else copy) - mean) / std))
    return np.mean(preds, 0)


def test_losses_are_those_of_the_averaged_probabilities() -> None:
    learn: Any = learner()
    preds, y, losses = (host(t) for t in learn.TTA(with_loss=True))
    np.testing.assert_allclose(losses, -np.log(preds[np.arange(len(y)), y]), rtol=1e-5)
    assert len(learn.TTA(ds_type=DatasetType.Test)[0]) == 5
    with pytest.raises(ValueError, match=r"pass ds_type=DatasetType.Fix"):
        learn.TTA(ds_type=DatasetType.Train)
    assert len(learn.TTA(ds_type=DatasetType.Fix)[0]) == 32


@pytest.mark.parametrize("loss", [MSELossFlat, BCEWithLogitsFlat])
def test_losses_of_other_kinds(loss: Any) -> None:
    x, y = put(noise(8, 1, 6, 6)), put(np.eye(2, dtype=np.float32)[[0, 1] * 4])
    data = DataBunch.create(ArrayDataset(x, y), ArrayDataset(x, y), bs=4)
    learn: Any = Learner(data, simple_cnn([1, 4, 2], seed=0), loss_func=loss())
    p, t, losses = (host(t) for t in learn.TTA(with_loss=True))
    expected = (p - t) ** 2 if loss is MSELossFlat else -np.log(np.where(t == 1, p, 1 - p))
    np.testing.assert_allclose(losses.reshape(expected.shape), expected, rtol=1e-4)


def test_after_an_error_the_data_are_as_before() -> None:
    learn: Any = learner()
    before = learn.data.valid_ds
    with pytest.raises(ZeroDivisionError):
        learn.TTA(activ=lambda x: 1 / 0)
    with pytest.raises(ValueError, match="the scale of zoom must be above 0"):
        learn.TTA(scale=0)
    assert learn.data.valid_ds is before
    rows = [(noise(2, 1, 6, 6), np.array([0, 1]))]
    other: Any = Learner(DataBunch(rows, rows, c=2), simple_cnn([1, 4, 2], seed=0),
                         loss_func=CrossEntropyFlat())
    with pytest.raises(TypeError, match="TTA changes images of an ImageDataBunch, got a list"):
        other.TTA()


# -------------------------------------------------------------------------------------- focal loss

SCORES, CLASSES = np.random.default_rng(3).normal(0, 2, (6, 3)), np.array([0, 1, 2, 2, 1, 0])


@pytest.mark.parametrize("gamma", [0., .5, 1., 2., 5.])
@pytest.mark.parametrize("weight", [None, [.2, 1., 3.]])
def test_focal_loss_and_its_gradient(gamma: float, weight: Any) -> None:
    p = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)
    p = p[np.arange(6), CLASSES]
    expected = -(1 - p) ** gamma * np.log(p) * (1 if weight is None else np.array(weight)[CLASSES])
    x, y = put(tensor(SCORES)), put(tensor(CLASSES))
    for reduction, reduce in (("none", np.asarray), ("mean", np.mean), ("sum", np.sum)):
        found = FocalLoss(gamma, weight, reduction)(x, y)
        np.testing.assert_allclose(host(found), reduce(expected), rtol=1e-6)
    alpha = None if weight is None else put(tensor(np.array(weight)))
    assert gradcheck(lambda x: focal_loss(x, y, gamma=gamma, weight=alpha), x)


def test_focal_loss_of_sure_predictions_is_finite() -> None:
    for gamma in (0., .5, 1., 2.):
        x = tensor(np.array([[200., 0], [0, 200.]], np.float32)).requires_grad_()
        loss = FocalLoss(gamma)(x, tensor([0, 0]))
        loss.backward()
        assert x.grad is not None
        assert np.isfinite(host(x.grad)).all()
        assert float(loss) == pytest.approx(100)


def test_a_learner_with_focal_loss_predicts_probabilities() -> None:
    learn = learner()
    learn.loss_func = FocalLoss(weight=class_weights(learn.data))
    fit_quietly(learn)
    preds, _, losses = learn.get_preds(with_loss=True)
    np.testing.assert_allclose(host(preds).sum(1), 1, rtol=1e-5)
    assert losses.shape == (8,)
    with pytest.raises(ShapeError, match=r"scores of 3 classes need 3 weights, got \(2,\)"):
        FocalLoss(weight=[1, 2])(tensor(np.zeros((2, 3))), tensor([0, 1]))
    for wrong in ([-1., 1.], [np.nan, 1.], [[1., 1.]]):
        with pytest.raises(ValueError, match="weight has one finite number per class"):
            FocalLoss(weight=wrong)
    with pytest.raises(ValueError, match="gamma is at least 0, got -1"):
        FocalLoss(-1)


def test_class_weights_are_scikit_learns_balanced_ones(device: str) -> None:
    y = np.array([0] * 5 + [1] * 2 + [2] * 9)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=y)
    data = ImageDataBunch.from_arrays(noise(16, 4, 4), y, valid_pct=0, bs=4)
    assert class_weights(data).device == device
    for found in (class_weights(data), class_weights(y), class_weights(y.tolist())):
        np.testing.assert_allclose(host(found), expected, rtol=1e-6)
    with pytest.raises(TypeError, match=r"one class number per row, got targets of shape \(3,\)"):
        class_weights([.5, 1., 2.])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="class 1 has no training rows"):
        class_weights([0, 2])
    with pytest.raises(ValueError, match="class 3 has no training rows"):
        class_weights(ImageDataBunch.from_arrays(noise(16, 4, 4), y, valid_pct=0, bs=4,
                                                 classes=[0, 1, 2, 3]))


# -------------------------------------------------------------------------------------- conv_layer

def kinds(layers: Any) -> list[str]:
    return [type(layer).__name__ for layer in layers]


def test_conv_layer_has_v1s_layers_in_v1s_order() -> None:
    conv, relu, bn = conv_layer(2, 4, seed=0)
    assert (conv.bias, conv.padding, kinds([conv, relu, bn])) == (
        None, (1, 1), ["Conv2d", "ReLU", "BatchNorm2d"])
    assert (host(bn.weight) == 1).all()
    assert host(bn.bias) == pytest.approx(1e-3)
    assert host(conv_layer(2, 4, norm_type=NormType.BatchZero)[2].weight).max() == 0
    plain = conv_layer(2, 4, 5, 2, norm_type=None, leaky=.1)
    assert kinds(plain) == ["Conv2d", "LeakyReLU"]
    assert plain[0].padding == (2, 2)
    assert host(plain[0].bias).max() == 0
    assert kinds(conv_layer(2, 4, bias=True, use_activ=False)) == ["Conv2d", "BatchNorm2d"]
    assert host(conv_layer(2, 4, init=lambda w: w.data.fill(2))[0].weight).min() == 2
    same = conv_layer(2, 4, init=kaiming_normal_, seed=0)
    assert_same(same[0].weight, host(conv.weight))


@pytest.mark.parametrize("kwargs", [{"is_1d": True}, {"transpose": True}, {"self_attention": True},
                                    {"norm_type": NormType.Spectral}, {"norm_type": "Batch"}])
def test_what_conv_layer_lacks_is_refused_with_a_sentence(kwargs: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        conv_layer(2, 4, **kwargs)


def test_leaky_relu() -> None:
    x = np.array([[-3., -.5, .25, 2.]])
    np.testing.assert_allclose(host(LeakyReLU(.2)(put(tensor(x)))), np.where(x > 0, x, .2 * x))
    assert check_layer(LeakyReLU(.2), x)
    assert repr(LeakyReLU(.2)) == "LeakyReLU(negative_slope=0.2)"


def test_res_block_variants() -> None:
    x = put(tensor(noise(2, 4, 5, 5)))
    block = res_block(4, seed=0)
    np.testing.assert_allclose(host(block(x)), host(x) + np.float32(1e-3), rtol=1e-6)
    dense = res_block(4, dense=True, leaky=.1, seed=0)
    assert dense(x).shape == (2, 8, 5, 5)
    assert_same(dense(x)[:, 4:], host(x))
    assert host(dense.layers[1][2].weight).min() == 1
    bottle = res_block(4, bottle=True, norm_type=None)
    assert [layer[0].weight.shape for layer in bottle.layers] == [(2, 4, 3, 3), (4, 2, 3, 3)]
    assert not any(isinstance(m, BatchNorm2d) for m in bottle.modules())
    assert sum(isinstance(m, ReLU) for m in bottle.modules()) == 2
