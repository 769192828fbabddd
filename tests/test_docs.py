"""The documents and examples do what they say: their code runs, their tables are complete."""
import doctest
import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scripts import load_example

from minifast import Primitive, Tensor, backend
from minifast.autograd import ops
from minifast.datasets import planted_ratings
from minifast.nn import norm
from minifast.sequences import norm as row_norm
from minifast.vision import ops as windows

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
SMALL = {"n_users": 80, "n_items": 60, "n_ratings": 2000}
PNG = b"\x89PNG\r\n\x1a\n"


# ---------------------------------------------------------------- code in the documents


def blocks(page: Path) -> list[tuple[str, int, str]]:
    """(language, line, code) of each fenced block."""
    text = page.read_text(encoding="utf-8")
    return [(m[1], text.count("\n", 0, m.start(2)), m[2]) for m in BLOCK.finditer(text)]


def run_examples(code: str, names: dict[str, object], page: str, line: int) -> None:
    """Run lines with ``>>>``; what they define is there for the next block."""
    test = doctest.DocTestParser().get_doctest(code, names, page, page, line)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=report.append, clear_globs=False)
    assert not report, "".join(report)
    names.update(test.globs)


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, the CPU, no data sets and no way to download one."""
    def offline(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no network in this test")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIFAST_DEVICE", "cpu")
    monkeypatch.setenv("MINIFAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr("pooch.retrieve", offline)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    for table in ("_BY_NAME", "_BY_TYPE"):  # the lesson on devices adds a library of its own
        monkeypatch.setattr(backend, table, dict(getattr(backend, table)))
    return tmp_path


@pytest.mark.cpu_only("the pages print NumPy's arrays; the one on devices names its own")
@pytest.mark.parametrize("page", [p for p in PAGES if "```py" in p.read_text("utf-8")],
                         ids=lambda page: page.name)
def test_code_runs(page: Path, plain: Path) -> None:
    np.random.seed(0)
    names: dict[str, object] = {"__name__": page.stem}
    for language, line, code in blocks(page):
        if language == "python":
            exec(compile("\n" * line + code, str(page), "exec"), names)
        elif language == "pycon":
            run_examples(code, names, page.name, line)


def test_every_block_is_run_or_no_python() -> None:
    kinds = {language for page in PAGES for language, _, _ in blocks(page)}
    assert kinds <= {"python", "pycon", "bash", "text"}


def test_links_between_documents_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


# ---------------------------------------------------------------- complete tables


def first_column(page: str, heading: str) -> list[str]:
    """The names in the first column of the tables below a heading."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.M)


def test_the_map_names_every_file_once() -> None:
    text = (ROOT / "docs/map.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([^`]+\.py)` \|", text, re.M)
    package = ROOT / "minifast"
    assert sorted(named) == sorted(p.relative_to(package).as_posix() for p in package.rglob("*.py"))


def test_the_table_of_primitives_is_complete() -> None:
    modules = (ops, windows, norm, row_norm)
    exist = {name for module in modules for name, op in vars(module).items()
             if isinstance(op, Primitive) and not name.startswith("_")}
    exist |= {ops.concatenate(2).name}
    assert sorted(first_column("operations.md", "Primitives")) == sorted(exist)


def test_the_table_of_tensor_methods_is_complete() -> None:
    named = first_column("operations.md", "Methods and properties of a tensor")
    assert sorted(named) == sorted(name for name in dir(Tensor) if not name.startswith("_"))


def test_the_table_of_functions_names_functions() -> None:
    named = set(first_column("operations.md", "Functions"))
    source = (ROOT / "minifast/__init__.py").read_text(encoding="utf-8")
    exist = {name for name in re.findall(r"\b(\w+) as \1\b", source) if name.islower()}
    assert named == exist


# ---------------------------------------------------------------- commands


def test_ci_runs_the_command_that_the_readme_gives() -> None:
    commands = [code.strip() for page in PAGES if page.name == "README.md"
                for language, _, code in blocks(page) if language == "bash"]
    tests = [c for c in commands if c.endswith("-m pytest") and c.startswith("python3 -m venv")]
    assert len(tests) == 1
    assert tests[0] in map(str.strip, (ROOT / ".ci/run").read_text().splitlines())


# ---------------------------------------------------------------- examples/collab.py


@pytest.fixture
def example(plain: Path) -> ModuleType:
    """examples/collab.py as a module."""
    return load_example("collab")


@pytest.fixture
def small(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example with few planted ratings."""
    monkeypatch.setattr(example, "planted_ratings", partial(planted_ratings, **SMALL))
    return example


def movielens_folder(folder: Path) -> Path:
    """Planted ratings in the files that MovieLens 100K has."""
    planted = planted_ratings(**SMALL)
    rows = planted.ratings.assign(timestamp=0)[["userId", "movieId", "rating", "timestamp"]]
    folder.mkdir()
    rows.to_csv(folder / "u.data", sep="\t", header=False, index=False)
    lines = [f"{number}|{title}|||\n" for number, title in enumerate(planted.titles, start=1)]
    (folder / "u.item").write_text("".join(lines), encoding="latin-1")
    return folder


def run_example(folder: Path, *options: str) -> str:
    """The output of the example as a program, from a folder, without a display."""
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MPLBACKEND")}
    program = [sys.executable, "-W", "error", str(ROOT / "examples/collab.py"), *options]
    done = subprocess.run(program, cwd=folder, env=env, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_example_reads_a_folder_and_writes_its_plots(tmp_path: Path) -> None:
    folder = movielens_folder(tmp_path / "ml")
    out = run_example(tmp_path, "--data", str(folder), "--epochs", "1", "--factors", "5",
                      "--out", "plots", "--seed", "3")
    assert out.startswith("MovieLens 100K: 2,000 ratings by 80 users of 60 titles")
    for heading in ("A batch", "Learning rate finder", "Training", "Biases", "For user",
                    "Principal component 1", "Principal component 2"):
        assert f"\n== {heading}" in out
    assert "planted" not in out
    names = ["lr_finder.png", "losses.png", "components.png"]
    assert f"Plots: {', '.join(str(Path('plots', name)) for name in names)}." in out
    for name in names:
        assert (tmp_path / "plots" / name).read_bytes().startswith(PNG)
    row, = re.findall(r"^0 +[\d.]+ +([\d.]+) ", out, re.M)  # one epoch, one row
    assert f"Final validation loss {float(row):.4f}" in out


def test_the_example_compares_with_the_planted_truth(
        small: ModuleType, plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small.main(["--data", "planted", "--epochs", "2", "--factors", "5"])
    out = capsys.readouterr().out
    numbers = dict(re.findall(r"^(correlation of \w+ \w+|correlation of scores) +(-?[\d.]+)", out,
                              re.M))
    assert set(numbers) == {"correlation of item biases", "correlation of user biases",
                            "correlation of scores"}
    assert all(float(value) > .2 for value in numbers.values())
    model, = re.findall(r"^mean squared error of the model +([\d.]+)", out, re.M)
    truth, = re.findall(r"^of the planted score itself +([\d.]+)", out, re.M)
    assert float(truth) < float(model)
    assert "planted score\n" in out
    new_user = len(set(planted_ratings(**SMALL).ratings["userId"])) + 1
    assert f"For you, now user {new_user} " in out
    assert re.search(r"^You gave 5 to .*, 1 to .*\. Recommended:$", out, re.M)
    assert (plain / "out/components.png").exists()


def test_without_movielens_one_line_says_so(
        small: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    small.main(["--epochs", "1"])
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first == ("MovieLens 100K is not on this disk and could not be downloaded "
                     "(ConnectionError): taking planted ratings instead.")
    assert second.startswith("Planted ratings: 2,000 ratings")


@pytest.mark.parametrize(("options", "message"), [
    (["--data", "nowhere"], "cannot read MovieLens from nowhere: .* has no u.data and no u.item"),
    (["--data", "broken"], "cannot read MovieLens from broken: "),
    (["--device", "abacus"], "unknown device 'abacus'; known devices: cpu, cuda"),
    (["--out", "a_file"], "cannot write to --out a_file: File exists; choose another folder"),
    (["--epochs", "0"], "argument --epochs: '0' is not a whole number of at least 1"),
    (["--factors", "1"], "argument --factors: '1' is not a whole number of at least 2"),
    (["--seed", "x"], "argument --seed: 'x' is not a whole number of at least 0"),
    (["--seed", str(2**32)], "Seed must be between 0 and"),
    (["--colour", "red"], "unrecognized arguments: --colour red"),
])
def test_a_users_error_is_one_line(
        options: list[str], message: str, small: ModuleType, plain: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    (plain / "a_file").touch()
    (plain / "broken").mkdir()
    for name in ("u.data", "u.item"):
        (plain / "broken" / name).write_bytes(b"\xff\x00 no ratings\n" * 3)
    with pytest.raises(SystemExit) as ended:
        small.main(["--data", "planted", *options])
    assert re.match(f"collab.py: {message}", str(ended.value))
    assert "\n" not in str(ended.value)
    assert capsys.readouterr().out == ""


def test_the_example_on_movielens(movielens: Path, tmp_path: Path) -> None:
    out = run_example(tmp_path, "--data", str(movielens))
    yours = out.split("== For you, now user 944 ")[1]
    assert "You gave 5 to Blade Runner (1982), 5 to Alien (1979), 4 to 2001: " in yours
    assert yours.count("19") >= 5 + 6  # five titles with their years, and six recommended
    final, = re.findall(r"Final validation loss ([\d.]+)", out)
    assert .797 <= float(final) <= .812  # the band for rows in pandas' order
    seconds, = re.findall(r"([\d.]+) s in total", out)
    assert float(seconds) < 15


# ---------------------------------------------------------------- examples/collab_notebook.ipynb


def notebook_cells() -> list[dict[str, object]]:
    """The notebook's cells, as its file has them."""
    text = (ROOT / "examples/collab_notebook.ipynb").read_text(encoding="utf-8")
    cells: list[dict[str, object]] = json.loads(text)["cells"]
    return cells


def test_the_notebook_runs(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = partial(planted_ratings, n_users=150, n_items=130, n_ratings=6000)
    monkeypatch.setattr("minifast.datasets.planted_ratings", few)
    names: dict[str, object] = {"__name__": "notebook"}
    for i, cell in enumerate(notebook_cells()):
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])  # type: ignore[arg-type]
            exec(compile(source, f"cell {i}", "exec"), names)


def test_the_notebook_was_run_from_top_to_bottom_without_noise() -> None:
    code = [cell for cell in notebook_cells() if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == [*range(1, len(code) + 1)]
    outputs = [output for cell in code for output in cell["outputs"]]  # type: ignore[attr-defined]
    assert {output["output_type"] for output in outputs} == {"execute_result", "display_data",
                                                             "stream"}
    assert {output["name"] for output in outputs if "name" in output} == {"stdout"}
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert "1651" in str(outputs)
    assert "1654" in str(outputs)


def test_the_notebook_shows_five_ratings_and_no_path_of_the_machine_that_ran_it() -> None:
    text = json.dumps([cell.get("outputs") for cell in notebook_cells()])
    batches = re.findall(r"<th>target</th>.*?</table>", text)
    assert [batch.count("<tr>") for batch in batches] == [5]
    assert not re.findall(r"/(?:home|root|tmp|usr|work|Users|opt)/|[A-Z]:\\\\", text)
