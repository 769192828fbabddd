"""How IPython shows tensors, models, optimizers and learners."""
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from html import escape
from inspect import getclosurevars
from types import FunctionType
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..data import ArrayDataset
from ..data.categories import Categories
from ..nn import Module, Parameter
from ..optim import Optimizer
from ..train import Learner, Recorder

ROWS = 20
"""The most lines of a model, and of epochs, that a learner shows."""


# ---------------------------------------------------------------- text


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines with aligned columns.

    Parameters
    ----------
    rows : iterable of sequence of str
        The cells of each row.

    Returns
    -------
    list of str
        A line for each row.

    Examples
    --------
    >>> columns([("a", "1"), ("long", "2")])
    ['a     1', 'long  2']
    """
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def tensor_text(x: Tensor) -> str:
    """Return the text of a tensor; if it is large or on a device, with shape, type and device.

    Parameters
    ----------
    x : Tensor
        The tensor.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> from minifast import tensor
    >>> tensor_text(tensor([1., 2.]))
    'tensor([1., 2.])'
    >>> tensor_text(tensor([[0.] * 3] * 2000)).splitlines()[-1]
    'shape (2000, 3), float32, cpu'
    """
    if x.numel() <= 1000 and x.device == "cpu":
        return repr(x)
    return f"{x!r}\nshape {x.shape}, {x.dtype}, {x.device}"


def _count(parameters: Iterable[Tensor]) -> str:
    """Return the number of parameters, and how many of them are trained."""
    sizes = [(p.numel(), p.numel() * p.requires_grad) for p in parameters]
    total, trained = (sum(column) for column in zip(*sizes, strict=True)) if sizes else (0, 0)
    if not total:
        return ""
    state = "" if trained == total else ", frozen" if not trained else f", {trained:,} trained"
    return f"{total:,}{state}"


def _tree(name: str, module: Module, depth: int) -> Iterator[tuple[str, str, str]]:
    """Yield a row for each module: its name and type, its own parameters, and how many."""
    shapes = [f"{key} {p.shape}" for key, p in vars(module).items() if isinstance(p, Parameter)]
    kind = type(module).__name__ + (f"({extra})" if (extra := module.extra_repr()) else "")
    yield ("  " * depth + (f"{name}: {kind}" if name else kind), ", ".join(shapes),
           _count(module.parameters()))
    for key, child in module.named_children():
        yield from _tree(key, child, depth + 1)


def module_text(module: Module) -> str:
    """Return a model as a tree with the shapes and the number of its parameters.

    Parameters
    ----------
    module : Module
        The model.

    Returns
    -------
    str
        A line for the model and each module inside it.

    Examples
    --------
    >>> from minifast.nn import Linear, ReLU, Sequential
    >>> print(module_text(Sequential(Linear(2, 3, bias=False), ReLU()).freeze("0")))
    Sequential                                                                     6, frozen
      0: Linear(in_features=2, out_features=3, bias=False)  weight (3, 2)          6, frozen
      1: ReLU
    """
    return "\n".join(columns([*_tree("", module, 0)]))


def optimizer_text(opt: Optimizer) -> str:
    """Return an optimizer as its steps and a line for each layer group.

    Parameters
    ----------
    opt : Optimizer
        The optimizer.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> from minifast.nn import Linear
    >>> from minifast.optim import SGD
    >>> print(optimizer_text(SGD([Linear(2, 1).parameters(), Linear(1, 1).parameters()], lr=.1)))
    Optimizer: weight_decay, momentum, sgd_step
    group 0  lr 0.1  mom 0  wd 0  parameters 3
    group 1  lr 0.1  mom 0  wd 0  parameters 2
    """
    steps = ", ".join(getattr(step, "__name__", str(step)) for step in opt.steps)
    rows = [(f"group {i}", *(f"{name} {value:.4g}" for name, value in hypers.items()),
             f"parameters {_count(group) or 0}")
            for i, (group, hypers) in enumerate(zip(opt.groups, opt.hypers, strict=True))]
    return "\n".join([f"Optimizer: {steps}", *columns(rows)])


def dataset_text(dataset: ArrayDataset) -> str:
    """Return the number of rows of a data set, and the shapes and types of its arrays.

    Parameters
    ----------
    dataset : ArrayDataset
        The data set.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> dataset_text(ArrayDataset([Tensor([1, 2]), Tensor([3., 4.])], Tensor([5., 6.])))
    'ArrayDataset of 2 rows: x (2,) int64, (2,) float64; y (2,) float64'
    """
    inputs: list[Any] = dataset.x if isinstance(dataset.x, list) else [dataset.x]
    x, y = (", ".join(f"{np.shape(a)} {getattr(a, 'dtype', '')}".strip() for a in arrays)
            for arrays in (inputs, [dataset.y]))
    return f"{type(dataset).__name__} of {len(dataset):,} rows: x {x}; y {y}"


def categories_text(categories: Categories) -> str:
    """Return the name of a column with its first classes.

    Parameters
    ----------
    categories : Categories
        The classes of a column.

    Returns
    -------
    str
        The text, with the first six classes.

    Examples
    --------
    >>> categories_text(Categories("user", range(100)))
    "Categories of 'user': 101 classes, #na#, 0, 1, 2, 3, 4, ..."
    """
    some = ", ".join(map(str, categories.classes[:6]))
    more = ", ..." if len(categories) > 6 else ""
    return f"Categories of {categories.name!r}: {len(categories):,} classes, {some}{more}"


CURVES = {"in_turn.<locals>.value": "in_turn({phases!r})",
          "annealing_poly.<locals>.<lambda>": "annealing_poly({degree!r})"}
"""The texts of functions that `minifast.optim` returns, by their qualified names."""


def curve_text(function: Any) -> str | None:
    """Return the text of a schedule: the call that makes such a function.

    Parameters
    ----------
    function : function
        Any function.

    Returns
    -------
    str or None
        The text; None for functions that are not schedules.

    Examples
    --------
    >>> from minifast.optim import one_cycle
    >>> curve_text(one_cycle(10, 1.)[0])
    "in_turn([Phase(3, 0.04, 1.0, 'annealing_cos'), Phase(7, 1.0, 4e-06, 'annealing_cos')])"
    """
    if function.__module__ != "minifast.optim.schedule" or function.__qualname__ not in CURVES:
        return None
    return CURVES[function.__qualname__].format(**getclosurevars(function).nonlocals)


# ---------------------------------------------------------------- HTML


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows of cells as an HTML table.

    Parameters
    ----------
    head : sequence of str
        The headings of the columns.
    rows : iterable of sequence of str
        The cells of each row.

    Returns
    -------
    str
        The table.

    Examples
    --------
    >>> html_table(["a"], [["<"]])
    '<table class="dataframe"><tr><th>a</th></tr><tr><td>&lt;</td></tr></table>'
    """
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
    return '<table class="dataframe">' + line(head, "th") + \
        "".join(line(row, "td") for row in rows) + "</table>"


def recorder_html(recorder: Recorder) -> str | None:
    """Return the last epochs of a fit as an HTML table; None before the first epoch has ended.

    Parameters
    ----------
    recorder : Recorder
        The recorder of the fit.

    Returns
    -------
    str or None
        The table, with at most `ROWS` epochs.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> x = np.ones((4, 1), np.float32)
    >>> learn = Learner(DataBunch([(x, x)], [(x, x)]), Linear(1, 1), loss_func=MSELossFlat())
    >>> with learn.no_bar(silent_table=True):
    ...     learn.fit(1)
    >>> recorder_html(learn.recorder)[:47]
    '<table class="dataframe"><tr><th>epoch</th><th>'
    """
    if recorder.table is None or len(recorder.table.rows) < 2:
        return None
    head, *rows = recorder.table.rows
    more = f"<p>the last {ROWS} of {len(rows)} epochs</p>" if len(rows) > ROWS else ""
    return html_table(head, rows[-ROWS:]) + more


def learner_html(learn: Learner) -> str:
    """Return a learner as HTML: its data, layer groups, last epochs, and model.

    Parameters
    ----------
    learn : Learner
        The learner.

    Returns
    -------
    str
        The HTML text. Models and fits with more than `ROWS` lines are cut off.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> learn = Learner(DataBunch([], []), Linear(1, 1), loss_func=MSELossFlat())
    >>> "<p>not trained yet</p>" in learner_html(learn)
    True
    """
    data, tree = learn.data, module_text(learn.model).splitlines()
    kinds = [(name, getattr(data, f"{name}_dl")) for name in ("train", "valid", "test")]
    loaders = [(name, *_size(dl)) for name, dl in kinds if dl is not None]
    cut = [*tree[:ROWS], *[f"... {len(tree) - ROWS} more"] * (len(tree) > ROWS)]
    settings = f"{getattr(learn.loss_func, '__name__', learn.loss_func)}, wd {learn.wd}, " \
               f"{_name(learn.opt_func)}, on {data.device}"
    recorder = vars(learn).get("recorder")
    return "".join([
        f"<p><b>{escape(type(learn).__name__)}</b>: {escape(settings)}</p>",
        html_table([type(data).__name__, "rows", "batches"], loaders),
        html_table(["group", "parameters", "lr", "wd"], _groups(learn)),
        (recorder and recorder_html(recorder)) or "<p>not trained yet</p>",
        f"<pre>{escape(chr(10).join(cut))}</pre>"])


def _name(function: Any) -> str:
    function = getattr(function, "func", function)  # unwrap a partial
    return getattr(function, "__name__", type(function).__name__)


def _size(dl: Any) -> tuple[str, str]:
    """Return the numbers of rows and of batches of a loader."""
    dataset = getattr(dl, "dataset", None)
    return "" if dataset is None else f"{len(dataset):,}", f"{len(dl):,}"


def _groups(learn: Learner) -> list[tuple[str, ...]]:
    """Return the number of parameters and the rates of each layer group."""
    hypers: list[dict[str, float]] = [{}] * len(learn.layer_groups) if learn.opt is None \
        else learn.opt.hypers
    return [(str(i), _count(group.parameters()), *(f"{own[key]:.3g}" if key in own else "-"
                                                   for key in ("lr", "wd")))
            for i, (group, own) in enumerate(zip(learn.layer_groups, hypers, strict=False))]


# ---------------------------------------------------------------- IPython's registry

TEXTS: dict[type, Callable[[Any], str]] = {
    Tensor: tensor_text, Module: module_text, Optimizer: optimizer_text,
    ArrayDataset: dataset_text, Categories: categories_text}
PAGES = {Learner: learner_html, Recorder: recorder_html}
for _kind in (ArrayDataset, Categories):  # also without IPython
    setattr(_kind, "__repr__", TEXTS[_kind])  # noqa: B010


def register(formatters: Any) -> None:
    """Tell IPython how to show these classes and their subclasses.

    Parameters
    ----------
    formatters : dict of str to BaseFormatter
        ``display_formatter.formatters`` of IPython's shell.

    Examples
    --------
    >>> from IPython.core.formatters import DisplayFormatter
    >>> formatters = DisplayFormatter().formatters
    >>> register(formatters)
    >>> print(formatters["text/plain"](Tensor([[0.] * 3] * 2000)).splitlines()[-1])
    shape (2000, 3), float64, cpu
    """
    for kind, text in TEXTS.items():
        formatters["text/plain"].for_type(
            kind, lambda x, printer, cycle, text=text: _write(printer, text(x)))
    for kind, page in PAGES.items():
        formatters["text/html"].for_type(kind, page)
    printers = formatters["text/plain"].type_printers
    printers[FunctionType] = partial(_write_function, _usual(printers))


def _usual(printers: dict[Any, Any]) -> Any:
    """Return the printer of functions that is not ours."""
    found = printers.get(FunctionType)
    return found.args[0] if isinstance(found, partial) and found.func is _write_function else found


def _write_function(usual: Any, function: Any, printer: Any, cycle: bool) -> None:
    """Write a schedule; leave other functions to the printer that IPython usually has."""
    text = curve_text(function)
    if text is None and usual is not None:
        usual(function, printer, cycle)
    else:
        printer.text(repr(function) if text is None else text)


def _write(printer: Any, text: str) -> None:
    """Write several lines with IPython's printer, which indents them inside a list."""
    first, *others = text.splitlines()
    printer.text(first)
    for line in others:
        printer.break_()
        printer.text(line)


def unregister(formatters: Any) -> None:
    """Undo `register`.

    Parameters
    ----------
    formatters : dict of str to BaseFormatter
        ``display_formatter.formatters`` of IPython's shell.

    Examples
    --------
    >>> from IPython.core.formatters import DisplayFormatter
    >>> formatters = DisplayFormatter().formatters
    >>> register(formatters)
    >>> unregister(formatters)
    >>> Tensor in formatters["text/plain"].type_printers
    False
    """
    for mime, kinds in (("text/plain", TEXTS), ("text/html", PAGES)):
        for kind in kinds:
            formatters[mime].type_printers.pop(kind, None)
    printers = formatters["text/plain"].type_printers
    printers[FunctionType] = _usual(printers)
