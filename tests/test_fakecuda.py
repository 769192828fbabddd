"""The simulated device: as strict as CuPy, and what a training step costs on it."""
import copy
import json
import pickle
from collections.abc import Callable, Iterator
from traceback import extract_tb
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from cupy_api import PATH, drift
from host import host

import minifast
from minifast import DeviceError, Tensor
from minifast.autograd import tensor
from minifast.backend import Backend, backend_of, get_backend, hashed_uniform
from minifast.collab import EmbeddingDotBias, collab_learner
from minifast.data import ArrayDataset, CollabDataBunch, DataBunch
from minifast.devices.fakecuda import BACKEND
from minifast.devices.fakecuda.array import FakeArray
from minifast.devices.fakecuda.counting import ForbiddenError, count, forbid, room
from minifast.devices.fakecuda.rules import API
from minifast.fast import accelerate
from minifast.nn import (
    BatchNorm1d,
    BatchNorm2d,
    Dropout,
    Embedding,
    Flatten,
    Linear,
    Module,
    ReLU,
    Sequential,
)
from minifast.train import Learner, OneCycleScheduler
from minifast.train.callback import CallbackHandler
from minifast.train.loop import DeviceMemoryError, train_batch
from minifast.vision import AdaptiveAvgPool2d, Conv2d, MaxPool2d

pytestmark = pytest.mark.cpu_only("about the simulated device itself; it names its devices")


def far(data: Any) -> FakeArray:
    return get_backend("fakecuda").from_host(np.asarray(data))


class Arrays(NamedTuple):
    """An array of each kind that a call may need."""

    a: Any
    square: Any
    ids: Any
    mask: Any
    number: Any


HERE = Arrays(np.float32([1, 2, 3, 4]), np.float32([[1, 2], [3, 4]]), np.array([3, 1]),
              np.array([True, False, True, False]), np.float32(2).reshape(()))


def there() -> Arrays:
    return Arrays(*map(far, HERE))


# ---------------------------------------------------------------- what CuPy refuses


def test_it_is_no_numpy_array_and_does_not_become_one_unasked() -> None:
    a = far([1., 2.])
    assert not isinstance(a, np.ndarray)
    with pytest.raises(TypeError, match="get"):
        np.asarray(a)


@pytest.mark.parametrize("mix", [
    lambda a, b: a + b, lambda a, b: b + a, lambda a, b: np.maximum(a, b),
    lambda a, b: np.where(a > 1, a, b), lambda a, b: np.concatenate([a, b]), lambda a, b: a @ b])
def test_it_refuses_numpy_arrays(mix: Any) -> None:
    with pytest.raises(TypeError):
        mix(far([1., 2.]), np.array([3., 4.]))


# Every verdict is CuPy 14.2's own; the last test of this part asks it again where it is installed.
REFUSED: dict[str, Callable[[Arrays], Any]] = {
    "vecdot": lambda d: np.vecdot(d.a, d.a),
    "linalg.vecdot": lambda d: np.linalg.vecdot(d.a, d.a),
    "block": lambda d: np.block([d.a, d.a]),
    "sum(initial=)": lambda d: np.sum(d.a, initial=0.),
    "a.sum(initial=)": lambda d: d.a.sum(initial=0),
    "mean(where=)": lambda d: np.mean(d.a, where=d.mask),
    "var(correction=)": lambda d: np.var(d.a, correction=1),
    "take(mode=)": lambda d: np.take(d.a, d.ids, mode="clip"),
    "exp(where=)": lambda d: np.exp(d.a, where=d.mask),
    "exp(order=)": lambda d: np.exp(d.a, order="C"),
    "ones(like=)": lambda d: np.ones(3, like=d.a),
    "argsort, not stable": lambda d: np.argsort(d.a, kind="quicksort"),
    "maximum.reduce": lambda d: np.maximum.reduce(d.a),
    "add.at of truth values": lambda d: np.add.at(d.mask, d.ids, d.mask[:2]),
    "subtract.at of floats": lambda d: np.subtract.at(d.a, d.ids, d.a[:2]),
    "two outputs given": lambda d: np.modf(d.a, out=(d.a, d.a)),
    "a list as an operand": lambda d: np.add(d.a, [1., 2., 3., 4.]),
    "a tuple as an operand": lambda d: np.maximum(d.a, (1., 2., 3., 4.)),
    "text as an operand": lambda d: d.a + "x",
    "None as an operand": lambda d: d.a + None,
    "a list as a condition": lambda d: np.where([True] * 4, d.a, d.a),
    "a list assigned": lambda d: d.a.__setitem__(slice(None), [1., 2., 3., 4.]),
    "an array of floats as an index": lambda d: d.a[d.a],
    "a number of the device as a range": lambda d: range(d.ids[0]),
    "too many indices": lambda d: d.a[d.ids, d.ids],
    "a number beyond the end": lambda d: d.a[4],
    "item(0)": lambda d: d.a.item(0),
    "setflags": lambda d: d.a.setflags(write=False),
    "flags.writeable": lambda d: d.a.flags.writeable,
    "truth of several": lambda d: bool(d.a),
    "elements of a number": lambda d: list(d.number),
    "length of a number": lambda d: len(d.number),
    "text": lambda d: d.a.astype("U1"),
    "hash": lambda d: hash(d.a),
}
ALLOWED: dict[str, Callable[[Arrays], Any]] = {
    "matmul": lambda d: np.matmul(d.square, d.square),
    "linalg.matmul": lambda d: np.linalg.matmul(d.square, d.square),
    "linalg.norm": lambda d: np.linalg.norm(d.a),
    "einsum": lambda d: np.einsum("i,i->", d.a, d.a),
    "add.reduce": lambda d: np.add.reduce(d.square),
    "multiply.accumulate": lambda d: np.multiply.accumulate(d.a),
    "a NumPy number as an operand": lambda d: d.a * np.float32(2) + np.int64(1),
    "compared with a NumPy number": lambda d: d.a < np.array(2.),
    "out=": lambda d: np.add(d.a, 1., out=d.a),
    "dtype=": lambda d: np.exp(d.ids, dtype=np.float32),
    "a list as an index": lambda d: d.a[[0, 2]],
    "a NumPy array as an index": lambda d: d.a[np.array([2, 0])],
    "a mask": lambda d: d.a[d.mask],
    "three dots and an array": lambda d: d.square[..., d.ids % 2],
    "pairs": lambda d: d.square[d.ids % 2, d.ids // 2],
    "a number of the device as an index": lambda d: d.square[d.ids[1]],
    "a number of the device as an end": lambda d: d.a[:d.ids[0]],
    "astype(copy=False)": lambda d: d.a.astype(np.float32, copy=False),
    "argsort": lambda d: np.argsort(d.a, kind="stable"),
    "arange(like=)": lambda d: np.arange(3, dtype=np.float32) if isinstance(d.a, np.ndarray)
    else np.arange(3, dtype=np.float32, like=d.a),
    "zeros_like(shape=)": lambda d: np.zeros_like(d.a, shape=(2, 3)),
    "sliding_window_view": lambda d: np.lib.stride_tricks.sliding_window_view(d.a, 2),
    "clip without bounds": lambda d: np.clip(d.a, None, None),
    "divmod": lambda d: np.stack(divmod(d.a, 2)),
    "half of a split": lambda d: np.split(d.a, 2)[1],
    "shape": lambda d: (np.shape(d.square), np.ndim(d.square), np.size(d.square)),
    "strides": lambda d: d.square.strides,
    "mT": lambda d: d.square.mT,
    "flags": lambda d: (d.square.flags.c_contiguous, d.square.T.flags.c_contiguous),
}
REFUSALS = (TypeError, ValueError, IndexError, AttributeError, NotImplementedError)


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_it_refuses_what_cupy_refuses(call: Callable[[Arrays], Any]) -> None:
    with pytest.raises(REFUSALS):
        call(there())


@pytest.mark.parametrize("call", ALLOWED.values(), ids=ALLOWED)
def test_it_does_what_cupy_does(call: Callable[[Arrays], Any]) -> None:
    """With NumPy's numbers, and the result stays on the device."""
    result, expected = call(there()), call(Arrays(*(a.copy() for a in HERE)))
    if isinstance(expected, tuple):
        assert result == expected
        return
    assert isinstance(result, FakeArray)
    np.testing.assert_array_equal(host(result), np.asarray(expected), strict=True)


@pytest.fixture
def real() -> Arrays:
    """Return arrays of CuPy. Without a GPU they have no memory, which its checks do not need."""
    cupy = pytest.importorskip("cupy", reason="needs the CuPy wheel (but no GPU)")
    if cupy.is_available():
        return Arrays(*map(cupy.asarray, HERE))
    nowhere = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(16, 1024, None, 0), 0)
    return Arrays(*(cupy.ndarray(a.shape, a.dtype, memptr=nowhere) for a in HERE))


def is_refusal(error: BaseException) -> bool:
    """Whether CuPy refused a call; an error of a missing driver means that its checks passed.

    NumPy shows the operands of what it refuses, which without a driver is an error as well.
    """
    shown = any(frame.name.endswith("__repr__") for frame in extract_tb(error.__traceback__))
    return isinstance(error, REFUSALS) or shown


def refuses(call: Callable[[Arrays], Any], arrays: Arrays) -> bool:
    try:
        call(arrays)
    except Exception as error:
        return is_refusal(error)
    return False


def test_cupys_verdicts_are_the_same(real: Arrays) -> None:
    assert [name for name, call in REFUSED.items() if not refuses(call, real)] == []
    assert [name for name, call in ALLOWED.items() if refuses(call, real)] == []


def test_a_numpy_array_cannot_be_assigned_to_a_part() -> None:
    a = far([1., 2.])
    with pytest.raises(ValueError, match="bring it to the device"):
        a[:] = np.array([3., 4.])


def test_reductions_stay_on_the_device() -> None:
    a = far([1., 2.])
    for number in (a.sum(), np.mean(a), a[0]):
        assert isinstance(number, FakeArray)
        assert number.shape == ()


def test_views_share_their_memory_and_lookups_do_not() -> None:
    a = far([[1., 2.], [3., 4.]])
    for view in (a[0], a[:, 1], a.T, a.reshape(4), a[1, 1], np.split(a, 2)[1]):
        view += 10.
    assert a.get().tolist() == [[31., 42.], [33., 54.]]
    for lookup in (a[far([0])], a[far(0)], a[a > 0], a[[0]]):
        lookup += 10.
    assert a.get().tolist() == [[31., 42.], [33., 54.]]


def test_copies_stay_on_the_device() -> None:
    a = far([1., 2.])
    with count() as counts:
        twins = [copy.copy(a), copy.deepcopy(a), a.copy()]
    assert (counts.transfers, counts.launches) == (0, 3)
    for twin in [*twins, pickle.loads(pickle.dumps(a))]:
        assert type(twin) is FakeArray
        twin += 1.
    assert a.get().tolist() == [1., 2.]


def test_a_tensor_takes_over() -> None:
    """The array's operator leaves the operation to the tensor's, as NumPy's arrays do."""
    a, t = far([1., 2.]), tensor([3., 4.], requires_grad=True, device="fakecuda")
    for result in (a * t, t * a, np.multiply(a, t), a @ t):
        assert type(result) is Tensor
        assert result.requires_grad
    assert (a < t).tolist() == [True, True]


def test_what_numpy_answers_with_a_number_stays_on_the_device() -> None:
    a = far([1., 0.])
    with count() as counts, forbid("synchronizations", "transfers"):
        answers = [np.array_equal(a, a), np.allclose(a, a), np.count_nonzero(a)]
    assert counts.launches == 3
    assert [(type(x), x.item()) for x in answers] == [(FakeArray, True), (FakeArray, True),
                                                     (FakeArray, 1)]


def test_text_does_not_go_to_a_device() -> None:
    for data in (["a"], [None], np.zeros(2, "M8[s]"), np.zeros(2, np.longdouble)):
        with pytest.raises(ValueError, match="Unsupported dtype"):
            tensor(data, device="fakecuda")


def test_ids_out_of_range_wrap_around() -> None:
    a = far([1., 2., 3.])
    assert a[far([4, -1])].get().tolist() == [2., 3.]
    assert BACKEND.gather(far([[1.], [2.]]), far([3])).get().tolist() == [[2.]]


def test_the_last_of_two_writes_to_one_place_need_not_win() -> None:
    winners = set()
    for _ in range(50):
        a = far([0.])
        a[far([0, 0])] = far([1., 2.])
        winners.add(float(a[0]))
    assert winners == {1., 2.}
    pairs = set()
    for _ in range(50):
        a = far([[0., 0.]])
        a[far([0, 0]), far([1, 1])] = far([1., 2.])
        pairs.add(float(a[0, 1]))
    assert pairs == {1., 2.}


def test_sums_over_repeated_ids_come_in_any_order_but_complete() -> None:
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    totals = set()
    for _ in range(20):
        a = far(np.zeros(1, np.float32))
        BACKEND.scatter_add(a, far(np.zeros(1000, np.int64)), far(values))
        totals.add(float(a[0]))
    assert len(totals) > 1
    np.testing.assert_allclose(list(totals), values.sum(dtype=np.float64), atol=1e-4)


@pytest.mark.parametrize("index", [
    lambda i, j: i, lambda i, j: (i, j), lambda i, j: (Ellipsis, j), lambda i, j: (i[:, None], j),
    lambda i, j: (0, j), lambda i, j: i > 1, lambda i, j: (slice(1, 3), slice(None, None, 2)),
    lambda i, j: (None, i)],
    ids=["rows", "pairs", "columns", "a block", "a row's", "a mask", "a view", "a new axis"])
@pytest.mark.parametrize("turned", [False, True])
def test_sums_and_writes_land_where_numpys_do(index: Any, turned: bool) -> None:
    i, j = np.array([2, 0, 2, 1]), np.array([4, 0, 4, 4])
    here = np.arange(20.).reshape(5, 4).T if turned else np.arange(20.).reshape(4, 5)
    a = far(here.copy("K"))
    a = FakeArray(a._host.T.copy().T) if turned else a
    place_here, place_there = index(i, j), index(far(i), far(j))
    values = np.arange(1., 1 + here[place_here].size).reshape(here[place_here].shape)
    np.testing.assert_array_equal(host(a[place_there]), here[place_here])
    np.add.at(here, place_here, values)
    BACKEND.scatter_add(a, place_there, far(values))
    np.testing.assert_array_equal(host(a), here)
    here[place_here], a[place_there] = -1., -1.
    np.testing.assert_array_equal(host(a), here)


def test_an_index_wraps_around_its_own_axis() -> None:
    a = far(np.arange(10).reshape(2, 5))
    assert a[..., far([4, 5, -1])].get().tolist() == [[4, 0, 4], [9, 5, 9]]
    assert a[None, ..., far([2, 3]), 1].get().tolist() == [[1, 6]]
    ids = far(np.uint8([1, 2]))
    assert far(np.arange(300))[ids].get().tolist() == [1, 2]  # 300 is no uint8


def test_the_list_of_names_is_cupys() -> None:
    assert json.loads(PATH.read_text()) == API
    assert list(API["version"]) == ["14.2.0"]
    assert {"exp", "take", "einsum", "add"} <= API["functions"].keys()
    assert not {"vecdot", "errstate", "block"} & API["functions"].keys()
    assert API["methods"]["sum"] == ["self", "axis", "dtype", "out", "keepdims"]
    assert drift(API, API) == []


# ---------------------------------------------------------------- counting


def test_launches_transfers_and_waits_are_counted() -> None:
    with count() as counts:
        a = far([1., 2., 3.])
        b = a * 2. + a
        b[1:].reshape(2, 1)
        float(b.sum())
        b.get()
    assert (counts.launches, counts.transfers, counts.synchronizations) == (3, 3, 2)
    assert counts.bytes_moved == 24 + 24 + 8  # there, back, and the sum


@pytest.mark.parametrize(("launches", "do"), [
    (0, lambda d: d.square.reshape(4)), (1, lambda d: d.square.T.reshape(4)),
    (0, lambda d: d.square[1:, ::-1].T), (0, lambda d: d.a.astype(np.float32, copy=False)),
    (1, lambda d: d.a.astype(np.float32)), (1, lambda d: d.a[d.ids]),
    (4, lambda d: d.square[d.ids, d.ids]),
    (1, lambda d: d.square.__setitem__(0, 1.)), (1, lambda d: np.clip(d.a, 0, 1, out=d.a)),
    (0, lambda d: np.split(d.a, 2)), (0, lambda d: np.shape(d.a)), (1, lambda d: d.a.fill(0)),
    (0, lambda d: np.broadcast_to(d.a, (3, 4))), (1, lambda d: np.matmul(d.square, d.square)),
])
def test_what_costs_a_launch(launches: int, do: Callable[[Arrays], Any]) -> None:
    arrays = there()
    with count() as counts:
        do(arrays)
    assert counts.launches == launches


def test_an_update_of_a_part_is_one_launch() -> None:
    """The statement a[1:] += b ends with an assignment of a view to itself, which is free."""
    a, b = far([1., 2., 3.]), far([1., 1.])
    with count() as counts:
        a[1:] += b
    assert counts.launches == 1
    assert a.get().tolist() == [1., 3., 4.]


@pytest.mark.parametrize(("kind", "ask"), [
    ("synchronizations", lambda a: float(a[0])), ("synchronizations", lambda a: bool(a[0] > 0)),
    ("synchronizations", lambda a: a[a > 0]), ("synchronizations", lambda a: np.unique(a)),
    ("synchronizations", lambda a: np.where(a > 0)), ("synchronizations", lambda a: repr(a)),
    ("synchronizations", lambda a: np.linalg.svd(a[None])), ("synchronizations", lambda a: f"{a}"),
    ("synchronizations", lambda a: a[:a[0]]), ("transfers", lambda a: a[0].item()),
    ("transfers", lambda a: a.get()), ("transfers", lambda a: a[[0, 1]]),
    ("transfers", lambda a: a[np.array([0])]), ("transfers", lambda a: far([1.]))])
def test_what_is_forbidden_raises(kind: str, ask: Any) -> None:
    a = far([1., 2.])
    with forbid(kind), pytest.raises(ForbiddenError, match=kind):
        ask(a)


def test_repeats_are_the_hosts() -> None:
    """The host knows the length, so it does not wait."""
    a = far([1., 2.])
    with forbid("synchronizations", "transfers"):
        assert a.repeat(2).shape == np.repeat(a, repeats=2).shape == (4,)
    for ask in (lambda: a.repeat(far([1, 2])), lambda: np.repeat(a, far([1, 2]))):
        with pytest.raises(ValueError, match="cannot be specified as `repeats`"):
            ask()


# ---------------------------------------------------------------- the price of a training step


def collab() -> tuple[Module, ArrayDataset, Any]:
    rng = np.random.default_rng(0)
    ids = [rng.integers(0, n, 256) for n in (30, 40)]
    return (EmbeddingDotBias(5, 30, 40, [0, 5.5]),
            ArrayDataset(ids, rng.integers(1, 6, 256).astype(np.float32)), None)


def mlp() -> tuple[Module, ArrayDataset, Any]:
    rng = np.random.default_rng(0)
    net = Sequential(Linear(20, 16), ReLU(), BatchNorm1d(16), Dropout(.5), Linear(16, 8), ReLU(),
                     Linear(8, 3))
    x = rng.normal(size=(256, 20)).astype(np.float32)
    return net, ArrayDataset(x, rng.integers(0, 3, 256)), None


def cnn() -> tuple[Module, ArrayDataset, Any]:
    rng = np.random.default_rng(0)
    net = Sequential(Conv2d(1, 4, 3, padding=1), BatchNorm2d(4), ReLU(), MaxPool2d(2),
                     Conv2d(4, 8, 3, 2, 1), ReLU(), AdaptiveAvgPool2d(1), Flatten(), Linear(8, 3))
    x = rng.normal(size=(128, 1, 8, 8)).astype(np.float32)
    return net, ArrayDataset(x, rng.integers(0, 3, 128)), None


class Steps:
    """Train on the simulated device one step at a time."""

    def __init__(self, make: Any) -> None:
        with minifast.device("fakecuda"):
            model, rows, _ = make()
            data = DataBunch.create(rows, rows, bs=32, seed=0)
            self.learn = learn = Learner(data, model)
        learn.silent_table = True
        with learn.no_logging():
            learn.fit(1, 1e-3)
        made = [f(learn) for f in learn.callback_fns]
        self.on = CallbackHandler([*made, OneCycleScheduler(learn, 1e-2)])
        self.on("train_begin", n_epochs=1, metrics_names=[])
        self.on("epoch_begin")
        learn.model.train()
        self.batches: Iterator[Any] = iter(data.batches(data.train_dl))

    def __call__(self) -> None:
        learn = self.learn
        train_batch(learn.model, *next(self.batches), learn.loss_func, learn.optimizer, self.on)

    def __enter__(self) -> "Steps":
        self.fast = accelerate(self.learn.model, self.learn.optimizer)
        self.fast.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.fast.__exit__(None, None, None)


@pytest.mark.parametrize(("make", "launches"), [(collab, 60), (mlp, 140), (cnn, 180)])
def test_a_step_moves_nothing_and_waits_for_nothing(make: Any, launches: int) -> None:
    with Steps(make) as step:
        step()
        with count() as counts, forbid("transfers", "synchronizations"):
            step()
    assert counts.transfers == counts.synchronizations == 0
    assert counts.launches <= launches


@pytest.mark.parametrize(("make", "launches"), [(collab, 103), (mlp, 230), (cnn, 269)])
def test_nor_does_a_step_of_the_plain_path(make: Any, launches: int) -> None:
    step = Steps(make)
    step()
    with count() as counts, forbid("transfers", "synchronizations"):
        step()
    assert counts.transfers == counts.synchronizations == 0
    assert counts.launches <= launches


def test_an_epoch_reads_the_loss_once_and_moves_the_order_once() -> None:
    with minifast.device("fakecuda"):
        model, rows, _ = collab()
        learn = Learner(DataBunch.create(rows, None, bs=32, seed=0), model)
    with learn.no_logging():
        learn.fit(1, 1e-3)
        with count() as one:
            learn.fit(1, 1e-3)
        with count() as three:
            learn.fit(3, 1e-3)
    assert (three.synchronizations - one.synchronizations) == 2 * 1
    assert (three.transfers - one.transfers) == 2 * 2  # the shuffled rows' numbers, and the loss


# ---------------------------------------------------------------- what can go wrong


def test_ids_are_checked_without_a_validation_set() -> None:
    frame = pd.DataFrame({"user": [1, 1, 2, 2], "item": [1, 2, 1, 2], "rating": [1., 2, 3, 4]})
    with minifast.device("fakecuda"):
        learn = collab_learner(CollabDataBunch.from_df(frame, 0, bs=2), n_factors=2)
        with learn.no_logging():
            learn.fit(1)
    assert len(learn.recorder.losses) == 2


def test_ids_are_checked_once_per_data_set() -> None:
    class Rates(Module):
        def __init__(self) -> None:
            self.table = Embedding(10, 1)

        def forward(self, ids: Tensor) -> Tensor:
            return self.table(ids).squeeze(-1)
    rows = ArrayDataset(np.array([1, 2, 3, 99]), np.ones(4, np.float32))
    with minifast.device("fakecuda"):
        learn = Learner(DataBunch.create(rows, None, bs=2), Rates())
    before = learn.model.state_dict()["table.weight"]
    with learn.no_logging(), pytest.raises(IndexError, match=r"id 99 .*10 rows"):
        learn.fit(1, 1e-2)
    np.testing.assert_array_equal(learn.model.state_dict()["table.weight"], before)
    good = ArrayDataset(np.array([1, 2, 3, 9]), np.ones(4, np.float32))
    with minifast.device("fakecuda"):
        learn = Learner(DataBunch.create(good, None, bs=2), Rates())
    with learn.no_logging():
        with count() as first:
            learn.fit(1, 1e-2)
        with count() as second:
            learn.fit(1, 1e-2)
    assert first.transfers > second.transfers
    assert learn.model.table.forward_hooks == ()


@pytest.mark.parametrize("wrong", [-1, 4])
def test_ids_of_a_table_of_columns_are_checked(wrong: int) -> None:
    """The model cuts its columns apart itself, and each has its own Embedding."""
    class Two(Module):
        def __init__(self) -> None:
            self.first, self.second = Embedding(9, 1), Embedding(4, 1)

        def forward(self, ids: Tensor) -> Tensor:
            return (self.first(ids[:, 0]) + self.second(ids[:, 1])).squeeze(-1)
    ids = np.array([[8, 0], [1, 3], [2, wrong], [3, 1]])
    for rows, error in ((slice(0, 2), None), (slice(0, 4), IndexError)):
        with minifast.device("fakecuda"):
            data = DataBunch.create(ArrayDataset(ids[rows], np.ones(len(ids[rows]), np.float32)),
                                    None, bs=2)
            learn = Learner(data, Two())
        with learn.no_logging():
            if error is None:
                learn.fit(1, 1e-2)
            else:
                with pytest.raises(IndexError, match=rf"id {wrong} .*4 rows"):
                    learn.fit(1, 1e-2)


def test_a_full_memory_is_explained_and_the_learner_goes_on() -> None:
    with minifast.device("fakecuda"):
        model, rows, _ = mlp()
        learn = Learner(DataBunch.create(rows, None, bs=64, seed=0), model)
    with learn.no_logging():
        learn.fit(1, 1e-3)
        with room(1000), pytest.raises(DeviceMemoryError, match=r"64 rows.*bs=32"):
            learn.fit(1, 1e-3)
        learn.fit(1, 1e-3)
    assert np.isfinite([float(v) for v in learn.recorder.losses]).all()


def test_no_room_for_the_optimizer_is_explained_too() -> None:
    with minifast.device("fakecuda"):
        model, rows, _ = mlp()
        learn = Learner(DataBunch.create(rows, None, bs=64, seed=0), model)
    with learn.no_logging():
        with room(1000), pytest.raises(DeviceMemoryError, match=r"64 rows.*bs=32"):
            learn.fit(1, 1e-3)
        learn.fit(1, 1e-3)
    assert np.isfinite([float(v) for v in learn.recorder.losses]).all()


def test_an_unknown_device_is_named() -> None:
    for ask in (get_backend, minifast.device, lambda d: tensor(1., device=d),
                lambda d: tensor(1.).to(d)):
        with pytest.raises(DeviceError, match=r"'tpu'.*cpu, cuda, fakecuda"):
            ask("tpu")


@pytest.mark.parametrize(("name", "do"), [
    ("mul", lambda a, b: a * b), ("matmul", lambda a, b: a @ b), ("lt", lambda a, b: a < b),
    ("eq", lambda a, b: a == b), ("and", lambda a, b: (a > 0) & (b > 0)),
    ("less", lambda a, b: np.less(a, b)), ("where", lambda a, b: minifast.where(a > 0, a, b)),
    ("concatenate", lambda a, b: minifast.cat([a, b])),
    ("add", lambda a, b: a.backward(b))])
@pytest.mark.parametrize("turned", [False, True])
def test_a_tensor_of_another_device_is_named_with_the_operation(
    name: str, do: Callable[[Tensor, Tensor], Any], turned: bool
) -> None:
    pair = [tensor([1., 2.], requires_grad=True, device=d) for d in ("cpu", "fakecuda")]
    with pytest.raises(DeviceError, match=f"^{name}: .* cpu and fakecuda; .*tensor.to"):
        do(*pair[::-1] if turned else pair)


def test_a_model_moved_behind_the_optimizers_back_is_noticed() -> None:
    with minifast.device("cpu"):
        model, rows, _ = mlp()
        learn = Learner(DataBunch.create(rows, None, bs=64, seed=0), model)
    with learn.no_logging():
        learn.fit(1, 1e-3)
        learn.model.to("fakecuda")
        learn.data.to("fakecuda")
        with pytest.raises(DeviceError, match=r"learn\.to"):
            learn.fit(1, 1e-3)


# ---------------------------------------------------------------- the same results


@pytest.mark.parametrize("make", [collab, mlp, cnn])
def test_training_there_and_here_agree(make: Any) -> None:
    losses = {}
    for name in ("cpu", "fakecuda"):
        np.random.seed(0)
        with minifast.device(name):
            model, rows, _ = make()
            for module in model.modules():
                if isinstance(module, Dropout):
                    module.p = 0.  # each library draws its own masks
            learn = Learner(DataBunch.create(rows, rows, bs=32, seed=0), model)
        with learn.no_logging():
            learn.fit_one_cycle(2, 1e-2)
        losses[name] = [float(v) for v in learn.recorder.losses] + learn.recorder.val_losses
    np.testing.assert_allclose(losses["fakecuda"], losses["cpu"], rtol=1e-4)


def test_a_learner_moves_and_goes_on() -> None:
    def run(devices: list[str]) -> list[float]:
        np.random.seed(0)
        with minifast.device("cpu"):
            model, rows, _ = collab()
            learn = Learner(DataBunch.create(rows, rows, bs=32, seed=0), model)
        with learn.no_logging():
            for name in devices:
                learn.to(name).fit(1, 1e-2)
                assert {p.device for p in learn.model.parameters()} == {name}
        return [float(v) for v in learn.recorder.losses]
    np.testing.assert_allclose(run(["cpu", "fakecuda", "cpu"]), run(["cpu"] * 3), rtol=1e-4)


def test_hashed_random_numbers_are_uniform_and_alike_on_every_device() -> None:
    here = hashed_uniform(np.random.default_rng(0), np.zeros((200, 500)))
    there = hashed_uniform(np.random.default_rng(0), far(np.zeros((200, 500))))
    np.testing.assert_array_equal(here, there.get())
    assert here.dtype == np.float32
    assert here.min() >= 0
    assert here.max() < 1
    counts = np.histogram(here, 50, (0, 1))[0]
    chi2 = ((counts - 2000) ** 2 / 2000).sum()
    assert 20 < chi2 < 90  # 49 degrees of freedom
    assert abs(np.corrcoef(here[:, :-1].ravel(), here[:, 1:].ravel())[0, 1]) < .01


def test_dropout_masks_come_from_the_hosts_generator() -> None:
    x = tensor(np.ones((4, 5), np.float32), device="fakecuda")
    with count() as counts:
        a, b = (Dropout(.5, seed=3)(x).numpy() for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert counts.transfers == 2  # the two results, no mask


def test_a_third_backend_is_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(FakeArray):
        __slots__ = ()
    table = Backend(name="other", array_type=Other, from_host=lambda a: Other(np.array(a)),
                    to_host=lambda a: a._host.copy(), gather=lambda t, i: t[i],
                    scatter_add=Other.add_at)
    import minifast.backend as backends
    monkeypatch.setattr(backends, "_BY_TYPE", dict(backends._BY_TYPE))
    monkeypatch.setattr(backends, "_BY_NAME", dict(backends._BY_NAME))
    minifast.backend.register_backend(table)
    assert backend_of(tensor([1.], device="other").data) is table
    assert tensor([1., 2.], device="other").device == "other"
