"""Libraries that a star import names, and that are imported when a name is used."""
import copy
import json
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from minifast import notebook
from minifast.notebook import DataFrame, Deferred, Series

pytestmark = pytest.mark.cpu_only("knows no device")

STAR = """
import json, sys
from {module} import *
heavy = "pandas", "matplotlib", "scipy", "PIL", "IPython", "tqdm"
before = [name for name in heavy if name in sys.modules]
frame = {use}
print(json.dumps([before, len(frame), "pandas" in sys.modules]))
"""


@pytest.mark.parametrize(("module", "use"), [("minifast.collab", "pd.DataFrame({'a': [1, 2]})"),
                                             ("minifast.vision", "Series([1, 2])")])
def test_a_star_import_loads_pandas_when_it_is_used(module: str, use: str) -> None:
    done = subprocess.run([sys.executable, "-c", STAR.format(module=module, use=use)],
                          capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], 2, True]


def test_the_names_work_as_the_real_ones() -> None:
    frame = DataFrame({"a": [1, 2]})
    assert type(frame) is pd.DataFrame
    assert isinstance(frame, DataFrame)
    assert not isinstance(frame, Series)
    assert isinstance(frame["a"], Series)
    assert isinstance(3, (DataFrame, int))
    assert DataFrame.from_dict({"a": [1]}).shape == (1, 1)
    assert DataFrame == pd.DataFrame
    assert pd.DataFrame == DataFrame
    assert DataFrame == Deferred("pandas", "DataFrame")
    assert DataFrame != Series
    assert len({DataFrame, pd.DataFrame}) == 1
    assert repr(notebook.pd) == repr(pd)
    assert repr(Series) == repr(pd.Series)
    assert "read_csv" in dir(notebook.pd)
    assert notebook.pd.__version__ == pd.__version__


def test_classes_can_be_derived_and_named_in_annotations() -> None:
    class Mine(DataFrame):  # type: ignore[misc, valid-type]
        pass
    assert issubclass(Mine, pd.DataFrame)
    assert issubclass(Mine, DataFrame)
    assert not issubclass(int, DataFrame)

    def function(a: DataFrame | None, b: int | DataFrame) -> DataFrame:  # type: ignore[valid-type]
        return DataFrame()
    assert function.__annotations__["a"] == pd.DataFrame | None
    assert function.__annotations__["b"] == int | pd.DataFrame


def test_setting_an_attribute_sets_it_in_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pd, "notna", None)
    notebook.pd.notna = len
    assert pd.notna is len


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy,
                                   lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_stand_for_the_same(again: Any) -> None:
    assert again(DataFrame) == pd.DataFrame
    assert again(notebook.pd) == pd


@pytest.mark.parametrize("name", ["no_such", "__wrapped__", "_private"])
def test_a_missing_name_raises_the_librarys_own_error(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"'?pandas'? has no attribute '{name}'"):
        getattr(notebook.pd, name)


def test_the_plots_are_those_of_matplotlib() -> None:
    import matplotlib.pyplot
    assert notebook.plt == matplotlib.pyplot
    _, axes = notebook.plt.subplots()
    assert axes.plot(np.arange(3))
    notebook.plt.close("all")
