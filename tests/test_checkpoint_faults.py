"""Checkpoints that are damaged, misplaced or interrupted: nothing changes or gets lost."""
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fuzz_checkpoints
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny import fit_quietly, frozen_copy, line_learner, three_groups

from minifast import Tensor
from minifast.checkpoints.durable import temporary_folder, write
from minifast.nn import Buffer, Linear, Module, StateDictError
from minifast.optim import Adam
from minifast.train import CheckpointError, Learner, LearnerCallback, Recorder

TESTS = Path(__file__).parent


@pytest.fixture
def learn(tmp_path: Path) -> Learner:
    """A learner, and its checkpoint ``x`` of one epoch before."""
    learn = fit_quietly(three_groups(path=tmp_path), 1, 1e-2)
    learn.save("x")
    return fit_quietly(learn, 1, 1e-2)


@contextmanager
def changed(learn: Learner) -> Iterator[dict[str, Any]]:
    """Within this the arrays of the checkpoint can be changed."""
    path = Path(learn.path, "models", "x.safetensors")
    arrays = load_file(path)
    yield arrays
    save_file({k: np.array(v) for k, v in arrays.items()}, path)


@contextmanager
def refused(learn: Learner, match: str) -> Iterator[None]:
    before, opt = frozen_copy(learn), learn.opt
    with pytest.raises(CheckpointError, match=match):
        yield
    assert frozen_copy(learn) == before
    assert learn.opt is opt


# ---------------------------------------------------------------- load checks, then writes


@pytest.mark.parametrize(("name", "value", "words"), [
    ("opt.0.0.count", np.array(-1), r"0\.0\.count of an optimizer's state cannot be -1"),
    ("opt.0.0.count", np.array(np.nan), "cannot be nan"),
    ("opt.0.0.count", np.array(np.inf), "cannot be inf"),
    ("opt.0.0.count", np.array(2.5), "cannot be 2.5"),
    ("opt.0.0.count", np.array(1j, np.complex64), "complex64"),
    ("opt.hyper.lr", np.full(3, np.nan), "hyper.lr has 3 of 3 numbers such as nan"),
    ("opt.hyper.lr", np.full(3, 1j, np.complex64), "complex64"),
    ("opt.hyper.lr", np.array([.1, .1, -1]), "hyper.lr has 1 of 3 numbers such as -1"),
    ("opt.hyper.mom", np.ones(3), "hyper.mom has 3 of 3 numbers such as 1"),
    ("opt.hyper.eps", np.array([.1, np.inf, .1]), "hyper.eps has 1 of 3 numbers such as inf"),
    ("opt.0.0.average", np.full((5, 3), np.inf, np.float32), r"0\.0\.average has 15 of 15"),
    ("opt.0.0.average", np.full((5, 3), 1e300), r"0\.0\.average has 15 of 15 numbers such as inf"),
    ("opt.0.0.square", np.full((5, 3), -1, np.float32), r"0\.0\.square has 15 .* such as -1"),
    ("model.0.weight", np.full((5, 3), np.nan, np.float32), r"0\.weight has 15 of 15 .* nan"),
    ("model.0.weight", np.full((5, 3), 1e300), r"0\.weight has 15 of 15 numbers such as inf"),
    ("model.0.weight", np.ones((5, 3), np.complex64), r"another type: 0\.weight complex64 where"),
    ("model.0.weight", np.ones((3, 5), np.float32), r"another shape: 0\.weight \(3, 5\)"),
    ("model.2.running_var", np.full(5, -1, np.float32), r"2\.running_var has 5 of 5 .* -1")])
def test_nothing_changes_if_one_number_is_wrong(name: str, value: Any, words: str, learn: Learner
                                                ) -> None:
    with changed(learn) as arrays:
        arrays[name] = value
    with refused(learn, rf"x\.safetensors.*{words}"):
        learn.load("x")


def test_the_state_of_an_optimizer_is_checked_without_a_file_too() -> None:
    learn = fit_quietly(line_learner(opt_func=Adam))
    state = learn.optimizer.state_dict()
    before = frozen_copy(learn)
    for wrong in (-1, np.nan, "three", 2 ** 60):
        with pytest.raises(ValueError, match=r"0\.1\.count of an optimizer's state cannot be"):
            learn.optimizer.load_state_dict({**state, "0.1.count": wrong, "hyper.lr": [9.]})
        assert frozen_copy(learn) == before


def test_weights_are_checked_without_a_file_too() -> None:
    model = Linear(2, 1, seed=0)
    before = model.state_dict()
    for wrong in (np.array(["a"]), np.array([1j])):
        with pytest.raises(StateDictError, match="of another type: bias"):
            model.load_state_dict({"weight": np.zeros((1, 2)), "bias": wrong})
        assert (model.state_dict()["weight"] == before["weight"]).all()
    model.load_state_dict({"weight": np.ones((1, 2), int), "bias": [True]})
    assert model.state_dict()["bias"].tolist() == [1.]


def test_a_diverged_model_is_saved_but_not_loaded(learn: Learner) -> None:
    learn.model[0].weight.data[...] = np.nan
    learn.save("diverged")
    with refused(learn, "Training had diverged when it was saved"):
        learn.load("diverged")
    learn.load("x")
    assert np.isfinite(learn.model[0].weight.numpy()).all()


class Masked(Module):
    """A model with an infinite mask."""

    def __init__(self) -> None:
        self.mask = Buffer(np.array([0, -np.inf], np.float32))
        self.layer = Linear(3, 1, seed=0)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def test_an_infinite_mask_is_no_fault(tmp_path: Path) -> None:
    learn = line_learner(path=tmp_path)
    learn.model = Masked()
    learn.save("mask")
    learn.load("mask")
    learn.model.mask.data[...] = 0
    with pytest.raises(CheckpointError, match="mask has 1 of 2 numbers such as -inf"):
        learn.load("mask")


def test_types_that_numpy_does_not_have(learn: Learner) -> None:
    path = Path(learn.path, "models", "x.safetensors")
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"I32"', 1))
    with refused(learn, "is of type int32"):
        learn.load("x")
    for dtype, shape in (("BF16", [1]), ("F32", [0, 2 ** 62])):
        n = 2 if dtype == "BF16" else 0
        header = f'{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{n}]}}}}'.encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * n)
        with refused(learn, "is not a whole checkpoint"):
            learn.load("x")


@pytest.mark.cpu_only("bytes")
@pytest.mark.parametrize("kind", fuzz_checkpoints.SUBJECTS)
def test_mutants(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_checkpoints.durable, "sync", lambda path: None)
    found = fuzz_checkpoints.fuzz(kind, 150, 0, tmp_path)
    assert {*found} == {"loaded", "refused"}


# ---------------------------------------------------------------- where files go


@pytest.mark.parametrize("name", ["../x", "a/../../x", "..", ".", "", "a/.."])
def test_a_name_does_not_leave_the_model_folder(name: str, learn: Learner) -> None:
    files = sorted(Path(learn.path).rglob("*"))
    for do in (learn.save, learn.load):
        with pytest.raises(ValueError, match=r"names no file in .*absolute path"):
            do(name)
    assert sorted(Path(learn.path).rglob("*")) == files


def test_a_detour_within_the_model_folder_is_found_again(learn: Learner) -> None:
    path = learn.save("nowhere/../x", return_path=True)
    assert path == Path(learn.path, learn.model_dir, "x.safetensors")
    learn.load("nowhere/../x")


def test_an_absolute_path_goes_where_it_says(learn: Learner, tmp_path: Path) -> None:
    path = learn.save(tmp_path / "else" / "where", return_path=True)
    assert path == tmp_path / "else" / "where.safetensors"
    learn.load(path)


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_stays_a_link(dangling: bool, learn: Learner, tmp_path: Path) -> None:
    target, link = tmp_path / "real.safetensors", tmp_path / "models" / "x.safetensors"
    link.unlink()
    link.symlink_to(target)
    if not dangling:
        target.write_bytes(b"old")
    learn.save("x")
    assert link.is_symlink()
    assert load_file(target).keys() == load_file(link).keys()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["models", "real.safetensors"]


# ---------------------------------------------------------------- what a kill leaves behind


def killed(folder: Path) -> None:
    """Kill a process in the middle of writing a file."""
    code = ("import os, signal, sys\nfrom pathlib import Path\n"
            "from minifast.checkpoints import durable\n"
            "durable.sync = lambda path: os.kill(os.getpid(), signal.SIGKILL)\n"
            "durable.write(Path(sys.argv[1], 'x'), b'new')")
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert done.returncode == -9


@pytest.mark.cpu_only("files")
def test_the_next_save_removes_what_killed_ones_left(tmp_path: Path) -> None:
    write(tmp_path / "x", b"old")
    for _ in range(2):
        killed(tmp_path)
        assert (tmp_path / "x").read_bytes() == b"old"
        assert len([*tmp_path.glob(".saving-*")]) == 1
    write(tmp_path / "other", b"")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "x"]


@pytest.mark.cpu_only("files")
def test_what_a_living_process_uses_is_not_removed(tmp_path: Path) -> None:
    with temporary_folder(tmp_path, ".saving-") as mine:
        (mine / "part").write_bytes(b"mine")
        code = ("import sys\nfrom pathlib import Path\nfrom minifast.checkpoints import durable\n"
                "durable.write(Path(sys.argv[1], 'x'), b'theirs')")
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        write(tmp_path / "y", b"of this process")
        assert (mine / "part").read_bytes() == b"mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x", "y"]


@pytest.mark.cpu_only("files")
def test_a_file_is_on_the_disk_before_its_name_and_its_folder_after(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (seen.append(os.readlink(f"/proc/self/fd/{fd}")),
                                                 fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *names: (seen.append("replace"), replace(*names)))
    write(tmp_path / "x", b"")
    assert [Path(name).name for name in seen] == ["x", "replace", tmp_path.name]


@pytest.mark.cpu_only("many processes")
def test_killed_fits_end_with_the_same_bytes() -> None:
    done = subprocess.run([sys.executable, str(TESTS / "kill_and_resume.py"), "--n", "12"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost: 0, went back: 0, differing: 0, left over: 0" in done.stdout


# ---------------------------------------------------------------- names of callbacks


@pytest.mark.parametrize("name", ["Save", "Load", "Fit", "Data", "Opt", "Model", "Optimizer", "To"])
def test_a_callback_does_not_replace_a_part_of_the_learner(name: str) -> None:
    learn = line_learner()
    before = dict(vars(learn))
    with pytest.raises(ValueError, match=rf"of class {name} would replace learn.{name.lower()}"):
        type(name, (LearnerCallback,), {})(learn)
    assert vars(learn) == before


def test_a_callback_replaces_the_one_of_the_fit_before() -> None:
    learn = line_learner()
    first, second = Recorder(learn), Recorder(learn)
    assert first is not second
    assert learn.recorder is second
