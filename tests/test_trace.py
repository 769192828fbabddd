"""The path of a step without the fast path: what the lessons teach is what runs."""
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.cpu_only("the frames are the same on every device")


@pytest.fixture(scope="module")
def traced() -> dict[str, Any]:
    """A step of the notebook's model, traced in a new process with MINIFAST_FAST=0."""
    script = Path(__file__).with_name("step_frames.py")
    env = {**os.environ, "MINIFAST_FAST": "0", "MINIFAST_DEVICE": "cpu"}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=env,
                          check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_step_is_short(traced: dict[str, Any]) -> None:
    calls = [tuple(call) for call in traced["calls"]]
    assert 0 < len(calls) <= 220
    assert len(set(calls)) <= 68
    assert len({file for file, _ in calls}) <= 19


def test_no_step_enters_the_fast_path(traced: dict[str, Any]) -> None:
    assert not [file for file, _ in traced["calls"] if file.startswith("fast/")]


def test_adam_steps_every_parameter_at_every_batch(traced: dict[str, Any]) -> None:
    assert traced["parameters"] == 4
    assert traced["batches"] > 100
    assert traced["adam_steps"] == traced["batches"] * traced["parameters"]
