"""The house rules that a machine can check: what imports what, and what the source may hold."""
import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

import minifast

ROOT = Path(minifast.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in SOURCES}
HEAVY = {"pandas", "matplotlib", "cupy", "tqdm", "IPython", "pooch", "safetensors", "scipy",
         "PIL", "pyarrow"}


def run_python(code: str) -> Any:
    """What ``code`` prints as JSON, in a fresh interpreter."""
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
    "minifast.collab", "minifast.tabular", "minifast.vision"])
def test_importing_loads_numpy_and_minifast_alone(module: str) -> None:
    loaded, of_numpy, of_minifast = run_python(LOADED.format(module=module))
    assert loaded == ["minifast"]
    assert of_minifast < 5 * max(of_numpy, .1)  # it takes a fraction; a busy machine may stutter


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
    homes = {"np": "numpy", "pd": "pandas", "plt": "matplotlib.pyplot", "nn": "minifast.nn"}
    for name, home in homes.items():
        assert namespace[name] is importlib.import_module(home)
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


# ------------------------------------------------------------------------- arrows point downwards

FLOORS = [{"backend", "defaults", "memory", "random", "scatter", "threads", "notebook", "fakecuda"},
          {"autograd"}, {"nn"}, {"optim"}, {"data"}, {"train"},
          {"star", "tabular", "collab", "newcomer", "vision"},
          {"doctor", "__init__", "__main__"}]
FLOOR = {part: i for i, parts in enumerate(FLOORS) for part in parts}


def imported(file: str) -> Iterator[str]:
    """The parts of minifast that a file imports, anywhere in it."""
    above = ["minifast", *file.split("/")[:-1]]
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = above[:len(above) - node.level + 1] if node.level else []
            parts = [*base, *(node.module or "").split(".")]
            name = ".".join(p for p in parts if p)
            yield from ([f"{name}.{alias.name}" for alias in node.names]
                        if name == "minifast" else [name])


@pytest.mark.parametrize("file", TREES)
def test_imports_point_downwards(file: str) -> None:
    own = file.partition("/")[0].removesuffix(".py")
    for name in imported(file):
        top, _, rest = name.partition(".")
        part = rest.partition(".")[0]
        if top == "minifast" and part in FLOOR and own != "__init__":
            assert FLOOR[part] <= FLOOR[own], f"{file} imports {name} from a floor above"


def test_every_part_has_a_floor() -> None:
    assert {file.partition("/")[0].removesuffix(".py") for file in TREES} <= set(FLOOR)


@pytest.mark.parametrize("file", TREES)
def test_cupy_is_imported_by_the_backend_alone(file: str) -> None:
    named = {name.partition(".")[0] for name in imported(file)}
    named |= {str(node.args[0].value).partition(".")[0] for node in ast.walk(TREES[file])
              if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
              and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module"}
    recorder = "fakecuda/dump.py"  # writes down what CuPy offers, by hand, for the simulated device
    assert not {"cupy", "cupyx"} & named or file in ("backend.py", recorder)


@pytest.mark.parametrize("file", TREES)
def test_heavy_imports_are_inside_functions(file: str) -> None:
    tree = TREES[file]
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) \
                else [node.module or ""]
            assert not HEAVY & {name.partition(".")[0] for name in names}


# ------------------------------------------------------------------------------- what is not there


@pytest.mark.parametrize("file", TREES)
def test_no_star_import_no_bare_except_no_assert(file: str) -> None:
    for node in ast.walk(TREES[file]):
        where = f"{file}:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Assert), where
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), where
        assert not (isinstance(node, ast.ImportFrom) and node.names[0].name == "*"), where


# ---------------------------------------------------------------------------------------- to read


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def body_lines(function: ast.FunctionDef) -> int:
    """Lines of a function below its head, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    sizes = sorted(body_lines(f) for tree in TREES.values() for f in functions(tree))
    assert median(sizes) <= 5
    assert sizes[int(len(sizes) * .9)] <= 16
    assert sizes[-1] <= 40


@pytest.mark.parametrize("path", SOURCES, ids=TREES)
def test_files_are_short(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 300
    assert max(map(len, lines), default=0) <= 100


def public(module: Any) -> Iterator[tuple[str, Any]]:
    """Classes and functions that a module defines, and the methods of these classes."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
            continue
        if inspect.isclass(thing):
            yield name, thing
            yield from ((f"{name}.{k}", getattr(thing, k)) for k in methods(thing))
        elif inspect.isfunction(thing):
            yield name, thing


def methods(cls: type) -> Iterator[str]:
    """Those that need words of their own: not a field's default, nor what every array has."""
    kinds = (property, classmethod, staticmethod)
    for name, value in list(vars(cls).items()):
        if not name.startswith("_") and name not in getattr(cls, "__annotations__", {}) \
                and (inspect.isfunction(value) or isinstance(value, kinds)) \
                and not getattr(cls, "_is_protocol", False) \
                and not (cls.__name__ == "FakeArray" and hasattr(np.ndarray, name)):
            yield name


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_public_things_say_what_they_are(module: Any) -> None:
    assert module.__doc__
    silent = [name for name, thing in public(module) if not inspect.getdoc(thing)]
    assert silent == []
