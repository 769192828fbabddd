"""``python -m minifast.devices.doctor``: its report and its exit status."""
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minifast
from minifast import backend
from minifast.backend import CudaState
from minifast.devices import doctor

pytestmark = pytest.mark.cpu_only("the report asks every device itself")


@pytest.fixture(autouse=True)
def nothing_chosen() -> Iterator[None]:
    """Choose no device, as in a new program."""
    token = backend._chosen.set(None)
    yield
    backend._chosen.reset(token)


@pytest.fixture
def without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let CUDA be missing, whatever this machine has."""
    missing = CudaState("missing", "CuPy does not import (no such module)")
    for module in (doctor, backend):
        monkeypatch.setattr(module, "cuda_state", lambda: missing)
    monkeypatch.delenv("MINIFAST_DEVICE", raising=False)


def report(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Return the exit status and the lines."""
    status = doctor.main()
    return status, capsys.readouterr().out.splitlines()


def line(lines: list[str], start: str) -> str:
    """Return the only line that begins with ``start``."""
    found, = [text for text in lines if text.startswith(start)]
    return found


def test_the_command_says_what_is_there_and_that_it_works() -> None:
    env = {**os.environ, "MINIFAST_DEVICE": "cpu"}
    done = subprocess.run([sys.executable, "-W", "error", "-m", "minifast.devices.doctor"], env=env,
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"minifast {minifast.__version__}, Python {sys.version.split()[0]},")
    assert line(lines, "Self-test on cpu: ").startswith("Self-test on cpu: ok, loss ")
    assert line(lines, "Self-test on fakecuda: ").startswith("Self-test on fakecuda: ok, loss ")
    assert line(lines, "Device of new tensors: ") == "Device of new tensors: cpu"


def test_versions_blas_and_threads(monkeypatch: pytest.MonkeyPatch, without_cuda: None,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    status, lines = report(capsys)
    assert status == 0
    for name in ("numpy", "pandas", "matplotlib", "safetensors", "pooch", "tqdm"):
        assert f"  {name} {version(name)}" in lines
    config: Any = np.show_config(mode="dicts")
    blas = line(lines, "BLAS: ")
    assert config["Build Dependencies"]["blas"]["name"] in blas
    assert f"{os.cpu_count()} processors" in blas
    assert "OMP_NUM_THREADS=3" in blas


@pytest.mark.parametrize(("found", "fast", "words"), [
    (None, True, "not installed"), ("a module", True, "on"),
    ("a module", False, "off (MINIFAST_FAST or defaults.fast)")])
def test_the_fast_path(found: str | None, fast: bool, words: str, without_cuda: None,
                       monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: found)
    monkeypatch.setattr(doctor, "defaults", SimpleNamespace(fast=fast))
    assert f"Fast path: {words}" in report(capsys)[1]


def test_data_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, without_cuda: None,
                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MINIFAST_HOME", str(tmp_path))
    assert f"  {tmp_path / 'data'} (not there)" in report(capsys)[1]
    (tmp_path / "data").mkdir()
    assert f"  {tmp_path / 'data'}" in report(capsys)[1]


@pytest.mark.parametrize("state", [
    CudaState("missing", "CuPy does not import"), CudaState("broken", "ImportError: libcuda"),
    CudaState("no device", "cudaErrorNoDevice: no CUDA-capable device is detected")])
def test_the_state_of_cuda_and_why(state: CudaState, monkeypatch: pytest.MonkeyPatch,
                                   without_cuda: None, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "cuda_state", lambda: state)
    status, lines = report(capsys)
    assert f"CUDA: {state.state} ({state.reason})" in lines
    assert status == 0  # no GPU is no fault
    assert not [text for text in lines if text.startswith("Self-test on cuda")]


def test_a_card_that_works_is_tested(monkeypatch: pytest.MonkeyPatch,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "cuda_state", lambda: CudaState("ok", "A card"))
    monkeypatch.setattr(doctor, "default_device", lambda: "cuda")
    monkeypatch.setattr(doctor, "self_test", lambda name: f"tried {name}")
    status, lines = report(capsys)
    assert "CUDA: ok (A card)" in lines
    assert lines[-3:] == [f"Self-test on {name}: tried {name}"
                          for name in ("cpu", "cuda", "fakecuda")]
    assert status == 0


def test_a_failing_self_test_is_reported_the_others_run(
        monkeypatch: pytest.MonkeyPatch, without_cuda: None,
        capsys: pytest.CaptureFixture[str]) -> None:
    real = doctor.small_fit

    def fails_on_the_cpu() -> tuple[float, float]:
        if backend.default_device() == "cpu":
            raise RuntimeError("training did not help")
        return real()
    monkeypatch.setattr(doctor, "small_fit", fails_on_the_cpu)
    status, lines = report(capsys)
    assert status == 1
    assert "Self-test on cpu: FAILED, RuntimeError: training did not help" in lines
    assert line(lines, "Self-test on fakecuda: ").startswith("Self-test on fakecuda: ok")


def test_the_self_test_notices_training_that_does_not_help(monkeypatch: pytest.MonkeyPatch
                                                           ) -> None:
    monkeypatch.setattr(doctor.Learner, "fit_one_cycle", lambda *args: None)
    with pytest.raises(RuntimeError, match=r"did not help: loss (\S+) before, \1 after"):
        doctor.small_fit()


def test_the_self_test_notices_a_wrong_derivative(monkeypatch: pytest.MonkeyPatch,
                                                  without_cuda: None,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    wrong = minifast.primitive(lambda g, y, a, b: g @ b.T * 2, lambda g, y, a, b: a.T @ g)
    monkeypatch.setattr(doctor.ops, "matmul", wrong(np.matmul))
    status, lines = report(capsys)
    assert status == 1
    assert "FAILED, GradientError: input 0 at (0, 0)" in line(lines, "Self-test on cpu: ")


def test_a_device_that_the_environment_asks_for_in_vain(
        monkeypatch: pytest.MonkeyPatch, without_cuda: None,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MINIFAST_DEVICE", "abacus")
    status, lines = report(capsys)
    assert status == 1
    assert line(lines, "Device of new tensors: ").startswith(
        "Device of new tensors: FAILED, DeviceError: unknown device 'abacus'")


def test_a_folder_may_have_any_name(monkeypatch: pytest.MonkeyPatch, without_cuda: None,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MINIFAST_HOME", "/FAILED")
    assert report(capsys)[0] == 0


@pytest.mark.parametrize(("wheels", "conflict"), [
    ([], False), (["cupy-cuda13x"], False), (["cupy-cuda12x"], False),
    (["cupy-cuda13x", "cupy-cuda12x"], True)])
def test_two_wheels_of_cupy_are_one_too_many(
        wheels: list[str], conflict: bool, monkeypatch: pytest.MonkeyPatch, without_cuda: None,
        capsys: pytest.CaptureFixture[str]) -> None:
    def installed(name: str) -> str:
        if name in wheels:
            return "14.2.0"
        if name.startswith("cupy"):
            raise PackageNotFoundError(name)
        return version(name)
    monkeypatch.setattr(doctor, "version", installed)
    lines = report(capsys)[1]
    assert [f"  {name} 14.2.0" for name in wheels if f"  {name} 14.2.0" not in lines] == []
    warnings = [text for text in lines if text.startswith("CONFLICT")]
    assert bool(warnings) == conflict
    if conflict:
        assert "pip uninstall cupy-cuda13x cupy-cuda12x, then install one again" in warnings[0]
