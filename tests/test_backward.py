"""The walk back: what is visited, what is kept, what is let go, and what is refused."""
import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from host import put

from minifast import (
    DeviceError,
    GraphReleasedError,
    Primitive,
    ShapeError,
    Tensor,
    apply,
    cat,
    no_grad,
)
from minifast import backend as backends
from minifast.autograd import ops, primitive, tensor
from minifast.autograd.tape import Node
from minifast.backend import Backend, backend_of, get_backend, register_backend

Array = np.ndarray


@pytest.fixture
def visited(monkeypatch: pytest.MonkeyPatch) -> list[Node]:
    """Every node that a backward asks for gradients, in order."""
    seen: list[Node] = []
    original = Node.gradients

    def counted(node: Node, *args: Any) -> Iterator[Any]:
        seen.append(node)
        return original(node, *args)
    monkeypatch.setattr(Node, "gradients", counted)
    return seen


@pytest.fixture
def shallow() -> Iterator[None]:
    """Room for forty more calls on the stack: a recursive walk would not get far."""
    before, depth, frame = sys.getrecursionlimit(), 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(depth + 40)
    yield
    sys.setrecursionlimit(before)


def leaf(*numbers: float) -> Tensor:
    return tensor(list(numbers), requires_grad=True)


# -------------------------------------------------------------------------------- length and shape

@pytest.mark.parametrize("length", [1, 100, 20_000])
def test_a_chain_is_walked_once_without_recursion(
    length: int, visited: list[Node], shallow: None
) -> None:
    x = y = leaf(1.)
    for _ in range(length):
        y = y + 1
    y.backward()
    assert len(visited) == len(set(visited)) == length
    assert x.grad.tolist() == [1]


@pytest.mark.parametrize("diamonds", [1, 10, 1000])
def test_a_reused_tensor_is_visited_once(
    diamonds: int, visited: list[Node], shallow: None
) -> None:
    """Without care the paths double at each diamond: 2**1000 of them."""
    x = y = leaf(3.)
    for _ in range(diamonds):
        y = y * .5 + y * .5
    y.backward()
    assert len(visited) == 3 * diamonds
    assert x.grad.tolist() == [1]


def test_long_ways_and_short_ways_meet_in_order(visited: list[Node]) -> None:
    """A node waits for all that was made of it, however early a short way reaches it."""
    x = leaf(2.)
    h = x * 3
    y = h
    for _ in range(5):
        y = y * 1
    (y + h).sum().backward()
    assert len(visited) == 8
    assert [n.position for n in visited] == sorted((n.position for n in visited), reverse=True)
    assert x.grad.tolist() == [6]


def test_a_long_graph_that_is_never_walked_is_freed(shallow: None) -> None:
    y = leaf(1.)
    for _ in range(20_000):
        y = y + 1
    ref = weakref.ref(y)
    del y
    assert ref() is None


def test_only_what_leads_to_a_leaf_is_visited(visited: list[Node]) -> None:
    constant = tensor([1., 2.])
    for _ in range(10):
        constant = constant.exp().log()
    assert constant.node is None
    (leaf(1., 1.) * constant).sum().backward()
    assert [n.op.name for n in visited] == ["sum", "mul"]


# ------------------------------------------------------------------------------ rules that are run

def test_a_rule_runs_only_for_an_input_that_needs_it() -> None:
    calls = []

    @primitive(lambda g, y, a, b: calls.append("a") or g * b,
               lambda g, y, a, b: calls.append("b") or g * a)
    def product(a: Array, b: Array) -> Array:
        return a * b

    for left, right, expected in ((True, False, ["a"]), (False, True, ["b"]),
                                  (True, True, ["a", "b"])):
        calls.clear()
        a, b = tensor([2.], requires_grad=left), tensor([3.], requires_grad=right)
        apply(product, a, b).backward()
        assert calls == expected
        assert (a.grad is not None, b.grad is not None) == (left, right)


def test_a_leaf_frozen_after_the_forward_pass_gets_nothing() -> None:
    a, b = leaf(2.), leaf(3.)
    y = a * b
    a.requires_grad_(False)
    y.backward()
    assert a.grad is None
    assert b.grad.tolist() == [2]


def test_each_option_of_concatenation_runs_its_own_piece() -> None:
    a, b, c = leaf(1.), tensor([2.]), leaf(3.)
    (cat([a, b, c]) * tensor([1., 2., 3.])).sum().backward()
    assert (a.grad.tolist(), b.grad, c.grad.tolist()) == ([1], None, [3])


# ------------------------------------------------------------------------------------ accumulation

def test_gradients_add_up_until_they_are_forgotten() -> None:
    x = leaf(1., 2.)
    for times in (1, 2, 3):
        (x * 2).sum().backward()
        assert x.grad.tolist() == [2 * times] * 2
    x.zero_grad()
    assert x.grad is None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_gradients_of_a_lookup_add_up_too() -> None:
    table = tensor(np.ones((3, 2), np.float32), requires_grad=True)
    for times in (1, 2):
        apply(ops.lookup, table, tensor([0, 2, 0])).sum().backward()
        assert table.grad.tolist() == [[2 * times] * 2, [0, 0], [times] * 2]
    (apply(ops.lookup, table * 1, tensor([1])) + table[0]).sum().backward()
    assert table.grad.tolist() == [[5, 5], [1, 1], [2, 2]]


def test_a_leaf_is_its_own_root() -> None:
    x = leaf(2.)
    x.backward()
    x.backward([3.])
    assert x.grad.tolist() == [4]


def test_two_leaves_never_share_a_gradient() -> None:
    """The rules of + hand on one and the same array; clipping one leaf must not change another."""
    a, b = leaf(1., 2.), leaf(3., 4.)
    seed = put(np.ones(2, np.float32))
    (a + b).backward(seed)
    arrays = [seed, a.data, b.data, a.grad, b.grad]
    assert not any(np.shares_memory(x, y) for i, x in enumerate(arrays) for y in arrays[:i])
    a.grad *= 100
    assert b.grad.tolist() == [1, 1]
    (a + b).backward(seed)
    assert (a.grad.tolist(), b.grad.tolist(), seed.tolist()) == ([101, 101], [2, 2], [1, 1])


def test_views_do_not_leak_into_gradients() -> None:
    a, b = leaf(1., 2.), leaf(3., 4.)
    (a.reshape(2, 1).t().broadcast_to((1, 2)) + b.unsqueeze(0)).sum().backward()
    assert not np.shares_memory(a.grad, b.grad)
    a.grad += 1
    assert b.grad.tolist() == [1, 1]


def test_a_gradient_is_a_constant() -> None:
    x = leaf(3.)
    (x * x).sum().backward()
    assert type(x.grad) is type(x.data)


# --------------------------------------------------------------------------------------- releasing

def test_a_second_backward_is_refused() -> None:
    x = leaf(1., 2.)
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(GraphReleasedError, match=r"behind 'sum' was released.*retain_graph=True"):
        loss.backward()
    assert x.grad.tolist() == [2, 4]
    assert issubclass(GraphReleasedError, RuntimeError)


def test_a_part_that_was_released_is_refused_by_name() -> None:
    x = leaf(1., 2.)
    h = x.exp()
    h.sum().backward()
    with pytest.raises(GraphReleasedError, match="'exp'"):
        (h * 2).sum().backward()


def test_retain_graph_allows_another() -> None:
    x = leaf(1., 2.)
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    loss.backward(retain_graph=True)
    loss.backward()
    assert x.grad.tolist() == [6, 12]
    with pytest.raises(GraphReleasedError):
        loss.backward()


def test_backward_lets_go_of_all_arrays() -> None:
    x = leaf(1., 2.)
    h = x.exp()
    loss = (h * h).sum()
    node, kept = loss.node, [weakref.ref(h), weakref.ref(h.data)]
    del h
    gc.disable()                                       # nothing may wait for the collector
    try:
        assert all(ref() is not None for ref in kept)
        loss.backward()
        assert [ref() for ref in kept] == [None, None]
    finally:
        gc.enable()
    assert (node.inputs, node.arrays, node.output) == (None, [], None)


def test_a_graph_without_a_backward_has_no_cycles() -> None:
    x = leaf(1., 2.)
    h = x.exp()
    loss = (h * h).sum()
    ref = weakref.ref(h)
    gc.disable()
    try:
        del h, loss
        assert ref() is None
    finally:
        gc.enable()


# ----------------------------------------------------------------------------------- not recording

def test_constants_leave_no_graph() -> None:
    y = (tensor([1., 2.]) * 2 + put(np.ones(2))).sum()
    assert y.node is None
    assert not y.requires_grad
    with pytest.raises(RuntimeError, match="does not depend on one that requires a gradient"):
        y.backward()


def test_no_grad_as_a_context() -> None:
    x = leaf(1.)
    with no_grad():
        y = x * 2
    assert (y.node, y.requires_grad) == (None, False)
    assert (x * 2).requires_grad


def test_no_grad_nested_and_reused() -> None:
    x, off = leaf(1.), no_grad()
    with off:
        with off, no_grad():
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_ends_with_an_exception() -> None:
    x = leaf(1.)
    with pytest.raises(KeyError), no_grad(), no_grad():
        raise KeyError
    assert (x * 2).requires_grad


def test_no_grad_as_a_decorator() -> None:
    @no_grad()
    def double(x: Tensor, depth: int = 3) -> Tensor:
        """Twice x."""
        y = double(x, depth - 1) if depth else x * 2
        assert not (x * 2).requires_grad
        return y

    x = leaf(1.)
    assert not double(x).requires_grad
    assert (x * 2).requires_grad
    assert double.__doc__ == "Twice x."
    with pytest.raises(TypeError):
        double(None)
    assert (x * 2).requires_grad


def test_no_grad_concerns_its_own_thread() -> None:
    x, seen = leaf(1.), []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_two_threads_in_one_decorated_function() -> None:
    both_inside, first_out = threading.Barrier(2), threading.Event()
    x, left = leaf(1.), []

    @no_grad()
    def wait(first: bool) -> None:
        both_inside.wait(10)
        if not first:
            first_out.wait(10)

    def run(first: bool) -> None:
        wait(first)
        first_out.set()
        left.append((x * 2).requires_grad)

    threads = [threading.Thread(target=run, args=(first,)) for first in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert left == [True, True]


# --------------------------------------------------------------------------------- what is refused

def test_backward_starts_from_one_number() -> None:
    x = leaf(1., 2.)
    with pytest.raises(ShapeError, match=r"starts from one number.*shape \(2,\).*\.mean\(\)"):
        (x * 2).backward()
    with pytest.raises(ShapeError, match=r"gradient of shape \(3,\) for a tensor of \(2,\)"):
        (x * 2).backward(put(np.ones(3)))
    assert x.grad is None
    (x * 2).reshape(2, 1)[:1].backward()
    assert x.grad.tolist() == [2, 0]


@pytest.mark.parametrize("gradient", [[3., 4.], (3, 4), np.array([3., 4.]), tensor([3., 4.])],
                         ids=repr)
def test_backward_with_a_gradient(gradient: Any) -> None:
    x = leaf(1., 2.)
    (x * 2).backward(put(gradient))
    assert x.grad.tolist() == [6, 8]
    assert x.grad.dtype == np.float32


def test_broadcast_errors_name_operation_and_shapes() -> None:
    with pytest.raises(ShapeError, match=r"^sub: shapes \(2, 3\) and \(2,\) do not fit together"):
        tensor([[1., 2., 3.]] * 2) - leaf(1., 2.)
    with pytest.raises(ShapeError, match=r"^matmul: shapes \(2, 3\) and \(2,\).*\.t\(\)"):
        tensor([[1., 2., 3.]] * 2) @ leaf(1., 2.)


# ------------------------------------------------------------------------------------- two devices

class Far:
    """An array of another library: it computes with its own kind and with numbers only."""

    __array_ufunc__ = None

    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array)

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "dtype", "ndim", "size"):
            return getattr(self.array, name)
        raise AttributeError(name)

    def _near(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            raise TypeError("unsupported type numpy.ndarray")
        return other.array if isinstance(other, Far) else other

    def __add__(self, other: Any) -> "Far":
        return Far(self.array + self._near(other))

    def __mul__(self, other: Any) -> "Far":
        return Far(self.array * self._near(other))

    __radd__, __rmul__ = __add__, __mul__

    def __matmul__(self, other: Any) -> "Far":
        return Far(self.array @ self._near(other))

    __rmatmul__ = __matmul__


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> str:
    """A second device, known for the length of one test."""
    monkeypatch.setattr(backends, "_BY_TYPE", dict(backends._BY_TYPE))
    monkeypatch.setattr(backends, "_BY_NAME", dict(backends._BY_NAME))
    register_backend(Backend(
        name="far", array_type=Far, from_host=Far, to_host=lambda a: a.array,
        gather=lambda table, rows: Far(table.array[rows.array]),
        scatter_add=lambda target, index, values: None, synchronize=lambda: None))
    return "far"


def test_a_second_device_computes(far: str) -> None:
    x = tensor([1., 2.], device=far)
    assert (x.device, type(x.data)) == ("far", Far)
    assert backend_of(x.data) is get_backend("far")
    assert (x * x + 1).cpu().tolist() == [2, 5]
    assert repr(x * 2) == "tensor([2., 4.])"


@pytest.mark.parametrize("name", ["add", "mul", "matmul"])
def test_mixing_devices_names_both_and_the_operation(far: str, name: str, device: str) -> None:
    here, there = leaf(1., 2.), tensor([1., 2.], device=far)
    for inputs in ((here, there), (there, here), (there, put(np.ones(2, np.float32)))):
        with pytest.raises(DeviceError, match=rf"^{name}: inputs on different devices, "
                                              rf"{device} and far; .*with tensor\.to\(device\)"):
            apply(getattr(ops, name), *inputs)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(DeviceError, match="unknown device 'far'"):
        tensor([1.], device="far")


def test_gradients_share_no_memory_whatever_the_rule_returns() -> None:
    """A rule may return its gradient, an input, the output, a view of them or a new array."""
    rules = [lambda g, y, a, b: g, lambda g, y, a, b: a, lambda g, y, a, b: y,
             lambda g, y, a, b: g[::-1], lambda g, y, a, b: b.reshape(-1), lambda g, y, a, b: g * b]
    for first in rules:
        for second in rules:
            op = Primitive("op", lambda a, b: a + b, (first, second))
            a, b, c = leaf(1., 2.), leaf(3., 4.), leaf(5., 6.)
            y = apply(op, a, b)
            seed = put(np.ones(2, np.float32))
            (y + c).backward(seed)
            arrays = [seed, y.data, *(x for t in (a, b, c) for x in (t.data, t.grad))]
            assert not any(np.shares_memory(x, z) for i, x in enumerate(arrays)
                           for z in arrays[:i])


def test_the_gradient_of_a_number_is_an_array() -> None:
    x = leaf(2.).sum().detach().requires_grad_()
    for factor in (3, 6):
        (x * 3).backward()
        assert type(x.grad) is type(x.data)
        assert (x.grad.shape, float(x.grad)) == ((), factor)
