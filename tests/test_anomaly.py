"""detect_anomaly: the first NaN, and arrays that change by routes that nobody sees."""
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from host import host, put
from test_autograd_ops import CASES, Case

from minifast import ChangedArrayError, Tensor, grad, no_grad, tensor, where
from minifast.collab import EmbeddingDotBias
from minifast.fast import accelerate
from minifast.inspect import AnomalyError, detect_anomaly
from minifast.nn import Linear, Parameter, mse_loss
from minifast.optim import SGD, Adam

Array = np.ndarray


def leaf(*numbers: float) -> Tensor:
    return tensor(list(numbers), requires_grad=True)


def marked_line(mark: str) -> str:
    """The place of the line of this file that ends with a comment."""
    lines = Path(__file__).read_text().splitlines()
    return f"{__file__}:{next(i + 1 for i, line in enumerate(lines) if line.endswith(mark))} "


# ------------------------------------------------------------------------ arrays that are changed

def change_array(w: Tensor, array: Array) -> None:
    array[0] = 9


def change_data(w: Tensor, array: Array) -> None:
    w.data -= 9


def change_view(w: Tensor, array: Array) -> None:
    w.data[::-1][-1] = 9


def change_step(w: Tensor, array: Array) -> None:
    opt = SGD([w], lr=1.)
    w.grad = put(np.ones(w.shape, np.float32))
    opt.step()


ROUTES: dict[str, Callable[[Tensor, Array], None]] = {
    "the array": change_array, "data": change_data, "a view": change_view, "step": change_step}


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_a_change_by_each_route_is_found(route: Callable[[Tensor, Array], None]) -> None:
    array = put(np.array([1., 2.], np.float32))
    w, x = Parameter(array), leaf(3., 4.)
    with detect_anomaly():
        y = w * x  # made
        route(w, array)
        with pytest.raises(ChangedArrayError, match=r"^input 0 of 'mul', \(2,\), was changed"):
            y.sum().backward()
    assert x.grad is None


@pytest.mark.cpu_only("numpy() is a copy on a device")
def test_a_change_by_numpy_is_found() -> None:
    w, x = leaf(1., 2.), leaf(3., 4.)
    with detect_anomaly():
        y = w * x
        w.numpy()[0] = 9
        with pytest.raises(ChangedArrayError, match="input 0 of 'mul'"):
            y.sum().backward()


def test_the_lines_between_which_it_happened_are_named() -> None:
    w, x = leaf(1., 2.), leaf(3., 4.)
    with detect_anomaly():
        y = w * x  # the operation
        z = y.exp()  # the last before
        w.data[0] = 9
        total = z.sum()  # the first after
        with pytest.raises(ChangedArrayError) as caught:
            total.backward()
    message = "\n".join([str(caught.value), *caught.value.__notes__])
    assert f"between {marked_line('# the last before')}" in message
    assert f"and {marked_line('# the first after')}" in message
    assert f"ran at {marked_line('# the operation')}" in message
    assert "(y = w * x  # the operation)" in message


def test_the_lines_are_named_if_two_operations_have_read_it() -> None:
    w = leaf(1., 2.)
    with detect_anomaly():
        total = (w.exp() * w).sum()  # read twice
        w.data[0] = 9
        with pytest.raises(ChangedArrayError, match=r"changed in place between .*# read twice"):
            total.backward()


@pytest.mark.parametrize("change", [lambda w: w.data.fill(7), lambda w: w.data.__setitem__(0, 7)])
def test_what_no_rule_reads_may_change(change: Callable[[Tensor], None]) -> None:
    w, x = leaf(1., 2.), leaf(3., 4.)
    with detect_anomaly():
        y = (w + x).reshape(2, 1).sum(0)
        change(w)
        y.sum().backward()
    assert w.grad.tolist() == [1, 1]


def test_an_output_that_was_changed_is_found() -> None:
    x = leaf(1., 2.)
    with detect_anomaly():
        y = x.exp()
        y.data[0] = 0
        with pytest.raises(ChangedArrayError, match=r"^the output of 'exp'"):
            y.sum().backward()


def test_a_gradient_of_a_gradient_is_examined() -> None:
    x = leaf(1., 2.)
    with detect_anomaly():
        first, = grad((x ** 3).sum(), x, create_graph=True)
        x.data[0] = 5
        with pytest.raises(ChangedArrayError):
            grad(first.sum(), x)


def test_what_was_released_may_change() -> None:
    w = leaf(1., 2.)
    with detect_anomaly():
        for _ in range(3):
            (w * w).sum().backward()
            w.data -= .1
            w.zero_grad()


# ------------------------------------------------------------------------------------ NaN, infinity

def test_the_operation_that_made_the_first_nan() -> None:
    x = leaf(-1., 4.)
    with np.errstate(invalid="ignore"), detect_anomaly(), \
            pytest.raises(AnomalyError, match=r"^'sqrt' made the first NaN") as caught:
        (x * 2).sqrt().log().sum()  # here
    assert marked_line("# here") in str(caught.value)
    assert issubclass(AnomalyError, FloatingPointError)


def test_the_rule_that_made_the_first_infinity() -> None:
    x = leaf(0., 4.)
    with np.errstate(divide="ignore"), detect_anomaly():
        y = x.sqrt()  # the root
        with pytest.raises(AnomalyError, match="derivative rule of 'sqrt'") as caught:
            (y * 3).sum().backward()
    assert marked_line("# the root") in str(caught.value)


def test_a_nan_from_outside_is_said_to_be_so() -> None:
    x, bad = leaf(1., 2.), tensor([1., float("nan")])
    with detect_anomaly(), pytest.raises(AnomalyError, match=r"'mul' got NaN .* as input 1"):
        x * bad


def test_a_mask_of_minus_infinity_is_no_anomaly() -> None:
    x = leaf(1., 2., 3.)
    with detect_anomaly():
        scores = where(tensor([True, False, True]), x, -np.inf)
        scores.exp().sum().backward()
    np.testing.assert_allclose(host(x.grad), np.exp([1, -np.inf, 3]), rtol=1e-6)


# ------------------------------------------------------------------------------------- the context

@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_operation_passes_with_the_same_gradients(case: Case) -> None:
    def gradients() -> list[Array]:
        inputs = case.tensors()
        y = case.do(case.op, *inputs)
        y.backward(put(np.ones(y.shape)))
        return [host(x.grad) for x in inputs if isinstance(x, Tensor)]
    plain = gradients()
    with detect_anomaly():
        examined = gradients()
    for one, other in zip(examined, plain, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_ends_with_the_block_and_may_be_nested() -> None:
    x = leaf(1., 2.)
    anomaly = detect_anomaly()
    with anomaly:
        with anomaly, no_grad():
            assert not (x * 2).requires_grad
        assert type((x * 2).node).__name__ == "_ExaminedNode"
    assert type((x * 2).node).__name__ == "Node"
    with no_grad(), detect_anomaly():
        assert not (x * 2).requires_grad


def test_it_concerns_its_own_thread() -> None:
    x, seen = leaf(1.), []
    with detect_anomaly():
        thread = threading.Thread(target=lambda: seen.append(type((x * 2).node).__name__))
        thread.start()
        thread.join()
    assert seen == ["Node"]


def test_nothing_is_kept_alive() -> None:
    x = leaf(1., 2.)
    with detect_anomaly() as anomaly:
        y = (x * x).exp()
        refs = [weakref.ref(y), weakref.ref(y.data)]
        y.sum().backward()
        del y
        assert [ref() for ref in refs] == [None, None]
        assert len(anomaly.nodes) == 0
        loss = (x * x).sum()
        node = loss.node
        loss.backward()
        x * 2
        assert (node.copies, node.arrays) == ([], [])


@pytest.mark.parametrize("fast", [False, True])
def test_a_fit_passes(fast: bool) -> None:
    def fit(fast: bool, examine: bool) -> list[Array]:
        rng = np.random.default_rng(0)
        model = EmbeddingDotBias(3, 10, 12, [0, 5.5], seed=0)
        opt = Adam(list(model.parameters()), wd=.1)

        def run() -> None:
            for _ in range(5):
                users, items = tensor(rng.integers(0, 10, 8)), tensor(rng.integers(0, 12, 8))
                mse_loss(model(users, items), tensor(np.full(8, 3., np.float32))).backward()
                opt.step()
                opt.zero_grad()

        def maybe_fast() -> None:
            if not fast:
                run()
                return
            with accelerate(model, opt, always=True):
                run()
        if not examine:
            maybe_fast()
        else:
            with detect_anomaly():
                maybe_fast()
        return [host(p) for p in model.parameters()]
    for one, other in zip(fit(fast, True), fit(fast, False), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_divergent_fit_names_its_operation() -> None:
    layer = Linear(1, 1, seed=0)
    layer.weight.data[...] = 1e30
    with np.errstate(over="ignore"), detect_anomaly(), \
            pytest.raises(AnomalyError, match=r"'(pow|mul|mean_squared_error)' made the first"):
        mse_loss(layer(tensor([[1e5]])), tensor([[0.]]))
