"""Every operation on any shape, axis, number type and order of bytes, and its derivatives twice."""
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from host import host, put
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minifast import Tensor, cat, grad, gradcheck, tensor, where
from minifast.autograd import ops
from minifast.nn import losses

Array = np.ndarray
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
DTYPES = st.sampled_from(["<f8", ">f8", "<f4", ">f4", "<f2", ">f2"])


def distinct(*shape: int, seed: int = 0) -> Array:
    """Different numbers between -2 and 2, none of them near a kink at 0, 1 or -1."""
    n = int(np.prod(shape))
    numbers = (np.random.default_rng(seed).permutation(n) + .37) / max(n, 1) * 4 - 2
    return numbers.reshape(shape)


def leaf(x: Array, dtype: str = "<f8") -> Tensor:
    return tensor(x.astype(dtype), requires_grad=True)


def check_derivatives(f: Callable[..., Tensor], *arrays: Array) -> None:
    """The gradient against differences of f, and its own against differences of the gradient."""
    leaves = [leaf(x) for x in arrays]
    y = f(*leaves)
    weights = put(np.random.default_rng(9).normal(size=y.shape))
    if not y.size or not sum(x.size for x in arrays):
        for x, dx in zip(leaves, grad(y, leaves, gradient=weights), strict=True):
            assert host(dx).tolist() == np.zeros(x.shape).tolist()
        return

    def slope(*inputs: Tensor) -> Tensor:
        wanted = [x for x in inputs if x.numel()]
        found = grad(f(*inputs), wanted, create_graph=True, gradient=weights)
        return sum((dx * dx + dx).sum() * (i + 1) for i, dx in enumerate(found))
    assert gradcheck(f, *leaves)
    assert gradcheck(slope, *leaves)


def check_type(f: Callable[..., Tensor], dtype: str, *arrays: Array) -> None:
    """Type and order of bytes are the machine's; values are those of the other order of bytes."""
    native = np.dtype(dtype).newbyteorder("=")
    leaves, same = [leaf(x, dtype) for x in arrays], [leaf(x, native) for x in arrays]
    y, expected = f(*leaves), f(*same)
    assert y.dtype == native
    assert y.dtype.isnative
    np.testing.assert_array_equal(host(y), host(expected))
    for t, leaves_ in ((y, leaves), (expected, same)):
        t.backward(put(np.ones(t.shape, native)))
        assert all(x.grad.dtype == native and x.grad.shape == x.shape for x in leaves_)
    for x, z in zip(leaves, same, strict=True):
        np.testing.assert_array_equal(host(x.grad), host(z.grad))


UNARY: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Array], Array]]] = {
    "neg": (lambda x: -x, np.negative), "exp": (np.exp, np.exp), "tanh": (np.tanh, np.tanh),
    "log": (lambda x: (x + 3).log(), lambda x: np.log(x + 3)),
    "sqrt": (lambda x: (x + 3).sqrt(), lambda x: np.sqrt(x + 3)),
    "abs": (abs, np.abs), "relu": (Tensor.relu, lambda x: np.maximum(x, 0)),
    "sigmoid": (Tensor.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "sigmoid_range": (lambda x: ops.sigmoid_range(x, low=-1., high=2.),
                      lambda x: 3 / (1 + np.exp(-x)) - 1),
    "clip": (lambda x: x.clip(-1, 1), lambda x: np.clip(x, -1, 1)),
    "square": (lambda x: x ** 2, np.square), "power of 3": (lambda x: 3. ** x, lambda x: 3. ** x),
    "where": (lambda x: where(x > 0, x, 0.), lambda x: np.where(x > 0, x, 0)),
    "flatten": (Tensor.flatten, np.ravel), "T": (lambda x: x.T, np.transpose),
}
BINARY: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Array, Array], Array]]] = {
    "add": (lambda a, b: a + b,) * 2, "sub": (lambda a, b: a - b,) * 2,
    "mul": (lambda a, b: a * b,) * 2, "div": (lambda a, b: a / (b + 3),) * 2,
    "pow": (lambda a, b: (a + 3) ** b,) * 2, "maximum": (np.maximum,) * 2,
    "minimum": (np.minimum,) * 2}
REDUCED = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "var": np.var,
           "std": np.std}


@settings(max_examples=120, deadline=None)
@given(name=st.sampled_from(list(UNARY)), shape=SHAPES, dtype=DTYPES)
def test_functions_of_one_tensor(name: str, shape: tuple[int, ...], dtype: str) -> None:
    f, formula = UNARY[name]
    x = distinct(*shape)
    np.testing.assert_allclose(host(f(leaf(x))), formula(x), rtol=1e-12, strict=True)
    check_derivatives(f, x)
    check_type(f, dtype, x)


@settings(max_examples=120, deadline=None)
@given(name=st.sampled_from(list(BINARY)), dtype=DTYPES,
       shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3))
def test_functions_of_two_tensors(name: str, dtype: str, shapes: Any) -> None:
    f, formula = BINARY[name]
    a, b = distinct(*shapes.input_shapes[0]), distinct(*shapes.input_shapes[1], seed=1) / 2
    np.testing.assert_allclose(host(f(leaf(a), leaf(b))), formula(a, b), rtol=1e-12, strict=True)
    check_derivatives(f, a, b)
    check_type(f, dtype, a, b)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(list(REDUCED)), shape=SHAPES, dtype=DTYPES, keepdims=st.booleans(),
       data=st.data())
def test_reductions(name: str, shape: tuple[int, ...], dtype: str, keepdims: bool,
                    data: st.DataObject) -> None:
    n = len(shape)
    axis = data.draw(st.one_of(
        st.none(), *[st.integers(-n, n - 1), hnp.valid_tuple_axes(n)] if n else []))
    x = distinct(*shape)
    count = x.size // max(REDUCED["sum"](x, axis=axis).size, 1)
    assume(name == "sum" or (x.size and count > (name in ("var", "std"))))
    options = {"ddof": 1} if name in ("var", "std") else {}

    def f(x: Tensor) -> Tensor:
        return getattr(x, name)(axis, keepdims)
    np.testing.assert_allclose(host(f(leaf(x))), np.asarray(
        REDUCED[name](x, axis=axis, keepdims=keepdims, **options)), rtol=1e-11, strict=True)
    check_derivatives(f, x)
    if name not in ("var", "std"):
        check_type(f, dtype, x)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 2)])
def test_the_first_axis_counted_from_the_end(name: str, shape: tuple[int, ...]) -> None:
    x, w = distinct(*shape), leaf(distinct(*shape))
    z = leaf(x)
    for keepdims in (False, True):
        last, first = getattr(w, name)(-len(shape), keepdims), getattr(z, name)(0, keepdims)
        np.testing.assert_array_equal(host(last), host(first))
        (last * last).sum().backward()
        (first * first).sum().backward()
        np.testing.assert_array_equal(host(w.grad), host(z.grad))


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, data=st.data())
def test_shapes(shape: tuple[int, ...], data: st.DataObject) -> None:
    n, x = len(shape), distinct(*shape)
    order = [i - n * data.draw(st.booleans()) for i in data.draw(st.permutations(range(n)))]
    at = data.draw(st.integers(-n - 1, n))
    wide = (2, *shape)
    for f, formula in (
        (lambda t: t.transpose(*order) ** 2 if n else t ** 2, lambda a: a.transpose(order) ** 2),
        (lambda t: t.unsqueeze(at) ** 2, lambda a: np.expand_dims(a, at) ** 2),
        (lambda t: t.unsqueeze(at).squeeze(at) ** 2, lambda a: a ** 2),
        (lambda t: t.reshape(*shape[::-1]) ** 2 if n else t ** 2,
         lambda a: a.reshape(shape[::-1]) ** 2),
        (lambda t: t.broadcast_to(wide) ** 2, lambda a: np.broadcast_to(a, wide) ** 2),
    ):
        np.testing.assert_allclose(host(f(leaf(x))), formula(x), strict=True)
        check_derivatives(f, x)


@settings(max_examples=60, deadline=None)
@given(shape=hnp.array_shapes(max_dims=3, min_side=0, max_side=3), data=st.data())
def test_concatenation(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    lengths = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=3))
    arrays = []
    for i, length in enumerate(lengths):
        sides = list(shape)
        sides[axis] = length
        arrays.append(distinct(*sides, seed=i))
    np.testing.assert_array_equal(host(cat([leaf(x) for x in arrays], axis)),
                                  np.concatenate(arrays, axis))
    check_derivatives(lambda *xs: cat(xs, axis) ** 2, *arrays)


@settings(max_examples=80, deadline=None)
@given(shape=hnp.array_shapes(max_dims=3, max_side=3), data=st.data())
def test_indices(shape: tuple[int, ...], data: st.DataObject) -> None:
    basic = hnp.basic_indices(shape, allow_newaxis=True, max_dims=4)
    whole = hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3))
    index = data.draw(st.one_of(basic, whole))
    x = distinct(*shape)
    np.testing.assert_array_equal(host(leaf(x)[_put(index)]), x[index])
    check_derivatives(lambda t: t[_put(index)] ** 2, x)


def _put(index: Any) -> Any:
    return tuple(map(put, index)) if isinstance(index, tuple) else put(index)


@settings(max_examples=80, deadline=None)
@given(shapes=hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2,
                                                min_side=0, max_side=3), dtype=DTYPES)
def test_matrix_products(shapes: Any, dtype: str) -> None:
    a, b = (distinct(*shape, seed=i) for i, shape in enumerate(shapes.input_shapes))
    np.testing.assert_allclose(host(leaf(a) @ leaf(b)), a @ b, rtol=1e-12, atol=1e-14)
    check_derivatives(lambda x, z: x @ z, a, b)
    check_type(lambda x, z: x @ z, dtype, a, b)


# -------------------------------------------------------------------------- softmax, its logarithm

@settings(max_examples=60, deadline=None)
@given(shape=hnp.array_shapes(max_dims=3, min_side=1, max_side=3), data=st.data())
def test_softmax_along_any_axis(shape: tuple[int, ...], data: st.DataObject) -> None:
    """Rows of very different size: each has a maximum of its own."""
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = distinct(*shape)
    e = np.exp(x)
    np.testing.assert_allclose(host(losses.softmax(leaf(x), axis)),
                               e / e.sum(axis, keepdims=True), rtol=1e-12)
    check_derivatives(lambda t: losses.softmax(t, axis), x)
    other = 1000 * (np.arange(x.size).reshape(shape) - np.arange(x.size).reshape(shape) % shape[-1])
    np.testing.assert_allclose(host(losses.softmax(leaf(distinct(*shape) + other), -1)),
                               host(losses.softmax(leaf(distinct(*shape)), -1)), rtol=1e-8)


@pytest.mark.parametrize("size", [0., 1., 1e3, 1e6, -1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_of_rows_of_different_size(size: float, dtype: type) -> None:
    """A number added to a row changes nothing, though its exponential overflows."""
    x = np.array([[.5, -1, 2], [1, 0, -.25], [0, 0, 0]])
    offsets, targets = np.array([[0.], [1.], [-2.]]) * size, np.array([2, 0, 1])
    t = tensor((x + offsets).astype(dtype), requires_grad=True)
    losses_ = losses.cross_entropy(t, tensor(targets), reduction="none")
    losses_.sum().backward()
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    rounding = np.finfo(dtype).eps * max(abs(size), 1) * 8
    np.testing.assert_allclose(host(losses_), -np.log(p[range(3), targets]), atol=rounding)
    np.testing.assert_allclose(host(t.grad), p - np.eye(3)[targets], atol=rounding)


def test_cross_entropy_of_one_class_and_of_no_rows() -> None:
    one = leaf(np.array([[3.], [-1e5]]))
    losses.cross_entropy(one, tensor([0, 0]), reduction="sum").backward()
    assert host(one.grad).tolist() == [[0], [0]]
    none = leaf(np.zeros((0, 3)))
    losses.cross_entropy(none, tensor(np.zeros(0, np.int64)), reduction="sum").backward()
    assert none.grad.shape == (0, 3)
