"""The four states of CUDA, with a stand-in for CuPy; which device is chosen, and by whom."""
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minifast
from minifast import DeviceError, backend, defaults
from minifast.autograd import tensor
from minifast.backend import CudaState, cuda_state, default_device, get_backend, transfer
from minifast.data import ArrayDataset, DataBunch
from minifast.defaults import Defaults
from minifast.nn import Linear, ReLU, Sequential
from minifast.train import Learner

pytestmark = pytest.mark.cpu_only("no device is used; the choice of one is")
OLD_DRIVER = ("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime "
              "version")


class CUDARuntimeError(RuntimeError):
    """What CuPy raises when the driver says no."""


class StubArray(np.ndarray):
    """An array of the stand-in: NumPy computes, the type is another."""

    __array_priority__ = 1  # concatenating gives this type again

    def __array_function__(self, func: Any, *call: Any) -> Any:
        result = super().__array_function__(func, *call)
        return result.view(StubArray) if func is np.zeros else result  # for like=, as CuPy does


StubArray.__module__ = "cupy"


def raises(error: Exception) -> Any:
    """A function that does nothing else."""
    def function(*args: Any, **kwargs: Any) -> Any:
        raise error
    return function


def stub(available: bool = True, devices: Any = lambda: 1, arange: Any = np.arange) -> ModuleType:
    """As much of CuPy as minifast asks for."""
    def asarray(a: Any) -> Any:
        return np.array(a).view(StubArray)
    runtime = SimpleNamespace(getDeviceCount=devices,
                              getDeviceProperties=lambda i: {"name": b"Stub 3000"})
    cuda = SimpleNamespace(
        is_available=lambda: available, runtime=runtime,
        memory=SimpleNamespace(OutOfMemoryError=type("OutOfMemoryError", (MemoryError,), {})),
        Device=lambda: SimpleNamespace(synchronize=lambda: None))
    module = ModuleType("cupy")
    vars(module).update(ndarray=StubArray, float32=np.float32, cuda=cuda, arange=arange, add=np.add,
                        take=np.take, asarray=asarray, asnumpy=lambda a: np.array(a))
    return module


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a new program: nothing asked, nothing chosen; and as before afterwards."""
    monkeypatch.setattr(backend, "_BY_TYPE", dict(backend._BY_TYPE))
    monkeypatch.delenv("MINIFAST_DEVICE", raising=False)
    monkeypatch.setitem(sys.modules, "cupy", None)  # missing, unless a test installs one
    token = backend._chosen.set(None)
    cuda_state.cache_clear()
    backend._cupy_backend.cache_clear()
    yield
    backend._chosen.reset(token)
    cuda_state.cache_clear()
    backend._cupy_backend.cache_clear()


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a module, or None for one that is missing, in CuPy's place."""
    return lambda module: monkeypatch.setitem(sys.modules, "cupy", module)


# ---------------------------------------------------------------- the four states


STATES = {
    "missing": (lambda: None, "missing",
                r"CuPy does not import \(.*\); pip install 'minifast\[cuda13\]' or .*cuda12.*"),
    "no driver": (lambda: stub(False, raises(CUDARuntimeError(OLD_DRIVER))), "no device",
                  re.escape(OLD_DRIVER)),
    "no card": (lambda: stub(False, lambda: 0), "no device", "the driver reports 0 devices"),
    "old driver": (lambda: stub(arange=raises(CUDARuntimeError(OLD_DRIVER))), "broken",
                   re.escape(f"CUDARuntimeError: {OLD_DRIVER}")),
    "no compiler": (lambda: stub(arange=raises(ImportError("libnvrtc.so.13 not found"))), "broken",
                    "ImportError: libnvrtc.so.13 not found"),
    "wrong result": (lambda: stub(arange=lambda n, dtype: np.ones(n, dtype)), "broken",
                     r"0 \+ 1 \+ 4 \+ 9 came out as 4.0 on the device"),
    "ok": (stub, "ok", "Stub 3000"),
}
UNUSABLE = [name for name in STATES if name != "ok"]


@pytest.mark.parametrize("name", STATES)
def test_state_and_reason(name: str, install: Any) -> None:
    make, state, reason = STATES[name]
    install(make())
    found = cuda_state()
    assert found.state == state
    assert re.fullmatch(reason, found.reason)


@pytest.mark.parametrize(("source", "state", "reason"), [
    ("raise OSError('libcuda.so.1: invalid ELF header')", "broken",
     "importing CuPy failed: OSError: libcuda.so.1: invalid ELF header"),
    ("raise AttributeError('numpy has no attribute bool8')", "broken",
     "importing CuPy failed: AttributeError: numpy has no attribute bool8"),
    ("import a_library_that_is_not_there", "missing", "No module named 'a_library_that_is_not")])
def test_a_wheel_that_fails_at_import(source: str, state: str, reason: str, tmp_path: Path,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cupy.py").write_text(source)
    monkeypatch.delitem(sys.modules, "cupy")
    monkeypatch.syspath_prepend(tmp_path)
    assert cuda_state().state == state
    assert reason in cuda_state().reason


@pytest.mark.parametrize("name", UNUSABLE)
def test_asking_for_it_repeats_the_reason_and_says_the_way_out(name: str, install: Any) -> None:
    install(STATES[name][0]())
    state = cuda_state()
    for ask in (get_backend, minifast.device, lambda d: tensor(1., device=d),
                lambda d: tensor(1.).to(d), lambda d: setattr(defaults, "device", d)):
        with pytest.raises(DeviceError) as raised:
            ask("cuda")
        assert str(raised.value) == (f"device 'cuda' cannot be used: CUDA is {state.state} "
                                     f"({state.reason}). Use device 'cpu', which always works.")
    assert default_device() == "cpu"


def test_the_state_is_asked_once(install: Any) -> None:
    asked = []
    module = stub()
    module.cuda.is_available = lambda: bool(asked.append(1)) or True
    install(module)
    for _ in range(3):
        assert cuda_state() == CudaState("ok", "Stub 3000")
        assert default_device() == "cuda"
        get_backend("cuda")
    install(None)
    assert cuda_state().state == "ok"
    assert len(asked) == 1


def test_importing_minifast_asks_nothing() -> None:
    code = ("import sys; sys.modules['cupy'] = None; import minifast.collab; "
            "from minifast.backend import cuda_state; print(cuda_state.cache_info().misses)")
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True,
                          text=True, check=True)
    assert done.stdout == "0\n"


# ---------------------------------------------------------------- working on it


def test_its_table_trains(install: Any) -> None:
    install(stub())
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    rows = ArrayDataset(x, x.sum(1))
    losses = {}
    for name in ("cpu", "cuda"):
        with minifast.device(name):
            learn = Learner(DataBunch.create(rows, rows, bs=16, seed=0),
                            Sequential(Linear(3, 8, seed=0), ReLU(), Linear(8, 1, seed=1)))
        with learn.no_logging():
            learn.fit_one_cycle(3, 1e-2)
        assert {type(p.data) for p in learn.model.parameters()} == \
            {StubArray if name == "cuda" else np.ndarray}
        losses[name] = [float(v) for v in learn.recorder.losses]
    np.testing.assert_allclose(losses["cuda"], losses["cpu"], rtol=1e-5)


def test_its_scatter_add_and_gather(install: Any) -> None:
    install(stub())
    table = tensor([[1., 2.], [3., 4.], [5., 6.]], device="cuda", requires_grad=True)
    rows = table[tensor([2, 0, 2], device="cuda")]
    assert rows.tolist() == [[5, 6], [1, 2], [5, 6]]
    rows.sum().backward()
    assert type(table.grad) is StubArray
    assert table.grad.tolist() == [[1, 1], [0, 0], [2, 2]]
    there = get_backend("cuda").gather(table.data, np.array([1]))
    assert there.tolist() == [[3, 4]]


def test_its_array_is_known_though_nobody_asked_for_the_device(install: Any) -> None:
    class Foreign:
        """An array made by CuPy itself, which is no NumPy array."""
    Foreign.__module__ = "cupy._core.core"
    module = stub()
    module.ndarray, module.asnumpy = Foreign, lambda a: np.ones(2)  # type: ignore[attr-defined]
    install(module)
    assert backend.backend_of(Foreign()).name == "cuda"
    assert transfer(Foreign(), "cpu").tolist() == [1, 1]


# ---------------------------------------------------------------- which one is the default


def test_cuda_is_the_default_where_it_works(install: Any) -> None:
    install(stub())
    assert default_device() == defaults.device == tensor(1.).device == "cuda"


@pytest.mark.parametrize("module", [None, stub()])
def test_the_environment_overrides(module: Any, install: Any,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    install(module)
    for name in ("fakecuda", "cpu"):
        monkeypatch.setenv("MINIFAST_DEVICE", name)
        assert default_device() == defaults.device == tensor(1.).device == name
    monkeypatch.setenv("MINIFAST_DEVICE", "")
    assert default_device() == ("cuda" if module else "cpu")


def test_the_environment_asking_for_what_is_not_there_is_an_error(
        install: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install(None)
    monkeypatch.setenv("MINIFAST_DEVICE", "cuda")
    with pytest.raises(DeviceError, match="CUDA is missing"):
        tensor(1.)
    monkeypatch.setenv("MINIFAST_DEVICE", "abacus")
    with pytest.raises(DeviceError, match=r"'abacus'; known devices: cpu, cuda, fakecuda"):
        tensor(1.)


def test_a_choice_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIFAST_DEVICE", "abacus")
    with minifast.device("fakecuda"):
        assert default_device() == "fakecuda"
        with minifast.device("cpu"):
            assert default_device() == "cpu"
        assert default_device() == "fakecuda"
    minifast.device("cpu")
    assert default_device() == "cpu"


@pytest.mark.parametrize("name", ["abacus", "CUDA", "cuda:0", ""])
def test_unknown_names_leave_the_choice_as_it_was(name: str) -> None:
    minifast.device("fakecuda")
    for choose in (minifast.device, lambda d: setattr(defaults, "device", d)):
        with pytest.raises(DeviceError, match=f"unknown device '{name}'; known devices: cpu, cuda"):
            choose(name)
    assert default_device() == "fakecuda"


# ---------------------------------------------------------------- defaults


def test_defaults_choose_and_tell_the_device() -> None:
    defaults.device = "fakecuda"
    assert defaults.device == default_device() == tensor(1.).device == "fakecuda"
    minifast.device("cpu")
    assert defaults.device == "cpu"
    assert repr(defaults).startswith(
        "defaults(device='cpu', lr=slice(None, 0.003, None), wd=0.01, fast=")


@pytest.mark.parametrize("name", ["lr", "wd", "cmap"])
def test_nothing_else_of_defaults_can_be_set(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        setattr(defaults, name, 1.)
    assert (defaults.lr, defaults.wd) == (slice(3e-3), 1e-2)


@pytest.mark.parametrize(("value", "fast"), [(None, True), ("", True), ("1", True), ("0", False)])
def test_the_environment_switches_the_fast_path_off(value: str | None, fast: bool,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINIFAST_FAST", raising=False)
    if value is not None:
        monkeypatch.setenv("MINIFAST_FAST", value)
    made = Defaults()
    assert made.fast is fast
    made.fast = not fast
    assert made.fast is not fast


def test_a_learner_uses_the_defaults() -> None:
    x = np.ones((8, 2), np.float32)
    with minifast.device("cpu"):
        learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4), Linear(2, 1))
    with learn.no_logging():
        learn.fit(1)
    assert (learn.optimizer.lr, learn.optimizer.wd) == (3e-3, 1e-2)
