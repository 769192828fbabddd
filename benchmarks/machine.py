"""The machine and the versions that a table of times was measured with."""
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import minifast
from minifast.backend import cuda_state

PACKAGES = ("cupy-cuda13x", "cupy-cuda12x", "torch")


def processor() -> str:
    """Return the name of the processor, if known, and the number of processors."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{[*names, platform.machine()][0]}, {os.cpu_count()} processors"


def driver() -> str:
    """Return the versions of the CUDA driver and runtime."""
    import importlib
    runtime = importlib.import_module("cupy").cuda.runtime
    return f"driver {runtime.driverGetVersion()}, runtime {runtime.runtimeGetVersion()}"


def machine(device: str) -> str:
    """Return the card or the processor of a device."""
    if device == "cuda":
        return f"{cuda_state().reason}; {driver()}"
    return f"{device}; {processor() if device == 'cpu' else 'times mean nothing here'}"


def versions() -> str:
    """Return the versions of minifast, Python, NumPy and optional packages."""
    found = [f"minifast {minifast.__version__}, Python {platform.python_version()}, "
             f"numpy {np.__version__}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
