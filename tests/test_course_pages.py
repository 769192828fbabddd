"""The pages of the course: notebooks that run, a teacher's page for each unit."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from minifast.course.unit import load, numbers

pytestmark = pytest.mark.cpu_only("pages are run on the CPU")

COURSE = Path(__file__).parents[1] / "course"
FOLDERS = sorted(COURSE.glob("unit*"))
every_folder = pytest.mark.parametrize("folder", FOLDERS, ids=[f.name for f in FOLDERS])
STEPS = ["Predict", "Run", "Build", "Break", "Explain"]


def cells(folder: Path, kind: str) -> list[str]:
    book: Any = json.loads((folder / "student.ipynb").read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == kind]


def test_each_unit_has_a_folder_and_each_folder_a_unit() -> None:
    assert [folder.name for folder in FOLDERS] == [f"unit{n:02d}" for n in numbers()]


@every_folder
def test_the_notebook_has_the_five_steps_and_no_outputs(folder: Path) -> None:
    book: Any = nbformat.read(folder / "student.ipynb", 4)
    nbformat.validate(book)
    assert not [cell for cell in book.cells if cell.get("outputs")]
    headings = re.findall(r"^## +(?:\d\. )?(\w+)", "\n".join(cells(folder, "markdown")), re.M)
    assert [h for h in headings if h in STEPS] == STEPS
    unit = load(int(folder.name.removeprefix("unit")))
    text = "\n".join(cells(folder, "markdown"))
    assert text.startswith(f"# Unit {unit.number}")
    for command in ("start", "check", "bugs"):
        assert f"python -m minifast.course {command} {unit.number}" in text


@every_folder
def test_the_notebook_runs(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "notebook.py"
    script.write_text("\n\n".join(cells(folder, "code")), encoding="utf-8")
    done = subprocess.run([sys.executable, "-W", "error::RuntimeWarning", str(script)],
                          cwd=tmp_path, text=True, capture_output=True, check=False, timeout=120,
                          env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": os.pathsep.join(
                              [str(COURSE.parent), os.environ.get("PYTHONPATH", "")])})
    assert done.returncode == 0, done.stderr[-3000:]


@every_folder
def test_the_teachers_page(folder: Path) -> None:
    text = (folder / "teacher.md").read_text(encoding="utf-8")
    unit = load(int(folder.name.removeprefix("unit")))
    assert text.startswith(f"# Unit {unit.number}")
    assert unit.title.lower().split()[0].strip(",") in text.partition("\n")[0].lower()
    assert re.search(r"\b90\b", text)
    assert f"check {unit.number}" in text


def test_the_table_of_units_is_complete() -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", (COURSE / "README.md").read_text("utf-8"), re.M)
    assert [(int(n), title.strip()) for n, title in rows] == [
        (n, load(n).title) for n in numbers()]
