"""Training on several ranks: the numbers of one process, and what happens when a rank fails."""
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import numpy as np
import pytest

from minifast.distributed.__main__ import main

pytestmark = [pytest.mark.cpu_only("each program is told its device"),
              pytest.mark.skipif(os.name == "nt", reason="MPICH has no package for Windows")]
HERE = Path(__file__).parent
BARS = {"float64": 1e-12, "float32": 1e-6}
"""The largest difference of weights from those of one process, in units of the largest weight."""


def launch(n: int, *program: str) -> "subprocess.CompletedProcess[str]":
    """Run a program on ``n`` ranks."""
    command = [sys.executable, "-m", "minifast.distributed", "-n", str(n), *program]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
           "PYTHONPATH": str(HERE.parent)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env,
                          check=False)


# ------------------------------------------------------------------------- the same numbers


SHORT = ("short_last_batch", "images", "accumulation", "notebook_plain", "large_tables")
ON_A_DEVICE = ("notebook", "own_embeddings", "mlp_with_batch_norm", "images", "finder")


@pytest.mark.parametrize(("n", "library", "kind", "cases"), [
    (2, "cpu", "float64", ()), (3, "cpu", "float64", SHORT),
    (2, "fakecuda", "float32", ON_A_DEVICE)], ids=str)
def test_ranks_compute_what_one_process_computes(n: int, library: str, kind: str,
                                                 cases: Sequence[str]) -> None:
    done = launch(n, str(HERE / "ranks.py"), library, kind, *cases)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert list(found) == list(cases) if cases else len(found) == 18
    for name, differences in found.items():
        # the rules of deferred Adam have an error of 1e-9 of their own in float64
        bar = 1e-10 if name == "large_tables" and library == "cpu" else BARS[kind]
        assert max(differences.values()) <= bar, (name, differences)


# ------------------------------------------------------------------------- faults


def disturbed(fault: str, folder: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    return launch(2, str(HERE / "ranks_faults.py"), fault, str(folder), *args)


@pytest.mark.parametrize("model", ["ratings", "dropout"])
def test_a_killed_rank_is_named_and_the_fit_resumes_with_the_same_bytes(model: str, tmp_path: Path
                                                                        ) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
    done = disturbed("killed", killed, model)
    assert done.returncode != 0
    assert "rank 1 of 2 (process" in done.stderr
    assert "was killed by SIGKILL, so all ranks have ended" in done.stderr
    for folder in (killed, whole):
        assert disturbed("none", folder, model).returncode == 0
    expected = np.load(whole / "weights0.npz")
    for rank in (0, 1):
        found = np.load(killed / f"weights{rank}.npz")
        assert all((found[name] == expected[name]).all() for name in expected)


@pytest.mark.parametrize(("fault", "message"), [
    ("raises", "rank 1 of 2 stopped with RuntimeError: the disk is on fire. All ranks end here"),
    ("early", "rank 1 of 2 stopped with RuntimeError: there is no such file. All ranks end here"),
    ("leaves", "rank 1 of 2 stopped with SystemExit: 0. All ranks end here"),
    ("data", r"rank 1 differs from rank 0 in parameter u_weight.weight: (198, 30) float32 and "),
    ("fewer fits", "rank 0 of 2 has waited 2 seconds for other ranks, which may have ended"),
    ("replaced", "stopped with RuntimeError: this batch is not divided among the ranks"),
    ("drift", "rank 1 differs from rank 0 in values of u_bias.weight"),
])
def test_all_ranks_end_with_a_sentence(fault: str, message: str, tmp_path: Path) -> None:
    done = disturbed(fault, tmp_path)
    assert done.returncode != 0
    assert message in done.stderr
    if fault not in ("early", "data", "fewer fits"):
        assert (tmp_path / "models/fit.safetensors").is_file()


def test_one_rank_trains_with_a_warning(tmp_path: Path) -> None:
    done = launch(1, str(HERE / "ranks_faults.py"), "none", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "there is only one rank, so one process trains. Start the program with: " in done.stderr


# ------------------------------------------------------------------------- the command


@pytest.mark.parametrize(("args", "path", "message"), [
    ([], None, "give a number of ranks above 0 and a program"),
    (["-n", "0", "program.py"], None, "give a number of ranks above 0 and a program"),
    (["-n", "2", "program.py"], "", "mpiexec is neither next to this Python nor in PATH; install "),
])
def test_the_command_says_what_is_missing(args: Sequence[str], path: str | None, message: str,
                                          monkeypatch: pytest.MonkeyPatch,
                                          capfd: pytest.CaptureFixture[str]) -> None:
    if path is not None:
        monkeypatch.setenv("PATH", path)
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert main(args) == 2
    assert message in capfd.readouterr().err


@contextmanager
def start(*program: str) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "minifast.distributed", "-n", "2", *program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True,
                          env={**os.environ, "PYTHONPATH": str(HERE.parent)}) as process:
        try:
            yield process
        finally:
            if process.poll() is None:  # the test fails
                os.killpg(process.pid, signal.SIGTERM)


def test_ranks_end_with_ctrl_c() -> None:
    with start("-c", "print('on', flush=True)\nwhile True: pass") as process:
        assert process.stdout
        assert process.stdout.readline().startswith("on")
        os.killpg(process.pid, signal.SIGINT)
        errors = process.communicate(timeout=20)[1]
    assert process.returncode
    assert "stopped with KeyboardInterrupt. All ranks end here" in errors
    assert "subprocess.py" not in errors  # the launcher itself has no error


def runs(pid: int) -> bool:
    """Whether a process still runs after a while."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        sleep(.05)
    return True


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_ranks_end_with_the_launcher(name: str) -> None:
    end = signal.Signals[name]
    with start("-c", "import os\nos.write(1, b'%d\\n' % os.getpid())\nwhile True: pass") as process:
        assert process.stdout
        ranks = [int(process.stdout.readline()) for _ in range(2)]
        process.send_signal(end)
        errors = process.communicate(timeout=20)[1]
    assert process.returncode == 128 + end
    assert "Traceback" not in errors
    assert not any(map(runs, ranks))


def test_ranks_end_when_nobody_reads_their_output() -> None:
    with start("-c", "while True: print('on')") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.wait(timeout=20)
        assert "BrokenPipeError" not in process.stderr.read()


def test_an_exit_code_of_one_rank_ends_all() -> None:
    code = "import sys; from minifast.distributed import world\n" \
           "if world().rank: sys.exit(3)\nworld().wait()"
    assert launch(2, "-c", code).returncode == 3


def test_without_mpi4py_the_error_says_how_to_install_it() -> None:
    code = "import sys; sys.modules['mpi4py'] = None\n" \
           "from minifast.distributed import world\nworld()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: distributed training needs mpi4py and an MPI library" in done.stderr
    assert "pip install 'minifast[mpi]'" in done.stderr
