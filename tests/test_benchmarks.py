"""The benchmarks run, on the simulated device too, and what they compare gives equal results."""
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import minifast
from benchmarks import frozen, gpu, lazy, our_tables, scale, scatter, tables

pytestmark = pytest.mark.cpu_only("each benchmark is told its device")


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of the table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


# ---------------------------------------------------------------- the GPU kit


def test_the_gpu_kit_runs_and_writes_its_report(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--device", "fakecuda", "--repeats", "1", "--batches", "2"]
    monkeypatch.setattr("sys.argv", ["gpu.py", *options, "--save", str(tmp_path / "gpu")])
    gpu.main()
    text = (tmp_path / "gpu/fakecuda.md").read_text()
    assert text == capsys.readouterr().out
    assert text.startswith("# fakecuda; times mean nothing here\n")
    assert f"minifast {minifast.__version__}, Python " in text
    assert f"numpy {np.__version__}" in text
    assert f"Command: `python -m benchmarks.gpu {' '.join(options)} --save" in text
    assert re.search(r"^Copy on the device: [\d,]+ GB/s$", text, re.M)
    table = rows_of(text)
    assert [row[0] for row in table] == [case.name for case in gpu.CASES]
    for _, step, *torch, launches, moved in table:
        assert int(step) > 0
        assert torch == ["-", "-"]
        assert int(launches) > 0
        assert moved == "0"  # no step moves anything between host and device
    launches = [int(row[4]) for row in table[:3]]  # of the notebook's model
    assert max(launches) - min(launches) <= 3  # a large batch has three gathers to itself
    assert max(launches) <= 60


def test_torch_is_asked_only_for_a_card() -> None:
    assert gpu.torch_step(gpu.CASES[0], repeats=1, batches=1) is None or \
        minifast.backend.cuda_state().state == "ok"


# ---------------------------------------------------------------- sums of gradients


@pytest.mark.parametrize("name", ["cpu", "fakecuda"])
@pytest.mark.parametrize("size", [1, 7, 50])
def test_all_ways_to_sum_gradients_agree(name: str, size: int) -> None:
    rng = np.random.default_rng(size)
    ids = rng.integers(1, 6, size)  # row 0 and the last two get nothing
    values = rng.integers(-9, 10, (size, 3)).astype(np.float32)  # sums exact in any order
    expected = np.zeros((8, 3), np.float32)
    for i, row in zip(ids, values, strict=True):
        expected[i] += row
    backend = minifast.backend.get_backend(name)
    ways = scatter.ways(name)
    assert list(ways)[:3] == list(scatter.WAYS)
    for way in ways.values():
        total = way(backend.from_host(ids), backend.from_host(values), 8)
        assert type(total) is backend.array_type
        found = backend.to_host(total)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("name", "others"), [("cpu", 2), ("fakecuda", 0)])
def test_the_table_of_ways(name: str, others: int, capsys: pytest.CaptureFixture[str]) -> None:
    scatter.main(["--device", name, "--repeats", "1", "--sizes", "4", "9", "--rows", "5",
                  "--width", "2"])
    out = capsys.readouterr().out
    assert out.startswith(f"{name}; ")
    assert "2 columns, 5 rows" in out
    assert "batch 4 | batch 9" in out
    table = rows_of(out)
    assert [row[0] for row in table] == list(scatter.ways(name))
    assert len(table) == 3 + others
    assert [row[4] for row in table[:3]] == ["0"] * 3  # none of the three waits for a GPU
    assert [row[3:] for row in table[3:]] == [["-", "-"]] * others


# ---------------------------------------------------------------- a frozen body


def test_what_a_frozen_body_saves(capsys: pytest.CaptureFixture[str]) -> None:
    """Memory is the same everywhere; times on a busy machine are not tested."""
    frozen.main(["--bs", "16", "--repeats", "2"])
    out = capsys.readouterr().out
    assert out.startswith("cpu; ")
    assert f"numpy {np.__version__}" in out
    assert "resnet10, batches of 16 images of 8 x 8, median of 2 steps" in out
    table = rows_of(out)
    assert [row[0] for row in table] == ["all of it trains", "body frozen, train_bn=True",
                                         "body frozen, train_bn=False"]
    assert all(float(row[1]) > 0 for row in table)
    assert [row[2] for row in table[:1]] == ["0%"]


def test_a_frozen_body_needs_less_than_half_the_memory() -> None:
    all_of_it, _, body = frozen.steps(64, 8).values()
    assert frozen.peak_bytes(body) < .5 * frozen.peak_bytes(all_of_it)


def test_peak_memory_is_what_lay_there_at_once() -> None:
    def work() -> None:
        a = np.ones(1 << 20, np.uint8)
        b = np.ones(1 << 20, np.uint8)
        del a
        c = b.copy()
        del b, c
    frozen.peak_bytes(work)
    assert 2 << 20 <= frozen.peak_bytes(work) < (2 << 20) + 10_000


# ---------------------------------------------------------------- deferred updates


def test_deferred_updates_are_timed_and_plotted(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "lazy.svg"
    lazy.main(["--rows", "400", "800", "--factors", "3", "--bs", "16", "--steps", "10",
               "--only", "minifast", "--errors", "30", "--plot", str(picture)])
    out = capsys.readouterr().out
    assert "| rows | minifast plain | minifast fast |" in out
    assert [line.count("|") for line in out.splitlines() if line.startswith("| 800 |")] == [4, 4]
    errors = re.findall(r"^\| (plain|fast.*) \| ([\d.e-]+) \|$", out, re.M)
    assert [form for form, _ in errors] == ["plain", "fast"] * 2 + [
        f"fast, {n} nodes" for n in (1, 2, 3, 4, 8)]
    assert all(float(distance) < 1e-4 for _, distance in errors)  # one node is the worst
    assert picture.read_text(encoding="utf-8").count("<svg") == 1


# ---------------------------------------------------------------- many ratings


def test_stages_of_training_on_many_ratings(capsys: pytest.CaptureFixture[str]) -> None:
    scale.main(["--ways", "frame", "csv", "--users", "300", "--items", "200", "--ratings", "4000",
                "--bs", "64", "--steps", "3"])
    out = capsys.readouterr().out
    assert "4,000 ratings, 300 users, 200 items, 50 factors, batches of 64" in out
    stages = re.findall(r"^\| (.*) \| ([\d.]+) \| ([\d,]+) MiB \|$", out, re.M)
    learner = ["collab_learner", "3 batches train", "3 batches validate"]
    assert [name for name, _, _ in stages] == [
        "Python and libraries", "ratings as a frame", "CollabDataBunch.from_df", *learner,
        "Python and libraries", "CollabDataBunch.from_csv", *learner]
    for way in (stages[:6], stages[6:]):
        peaks = [int(peak.replace(",", "")) for _, _, peak in way]
        assert peaks[0] > 10
        assert peaks == sorted(peaks)  # it is the peak so far
    assert out.count("While it trains: frame 0 MiB, ratings 0 MiB, order of a pass 0 MiB, ") == 2


# ---------------------------------------------------------------- tables


def test_a_contestant_trains_on_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    """Body mass tells the sex, so the loss is below that of a guess, log 2."""
    rng = np.random.default_rng(0)
    sex = rng.choice(["female", "male"], 200)
    mass = np.where(sex == "male", 4500, 3500) + rng.normal(0, 300, 200)
    rows = ["species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex",
            *(f"a,b,40,17,200,{m:.0f},{s}" for m, s in zip(mass, sex, strict=True))]
    (tmp_path / "penguins.csv").write_text("\n".join(rows))
    number = [table.name for table in tables.TABLES].index("penguins")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{number} 0\n"))
    monkeypatch.setattr("sys.stdout", sys.stdout)  # serve() sends what libraries print elsewhere
    tables.serve("minifast", str(tmp_path))
    loss, seconds = json.loads(capsys.readouterr().out)
    assert 0 < loss < .5
    assert seconds > 0


def test_the_line_of_a_table() -> None:
    ours, theirs = np.array([[1., 1.], [3., 2.]]), np.array([[2., 8.], [3., 9.]])
    assert tables.row(tables.TABLES[0], ours, theirs) == \
        "| flights, arr_delay | RMSE | 2.000 +- 1.000 | 2.500 +- 0.500 | -0.500 +- 0.500 | 6.2 |"
    preds = np.array([[.5, .5], [.25, .75]])
    assert tables.error(tables.TABLES[-1], preds, np.array([0, 1])) == \
        pytest.approx(-(np.log(.5) + np.log(.75)) / 2)
    assert len(our_tables.REMEDIES) == 6
