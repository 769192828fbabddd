"""The house rules that a machine can check: sizes, what imports what, what the source may hold."""
import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median
from typing import Any

import count_lines
import pytest

import minifast

pytestmark = pytest.mark.cpu_only("reads the source")

ROOT = Path(minifast.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in SOURCES}
HEAVY = {"pandas", "matplotlib", "cupy", "tqdm", "IPython", "pooch", "safetensors", "scipy",
         "PIL", "pyarrow", "threadpoolctl"}
PRIVATE_WORDS = ["shelf", "slab", "arena", "awake", "hears", "newcomer", "in_pieces", "by_hand",
                 "foresee", "settle"]
"""Words that once had a meaning in this project only; standard terms took their place."""


def run_python(code: str) -> Any:
    """Return what ``code`` prints as JSON, in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ------------------------------------------------------------------------- what an import costs

LOADED = """
import json, sys, time
start = time.perf_counter()
import numpy, numpy.random
before, middle = set(sys.modules), time.perf_counter()
import {module}
end = time.perf_counter()
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
new -= {{"numpy", *sys.stdlib_module_names}}
print(json.dumps([sorted(new), middle - start, end - middle]))
"""


@pytest.mark.parametrize("module", [
    "minifast", "minifast.nn", "minifast.optim", "minifast.data", "minifast.train",
    "minifast.collab", "minifast.tabular", "minifast.vision", "minifast.sequences"])
def test_importing_loads_numpy_and_minifast_alone(module: str) -> None:
    loaded, of_numpy, of_minifast = run_python(LOADED.format(module=module))
    assert loaded == ["minifast"]
    assert of_minifast < 5 * max(of_numpy, .1)  # a fraction; a busy machine may be slower


def test_work_on_plain_arrays_loads_nothing_heavy() -> None:
    loaded = run_python("""
import json, sys
import numpy as np
from minifast.data import ArrayDataset, DataBunch
from minifast.nn import Linear
from minifast.train import Learner
x = np.ones((8, 2), np.float32)
learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4, device="cpu"), Linear(2, 1))
with learn.no_logging():
    learn.fit_one_cycle(1)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))""")
    assert not HEAVY & set(loaded)


# --------------------------------------------------------------------------------- star imports


def starred(module: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(f"from {module} import *", namespace)
    return namespace


BOTH = [
    "np", "pd", "plt", "nn", "Path", "DataFrame", "Series", "itemgetter", "attrgetter",
    "partial", "warn", "defaults", "Tensor", "tensor", "no_grad", "Learner", "Callback",
    "LearnerCallback", "Recorder", "DataBunch", "DatasetType", "URLs", "untar_data", "accuracy",
    "error_rate", "mse", "rmse", "mae", "msle", "r2_score", "explained_variance", "RMSE", "R2Score",
    "GradientClipping", "Adam", "SGD", "RMSProp", "Module", "Embedding", "embedding",
    "sigmoid_range", "MSELossFlat", "CrossEntropyFlat", "BCEWithLogitsFlat",
    "LabelSmoothingCrossEntropy", "conv_layer", "res_block", "simple_cnn", "Flatten", "gradcheck",
    "annealing_no", "annealing_linear", "annealing_exp", "annealing_cos", "annealing_poly",
    "movielens_100k", "planted_ratings", "TabularDataBunch", "TabularList", "tabular_learner",
    "FillMissing", "Categorify", "Normalize", "FloatList", "CategoryList", "CSVLogger",
    "EarlyStoppingCallback", "SaveModelCallback", "ReduceLROnPlateauCallback",
    "TerminateOnNaNCallback", "AccumulateScheduler", "ActivationStats", "BnFreeze",
    "FlatCosAnnealScheduler", "GeneralScheduler", "TrainingPhase", "MixUpCallback", "MixUpLoss",
    "OverSamplingCallback", "StopAfterNBatches", "Hook", "Hooks", "HookCallback", "hook_output",
    "hook_outputs", "ClassificationInterpretation", "mean_squared_error",
    "root_mean_squared_error", "mean_absolute_error", "ExplainedVariance"]


@pytest.mark.parametrize(("module", "own"), [
    ("minifast.collab", ["CollabDataBunch", "collab_learner", "CollabLearner", "EmbeddingDotBias",
                         "EmbeddingNN"]),
    ("minifast.vision", ["ImageDataBunch", "cnn_learner", "create_body", "create_head",
                         "num_features_model", "apply_init", "resnet10", "resnet20",
                         "AdaptiveConcatPool2d"]),
    ("minifast.tabular", ["TabularModel", "bn_drop_lin"])])
def test_a_star_import_gives_what_a_notebook_uses(module: str, own: list[str]) -> None:
    namespace = starred(module)
    assert not [name for name in [*BOTH, *own] if name not in namespace]
    for name, home in {"np": "numpy", "nn": "minifast.nn"}.items():
        assert namespace[name] is importlib.import_module(home)
    for name, home in {"pd": "pandas", "plt": "matplotlib.pyplot"}.items():
        assert namespace[name] == importlib.import_module(home)
    from operator import itemgetter
    assert namespace["Path"] is Path
    assert namespace["itemgetter"] is itemgetter
    assert not [name for name in namespace if name.startswith("_") and name != "__builtins__"]


def test_both_star_imports_give_the_same_things() -> None:
    one, other = starred("minifast.collab"), starred("minifast.tabular")
    assert not [name for name in one.keys() & other.keys() - {"__builtins__"}
                if one[name] is not other[name]]


def modules() -> Iterator[Any]:
    yield minifast
    for info in pkgutil.walk_packages(minifast.__path__, "minifast."):
        if not info.name.endswith("__main__"):
            yield importlib.import_module(info.name)


MODULES = list(modules())


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_all_that_a_module_names_is_there(module: Any) -> None:
    names = getattr(module, "__all__", [])
    assert len(set(names)) == len(names)
    for name in names:
        getattr(module, name)


# --------------------------------------------------------------------------------------- sizes


def test_the_core_and_the_package_stay_within_their_bounds(
        capsys: pytest.CaptureFixture[str]) -> None:
    lines = count_lines.counts(ROOT)
    with capsys.disabled():
        print("\n" + count_lines.table(lines))
    core = count_lines.core(lines)
    assert sum(core.values()) <= count_lines.CORE_LINES
    assert len(core) <= count_lines.CORE_FILES
    assert sum(lines.values()) <= count_lines.PACKAGE_LINES


def test_blank_lines_comments_and_docstrings_do_not_count() -> None:
    text = '''"""A module.

Text."""

LIMIT = 3
"""An attribute."""

# a comment
def f(x):
    """One line."""
    return [x,

            "text that counts"]  # and a comment
'''
    assert count_lines.code_lines(text) == 4


# ------------------------------------------------------------------------- arrows point downwards

MODULE_NAMES = {".".join(["minifast", *Path(file).with_suffix("").parts]).removesuffix(".__init__"):
                file for file in TREES}
FACES = {name for name, file in MODULE_NAMES.items() if file.endswith("__init__.py")}
FLOORS = {part: i for i, part in enumerate([*count_lines.CORE[1:], "__init__"])}
THE_DOOR = ("train/learner.py", "fast")
"""The one file of the core that may import a room, and the room."""
THE_FACE = {("collab.py", "__init__"), ("train/__init__.py", "__init__")}
"""Their star imports give what the package's face finds in all packages, as fastai v1's did."""
BETWEEN_ROOMS = {("devices/doctor.py", "datasets"), ("datasets/sources.py", "checkpoints"),
                 ("datasets/on_disk.py", "checkpoints"), ("checkpoints/tables.py", "tabular"),
                 ("checkpoints/images.py", "vision"),
                 ("course/train.py", "datasets"),
                 ("course/units/unit08.py", "datasets"), ("course/units/unit09.py", "vision"),
                 ("course/units/unit10.py", "sequences"), ("vision/images.py", "inspect")}
"""Pairs (file, room) of imports from one room to another: the report names the data folders, what a
killed download or conversion leaves is removed, an exported learner may be of a table or of images,
a unit of the course may be about a room, and images are drawn in the style of all plots."""


def targets(file: str, trees: Mapping[str, ast.Module] = TREES) -> Iterator[str]:
    """Yield the dotted names that a file imports, in functions and for type checkers too."""
    above = ["minifast", *file.split("/")[:-1]]
    for node in ast.walk(trees[file]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = above[:len(above) - node.level + 1] if node.level else []
            name = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{name}.{alias.name}" for alias in node.names)


def imported(file: str) -> set[str]:
    """Return the modules of minifast that a file imports; a package stands for its __init__."""
    ours = {name for name in targets(file) if name.partition(".")[0] == "minifast"}
    return {name if name in MODULE_NAMES else name.rpartition(".")[0] for name in ours}


def part_of(module: str) -> str:
    """Return the top-level part of minifast that a module belongs to."""
    return count_lines.part_of(module.split(".")[1]) if "." in module else "__init__"


@pytest.mark.parametrize("file", TREES)
def test_the_core_imports_downwards_and_no_room(file: str) -> None:
    own = count_lines.part_of(file)
    if own not in FLOORS:
        return
    for module in imported(file):
        part = part_of(module)
        if (file, part) not in {THE_DOOR, *THE_FACE}:
            assert part in FLOORS, f"{file} is of the core and imports the room {module}"
            assert FLOORS[part] <= FLOORS[own], f"{file} imports {module} from a floor above"


@pytest.mark.parametrize("file", TREES)
def test_rooms_import_the_core_and_themselves_only(file: str) -> None:
    own = count_lines.part_of(file)
    if own in FLOORS:
        return
    others = {part_of(module) for module in imported(file)} - FLOORS.keys() - {own}
    excused = {room for name, room in BETWEEN_ROOMS if name == file}
    assert others <= excused, f"{file} imports other rooms: {sorted(others - excused)}"


def test_no_exception_is_listed_in_vain() -> None:
    used = {(file, part_of(module)) for file in TREES for module in imported(file)}
    assert used >= BETWEEN_ROOMS


def first_cycle(arrows: Mapping[str, Set[str]]) -> list[str]:
    """Return the nodes of a cycle, the first also at its end; empty if there is none."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def is_face_of(package: str, module: str) -> bool:
    """Whether a module lies inside a package, whose __init__ it may import from."""
    return package in FACES and f"{module}.".startswith(f"{package}.")


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    arrows = {name: {other for other in imported(file)
                     if not is_face_of(other, name) and (file, part_of(other)) != THE_DOOR}
              for name, file in MODULE_NAMES.items()}
    assert first_cycle(arrows) == []


def test_a_circle_is_found() -> None:
    assert first_cycle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    circle = first_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}})
    assert set(circle) == {"b", "c"}


@pytest.mark.parametrize("file", TREES)
def test_cupy_is_imported_by_the_backend_alone(file: str) -> None:
    named = {name.partition(".")[0] for name in targets(file)}
    named |= {str(node.args[0].value).partition(".")[0] for node in ast.walk(TREES[file])
              if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
              and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module"}
    assert not {"cupy", "cupyx"} & named or file in ("backend.py", "distributed/nccl.py")


@pytest.mark.parametrize("file", TREES)
def test_heavy_imports_are_inside_functions(file: str) -> None:
    tree = TREES[file]
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) \
                else [node.module or ""]
            assert not HEAVY & {name.partition(".")[0] for name in names}


# ----------------------------------------------------------------------------- what is not allowed


@pytest.mark.parametrize("file", TREES)
def test_no_star_import_no_bare_except_no_assert(file: str) -> None:
    for node in ast.walk(TREES[file]):
        where = f"{file}:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Assert), where
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), where
        assert not (isinstance(node, ast.ImportFrom) and node.names[0].name == "*"), where


@pytest.mark.parametrize("file", TREES)
def test_names_are_exported_without_lists(file: str) -> None:
    """A package exports by ``from .x import X as X``."""
    assigned = {ast.unparse(target) for node in ast.walk(TREES[file])
                if isinstance(node, ast.Assign) for target in node.targets}
    assert "__all__" not in assigned


@pytest.mark.parametrize("path", SOURCES, ids=TREES)
def test_words_are_the_fields(path: Path) -> None:
    pattern = rf"(?<![a-z])({'|'.join(PRIVATE_WORDS)})s?(?![a-z])"
    assert not re.findall(pattern, path.read_text(), re.IGNORECASE)


# ------------------------------------------------------------------------------------ readability


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Yield all functions, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def body_lines(function: ast.FunctionDef) -> int:
    """Return the number of lines below the head of a function, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    sizes = sorted(body_lines(f) for tree in TREES.values() for f in functions(tree))
    assert median(sizes) <= 5
    assert sizes[int(len(sizes) * .9)] <= 16
    assert sizes[-1] <= 40


@pytest.mark.parametrize("path", SOURCES, ids=TREES)
def test_files_are_short(path: Path) -> None:
    text = path.read_text()
    assert count_lines.code_lines(text) <= 300
    assert max(map(len, text.splitlines()), default=0) <= 100
