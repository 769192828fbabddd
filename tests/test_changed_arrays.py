"""Arrays that change between forward and backward are refused where a rule reads them."""
import copy
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host import host, put
from test_autograd_ops import CASES, Case

from minifast import ChangedArrayError, Tensor, apply, grad, no_grad, tensor
from minifast.autograd import ops, tape
from minifast.collab import EmbeddingDotBias
from minifast.fast import accelerate
from minifast.nn import BatchNorm1d, Embedding, Linear, Parameter, mse_loss
from minifast.optim import SGD, Adam

Array = np.ndarray


def parameter(*numbers: float) -> Parameter:
    return Parameter(np.array(numbers, np.float32))


def step(*parameters: Parameter) -> None:
    """An update that changes the parameters in place."""
    opt = SGD(parameters, lr=1.)
    for p in parameters:
        p.grad = put(np.ones(p.shape, np.float32))
    opt.step()
    opt.zero_grad()


# ----------------------------------------------------------------------------------------- refused

@pytest.mark.parametrize("name", ["step", "load_state_dict", "in place", "fill"])
def test_each_writer_of_the_library_is_seen(name: str) -> None:
    from minifast.nn.init import normal_
    layer = Linear(2, 1, seed=0)
    w, x = layer.weight, tensor([[1., 2.]], requires_grad=True)

    def in_place() -> None:
        nonlocal w
        with no_grad():
            w -= 1

    writers: dict[str, Callable[[], Any]] = {
        "step": lambda: step(w), "in place": in_place, "fill": lambda: normal_(w, 3.),
        "load_state_dict": lambda: layer.load_state_dict(
            {"weight": np.ones((1, 2)), "bias": np.ones(1)})}
    y = layer(x).sum()
    before = host(w).copy()
    writers[name]()
    assert (host(w) != before).all()
    with pytest.raises(ChangedArrayError, match=rf"^input 1 of 'linear', \(1, 2\), was changed in "
                                                rf"place by .*{__file__}:\d+"):
        y.backward()
    assert x.grad is None


def test_the_error_names_the_line() -> None:
    w = parameter(1., 2.)
    y = (w * w).sum()
    opt = SGD([w], lr=1.)
    w.grad = put(np.ones(2, np.float32))
    opt.step()  # the line
    with pytest.raises(ChangedArrayError) as caught:
        y.backward()
    line = int(str(caught.value).split(f"{__file__}:")[1].split()[0])
    assert "# the line" in Path(__file__).read_text().splitlines()[line - 1]
    assert "in test_the_error_names_the_line" in str(caught.value)
    assert issubclass(ChangedArrayError, RuntimeError)


def test_a_graph_that_is_kept_over_a_step() -> None:
    """torch: "modified by an inplace operation"."""
    w = parameter(1., 2.)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    step(w)
    with pytest.raises(ChangedArrayError, match="'mul'"):
        loss.backward()


def test_a_view_of_a_parameter_is_seen() -> None:
    x = tensor([[1., 2.]], requires_grad=True)
    for view in (lambda w: w.t(), lambda w: w.reshape(2, 1), lambda w: w.detach().t(),
                 lambda w: w.t()[:, :1]):
        w = Parameter(np.ones((1, 2), np.float32))
        y = (x @ view(w)).sum()
        step(w)
        with pytest.raises(ChangedArrayError, match=r"input 1 of 'matmul', \(2, 1\)"):
            y.backward()


def test_an_output_that_was_changed() -> None:
    x = tensor([1., 2.], requires_grad=True)
    y = x.exp()
    z = y.detach()
    z *= 2
    with pytest.raises(ChangedArrayError, match=r"^the output of 'exp', \(2,\)"):
        y.sum().backward()


def test_backpropagation_through_two_updates_is_refused() -> None:
    w, h = parameter(1.), tensor([1.])
    for _ in range(2):
        h = h * w
        h.sum().backward(retain_graph=True) if h.node.position < 0 else None
    step(w)
    with pytest.raises(ChangedArrayError):
        h.sum().backward()


def test_gradients_of_gradients_are_checked_too() -> None:
    w = parameter(1., 2.)
    first, = grad((w ** 3).sum(), w, create_graph=True)
    step(w)
    with pytest.raises(ChangedArrayError):
        grad(first.sum(), w)


def test_running_statistics_that_have_moved() -> None:
    """Evaluation mode saves them; a batch in training mode then changes them."""
    layer = BatchNorm1d(2)
    x = tensor([[1., 2.], [3., 5.]], requires_grad=True)
    y = layer.eval()(x).sum()
    layer.train()(x)
    with pytest.raises(ChangedArrayError, match=r"input [34] of 'batch_norm'"):
        y.backward()


def test_an_accelerated_fit_is_checked() -> None:
    model = Linear(2, 1, seed=0)
    opt = Adam(list(model.parameters()))
    x = tensor([[1., 2.]], requires_grad=True)
    with accelerate(model, opt):
        y = model(x).sum()
        y.backward(retain_graph=True)
        opt.step()
        with pytest.raises(ChangedArrayError, match=rf"'linear'.*{__file__}"):
            y.backward()


# ----------------------------------------------------------------------------------------- allowed

def test_what_no_rule_reads_may_change() -> None:
    """torch saves what a rule needs only; addition needs nothing."""
    w, b = parameter(1., 2.), parameter(3., 4.)
    for f in (lambda: w + b, lambda: w - b, lambda: -w, lambda: w.reshape(2, 1) + b,
              lambda: (w + b).sum() + w.mean(0), lambda: w[[0, 0, 1]], lambda: w[:1],
              lambda: w.broadcast_to((3, 2)), lambda: ops.concatenate(2)(w, b, axis=0),
              lambda: w.reshape(1, 2).t() + b, lambda: w * 2, lambda: w / 2,
              lambda: w.astype(np.float64)):
        y = f().sum()
        step(w, b)
        y.backward()
        w.zero_grad()
        b.zero_grad()


def test_an_input_that_needs_no_gradient_may_have_a_factor_that_changes() -> None:
    """The rule of x reads w, but it is not run."""
    layer = Linear(2, 1, seed=0)
    y = layer(tensor([[1., 2.]])).sum()
    step(layer.weight, layer.bias)
    y.backward()
    assert layer.weight.grad.tolist() == [[1, 2]]


def test_a_new_array_is_no_change() -> None:
    w, x = parameter(1., 2.), tensor([3., 4.], requires_grad=True)
    y = (w * x).sum()
    w.data = w.data * 100
    y.backward()
    assert x.grad.tolist() == [1, 2]  # as in the forward pass


@pytest.mark.parametrize("fast", [False, True])
def test_two_losses_with_two_steps_over_a_shared_embedding(fast: bool) -> None:
    """A lookup's rule reads the shape of the table, so the second loss may come after a step."""
    def run(fast: bool) -> Array:
        table = Embedding(6, 3, seed=0)
        heads = [Linear(3, 1, seed=1), Linear(3, 1, seed=2)]
        opts = [SGD([table.weight, *head.parameters()], lr=.1) for head in heads]
        ids = [tensor([0, 1, 1]), tensor([1, 5, 2])]
        losses = [(head(table(i)) ** 2).mean() for head, i in zip(heads, ids, strict=True)]
        for loss, opt in zip(losses, opts, strict=True):
            loss.backward()
            opt.step()
            opt.zero_grad()
        return host(table.weight)

    def by_formula() -> Array:
        w = host(Embedding(6, 3, seed=0).weight).copy()
        start = w.copy()
        for seed, ids in ((1, [0, 1, 1]), (2, [1, 5, 2])):
            head = Linear(3, 1, seed=seed)
            v, b = host(head.weight), host(head.bias)
            rows = start[ids]
            np.subtract.at(w, ids, .1 * 2 / 3 * (rows @ v.T + b) @ v)
        return w
    np.testing.assert_allclose(run(fast), by_formula(), rtol=1e-5, atol=1e-7)


def test_truncated_backpropagation_through_time() -> None:
    """The state is detached between stretches, so old weights are not needed again."""
    w, u, h = parameter(.5), parameter(.3), tensor([0.])
    opt = SGD([w, u], lr=.1)
    for x in (1., 2., 3.):
        h = (h.detach() * w + u * x).tanh()
        (h ** 2).sum().backward()
        opt.step()
        opt.zero_grad()
    assert np.isfinite(host(w)).all()


def test_a_step_with_plain_and_accelerated_training_raises_nothing() -> None:
    rng = np.random.default_rng(0)
    for fast in (False, True):
        model = EmbeddingDotBias(3, 10, 12, [0, 5.5], seed=0)
        opt = Adam(list(model.parameters()), wd=.1)

        def fit(model: Any = model, opt: Any = opt) -> None:
            for _ in range(5):
                users, items = tensor(rng.integers(0, 10, 8)), tensor(rng.integers(0, 12, 8))
                loss = mse_loss(model(users, items), tensor(np.full(8, 3., np.float32)))
                loss.backward()
                opt.step()
                opt.zero_grad()
        if fast:
            with accelerate(model, opt, always=True):
                fit()
        else:
            fit()


def test_an_array_with_the_address_of_one_that_was_changed() -> None:
    """Freed addresses are used again at once; what is younger than a change is never stale."""
    for _ in range(300):
        w = Parameter(np.ones(4, np.float32))
        step(w)
        del w
        x = Parameter(np.full(4, 2., np.float32))
        (x * x).sum().backward()
        assert x.grad.tolist() == [4] * 4


def test_a_copy_is_another_array() -> None:
    w = parameter(1., 2.)
    twin = copy.deepcopy(w)
    y = (twin * twin).sum()
    step(w)
    y.backward()
    assert twin.grad.tolist() == [2, 4]


def test_steps_in_another_thread_do_not_disturb() -> None:
    stop, errors = threading.Event(), []

    def train() -> None:
        w = parameter(1., 2.)
        while not stop.is_set():
            step(w)
    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(200):
            x = tensor([1., 2.], requires_grad=True)
            (x * x).exp().sum().backward()
    except ChangedArrayError as error:
        errors.append(error)
    finally:
        stop.set()
        thread.join()
    assert not errors


# ------------------------------------------------------------------------- what a rule reads at all

READ_BY_RULES = {
    "add": "", "sub": "", "neg": "", "mul": "01", "div": "y1", "maximum": "01", "minimum": "01",
    "exp": "y", "log": "0", "sqrt": "y", "abs": "0", "tanh": "y", "relu": "y", "sigmoid": "y",
    "sigmoid_range": "y", "clip": "y0", "reshape": "", "transpose": "", "broadcast_to": "",
    "concatenate": "", "getitem, slices": "", "getitem, a list": "", "matmul": "01",
    "linear": "01", "lookup": "1", "cross_entropy": "01", "mean_squared_error": "01",
    "sum, axis=0, keepdims=False": "", "mean, axis=-1, keepdims=True": "",
    "max, axis=0, keepdims=False": "y0", "conv2d, bias": "01", "max_pool2d": "y0",
    "avg_pool2d": "", "where": "0"}
"""The output (y) and inputs of which values are read."""


@pytest.mark.parametrize("name", READ_BY_RULES)
def test_what_rules_read(name: str) -> None:
    case: Case = CASES[name]
    y = case.do(case.op, *case.tensors())
    found = ""
    for role, array in zip("y012345678", [y.node.output, *y.node.arrays], strict=False):
        tape.changed.mark([array])
        try:
            list(y.node.gradients(np.ones_like(y.data)))
        except ChangedArrayError:
            found += role
        tape.changed.clear()
    assert found == READ_BY_RULES[name]


def test_a_stand_in_shows_shape_and_type_only() -> None:
    shape = tape.Unread(put(np.ones((2, 3), np.float32)))
    assert (shape.shape, shape.ndim, shape.dtype) == ((2, 3), 2, np.float32)
    assert np.zeros_like(shape).shape == np.zeros(shape.shape, shape.dtype, like=shape).shape
    for read in (lambda: shape + 1, lambda: np.exp(shape), lambda: np.where(shape, 1, 0),
                 lambda: shape[0], lambda: np.ones(3) * shape, lambda: float(shape)):
        with pytest.raises((TypeError, AttributeError)):
            read()


def test_nothing_is_recorded_for_a_graph_without_changes() -> None:
    before = tape.changed.last
    x = tensor([1.], requires_grad=True)
    apply(ops.exp, x).backward()
    assert tape.changed.last == before
    assert isinstance(x, Tensor)


@pytest.mark.parametrize("view", [lambda x: x[0:1], lambda x: x.reshape(1, 2), lambda x: x.t(),
                                  lambda x: x.detach()])
def test_a_change_through_a_view_is_seen(view: Any) -> None:
    w = parameter(1., 2.)
    x = w * 1
    y = (x * x).sum()
    with no_grad():
        part = view(x)
        part += 5
    with pytest.raises(ChangedArrayError, match="input 0 of 'mul'"):
        y.backward()


def test_a_view_is_seen_if_the_whole_changes() -> None:
    w = parameter(1., 2.)
    x = w * 1
    y = (x[0:1] * x[0:1]).sum()
    with no_grad():
        x += 5
    with pytest.raises(ChangedArrayError, match="of 'mul'"):
        y.backward()


def test_the_owner_of_a_view_lives_as_long_as_the_view() -> None:
    views = [put(np.zeros((2, 3), np.float32)).reshape(-1) for _ in range(3)]
    owners = [tape.owner(view) for view in views]
    others = [put(np.zeros(6, np.float32)) for _ in range(100)]
    assert [tape.owner(view) for view in views] == owners  # the id is not that of a passing object
    assert not {*owners} & {*map(id, others)}
