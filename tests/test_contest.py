"""`python -m benchmarks`: contestants do the same work, and the report and the guard are right."""
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minifast
from benchmarks import __main__ as program
from benchmarks import (
    guard,
    installed,
    many_ratings,
    networks,
    notebook,
    readme,
    report,
    startup,
)
from benchmarks import job as given
from benchmarks.contest import Case, Contest, Contestant, Result
from benchmarks.families import FASTAI, LEARNER, SURPRISE, TORCH, Options, floor, ours
from benchmarks.floor import flat
from benchmarks.floor.dot import Dot
from benchmarks.job import Job
from benchmarks.ours import model_of, optimizer
from minifast import Tensor
from minifast.datasets import planted_ratings
from minifast.nn import Module, MSELossFlat
from minifast.optim import Optimizer

pytestmark = pytest.mark.cpu_only("contestants run on the CPU")

LOOPS = ["benchmarks.ours", "benchmarks.floor.loop"]
PEERS = [f"benchmarks.peers.{name}_loop" for name in ("torch", "jax") if find_spec(name)]


@pytest.fixture
def dot(tmp_path: Path) -> Job:
    """The dot product model on a few ratings."""
    notebook.write(planted_ratings(n_users=30, n_items=40, n_ratings=900).ratings, tmp_path)
    return Job("dot", bs=32, lr=.05, wd=.1, folder=str(tmp_path))


def job_of(model: str, folder: Path) -> Job:
    """A little of a network's data."""
    build, shape = {"mlp": (networks.mlp, (784,)),
                    "resnet10": (networks.digits_net, (1, 8, 8))}[model]
    networks.write(build, shape, 32, folder)
    return Job(model, bs=16, folder=str(folder))


def losses(module: str, job: Job, steps: int) -> list[float]:
    train = import_module(module).make(job)
    return [train(1) for _ in range(steps)]


# ---------------------------------------------------------------- the same work


def agree(job: Job, modules: list[str], steps: int = 6) -> None:
    """Steps give the same losses, which have moved: an equal start alone is not enough."""
    expected, *others = (losses(module, job, steps) for module in modules)
    assert max(expected) - min(expected) > .01
    for found in others:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_contestants_train_the_dot_product_alike(dot: Job, name: str) -> None:
    modules = [*LOOPS, *PEERS] if name == "AdamW" else \
        [m for m in [*LOOPS, *PEERS] if "jax" not in m]
    lr, wd = {"AdamW": (.05, .1), "SGD": (1., 0.)}[name]  # torch's SGD cannot decouple decay
    agree(replace(dot, optimizer=name, lr=lr, wd=wd), modules)


def test_the_fast_path_the_plain_path_and_torch_train_an_own_model_alike(dot: Job) -> None:
    job = replace(dot, model="own dot")
    runs = [losses("benchmarks.ours", replace(job, how=how), 6) for how in ("", "plain")]
    runs += [losses(module, job, 6) for module in PEERS if "torch" in module]
    same = losses("benchmarks.ours", dot, 6)  # the formula is that of EmbeddingDotBias
    for found in runs:
        np.testing.assert_allclose(found, same, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("how", "times"), [("", 1), ("plain", 0)])
def test_a_raw_loop_enters_the_fast_path_once(dot: Job, how: str, times: int,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    entered = []

    @contextmanager
    def accelerate(model: Module, opt: Optimizer) -> Iterator[None]:
        entered.append((type(model).__name__, len(opt.groups)))
        yield
    monkeypatch.setattr("benchmarks.ours.find_spec", str)
    monkeypatch.setattr(minifast, "fast", SimpleNamespace(accelerate=accelerate), raising=False)
    losses("benchmarks.ours", replace(dot, how=how), 3)
    assert entered == [("EmbeddingDotBias", 1)] * times


@pytest.mark.parametrize("how", ["Learner", "plain Learner"])
def test_a_learner_trains_epochs(dot: Job, how: str) -> None:
    first, second = losses("benchmarks.ours", replace(dot, how=how), 2)
    assert second < first


@pytest.mark.parametrize("model", ["mlp", "resnet10"])
def test_contestants_train_networks_alike(model: str, tmp_path: Path) -> None:
    modules = [*LOOPS, *(m for m in PEERS if model == "mlp" or "torch" in m)]
    # Adam's first steps go by the sign: where a gradient is near zero, rounding decides, and
    # batch norm passes that on
    agree(job_of(model, tmp_path), modules, {"mlp": 6, "resnet10": 3}[model])


@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_a_step_by_hand_and_minifasts_agree_to_rounding(dot: Job, name: str) -> None:
    job = replace(dot, optimizer=name, lr=6e-3, wd=.1)
    hand, model = Dot(given.weights(job)), model_of(job)
    ours, theirs = optimizer(job, model), flat.OPTIMIZERS[name](hand.flat, job)
    x, y = given.rows(job)
    batches = given.batches(len(y), job.bs, seed=2)
    for _ in range(10):
        rows = next(batches)
        hand.backward([column[rows] for column in x], y[rows])
        MSELossFlat()(model(*(Tensor(c[rows]) for c in x)), Tensor(y[rows])).backward()
        # a gradient is a sum of at most 32 terms; with sums below 1 each is rounded by 2^-25
        assert abs(hand.flat.all_grad).max() < 1
        np.testing.assert_allclose(as_one_table(model, "grad"), hand.flat.grad["table"], rtol=0,
                                   atol=32 / 2**25)
        ours.step()
        theirs.step()
        ours.zero_grad()
    # ten steps, each of which rounds weights below 1/2 a few times, by 2^-25 at most
    assert abs(hand.table).max() < .5
    np.testing.assert_allclose(as_one_table(model, "data"), hand.table, rtol=0, atol=40 / 2**25)


def as_one_table(model: Any, what: str) -> np.ndarray:
    """Weights or gradients in the order of the hand-written table, with its two bias columns."""
    def of(name: str) -> Any:
        return getattr(getattr(model, name).weight, what)
    users, items = of("u_bias"), of("i_bias")
    return np.vstack([np.hstack([of("u_weight"), users, 0 * users]),
                      np.hstack([of("i_weight"), 0 * items, items])])


def test_by_hand_the_running_statistics_follow_too(tmp_path: Path) -> None:
    from benchmarks.floor.resnet import ResNet
    job = job_of("resnet10", tmp_path)
    hand, model = ResNet(given.weights(job)), model_of(job)
    x, y = given.rows(job)
    hand.backward([x[0][:16]], y[:16])
    model(Tensor(x[0][:16]))
    state = model.state_dict()
    for name, values in hand.running.items():
        np.testing.assert_allclose(values, state[name], rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- data


def test_a_pass_has_every_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "CHUNK", 8)
    batches = given.batches(20, 4, seed=0)
    first, second = ([next(batches) for _ in range(5)] for _ in range(2))
    for one_pass in (first, second):
        assert sorted(np.concatenate(one_pass)) == list(range(20))
    assert not np.array_equal(first, second)
    with pytest.raises(ValueError, match="3 rows are fewer than one batch of 4"):
        next(given.batches(3, 4, seed=0))


def test_the_data_of_a_case_are_shared_but_not_changed(dot: Job) -> None:
    given.read(dot.folder, "y")[:] = 0
    assert given.rows(dot)[1].min() >= 1


def test_ratings_with_a_long_tail() -> None:
    (users, items), y = many_ratings.long_tailed(2000, 700, 50_000)
    assert users.dtype == items.dtype == np.int32
    assert set(np.unique(y)) == {1, 2, 3, 4, 5}
    for ids, n, of_the_first_tenth in ((users, 2000, .3), (items, 700, .5)):
        counts = np.sort(np.bincount(ids, minlength=n))[::-1]
        assert len(counts) == n
        assert counts[:n // 10].sum() > of_the_first_tenth * len(y)
    assert abs(y.mean() - 3.5) < .3


# ---------------------------------------------------------------- the command


def cells(text: str) -> list[list[str]]:
    """The tables' cells, without heads."""
    return [re.split(r" +\| +", line.strip("| ")) for line in text.splitlines()
            if re.match(r"\| (?!case|installed)", line)]


def test_the_command_measures_and_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    options = ["notebook", "--scale", ".01", "--libraries", "minifast", "numpy", "torch",
               "--python", "torch=/no/such/python", "--threads", "1", "--repeats", "1", "--save",
               str(tmp_path / "report.md")]
    monkeypatch.setattr("sys.argv", ["benchmarks", *options])
    assert program.main(options) == 0
    text = (tmp_path / "report.md").read_text()
    assert text == capsys.readouterr().out
    assert "The ratings are planted" in text
    assert "--python torch=..." in text
    assert "Not measured: torch loop, AdamW fused ([Errno 2] No such file" in text
    table = cells(text)
    assert [row[1] for row in table] == [
        "minifast Learner", "minifast loop, AdamW", "minifast Learner, plain",
        "minifast loop, AdamW plain", "NumPy by hand, AdamW", "minifast loop, SGD",
        "NumPy by hand, SGD"]
    assert {row[0] for row in table} == {"1000 ratings, batch 64"}
    assert [table[0][5], table[5][5]] == ["1.00", "1.00"]
    by_name = {row[1]: float(row[7]) for row in table}
    for name in ("AdamW", "SGD"):  # the same work; the last digit may be rounded otherwise
        assert abs(by_name[f"minifast loop, {name}"] - by_name[f"NumPy by hand, {name}"]) < 1.5e-4
    plain = by_name["minifast loop, AdamW plain"]
    assert abs(plain - by_name["minifast loop, AdamW"]) < 1.5e-4


def test_every_familys_cases_can_be_made() -> None:
    options = Options(scale=.001)
    made = {name: list(family.cases(options)) for name, family in program.FAMILIES.items()}
    assert [len(cases) for cases in made.values()] == [1, 2, 2, 2, 4, 1, 1, 0]
    assert {case.job.bs for case in made["movielens25m"]} == {4096, 65536}
    assert [c.name for c in program.FAMILIES["mlp"].cases(Options(bs=(8, 16)))] == [
        "MLP, batch 8", "MLP, batch 16"]
    for contestant in (LEARNER, FASTAI, *SURPRISE, *TORCH):
        assert find_spec(contestant.module), contestant


@pytest.mark.parametrize(("options", "message"), [
    (["noteboks"], "no family 'noteboks'; choose from notebook, batches"),
    (["--python", "torch"], "needs LIBRARY=PATH"), (["--repeats", "0"], "must be positive")])
def test_options_are_checked(options: list[str], message: str,
                             capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(options)
    assert message in capsys.readouterr().err


def test_who_fails_is_named_and_the_others_go_on(dot: Job) -> None:
    who = [Contestant("one that is not installed", "x", "benchmarks.no_such_module"), floor(),
           Contestant("one that breaks", "x", "benchmarks.floor.loop", "no such optimizer")]
    contest = Contest(repeats=2, threads=[1])
    case = Case("tiny", dot, who, ".", lambda folder: 0, steps=3)
    result, = contest.run(case, Path(dot.folder))
    assert result.contestant == floor()
    assert len(result.seconds) == 2
    assert result.peak > 1 << 20
    assert contest.notes == {
        "one that is not installed": "No module named 'benchmarks.no_such_module'",
        "one that breaks": "its process ended: KeyError: 'no such optimizer'"}


# ---------------------------------------------------------------- startup


def test_imports_are_timed_in_new_processes() -> None:
    contest = Contest(repeats=1)
    who = [Contestant("one", "numpy", "pass"), Contestant("two", "numpy", "import no_such_thing")]
    result, = startup.measured(contest, "import", who, partial(startup.import_once, contest))
    assert len(result.seconds) == 1
    assert contest.notes == {"two": "ModuleNotFoundError: No module named 'no_such_thing'"}


def test_installed_sizes(monkeypatch: pytest.MonkeyPatch,
                         capsys: pytest.CaptureFixture[str]) -> None:
    assert list(installed.needed(["Typing_Extensions>=4; python_version<'3.12'", "a.b[c]~=1",
                                  "x ; extra == 'y'"])) == ["typing-extensions", "a-b"]
    packages = installed.closure(["pandas", "no-such-package"])
    assert {"pandas", "numpy"} <= set(packages)
    assert installed.size(packages.values()) > installed.size([packages["numpy"]]) > 1 << 20
    for names, least, most in (([], 1 << 18, 1 << 22),
                               (["minifast"], installed.size(packages.values()), 1 << 31)):
        monkeypatch.setattr("sys.argv", ["installed", *names])
        installed.main()
        assert least < int(capsys.readouterr().out) < most


# ---------------------------------------------------------------- the report


def test_the_ratio_is_to_minifast_with_the_same_optimizer_and_threads() -> None:
    results = [Result("a", LEARNER, 1, [2., 2., 8.]), Result("a", LEARNER, 2, [1.]),
               Result("a", ours("SGD"), 1, [.5]), Result("a", TORCH[0], 1, [3.]),
               Result("a", TORCH[0], 2, [3.]), Result("a", TORCH[3], 1, [3.]),
               Result("b", TORCH[0], 1, [3.])]
    assert [report.row(r, results).split(" | ")[5] for r in results] == [
        "1.00", "1.00", "1.00", "1.50", "3.00", "6.00", "-"]
    assert [report.duration(s) for s in (1.2e-6, 123.4e-6, .0567, 2.5, 1234)] == [
        "1.20 us", "123 us", "56.7 ms", "2.50 s", "1234 s"]


# ---------------------------------------------------------------- the README's table


REPORT = """
| case | contestant | threads | time per epoch | shortest to longest | ratio to minifast | x | y |
|---|---|---|---|---|---|---|---|
| 100 ratings, batch 64 | minifast Learner | 1 | 2 s | 2 s to 2 s | 1.00 | 1 MiB | 0.5 |
| 100 ratings, batch 64 | minifast Learner | 2 | 1 s | 1 s to 1 s | 1.00 | 1 MiB | 0.5 |
| 100 ratings, batch 64 | minifast Learner, plain | 1 | 4 s | 4 s to 4 s | 2.00 | 1 MiB | 0.5 |
| 100 ratings, batch 64 | torch loop, AdamW fused | 1 | 6 s | 6 s to 6 s | 3.00 | 1 MiB | 0.5 |
| 100 ratings, batch 64 | torch loop, AdamW foreach | 1 | 5 s | 5 s to 5 s | 2.50 | 1 MiB | 0.5 |
| 100 ratings, batch 64 | torch loop, SGD fused | 1 | 1 s | 1 s to 1 s | 0.50 | 1 MiB | 0.5 |
| 100 ratings, batch 64 | torch loop, AdamW fused | 2 | 1 s | 1 s to 1 s | 1.00 | 1 MiB | 0.5 |
| 100 ratings, batch 64 | fastai collab_learner | 1 | 40 s | 40 s to 40 s | 20.00 | 1 MiB | 0.5 |
"""


def test_the_readmes_ratios_are_to_the_fastest_form_with_one_thread() -> None:
    assert readme.table(REPORT).splitlines()[2:] == [
        "| Notebook, batch size 64 | 2.5 | 20 |",
        "| Notebook, batch size 64, plain path | 1.2 | 10 |"]
    text = f"Words.\n{readme.START}\nold\n{readme.END}\nMore.\n"
    found = readme.with_table(text, REPORT)
    assert found == f"Words.\n{readme.START}\n{readme.table(REPORT)}\n{readme.END}\nMore.\n"
    with pytest.raises(ValueError, match="no table of speed"):
        readme.with_table("Words.", REPORT)


def test_the_readmes_table_is_the_reports() -> None:
    text = readme.README.read_text()
    assert readme.with_table(text, readme.REPORT.read_text()) == text


@pytest.mark.parametrize("path", [
    readme.README, *(path for path in sorted(readme.REPORT.parent.glob("*.md"))
                     if path != readme.REPORT and path.name != "distributed.md"),  # measured there
    *sorted((readme.ROOT / "minifast").rglob("*.py"))],
    ids=lambda path: str(path.relative_to(readme.ROOT)))
def test_timings_are_in_the_report_only(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"\d ?(?:ms|us|µs)\b|times (?:as fast|faster|slower)", text)


def test_a_saved_report_renews_the_readmes_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                 ) -> None:
    for name in ("README", "REPORT"):
        monkeypatch.setattr(readme, name, tmp_path / name)
    readme.README.write_text(f"{readme.START}\n{readme.END}\n")
    monkeypatch.setattr(program, "lines", lambda *args: iter(REPORT.splitlines()))
    monkeypatch.setattr("sys.argv", ["benchmarks", "--save"])
    assert program.main(["--save"]) == 0
    assert "| Notebook, batch size 64 | 2.5 | 20 |" in readme.README.read_text()


# ---------------------------------------------------------------- the guard


def test_the_guard_compares_ratios(monkeypatch: pytest.MonkeyPatch,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    measured = [Result("a", LEARNER, 1, [2., 30., 2.2]), Result("a", floor(), 1, [1., 10., 1.])]
    found = dict(guard.ratios(measured))
    assert found == {"a: minifast Learner": 2.2}
    known = {"margin": 1.5, "ratios": {"a: minifast Learner": 1.5}}
    assert list(guard.verdicts(found, known)) == [
        (True, "a: minifast Learner: 2.20 times NumPy by hand, at most 2.25")]
    monkeypatch.setattr(program, "results", lambda family, contest, options: measured)
    for margin, code, words in ((1.5, 0, "at most 2.25"), (1.4, 1, "was 1.50, and at most 2.10")):
        monkeypatch.setattr(guard, "stored", lambda m=margin: {**known, "margin": m})
        assert program.main(["--guard"]) == code
        assert words in capsys.readouterr().out
    assert [good for good, _ in guard.verdicts({}, known)] == [False]
    assert [good for good, _ in guard.verdicts(found, {"margin": 2, "ratios": {}})] == [False]


def test_the_guard_knows_every_contestant_of_minifast() -> None:
    names = set()
    for family in guard.FAMILIES:
        for case in program.FAMILIES[family].cases(Options()):
            names |= {f"{case.name}: {c.name}" for c in case.contestants
                      if c.library == "minifast"}
    assert set(guard.stored()["ratios"]) == names
