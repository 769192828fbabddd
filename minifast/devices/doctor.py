"""Report what this machine offers, and whether minifast works on it.

Run it as ``python -m minifast.devices.doctor``.
"""
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np

from .. import __version__
from ..autograd import gradcheck, ops, tensor
from ..backend import cuda_state, default_device, device
from ..data import ArrayDataset, DataBunch
from ..datasets.sources import search_path
from ..defaults import defaults
from ..nn import Linear, ReLU, Sequential
from ..train import Learner

PACKAGES = ("numpy", "pandas", "matplotlib", "safetensors", "pooch", "tqdm", "cupy-cuda13x",
            "cupy-cuda12x", "scipy")


def versions() -> Iterator[str]:
    """Yield the versions of the packages that matter, and a warning if two of them conflict."""
    yield f"minifast {__version__}, Python {platform.python_version()}, {platform.platform()}"
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
        yield f"  {name} {found.get(name, 'is not installed')}"
    wheels = [name for name in found if name.startswith("cupy")]
    if len(wheels) > 1:
        yield (f"CONFLICT: these overwrite each other's files; pip uninstall {' '.join(wheels)}, "
               "then install one again: the one for the CUDA version that nvidia-smi shows")


def blas() -> str:
    """Return the library behind NumPy's matrix products and its limits on threads."""
    config: Any = np.show_config(mode="dicts")
    found = config["Build Dependencies"]["blas"]
    limits = [f"{name}={n}" for name, n in os.environ.items() if name.endswith("_NUM_THREADS")]
    return (f"BLAS: {found['name']} {found.get('version', '')}; {os.cpu_count()} processors, "
            f"{', '.join(limits) or 'no limit on threads set'}")


def self_test(name: str) -> str:
    """Check a derivative and train a small model on one device; return how it went.

    Parameters
    ----------
    name : str
        The device.

    Returns
    -------
    str
        The loss before and after, and the time.

    Examples
    --------
    >>> self_test("cpu")
    'ok, loss ... in ... s'
    """
    start = perf_counter()
    with device(name):
        gradcheck(ops.matmul, tensor([[1., 2.], [3., 4.]]), tensor([[.5], [-1.]]))
        loss = small_fit()
    return f"ok, loss {loss[0]:.3f} -> {loss[1]:.3f} in {perf_counter() - start:.1f} s"


def small_fit() -> tuple[float, float]:
    """Train an epoch on y = abs(x).

    Returns
    -------
    tuple of float
        The validation loss before and after.

    Raises
    ------
    RuntimeError
        If the loss does not fall by half.
    """
    x = np.linspace(-1, 1, 2048, dtype=np.float32)[:, None]
    rows = ArrayDataset(x, np.abs(x[:, 0]))
    learn = Learner(DataBunch.create(rows, rows, bs=32, seed=0),
                    Sequential(Linear(1, 16, seed=0), ReLU(), Linear(16, 1, seed=1)))
    before = learn.validate()[0]
    with learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
    after = learn.validate()[0]
    if not after < before / 2:
        raise RuntimeError(f"training did not help: loss {before:.3f} before, {after:.3f} after")
    return before, after


def report() -> Iterator[str]:
    """Yield the lines of the report."""
    yield from versions()
    yield blas()
    fast = "on" if defaults.fast else "off (MINIFAST_FAST or defaults.fast)"
    yield f"Fast path: {fast if find_spec('minifast.fast') else 'not installed'}"
    state = cuda_state()
    yield f"CUDA: {state.state} ({state.reason})"
    yield f"Device of new tensors: {_try(default_device)}"
    yield "Data are looked for in:"
    for folder in search_path():
        yield f"  {folder}{'' if folder.exists() else ' (not there)'}"
    for name in ["cpu", *(["cuda"] if state.state == "ok" else []), "fakecuda"]:
        yield f"Self-test on {name}: {_try(partial(self_test, name))}"


def _try(question: Callable[[], str]) -> str:
    try:
        return question()
    except Exception as error:  # the report names what fails and continues
        return f"FAILED, {type(error).__name__}: {error}"


def main() -> int:
    """Print the report and return the exit status: 1 if something in it failed."""
    failed = False
    for line in report():
        print(line, flush=True)
        failed |= ": FAILED, " in line
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
