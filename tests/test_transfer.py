"""examples/transfer.py prints what happened."""
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scripts import load_example


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load examples/transfer.py with few epochs."""
    module = load_example("transfer")
    for name, value in {"EPOCHS": 2, "FROZEN": 3, "UNFROZEN": 3, "LABELS": (2, 3, 4)}.items():
        monkeypatch.setattr(module, name, value)
    return module


def test_it_prints_how_far_each_phase_moved_the_weights(
        example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example.main(["--seeds", "1", "--first", "3", "--out", str(tmp_path)])
    out = capsys.readouterr().out
    frozen, unfrozen = re.findall(r"== (?:Frozen|Unfrozen), .*\n((?:layer group .*\n)+)", out)
    for i, (before, after) in enumerate(zip(frozen.splitlines(), unfrozen.splitlines(),
                                            strict=True)):
        start = f"layer group {i} moved by "
        assert before.startswith(start + "0: no bit changed") == (i < 2)
        assert re.match(start + r"\d\.\d{3} of its norm", after)
    assert re.search(r"^0 .* frozen +0 of 37,472 ", out, re.M)
    assert re.search(r"^2 .* trainable +901 of 901 ", out, re.M)
    assert "seed 3: with 3 images per class: from scratch 0." in out
    assert len(re.findall(r"^ +[234] +0\.\d{3} \+- 0\.000", out, re.M)) == 3
    for name in ("transfer_losses.png", "transfer.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_no_image_is_in_both_the_training_and_the_test_set(example: ModuleType) -> None:
    digits = example.Digits()
    few, others = digits.split_new(0, 3)
    assert sorted(digits.y[few]) == [5, 5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9]
    assert not set(few) & set(others)
    assert len(few) + len(others) == (digits.y >= 5).sum()
    train, valid = digits.split_old(0)
    assert not set(train) & set(valid)
    assert set(digits.y[train]) == set(range(5))


def test_the_gain_is_a_paired_difference(
        example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    scratch, noise = rng.normal(.7, .1, (10, 3)), rng.normal(0, .01, (10, 3))
    tuned = scratch + noise + np.array([.05, 0, -.05])
    results = np.stack([scratch, scratch, tuned], axis=2)
    gain, error = example.gain_of(results[:, 0])
    assert abs(gain - (.05 + noise[:, 0].mean())) < 1e-12
    assert abs(error - np.std(noise[:, 0], ddof=1) / 10 ** .5) < 1e-12
    example.report(results)
    assert re.findall(r"(helps|level|hurts)$", capsys.readouterr().out, re.M) == [
        "helps", "level", "hurts"]


@pytest.mark.parametrize(("options", "message"), [
    (["--seeds", "0"], "argument --seeds: '0' is not a whole number of at least 1"),
    (["--device", "abacus"], "unknown device 'abacus'; known devices: cpu"),
    (["--out", "a_file"], "cannot write to --out a_file: File exists; choose another folder")])
def test_errors_take_one_line(
        example: ModuleType, options: list[str], message: str, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").touch()
    with pytest.raises(SystemExit, match=message):
        example.main(options)
