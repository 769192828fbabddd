"""What several test files share."""
import os
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

# before NumPy is loaded: one thread sums in the same order everywhere, and does not wait for a
# core that somebody else is using, which can take matrix products of small images tenfold time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import minifast

for room in ("callbacks", "devices", "inspect"):  # they add methods, and the simulated device
    if find_spec(f"minifast.{room}"):  # not so in the copies that tests/test_rooms.py makes
        import_module(f"minifast.{room}")

collect_ignore = ["golden"]  # recordings, and the script that made two of them with torch
DEVICES = ["cpu", "fakecuda"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", action="append", choices=["cpu", "fakecuda", "cuda"],
                     help=f"run the tests on this device; may be repeated (default: {DEVICES})")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cpu_only(why): this test is about the CPU, or about no "
                                       "device at all; it is not run on the others")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test runs once on each device, as the default device of what it makes."""
    chosen = metafunc.config.getoption("device") or DEVICES
    if metafunc.definition.get_closest_marker("cpu_only"):
        chosen = ["cpu"]
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", chosen, indirect=True)


@pytest.fixture(autouse=True)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """The device that this run of the test is on."""
    name = getattr(request, "param", "cpu")  # the examples in docstrings have no parameter
    with minifast.device(name):
        yield name


@pytest.fixture(scope="session")
def movielens() -> Path:
    """The folder of MovieLens 100K, $MINIFAST_HOME/data/ml-100k; the test skips without it.

    In CI with MINIFAST_HOME set its absence is a failure, so that a skip hides no gap.
    """
    home = os.environ.get("MINIFAST_HOME", "")
    folder = Path(home, "data", "ml-100k")
    if home and (folder / "u.data").is_file():
        return folder
    if home and os.environ.get("CI") == "true":
        pytest.fail(f"CI sets MINIFAST_HOME={home}, but {folder} holds no u.data")
    pytest.skip("needs MovieLens 100K: set MINIFAST_HOME to a folder with data/ml-100k")
