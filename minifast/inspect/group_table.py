"""A table of the layer groups: what trains, at which rate, and how far the last step went."""
from collections.abc import Iterator
from typing import Any

from ..nn import BatchNorm, Module
from ..train import Learner, Recorder, flatten_model
from ..train.groups import ParameterModule
from .text_table import Text, text_table

HEAD = ("#", "Layers", "State", "Trains", "lr", "wd", "Gradient", "Update")
MAX_LAYERS = 30
"""Characters for the layers of a group."""


def group_table(learn: Learner) -> Text:
    """Return a table of the layer groups as they are now.

    A group is shown by its first and last layer, under the names that ``model.freeze`` takes,
    and their number. ``partly (bn)`` means that exactly its batch norm layers train. ``lr`` is the
    range of the last fit. ``Gradient`` (norm) and ``Update`` (norm over that of the weights) are
    those that ``LastUpdate`` measured in the last fit. Values that are unknown, as before the
    first fit and after ``split`` and ``freeze_to``, are shown as ``-``.

    Parameters
    ----------
    learn : Learner
        The learner.

    Returns
    -------
    Text
        A string that a notebook shows as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> learn = Learner(DataBunch.create(rows, rows, bs=4), Linear(2, 1, seed=0))
    >>> group_table(learn).splitlines()[0]
    'Layer groups'
    """
    return Text(f"Layer groups\n{text_table(HEAD, _rows(learn))}")


def _rows(learn: Learner) -> Iterator[tuple[str, ...]]:
    groups, model = list(learn.layer_groups), learn.model
    names = {id(part): name for name, part in [*model.named_parameters(), *model.named_modules()]}
    columns = [column if len(column) == len(groups) else ["-"] * len(groups)
               for column in (_rates(learn), _wds(learn), *_measured(learn))]
    for i, (group, *cells) in enumerate(zip(groups, *columns, strict=True)):
        total, trainable = count_parameters(group)
        yield (str(i), _layers(flatten_model(group), names), _state(group),
               f"{trainable:,} of {total:,}", *cells)


def count_parameters(module: Module) -> tuple[int, int]:
    """Return the numbers of parameters, and of trainable ones.

    Parameters
    ----------
    module : Module
        The module.

    Returns
    -------
    all, trainable : int
        Numbers in its arrays.

    Examples
    --------
    >>> from minifast.nn import Linear
    >>> count_parameters(Linear(2, 3).requires_grad_(False))
    (9, 0)
    """
    own = module.parameters()
    return sum(p.numel() for p in own), sum(p.numel() for p in own if p.requires_grad)


def _state(group: Module) -> str:
    own = group.parameters()
    trainable = {id(p) for p in own if p.requires_grad}
    if len(trainable) == len(own):
        return "trainable" if own else "-"
    norms = {id(p) for leaf in flatten_model(group) if isinstance(leaf, BatchNorm)
             for p in leaf.parameters()}
    return "frozen" if not trainable else "partly (bn)" if trainable == norms else "partly"


def _layers(leaves: list[Module], names: dict[int, str]) -> str:
    """Return first and last leaf by name and class, or by name alone where that is too long."""
    ends = dict.fromkeys([leaves[0], leaves[-1]]) if leaves else {}
    named = [(names.get(id(leaf.weight), ""), "") if isinstance(leaf, ParameterModule)
             else (names.get(id(leaf), ""), type(leaf).__name__) for leaf in ends]
    full = f"{' .. '.join(' '.join(filter(None, pair)) for pair in named)} ({len(leaves)})"
    short = f"{' .. '.join(name or kind for name, kind in named)} ({len(leaves)})"
    return full if len(full) <= MAX_LAYERS else short


# ---------------------------------------------------------------- columns, empty where unknown


def _last_fit(learn: Learner) -> Recorder | None:
    """Return the recorder of the last fit if that fit used the present optimizer."""
    recorder: Any = getattr(learn, "recorder", None)
    return recorder if recorder and learn.opt and recorder.opt is learn.opt else None


def _rates(learn: Learner) -> list[str]:
    """Return the range of each group's rates in the last fit, or the optimizer's present rate."""
    if learn.opt is None:
        return []
    fit = _last_fit(learn)
    rates = fit.group_lrs if fit and fit.group_lrs else [learn.opt.get_hyper("lr")]
    ranges = [(min(of_group), max(of_group)) for of_group in zip(*rates, strict=True)]
    return ["..".join(dict.fromkeys(map(_short, ends))) for ends in ranges]


def _wds(learn: Learner) -> list[str]:
    """Return the optimizer's weight decay of each group, or before the first fit the learner's."""
    wd: Any = learn.wd
    wds = [wd] * len(learn.layer_groups) if isinstance(wd, (int, float)) else list(wd)
    if learn.opt is not None:
        wds = [hypers.get("wd") for hypers in learn.opt.hypers]
    return ["-" if wd is None else f"{wd:.2g}" for wd in wds]


def _measured(learn: Learner) -> tuple[list[str], list[str]]:
    """Return the gradient norms and update ratios of the last fit."""
    last, fit = getattr(learn, "last_update", None), _last_fit(learn)
    if last is None or fit is None or last.recorder is not fit:
        return [], []
    return [_short(x) for x in last.grad_norms], [_short(x) for x in last.ratios]


def _short(x: float | None) -> str:
    """Return two digits, with a power of ten below a tenth.

    Examples
    --------
    >>> _short(1e-5), _short(.0062), _short(.1), _short(0), _short(None)
    ('1e-5', '6.2e-3', '0.1', '0', '-')
    """
    if x is None or not 0 < x < .1:
        return "-" if x is None else f"{x:.2g}"
    digits, _, exponent = f"{x:.1e}".partition("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"
