"""Rooms can be removed: tests of the core pass in copies of the package without one of them.

The core is also tested with no room at all. Copies are tested two at a time, in processes of
their own; a test of the list that imports the missing room is left out.
"""
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import count_lines
import pytest

pytestmark = pytest.mark.cpu_only("the copies are tested on the CPU")

TESTS = Path(__file__).parent
ROOT = count_lines.ROOT
ROOMS = sorted({count_lines.part_of(path.relative_to(ROOT).as_posix())
                for path in ROOT.rglob("*.py")} - {*count_lines.CORE})
QUICK = ["backward", "nn", "optim", "train", "train_schedules"]
CORE = ["tensor", "backend", "scatter", "golden", *QUICK]  # the post imports minifast.tabular
BEHAVIOUR = ["notebook", "golden", "bad_input", "collab", "data", "copies", *QUICK,
             "train_frozen", "train_recorder", "train_checkpoints", "train_callbacks",
             "train_results"]
COPIES = {"fast": (["fast"], BEHAVIOUR), "all rooms": (ROOMS, CORE),
          **{room: ([room], QUICK) for room in ROOMS if room != "fast"}}
"""For each copy the rooms that it lacks, and the tests that run there."""
TOO_LONG = "five_runs"
RUN = """
import sys, minifast, pytest
if not minifast.__file__.startswith(sys.argv[1]):
    sys.exit(f"{minifast.__file__} is not the copy in {sys.argv[1]}")
sys.exit(pytest.main(sys.argv[2:]))"""


def selected(tests: Sequence[str], missing: Sequence[str]) -> list[str]:
    """Return the paths of the test files that need none of the missing rooms."""
    rooms = "|".join(missing)
    imports = re.compile(rf"minifast\.({rooms})\b|from minifast import .*\b({rooms})\b"
                         + "|fakecuda" * ("devices" in missing))
    paths = [TESTS / f"test_{name}.py" for name in tests]
    return [str(path) for path in paths if not imports.search(path.read_text(encoding="utf-8"))]


def run_without(missing: Sequence[str], tests: Sequence[str], folder: Path
                ) -> "subprocess.CompletedProcess[str]":
    """Copy the package without some rooms to a folder, and run tests there."""
    shutil.copytree(ROOT, folder / "minifast", ignore=shutil.ignore_patterns("__pycache__"))
    for room in missing:
        shutil.rmtree(folder / "minifast" / room, ignore_errors=True)
    for path in (folder / "minifast").glob("*.py"):
        if count_lines.part_of(path.name) in missing:
            path.unlink()
    env = {**os.environ, "PYTHONPATH": str(folder), "MINIFAST_DEVICE": "cpu"}
    options = ["-x", "-p", "no:cacheprovider", "-o", "addopts=-q", "--device", "cpu",
               "-k", f"not {TOO_LONG}"]
    return subprocess.run([sys.executable, "-c", RUN, str(folder), *options,
                           *selected(tests, missing)],
                          cwd=folder, env=env, text=True, capture_output=True, check=False)


Outcomes = dict[str, "Future[subprocess.CompletedProcess[str]]"]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    """Start all copies, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(run_without, *copy, tmp_path_factory.mktemp("without"))
               for name, copy in COPIES.items()}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("missing", COPIES)
def test_the_core_works_without(missing: str, outcomes: Outcomes) -> None:
    done = outcomes[missing].result()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_a_file_that_imports_the_missing_room_is_left_out() -> None:
    names = {Path(path).name for path in selected(BEHAVIOUR, ["datasets"])}
    assert "test_collab.py" not in names
    assert {"test_golden.py", "test_notebook.py"} <= names
    assert len(selected(CORE, ROOMS)) >= 4
