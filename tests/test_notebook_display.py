"""IPython: how objects are shown, short tracebacks, and completion without private names."""
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tiny import fit_quietly, line_learner, ratings_learner

import minifast
from minifast import notebook, tensor
from minifast.nn import Linear, ReLU, Sequential
from minifast.notebook import tracebacks
from minifast.optim import SGD

pytest.importorskip("IPython")
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture(scope="module")
def made() -> InteractiveShell:
    main, hook = sys.modules["__main__"], sys.displayhook
    shell = InteractiveShell(user_module=ModuleType("notebook"), colors="nocolor")
    shell.history_manager.enabled = False
    sys.modules["__main__"], sys.displayhook = main, hook
    return shell


@pytest.fixture
def shell(made: InteractiveShell) -> Iterator[InteractiveShell]:
    notebook.load_ipython_extension(made)
    yield made
    notebook.unload_ipython_extension(made)


def shown(shell: InteractiveShell, x: Any) -> tuple[str, str]:
    """The text and the HTML of an object."""
    data, _ = shell.display_formatter.format(x)
    return data["text/plain"], data.get("text/html", "")


def printed(shell: InteractiveShell, cell: str) -> str:
    """What running a cell prints, without colours."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        shell.run_cell(cell)
    return re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())


@pytest.mark.parametrize(("cell", "message"), [
    ("torch.argmax(1)", "no 'torch', which fastai v1 has: `np`, and `tensor`"),
    ("learn = unet_learner(data)", "no 'unet_learner', which fastai v1 has: for generated images"),
    ("ImageList.from_folder('.')", "`ImageDataBunch.from_folder`"),
    ("from minifast.data_block import *", "no 'data_block', which fastai v1 has"),
    ("from minifast.text.data import *", "no 'text', which fastai v1 has"),
    ("from minifast.callbacks.mixup import *", "`from minifast.callbacks import MixUpCallback`")])
def test_absent_names_of_v1_are_explained(shell: InteractiveShell, cell: str, message: str) -> None:
    assert message in printed(shell, cell)


def test_other_errors_are_not_explained(shell: InteractiveShell) -> None:
    for cell in ("nonsense", "import nonsense", "{}['torch']", "[].torch"):
        assert "fastai v1" not in printed(shell, cell)


# ---------------------------------------------------------------- displays


def test_schedules_are_shown_as_the_calls_that_make_them(shell: InteractiveShell) -> None:
    from minifast.optim import Phase, annealing_cos, annealing_poly, in_turn, one_cycle
    curve = in_turn([Phase(3, .1, 1., annealing_cos), Phase(7, 1., 0.)])
    text = "in_turn([Phase(3, 0.1, 1.0, 'annealing_cos'), Phase(7, 1.0, 0.0, 'annealing_linear')])"
    assert shown(shell, curve)[0] == text
    assert shown(shell, annealing_poly(2))[0] == "annealing_poly(2)"
    both = shown(shell, one_cycle(10, 1.))[0]
    assert both.count("in_turn([Phase(3, ") == 2
    assert "at 0x" not in both


def test_other_functions_are_shown_as_before(shell: InteractiveShell) -> None:
    def inside(x: int) -> None: ...
    ours = [shown(shell, f)[0] for f in (inside, len, np.mean)]
    notebook.load_ipython_extension(shell)  # a second star import
    notebook.unload_ipython_extension(shell)
    assert [shown(shell, f)[0] for f in (inside, len, np.mean)] == ours
    assert "inside(x: " in ours[0]


def test_data_sets_and_hooks_are_printed_in_a_line() -> None:
    from minifast.inspect import hook_output
    from minifast.vision.augment import ImageRows
    rows = ImageRows(np.zeros((2, 1, 8, 8), np.float32), np.array([0, 1]), ["a", "b"])
    assert repr(rows) == "ImageRows of 2 rows: x (2, 1, 8, 8) float32; y (2,) int64"
    data = ratings_learner().data
    assert repr(data.train_ds).startswith("ArrayDataset of 12 rows: x (12,) int32, (12,) int32")
    assert repr(data.categories).count("Categories of '") == 2
    model = Linear(2, 1)
    with hook_output(model) as hook:
        assert repr(hook) == "Hook of Linear; stored: nothing"
        model(tensor([[1., 2.]]))
        assert repr(hook) == "Hook of Linear; stored: Tensor (1, 1)"


def test_callbacks_are_printed_with_their_arguments() -> None:
    from minifast.basics import (
        AverageMetric,
        Callback,
        EarlyStoppingCallback,
        FBeta,
        GradientClipping,
        OneCycleScheduler,
        Recorder,
        rmse,
    )

    class Mine(Callback):
        def __init__(self, data: Any, n: int = 2) -> None:
            self.data, self.n = data, n

    learn = line_learner()
    assert repr(GradientClipping(learn)) == "GradientClipping()"
    assert repr(GradientClipping(learn, .5)) == "GradientClipping(clip=0.5)"
    assert repr(EarlyStoppingCallback(learn, patience=3)) == "EarlyStoppingCallback(patience=3)"
    assert repr(OneCycleScheduler(learn, 1e-2, (.8, .7))) == (
        "OneCycleScheduler(lr_max=0.01, moms=(0.8, 0.7))")
    assert [repr(AverageMetric(rmse)), repr(FBeta(beta=1))] == [
        "AverageMetric(func=root_mean_squared_error)", "FBeta(beta=1)"]
    assert repr(Mine(np.zeros((900, 900)), 2)).startswith("Mine(data=array([[0., 0.")
    assert len(repr(Mine(np.zeros((900, 900))))) < 80
    assert repr(Recorder(learn)) == "Recorder(0 batches)"


def test_a_large_tensor_has_its_shape(shell: InteractiveShell, device: str) -> None:
    text, html = shown(shell, tensor(np.zeros((300, 40))))
    assert text.splitlines()[-1] == f"shape (300, 40), float64, {device}"
    assert html == ""
    small = tensor([1., 2.])
    assert shown(shell, small)[0].splitlines()[0] == repr(small)
    assert (len(shown(shell, small)[0].splitlines()) == 1) is (device == "cpu")


def test_a_model_has_shapes_and_counts(shell: InteractiveShell) -> None:
    net = Sequential(Linear(2, 30), ReLU(), Linear(30, 1)).freeze("0", "2.bias")
    lines = shown(shell, net)[0].splitlines()
    assert [re.split("  +", line.strip()) for line in lines] == [
        ["Sequential", "121, 30 trained"],
        ["0: Linear(in_features=2, out_features=30, bias=True)", "weight (30, 2), bias (30,)",
         "90, frozen"],
        ["1: ReLU"],
        ["2: Linear(in_features=30, out_features=1, bias=True)", "weight (1, 30), bias (1,)",
         "31, 30 trained"]]
    assert len({line.index(end) for line, end in zip(
        lines, ("121, 30", "90, frozen", "", "31, 30"), strict=True) if end}) == 1


def test_an_optimizer_has_a_line_for_each_group(shell: InteractiveShell) -> None:
    opt = SGD([Linear(2, 1).parameters(), Linear(3, 1).parameters()], lr=[1e-7, .1])
    assert shown(shell, opt)[0].splitlines()[1:] == [
        "group 0  lr 1e-07  mom 0  wd 0  parameters 3",
        "group 1  lr 0.1    mom 0  wd 0  parameters 4"]


def test_data_sets_and_categories_take_a_line(shell: InteractiveShell) -> None:
    data = ratings_learner().data
    assert shown(shell, data.train_ds)[0] == \
        "ArrayDataset of 12 rows: x (12,) int32, (12,) int32; y (12,) float32"
    assert shown(shell, data.categories)[0].count("\n") <= 1
    assert "Categories of 'user': 5 classes, #na#, 1, 2, 3, 4" in shown(shell, data.categories)[0]


def test_in_a_list(shell: InteractiveShell) -> None:
    text = shown(shell, [Sequential(ReLU(), ReLU()), 3])[0]
    assert text.split() == ["[Sequential", "0:", "ReLU", "1:", "ReLU,", "3]"]


def test_a_learner_is_shown_on_one_screen(shell: InteractiveShell) -> None:
    learn = ratings_learner()
    text, html = shown(shell, learn)
    assert text == repr(learn)
    assert "not trained yet" in html
    fit_quietly(learn, 2)
    html = shown(shell, learn)[1]
    for part in ("<b>CollabLearner</b>", "FlattenedLoss of MSELoss(), wd 0.1, Adam",
                 "<td>train</td><td>12</td><td>3</td>", "<td>valid</td><td>4</td><td>1</td>",
                 f"<td>{learn.recorder.table.rows[-1][1]}</td>", "i_bias: Embedding("):
        assert part in html
    assert shown(shell, learn.recorder)[1] in html


def test_long_fits_and_long_models_are_cut(shell: InteractiveShell) -> None:
    learn = line_learner(2)
    fit_quietly(learn, 25)
    html = shown(shell, learn)[1]
    assert "the last 20 of 25 epochs" in html
    assert html.count("<td>") < 150
    learn.model = Sequential(*[ReLU() for _ in range(50)])
    assert "... 31 more" in shown(shell, learn)[1]


def test_a_recorder_without_an_epoch_has_no_table(shell: InteractiveShell) -> None:
    learn = line_learner(2)
    fit_quietly(learn)
    learn.recorder.table = None
    assert shown(shell, learn.recorder)[1] == ""


def test_unloading_brings_back_the_repr(shell: InteractiveShell) -> None:
    x = tensor(np.zeros((300, 40)))
    notebook.unload_ipython_extension(shell)
    assert shown(shell, x) == (repr(x), "")
    assert not shell.custom_exceptions


# ---------------------------------------------------------------- tracebacks

MODEL = """
import numpy as np
from minifast.data import ArrayDataset, DataBunch
from minifast.nn import Linear, Module
from minifast.train import Learner
class Net(Module):
    def __init__(self):
        self.a, self.b = Linear(3, 4), Linear(5, 1)
    def forward(self, x):
        return self.b(self.a(x))
x = np.ones((20, 3), np.float32)
learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4), Net())
"""


def test_a_wrong_shape_in_a_fit(shell: InteractiveShell) -> None:
    assert printed(shell, MODEL) == ""
    text = printed(shell, "learn.fit(1)")
    lines = text.splitlines()[1:]  # after the head of the table
    assert len(lines) <= 16
    assert "----> 1 learn.fit(1)" in lines
    assert any("in Net.forward" in line for line in lines)
    assert "minifast/" not in text
    assert "ShapeError: linear: shapes (4, 4) and (1, 5) and (1,) do not fit together" in text
    assert lines[-2:] == ["in Net.b (Linear(in_features=5, out_features=1, bias=True))",
                          tracebacks.HINT]


@pytest.mark.cpu_only("is about frames")
def test_all_frames_on_demand(shell: InteractiveShell) -> None:
    printed(shell, MODEL)
    printed(shell, "learn.fit(1)")
    text = printed(shell, "%tb")
    assert "minifast/train/loop.py" in text
    assert "The above exception was the direct cause" in text
    text = printed(shell, "import traceback, sys; traceback.print_exception(sys.last_value)")
    assert "minifast/train/loop.py" in text


@pytest.mark.cpu_only("is about frames")
def test_errors_of_the_user_are_shown_as_before(shell: InteractiveShell) -> None:
    cells = ["1 / 0", "def f():\n    return {}['a']\nf()",
             "try:\n    1 / 0\nexcept Exception as e:\n    raise ValueError('b') from e", "x = ("]
    short = [printed(shell, cell) for cell in cells]
    notebook.unload_ipython_extension(shell)
    assert [re.sub(r"In\[\d+\]", "", printed(shell, cell)) for cell in cells] == \
        [re.sub(r"In\[\d+\]", "", text) for text in short]
    assert "direct cause" in short[2]


def test_an_error_in_the_users_own_layer_keeps_its_cause(shell: InteractiveShell) -> None:
    printed(shell, MODEL)
    text = printed(shell, """
def forward(self, x):
    try:
        return {}["a"]
    except KeyError as error:
        raise ValueError("no a") from error
Net.forward = forward
learn.fit(1)""")
    assert "minifast/" not in text
    assert "KeyError" in text
    assert "ValueError: no a" in text


def test_ctrl_c_shows_the_cell_alone(shell: InteractiveShell) -> None:
    printed(shell, MODEL)
    text = printed(shell, """
def forward(self, x):
    raise KeyboardInterrupt
Net.forward = forward
learn.fit(1)""")
    assert "minifast/" not in text
    assert "KeyboardInterrupt" in text


def test_somebody_elses_handler_stays(made: InteractiveShell) -> None:
    def other(*args: Any, **kwargs: Any) -> None:
        print("mine")
    made.set_custom_exc((ZeroDivisionError,), other)
    notebook.load_ipython_extension(made)
    assert printed(made, "1 / 0") == "mine\n"
    notebook.unload_ipython_extension(made)
    assert made.custom_exceptions == (ZeroDivisionError,)
    made.set_custom_exc((), None)


@pytest.mark.cpu_only("is about frames")
def test_a_script_keeps_its_full_traceback() -> None:
    code = MODEL.replace("from minifast.data", "from minifast.collab import *\nfrom minifast.data")
    done = subprocess.run([sys.executable, "-c", f"{code}\nlearn.fit(1)"], capture_output=True,
                          text=True, check=False)
    assert "minifast/train/loop.py" in done.stderr


@pytest.mark.cpu_only("is about frames")
def test_a_star_import_switches_it_on() -> None:
    code = ("from IPython.core.interactiveshell import InteractiveShell\n"
            "shell = InteractiveShell.instance(colors='nocolor')\n"
            "shell.run_cell('from minifast.collab import *')\n"
            "shell.run_cell('tensor([1.]) @ tensor([1., 2.])')\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert tracebacks.HINT in done.stderr
    assert "ShapeError: matmul" in done.stdout
    assert "minifast/" not in done.stdout


# ---------------------------------------------------------------- completion


@pytest.mark.cpu_only("is about names")
@pytest.mark.parametrize("use_jedi", [False, True])
@pytest.mark.parametrize("name", ["learn", "model", "x", "data", "minifast", "opt", "recorder"])
def test_completion_offers_no_private_name(shell: InteractiveShell, name: str,
                                           use_jedi: bool) -> None:
    learn = ratings_learner()
    fit_quietly(learn)
    shell.user_ns.update(learn=learn, model=learn.model, x=tensor([1.]), data=learn.data,
                         minifast=minifast, opt=learn.opt, recorder=learn.recorder)
    shell.Completer.use_jedi = use_jedi
    with provisionalcompleter():
        found = [c.text for c in shell.Completer.completions(f"{name}.", len(name) + 1)]
    names = [text.rpartition(".")[2] for text in found]
    assert len(names) > 5
    assert not [n for n in names if n.startswith("_")]
    assert not {"Any", "cache", "import_module", "iter_modules", "ModuleType"} & {*names}
