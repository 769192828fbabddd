"""Options and fixtures of all tests."""
import os
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

# Set before NumPy is loaded. One thread sums in the same order everywhere, and does not wait for a
# core that another process is using, which slows small matrix products a lot.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import minifast

for room in ("callbacks", "devices", "inspect"):  # they add methods, and the simulated device
    if find_spec(f"minifast.{room}"):  # not so in the copies that tests/test_rooms.py makes
        import_module(f"minifast.{room}")

collect_ignore = [
    "golden",  # recordings, and the script that made two of them with torch
    "jupyterlab.py", "ranks.py", "ranks_faults.py"]  # programs that other tests or people start
DEVICES = ["cpu", "fakecuda"]
LONG = {"test_course_pages", "test_course_units", "test_determinism", "test_distributed",
        "test_fast_exits", "test_faults", "test_interrupts", "test_rooms",
        "test_site"}
"""Files that run for long: copies of the package, other processes, an error at each line."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", action="append", choices=["cpu", "fakecuda", "cuda"],
                     help=f"run the tests on this device; may be repeated (default: {DEVICES})")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cpu_only(why): a test of the CPU, or of no device; it does "
                                       "not run on the others")
    config.addinivalue_line("markers", "long: tests of a file that runs for long")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that ``-m "not long"`` leaves out."""
    for item in items:
        if item.path.stem in LONG:
            item.add_marker("long")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test once on each device, as the default device."""
    chosen = metafunc.config.getoption("device") or DEVICES
    if metafunc.definition.get_closest_marker("cpu_only"):
        chosen = ["cpu"]
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", chosen, indirect=True)


@pytest.fixture(autouse=True)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """Make the device of this run the default, and return its name."""
    name = getattr(request, "param", "cpu")  # examples in docstrings have no parameter
    with minifast.device(name):
        yield name


@pytest.fixture(scope="session")
def movielens() -> Path:
    """Return the folder of MovieLens 100K, $MINIFAST_HOME/data/ml-100k; skip without it.

    In CI with MINIFAST_HOME set, a missing folder is a failure.
    """
    home = os.environ.get("MINIFAST_HOME", "")
    folder = Path(home, "data", "ml-100k")
    if home and (folder / "u.data").is_file():
        return folder
    if home and os.environ.get("CI") == "true":
        pytest.fail(f"CI sets MINIFAST_HOME={home}, but {folder} holds no u.data")
    pytest.skip("needs MovieLens 100K: set MINIFAST_HOME to a folder with data/ml-100k")
