"""The simulated device: as strict as CuPy, and what a training step costs on it."""
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minifast
from minifast import DeviceError, Tensor, tensor
from minifast.backend import Backend, backend_of, get_backend, hashed_uniform
from minifast.collab import EmbeddingDotBias
from minifast.data import ArrayDataset, DataBunch
from minifast.fakecuda import BACKEND, FakeArray, ForbiddenError, count, forbid, room
from minifast.fakecuda.array import API
from minifast.fakecuda.dump import PATH, drift
from minifast.nn import (
    AdaptiveAvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)
from minifast.train import Learner
from minifast.train.callbacks import OneCycleScheduler
from minifast.train.device import DeviceMemoryError
from minifast.train.handler import CallbackHandler
from minifast.train.loop import train_batch


def far(data: Any) -> FakeArray:
    return BACKEND.from_host(np.asarray(data))


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


@pytest.mark.parametrize("call", [
    lambda a: np.vecdot(a, a), lambda a: np.matmul(a, a), lambda a: np.add.at(a, 0, 1.),
    lambda a: np.add.reduce(a), lambda a: np.sum(a, initial=0.), lambda a: np.exp(a, where=a > 0),
    lambda a: np.block([a, a]), lambda a: a.setflags(write=False)])
def test_it_offers_only_what_cupy_offers(call: Any) -> None:
    with pytest.raises((TypeError, AttributeError)):
        call(far([1., 2.]))


def test_a_numpy_array_cannot_be_assigned_to_a_part() -> None:
    a = far([1., 2.])
    with pytest.raises(ValueError, match="bring it to the device"):
        a[:] = np.array([3., 4.])


def test_reductions_stay_on_the_device() -> None:
    a = far([1., 2.])
    assert isinstance(a.sum(), FakeArray) and isinstance(np.mean(a), FakeArray)
    assert isinstance(a[0], FakeArray) and a[0].shape == ()


def test_views_share_their_memory() -> None:
    a = far([[1., 2.], [3., 4.]])
    for view in (a[0], a[:, 1], a.T, a.reshape(4), a[1, 1]):
        view += 10.
    assert a.get().tolist() == [[21., 22.], [23., 44.]] or a.get()[1, 1] == 44.


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


def test_sums_over_repeated_ids_come_in_any_order_but_complete() -> None:
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    totals = set()
    for _ in range(20):
        a = far(np.zeros(1, np.float32))
        BACKEND.scatter_add(a, far(np.zeros(1000, np.int64)), far(values))
        totals.add(float(a[0]))
    assert len(totals) > 1
    np.testing.assert_allclose(list(totals), values.sum(dtype=np.float64), atol=1e-4)


def test_the_list_of_names_is_cupys() -> None:
    assert API == json.loads(PATH.read_text()) and list(API["version"]) == ["14.2.0"]
    assert {"exp", "take", "einsum", "add"} <= API["functions"].keys()
    assert not {"vecdot", "errstate", "block"} & API["functions"].keys()
    assert drift(API, API) == []


# ---------------------------------------------------------------- counting


def test_launches_transfers_and_waits_are_counted() -> None:
    with count() as counts:
        a = far([1., 2., 3.])
        b = a * 2. + a
        b[1:].reshape(2, 1)
        float(b.sum())
        b.get()
    assert (counts.launches, counts.transfers, counts.synchronizations) == (3, 2, 2)
    assert counts.bytes_moved == 48


@pytest.mark.parametrize(("kind", "ask"), [
    ("synchronizations", lambda a: float(a[0])), ("synchronizations", lambda a: bool(a[0] > 0)),
    ("synchronizations", lambda a: a[a > 0]), ("synchronizations", lambda a: np.unique(a)),
    ("transfers", lambda a: a.get()), ("transfers", lambda a: a[[0, 1]]),
    ("transfers", lambda a: a[np.array([0])]), ("transfers", lambda a: far([1.]))])
def test_what_is_forbidden_raises(kind: str, ask: Any) -> None:
    a = far([1., 2.])
    with forbid(kind), pytest.raises(ForbiddenError, match=kind):
        ask(a)


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
    """Training steps of a learner on the simulated device, one at a time."""

    def __init__(self, make: Any) -> None:
        with minifast.device("fakecuda"):
            model, rows, _ = make()
            data = DataBunch.create(rows, rows, bs=32, seed=0)
            self.learn = learn = Learner(data, model)
        learn.silent_table = True
        with learn.no_logging():
            learn.fit(1, 1e-3)
        made = [f(learn) for f in learn.callback_fns]
        self.handler = CallbackHandler([*made, OneCycleScheduler(learn, 1e-2)])
        self.handler.on_train_begin(1, [])
        self.handler.on_epoch_begin()
        learn.model.train()
        self.batches: Iterator[Any] = iter(data.batches(data.train_dl))

    def __call__(self) -> None:
        learn, handler = self.learn, self.handler
        xb, yb = handler.on_batch_begin(*next(self.batches))
        loss = train_batch(learn.model, xb, yb, learn.loss_func, learn.optimizer, handler)
        handler.on_batch_end(loss)


@pytest.mark.parametrize(("make", "launches"), [(collab, 60), (mlp, 120), (cnn, 160)])
def test_a_step_moves_nothing_and_waits_for_nothing(make: Any, launches: int) -> None:
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
    assert (three.transfers - one.transfers) == 2 * 1  # the shuffled rows' numbers


# ---------------------------------------------------------------- what can go wrong


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


def test_an_unknown_device_is_named() -> None:
    for ask in (get_backend, minifast.device, lambda d: tensor(1., device=d),
                lambda d: tensor(1.).to(d)):
        with pytest.raises(DeviceError, match=r"'tpu'.*cpu, cuda, fakecuda"):
            ask("tpu")


def test_a_tensor_of_another_device_is_named_with_the_operation() -> None:
    with pytest.raises(DeviceError, match="mul: .* cpu and fakecuda"):
        tensor(1., device="cpu") * tensor(1., device="fakecuda")


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
    assert here.dtype == np.float32 and 0 <= here.min() and here.max() < 1
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
