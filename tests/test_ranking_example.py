"""examples/ranking.py: on few planted ratings, with and without files of MovieLens's form."""
import re
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from scripts import load_example

from minifast.datasets import DataNotFoundError, planted_ratings

pytestmark = pytest.mark.cpu_only("the example prints the same on any device")
SMALL = partial(planted_ratings, n_users=60, n_items=50, n_ratings=1500)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """examples/ranking.py as a module, with few planted ratings."""
    module = load_example("ranking")
    monkeypatch.setattr(module, "planted_ratings", SMALL)
    return module


def test_the_table_has_all_rankers_and_the_truth(
        example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(**_: object) -> Path:
        raise DataNotFoundError("nothing here")
    monkeypatch.setattr(example, "untar_data", missing)
    example.main([])
    shown = capsys.readouterr().out
    rows = {name.strip(): float(ndcg) for name, ndcg in re.findall(
        r"^(.+?)  +[\d.]+ +[\d.]+ +([\d.]+) +[\d.]+$", shown, re.MULTILINE)}
    assert list(rows)[:3] == ["most popular", "item mean", "predicted rating"]
    assert list(rows)[4:] == ["BPR", "rank_learner", "the best possible"]
    assert rows["the best possible"] > 1.1 * rows["item mean"]
    assert "so there is no second table" in shown
    assert max(map(len, shown.splitlines())) <= 100


def write_movielens(folder: Path) -> None:
    """Write an official split of planted ratings."""
    ratings = SMALL().ratings
    for name, part in (("u2.base", ratings[:1200]), ("u2.test", ratings[1200:])):
        part.assign(title=0).to_csv(folder / name, sep="\t", header=False, index=False,
                                    columns=["userId", "movieId", "rating", "title"])
    titles = ratings.drop_duplicates("movieId")
    titles[["movieId", "title"]].to_csv(folder / "u.item", sep="|", header=False, index=False)


def test_a_folder_of_files(example: ModuleType, tmp_path: Path,
                           capsys: pytest.CaptureFixture[str]) -> None:
    write_movielens(tmp_path)
    example.main(["--data", str(tmp_path), "--fold", "2"])
    shown = capsys.readouterr().out
    assert shown.startswith("\nMovieLens 100K, split u2")
    assert "the best possible" not in shown


def test_a_missing_folder_is_one_line(example: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^ranking.py: cannot read MovieLens from .*no u1\.base"):
        example.main(["--data", str(tmp_path)])
