"""What used to pass in silence, or ended in an error that did not help."""
import traceback
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest
from host import host
from tiny import fit_quietly, line_learner

from minifast import Primitive, ShapeError, Tensor, gradcheck, no_grad, primitive, tensor
from minifast.nn import (
    BatchNorm1d,
    Buffer,
    Embedding,
    Linear,
    Module,
    ModuleList,
    Parameter,
    ReLU,
    Sequential,
    mse_loss,
)
from minifast.optim import SGD, Phase, annealing_exp, one_cycle
from minifast.train import Learner
from minifast.vision import simple_cnn

nan, inf = float("nan"), float("inf")
Array = Any


def said(error: BaseException) -> str:
    """The last lines of a traceback: the message and the notes."""
    return "".join(traceback.format_exception_only(error))


# ------------------------------------------------------------------------------------------- rules

@pytest.mark.parametrize(("rule", "error", "words"), [
    (lambda g, y, a, b: g.T, ShapeError, r"shape \(3, 2\) for an input of shape \(2, 3\)"),
    (lambda g, y, a, b: g[0], ShapeError, r"shape \(3,\) for an input of shape \(2, 3\)"),
    (lambda g, y, a, b: g.sum(), ShapeError, r"shape \(\) for an input of shape \(2, 3\)"),
    (lambda g, y, a, b: g[:, :1], ShapeError, r"shape \(2, 1\) for an input of shape \(2, 3\)"),
    (lambda g, y, a, b: None, AttributeError, "NoneType"),
    (lambda g, a, b: g, TypeError, "3 positional arguments but 4 were given"),
    (lambda g, y, a, b: g @ g, ValueError, "mismatch|aligned")])
def test_a_faulty_rule_is_named(rule: Any, error: type[Exception], words: str) -> None:
    @primitive(lambda g, y, a, b: g, rule)
    def plus(a: Array, b: Array) -> Array:
        return a + b

    a, b = tensor(np.ones((1, 3))), tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(error, match=words) as caught:
        plus(a, b).sum().backward()
    assert "in the derivative rule of input 1 of 'plus', for inputs (1, 3) and (2, 3) and an " \
           "output (2, 3); a rule is called as rule(g, y, *inputs, **options)" in said(caught.value)


def test_a_missing_rule_is_an_error_and_none_is_not() -> None:
    def plus(a: Array, b: Array) -> Array:
        return a + b
    a, b = tensor([1.], requires_grad=True), tensor([2.], requires_grad=True)
    one_rule = primitive(lambda g, y, a, b: g)(plus)
    with pytest.raises(TypeError, match="no derivative rule for this input") as caught:
        one_rule(a, b).backward()
    assert "input 1 of 'plus'" in said(caught.value)
    one_rule(a, tensor([2.])).backward()
    primitive(lambda g, y, a, b: g, None)(plus)(a, b).backward()
    assert b.grad is None
    assert host(a.grad).tolist() == [3]  # the first walk had reached it, too


def test_brackets_and_the_output_are_asked_for() -> None:
    with pytest.raises(TypeError, match=r"cube is not a rule.*write @primitive\(rule, \.\.\.\)"):
        @primitive
        def cube(x: Array) -> Array:
            return x ** 3
    with pytest.raises(TypeError, match=r"is not a rule\(g, y, \*inputs"):
        primitive(lambda g, x: g)
    assert isinstance(primitive(lambda *args: args[0])(np.negative), Primitive)


def test_a_primitive_can_be_called() -> None:
    @primitive(lambda g, y, x, scale=1: g * scale * y)
    def scaled_exp(x: Array, scale: float = 1) -> Array:
        return np.exp(x * scale)

    x = tensor([0., 1.], requires_grad=True)
    y = scaled_exp(x, scale=2)
    np.testing.assert_allclose(host(y), np.exp([0, 2]), rtol=1e-6)
    y.sum().backward()
    np.testing.assert_allclose(host(x.grad), 2 * np.exp([0, 2]), rtol=1e-6)
    plain = scaled_exp(np.array([0., 1.]))
    assert type(plain) is np.ndarray
    assert plain.tolist() == np.exp([0., 1.]).tolist()
    assert gradcheck(scaled_exp, tensor([0., 1.]))


# --------------------------------------------------------------------------------------- generators

def test_no_grad_refuses_a_generator_and_a_coroutine() -> None:
    """Its body would run after the decorator's context has ended."""
    with pytest.raises(TypeError, match="doubled_later is a generator or a coroutine"):
        @no_grad()
        async def doubled_later(x: Tensor) -> Tensor:
            return x * 2
    with pytest.raises(TypeError, match=r"doubled is a generator.*with no_grad\(\):"):
        @no_grad()
        def doubled(x: Tensor) -> Generator[Tensor, None, None]:
            yield x * 2


# ----------------------------------------------------------------------------------------- in place

def test_a_leaf_is_updated_in_place_without_recording() -> None:
    w = tensor([1., 2.], requires_grad=True)
    array, alias = w.data, w
    (w * w).sum().backward()
    with no_grad():
        w -= .5 * Tensor(w.grad)
        w += 1
        w *= 2
        w /= 4
        w **= 2
    assert w is alias
    assert w.data is array
    assert w.requires_grad
    assert host(w).tolist() == [.25, .25]


def test_a_leaf_is_not_updated_while_operations_are_recorded() -> None:
    w = tensor([1., 2.], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"sub in place.*requires a gradient.*no_grad"):
        w -= 1
    assert host(w).tolist() == [1, 2]


def test_what_is_recorded_is_not_changed_in_place() -> None:
    x = tensor([1., 2.], requires_grad=True)
    h = first = x * x
    h += x
    total = tensor(0.)
    total += h.sum()
    total.backward()
    assert host(first).tolist() == [1, 4]
    assert host(x.grad).tolist() == [3, 5]


def test_constants_parameters_and_buffers_keep_their_arrays() -> None:
    frozen = Parameter(np.ones(2, np.float32)).requires_grad_(False)
    for t in (tensor([1., 1.]), frozen, Buffer(np.ones(2, np.float32))):
        kind, array, same = type(t), t.data, t
        t *= 3
        assert (type(t), t.data is array, t is same, host(t).tolist()) == (kind, True, True, [3, 3])


def test_an_update_in_place_keeps_shape_and_type() -> None:
    whole, row = tensor([1, 2]), tensor([1., 2., 3.])
    with pytest.raises(TypeError, match="Cannot cast"):
        whole += .5
    with pytest.raises(ValueError, match="broadcast"):
        row += tensor([[1.], [2.]])
    assert (whole.tolist(), row.tolist()) == ([1, 2], [1, 2, 3])
    a = tensor([[1., 2.], [3., 4.]])
    array = a.data
    a @= tensor([1., 1.])
    assert (a.tolist(), a.data is array) == ([3, 7], False)


def test_a_fit_may_update_weights_in_place() -> None:
    with_step, expected = line_learner(), line_learner()
    for learn in (with_step, expected):
        fit_quietly(learn, 1, 1e-2)
    p = next(iter(with_step.model.parameters()))
    before = host(p).copy()
    with no_grad():
        p -= 1
    np.testing.assert_array_equal(host(next(iter(with_step.model.parameters()))), before - 1)


# ------------------------------------------------------------------------------------ hidden layers

class Hiding(Module):
    """A model that keeps layers where nothing finds them."""

    def __init__(self, held: Callable[[Module], Any]) -> None:
        self.first = Linear(2, 2)
        self.blocks = held(Linear(2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x)


@pytest.mark.parametrize("held", [
    lambda m: [m], lambda m: (ReLU(), m), lambda m: {"a": m}, lambda m: [m.weight],
    lambda m: [[m, ReLU()]], lambda m: {"a": (1, m)}])
@pytest.mark.parametrize("ask", [
    lambda m: m.parameters(), lambda m: list(m.named_parameters()), lambda m: m.state_dict(),
    lambda m: m.to("cpu"), lambda m: Learner(line_learner().data, m, loss_func=mse_loss)])
def test_layers_in_a_list_are_reported(held: Callable[[Module], Any], ask: Any) -> None:
    model = Sequential(Hiding(held))
    with pytest.warns(UserWarning, match=r"Hiding\.blocks, a (list|tuple|dict), hides .*List"):
        ask(model)


@pytest.mark.parametrize("held", [
    lambda m: ModuleList([m]), lambda m: Sequential(m), lambda m: [1, "a"], lambda m: {"n": 2}])
def test_other_lists_are_not(held: Callable[[Module], Any]) -> None:
    model = Hiding(held)
    model.again = [model.first, model.first.weight]
    assert len(model.parameters()) in (2, 4)
    model.state_dict()


# ----------------------------------------------------------------------------- errors inside models

class Net(Module):
    """A model with a body and an embedding in a list."""

    def __init__(self, n: int) -> None:
        self.embeds = ModuleList([Embedding(3, 2, seed=0)])
        self.body = Sequential(Linear(2, 10), ReLU(), Sequential(Linear(n, 3)))

    def forward(self, ids: Any) -> Tensor:
        return self.body(self.embeds[0](ids))  # type: ignore[no-any-return]


def test_an_error_names_the_layer_by_its_path() -> None:
    with pytest.raises(ShapeError, match=r"linear: shapes \(2, 10\) and \(3, 9\)") as caught:
        Net(9)(tensor([0, 1]))
    assert caught.value.__notes__ == [
        "in Net.body.2.0 (Linear(in_features=9, out_features=3, bias=True))"]
    with pytest.raises(TypeError, match="whole numbers") as outside:
        Net(10)(tensor([7.]))
    assert outside.value.__notes__ == ["in Net.embeds.0 (Embedding(3, 2))"]
    with pytest.raises(ShapeError) as alone:
        Linear(2, 1)(tensor([1., 2., 3.]))
    assert alone.value.__notes__ == ["in Linear (Linear(in_features=2, out_features=1, bias=True))"]
    with pytest.raises(ShapeError) as image:
        simple_cnn([3, 4, 2])(tensor(np.zeros((1, 1, 8, 8), np.float32)))
    assert image.value.__notes__[0].startswith("in Sequential.0.0 (Conv2d(")


def test_a_layer_without_a_place_is_a_question_mark() -> None:
    class Lonely(Module):
        def forward(self, x: Tensor) -> Tensor:
            return Linear(5, 1)(x)  # type: ignore[no-any-return]
    with pytest.raises(ShapeError) as caught:
        Sequential(Lonely())(tensor([1.]))
    assert caught.value.__notes__ == [
        "in Sequential.0.? (Linear(in_features=5, out_features=1, bias=True))"]


# ---------------------------------------------------------------------------------------- schedules

@pytest.mark.parametrize("wrong", [{"pct_start": 2}, {"pct_start": -.1}, {"pct_start": nan},
                                   {"final_div": 0}, {"div_factor": 0}, {"final_div": -1.},
                                   {"div_factor": 0, "final_div": 9.}, {"div_factor": nan},
                                   {"lr_max": nan}, {"lr_max": inf}, {"moms": (nan, .8)}])
def test_one_cycle_refuses_what_gives_no_rates(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"above 0|finite"):
        one_cycle(10, **{"lr_max": 1., **wrong})


@pytest.mark.parametrize(("start", "end"), [(0, 1.), (1., 0), (nan, 1.), (1., inf), (-1., 1.)])
def test_equal_ratios_do_not_pass_zero(start: float, end: float) -> None:
    with pytest.raises(ValueError, match=rf"from {start} to {end}; both must be finite.*ratios"):
        Phase(10, start, end, annealing_exp)
    assert Phase(2, 0, 1)(1) == .5
    assert Phase(2, 1, 4, annealing_exp)(1) == 2


@pytest.mark.parametrize("value", [nan, inf, -inf, [.1, nan]])
@pytest.mark.parametrize("name", ["lr", "wd", "mom"])
def test_hyper_parameters_are_finite(name: str, value: Any) -> None:
    opt = SGD([[Parameter(np.ones(1))], [Parameter(np.ones(1))]], lr=.1)
    before = [dict(hypers) for hypers in opt.hypers]
    with pytest.raises(ValueError, match=f"{name} must be finite, got"):
        setattr(opt, name, value)
    with pytest.raises(ValueError, match="must be finite"):
        opt.set_hypers(lr=.5, beta=nan)
    assert opt.hypers == before


@pytest.mark.parametrize("fit", [
    lambda learn: learn.fit_one_cycle(1, nan), lambda learn: learn.fit(1, nan),
    lambda learn: learn.fit_one_cycle(1, final_div=0), lambda learn: learn.lr_find(start_lr=0),
    lambda learn: learn.lr_find(end_lr=nan)])
def test_a_fit_without_rates_changes_nothing(fit: Callable[[Learner], None]) -> None:
    learn = line_learner()
    before = {name: w.copy() for name, w in learn.model.state_dict().items()}
    with learn.no_logging(), pytest.raises(ValueError, match=r"finite|above 0"):
        fit(learn)
    for name, w in learn.model.state_dict().items():
        np.testing.assert_array_equal(w, before[name])
    fit_quietly(learn, 1, 1e-2)


# ------------------------------------------------------------------------------------ torch's words

@pytest.mark.parametrize("name", ["sum", "mean", "max", "min"])
def test_torchs_words_are_answered_with_numpys(name: str) -> None:
    x = tensor([[1., 2.]])
    for words in ({"dim": 0}, {"dim": 0, "keepdim": True}, {"keepdim": True}):
        with pytest.raises(TypeError, match=rf"{name}: write axis= and keepdims= for torch's dim="):
            getattr(x, name)(**words)
    with pytest.raises(TypeError, match="wrong"):
        getattr(x, name)(wrong=1)


def test_view_is_reshape() -> None:
    x = tensor([1., 2., 3., 4.], requires_grad=True)
    assert x.view(2, 2).tolist() == x.view((2, -1)).tolist() == [[1, 2], [3, 4]]
    assert gradcheck(lambda x: x.view(2, 2)[0], x)


def test_several_numbers_are_one_list() -> None:
    for dtype in (2, 2.5, True):
        with pytest.raises(TypeError, match=rf"{dtype} is not a dtype.*tensor\(\[3.0, {dtype}\]\)"):
            tensor(3., dtype)


def test_batch_norm_without_momentum_averages_all_batches() -> None:
    """Values of torch's ``BatchNorm1d(1, momentum=None)``."""
    bn = BatchNorm1d(1, momentum=None)
    bn(tensor([[1.], [3.]]))
    bn(tensor([[2.], [6.]]))
    assert (bn.running_mean.tolist(), bn.running_var.tolist()) == ([3], [5])
    assert bn.running_mean.dtype == np.float32


# -------------------------------------------------------------------------------- NumPy's functions

X = np.array([[1., -2., 3.], [4., 5., -6.]])


@pytest.mark.parametrize("f", [
    np.sum, np.mean, np.max, np.min, np.transpose, np.var,
    lambda x: np.sum(x, axis=-1, keepdims=True), lambda x: np.mean(x, 0), lambda x: np.amax(x, 1),
    lambda x: np.reshape(x, (3, 2)), lambda x: np.transpose(x, (-1, 0)),
    lambda x: np.clip(x, -1, 2), lambda x: np.amin(x),
    lambda x: np.concatenate([x, x * 2], axis=1), lambda x: np.concatenate((x, x)),
    lambda x: np.stack([x, x], 1),
    lambda x: np.broadcast_to(x, (2, 2, 3)), lambda x: np.squeeze(x[:1], axis=0),
    lambda x: np.where(x > 0, x, x * .1), lambda x: np.var(x, axis=0)])
def test_numpys_functions_are_differentiated(f: Callable[[Any], Any]) -> None:
    x = tensor(X, requires_grad=True)
    y = f(x)
    assert isinstance(y, Tensor)
    assert y.requires_grad
    np.testing.assert_allclose(host(y), f(X), rtol=1e-12)
    assert gradcheck(f, x)


@pytest.mark.parametrize("f", [np.argmax, np.argmin, np.any, np.all, lambda x: np.argsort(x, 0)])
def test_positions_and_truth_come_from_numpys_functions(f: Callable[[Any], Any]) -> None:
    np.testing.assert_array_equal(host(f(tensor(X, requires_grad=True))), f(X))


@pytest.mark.parametrize("f", [np.prod, np.cumsum, np.linalg.norm, lambda x: np.vstack([x, x]),
                               lambda x: np.sum(x, dtype=np.float32), np.sort, np.add.reduce])
def test_other_functions_of_numpy_lose_no_gradient(f: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"detach|only in plain calls|unexpected keyword"):
        f(tensor(X, requires_grad=True))


@pytest.mark.cpu_only("NumPy takes no array of a device")
def test_other_functions_of_numpy_take_constants() -> None:
    x = tensor(X)
    assert np.linalg.norm(x) == np.linalg.norm(X)
    assert np.shape(x) == (2, 3)
    assert np.ndim(x) == 2
    assert np.allclose(x, X)
    np.testing.assert_array_equal(np.vstack([x, x]), np.vstack([X, X]))
    np.testing.assert_allclose(x, X)
