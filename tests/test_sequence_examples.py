"""examples/char_rnn.py and examples/gpt.py train, compare, write, and refuse in one line."""
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from host import host
from scripts import load_example

from minifast import tensor

NAMES = ["char_rnn", "gpt"]


@pytest.fixture(params=NAMES)
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load an example with small settings."""
    module = load_example(request.param)
    small = {"LENGTH": 16, "STEP": 32, "WIDTH": 16, "HIDDEN": 16, "HEADS": 2, "LAYERS": 1}
    for name, value in small.items():
        monkeypatch.setattr(module, name, value, raising=False)
    return module


def bits(out: str) -> dict[str, tuple[float, float]]:
    """The lines of the table: bits per character and perplexity."""
    rows = re.findall(r"^(frequencies of \w+|frequencies of characters|the network) +([\d.]+) +"
                      r"([\d.]+)$", out, re.M)
    return {name: (float(a), float(b)) for name, a, b in rows}


def test_it_learns_more_than_frequencies_and_writes(
        example: ModuleType, device: str, capsys: pytest.CaptureFixture[str]) -> None:
    example.main(["--epochs", "3", "--seed", "1", "--start", "A ", "--device", device])
    out = capsys.readouterr().out
    table = bits(out)
    assert list(table) == ["frequencies of characters", "frequencies of pairs", "the network"]
    assert table["the network"][0] < table["frequencies of characters"][0]
    for value, perplexity in table.values():
        assert perplexity == pytest.approx(2 ** value, abs=.02)
    last = re.findall(r"^2 +[\d.]+ +([\d.]+) +([\d.]+)", out, re.M)[-1]
    assert float(last[0]) / np.log(2) == pytest.approx(float(last[1]), abs=1e-4)
    assert table["the network"][0] == pytest.approx(float(last[1]), abs=1e-3)
    sample = out.split("== A sample, at temperature 0.7\n")[1].rsplit("\n\n", 1)[0]
    assert sample.startswith("A ")
    assert len(sample) == 302


def test_the_model_sees_no_later_character(example: ModuleType) -> None:
    args = example.parse(["--seed", "3"])
    learn, data = example.make_learner(example.read(args.text), args)
    ids = np.arange(12)[None] % len(data.classes)
    other = ids.copy()
    other[:, 8:] += 1
    first, second = (host(learn.model.eval()(tensor(x))) for x in (ids, other))
    assert first.shape == (1, 12, len(data.classes))
    np.testing.assert_array_equal(first[:, :8], second[:, :8])
    assert (first[:, 8:] != second[:, 8:]).any()


def test_a_text_of_ones_own(example: ModuleType, tmp_path: Path,
                            capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.txt"
    file.write_text("na na\nna batman.\n\n" * 200, encoding="utf-8")
    example.main(["--epochs", "1", "--text", str(file), "--start", "na"])
    assert ", 8 different ones;" in capsys.readouterr().out


@pytest.mark.cpu_only("what happens before training")
@pytest.mark.parametrize(("options", "message"), [
    (["--epochs", "0"], "argument --epochs: '0' is not an integer of at least 1"),
    (["--seed", "x"], "argument --seed: 'x' is not an integer of at least 0"),
    (["--device", "abacus"], "unknown device 'abacus'; known devices: cpu"),
    (["--text", "nowhere.txt"], "cannot read --text nowhere.txt: No such file or directory"),
    (["--text", "bytes"], "cannot read --text bytes: .*can't decode byte 0xff"),
    (["--text", "short"], "a text of 5 characters is too short for windows of 16"),
    (["--start", "#"], "the data do not have the characters '#'; they have"),
    (["--start", ""], "a start has at least one character"),
    (["--colour", "red"], "unrecognized arguments: --colour red")])
def test_a_users_error_is_one_line(
        example: ModuleType, options: list[str], message: str, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "short").write_text("abcde", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        example.main(options)
    assert re.match(rf"(char_rnn|gpt)\.py: {message}", str(ended.value))
    assert "\n" not in str(ended.value)
    assert capsys.readouterr().out == ""


@pytest.mark.cpu_only("reads a file")
def test_the_courses_text_is_plain(example: ModuleType) -> None:
    text = example.TEXT.read_text(encoding="utf-8")
    assert 20_000 < len(text) < 40_000
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 120
    assert "\n" not in example.read(example.TEXT).split("\n", 3)[2]
