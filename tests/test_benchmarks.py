"""The benchmarks run, on the simulated device too, and what they compare gives equal results."""
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifast
from benchmarks import frozen, gpu, notebook, scatter
from minifast import Tensor
from minifast.collab import EmbeddingDotBias
from minifast.data import planted_ratings
from minifast.nn import MSELossFlat
from minifast.optim import Adam

pytestmark = pytest.mark.cpu_only("each benchmark is told its device")


def rows_of(text: str) -> list[list[str]]:
    """The cells of the table's rows, without its head."""
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
    launches_of_notebook, = {int(row[4]) for row in table[:3]}  # the same whatever the batch
    assert launches_of_notebook <= 60


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
    """Memory is the same everywhere; time is not asked of a busy machine."""
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


# ---------------------------------------------------------------- the hand-written step


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, EmbeddingDotBias, Any]:
    """The hand-written loop, a model with its weights, and an optimizer with its settings."""
    monkeypatch.setattr(notebook, "FACTORS", 5)
    frame = planted_ratings(n_users=30, n_items=40, n_ratings=900).ratings
    hand = notebook.HandWritten(frame)
    n_users = int(hand.ids[1].min())
    n_items = len(hand.table) - n_users
    model = EmbeddingDotBias(5, n_users, n_items, [notebook.LOW, notebook.HIGH])
    rng = np.random.default_rng(1)
    hand.table[:] = rng.normal(0, .3, hand.table.shape)
    users, items = hand.table[:n_users], hand.table[n_users:]
    model.load_state_dict({"u_weight.weight": users[:, :-1], "u_bias.weight": users[:, -1:],
                           "i_weight.weight": items[:, :-1], "i_bias.weight": items[:, -1:]})
    opt = Adam([model.parameters()], lr=notebook.LR, mom=.9, beta=.99, eps=1e-8, wd=notebook.WD)
    return hand, model, opt


def as_one_table(model: EmbeddingDotBias, what: str) -> np.ndarray:
    """Weights or gradients in the order of the hand-written table."""
    def of(name: str) -> Any:
        return getattr(getattr(model, name).weight, what)
    return np.vstack([np.hstack([of("u_weight"), of("u_bias")]),
                      np.hstack([of("i_weight"), of("i_bias")])])


def test_the_hand_written_step_and_minifasts_agree(twins: Any) -> None:
    hand, model, opt = twins
    first_item = int(hand.ids[1].min())
    rng, loss_func = np.random.default_rng(2), MSELossFlat()
    for _ in range(10):
        rows = rng.choice(len(hand.y), notebook.BS, replace=False)
        users, items = hand.ids[:, rows]
        hand.backward(hand.ids[:, rows].reshape(-1), hand.y[rows])
        hand.adam()
        loss_func(model(Tensor(users), Tensor(items - first_item)), Tensor(hand.y[rows])).backward()
        opt.step()
        # a gradient is a sum of at most 64 terms; with sums below 1/2 each is rounded by 2^-26
        assert abs(hand.grad).max() < .5
        np.testing.assert_allclose(as_one_table(model, "grad"), hand.grad, rtol=0, atol=64 / 2**26)
        opt.zero_grad()
    # ten steps, each of which rounds weights below 1 once or twice, by 2^-24 at most
    assert .5 < abs(hand.table).max() < 1
    np.testing.assert_allclose(as_one_table(model, "data"), hand.table, rtol=0, atol=20 / 2**24)


def test_the_hand_written_epoch_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "FACTORS", 5)
    hand = notebook.HandWritten(planted_ratings(n_users=60, n_items=50, n_ratings=3000).ratings)

    def loss() -> float:
        u, v = hand.table[hand.ids]
        z = (u[:, :-1] * v[:, :-1]).sum(1) + u[:, -1] + v[:, -1]
        return float(((notebook.HIGH / (1 + np.exp(-z)) - hand.y) ** 2).mean())
    before = loss()
    for _ in range(3):
        hand.epoch()
    assert loss() < before / 1.5


def test_the_notebooks_epochs_are_timed(monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    few = planted_ratings(n_users=60, n_items=50, n_ratings=1000).ratings
    ours = {name: make for name, make in notebook.CASES.items() if "torch" not in name
            and "fastai" not in name}
    monkeypatch.setattr(notebook, "CASES", ours)
    monkeypatch.setattr(notebook, "ratings", partial(tuple, ["few ratings", few]))
    monkeypatch.setattr("sys.argv", ["notebook.py", "--repeats", "1"])
    notebook.main()
    first, *cases = capsys.readouterr().out.splitlines()
    assert first.startswith("few ratings, 1000 rows; Python ")
    assert [line[:36].strip() for line in cases] == list(ours)
    assert "1.00x minifast" in cases[0]
