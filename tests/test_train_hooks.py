"""Hooks: what passes through a model, and that nothing of them stays behind."""
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import assert_readable, assert_ticks_apart
from tiny import Spy, batches, fit_quietly, frozen_copy, host, line_learner, rows, three_groups

from minifast import no_grad
from minifast.autograd import tensor
from minifast.data import DataBunch
from minifast.inspect import ActivationStats, Hook, HookCallback, Hooks, hook_output, hook_outputs
from minifast.nn import (
    BatchNorm1d,
    Dropout,
    Linear,
    Module,
    MSELossFlat,
    Parameter,
    ReLU,
    Sequential,
)
from minifast.train import Learner


def net() -> Sequential:
    return Sequential(Linear(3, 4, seed=1), ReLU(), Linear(4, 2, seed=2))


def inputs(n: int = 5) -> Any:
    return tensor(rows(n)[0])


def clean(model: Module) -> bool:
    return not any("forward_hooks" in vars(module) for module in model.modules())


# ------------------------------------------------------------------------------------- hook by hook


def test_a_hook_stores_what_its_function_gives() -> None:
    model = net()
    seen: list[Any] = []
    with Hook(model[1], lambda module, ins, out: seen.append(module) or (ins, out)) as hook:
        assert hook.stored is None
        x = model[0](inputs())
        y = model[1](x)
    (stored_x,), stored_y = hook.stored
    assert stored_x.data is x.data
    assert stored_y.data is y.data
    assert not stored_x.requires_grad
    assert stored_y.node is None
    assert seen == [model[1]]
    model(inputs())
    assert len(seen) == 1
    assert clean(model)


def test_a_hook_without_detach_sees_the_history() -> None:
    model = net()
    with hook_output(model[0], detach=False) as kept, hook_output(model[0]) as detached:
        model(inputs())
    assert kept.stored.requires_grad
    assert not detached.stored.requires_grad


def test_hooks_come_off_in_any_order() -> None:
    model = net()
    first, second = hook_output(model[0]), hook_output(model[0])
    other = Hooks(model.children(), lambda *_: 1)
    first.remove()
    first.remove()
    model(inputs())
    assert first.stored is None
    assert second.stored.shape == (5, 4)
    assert other.stored == [1, 1, 1]
    other.remove()
    assert not clean(model)
    second.remove()
    assert clean(model)


def test_several_hooks() -> None:
    model = net()
    x = inputs()
    with hook_outputs([model[2], model[0]]) as hooks:
        y = model(x)
    assert len(hooks) == 2
    assert [hook.module for hook in hooks] == [model[2], model[0]]
    np.testing.assert_array_equal(host(hooks[0].stored), host(y))
    np.testing.assert_array_equal(host(hooks.stored[1]), host(model[0](x)))


def test_hooks_are_gone_after_an_error() -> None:
    model = net()
    with pytest.raises(ZeroDivisionError), Hooks(model.children(), lambda *_: 1 / 0):
        model(inputs())
    assert clean(model)
    for modules in ([model[0], "layer"], [model[0], None]):
        with pytest.raises(TypeError, match=r"a hook needs a Module, got (str|NoneType)"):
            hook_outputs(modules)
        with pytest.raises(TypeError, match="a hook needs a Module"):
            Hooks(modules, lambda *_: None)
    assert clean(model)


# ---------------------------------------------------------------------------------------- gradients


def test_the_gradient_of_an_output_by_hand() -> None:
    """Of (relu(a) W' + b)^2 summed: 2 y W where a > 0."""
    model, x = net(), inputs()
    with hook_output(model[0], grad=True) as hook, hook_output(model[0]) as output, \
            hook_outputs(list(model.children()), grad=True) as all_three:
        y = model(x)
        assert hook.stored is None
        (y * y).sum().backward()
    by_relu = 2 * host(y) @ host(model[2].weight)
    np.testing.assert_allclose(host(all_three.stored[1][0]), by_relu, rtol=1e-5)
    np.testing.assert_allclose(host(hook.stored[0]), by_relu * (host(output.stored) > 0),
                               rtol=1e-5)
    np.testing.assert_allclose(host(all_three.stored[2][0]), 2 * host(y), rtol=1e-6)
    np.testing.assert_array_equal(host(all_three.stored[0][0]), host(hook.stored[0]))


def test_hearing_a_gradient_changes_none() -> None:
    plain, heard = net(), net()
    for model in (plain, heard):
        hooks = hook_outputs(model.children(), grad=True) if model is heard else Hooks([], print)
        with hooks:
            (model(inputs()) ** 2).mean().backward()
    for p, q in zip(plain.parameters(), heard.parameters(), strict=True):
        np.testing.assert_array_equal(host(p.grad), host(q.grad))


def test_a_gradient_that_arrives_from_two_sides() -> None:
    model, x = net(), inputs()
    with hook_output(model[0], grad=True) as hook:
        a = model[0](x)
        (a * 2 + a.sum(1, keepdims=True)).sum().backward()
    np.testing.assert_allclose(host(hook.stored[0]), np.full((5, 4), 6.), rtol=1e-6)


def test_a_backward_hook_is_called_once_per_backward_pass() -> None:
    model, x = net(), inputs()
    seen: list[Any] = []
    with Hook(model[2], lambda *args: seen.append(args), is_forward=False):
        loss = model(x).sum()
        assert seen == []
        for n in (1, 2):
            loss.backward(retain_graph=True)
            assert len(seen) == n
    module, (ins,), (gradient,) = seen[0]
    assert module is model[2]
    assert (ins.shape, ins.requires_grad) == ((5, 4), False)
    np.testing.assert_array_equal(host(gradient), np.ones((5, 2)))


def test_where_there_is_no_gradient() -> None:
    model = Sequential(Dropout(.5), Linear(3, 1)).eval()
    with hook_output(model[0], grad=True) as hook:
        model(inputs()).sum().backward()  # the module gives back the data themselves
        assert hook.stored is None
    with hook_output(model[1], grad=True) as hook, no_grad():
        model(inputs())
    assert hook.stored is None


# ---------------------------------------------------------------------------- callbacks with hooks


def test_a_hook_callback_hangs_on_modules_with_parameters() -> None:
    heard: list[Any] = []

    class Shapes(HookCallback):
        def hook(self, module: Any, ins: Any, output: Any) -> Any:
            heard.append(type(module).__name__)
            return output.shape
    learn = three_groups()
    shapes = Shapes(learn)
    fit_quietly(learn, 1, callbacks=[shapes])
    assert heard[:5] == ["Linear", "BatchNorm1d", "Linear", "BatchNorm1d", "Linear"]
    assert shapes.hooks.stored == [(4, 5), (4, 5), (4, 4), (4, 4), (4, 1)]
    assert clean(learn.model)
    kept = Shapes(learn, [learn.model[1]], do_remove=False)
    fit_quietly(learn, 1, callbacks=[kept])
    fit_quietly(learn, 1, callbacks=[kept])
    assert len(learn.model[1].forward_hooks) == 1
    kept.remove()
    assert clean(learn.model)
    with pytest.raises(NotImplementedError, match=r"HookCallback has no method hook\(module"):
        fit_quietly(learn, callbacks=[HookCallback(learn)])
    assert clean(learn.model)


def test_activation_statistics_by_numpy() -> None:
    """With a rate of 0 the weights stay, and each batch's outputs can be computed afterwards."""
    model = net()
    data = DataBunch([(x, np.c_[y, y]) for x, y in batches(3)],
                     [(x, np.c_[y, y]) for x, y in batches(2, seed=1)])
    learn = Learner(data, model, loss_func=MSELossFlat())
    stats = ActivationStats(learn, model.children())
    assert stats.stats.shape == (2, 3, 0)
    fit_quietly(learn, 2, 0., wd=0., callbacks=[stats])
    assert stats.stats.shape == (2, 3, 6)
    assert stats.near_zero.shape == (3, 6)
    for batch, (x, _) in enumerate([*batches(3), *batches(3)]):
        a = tensor(x)
        for layer, module in enumerate(model.children()):
            a = module(a)
            values = host(a).astype(np.float64)
            np.testing.assert_allclose(stats.stats[:, layer, batch],
                                       [values.mean(), values.std(ddof=1)], rtol=1e-5, atol=1e-7)
            assert stats.near_zero[layer, batch] == pytest.approx((np.abs(values) < .05).mean())
    assert (stats.near_zero[1] > 0).any()


def test_statistics_change_no_training() -> None:
    with_stats, without = three_groups(callback_fns=[ActivationStats]), three_groups()
    fit_quietly(with_stats, 2, 1e-2)
    fit_quietly(without, 2, 1e-2)
    assert frozen_copy(with_stats) == frozen_copy(without)
    assert with_stats.activation_stats.stats.shape == (2, 5, 20)
    assert np.isfinite(with_stats.activation_stats.stats).all()


@pytest.mark.parametrize(("event", "kept"), [("train_begin", 0), ("epoch_begin", 0),
                                             ("loss_begin", 2), ("epoch_end", 4),
                                             ("train_end", 4)])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_no_hook_and_keeps_the_statistics(event: str, kept: int,
                                                          error: type[BaseException]) -> None:
    """It comes at ``event``, when ``kept`` batches are done."""
    def hear(heard: str, state: dict[str, Any]) -> None:
        if heard == event and state["iteration"] == kept:
            raise error
    learn = line_learner(4)
    stats = ActivationStats(learn)
    with pytest.raises(error):
        fit_quietly(learn, 1, callbacks=[stats, Spy(hear)])
    assert clean(learn.model)
    assert stats.stats.shape == (2, 1, kept)


def test_validate_leaves_no_hook_after_an_error() -> None:
    learn = line_learner()
    with pytest.raises(ValueError):
        learn.validate([(np.zeros((4, 2), np.float32), np.zeros(4))],
                       callbacks=[ActivationStats(learn)])
    assert clean(learn.model)


class PartlyUsed(Module):
    """One layer runs at every other batch, one never, one gives no tensor."""

    def __init__(self) -> None:
        self.always, self.never, self.pair = Linear(3, 1), Linear(3, 1), Pair()
        self.sometimes = BatchNorm1d(1)
        self.n_calls = 0

    def forward(self, x: Any) -> Any:
        self.n_calls += 1
        y = self.pair(self.always(x))[0]
        return self.sometimes(y) if self.n_calls % 2 else y


class Pair(Module):
    def __init__(self) -> None:
        self.scale = Parameter(np.ones(1, np.float32))

    def forward(self, x: Any) -> Any:
        return x * self.scale, x


def test_what_did_not_run_is_not_a_number() -> None:
    learn = Learner(DataBunch(batches(4)), PartlyUsed(), loss_func=MSELossFlat())
    stats = ActivationStats(learn)
    fit_quietly(learn, 1, callbacks=[stats])
    assert stats.names == ["always Linear", "never Linear", "pair Pair", "sometimes BatchNorm1d"]
    known = np.isfinite(stats.stats[0]).astype(int)
    assert known.tolist() == [[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0]]
    figure = stats.plot(return_fig=True)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "always Linear", "sometimes BatchNorm1d"]
    plt.close(figure)


def test_one_element_has_no_spread() -> None:
    learn = line_learner()
    learn.data.train_dl = batches(2, bs=1)
    stats = ActivationStats(learn)
    fit_quietly(learn, 1, callbacks=[stats])
    assert stats.stats[1].tolist() == [[0, 0]]


def test_the_plot_of_statistics() -> None:
    learn = three_groups()
    stats = ActivationStats(learn)
    with pytest.raises(ValueError, match="nothing was recorded: train first"):
        stats.plot()
    fit_quietly(learn, 2, 1e-2, callbacks=[stats])
    figure = stats.plot(return_fig=True)
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "mean", "standard deviation", "share within ±0.05"]
    for axes, values in zip(figure.axes, [*stats.stats, stats.near_zero], strict=True):
        lines = [line for line in axes.lines if line.get_label() in stats.names]
        assert len(lines) == 5
        for line, row in zip(lines, values, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), row)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == stats.names
    assert_readable(figure)
    assert_ticks_apart(figure)
    plt.close(figure)
    assert stats.plot() is None
    plt.close("all")
    given, axs = plt.subplots(4)
    assert stats.plot(axs=axs, return_fig=True) is given
    assert [len(axes.lines) for axes in axs] == [6, 5, 5, 0]
    plt.close("all")


def test_the_legend_of_many_layers() -> None:
    learn = Learner(DataBunch(batches(2)), Sequential(*(Linear(3, 3, seed=i) for i in range(20)),
                                                      Linear(3, 1)), loss_func=MSELossFlat())
    stats = ActivationStats(learn)
    fit_quietly(learn, 1, 1e-2, callbacks=[stats])
    figure = stats.plot(return_fig=True)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert (names[0], names[-1], len(names)) == ("0 Linear", "20 Linear", 8)
    assert_readable(figure)
    plt.close(figure)
