"""Gradients of gradients: torch's numbers, finite differences, and what is refused."""
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host import host, put
from hvp import IDS, SHAPES, arrays, products, weights
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from test_autograd_ops import CASES, Case

from minifast import GraphReleasedError, Tensor, apply, cat, grad, gradcheck, no_grad, tensor, where
from minifast.autograd import ops, primitive
from minifast.fast import accelerate
from minifast.nn import BatchNorm1d, Embedding, Linear, Sequential, losses, norm
from minifast.optim import SGD, Adam
from minifast.vision import ops as windows

Array = np.ndarray
TORCH = np.load(Path(__file__).parent / "golden" / "hvp.npz")


def leaf(*numbers: float) -> Tensor:
    return tensor(np.array(numbers), requires_grad=True)


# ---------------------------------------------------------------------------------- torch's numbers

def normalized(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    mean, var = norm.batch_statistics(x.data)
    return apply(norm.batch_norm, x, w, b, mean, var, eps=1e-5, own=True)


OPS: dict[str, Callable[..., Tensor]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b, "pow": lambda a, b: a ** b, "pow, 3": lambda a: a ** 3,
    "neg": lambda a: -a, "maximum": np.maximum, "minimum": np.minimum,
    "where": lambda a, b: where(a > 1, a, b), "exp": np.exp, "log": np.log, "sqrt": np.sqrt,
    "abs": lambda a: abs(a - 1), "tanh": np.tanh, "relu": lambda a: (a - 1).relu(),
    "sigmoid": Tensor.sigmoid,
    "sigmoid_range": lambda a: apply(ops.sigmoid_range, a, low=1., high=5.5),
    "clip": lambda a: a.clip(.6, 1.2), "sum": Tensor.sum, "sum, axis": lambda a: a.sum(-2),
    "mean": Tensor.mean, "mean, axes": lambda a: a.mean((0, -1), keepdims=True),
    "var": Tensor.var, "std, axis": lambda a: a.std(0), "max": Tensor.max,
    "max, axis": lambda a: a.max(-1), "min, axis": lambda a: a.min(0),
    "reshape": lambda a: a.reshape(2, 6), "transpose": lambda a: a.transpose(2, 0, 1),
    "broadcast_to": lambda a: a.broadcast_to((3, 4)), "concatenate": lambda a, b: cat([a, b], -1),
    "getitem, slices": lambda a: a[1:, ::2], "getitem, repeated": lambda a: a[[1, 1, 0]],
    "lookup": lambda a: apply(ops.lookup, a, put(np.array(IDS))),
    "matmul": lambda a, b: a @ b, "matmul, stacks": lambda a, b: a @ b,
    "matmul, vectors": lambda a, b: a @ b, "matmul, a vector": lambda a, b: a @ b,
    "linear": ops.linear, "softmax": lambda a: losses.softmax(a, 0),
    "cross_entropy": lambda a: losses.cross_entropy(a, tensor(IDS), reduction="none"),
    "mean_squared_error": losses.mse_loss,
    "binary_cross_entropy": lambda a, b: losses.binary_cross_entropy_with_logits(a, b, "none"),
    "batch_norm": normalized, "batch_norm, images": normalized,
    "conv2d": lambda x, w, b: windows.conv2d(x, w, b, stride=(2, 1), padding=(0, 1)),
    "max_pool2d": lambda x: windows.max_pool2d(x, kernel=(3, 2), stride=(2, 1)),
    "avg_pool2d": lambda x: windows.avg_pool2d(x, kernel=(3, 2), stride=(2, 1), padding=(0, 1)),
}


def test_every_recorded_operation_is_compared() -> None:
    assert OPS.keys() == SHAPES.keys() == set(TORCH.files)


@pytest.mark.parametrize("name", SHAPES)
def test_hessian_vector_products_are_torchs(name: str) -> None:
    inputs, directions = arrays(name)
    found = products(OPS[name], grad, [tensor(x, requires_grad=True) for x in inputs],
                     [put(v) for v in directions], lambda shape: put(weights(shape)))
    assert [h.shape for h in found] == SHAPES[name]
    flat = np.concatenate([host(h).ravel() for h in found])
    np.testing.assert_allclose(flat, TORCH[name], rtol=1e-10, atol=1e-10)


# ----------------------------------------------------------------------------------- differences

def slopes(case: Case) -> Callable[..., Tensor]:
    """The gradients of an operation, mixed to one number; also a function of the start ``w``."""
    def mixed(w: Tensor, *inputs: Any) -> Tensor:
        leaves = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
        found = grad(case.do(case.op, *inputs), leaves, create_graph=True, gradient=w)
        assert [g.shape for g in found] == [x.shape for x in leaves]
        return sum(((g * g + g) * (i + 1)).sum() for i, g in enumerate(found))
    return mixed


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_gradients_of_gradients_agree_with_differences(case: Case) -> None:
    inputs = case.tensors()
    shape = case.do(case.op, *inputs).shape
    w = tensor(np.random.default_rng(7).normal(size=shape), requires_grad=True)
    assert gradcheck(slopes(case), w, *inputs)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3),
       op=st.sampled_from([ops.sum_, ops.mean, ops.max_]), keepdims=st.booleans())
def test_reductions_along_any_axes(data: st.DataObject, shape: tuple[int, ...], op: Any,
                                   keepdims: bool) -> None:
    """Negative axes too, and no elements; sums of squares have the Hessian 2 n or less."""
    if op is ops.max_ and 0 in shape:
        return
    axis = data.draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1),
                               hnp.valid_tuple_axes(len(shape))))
    if op is ops.mean and 0 in shape:
        return  # the mean of nothing is NaN
    x = np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape) / 7
    t = tensor(x, requires_grad=True)
    first, = grad((apply(op, t, axis=axis, keepdims=keepdims) ** 3).sum(), t, create_graph=True)
    second, = grad((first * 2).sum(), t)
    positive = tuple(i % len(shape) for i in axis) if isinstance(axis, tuple) else \
        axis if axis is None else axis % len(shape)
    same = tensor(x, requires_grad=True)
    first_, = grad((apply(op, same, axis=positive, keepdims=True) ** 3).sum(), same,
                   create_graph=True)
    np.testing.assert_array_equal(host(first), host(first_))
    np.testing.assert_array_equal(host(second), host(grad((first_ * 2).sum(), same)[0]))
    y = getattr(np, op.name)(x, axis=axis, keepdims=True)
    n = x.size // max(y.size, 1)
    if op is ops.sum_:
        np.testing.assert_allclose(host(second), np.broadcast_to(12 * y * n, shape), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3),
       dtype=st.sampled_from([np.float32, np.float64, np.float16]))
def test_mixed_derivatives_of_products_that_broadcast(shapes: Any, dtype: type) -> None:
    """The gradients of sum(a^2 b^2) are exact in small whole numbers."""
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-2, 3, shape).astype(dtype) for shape in shapes.input_shapes)
    x, z = tensor(a, requires_grad=True), tensor(b, requires_grad=True)
    dx, dz = grad((x * x * z * z).sum(), [x, z], create_graph=True)
    xx, xz = grad(dx.sum(), [x, z])
    assert (dx.dtype, dz.dtype, xx.dtype, xz.dtype) == (dtype,) * 4
    ones = np.ones(np.broadcast_shapes(a.shape, b.shape), dtype)
    squares = 2 * b * b * ones
    added = squares.ndim - a.ndim
    axes = (*range(added), *(added + i for i, n in enumerate(a.shape) if n == 1))
    np.testing.assert_array_equal(host(xx), squares.sum(axis=axes).reshape(a.shape))
    mixed = 4 * a * b * ones
    added = mixed.ndim - b.ndim
    axes = (*range(added), *(added + i for i, n in enumerate(b.shape) if n == 1))
    np.testing.assert_array_equal(host(xz), mixed.sum(axis=axes).reshape(b.shape))


@pytest.mark.parametrize("order", range(1, 7))
def test_any_order(order: int) -> None:
    """d^n/dx^n of x^5, and of e^x: the rules of rules have rules."""
    x = leaf(2., -1.)
    y, e = (x ** 5).sum(), x.exp().sum()
    for _ in range(order):
        y = grad(y, x, create_graph=True)[0].sum()
        e = grad(e, x, create_graph=True)[0].sum()
    factor = np.prod([5 - i for i in range(order)])
    assert y.item() == pytest.approx(factor * sum(v ** max(5 - order, 0) for v in (2., -1.)))
    assert e.item() == pytest.approx(np.exp(2) + np.exp(-1))


def test_a_reduction_of_the_third_order() -> None:
    x = leaf(1., 2.)
    y = x.sum() ** 4
    for _ in range(3):
        y = grad(y, x, create_graph=True)[0][0]
    assert y.item() == 24 * 3


# ------------------------------------------------------------------------------------ grad itself

def test_grad_leaves_the_leaves_alone() -> None:
    x, w = leaf(1., 2.), leaf(3., 4.)
    x.grad = put(np.array([7., 7.]))
    dx, dw = grad((x * w).sum(), [x, w])
    assert (dx.tolist(), dw.tolist()) == ([3, 4], [1, 2])
    assert (x.grad.tolist(), w.grad) == ([7, 7], None)
    assert (dx.requires_grad, dx.node) == (False, None)


def test_grad_returns_what_nobody_else_holds() -> None:
    x, w = leaf(1., 2.), leaf(3., 4.)
    seed = put(np.ones(2))
    dx, dw = grad(x + w, [x, w], gradient=seed)
    held = [seed, dx.data, dw.data, x.data, w.data]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(held) for b in held[:i])


def test_grad_of_what_lies_in_between() -> None:
    x = leaf(1., 2.)
    h = x * 3
    y = (h * h + h).sum() + x.sum()
    dh, dx, dy = grad(y, [h, x, y])
    assert (dh.tolist(), dx.tolist(), dy.tolist()) == ([7, 13], [22, 40], 1)


def test_grad_of_one_tensor_and_of_a_leaf_itself() -> None:
    x = leaf(2.)
    assert grad(x, x)[0].tolist() == [1]
    assert [g.tolist() for g in grad((x * x).sum(), (x, x))] == [[4], [4]]


def test_grad_releases_the_graph_unless_it_is_kept() -> None:
    x = leaf(1., 2.)
    y = (x * x).sum()
    grad(y, x, retain_graph=True)
    grad(y, x, create_graph=True)
    grad(y, x)
    with pytest.raises(GraphReleasedError):
        grad(y, x)


def test_grad_names_an_input_without_influence() -> None:
    x, w = leaf(1.), leaf(2.)
    with pytest.raises(RuntimeError, match=r"does not depend on input 1, \(1,\)"):
        grad((x * 2).sum(), [x, w])
    with pytest.raises(RuntimeError, match="does not depend on one that requires a gradient"):
        grad(tensor([1.]).sum(), [x])


# -------------------------------------------------------------------------- backward(create_graph)

def test_backward_with_create_graph_leaves_tensors() -> None:
    x = leaf(1., 2.)
    (x ** 3).sum().backward(create_graph=True)
    assert isinstance(x.grad, Tensor)
    assert x.grad.tolist() == [3, 12]
    penalty = (x.grad ** 2).sum()
    x.zero_grad()
    penalty.backward()
    assert x.grad.tolist() == [36, 288]  # of 9 x^4


def test_gradients_of_both_kinds_add_up() -> None:
    x, w = leaf(1., 2.), leaf(1., 1.)
    loss = (x ** 3 + w).sum()
    loss.backward(create_graph=True)
    (x.grad.sum()).backward()
    assert x.grad.tolist() == [3 + 6, 12 + 12]
    (x * 2).sum().backward(create_graph=True)
    assert x.grad.tolist() == [11, 26]
    assert w.grad.tolist() == [1, 1]


def test_leaves_that_share_a_gradient_do_not_add_to_each_others() -> None:
    x, w = leaf(1., 2.), leaf(1., 1.)
    (x + w).sum().backward(create_graph=True)
    (x * 2).sum().backward()
    assert (x.grad.tolist(), w.grad.tolist()) == ([3, 3], [1, 1])


@pytest.mark.parametrize("make", [lambda p: SGD(p, lr=.5), lambda p: Adam(p, lr=.5, wd=.1)])
def test_an_optimizer_takes_gradients_that_are_tensors(make: Any) -> None:
    def stepped(create_graph: bool) -> list[Array]:
        model = Linear(2, 1, seed=0)
        opt = make(list(model.parameters()))
        for _ in range(2):
            (model(tensor([[1., 2.]])) ** 2).sum().backward(create_graph=create_graph)
            opt.step()
            opt.zero_grad()
        return [host(p) for p in model.parameters()]
    for one, other in zip(stepped(True), stepped(False), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_gradient_penalty_trains_a_model() -> None:
    """The penalty's gradients are those of differences, for each parameter of a model."""
    model = Sequential(Linear(3, 4, seed=0), BatchNorm1d(4), Linear(4, 1, seed=1))
    inputs = np.random.default_rng(0).normal(size=(5, 3))
    names = [name for name, _ in model.named_parameters()]

    def penalty(*parameters: Tensor) -> Tensor:
        for name, p in zip(names, parameters, strict=True):
            layer, last = name.split(".")
            setattr(model[int(layer)], last, p)
        x = tensor(inputs, requires_grad=True)
        slope, = grad(model(x).tanh().sum(), x, create_graph=True)
        return ((slope ** 2).sum(1).sqrt() ** 2).mean()
    assert gradcheck(penalty, *[p for _, p in model.named_parameters()])


def test_an_embedding_twice() -> None:
    emb = Embedding(5, 2, seed=0)
    y = (emb(tensor([1, 1, 3])) ** 3).sum()
    first, = grad(y, emb.weight, create_graph=True)
    second, = grad(first.sum(), emb.weight)
    expected = np.zeros((5, 2), np.float32)
    expected[1], expected[3] = (6 * n * host(emb.weight)[i] for n, i in ((2, 1), (1, 3)))
    np.testing.assert_allclose(host(second), expected, rtol=1e-6)


# ------------------------------------------------------------------------------ what is refused

def test_a_rule_that_does_not_run_on_tensors_is_named() -> None:
    def in_place(g: Array, y: Array, a: Array) -> Array:
        dx = np.zeros_like(a)
        dx[...] = g * 2
        return dx

    @primitive(in_place)
    def double(a: Array) -> Array:
        return a * 2

    @primitive(lambda g, y, a: np.cos(a) * g)
    def sine(a: Array) -> Array:  # of which minifast has no derivative either
        return np.sin(a)

    @primitive(lambda g, y, a: put(np.ones(a.shape)))
    def plus_one(a: Array) -> Array:
        return a + 1

    for op in (double, sine, plus_one):
        x = leaf(1., 2.)
        y = apply(op, x).sum()
        with pytest.raises(TypeError, match=rf"rule of input 0 of '{op.name}', for inputs \(2,\)"):
            grad(y, x, create_graph=True)
        assert x.grad is None
        assert grad(y, x)[0].shape == (2,)  # nothing was released


def test_an_array_that_was_replaced_is_refused() -> None:
    x, w = leaf(1., 2.), leaf(3., 4.)
    y = (x * w).sum()
    w.data = w.data + 1
    assert grad(y, x, retain_graph=True)[0].tolist() == [3, 4]  # the array that was used
    with pytest.raises(RuntimeError, match=r"input 1 of 'mul'.*was replaced"):
        grad(y, x, create_graph=True)


def test_steps_have_derivative_zero() -> None:
    x = leaf(-1.5, 2.5)
    for f in (np.sign, np.floor, np.ceil, np.rint, np.trunc):
        dx, = grad((f(x) * x).sum(), x)
        np.testing.assert_array_equal(host(dx), f(np.array([-1.5, 2.5])))


@pytest.mark.parametrize("always", [False, True])
def test_create_graph_in_an_accelerated_loop(always: bool) -> None:
    """Dense gradients are taken as on the plain path; those of an Embedding say what to do."""
    def trained(fast: bool) -> list[Array]:
        model = Sequential(Linear(2, 3, seed=0), Linear(3, 1, seed=1))
        opt = Adam(model.parameters(), lr=.1)
        with accelerate(model, opt, always=always) if fast else nullcontext():
            for _ in range(3):
                (model(tensor([[1., 2.]])) ** 2).sum().backward(create_graph=True)
                opt.step()
                opt.zero_grad()
        return [host(p.data) for p in model.parameters()]

    for fast, plain in zip(trained(True), trained(False), strict=True):
        assert (fast == plain).all()
    emb = Embedding(3, 2, seed=0)
    with accelerate(emb, SGD(emb.parameters()), always=always), \
            pytest.raises(TypeError, match=r"learn\.fast = False"):
        (emb(tensor([1, 1])) ** 2).sum().backward(create_graph=True)


def test_gradients_with_a_graph_are_not_shared() -> None:
    x, z = leaf(1., 2.), leaf(3., 4.)
    dx, dz = grad((x + z).sum(), [x, z], create_graph=True)
    dx.data[...] = 9
    assert dz.tolist() == [1, 1]
    (x + z).sum().backward(create_graph=True)
    x.grad.data[...] = 9  # type: ignore[union-attr]
    assert z.grad.tolist() == [1, 1]  # type: ignore[union-attr]


def test_create_graph_within_no_grad_is_refused() -> None:
    x = leaf(1., 2.)
    y = (x ** 3).sum()
    with no_grad():
        for call in (lambda: grad(y, x, create_graph=True), lambda: y.backward(create_graph=True)):
            with pytest.raises(RuntimeError, match="outside no_grad"):
                call()
    assert x.grad is None


@pytest.mark.parametrize(("loss", "inputs"), [
    (3., leaf(1.)), (leaf(1.).sum(), np.ones(1)), (leaf(1.).sum(), [1.])])
def test_grad_takes_tensors(loss: Any, inputs: Any) -> None:
    with pytest.raises(TypeError, match="takes tensors"):
        grad(loss, inputs)
