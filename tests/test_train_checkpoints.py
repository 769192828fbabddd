"""Saving and loading: what comes back, and that training goes on as if it had not stopped."""
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from tiny import fit_quietly, frozen_copy, line_learner, three_groups

from minifast.nn import StateDictError
from minifast.optim import Adam
from minifast.train import Learner


def generators(learn: Learner) -> list[Any]:
    """Those that decide what the next epoch does."""
    owners = [*learn.model.modules(), learn.data.train_dl]
    return [owner.rng for owner in owners if hasattr(owner, "rng")]


def test_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    whole = three_groups(drop=.3, path=tmp_path)
    fit_quietly(whole, 1, slice(1e-4, 1e-2))
    whole.save("half")
    states = [g.bit_generator.state for g in generators(whole)]
    fit_quietly(whole, 2, slice(1e-4, 1e-2))
    resumed = three_groups(drop=.3, path=tmp_path)
    assert resumed.load("half") is resumed
    for g, state in zip(generators(resumed), states, strict=True):
        g.bit_generator.state = state
    fit_quietly(resumed, 2, slice(1e-4, 1e-2))
    assert frozen_copy(resumed) == frozen_copy(whole)
    assert resumed.recorder.val_losses == whole.recorder.val_losses


def test_the_middle_of_a_cycle_can_be_saved(tmp_path: Path) -> None:
    whole, first, second = (line_learner(4, opt_func=Adam, path=tmp_path)
                            for _ in range(3))
    for learn, epochs, start in ((whole, 3, None), (first, 1, None), (second, 2, 1)):
        with learn.no_logging():
            if learn is second:
                learn.load("one")
            learn.fit_one_cycle(epochs, 1e-2, tot_epochs=3, start_epoch=start)
        learn.save("one")
    assert frozen_copy(second) == frozen_copy(whole)


def test_weights_buffers_and_the_optimizer_come_back(tmp_path: Path) -> None:
    learn = fit_quietly(three_groups(path=tmp_path), 1, 1e-2)
    saved = frozen_copy(learn)
    path = learn.save("here", return_path=True)
    assert path == tmp_path / "models" / "here.safetensors"
    fit_quietly(learn, 1, 1e-2)
    assert frozen_copy(learn) != saved
    assert frozen_copy(learn.load("here")) == saved
    assert frozen_copy(three_groups(path=tmp_path).load("here")) == saved


def test_without_the_optimizer(tmp_path: Path) -> None:
    learn = fit_quietly(three_groups(path=tmp_path), 1, 1e-2)
    learn.save("whole")
    learn.save("weights", with_opt=False)
    three_groups(path=tmp_path).save("untrained")
    sizes = {p.stem: p.stat().st_size for p in (tmp_path / "models").iterdir()}
    assert sizes["weights"] < sizes["whole"] / 2
    for name in ("weights", "untrained"):
        fresh = three_groups(path=tmp_path).load(name)
        assert fresh.opt is None
        with pytest.raises(ValueError, match=f"{name}.safetensors holds no optimizer state"):
            fresh.load(name, with_opt=True)
    fresh = three_groups(path=tmp_path).load("whole", with_opt=False)
    assert fresh.opt is None
    weights = {k: v for k, v in frozen_copy(learn).items() if not k.startswith("opt.")}
    assert frozen_copy(fresh) == weights
    before = frozen_copy(learn)
    learn.load("weights")  # the optimizer that is there stays
    assert frozen_copy(learn) == before


def test_saved_frozen_and_loaded_unfrozen(tmp_path: Path) -> None:
    learn = three_groups(path=tmp_path, train_bn=False)
    learn.freeze()
    fit_quietly(learn, 1, 1e-2)
    learn.save("frozen")
    other = fit_quietly(three_groups(path=tmp_path), 1, 1e-2)
    opt = frozen_copy(other)
    with pytest.warns(UserWarning, match=r"optimizer state left out: .* belong to other layer "
                                         "groups or other trainable parameters"):
        other.load("frozen")
    assert {k: v for k, v in frozen_copy(other).items() if not k.startswith("opt.")} == {
        k: v for k, v in frozen_copy(learn).items() if not k.startswith("opt.")}
    assert {k: v for k, v in frozen_copy(other).items() if k.startswith("opt.")} == {
        k: v for k, v in opt.items() if k.startswith("opt.")}
    fit_quietly(other, 1, 1e-2)
    with pytest.warns(UserWarning, match="optimizer state left out"), \
            pytest.raises(ValueError, match=r"the optimizer state in .* is of other layer groups"):
        three_groups(path=tmp_path).load("frozen", with_opt=True)
    again = three_groups(path=tmp_path, train_bn=False)
    again.freeze()
    assert frozen_copy(again.load("frozen")) == frozen_copy(learn)


def test_where_checkpoints_go(tmp_path: Path) -> None:
    learn = three_groups(path=tmp_path, model_dir="deep/er")
    places = {"a": "a.safetensors", "b.safetensors": "b.safetensors", "v1.2": "v1.2.safetensors",
              "sub/c": "sub/c.safetensors", str(tmp_path / "d"): "../../d.safetensors"}
    for name, place in places.items():
        path = learn.save(name, return_path=True)
        assert path.resolve() == (tmp_path / "deep" / "er" / place).resolve()
        assert path.is_file()
        learn.load(name)
    assert learn.save("e") is None
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".safetensors"]


def test_a_checkpoint_is_named_arrays_and_nothing_else(tmp_path: Path) -> None:
    learn = fit_quietly(three_groups(path=tmp_path), 1, 1e-2)
    path = learn.save("plain", return_path=True)
    arrays = load_file(path)
    assert {k.removeprefix("model.") for k in arrays if k.startswith("model.")} == set(
        learn.model.state_dict())
    assert {k.partition(".")[0] for k in arrays} == {"model", "opt"}
    with safe_open(path, "np") as file:
        assert file.metadata() == {"format": "minifast", "kind": "Sequential"}
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask  # readable by whom any new file is


def test_weights_that_something_else_wrote(tmp_path: Path) -> None:
    """Plain names, as torch's and others' safetensors files have them."""
    learn = three_groups(path=tmp_path)
    arrays = {k: np.asarray(v + 1) for k, v in learn.model.state_dict().items()}
    (tmp_path / "models").mkdir()
    save_file(arrays, tmp_path / "models" / "foreign.safetensors")
    learn.load("foreign")
    for name, array in learn.model.state_dict().items():
        np.testing.assert_array_equal(array, arrays[name])


def test_weights_of_a_part_of_the_model(tmp_path: Path) -> None:
    learn = three_groups(path=tmp_path)
    arrays = learn.model.state_dict()
    (tmp_path / "models").mkdir()
    part = {k: np.asarray(v + 1) for k, v in arrays.items() if k.startswith("0.")}
    save_file(part, tmp_path / "models" / "part.safetensors")
    with pytest.raises(StateDictError, match=r"missing: 2\.weight, .*strict=False"):
        learn.load("part")
    assert learn.model.state_dict()["0.weight"].tobytes() == arrays["0.weight"].tobytes()
    learn.load("part", strict=False)
    for name, array in learn.model.state_dict().items():
        np.testing.assert_array_equal(array, part.get(name, arrays[name]))


def test_a_save_replaces_the_old_file_whole(tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    learn = fit_quietly(three_groups(path=tmp_path), 1, 1e-2)
    path = learn.save("kept", return_path=True)
    content = path.read_bytes()
    write = Path.write_bytes

    def disk_full(self: Path, data: bytes) -> int:
        write(self, data[:100])
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(OSError, match=r"cannot write .*kept.safetensors.*No space left"):
        learn.save("kept")
    monkeypatch.undo()
    assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == [path.name]
