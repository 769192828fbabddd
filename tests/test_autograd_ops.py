"""Every primitive against finite differences, NumPy's broadcasting, and its own number type."""
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from host import host, put
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minifast import GradientError, Primitive, Tensor, apply, gradcheck
from minifast.autograd import ops, primitive, tensor
from minifast.nn import norm
from minifast.vision import ops as windows

Array = np.ndarray


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def positive(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(.5, 2, shape)


@dataclass
class Case:
    """An operation on some inputs: float arrays become tensors on the device of this run, which
    are checked; ids and masks go there too, numbers and lists are handed through.
    """

    op: Primitive
    inputs: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def tensors(self, dtype: type = np.float64) -> list[Any]:
        return [tensor(x.astype(dtype), requires_grad=True)
                if isinstance(x, np.ndarray) and x.dtype.kind == "f" else put(x)
                for x in self.inputs]

    def do(self, op: Primitive, *inputs: Any) -> Tensor:
        return apply(op, *inputs, **self.options)


class OwnStatistics(Case):
    """Batch norm whose mean and variance are those of x, so they move with it."""

    def do(self, op: Primitive, *inputs: Any) -> Tensor:
        mean, var = norm.batch_statistics(inputs[0].data)
        return apply(op, *inputs, mean, var, eps=1e-5, own=True)


class GivenStatistics(Case):
    """Batch norm with a mean and a variance from elsewhere."""

    def do(self, op: Primitive, *inputs: Any) -> Tensor:
        mean, var = (put(v.astype(inputs[0].dtype)) for v in (normal(3, seed=5),
                                                              positive(3, seed=6)))
        return apply(op, *inputs, mean, var, eps=1e-5, own=False)


class Constants(Case):
    """Float inputs from the second on are constants."""

    def tensors(self, dtype: type = np.float64) -> list[Any]:
        return [*super().tensors(dtype)[:1], *(put(x.astype(dtype)) for x in self.inputs[1:])]


A, B, POSITIVE = normal(3, 4), normal(3, 4, seed=1), positive(3, 4)
ROW, COLUMN, NUMBER = normal(4, seed=2), normal(3, 1, seed=3), normal(seed=4)
IDS = np.array([2, 0, 2, 4])
BITS = np.array([[0., 1., 1., 0.]] * 3)



def host_max(x: Array) -> Array:
    """The output of a max pooling."""
    return windows.max_pool2d(x, kernel=(3, 2), stride=(2, 1))


CASES: dict[str, Case] = {
    "add": Case(ops.add, (A, B)),
    "add, a row": Case(ops.add, (A, ROW)),
    "add, a number": Case(ops.add, (NUMBER, 2.5)),
    "sub": Case(ops.sub, (A, B)),
    "sub, an outer difference": Case(ops.sub, (ROW, COLUMN)),
    "mul": Case(ops.mul, (A, B)),
    "mul, a column": Case(ops.mul, (COLUMN, A)),
    "mul by itself": Case(ops.mul, (A, A)),
    "div": Case(ops.div, (A, POSITIVE)),
    "div, numbers": Case(ops.div, (NUMBER, positive())),
    "pow": Case(ops.pow_, (POSITIVE, B)),
    "pow, square of negatives": Case(ops.pow_, (A, 2)),
    "pow, of 2": Case(ops.pow_, (2., A)),
    "neg": Case(ops.neg, (A,)),
    "maximum": Case(ops.maximum, (A, B)),
    "minimum": Case(ops.minimum, (A, ROW)),
    "where": Case(ops.where, (A > 0, A, B)),
    "where, a number": Case(ops.where, (A > 0, A, NUMBER)),
    "exp": Case(ops.exp, (A,)),
    "log": Case(ops.log, (POSITIVE,)),
    "sqrt": Case(ops.sqrt, (POSITIVE,)),
    "abs": Case(ops.abs_, (A,)),
    "tanh": Case(ops.tanh, (A,)),
    "relu": Case(ops.relu, (A,)),
    "sigmoid": Case(ops.sigmoid, (A,)),
    "softplus": Case(ops.softplus, (A,)),
    "sigmoid_range": Case(ops.sigmoid_range, (A,), {"low": 1., "high": 5.5}),
    "astype": Case(ops.astype, (A,), {"dtype": np.float64}),
    "clip": Case(ops.clip, (A,), {"low": -.5, "high": .3}),
    "clip, below": Case(ops.clip, (A,), {"low": 0, "high": None}),
    "clip, above": Case(ops.clip, (A,), {"low": None, "high": 0}),
    "reshape": Case(ops.reshape, (A,), {"shape": (2, -1)}),
    "transpose": Case(ops.transpose, (normal(2, 3, 4),), {"axes": (2, 0, 1)}),
    "transpose, negative axes": Case(ops.transpose, (normal(2, 3, 4),), {"axes": (-1, 0, -2)}),
    "broadcast_to": Case(ops.broadcast_to, (COLUMN,), {"shape": (2, 3, 4)}),
    "concatenate": Case(ops.concatenate(3), (A, normal(2, 4), B), {"axis": 0}),
    "concatenate, last axis": Case(ops.concatenate(3), (A, COLUMN, B), {"axis": -1}),
    "getitem, slices": Case(ops.getitem, (A,), {"index": (slice(1), slice(None, None, 2))}),
    "getitem, a row twice": Case(ops.getitem, (A,), {"index": np.array([1, -1, 1])}),
    "getitem, a list": Case(ops.getitem, (A,), {"index": [0, 0, 2]}),
    "getitem, a mask": Case(ops.getitem, (A,), {"index": A > 0}),
    "getitem, pairs": Case(ops.getitem, (A,), {"index": ([0, 1, 0], [3, 3, 3])}),
    "getitem, a table of rows": Case(ops.getitem, (A,), {"index": np.array([[0, 1], [1, 2]])}),
    "getitem, a new axis": Case(ops.getitem, (A,), {"index": (None, ..., 1)}),
    "getitem, transposed": Case(ops.getitem, (A.T,), {"index": np.array([0, 0])}),
    "spread": Constants(ops._spread, (normal(3), normal(3), A), {"axis": 1}),
    "add_at": Constants(ops._add_at, (normal(4), normal(4), normal(5)), {"index": IDS}),
    "put_at": Constants(ops._put_at, (normal(2), normal(2), normal(5)),
                        {"index": slice(1, None, 2)}),
    "matmul": Case(ops.matmul, (A, normal(4, 2))),
    "matmul, vectors": Case(ops.matmul, (ROW, normal(4))),
    "matmul, a vector left": Case(ops.matmul, (normal(3), A)),
    "matmul, a vector right": Case(ops.matmul, (A, ROW)),
    "matmul, a stack": Case(ops.matmul, (normal(5, 3, 4), normal(5, 4, 2))),
    "matmul, a stack right": Case(ops.matmul, (A, normal(5, 4, 2))),
    "matmul, a stack left": Case(ops.matmul, (normal(5, 3, 4), normal(4, 2))),
    "matmul, a stack of one": Case(ops.matmul, (normal(1, 3, 4), normal(5, 4, 2))),
    "matmul, a vector and a stack": Case(ops.matmul, (ROW, normal(5, 4, 2))),
    "matmul, a stack and a vector": Case(ops.matmul, (normal(5, 3, 4), ROW)),
    "linear": Case(ops.linear, (A, normal(2, 4), normal(2))),
    "linear, three axes": Case(ops.linear, (normal(5, 3, 4), normal(2, 4), normal(2))),
    "linear, one row": Case(ops.linear, (ROW, normal(2, 4), normal(2))),
    "lookup": Case(ops.lookup, (normal(5, 2), IDS)),
    "lookup, two axes": Case(ops.lookup, (normal(5, 2), IDS.reshape(2, 2))),
    "batch_norm": OwnStatistics(norm.batch_norm, (normal(5, 3), positive(3), normal(3))),
    "batch_norm, images": OwnStatistics(norm.batch_norm,
                                        (normal(2, 3, 4, 2), positive(3), normal(3))),
    "batch_norm, given": GivenStatistics(norm.batch_norm,
                                         (normal(5, 3), positive(3), normal(3))),
    "batch_norm, given, images": GivenStatistics(norm.batch_norm,
                                                 (normal(2, 3, 4, 2), positive(3), normal(3))),
    "conv2d": Case(windows.conv2d, (normal(2, 3, 6, 5), normal(4, 3, 3, 2)),
                   {"stride": (2, 1), "padding": (0, 1)}),
    "conv2d, bias": Case(windows.conv2d, (normal(2, 2, 5, 5), normal(3, 2, 3, 3), normal(3)),
                         {"stride": (2, 2), "padding": (1, 1)}),
    "conv_input": Constants(windows._conv_input, (
        normal(2, 4, 2, 6), normal(2, 4, 2, 6), normal(2, 3, 6, 5), normal(4, 3, 3, 2)),
        {"stride": (2, 1), "padding": (0, 1)}),
    "conv_weight": Constants(windows._conv_weight, (
        normal(2, 4, 2, 6), normal(2, 4, 2, 6), normal(2, 3, 6, 5), normal(4, 3, 3, 2)),
        {"stride": (2, 1), "padding": (0, 1)}),
    "to_first_max": Constants(windows._to_first_max, (
        normal(2, 3, 2, 4), host_max(normal(2, 3, 6, 5)), normal(2, 3, 6, 5)),
        {"kernel": (3, 2), "stride": (2, 1)}),
    "at_first_max": Constants(windows._at_first_max, (
        normal(2, 3, 6, 5), normal(2, 3, 2, 4), normal(2, 3, 2, 4), host_max(normal(2, 3, 6, 5)),
        normal(2, 3, 6, 5)), {"kernel": (3, 2), "stride": (2, 1)}),
    "to_all": Constants(windows._to_all, (normal(2, 3, 2, 6), normal(2, 3, 2, 6),
                                          normal(2, 3, 6, 5)),
                        {"kernel": (3, 2), "stride": (2, 1), "padding": (0, 1)}),
    "conv2d, one pixel": Case(windows.conv2d, (normal(2, 1, 2, 2), normal(1, 1, 1, 1)),
                              {"stride": (1, 1), "padding": (0, 0)}),
    "max_pool2d": Case(windows.max_pool2d, (normal(2, 3, 6, 5),),
                       {"kernel": (3, 2), "stride": (2, 1)}),
    "avg_pool2d": Case(windows.avg_pool2d, (normal(2, 3, 6, 5),),
                       {"kernel": (3, 2), "stride": (2, 1), "padding": (0, 1)}),
    "cross_entropy": Case(ops.cross_entropy, (normal(4, 5), IDS)),
    "mean_squared_error": Case(ops.mean_squared_error, (A, B)),
    "binary_cross_entropy": Case(ops.binary_cross_entropy, (A, positive(3, 4))),
    "binary_cross_entropy, bits": Constants(ops.binary_cross_entropy, (A, BITS)),
}
for op in (ops.sum_, ops.mean, ops.max_, ops.min_):
    for axis in (None, 0, -1, (0, 2)):
        for keepdims in (False, True):
            CASES[f"{op.name}, axis={axis}, keepdims={keepdims}"] = Case(
                op, (normal(2, 3, 4),), {"axis": axis, "keepdims": keepdims})

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


# ------------------------------------------------------------------------------ finite differences

def test_no_primitive_is_left_out() -> None:
    defined = {op for module in (ops, windows, norm) for op in vars(module).values()
               if isinstance(op, Primitive)}
    assert len(defined) >= 35
    assert {op.name for op in defined - {case.op for case in CASES.values()}} == set()


@every_case
def test_rules_agree_with_differences(case: Case) -> None:
    assert gradcheck(lambda *inputs: case.do(case.op, *inputs), *case.tensors())


def with_rule(op: Primitive, position: int, change: Callable[[Any], Any]) -> Primitive:
    """The primitive with one rule's result changed."""
    def changed(g: Array, y: Array, *inputs: Any, **options: Any) -> Any:
        dx = op.rules[position](g, y, *inputs, **options)
        return change(dx)
    return replace(op, rules=(*op.rules[:position], changed, *op.rules[position + 1:]))


MUTATIONS: dict[str, Callable[[Any], Any]] = {
    "one percent too large": lambda dx: 1.01 * dx,
    "of the wrong sign": lambda dx: -dx,
    "zero": lambda dx: 0 * dx,
    "not a number": lambda dx: dx * float("nan"),
    "too large by a constant": lambda dx: dx + .01,
}


@pytest.mark.parametrize("change", MUTATIONS.values(), ids=MUTATIONS)
@every_case
def test_a_wrong_rule_is_caught(case: Case, change: Callable[[Any], Any]) -> None:
    inputs = case.tensors()
    floats = [i for i, x in enumerate(inputs) if isinstance(x, Tensor)]
    for position in floats:
        mutant = with_rule(case.op, position, change)
        with pytest.raises(GradientError, match=rf"^input {position} at \(.*the difference "):
            gradcheck(lambda *xs, op=mutant: case.do(op, *xs), *inputs)


def test_swapped_rules_are_caught() -> None:
    for op in (ops.sub, ops.div, ops.pow_, ops.matmul, ops.maximum):
        mutant = replace(op, rules=op.rules[::-1])
        with pytest.raises(GradientError):
            gradcheck(mutant, tensor(positive(3, 3)), tensor(positive(3, 3, seed=1)))


def test_one_wrong_element_among_many_is_caught() -> None:
    @primitive(lambda g, y, a: g * np.where(np.arange(a.size, like=a) == 37, 2.001, 2))
    def double(a: Array) -> Array:
        return a * 2

    with pytest.raises(GradientError, match=r"input 0 at \(37,\)"):
        gradcheck(double, tensor(normal(50)))


# ------------------------------------------------------------------------------------------- kinks

def test_kinks_are_skipped() -> None:
    """At 0 the rules of relu and abs give 0, the differences 0.5 and 0: neither is wrong."""
    x = tensor([-1., 0., 1.])
    assert gradcheck(ops.relu, x)
    assert gradcheck(ops.abs_, x)
    assert gradcheck(lambda x: x.clip(-1, 1), x)
    assert gradcheck(ops.maximum, x, tensor([-1., 0., 2.]))
    assert gradcheck(lambda x: x.max(), tensor([2., 2., 1.]))


def test_a_kink_hides_no_other_element() -> None:
    mutant = with_rule(ops.relu, 0, lambda dx: 1.01 * dx)
    with pytest.raises(GradientError, match=r"input 0 at \(1,\)"):
        gradcheck(mutant, tensor([0., 1.]))


@pytest.mark.parametrize("x", [tensor([0., 0.]), tensor([1, 2]), np.ones(2), 2.],
                         ids=["a kink everywhere", "whole numbers", "an array", "a number"])
def test_a_check_of_nothing_is_an_error(x: Any) -> None:
    with pytest.raises(GradientError, match="nothing was checked"):
        gradcheck(ops.relu, put(x))


def test_gradcheck_leaves_its_inputs_alone() -> None:
    x = tensor([1., 2.], requires_grad=True)
    x.grad = put(np.array([7., 7.], np.float32))
    assert gradcheck(ops.exp, x)
    assert x.data.tolist() == [1, 2]
    assert x.grad.tolist() == [7, 7]
    assert x.dtype == np.float32


def test_an_input_without_influence_has_gradient_zero() -> None:
    assert gradcheck(lambda a, b: a * 2, tensor([1.]), tensor([5.]))
    with pytest.raises(GradientError, match="input 1"):
        gradcheck(lambda a, b: a * 2 + b.detach(), tensor([1.]), tensor([5.]))
    with pytest.raises(GradientError, match=r"the rule gives 0, the difference [-\d]"):
        gradcheck(lambda a: a.detach() * 2, tensor([1.]))


# ------------------------------------------------------------------------------------ broadcasting

SLOPES: dict[Primitive, Callable[[Array, Array], tuple[Any, Any]]] = {
    ops.add: lambda a, b: (1, 1),
    ops.sub: lambda a, b: (1, -1),
    ops.mul: lambda a, b: (b, a),
    ops.div: lambda a, b: (1 / b, -a / b / b),
    ops.maximum: lambda a, b: (a >= b, a < b),
    ops.minimum: lambda a, b: (a <= b, a > b),
}
FORWARD = {ops.add: np.add, ops.sub: np.subtract, ops.mul: np.multiply, ops.div: np.divide,
           ops.maximum: np.maximum, ops.minimum: np.minimum}


def summed_back(gradient: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an array of ``shape`` that was broadcast: by counting, element by element."""
    home = np.broadcast_to(np.arange(math.prod(shape)).reshape(shape), gradient.shape)
    counted = np.bincount(home.ravel(), gradient.ravel(), minlength=math.prod(shape))
    return counted.reshape(shape)


@settings(max_examples=150, deadline=None)
@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3),
       op=st.sampled_from(list(SLOPES)), seed=st.integers(0, 99))
def test_broadcasting_is_numpys_and_is_undone(shapes: Any, op: Primitive, seed: int) -> None:
    """Powers of two, so that every product and sum is exact."""
    rng = np.random.default_rng(seed)
    a, b = (2. ** rng.integers(-2, 3, shape) for shape in shapes.input_shapes)
    x, z = tensor(a, requires_grad=True), tensor(b, requires_grad=True)
    y = apply(op, x, z)
    np.testing.assert_array_equal(host(y), FORWARD[op](a, b), strict=True)
    g = 2. ** rng.integers(-2, 3, y.shape)
    y.backward(put(g))
    for leaf, slope in zip((x, z), SLOPES[op](a, b), strict=True):
        assert leaf.grad.shape == leaf.shape
        np.testing.assert_array_equal(host(leaf.grad), summed_back(g * slope, leaf.shape))


@settings(max_examples=50, deadline=None)
@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3))
def test_where_broadcasts_all_three(shapes: Any) -> None:
    chosen, a, b = (normal(*shape, seed=i) for i, shape in enumerate(shapes.input_shapes))
    x, z = tensor(a, requires_grad=True), tensor(b, requires_grad=True)
    y = apply(ops.where, tensor(chosen > 0), x, z)
    np.testing.assert_array_equal(host(y), np.where(chosen > 0, a, b))
    y.backward(put(np.ones(y.shape)))
    mask = np.broadcast_to(chosen > 0, y.shape).astype(float)
    np.testing.assert_array_equal(host(x.grad), summed_back(mask, a.shape))
    np.testing.assert_array_equal(host(z.grad), summed_back(1 - mask, b.shape))


@settings(max_examples=50, deadline=None)
@given(data=st.data(), shape=hnp.array_shapes(max_dims=3, max_side=3))
def test_broadcast_to_is_undone(data: st.DataObject, shape: tuple[int, ...]) -> None:
    wide = data.draw(hnp.broadcastable_shapes(shape, min_dims=len(shape), max_dims=4, max_side=3))
    wide = np.broadcast_shapes(shape, wide)
    x = tensor(normal(*shape), requires_grad=True)
    y = x.broadcast_to(wide)
    y.backward(put(np.ones(wide)))
    np.testing.assert_array_equal(host(y), np.broadcast_to(host(x), wide))
    np.testing.assert_array_equal(host(x.grad), np.full(shape, math.prod(wide) / math.prod(shape)))


# ------------------------------------------------------------------------------------ number types

@pytest.mark.parametrize("case", [case for case in CASES.values() if case.op is not ops.astype])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_the_number_type_is_kept(case: Case, dtype: type, device: str) -> None:
    """The rule's own result, before it is written into a leaf of the right type anyway."""
    inputs = case.tensors(dtype)
    y = case.do(case.op, *inputs)
    assert (y.dtype, y.device) == (dtype, device)
    got = dict.fromkeys(range(len(inputs)))
    for i, x in enumerate(inputs):
        if isinstance(x, Tensor):
            dx = case.op.rules[i](np.ones_like(y.data), y.node.output, *y.node.arrays,
                                 **y.node.options)
            got[i] = dx.dtype
    assert {got[i] for i, x in enumerate(inputs) if isinstance(x, Tensor)} == {np.dtype(dtype)}


@every_case
def test_float32_agrees_with_float64(case: Case) -> None:
    """Values and gradients of order 1 to 10, a dozen roundings of 6e-8 each."""
    results = []
    for dtype in (np.float32, np.float64):
        inputs = case.tensors(dtype)
        y = case.do(case.op, *inputs)
        y.backward(put(np.ones(y.shape, dtype)))
        results.append([host(y), *(host(x.grad) for x in inputs if isinstance(x, Tensor))])
    for narrow, wide in zip(*results, strict=True):
        np.testing.assert_allclose(narrow, wide, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("other", [2, 2.5, True, np.int64(2), np.float64(2.5), np.float32(2),
                                   np.array(2), np.array([2, 3]), tensor([2, 3]), tensor(2)],
                         ids=repr)
@pytest.mark.parametrize("op", [ops.add, ops.sub, ops.mul, ops.div, ops.pow_, ops.maximum])
def test_whole_numbers_and_scalars_do_not_widen_float32(op: Primitive, other: Any) -> None:
    for swap in (False, True):
        x = tensor([1., 2.], requires_grad=True)
        inputs = (put(other), x) if swap else (x, put(other))
        y = apply(op, *inputs)
        assert y.dtype == np.float32
        (_, dx), = y.node.gradients(np.ones_like(y.data))
        assert dx.dtype == np.float32


def test_whole_numbers_alone_become_float32_as_in_torch() -> None:
    ints = tensor([1, 2])
    assert (ints / 2).dtype == (ints * .5).dtype == ints.exp().dtype == ints.mean().dtype \
        == np.float32
    assert (ints * 2).dtype == (ints + ints).dtype == ints.sum().dtype == ints.max().dtype \
        == np.int64
    assert (ints > 1).dtype == np.bool_


def test_float64_stays_where_it_was_asked_for() -> None:
    wide = tensor(np.ones(2))
    assert (wide * tensor([1., 2.])).dtype == np.float64
    assert (tensor([1., 2.]) * put(np.ones(2))).dtype == np.float64
    narrow = tensor([1., 2.], requires_grad=True)
    ((narrow * 2) * put(np.ones(2))).sum().backward()
    assert narrow.grad.dtype == np.float32


def test_float64_from_a_pickle_stays_float64() -> None:
    """Its dtype is equal to NumPy's own float64, but another object."""
    wide = pickle.loads(pickle.dumps(np.ones(2)))
    assert (tensor([1., 2.]) * put(wide)).dtype == np.float64


# ----------------------------------------------------------------------------------- extreme input

def test_no_function_overflows_or_warns() -> None:
    huge = tensor([-1e4, -100., 0., 100., 1e4], requires_grad=True)
    y = huge.sigmoid()
    np.testing.assert_allclose(host(y), [0, np.exp(-100.), .5, 1, 1], rtol=1e-6, atol=1e-38)
    y.sum().backward()
    assert np.isfinite(host(huge.grad)).all()
    losses = apply(ops.cross_entropy, tensor([[1e4, 0., -1e4]] * 3), tensor([0, 1, 2]))
    assert losses.tolist() == [0, 1e4, 2e4]
    assert apply(ops.binary_cross_entropy, tensor([1e4, -1e4]), tensor([1., 1.])).tolist() \
        == [0, 1e4]


def test_ties_share_the_gradient() -> None:
    x = tensor([[3., 3., 1.], [0., 2., 1.]], requires_grad=True)
    x.max(1).backward([1., 1.])
    assert x.grad.tolist() == [[.5, .5, 0], [0, 1, 0]]


def test_maximum_gives_a_tie_to_the_first() -> None:
    a, b = tensor([1.], requires_grad=True), tensor([1.], requires_grad=True)
    np.maximum(a, b).sum().backward()
    assert a.grad.tolist() == [1]
    assert b.grad.tolist() == [0]
