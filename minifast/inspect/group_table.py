"""A table of the layer groups: what trains, at which rate, and how far the last step went."""
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..nn import BatchNorm, Module, Parameter
from ..train.groups import ParameterModule, flatten_model
from .summary import Summary

if TYPE_CHECKING:
    from ..train.learner import Learner

HEAD = ("#", "Layers", "State", "Trains", "lr", "wd", "Gradient", "Update")
ROOM = 30  # characters for the layers of a group


@dataclass(frozen=True)
class GroupRow:
    """One layer group. None is what is not known yet, or is not there in a frozen group.

    ``layers`` are its first and last leaf, with the names that ``model.freeze`` takes, and how
    many leaves it has. ``lr`` is the lowest and the highest rate of the last fit. ``grad_norm``
    is that of the last batch. ``update`` is the norm of the update over that of the weights, at
    the last batch of the last whole epoch.
    """

    number: int
    layers: str
    state: str
    parameters: int
    trainable: int
    lr: tuple[float, float] | None = None
    wd: float | None = None
    grad_norm: float | None = None
    update: float | None = None

    def cells(self) -> tuple[str, ...]:
        """The row as text.

        >>> GroupRow(0, "0 Linear (1)", "frozen", 1200, 0, lr=(1e-5, 1e-5)).cells()
        ('0', '0 Linear (1)', 'frozen', '0 of 1,200', '1e-5', '-', '-', '-')
        """
        return (str(self.number), self.layers, self.state,
                f"{self.trainable:,} of {self.parameters:,}", _range(self.lr),
                "-" if self.wd is None else f"{self.wd:.2g}",
                *("-" if x is None else power(x) for x in (self.grad_norm, self.update)))


def power(x: float) -> str:
    """Two digits, and a power of ten below a tenth.

    >>> power(1e-5), power(.0062), power(.1), power(0)
    ('1e-5', '6.2e-3', '0.1', '0')
    """
    if not 0 < x < .1:
        return f"{x:.2g}"
    digits, _, exponent = f"{x:.1e}".partition("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"


def _range(lr: tuple[float, float] | None) -> str:
    return "-" if lr is None else "..".join(dict.fromkeys(map(power, lr)))


# ---------------------------------------------------------------- from a learner to rows


def group_rows(learn: "Learner") -> Iterator[GroupRow]:
    """A row for each layer group of ``learn`` as it is now.

    What belongs to an optimizer is unknown while there is none: before the first fit, and
    after ``split`` and ``freeze_to``. On a GPU this waits for the device.
    """
    groups, names = list(learn.layer_groups), _names(learn.model)
    rates, norms, updates, wds = _rates(learn), _grad_norms(learn), _updates(learn), _wds(learn)
    for i, group in enumerate(groups):
        own = group.parameters()
        state, trainable = _state(group), [p for p in own if p.requires_grad]
        yield GroupRow(i, _layers(flatten_model(group), names), state, _count(own),
                       _count(trainable), rates[i] if rates else None,
                       wds[i], *((norms[i], updates[i]) if trainable and norms else (None, None)))


def _count(parameters: list[Parameter]) -> int:
    return sum(p.numel() for p in parameters)


def _state(group: Module) -> str:
    """Trainable, frozen, or partly; (bn) where all its batch norm trains and nothing else."""
    own = group.parameters()
    norms = {id(p) for leaf in flatten_model(group) if isinstance(leaf, BatchNorm)
             for p in leaf.parameters()}
    if all(p.requires_grad for p in own):
        return "trainable" if own else "-"
    if not any(p.requires_grad for p in own):
        return "frozen"
    only_norms = {id(p) for p in own if p.requires_grad} == norms
    return "partly (bn)" if only_norms else "partly"


def _names(model: Module) -> dict[int, str]:
    """Names of modules and parameters by their identity."""
    return {id(thing): name for name, thing in [*model.named_parameters(),
                                                *model.named_modules()]}


def _layers(leaves: list[Module], names: dict[int, str]) -> str:
    """First and last leaf by name and class, without the classes where that gets too long."""
    ends = dict.fromkeys([leaves[0], leaves[-1]]) if leaves else {}
    named = [(names.get(id(leaf.weight if isinstance(leaf, ParameterModule) else leaf), ""),
              "" if isinstance(leaf, ParameterModule) else type(leaf).__name__) for leaf in ends]
    full = " .. ".join(" ".join(filter(None, pair)) for pair in named) + f" ({len(leaves)})"
    short = " .. ".join(name or kind for name, kind in named) + f" ({len(leaves)})"
    return full if len(full) <= ROOM else short


def _rates(learn: "Learner") -> list[tuple[float, float]]:
    """Lowest and highest rate of the last fit, or the optimizer's present one, twice."""
    if learn.opt is None:
        return []
    recorded = learn.recorder.group_lrs if _was_fitted(learn) else []
    of_groups = zip(*(recorded or [learn.opt.get_hyper("lr")]), strict=True)
    return [(min(rates), max(rates)) for rates in of_groups]


def _wds(learn: "Learner") -> list[float | None]:
    """The optimizer's, or before it is made the learner's."""
    if learn.opt is not None:
        return [hypers.get("wd") for hypers in learn.opt.hypers]
    n, wd = len(learn.layer_groups), learn.wd
    wds: list[Any] = [wd] * n if isinstance(wd, (int, float)) else list(wd)
    return wds if len(wds) == n else [None] * n


def _was_fitted(learn: "Learner") -> bool:
    """Whether the last fit was made with the optimizer that is there now."""
    last = _last_update(learn)
    return last is not None and last.opt is learn.opt


def _grad_norms(learn: "Learner") -> list[float | None]:
    """From the arenas, where the last gradients stay when the parameters have let go of them."""
    if learn.opt is None or not _was_fitted(learn):
        return []
    learn.opt.settle()
    with np.errstate(all="ignore"):
        return [None if arena is None else float(np.linalg.norm(arena.grad))
                for arena in learn.opt.arenas]


def _updates(learn: "Learner") -> list[float | None]:
    last = _last_update(learn)
    ratios = last.ratios if last is not None else []
    return ratios or [None] * len(learn.layer_groups)


def _last_update(learn: "Learner") -> Any:
    """That of the last fit, if there was one."""
    return getattr(getattr(learn, "recorder", None), "last_update", None)


# ---------------------------------------------------------------- from rows to text


def group_table(learn: "Learner") -> Summary:
    """The table of ``learn.group_table()``, as wide as its cells need."""
    cells = [HEAD, *(row.cells() for row in group_rows(learn))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
             for row in cells]
    rule = "_" * max(map(len, lines))
    return Summary("\n".join(["Layer groups", rule, lines[0], rule, *lines[1:], rule]))
