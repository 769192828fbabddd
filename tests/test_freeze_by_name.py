"""model.freeze('layer1', 'layer2.weight'): freezing by name, before and during training."""
import numpy as np
import pytest
from test_train_frozen import model_bytes, warm
from tiny import answer, fit_quietly, host, three_groups

from minifast.collab import EmbeddingNN
from minifast.nn import BatchNorm1d, Linear, Module, Sequential, UnknownNameError
from minifast.optim import Optimizer
from minifast.train import Learner
from minifast.vision import resnet10


def trainable(model: Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def net() -> Sequential:
    return Sequential(Linear(2, 3), Sequential(BatchNorm1d(3), Linear(3, 1)))


# ---------------------------------------------------------------- which parameters


@pytest.mark.parametrize(("names", "frozen"), [
    (["0"], {"0.weight", "0.bias"}), (["0.weight"], {"0.weight"}),
    (["1"], {"1.0.weight", "1.0.bias", "1.1.weight", "1.1.bias"}),
    (["1.0", "1.1.bias"], {"1.0.weight", "1.0.bias", "1.1.bias"}),
    (["0.bias", "0"], {"0.weight", "0.bias"})])
def test_modules_and_parameters_by_name(names: list[str], frozen: set[str]) -> None:
    model = net()
    every = trainable(model)
    assert model.freeze(*names) is model
    assert trainable(model) == every - frozen
    assert model.unfreeze(*names) is model
    assert trainable(model) == every
    assert trainable(model.requires_grad_(False).unfreeze(*names)) == frozen


def test_every_name_of_a_module_or_parameter_will_do() -> None:
    model = resnet10()
    names = [name for name, _ in [*model.named_modules(), *model.named_parameters()] if name]
    for name in names:
        below = {k for k, _ in model.named_parameters() if f"{k}.".startswith(f"{name}.")}
        model.requires_grad_(True).freeze(name)
        assert trainable(model) == {k for k, _ in model.named_parameters()} - below


def test_one_table_of_embeddings() -> None:
    model = EmbeddingNN([(5, 3), (7, 4)], [10]).freeze("embeds.0")
    assert {name for name, _ in model.named_parameters()} - trainable(model) == {"embeds.0.weight"}


def test_a_parameter_with_two_names() -> None:
    model = Sequential(Linear(3, 3), Linear(3, 3))
    model[1].weight = model[0].weight
    assert trainable(model.freeze("1.weight")) == {"0.bias", "1.bias"}


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("verb", ["freeze", "unfreeze"])
@pytest.mark.parametrize(("names", "message"), [
    (["0", "1.0.wieght"], r"^Sequential has no part '1.0.wieght'; near it: 1.0.weight"),
    (["2", "1.0.b"], r"no part '2', '1.0.b'; near them: 1.0"),
    (["head"], r"no part 'head'; its parts are 0, 1$"), ([""], r"no part ''"),
    (["0.weight", "1.0.running_mean"], r"no part '1.0.running_mean'; its parts are 0, 1$")])
def test_an_unknown_name_changes_nothing(verb: str, names: list[str], message: str) -> None:
    model = net().freeze("0.bias", "1.1")
    before = trainable(model)
    with pytest.raises(UnknownNameError, match=message):
        getattr(model, verb)(*names)
    assert issubclass(UnknownNameError, KeyError)
    assert trainable(model) == before


@pytest.mark.parametrize("verb", ["freeze", "unfreeze"])
def test_no_name_at_all(verb: str) -> None:
    with pytest.raises(ValueError, match=r"such as '0'; .*requires_grad_.*learn.freeze"):
        getattr(net(), verb)()


# ---------------------------------------------------------------- while an optimizer lives


def one_step(learn: Learner) -> None:
    fit_quietly(learn, 1, 1e-2, callbacks=[answer("batch_end", stop_epoch=True)])


def moments(learn: Learner, name: str) -> list[bytes]:
    """Return the optimizer's state of a parameter as bytes; empty if there is none."""
    p = dict(learn.model.named_parameters())[name]
    return [host(array).tobytes() for array in learn.opt.state.get(p, {}).values()]


def test_the_optimizer_notices_and_keeps_the_momentum_of_the_others() -> None:
    learn, twin = (warm(three_groups(wd=.3)) for _ in range(2))
    names = ["0", "3.weight", "7.bias"]
    frozen = {"0.weight", "0.bias", "3.weight", "7.bias"}
    opt, before = learn.opt, model_bytes(learn)
    kept = {name: moments(learn, name) for name, _ in learn.model.named_parameters()}
    assert all(len(state) == 2 for state in kept.values())  # average and average square
    learn.model.freeze(*names)
    assert len(opt.state_dict()) == len(opt.hypers[0]) + 3 * (len(kept) - len(frozen))
    one_step(learn)
    for name in kept:
        assert bool(moments(learn, name)) == (name not in frozen)
    one_step(twin)  # nothing is frozen: the same step of the other parameters, to the bit
    after, others = model_bytes(learn), model_bytes(twin)
    assert learn.opt is opt
    for name in after:
        assert after[name] == (before[name] if name in frozen else others[name]), name
    assert all(others[name] != before[name] for name in frozen)


def test_ten_more_steps_and_unfreezing() -> None:
    learn = warm(three_groups(wd=.3))
    learn.model.freeze("3")
    before = model_bytes(learn)
    fit_quietly(learn, 1, 1e-2)
    after = model_bytes(learn)
    assert {k for k in after if after[k] == before[k]} == {"3.weight", "3.bias"}
    learn.model.unfreeze("3.weight")
    opt = learn.opt
    assert moments(learn, "3.weight") == []  # from zero
    fit_quietly(learn, 1, 1e-2)
    assert learn.opt is opt
    assert {k for k, v in model_bytes(learn).items() if v == after[k]} == {"3.bias"}


def test_a_whole_group_and_back() -> None:
    learn = warm(three_groups())
    learn.model.freeze("7")
    before = model_bytes(learn)
    one_step(learn)
    assert not moments(learn, "7.weight")
    learn.model.unfreeze("7")
    one_step(learn)
    assert isinstance(learn.opt, Optimizer)
    assert model_bytes(learn)["7.weight"] != before["7.weight"]


def test_freezing_groups_sets_all_parameters_anew() -> None:
    """freeze_to sets all parameters, so freezing by name comes after it."""
    learn = three_groups(train_bn=False)
    learn.model.freeze("7.bias")
    learn.freeze()
    assert trainable(learn.model) == {"7.weight", "7.bias"}
    learn.model.freeze("7.bias").unfreeze("3.bias")
    assert trainable(learn.model) == {"7.weight", "3.bias"}
    before = model_bytes(learn)
    fit_quietly(learn, 1, 1e-2)
    after = model_bytes(learn)
    assert {k for k in after if after[k] != before[k]} == {"7.weight", "3.bias"}
    learn.unfreeze()
    assert trainable(learn.model) == {name for name, _ in learn.model.named_parameters()}
    assert np.isfinite(learn.validate()).all()
