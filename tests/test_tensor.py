"""What a tensor can do: operators, indexing, conversions, and how it prints."""
import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from host import assert_same, host, put
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minifast import DeviceError, ShapeError, Tensor, apply, cat, gradcheck, stack, where
from minifast.autograd import primitive, tensor

Array = np.ndarray
inf, nan = float("inf"), float("nan")


def grid(*shape: int) -> Array:
    return np.random.default_rng(5).normal(size=shape)


# --------------------------------------------------------------------------------------- operators

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "**": operator.pow, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge, "==": operator.eq, "!=": operator.ne}


@pytest.mark.parametrize("other", [2, 2.5, np.float32(2), np.float64(1), np.int64(2),
                                   np.array([1., 2., 3.], np.float32), np.array(2.),
                                   np.array([[1., 2., 3.], [3., 2., 1.]])], ids=repr)
@pytest.mark.parametrize("symbol", BINARY)
def test_operators_from_both_sides(symbol: str, other: Any) -> None:
    """NumPy computes some of these in float64: one rounding to float32, 2**-24, apart."""
    t, do, there = tensor([1., 2., 3.]), BINARY[symbol], put(other)
    here = host(t)
    for result, expected in ((do(t, there), do(here, other)), (do(there, t), do(other, here))):
        assert type(result) is Tensor
        np.testing.assert_allclose(host(result), expected, rtol=2**-24)


@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "**"])
@pytest.mark.parametrize("other", [2., np.float32(2), np.array([1., 2., 3.])], ids=repr)
def test_reflected_operators_have_gradients(symbol: str, other: Any) -> None:
    do, there = BINARY[symbol], put(other)
    assert gradcheck(lambda t: do(t, there), tensor([.5, 1.5, 2.]))
    assert gradcheck(lambda t: do(there, t), tensor([.5, 1.5, 2.]))


def test_matrix_products_from_both_sides() -> None:
    a, b = grid(2, 3), grid(3, 2)
    x, t = put(a), tensor(b)
    for product in (tensor(a) @ t, x @ t, tensor(a) @ t.data, np.matmul(x, t)):
        assert type(product) is Tensor
        assert_same(product, a @ b)
    assert gradcheck(lambda t: x @ t, t)


def test_unary_operators() -> None:
    t = tensor([1., -2.])
    assert (-t).tolist() == [-1, 2]
    assert abs(t).tolist() == t.abs().tolist() == [1, 2]
    assert (~tensor([True, False])).tolist() == [False, True]


def test_masks_join() -> None:
    t = tensor([1., 2., 3.])
    assert ((t > 1) & (t < 3)).tolist() == [False, True, False]
    assert ((t < 2) | (t > 2)).tolist() == [True, False, True]
    assert (put(np.array([True, True, False])) & (t > 1)).tolist() == [False, True, False]
    assert t[(t > 1) & (t.data < 3)].tolist() == [2]


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "tanh", "absolute", "negative"])
def test_numpys_functions_are_differentiated(name: str) -> None:
    function = getattr(np, name)
    x = tensor([.5, 1., 2.])
    result = function(x)
    assert type(result) is Tensor
    assert_same(result, function(host(x)))
    assert gradcheck(function, x)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "power", "maximum",
                                  "minimum"])
def test_numpys_functions_of_two(name: str) -> None:
    function = getattr(np, name)
    a, b = np.array([.5, 1., 2.]), np.array([1., 2., .5])
    x, y = tensor(a), tensor(b)
    for result in (function(x, put(b)), function(put(a), y), function(x, y)):
        assert type(result) is Tensor
        assert_same(result, function(a, b))
    assert gradcheck(function, x, y)


def test_numpys_other_functions_work_where_no_gradient_is_lost() -> None:
    plain, learning = tensor([0., nan]), tensor([0., 1.], requires_grad=True)
    assert np.isnan(plain).tolist() == [False, True]
    assert np.isfinite(learning).tolist() == [True, True]
    assert np.sin(tensor([0.])).tolist() == [0]
    with pytest.raises(TypeError, match=r"np\.sin has no derivative rule.*detach"):
        np.sin(learning)


@pytest.mark.parametrize("call", [
    lambda t: np.add(t, 1, out=np.zeros(3)), lambda t: np.add.reduce(t), lambda t: np.modf(t)],
    ids=["out=", "reduce", "two results"])
def test_what_numpy_cannot_do_with_a_tensor_is_refused(call: Callable[[Tensor], Any]) -> None:
    with pytest.raises(TypeError, match=r"takes tensors only in plain calls.*tensor\.numpy"):
        call(tensor([1., 2., 3.]))


@pytest.mark.parametrize(("name", "function"), [
    ("exp", np.exp), ("log", np.log), ("sqrt", np.sqrt), ("tanh", np.tanh), ("abs", np.abs),
    ("sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("relu", lambda x: np.maximum(x, 0)),
    ("flatten", np.ravel), ("t", np.transpose), ("argmax", np.argmax), ("argmin", np.argmin),
    ("argsort", np.argsort), ("clone", np.copy), ("detach", np.copy)])
def test_methods_are_numpys(name: str, function: Callable[[Array], Array]) -> None:
    x = np.abs(grid(3, 4))
    np.testing.assert_allclose(host(getattr(tensor(x), name)()), function(x), rtol=1e-15)


def test_clip() -> None:
    t = tensor([-2., 0., 2.])
    assert t.clip(-1, 1).tolist() == [-1, 0, 1]
    assert t.clip(high=1).tolist() == [-2, 0, 1]
    assert t.clip(-1).tolist() == [-1, 0, 2]


# -------------------------------------------------------------------------------------- reductions

@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var", "std"])
def test_reductions_are_numpys(name: str, keepdims: bool, axis: Any) -> None:
    """var and std divide by n - 1, as torch's do; a sum in another order may differ in one bit."""
    x = grid(2, 3, 4)
    options = {"correction": 1} if name in ("var", "std") else {}
    expected = getattr(np, name)(x, axis=axis, keepdims=keepdims, **options)
    result = getattr(tensor(x), name)(axis, keepdims)
    assert result.shape == expected.shape
    np.testing.assert_allclose(host(result), expected, rtol=1e-13)
    assert gradcheck(lambda t: getattr(t, name)(axis, keepdims), tensor(x))


def test_variance_as_torch_has_it() -> None:
    """Recorded from torch 2.13; two or three float32 roundings of 6e-8 apart."""
    t = tensor([1., 2., 4.])
    assert t.var().item() == pytest.approx(2.3333332538604736, rel=2e-7)
    assert t.std().item() == pytest.approx(1.5275251865386963, rel=2e-7)
    assert t.var(correction=0).item() == pytest.approx(1.5555555820465088, rel=2e-7)
    assert np.isnan(tensor([1.]).var().item())
    assert tensor([1.]).var(correction=0).item() == 0


def test_any_and_all() -> None:
    t = tensor([0., 1.])
    assert (bool((t > 0).any()), bool((t > 0).all())) == (True, False)


# ------------------------------------------------------------------------------------------ shapes

def test_shapes() -> None:
    t = tensor(grid(2, 3, 4))
    assert (t.shape, t.size(), t.size(1), t.size(-1)) == ((2, 3, 4), (2, 3, 4), 3, 4)
    assert (t.ndim, t.numel(), len(t)) == (3, 24, 2)
    assert t.reshape(6, 4).shape == t.reshape((6, 4)).shape == t.reshape([6, -1]).shape == (6, 4)
    assert t.reshape(-1).shape == t.reshape(np.int64(24)).shape == t.flatten().shape == (24,)
    assert t.unsqueeze(0).shape == (1, 2, 3, 4)
    assert t.unsqueeze(-1).shape == (2, 3, 4, 1)
    assert t.unsqueeze(1).squeeze().shape == t.unsqueeze(1).squeeze(1).shape == (2, 3, 4)
    assert t.unsqueeze(1).squeeze(0).shape == (2, 1, 3, 4)
    assert t.transpose().shape == t.T.shape == (4, 3, 2)
    assert t.transpose(1, 0, 2).shape == t.transpose((1, 0, 2)).shape == (3, 2, 4)
    assert t.broadcast_to((5, 2, 3, 4)).shape == (5, 2, 3, 4)


def test_transposing() -> None:
    x = grid(2, 3)
    np.testing.assert_array_equal(host(tensor(x).t()), x.T)
    assert tensor([1., 2.]).t().tolist() == [1, 2]
    assert gradcheck(lambda t: t.t(), tensor(x))
    with pytest.raises(ShapeError, match=r"t\(\) is for matrices; this tensor has shape \(1, 1, 1"):
        tensor([[[1.]]]).t()


@pytest.mark.parametrize("change", [lambda t: t.unsqueeze(2), lambda t: t.unsqueeze(-3),
                                    lambda t: t.squeeze(1), lambda t: t.squeeze(-2)])
def test_an_axis_that_is_not_there_is_refused(change: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ShapeError, match=r"axis -?[123] is out of range; it must lie in"):
        change(tensor([1.]))


# ---------------------------------------------------------------------------------------- indexing

INDICES: dict[str, Any] = {
    "int": 1, "negative": -1, "numpy int": np.int64(2), "slice": slice(1, None),
    "step": slice(None, None, -2), "list": [0, 2], "list of duplicates": [2, 0, 2, 2],
    "array": np.array([1, 1]), "negative array": np.array([-1, -1, 0]),
    "table": np.array([[0, 1], [1, 2]]), "mask": np.array([True, False, True]),
    "mask list": [True, False, True], "matrix mask": grid(3, 4) > 0, "tensor": tensor([2, 2, 1]),
    "0-d tensor": tensor(1), "tensor mask": tensor([False, True, True]), "None": None, "...": ...,
    "pair": (1, 2), "int and slice": (slice(1, 3), 0), "rows and columns": ([0, 0, 1], [3, 3, 0]),
    "tensors": (tensor([0, 0]), tensor([1, 1])), "new axis last": (..., None),
    "all at once": (None, ..., [1, 1]), "empty list": [], "empty slice": slice(3, 3),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_indexing_is_numpys_and_sums_its_gradients(index: Any) -> None:
    x = tensor(grid(3, 4), requires_grad=True)
    plain = tuple(map(plain_index, index)) if isinstance(index, tuple) else plain_index(index)
    y = x[tuple(map(put, index)) if isinstance(index, tuple) else put(index)]
    np.testing.assert_array_equal(host(y), host(x)[plain], strict=True)
    g = np.arange(1., 1 + y.numel()).reshape(y.shape)
    y.backward(put(g))
    places = np.arange(12).reshape(3, 4)[plain]
    expected = np.bincount(np.ravel(places), np.ravel(g), minlength=12).reshape(3, 4)
    np.testing.assert_array_equal(host(x.grad), expected)


def plain_index(index: Any) -> Any:
    """The index for a NumPy array."""
    if isinstance(index, list) and not index:
        return np.array([], int)
    return index.data if isinstance(index, Tensor) else index


@pytest.mark.parametrize("index", [np.array([2, 0, 2]), np.array([True, False, True])], ids=repr)
def test_an_index_may_come_from_the_host(index: Array) -> None:
    """It is moved to the device; the gradient still sums where a place comes twice."""
    x = tensor(grid(3, 4), requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(host(y), host(x)[index])
    y.sum().backward()
    expected = np.bincount(np.arange(3)[index], minlength=3)
    np.testing.assert_array_equal(host(x.grad), np.repeat(expected, 4).reshape(3, 4))


def test_duplicates_in_a_list_count_twice() -> None:
    x = tensor([1., 2.], requires_grad=True)
    x[[0, 0, 1]].sum().backward()
    assert x.grad.tolist() == [2, 1]


@pytest.mark.parametrize(("index", "message"), [
    (5, r"getitem: inputs of shapes \(3,\), index=5: [iI]ndex 5 is out of bounds"),
    ((0, 0), "too many indices"), (1.5, "only integers"), ("a", "only integers")])
def test_wrong_indices_are_named(index: Any, message: str) -> None:
    with pytest.raises(IndexError, match=message):
        tensor([1., 2., 3.])[index]


def test_iteration_and_unpacking() -> None:
    rows = tensor([[1., 2.], [3., 4.], [5., 6.]], requires_grad=True)
    a, b, c = rows
    assert [r.tolist() for r in (a, b, c)] == [[1, 2], [3, 4], [5, 6]]
    first, second = rows.t()
    assert (first.tolist(), second.tolist()) == ([1, 3, 5], [2, 4, 6])
    assert [x.item() for x in first] == [1, 3, 5]
    assert list(zip("ab", tensor([1, 2]), strict=True))[1][1].item() == 2
    (a * c).sum().backward()
    assert rows.grad.tolist() == [[5, 6], [0, 0], [1, 2]]
    for refused in (len, iter, list):
        with pytest.raises(TypeError, match=r"a tensor of shape \(\) has no length"):
            refused(tensor(1.))


# --------------------------------------------------------------------------------------------- pca

def test_pca_gives_fastais_numbers_up_to_sign() -> None:
    x = tensor(np.arange(12.).reshape(4, 3) ** 2)
    expected = np.array([[71.2360, 2.8598], [44.3284, -1.9341], [-13.4538, -2.3969],
                         [-102.1107, 1.4712]])
    scores = host(x.pca(2))
    np.testing.assert_allclose(np.abs(scores), np.abs(expected), atol=5e-5)
    signs = np.sign(scores * expected)
    assert (signs == signs[0]).all()


@settings(deadline=None)
@given(x=hnp.arrays(np.float64, st.tuples(st.integers(2, 8), st.integers(1, 8)),
                    elements=st.floats(-5, 5, width=16)), data=st.data())
def test_pca_keeps_what_can_be_kept(x: Array, data: st.DataObject) -> None:
    """Centred, uncorrelated, largest first, and its squares sum to the largest singular values."""
    k = data.draw(st.integers(1, min(x.shape)))
    scores = host(tensor(x).pca(k))
    values = np.linalg.svd(x - x.mean(0), compute_uv=False)[:k]
    assert scores.shape == (len(x), k)
    np.testing.assert_allclose(scores.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(scores.T @ scores, np.diag(values ** 2), atol=1e-9)


def test_pca_of_float32_is_float32_and_bad_sizes_are_refused() -> None:
    x = tensor(grid(5, 3), dtype=np.float32)
    assert x.pca().shape == (5, 2)
    assert x.pca().dtype == np.float32
    for bad in (0, 4, -1):
        with pytest.raises(ShapeError, match=rf"pca\({bad}\).*\(5, 3\)"):
            x.pca(bad)
    with pytest.raises(ShapeError, match="needs a matrix"):
        x[0].pca(1)


# ------------------------------------------------------------------------------ numbers and arrays

def test_tensors_of_one_number_are_ordered_like_numbers() -> None:
    numbers = [tensor(x) for x in (3., -1., 2.)]
    assert [t.item() for t in sorted(numbers)] == [-1, 2, 3]
    assert max(numbers).item() == 3
    named = [(t, name) for t, name in zip(numbers, "abc", strict=True)]
    assert [n for _, n in sorted(named, key=operator.itemgetter(0), reverse=True)] == ["a", "c",
                                                                                       "b"]
    assert sorted(tensor([3., 1., 2.])) == [1, 2, 3]


def test_conversion_to_python() -> None:
    t = tensor(2.75)
    assert (float(t), int(t), t.item()) == (2.75, 2, 2.75)
    assert f"{t:.1f}" == "2.8"
    assert f"{t:>8.2f}" == "    2.75"
    assert f"{t}" == "tensor(2.7500)"
    assert f"{tensor([1., 2.]):.1f}" == "tensor([1., 2.])"
    assert tensor([[1, 2]]).tolist() == [[1, 2]]
    assert type(tensor([1.])[0].item()) is float
    assert float(tensor([[1.]])) == 1
    assert "abc"[tensor(1)] == "b"
    assert list(range(tensor(3))) == [0, 1, 2]
    with pytest.raises(TypeError, match="float"):
        "abc"[tensor(1.)]
    for convert in (float, int, Tensor.item):
        with pytest.raises(ShapeError, match=r"a tensor of shape \(2,\) is not one number"):
            convert(tensor([1., 2.]))


def test_truth() -> None:
    assert bool(tensor(1.))
    assert not tensor([0.])
    assert tensor([1.]) == tensor([1.])
    for several in (tensor([1., 2.]), tensor([])):
        with pytest.raises(ValueError, match=r"not one truth value; use t\.any\(\)"):
            bool(several)


def test_conversion_to_numpy() -> None:
    t = tensor([1., 2.])
    for array in (np.asarray(t), np.array(t), t.numpy()):
        assert type(array) is np.ndarray
        assert (array.tolist(), array.dtype) == ([1, 2], np.float32)
    assert np.asarray(t, np.float64).dtype == np.float64
    assert np.concatenate([t, t]).tolist() == [1, 2, 1, 2]
    assert np.float32(tensor(2.)) == 2


@pytest.mark.cpu_only("only there is a tensor's array a NumPy array, so that no copy is needed")
def test_conversion_to_numpy_needs_no_copy() -> None:
    t = tensor([1., 2.])
    assert np.asarray(t) is t.numpy() is t.data
    assert np.array(t) is not t.data
    assert np.asarray(t, copy=False) is t.data
    with pytest.raises(ValueError, match="copy"):
        np.asarray(t, np.float64, copy=False)


def test_a_learning_tensor_refuses_to_become_an_array() -> None:
    w = tensor([1.], requires_grad=True)
    for t in (w, w * 2):
        with pytest.raises(TypeError, match="lose this tensor's gradient"):
            np.asarray(t)
        assert np.asarray(t.detach()).shape == (1,)


def test_tensors_are_their_own_keys() -> None:
    a, b = tensor([1., 2.]), tensor([1., 2.])
    assert len({a: 1, b: 2}) == 2
    assert (a == b).tolist() == [True, True]


def test_copies() -> None:
    w = tensor([1., 2.], requires_grad=True)
    assert w.detach().data is w.data
    assert not w.detach().requires_grad
    assert w.clone().data is not w.data
    for twin in (copy.deepcopy(w), pickle.loads(pickle.dumps(w))):
        assert twin.tolist() == [1, 2]
        assert twin.requires_grad
        assert twin.data is not w.data
    (w.clone() * 3).sum().backward()
    assert w.grad.tolist() == [3, 3]


# ---------------------------------------------------------------------------------- making tensors

@pytest.mark.parametrize(("data", "dtype"), [
    (1.5, np.float32), (3, np.int64), (True, np.bool_), ([1, 2.5], np.float32),
    ([[1, 2]], np.int64), ([True, 2], np.int64), ([], np.float32), ((1., 2.), np.float32),
    (np.zeros(2), np.float64), (np.zeros(2, np.float16), np.float16),
    (np.array([1], np.int32), np.int32), (np.float64(1.), np.float64),
    ([np.float64(1.)], np.float32), (tensor([1.]), np.float32), ([tensor(1.), 2.], np.float32),
    ([tensor([1, 2]), tensor([3, 4])], np.int64), (range(3), np.int64)], ids=repr)
def test_number_types_of_new_tensors(data: Any, dtype: type) -> None:
    assert tensor(data).dtype == dtype
    assert tensor(data, np.float64).dtype == np.float64


def test_tensor_copies() -> None:
    array = np.zeros(2)
    for t in (tensor(array), tensor(tensor(array)), tensor(array, np.float64)):
        t.data[0] = 7
    assert array.tolist() == [0, 0]
    there = put(array)
    assert Tensor(there).data is there
    assert Tensor(array).data is array
    assert type(Tensor(np.float64(2)).data) is np.ndarray
    assert type(Tensor(2.).data) is np.ndarray


def test_only_floats_have_gradients() -> None:
    assert tensor([1.], requires_grad=True).requires_grad
    for data in ([1], [True]):
        with pytest.raises(TypeError, match="only floats have gradients; this tensor holds"):
            tensor(data, requires_grad=True)


def test_changing_the_number_type() -> None:
    t = tensor([1.7, -1.7])
    assert t.float() is t
    assert t.long().tolist() == [1, -1]
    assert t.long().long().dtype == np.int64
    assert tensor([1, 2]).float().dtype == np.float32
    assert t.astype(np.float64).dtype == np.float64


def test_devices(device: str) -> None:
    t = tensor([1.])
    assert t.device == device
    assert t.to(device) is t
    assert (t.cpu().device, t.cpu().tolist()) == ("cpu", [1])
    assert (t.cpu() is t) == (device == "cpu")
    assert tensor([1.], device="cpu").to(device).device == device
    assert tensor(t.cpu()).device == "cpu"  # where the given one lies
    with pytest.raises(DeviceError, match="unknown device 'tpu'; known devices: cpu, cuda"):
        t.to("tpu")


def test_cat_and_stack() -> None:
    a, b = grid(2, 3), grid(2, 3) + 1
    for axis in (0, 1, -1):
        np.testing.assert_array_equal(host(cat([tensor(a), tensor(b)], axis)),
                                      np.concatenate([a, b], axis))
        assert gradcheck(lambda *ts, axis=axis: cat(ts, axis), tensor(a), tensor(b))
    for axis in (0, 1, 2, -1):
        np.testing.assert_array_equal(host(stack([tensor(a), tensor(b)], axis)),
                                      np.stack([a, b], axis))
        assert gradcheck(lambda *ts, axis=axis: stack(ts, axis), tensor(a), tensor(b))
    with pytest.raises(ShapeError, match=r"concatenate: shapes \(2, 3\) and \(1, 2\)"):
        cat([tensor(a), tensor([[1., 2.]])])


def test_where() -> None:
    a, b = tensor([1., 2.]), tensor([3., 4.])
    assert where(a > 1, a, b).tolist() == [3, 2]
    assert where([True, False], a, 0).tolist() == [1, 0]
    assert where(a > 1, 1., 0.).dtype == np.float32
    assert gradcheck(lambda x, y: where(x > 1, x * 2, y), a, b)


def test_a_primitive_of_ones_own() -> None:
    @primitive(lambda g, y, x, by: g * by, lambda g, y, x, by: (g * x).sum())
    def stretch_(x: Array, by: Array) -> Array:
        return x * by

    assert stretch_.name == "stretch"
    assert gradcheck(stretch_, tensor([1., 2.]), tensor(3.))
    assert apply(stretch_, put(np.ones(2)), 2).tolist() == [2, 2]


# --------------------------------------------------------------------------------- what goes wrong

@pytest.mark.parametrize(("do", "message"), [
    (lambda: tensor([1., 2.]) + tensor([1., 2., 3.]), r"add: shapes \(2,\) and \(3,\) do not fit"),
    (lambda: tensor([[1., 2.]]) @ tensor([[1., 2.]]), r"matmul: shapes \(1, 2\) and \(1, 2\)"),
    (lambda: tensor([1., 2.]).reshape(3), r"reshape: shapes \(2,\) .*shape=\(3,\)"),
    (lambda: tensor([1., 2.]).sum(1), r"sum: shapes \(2,\) .*axis=1"),
    (lambda: tensor([1., 2.]).broadcast_to((3,)), r"broadcast_to: shapes \(2,\)"),
    (lambda: tensor([1., 2.]).transpose(1, 0), r"transpose: shapes \(2,\) .*axes=\(1, 0\)"),
    (lambda: tensor([]).max(), r"max: shapes \(0,\)"),
], ids=["add", "matmul", "reshape", "axis", "broadcast", "axes", "nothing"])
def test_shapes_that_do_not_fit_are_named(do: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        do()


@pytest.mark.parametrize("other", ["a", None, {}, object()], ids=["text", "None", "dict", "object"])
def test_what_is_no_number_is_refused(other: Any) -> None:
    with pytest.raises(TypeError, match=r"mul: inputs of shapes \(1,\)"):
        tensor([1.]) * other


@pytest.mark.parametrize(("symbol", "name"), [("<", "lt"), ("<=", "le"), (">", "gt"),
                                              (">=", "ge"), ("==", "eq"), ("!=", "ne")])
def test_comparisons_name_shapes_that_do_not_fit(symbol: str, name: str) -> None:
    with pytest.raises(ShapeError, match=rf"^{name}: shapes \(2,\) and \(3,\) do not fit"):
        BINARY[symbol](tensor([1., 2.]), tensor([1., 2., 3.]))


# -------------------------------------------------------------------------------------------- repr

# Recorded from torch 2.13 (its "torch.float64" reads float64 here).
PRINTED: list[tuple[Any, str]] = [
    (-.36612, "tensor(-0.3661)"),
    (3., "tensor(3.)"),
    (5, "tensor(5)"),
    (True, "tensor(True)"),
    (nan, "tensor(nan)"),
    (1e-5, "tensor(1.0000e-05)"),
    (1e8, "tensor(100000000.)"),
    (1e9, "tensor(1.0000e+09)"),
    (123456.789, "tensor(123456.7891)"),
    ([1., 2.5], "tensor([1.0000, 2.5000])"),
    ([1., 2., 3.], "tensor([1., 2., 3.])"),
    ([-1., 2.5, 10.25], "tensor([-1.0000,  2.5000, 10.2500])"),
    ([1.5, -1500.], "tensor([    1.5000, -1500.0000])"),
    ([.1, 123.456], "tensor([1.0000e-01, 1.2346e+02])"),
    ([.1, -1e-7], "tensor([ 1.0000e-01, -1.0000e-07])"),
    ([.001, .001], "tensor([0.0010, 0.0010])"),
    ([1e7, 1.], "tensor([1.0000e+07, 1.0000e+00])"),
    ([1e5, 2e5], "tensor([100000., 200000.])"),
    ([-0., 1.], "tensor([-0., 1.])"),
    ([inf, -1.5], "tensor([    inf, -1.5000])"),
    ([-inf, 2., nan], "tensor([-inf, 2., nan])"),
    ([1, -2, 300], "tensor([  1,  -2, 300])"),
    ([True, False], "tensor([ True, False])"),
    ([], "tensor([])"),
    ([[]], "tensor([], size=(1, 0))"),
    ([[-1.5, 2.], [3., 40.25]], "tensor([[-1.5000,  2.0000],\n        [ 3.0000, 40.2500]])"),
    ([[[1.], [2.]], [[3.], [4.]]],
     "tensor([[[1.],\n         [2.]],\n\n        [[3.],\n         [4.]]])"),
    ([0.] * 26, "tensor([" + "0., " * 23 + "0.,\n        0., 0.])"),
    ([.12345] * 10, "tensor([" + "0.1235, " * 8 + "0.1235,\n        0.1235])"),
    (range(1200), "tensor([   0,    1,    2,  ..., 1197, 1198, 1199])"),
    ([i / 7 for i in range(1200)],
     "tensor([0.0000e+00, 1.4286e-01, 2.8571e-01,  ..., 1.7100e+02, 1.7114e+02,\n"
     "        1.7129e+02])"),
    ([[i * 10. + j for j in range(60)] for i in range(30)], """\
tensor([[  0.,   1.,   2.,  ...,  57.,  58.,  59.],
        [ 10.,  11.,  12.,  ...,  67.,  68.,  69.],
        [ 20.,  21.,  22.,  ...,  77.,  78.,  79.],
        ...,
        [270., 271., 272.,  ..., 327., 328., 329.],
        [280., 281., 282.,  ..., 337., 338., 339.],
        [290., 291., 292.,  ..., 347., 348., 349.]])"""),
]


@pytest.mark.parametrize(("data", "text"), PRINTED, ids=[text[:40] for _, text in PRINTED])
def test_prints_as_torch(data: Any, text: str) -> None:
    assert repr(tensor(data)) == text


def test_prints_what_is_unusual() -> None:
    assert repr(tensor(np.array([1., 2.5]))) == "tensor([1.0000, 2.5000], dtype=float64)"
    assert repr(tensor([0, 1], np.int32)) == "tensor([0, 1], dtype=int32)"
    assert repr(tensor([], np.int64)) == "tensor([], dtype=int64)"
    w = tensor([1., 2.5], requires_grad=True)
    assert repr(w) == "tensor([1.0000, 2.5000], requires_grad=True)"
    assert repr(w * 2) == "tensor([2., 5.], grad_fn=<mul>)"
    assert repr(tensor([.12345] * 7, requires_grad=True)) == \
        "tensor([" + "0.1235, " * 6 + "0.1235],\n       requires_grad=True)"
    assert repr(tensor([.12345] * 6, requires_grad=True)) == \
        "tensor([" + "0.1235, " * 5 + "0.1235], requires_grad=True)"
