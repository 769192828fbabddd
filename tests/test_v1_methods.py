"""Methods and arguments of fastai v1 that the room ``v1`` adds, against plain formulas."""
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from host import host
from tiny import (
    Spy,
    batches,
    fit_quietly,
    line_learner,
    ratings,
    ratings_learner,
    rows,
    three_groups,
)

from minifast import Tensor, defaults, tensor
from minifast.basics import (
    CallbackHandler,
    camel2snake,
    children,
    chunks,
    even_mults,
    first_layer,
    ifnone,
    is_listy,
    last_layer,
    listify,
    num_children,
    one_param,
    requires_grad,
    set_bn_eval,
    split_no_wd_params,
    to_cpu,
    to_data,
    to_detach,
    to_device,
    to_float,
    to_half,
    to_np,
    trainable_params,
    uniqueify,
)
from minifast.collab import CollabDataBunch, collab_learner
from minifast.data import ArrayDataset, DataBunch, DataLoader, DatasetType
from minifast.nn import (
    BatchNorm1d,
    CrossEntropyFlat,
    Dropout,
    Linear,
    MSELossFlat,
    ReLU,
    Sequential,
)
from minifast.tabular import TabularDataBunch
from minifast.train import Learner


def data(n: int = 12, **kwargs: Any) -> DataBunch:
    return DataBunch.create(ArrayDataset(*rows(n)), ArrayDataset(*rows(8, seed=1)),
                            **{"bs": 4, "seed": 0, **kwargs})


def classifier(dropout: float = 0.) -> Learner:
    x, y = rows(16)
    ds = ArrayDataset(x, (y > 0).astype(int))
    bunch = DataBunch.create(ds, ds, bs=8, seed=0, classes=["low", "high"])
    return Learner(bunch, Sequential(Dropout(dropout, seed=1), Linear(3, 2, seed=0)), silent=True)


# ---------------------------------------------------------------- the learner's predictions


def test_pred_batch_is_the_first_batch_of_get_preds() -> None:
    learn = classifier()
    preds = learn.pred_batch(DatasetType.Valid)
    assert preds.shape == (8, 2)
    np.testing.assert_array_equal(host(preds), host(learn.get_preds()[0])[:8])
    raw = learn.pred_batch(activ=lambda x: x)
    e = np.exp(host(raw))
    np.testing.assert_allclose(host(preds), e / e.sum(1, keepdims=True), rtol=1e-6)  # rounding


def test_pred_batch_takes_a_batch_and_names_classes() -> None:
    learn = classifier()
    batch = learn.data.one_batch(DatasetType.Valid)
    names = learn.pred_batch(batch=batch, reconstruct=True)
    best = host(learn.pred_batch(batch=batch)).argmax(1)
    assert names == [["low", "high"][i] for i in best]


def test_predictions_with_dropout_vary_and_leave_the_mode() -> None:
    learn = classifier(.5)
    item = np.ones(3, np.float32)
    found = learn.predict_with_mc_dropout(item, n_times=6)
    assert len(found) == 6
    assert len({float(probabilities[0]) for *_, probabilities in found}) > 1
    same = learn.predict_with_mc_dropout(item, with_dropout=False, n_times=3)
    assert {float(p[0]) for *_, p in same} == {float(learn.predict(item)[2][0])}
    assert found[0][0] in ("low", "high")
    assert all(module.training for module in learn.model.modules())


def test_backward_gives_the_gradients_of_one_sample() -> None:
    learn = line_learner()
    item = np.array([1., 2., 3.], np.float32)
    loss = learn.backward(item, np.float32(5.))
    weight, bias = learn.model.weight, learn.model.bias
    error = host(weight)[0] @ item + host(bias)[0] - 5
    np.testing.assert_allclose(float(loss), error ** 2, rtol=1e-5)
    np.testing.assert_allclose(host(weight.grad)[0], 2 * error * item, rtol=1e-5)
    with pytest.raises(ValueError, match=r"write learn.backward\(item, target\)"):
        learn.backward(item)
    assert float(classifier().backward(item)) > 0  # the class with the highest score


def test_dl_is_the_loader() -> None:
    learn = line_learner()
    assert learn.dl(DatasetType.Train) is learn.data.train_dl
    with pytest.raises(ValueError, match="no Test set"):
        learn.dl(DatasetType.Test)


# ---------------------------------------------------------------- memory and precision


def test_purge_forgets_gradients_and_optimizer() -> None:
    learn = fit_quietly(line_learner())
    learn.backward(np.ones(3, np.float32), np.float32(0))
    assert learn.purge(clear_opt=False) is learn
    assert learn.opt is not None
    assert learn.model.weight.grad is None
    learn.purge()
    assert learn.opt is None
    fit_quietly(learn)


def test_a_destroyed_learner_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    learn = line_learner()
    learn.destroy()
    assert "self-destroyed" in capsys.readouterr().out
    with pytest.raises(AttributeError, match="there is no fit: this learner was destroyed"):
        learn.fit(1)


def test_half_precision_changes_nothing_and_says_so() -> None:
    learn = line_learner()
    with pytest.warns(UserWarning, match=r"to_fp16\(\) changes nothing: half precision brings"):
        assert learn.to_fp16(loss_scale=512) is learn
    assert learn.to_fp32() is learn
    with pytest.warns(UserWarning, match="everything stays float32"):
        assert to_half(tensor([1.])).dtype == np.float32


# ---------------------------------------------------------------- silence, callbacks of all fits


def test_a_silent_learner_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    line_learner(silent=True).fit(1)
    assert capsys.readouterr().out == ""
    line_learner().fit(1)
    assert "train_loss" in capsys.readouterr().out


def test_defaults_silence_new_learners(capsys: pytest.CaptureFixture[str],
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "silent", True)
    quiet, loud = line_learner(), line_learner(silent=False)
    quiet.fit(1)
    assert capsys.readouterr().out == ""
    loud.fit(1)
    assert "train_loss" in capsys.readouterr().out
    assert "silent" not in Learner.__annotations__  # v1.0.51 has fifteen fields


def test_callbacks_of_all_learners(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    spy = Spy(lambda event, state: heard.append(event))
    monkeypatch.setattr(defaults, "extra_callbacks", [spy])
    fit_quietly(line_learner())
    assert heard[0] == "train_begin"
    monkeypatch.setattr(defaults, "extra_callbacks", None)  # v1's own default
    made: list[Any] = []
    monkeypatch.setattr(defaults, "extra_callback_fns", [lambda learn: made.append(learn) or spy])
    learn = fit_quietly(line_learner())
    assert made == [learn]


# ---------------------------------------------------------------- the recorder


def test_the_recorder_knows_its_learner() -> None:
    learn = fit_quietly(line_learner())
    recorder = learn.recorder
    assert recorder.train_dl is learn.data.train_dl
    assert (recorder.no_val, recorder.silent, recorder.add_time) == (False, False, True)


def test_a_spline_through_few_points_is_the_polynomial() -> None:
    pytest.importorskip("scipy")
    learn = fit_quietly(line_learner())
    cubic = [x ** 3 - 2. * x for x in range(7)]
    smooth = learn.recorder.smoothen_by_spline(range(7), cubic, k=3, s=0)
    np.testing.assert_allclose(smooth, cubic, atol=1e-9)  # rounding of float64


# ---------------------------------------------------------------- the data bunch


def test_loaders_and_rows_of_a_bunch() -> None:
    bunch = data(test_ds=ArrayDataset(*rows(4, seed=2)))
    assert [len(dl.dataset) for dl in bunch.dls] == [12, 8, 12, 8, 4]
    assert bunch.single_dl.bs == 1
    assert len(next(iter(bunch.single_dl))[1]) == 1
    assert (len(bunch.test_ds), len(bunch.fix_ds), len(bunch.single_ds)) == (4, 12, 8)
    assert not bunch.is_empty
    assert DataBunch([], []).is_empty
    assert DataBunch([(1, 2)]).single_dl is None


def test_a_batch_size_can_be_set() -> None:
    bunch = data()
    bunch.batch_size = 6
    assert (bunch.batch_size, len(bunch.train_dl), len(bunch.valid_dl)) == (6, 2, 2)
    with pytest.raises(ValueError, match="at least one row, got 0"):
        bunch.batch_size = 0


def test_transforms_of_batches_come_and_go() -> None:
    bunch, plain = data(), data()

    def double(batch: Any) -> Any:
        return batch[0] * 2, batch[1]

    def shift(batch: Any) -> Any:
        return batch[0] + 1, batch[1]
    bunch.add_tfm(double)
    bunch.add_tfm(shift)
    assert bunch.tfms == bunch.dl_tfms == [double, shift]
    for kind in (DatasetType.Train, DatasetType.Valid, DatasetType.Fix):
        xb, other = bunch.one_batch(kind)[0], plain.one_batch(kind)[0]
        np.testing.assert_array_equal(host(xb), host(other) * 2 + 1)
    bunch.remove_tfm(double)
    np.testing.assert_array_equal(host(bunch.one_batch(DatasetType.Fix)[0]),
                                  host(plain.one_batch(DatasetType.Fix)[0]) + 1)
    bunch.remove_tfm(shift)
    assert type(bunch.train_dl) is DataLoader
    with pytest.raises(TypeError, match="train_dl is a list, not a DataLoader"):
        DataBunch(batches(2)).add_tfm(shift)


def test_a_transformed_bunch_trains_as_its_rows_would() -> None:
    def halve(batch: Any) -> Any:
        return batch[0] * np.float32(.5), batch[1]
    x, y = rows(12)
    once = DataBunch.create(ArrayDataset(x * np.float32(.5), y), bs=4, seed=0)
    tfmd = DataBunch.create(ArrayDataset(x, y), bs=4, seed=0, dl_tfms=halve)
    one, two = (fit_quietly(Learner(d, Linear(3, 1, seed=0)), 2) for d in (once, tfmd))
    np.testing.assert_array_equal(host(one.model.weight), host(two.model.weight))


def test_oversampling_keeps_the_transforms() -> None:
    from minifast.callbacks import OverSamplingCallback
    learn, seen = classifier(), []
    learn.data.add_tfm(lambda batch: (batch[0] * 0 + 7, batch[1]))
    loader = learn.data.train_dl
    spy = Spy(lambda event, state: seen.append(host(state["last_input"]))
              if event == "batch_begin" and state["train"] else None)
    learn.fit(1, callbacks=[OverSamplingCallback(learn), spy])
    assert seen
    assert (np.stack(seen) == 7).all()
    assert learn.data.train_dl is loader


@pytest.mark.cpu_only("moves from the CPU")
def test_a_transformed_bunch_moves(device: str) -> None:
    bunch = data(dl_tfms=[lambda batch: batch])
    bunch.to("fakecuda")
    assert bunch.one_batch()[0].device == "fakecuda"


def test_the_sanity_check_looks_at_each_loader() -> None:
    data().sanity_check()
    with pytest.raises(ValueError, match="the training loader has no batch"):
        DataBunch([], []).sanity_check()


def test_one_batch_with_v1s_arguments() -> None:
    bunch = data()
    xb, yb = bunch.one_batch(DatasetType.Fix, detach=False, denorm=True, cpu=True)
    np.testing.assert_array_equal(xb.numpy(), rows(12)[0][:4])
    assert xb.device == yb.device == "cpu"


def test_exported_data_come_back_without_rows(tmp_path: Path) -> None:
    bunch = CollabDataBunch.from_df(ratings(), valid_pct=.25, seed=3, bs=4, path=tmp_path)
    bunch.export()
    empty = DataBunch.load_empty(tmp_path)
    assert empty.is_empty
    assert empty.classes["item"].tolist() == bunch.classes["item"].tolist()
    empty.add_test(ratings())
    assert len(empty.test_ds) == 16


# ---------------------------------------------------------------- arguments


def frame() -> pd.DataFrame:
    x, y = rows(12)
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y})


@pytest.mark.parametrize("make", [
    lambda **kwargs: data(**kwargs),
    lambda **kwargs: CollabDataBunch.from_df(ratings(), bs=4, **kwargs),
    lambda **kwargs: TabularDataBunch.from_df(".", frame(), "y", [0, 1], bs=4, **kwargs)])
def test_v1s_arguments_are_accepted_or_refused_with_a_sentence(make: Any) -> None:
    make(num_workers=0, dl_tfms=None, ds_tfms=None, collate_fn=None, no_check=True)
    with pytest.warns(UserWarning, match=r"num_workers=4 changes nothing: batches are gathered "):
        make(num_workers=4)
    with pytest.raises(TypeError, match=r"takes no collate_fn=: rows are joined with np.stack; "):
        make(collate_fn=list)
    with pytest.raises(TypeError, match=r"takes no ds_tfms=: transforms of single rows belong"):
        make(ds_tfms=[1])
    with pytest.raises(TypeError, match=r"DataBunch takes no workers="):
        make(workers=None)


def test_layers_take_torchs_names() -> None:
    from minifast.nn import Embedding
    assert Linear(in_features=3, out_features=2).weight.shape == (2, 3)
    assert Embedding(num_embeddings=5, embedding_dim=2).weight.shape == (5, 2)
    assert BatchNorm1d(num_features=4).weight.shape == (4,)
    x = tensor([-1., 2.])
    assert host(ReLU(inplace=True)(x)).tolist() == [0, 2]
    assert host(x).tolist() == [-1, 2]
    assert host(Dropout(.5, inplace=True).eval()(x)).tolist() == [-1, 2]


def test_a_chain_takes_names_and_refuses_functions() -> None:
    net = Sequential({"first": Linear(2, 3, seed=0), "act": ReLU()})
    assert [name for name, _ in net.named_parameters()] == ["first.weight", "first.bias"]
    assert net(tensor([[1., 2.]])).shape == (1, 3)
    with pytest.raises(TypeError, match=r"Sequential holds modules, got <function .*Lambda\(f\)"):
        Sequential(Linear(2, 3), lambda x: x)
    with pytest.raises(TypeError, match=r"holds modules, got \{\}"):
        Sequential({})


def test_collab_learner_takes_the_learners_arguments() -> None:
    bunch = CollabDataBunch.from_df(ratings(), bs=4, num_workers=0)
    learn = collab_learner(bunch, n_factors=2, y_range=(0, 5.5), wd=.1, silent=True)
    learn.fit_one_cycle(1, 5e-3)
    assert learn.wd == .1


# ---------------------------------------------------------------- cross entropy


def test_cross_entropy_with_weights_is_torchs() -> None:
    rng = np.random.default_rng(0)
    scores, target = rng.normal(size=(6, 3)).astype(np.float32), rng.integers(0, 3, 6)
    weight = np.array([1., 2., .5], np.float32)
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    each = -np.log(p[np.arange(6), target]) * weight[target]
    args = tensor(scores), tensor(target)
    for reduction, expected in (("none", each), ("sum", each.sum()),
                                ("mean", each.sum() / weight[target].sum())):
        loss = CrossEntropyFlat(reduction, weight=weight)(*args)
        np.testing.assert_allclose(host(loss), expected, rtol=1e-5)  # rounding
    with pytest.raises(ValueError, match=r"weights of shape \(2,\) for 3 classes"):
        CrossEntropyFlat(weight=[1., 2.])(*args)


def test_cross_entropy_along_another_axis() -> None:
    rng = np.random.default_rng(0)
    scores, target = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    loss = CrossEntropyFlat(axis=1)
    flat = CrossEntropyFlat()(tensor(np.moveaxis(scores, 1, -1).reshape(-1, 3)),
                              tensor(target.reshape(-1)))
    np.testing.assert_allclose(float(loss(tensor(scores), tensor(target))), float(flat))
    with_axis = loss(tensor(scores), tensor(target[:, None]))
    np.testing.assert_allclose(float(with_axis), float(flat))
    np.testing.assert_allclose(host(loss.activation(tensor(scores))).sum(1), 1)


def test_weights_train_a_learner_towards_the_heavy_class() -> None:
    shares = []
    for weight in ([100., 1.], [1., 100.]):
        learn = classifier()
        learn.loss_func = CrossEntropyFlat(weight=weight)
        learn.fit(10, .1)
        shares.append(host(learn.get_preds()[0])[:, 1].mean())
    assert shares[0] < .5 < shares[1]


# ---------------------------------------------------------------- functions of torch_core


def test_nested_tensors_move() -> None:
    batch = [tensor([1.5]), (tensor([2]), {"a": tensor([3.])})]
    assert to_np(batch)[1][1]["a"].tolist() == [3]
    assert to_float(tensor(np.ones(1))).dtype == np.float32
    assert to_float(tensor([1])).dtype == np.int64
    assert to_cpu(batch)[0].device == "cpu"
    assert to_device(tensor([1.]), "cpu").device == "cpu"
    w = Tensor(np.ones(2), requires_grad=True)
    assert not to_detach([w * 2])[0].requires_grad
    assert isinstance(to_data([tensor([1.])])[0], type(tensor([1.]).data))


def test_modules_are_looked_at() -> None:
    model = three_groups().model
    assert (len(children(model)), num_children(model)) == (8, 8)
    assert (first_layer(model), last_layer(model)) == (model[0], model[7])
    assert one_param(model) is model[0].weight
    assert len(trainable_params(model)) == 10
    model[2].requires_grad_(False)
    set_bn_eval(model)
    assert (model[2].training, model[5].training) == (False, True)
    requires_grad(model, False)
    assert requires_grad(model) is False
    assert requires_grad(ReLU()) is None
    groups = [Sequential(Linear(2, 2), BatchNorm1d(2)), Sequential(Linear(2, 1, bias=False))]
    assert [len(part) for part in split_no_wd_params(groups)] == [1, 3, 1, 0]


def test_small_functions() -> None:
    assert (ifnone(None, 1), ifnone(0, 1)) == (1, 0)
    assert (is_listy([]), is_listy((1,)), is_listy("a")) == (True, True, False)
    assert (listify(1, [5, 6]), listify([1, 2], 2), listify(range(2))) == ([1, 1], [1, 2], [0, 1])
    with pytest.raises(ValueError, match="2 items where 3 are needed"):
        listify([1, 2], 3)
    assert camel2snake("CSVLogger") == "csv_logger"
    np.testing.assert_allclose(even_mults(1, 16, 5), [1, 2, 4, 8, 16])
    assert even_mults(1, 16, 1) == [16]
    assert uniqueify("banana") == ["b", "a", "n"]
    assert [len(part) for part in chunks(range(7), 3)] == [3, 3, 1]
    assert CallbackHandler([]).state["epoch"] == 0


def test_the_size_of_a_tensor_is_numpys() -> None:
    t = tensor([[1., 2., 3.]])
    assert (np.size(t), np.size(t, 1)) == (3, 3)


def test_a_learner_of_ratings_has_the_methods() -> None:
    learn = ratings_learner()
    preds = learn.pred_batch()
    assert preds.shape == (4,)
    assert MSELossFlat()(preds, learn.data.one_batch(DatasetType.Valid)[1]).shape == ()
