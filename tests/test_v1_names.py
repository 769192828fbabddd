"""fastai v1's names: how many are here, the page of those that are not, and the import paths."""
import importlib
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
import v1_names

import minifast

pytestmark = pytest.mark.cpu_only("looks at names")

PATHS = ["basics", "basic_train", "basic_data", "callback", "callbacks", "callbacks.hooks",
         "core", "imports", "layers", "metrics", "train", "torch_core", "vision", "vision.data",
         "vision.image", "vision.transform", "tabular", "collab"]
SAME = ["Learner", "DataBunch", "Recorder", "Callback", "accuracy", "rmse", "Tensor", "tensor",
        "to_np", "to_device", "defaults", "ifnone", "CrossEntropyFlat", "View", "Hooks",
        "hook_output", "CSVLogger", "GradientClipping", "TabularList", "cnn_learner", "np", "nn",
        "Path", "partial", "Lambda", "flatten_model", "load_learner", "DatasetType"]


@pytest.mark.parametrize(("group", "floor"), [
    ("Learner", 50), ("Recorder", 22), ("DataBunch", 29), ("ImageDataBunch", 9), ("metrics", 31),
    ("layers", 31), ("callbacks", 26), ("callback", 10), ("basic_train, basic_data", 7),
    ("train and other callbacks", 17), ("torch_core and core", 54), ("tabular", 15),
    ("collab", 5), ("vision", 16), ("vision.transform", 25)])
def test_no_name_is_lost(group: str, floor: int) -> None:
    found = v1_names.groups()[group]
    assert len(found.present) >= floor, f"absent: {found.absent}"


def test_the_groups_have_v1s_sizes() -> None:
    sizes = {name: len(set(names.split())) for name, names in v1_names.V1.items()}
    assert {name: sizes[name] for name in ("DataBunch", "metrics", "layers", "callbacks",
                                           "ImageDataBunch")} == {
        "DataBunch": 31, "metrics": 31, "layers": 36, "callbacks": 28, "ImageDataBunch": 10}


def test_the_page_of_differences_lists_the_absent_names() -> None:
    _, table, _ = v1_names.page_parts()
    assert table == v1_names.absent_table(), "run python tests/v1_names.py --write"


def test_every_replacement_is_of_an_absent_name() -> None:
    absent = {name for group, found in v1_names.groups().items()
              for absent in found.absent for name in (absent, f"{group}.{absent}")}
    assert not v1_names.INSTEAD.keys() - absent


def test_no_name_counts_that_is_not_there() -> None:
    assert not v1_names.is_present("layers", "NoSuchLayer")
    assert not v1_names.is_present("Learner", "no_such_method")
    assert not v1_names.is_present("layers", "losses")  # a module is no layer


# ---------------------------------------------------------------- import paths


def starred(path: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(f"from minifast.{path} import *", namespace)
    return namespace


@pytest.mark.parametrize("path", PATHS)
def test_each_import_path_gives_the_same_names(path: str) -> None:
    namespace, others = starred(path), starred("basics")
    for name in SAME:
        assert namespace[name] is others[name], name


@pytest.mark.parametrize("path", PATHS)
def test_no_name_is_hidden_by_a_module(path: str) -> None:
    """If ``minifast.callbacks.mixup`` were a module, the function could not be imported."""
    modules = {name for name, value in starred(path).items() if isinstance(value, ModuleType)}
    assert modules <= {"np", "pd", "plt", "nn"}


@pytest.mark.parametrize("path", PATHS)
def test_a_missing_name_is_an_import_error(path: str) -> None:
    with pytest.raises(ImportError, match="no_such_name"):
        exec(f"from minifast.{path} import no_such_name", {})


def test_one_star_import_is_enough() -> None:
    """In a fresh interpreter each path imports by itself, and gives the methods of the rooms."""
    code = "; ".join(["from minifast.{} import *", "learn = Learner", "learn.pred_batch",
                      "learn.mixup", "learn.summary", "DataBunch.add_tfm"])
    for path in ("train", "callback"):
        subprocess.run([sys.executable, "-W", "error", "-c", code.format(path)], check=True)


def test_importing_minifast_imports_no_path() -> None:
    code = "import sys, minifast; print([m for m in sys.modules if m.startswith('minifast.')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not [path for path in [*PATHS, "v1"] if f"'minifast.{path}'" in done.stdout]


def test_paths_are_modules_of_the_package() -> None:
    for path in PATHS:
        module = importlib.import_module(f"minifast.{path}")
        assert module.__file__.startswith(minifast.__path__[0])
