"""Optimizers against their formulas, torch's numbers and fastai's; freezing; schedules."""
from collections.abc import Callable, Iterator
from itertools import product
from math import cos, pi, sin, sqrt
from typing import Any

import numpy as np
import pytest
from host import host, put
from hypothesis import given, settings
from hypothesis import strategies as st

from minifast import DeviceError, ShapeError
from minifast.autograd import tensor
from minifast.backend import get_backend
from minifast.nn import BatchNorm1d, Linear, Parameter, ReLU, Sequential
from minifast.optim import (
    SGD,
    Adam,
    Optimizer,
    Phase,
    RMSProp,
    annealing_cos,
    annealing_exp,
    annealing_linear,
    annealing_no,
    annealing_poly,
    in_turn,
    one_cycle,
)
from minifast.optim.steps import weight_decay

Array = np.ndarray
MAKERS: dict[str, Callable[..., Optimizer]] = {"SGD": SGD, "RMSProp": RMSProp, "Adam": Adam}
every_optimizer = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
both_decays = pytest.mark.parametrize("true_wd", [True, False], ids=["decoupled", "coupled"])


def parameter(*shape: int, seed: int = 0, dtype: type = np.float32, no_wd: bool = False
              ) -> Parameter:
    values = np.random.default_rng(seed).normal(size=shape).astype(dtype)
    return Parameter(values, no_wd=no_wd)


def give_gradients(parameters: list[Parameter], step: int) -> None:
    """The same gradients for the same step, as a backward pass leaves them."""
    rng = np.random.default_rng((7, step))
    for p in parameters:
        p.grad = None
        g = rng.normal(size=p.shape).astype(p.dtype)
        if p.requires_grad:
            p.accumulate(put(g))


def cycled(step: int) -> dict[str, float]:
    """A rate and a momentum that are never twice the same."""
    return {"lr": .01 * (1 + step % 5), "mom": .95 - .02 * (step % 4)}


def run(opt: Optimizer, steps: range | int) -> Optimizer:
    for step in range(steps) if isinstance(steps, int) else steps:
        give_gradients([p for group in opt.groups for p in group], step)
        opt.lr, opt.mom = cycled(step)["lr"], cycled(step)["mom"]
        opt.step()
    return opt


# ------------------------------------------------------------------------------------ the formulas

def updates(name: str, g: Array, state: dict[str, Any], lr: float, mom: float,
            beta: float = .99, eps: float = 1e-8) -> Array:
    """What a step subtracts, written down plainly (torch's formulas)."""
    m, v = state.get("m", 0), state.get("v", 0)
    t = state["t"] = state.get("t", 0) + 1
    if name == "SGD":
        state["m"] = mom * m + g
        return lr * state["m"]
    state["v"] = beta * v + (1 - beta) * g * g
    if name == "RMSProp":
        state["m"] = mom * m + g / (np.sqrt(state["v"]) + eps)
        return lr * state["m"]
    state["m"] = mom * m + (1 - mom) * g
    return lr / (1 - mom**t) * state["m"] / (np.sqrt(state["v"] / (1 - beta**t)) + eps)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 2e-6)],
                         ids=["float64", "float32"])
@pytest.mark.parametrize("wd", [0, .1])
@both_decays
@pytest.mark.parametrize("name", MAKERS)
def test_twenty_steps_of_the_formula(
    name: str, true_wd: bool, wd: float, dtype: type, tolerance: float
) -> None:
    """Twenty steps, each with a dozen roundings: 2**-53 and 2**-24 times some hundred."""
    ps = [parameter(3, 2, dtype=dtype), parameter(4, seed=1, dtype=dtype)]
    opt = MAKERS[name](ps, wd=wd, true_wd=true_wd)
    plain, states = [host(p).astype(np.float64) for p in ps], [{}, {}]
    for step in range(20):
        give_gradients(ps, step)
        hypers = cycled(step)
        opt.lr, opt.mom = hypers["lr"], hypers["mom"]
        opt.step()
        rng = np.random.default_rng((7, step))
        for i, (w, state) in enumerate(zip(plain, states, strict=True)):
            g = rng.normal(size=w.shape).astype(dtype).astype(np.float64)
            if true_wd:
                w = w * (1 - hypers["lr"] * wd)
            else:
                g = g + wd * w
            plain[i] = w - updates(name, g, state, **hypers)
            np.testing.assert_allclose(host(ps[i]), plain[i], rtol=tolerance, atol=tolerance)


# The spec's five gradients, rates and momenta, run through torch 2.13 in float64.
WEIGHTS = [1., -2., 3., .5]
STEPS = [([.1, -.2, .3, 0.], .01, .95), ([.05, .1, -.3, 0.], .02, .90),
         ([-.2, .02, .1, 1e-9], .03, .85), ([.1, .1, .1, 0.], .02, .90), ([0.] * 4, .01, .95)]
TORCH: dict[str, tuple[Callable[..., Optimizer], dict[str, Any], list[float]]] = {
    "SGD": (SGD, {}, [.99783055, -1.9966356, 2.990437025, .499999999943]),
    "SGD(weight_decay=0.1)": (SGD, {"wd": .1, "true_wd": False}, [
        .974417372829, -1.949793540635, 2.920150508984, .488276329415]),
    "RMSprop": (RMSProp, {}, [.357715180726, -1.765297716584, 2.5725173825, .494400990099]),
    "RMSprop(weight_decay=0.1)": (RMSProp, {"wd": .1, "true_wd": False}, [
        .042063416291, -.900752790767, 1.84571412961, -.526828107591]),
    "Adam": (Adam, {}, [.998360885331, -2.00456350417, 2.990348091426, .497607477439]),
    "Adam(weight_decay=0.1)": (Adam, {"wd": .1, "true_wd": False}, [
        .956905849927, -1.938365064259, 2.937712558976, .417196552393]),
    "AdamW(weight_decay=0.1)": (Adam, {"wd": .1}, [
        .989504433947, -1.986687829558, 2.963489781066, .493127004065]),
}


def five_steps(make: Callable[..., Optimizer], options: dict[str, Any], dtype: type) -> list[Array]:
    p = Parameter(np.array(WEIGHTS, dtype))
    opt, after = make([p], **options), []
    for g, opt.lr, opt.mom in STEPS:
        p.grad = put(np.array(g, dtype))
        opt.step()
        after.append(host(p).copy())
    return after


@pytest.mark.parametrize("name", TORCH)
def test_torchs_numbers(name: str) -> None:
    make, options, expected = TORCH[name]
    np.testing.assert_allclose(five_steps(make, options, np.float64)[-1], expected, atol=1e-12)


def test_fastais_recorded_adamw() -> None:
    """fastai 1.0.51 on torch 1.1, float32, 7 digits printed; the last weight is torch 2.13's.

    torch 1.1 added eps to the uncorrected root: only the weight whose gradient is as small as
    eps can tell (0.4968065 there after step 3).
    """
    expected = np.array([[0.9890000, -1.9880000, 2.9870000, 0.4995000],
                         [0.9743538, -1.9846908, 2.9868157, 0.4985010],
                         [0.9842792, -1.9810551, 2.9775534, 0.4959033],
                         [0.9868319, -1.9834921, 2.9687578, 0.4941638],
                         [0.9895045, -1.9866879, 2.9634900, 0.4931270]])
    np.testing.assert_allclose(five_steps(Adam, {"wd": .1}, np.float32), expected, rtol=2e-7)


@every_optimizer
def test_float32_in_float32_out(make: Callable[..., Optimizer]) -> None:
    opt = run(make([parameter(3)], wd=.1), 3)
    (p,), = opt.groups
    assert p.data.dtype == p.grad.dtype == np.float32
    assert {v.dtype for k, v in opt.state_dict().items() if k.startswith("0.")} == {
        np.dtype(np.float32), np.dtype(np.int64)}


@every_optimizer
def test_a_single_number_is_trained_like_an_array(make: Any) -> None:
    """NumPy makes scalars of 0-d arrays, which cannot be written to."""
    one, several = Parameter(np.array(2., np.float32)), Parameter(np.full(3, 2., np.float32))
    opts = [make([p]) for p in (one, several)]
    for _ in range(3):
        for p, opt in zip((one, several), opts, strict=True):
            (p * p).sum().backward()
            opt.step()
            opt.zero_grad()
    assert one.shape == ()
    assert several.tolist() == [one.item()] * 3


def test_a_step_of_ones_own() -> None:
    def sign_step(p: Parameter, state: Any, *, lr: float, **_: Any) -> None:
        p.data -= lr * np.sign(p.grad)

    p = Parameter(np.zeros(3, np.float32))
    opt = Optimizer([p], [sign_step], lr=.5)
    p.grad = put(np.float32([3, -2, 0]))
    opt.step()
    assert p.tolist() == [-.5, .5, 0]


@both_decays
@every_optimizer
def test_a_step_leaves_the_gradient_as_it_was(
    make: Callable[..., Optimizer], true_wd: bool
) -> None:
    """So that gradients may go on adding up, and that what is printed is what backward gave."""
    p = Parameter(np.float32([1, 2]))
    opt = make([p], wd=.5, true_wd=true_wd)
    for _ in range(3):
        p.grad = None
        p.accumulate(put(np.float32([3, 4])))
        opt.step()
        assert p.grad.tolist() == [3, 4]


# ---------------------------------------------------------------------------------- groups, hypers

def test_biases_and_norms_decay_unless_spared() -> None:
    """fastai's bn_wd is True unless told otherwise; the gradient is 0, so only decay moves."""
    for bn_wd in (True, False):
        net = Sequential(Linear(2, 2), BatchNorm1d(2), Linear(2, 1))
        for p in net.parameters():
            p.data[...], p.grad = 1, np.zeros_like(p.data)
        opt = SGD(net.parameters(), lr=.1, wd=.5, bn_wd=bn_wd)
        opt.step()
        values = {name: float(host(p).flat[0]) for name, p in net.named_parameters()}
        spared = {"0.bias", "1.weight", "1.bias", "2.bias"}
        assert values == {name: 1 if name in spared and not bn_wd else pytest.approx(.95)
                          for name in values}


@both_decays
@every_optimizer
def test_sparing_changes_nothing_else(make: Callable[..., Optimizer], true_wd: bool) -> None:
    """A spared parameter moves as without decay, the others as with it."""
    def moved(wd: float, bn_wd: bool) -> list[Array]:
        ps = [parameter(3, no_wd=True), parameter(4, seed=1), parameter(2, seed=2, no_wd=True)]
        run(make(ps, wd=wd, true_wd=true_wd, bn_wd=bn_wd), 5)
        return [host(p) for p in ps]
    spared, without, with_all = moved(.1, False), moved(0, True), moved(.1, True)
    for i, expected in enumerate((without, with_all, without)):
        np.testing.assert_array_equal(spared[i], expected[i])
    assert not np.array_equal(without[0], with_all[0])


def test_each_group_has_its_own_values() -> None:
    one, two = Parameter(np.ones(2, np.float32)), Parameter(np.ones(3, np.float32))
    opt = SGD([[one], [two]], lr=[.1, .2])
    for p in (one, two):
        p.grad = np.ones_like(p.data)
    opt.step()
    np.testing.assert_allclose(host(one), .9)
    np.testing.assert_allclose(host(two), .8)
    assert opt.lr == .2
    assert opt.get_hyper("lr") == [.1, .2]
    opt.lr = np.array([3, 4])
    assert opt.hypers[0]["lr"] == 3
    opt.lr = 5
    assert opt.get_hyper("lr") == [5, 5]
    assert opt.get_hyper("mom") == [0, 0]


@every_optimizer
def test_groups_do_not_mix(make: Callable[..., Optimizer]) -> None:
    """Two groups of equal values move as one, and as two optimizers."""
    shapes = ((3, 2), (4,), (1,))
    together = [parameter(*shape, seed=i) for i, shape in enumerate(shapes)]
    apart = [parameter(*shape, seed=i) for i, shape in enumerate(shapes)]
    one, two = make(together, wd=.1), make([apart[:2], apart[2:]], wd=.1)
    run(one, 6)
    run(two, 6)
    for p, q in zip(together, apart, strict=True):
        np.testing.assert_array_equal(host(p), host(q))


def test_a_list_of_the_wrong_length_is_refused() -> None:
    opt = SGD([[parameter(2)], [parameter(2)]], lr=.1)
    for name in ("lr", "mom", "wd"):
        with pytest.raises(ValueError, match=rf"{name} has 3 values \[1, 2, 3\] for 2 layer gro"):
            setattr(opt, name, [1, 2, 3])
    assert opt.hypers == [{"lr": .1, "mom": 0, "wd": 0}] * 2
    with pytest.raises(ValueError, match="lr has 1 values"):
        SGD([[parameter(2)], [parameter(2)]], lr=[.1])


def test_flags_of_any_kind() -> None:
    """A mask of NumPy's, or 1 and 0."""
    for yes, no in [(np.True_, np.False_), (1, 0)]:
        a, b = parameter(2), parameter(2, seed=1)
        opt, before = SGD([a, b], lr=1.), [host(p).copy() for p in (a, b)]
        a.requires_grad, b.requires_grad = no, yes
        give_gradients([a, b], 0)
        opt.step()
        np.testing.assert_array_equal(host(a), before[0])
        assert (host(b) != before[1]).all()
        opt.zero_grad()
        assert a.grad is None
        assert b.grad is None


@every_optimizer
def test_parameters_of_two_types_in_a_group(make: Callable[..., Optimizer]) -> None:
    """Each is updated in its own type, as in a group alone."""
    def last(*dtypes: type) -> list[Array]:
        ps = [parameter(3, dtype=dtype) for dtype in dtypes]
        opt = make(ps, wd=.1)
        for step in range(5):
            for p in ps:
                give_gradients([p], step)
            opt.step()
        return [host(p) for p in ps]
    together = last(np.float32, np.float64)
    for ours, theirs in zip(together, (*last(np.float32), *last(np.float64)), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_a_hyper_parameter_that_is_not_there() -> None:
    assert not hasattr(SGD([parameter(2)]), "beta")
    with pytest.raises(AttributeError, match="no beta: this optimizer has lr, mom, wd"):
        _ = SGD([parameter(2)]).beta


def test_defaults_are_fastais() -> None:
    opt = Adam([parameter(2)])
    assert (opt.mom, opt.beta, opt.eps, opt.wd, opt.bn_wd) == (.9, .99, 1e-8, 0, True)
    opt = RMSProp([parameter(2)])
    assert (opt.mom, opt.beta, opt.eps) == (0, .99, 1e-8)


@every_optimizer
def test_decay_is_decoupled_and_meets_biases_unless_told_otherwise(
    make: Callable[..., Optimizer]
) -> None:
    """The gradient is zero, so only decay moves: data <- data (1 - lr wd), and lr is 0.001.

    Coupled decay would gather momentum, and be divided by its own size.
    """
    p = Parameter(np.ones(2), no_wd=True)
    opt = make([p], wd=.5, mom=.9)
    opt.step()
    opt.step()
    np.testing.assert_allclose(host(p), (1 - 1e-3 * .5) ** 2, rtol=1e-15)
    q = Parameter(np.ones(2), no_wd=True)
    Optimizer([q], [weight_decay], lr=.1, wd=.5).step()
    np.testing.assert_allclose(host(q), .95, rtol=1e-15)


@pytest.mark.parametrize(("groups", "error", "message"), [
    ([], ValueError, "this list of groups is empty"),
    ([tensor([1., 2.], requires_grad=True)], TypeError,
     r"updates Parameters, got Tensor.*model\.parameters"),
    ([[np.ones(2)]], TypeError, "got ndarray"),
    ([[parameter(2), None]], TypeError, "got NoneType"),
], ids=["empty", "tensor", "array", "None"])
def test_what_cannot_be_optimized_is_refused(groups: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        SGD(groups)


def test_a_group_on_two_devices() -> None:
    near, far = parameter(2), parameter(2)
    for p, name in ((near, "cpu"), (far, "fakecuda")):
        p.data, p.grad = (get_backend(name).from_host(np.ones(2)) for _ in range(2))
    SGD([near, far], lr=.5).step()
    assert near.tolist() == far.tolist() == [.5, .5]


def test_a_shared_parameter_is_updated_once() -> None:
    p = Parameter(np.ones(2, np.float32))
    for groups in ([p, p], [[p], [p]], [[p, p], []]):
        opt = SGD(groups, lr=.5)
        p.data[...], p.grad = 1, put(np.ones(2, np.float32))
        opt.step()
        assert p.tolist() == [.5, .5]


def test_generators_will_do() -> None:
    ps = [parameter(2), parameter(3)]
    assert SGD(p for p in ps).groups == [ps]
    assert SGD((p for p in [q]) for q in ps).groups == [[ps[0]], [ps[1]]]


# ---------------------------------------------------------------------------------------- freezing

def network() -> Sequential:
    net = Sequential(Linear(3, 4, seed=0), BatchNorm1d(4), ReLU(), Linear(4, 2, seed=1))
    net[1].weight.data[...] = 1.5
    return net


def train(net: Sequential, opt: Optimizer, steps: range) -> None:
    for step in steps:
        x = np.random.default_rng(step).normal(size=(8, 3)).astype(np.float32)
        opt.lr, opt.mom = cycled(step)["lr"], cycled(step)["mom"]
        opt.zero_grad()
        (net(tensor(x)) ** 2).mean().backward()
        opt.step()


def bits(parameters: list[Parameter]) -> list[bytes]:
    return [host(p).tobytes() for p in parameters]


@pytest.mark.parametrize("bn_wd", [True, False])
@both_decays
@every_optimizer
def test_frozen_parameters_do_not_move_by_a_bit(
    make: Callable[..., Optimizer], true_wd: bool, bn_wd: bool
) -> None:
    """Frozen from the start: the first layer's weight, a bias and a norm's weight."""
    net = network()
    frozen = [net[0].weight, net[0].bias, net[1].weight]
    for p in frozen:
        p.requires_grad_(False)
    others = [p for p in net.parameters() if p.requires_grad]
    before, moving = bits(frozen), bits(others)
    train(net, make(net.parameters(), wd=.5, true_wd=true_wd, bn_wd=bn_wd), range(5))
    assert bits(frozen) == before
    assert all(p.grad is None for p in frozen)
    assert not set(bits(others)) & set(moving)


@both_decays
@every_optimizer
def test_freezing_midway_stops_warm_momentum(
    make: Callable[..., Optimizer], true_wd: bool
) -> None:
    """By hand, behind the optimizer's back, with a gradient still lying there."""
    net = network()
    opt = make([net[:2].parameters(), net[2:].parameters()], wd=.5, true_wd=true_wd)
    train(net, opt, range(5))
    frozen = [net[0].weight, net[3].bias]
    for p in frozen:
        p.requires_grad_(False)
    before = bits(frozen)
    opt.step()
    assert bits(frozen) == before
    train(net, opt, range(5, 10))
    assert bits(frozen) == before


@every_optimizer
def test_freezing_one_does_not_disturb_another(make: Callable[..., Optimizer]) -> None:
    """The others' momentum and step count go on: the same bits as with a twin in a group alone."""
    def last(frozen: bool) -> Array:
        kept, other = parameter(5), parameter(3, seed=1)
        opt = make([other, kept] if frozen else [kept], wd=.1)
        for step in range(10):
            other.requires_grad_(step < 5)
            rng = np.random.default_rng(step)
            for p in (kept, other):
                p.grad = put(rng.normal(size=p.shape).astype(np.float32))
            opt.lr, opt.mom = cycled(step)["lr"], cycled(step)["mom"]
            opt.step()
        return host(kept)
    np.testing.assert_array_equal(last(True), last(False))


def test_the_state_of_a_frozen_parameter_is_forgotten() -> None:
    """And an optimizer that is cleared takes nothing from another one."""
    p, q = parameter(2), parameter(3, seed=1)
    opt = run(SGD([p, q]), 1)
    assert set(opt.state) == {p, q}
    p.requires_grad_(False)
    opt.step()
    assert set(opt.state) == {q}
    later = run(SGD([q]), 1)
    opt.clear()
    assert opt.state == {}
    assert set(later.state) == {q}


def test_unfreezing_takes_up_training_again() -> None:
    net = network()
    net.requires_grad_(False)
    opt = Adam(net.parameters(), wd=.1)
    before = bits(net.parameters())
    opt.step()
    assert bits(net.parameters()) == before
    assert opt.state == {}
    net.requires_grad_()
    train(net, opt, range(2))
    assert not set(bits(net.parameters())) & set(before)


# -------------------------------------------------------------------------------- state in and out

def twins(make: Callable[..., Optimizer], **options: Any) -> Iterator[tuple[Sequential, Optimizer]]:
    for _ in range(2):
        net = network()
        net[0].bias.requires_grad_(False)
        yield net, make([net[:1].parameters(), net[1:].parameters()], wd=[.1, .2], **options)


@both_decays
@every_optimizer
def test_a_loaded_state_goes_on_to_the_bit(
    make: Callable[..., Optimizer], true_wd: bool
) -> None:
    (net, opt), (other, fresh) = twins(make, true_wd=true_wd, bn_wd=False)
    train(net, opt, range(7))
    state = opt.state_dict()
    other.load_state_dict(net.state_dict())
    fresh.load_state_dict(state)
    assert fresh.hypers == opt.hypers
    train(net, opt, range(7, 14))
    train(other, fresh, range(7, 14))
    assert bits(net.parameters()) == bits(other.parameters())


def test_a_state_is_a_copy() -> None:
    opt = run(Adam([parameter(3)], lr=.1, wd=.2), 3)
    state = opt.state_dict()
    assert {name: value.shape for name, value in state.items()} == {
        "hyper.lr": (1,), "hyper.mom": (1,), "hyper.beta": (1,), "hyper.eps": (1,),
        "hyper.wd": (1,), "0.0.count": (), "0.0.average": (3,), "0.0.square": (3,)}
    assert state["0.0.count"] == 3
    kept = {k: v.copy() for k, v in state.items()}
    run(opt, range(3, 5))
    for name, value in state.items():
        np.testing.assert_array_equal(value, kept[name])
    for value in state.values():
        value.fill(7)
    assert opt.state_dict()["0.0.count"] == 5
    for name in ("average", "square"):
        assert not (opt.state_dict()[f"0.0.{name}"] == 7).any()


def test_loading_an_unused_state_forgets() -> None:
    used, unused = run(Adam([parameter(3)]), 4), Adam([parameter(3)])
    used.load_state_dict(unused.state_dict())
    state = used.state_dict()
    assert state.keys() == unused.state_dict().keys()
    assert state["0.0.count"] == 0


MISFITS: dict[str, Callable[[dict[str, Array]], Any]] = {
    "hyper.lr": lambda s: s.update({"hyper.lr": np.zeros(3)}),
    "hyper.mom": lambda s: s.pop("hyper.mom"),
    "0.0.average": lambda s: s.update({"0.0.average": np.zeros(11)}),
    "1.0.square": lambda s: s.update({"1.0.square": np.zeros((2, 2))}),
    "1.0.count": lambda s: s.pop("1.0.count"),
    "0.1.average": lambda s: s.update({"0.1.average": np.zeros(4)}),
    "2.0.average": lambda s: s.update({"2.0.average": np.zeros(4)}),
    "nonsense": lambda s: s.update(nonsense=np.zeros(4)),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_state_that_does_not_fit_changes_nothing(name: str) -> None:
    opt = run(Adam([[parameter(3, 4)], [parameter(5)]], wd=.1), 3)
    before = opt.state_dict()
    state = {k: v + 1 for k, v in before.items()}
    MISFITS[name](state)
    with pytest.raises(ValueError, match=rf"does not fit: .*{name}.*freeze and split as they were"):
        opt.load_state_dict(state)
    after = opt.state_dict()
    assert list(after) == list(before)
    for key, value in after.items():
        np.testing.assert_array_equal(value, before[key])


@pytest.mark.parametrize(("key", "value"), [
    ("0.0.count", -1), ("0.0.count", 1.5), ("0.0.count", 2 ** 53), ("0.0.count", np.inf),
    ("0.0.count", "3"), ("0.0.average", np.full(3, 1j)), ("hyper.lr", np.array(["a"]))])
def test_a_state_of_impossible_values_changes_nothing(key: str, value: Any) -> None:
    opt = run(Adam([parameter(3)]), 2)
    before = opt.state_dict()
    with pytest.raises(ValueError, match=f"{key} of an optimizer's state cannot be .*of type"):
        opt.load_state_dict({**before, key: value})
    after = opt.state_dict()
    assert after == {name: pytest.approx(array, abs=0) for name, array in before.items()}


@pytest.mark.parametrize("count", [0, 1, 2 ** 24 + 1, 2 ** 53 - 1])
def test_updates_are_counted_exactly(count: int) -> None:
    opt = run(Adam([parameter(3)]), 1)
    opt.load_state_dict({**opt.state_dict(), "0.0.count": count})
    assert opt.state_dict()["0.0.count"] == count


def test_a_state_of_other_trainable_parameters_does_not_fit() -> None:
    net = network()
    opt = Adam(net.parameters())
    train(net, opt, range(2))
    state = opt.state_dict()
    net[0].requires_grad_(False)
    assert state.keys() - opt.state_dict().keys() == {
        f"0.{place}.{name}" for place in (0, 1) for name in ("count", "average", "square")}
    with pytest.raises(ValueError, match=r"0\.0\.average, .* 0\.1\.square belong to other layer"):
        opt.load_state_dict(state)
    assert {key.split(".")[1] for key in opt.state_dict() if key.startswith("0.")} == {
        str(i) for i, p in enumerate(net.parameters()) if p.requires_grad}


@every_optimizer
def test_clearing_forgets(make: Callable[..., Optimizer]) -> None:
    opt = run(make([parameter(3)]), 5)
    (p,), = opt.groups
    fresh = make([Parameter(host(p).copy())])
    opt.clear()
    run(opt, 3)
    run(fresh, 3)
    assert bits(opt.groups[0]) == bits(fresh.groups[0])


# ----------------------------------------------------------------------------- arrays and gradients

@every_optimizer
def test_an_array_on_another_device_is_refused(make: Callable[..., Optimizer], device: str) -> None:
    p = parameter(3)
    opt = run(make([p]), 2)
    other = "cpu" if device == "fakecuda" else "fakecuda"
    p.data, p.grad = (get_backend(other).from_host(np.float32([7, 8, 9])) for _ in range(2))
    with pytest.raises(DeviceError, match=f"moved from {device} to {other} behind the optimizer's"):
        opt.step()
    assert p.tolist() == [7, 8, 9]


@every_optimizer
def test_a_new_array_is_updated_like_the_old_one(make: Callable[..., Optimizer]) -> None:
    p, twin = (Parameter(np.float32([1, 2, 3])) for _ in range(2))
    one, two = make([p], lr=.1), make([twin], lr=.1)
    run(one, 3)
    run(two, 3)
    p.data = put(np.array([7, 8, 9], np.float32))
    twin.data[...] = put(np.array([7, 8, 9]))
    run(one, range(3, 6))
    run(two, range(3, 6))
    np.testing.assert_array_equal(host(p), host(twin))
    p.data = p.data[::-1]
    p.grad, expected = put(np.zeros(3, np.float32)), p.data.copy()
    Optimizer([p], []).step()
    assert p.data.tolist() == expected.tolist()


def test_data_of_another_shape_are_refused() -> None:
    p = Parameter(np.ones((2, 2), np.float32))
    opt = run(SGD([p]), 1)
    for wrong in (np.ones(1, np.float32), np.ones((1, 2), np.float32), np.ones(4, np.float32)):
        p.data = put(wrong)
        with pytest.raises(ShapeError, match=r"data of shape \(2, 2\) was replaced by \(\d"):
            opt.step()
        opt.interrupted = False


def test_two_optimizers_may_share_a_parameter() -> None:
    p = Parameter(np.float32([1.]))
    one, two = SGD([p], lr=.5), SGD([p], lr=.25)
    for opt, expected in ((one, .5), (two, .25), (one, -.25), (two, -.5)):
        p.grad = put(np.float32([1.]))
        opt.step()
        assert p.item() == expected


@every_optimizer
def test_no_gradient_counts_as_zero(make: Callable[..., Optimizer]) -> None:
    """An embedding's rows outside the batch move by momentum; so does a parameter left out."""
    used, twin = Parameter(np.float32([1, 2])), Parameter(np.float32([1, 2]))
    one, two = make([used], wd=.1), make([twin], wd=.1)
    for g in (np.float32([1, -1]), None, None):
        used.grad, twin.grad = put(g), put(np.zeros(2, np.float32) if g is None else g)
        before = host(used).copy()
        one.step()
        two.step()
        assert not np.array_equal(host(used), before)
        np.testing.assert_array_equal(host(used), host(twin))
    assert used.grad is None


def test_an_old_gradient_is_not_used_twice() -> None:
    p = Parameter(np.float32([1.]))
    opt = SGD([p], lr=.1)
    (p * 1).sum().backward()
    opt.step()
    opt.zero_grad()
    opt.step()
    assert p.item() == pytest.approx(.9)


# --------------------------------------------------------------------------------------- schedules

def test_annealers() -> None:
    """At the ends and in between, against their formulas."""
    for start, end, pct in product((1., .5, 1e-3), (2., 1e-5), (0., .1, .25, .5, .9, 1.)):
        assert annealing_no(start, end, pct) == start
        assert annealing_linear(start, end, pct) == pytest.approx(
            (1 - pct) * start + pct * end, rel=1e-12)
        assert annealing_exp(start, end, pct) == pytest.approx(
            start ** (1 - pct) * end ** pct, rel=1e-12)
        assert annealing_cos(start, end, pct) == pytest.approx(
            start * cos(pi / 2 * pct) ** 2 + end * sin(pi / 2 * pct) ** 2, rel=1e-10)
        for degree in (.5, 1, 2, 3):
            assert annealing_poly(degree)(start, end, pct) == pytest.approx(
                end + (start - end) * (1 - pct) ** degree, rel=1e-12)
    assert annealing_cos(1, 0, .25) == pytest.approx((2 + sqrt(2)) / 4, rel=1e-15)


@settings(deadline=None)
@given(start=st.floats(1e-6, 1e3), end=st.floats(1e-6, 1e3), pct=st.floats(0, 1),
       anneal=st.sampled_from([annealing_linear, annealing_exp, annealing_cos,
                               annealing_poly(2), annealing_no]))
def test_annealers_stay_between_their_ends(
    start: float, end: float, pct: float, anneal: Callable[[float, float, float], float]
) -> None:
    value = anneal(start, end, pct)
    slack = 1e-12 * max(start, end)
    assert min(start, end) - slack <= value <= max(start, end) + slack
    assert anneal(start, end, 0) == pytest.approx(start, rel=1e-12)


def test_phases_follow_each_other() -> None:
    ramp = in_turn([Phase(4, 0, 4), Phase(2, 10, 20), Phase(0, 5, 6)])
    assert [ramp(i) for i in range(10)] == [0, 1, 2, 3, 4, 15, 20, 6, 6, 6]
    assert Phase(3, 1., 8., annealing_exp)(1) == pytest.approx(2)


GOLDEN = [(0, 2.4e-4, .95), (1, 2.4000319528e-4, .9499999445), (100, 2.7189377062e-4, .9494462887),
          (1406, 4.56e-3, .875), (2109, 6.0e-3, .85), (2110, 5.9999993887e-3, .8500000102),
          (3515, 4.8704739237e-3, .8688255099), (5000, 2.1858551979e-3, .9135693343),
          (7029, 2.4611339592e-8, .9499999898), (7030, 2.4e-8, .95)]


@pytest.mark.parametrize(("step", "rate", "momentum"), GOLDEN)
def test_fastais_recorded_one_cycle(step: int, rate: float, momentum: float) -> None:
    """Recorded from fastai 1.0.51 with ten or eleven digits: compared to half of the last."""
    lr, mom = one_cycle(7030, 6e-3)
    assert lr(step) == pytest.approx(rate, rel=5e-11)
    assert mom(step) == pytest.approx(momentum, abs=5e-11)


def test_one_cycle_is_its_formula() -> None:
    """v1's own expression, at every step, to 1e-12."""
    lr, mom = one_cycle(7030, 6e-3)

    def anneal(start: float, end: float, pct: float) -> float:
        return end + (start - end) / 2 * (1 + cos(pi * pct))

    for step in range(7031):
        up, pct = step <= 2109, step / 2109 if step <= 2109 else (step - 2109) / 4921
        ends = (6e-3 / 25, 6e-3, .95, .85) if up else (6e-3, 6e-3 / 25e4, .85, .95)
        assert lr(step) == pytest.approx(anneal(*ends[:2], pct), rel=1e-12)
        assert mom(step) == pytest.approx(anneal(*ends[2:], pct), rel=1e-12)


def test_a_cycle_may_fall_first_and_rise_to_its_end() -> None:
    """Divisors below 1 are unusual, not wrong."""
    lr, _ = one_cycle(10, 1., div_factor=.5, final_div=.25)
    assert [lr(step) for step in (0, 3, 10)] == pytest.approx([2, 1, 4])


def test_one_cycle_of_two_batches() -> None:
    """A phase of no length still takes one step (v1): the fall takes one of its two."""
    lr, mom = one_cycle(2, 1.)
    assert [lr(i) for i in (0, 1)] == pytest.approx([1 / 25, 1], rel=1e-12)
    assert [mom(i) for i in (0, 1, 2)] == pytest.approx([.95, .85, .90], rel=1e-12)
    assert lr(2) == pytest.approx((1 + 4e-6) / 2, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 10, 97])
def test_one_cycle_of_any_length(n: int) -> None:
    lr, mom = one_cycle(n, 1., moms=(.9, .8), div_factor=10, pct_start=.4, final_div=100)
    peak = max(1, int(n * .4))
    assert lr(0) == pytest.approx(.1)
    assert mom(0) == pytest.approx(.9)
    assert (lr(peak), mom(peak)) == (1, .8)
    rates = [lr(i) for i in range(n + 1)]
    assert rates[:peak + 1] == sorted(rates[:peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    if int(n * .4):
        assert lr(n) == lr(n + 5) == pytest.approx(.01)
