"""Layer groups: cutting a model into parts that have their own learning rate, or none."""
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..nn import BatchNorm, Module, Parameter, Sequential

SplitOn = Callable[[Module], Any] | Module | Iterable[Any]


class ParameterModule(Module):
    """A leaf that holds one parameter which its model owns directly."""

    def __init__(self, parameter: Parameter) -> None:
        self.weight = parameter

    def forward(self, x: Any) -> Any:
        """The input, unchanged."""
        return x


def flatten_model(model: Module) -> list[Module]:
    """The leaves of a model, depth first; fastai v1's ``flatten_model``.

    A parameter that a module with children owns directly becomes a leaf of its own.

    >>> from minifast.nn import Linear, ReLU
    >>> len(flatten_model(Sequential(Linear(1, 1), Sequential(ReLU(), Linear(1, 1)))))
    3
    """
    children = list(model.children())
    if not children:
        return [model]
    own = [p for p in vars(model).values() if isinstance(p, Parameter)]
    below = [leaf for child in children for leaf in flatten_model(child)]
    return below + [ParameterModule(p) for p in own]


def split_model(model: Module, split_on: SplitOn) -> list[Sequential]:
    """Layer groups: one begins at the first leaf of each module of ``split_on``.

    ``split_on`` is a module, several, or a function from the model to them. The beginning of
    the model begins a group in any case.

    >>> from minifast.nn import Linear, ReLU
    >>> net = Sequential(Linear(1, 1), ReLU(), Linear(1, 1))
    >>> [len(group) for group in split_model(net, net[2])]
    [2, 1]
    """
    found = split_on(model) if callable(split_on) and not isinstance(split_on, Module) \
        else split_on
    modules: Sequence[Any] = [found] if isinstance(found, Module) else list(found)
    leaves = flatten_model(model)
    starts = sorted({0, *(_first_leaf(leaves, _one_module(m)) for m in modules)})
    return [Sequential(*leaves[a:b]) for a, b in zip(starts, [*starts[1:], len(leaves)],
                                                     strict=True)]


def _one_module(module: Any) -> Module:
    if isinstance(module, (list, tuple)) and module:
        return _one_module(module[0])
    if not isinstance(module, Module):
        raise TypeError(f"split takes modules of the model, got {type(module).__name__}")
    return module


def _first_leaf(leaves: list[Module], module: Module) -> int:
    first = flatten_model(module)[0]
    for i, leaf in enumerate(leaves):
        if leaf is first:
            return i
    raise ValueError(f"cannot split at {type(module).__name__}: it is not a part of this model; "
                     "pass modules that the model holds, such as learn.model.layers")


def freeze_groups(groups: Sequence[Module], n: int, train_bn: bool = True) -> None:
    """Freeze ``groups[:n]`` and unfreeze the rest; batch norm stays trainable if ``train_bn``.

    IndexError if there are not so many groups, ValueError if nothing would be left to train.
    """
    count = len(groups)
    if not -count <= n <= count:
        raise IndexError(f"freeze_to({n}): this model has {count} layer group"
                         f"{'s' * (count != 1)}; make more with learn.split(...)")
    first = n + count if n < 0 else n
    if first == count:
        raise ValueError(f"freeze_to({n}) would freeze all {count} layer groups and leave "
                         "nothing to train")
    for group in groups[:first]:
        for leaf in flatten_model(group):
            leaf.requires_grad_(train_bn and isinstance(leaf, BatchNorm))
    for group in groups[first:]:
        group.requires_grad_(True)


def even_mults(start: float, stop: float, n: int) -> list[float]:
    """``n`` numbers from start to stop with equal ratios.

    >>> even_mults(1., 100., 3)
    [1.0, 10.0, 100.0]
    """
    return [stop] if n == 1 else [start * (stop / start) ** (i / (n - 1)) for i in range(n)]


def lr_range(lr: Any, n: int) -> Any:
    """Learning rates for ``n`` groups: fastai's reading of a number, a list and a slice.

    A number is for all groups; a list has one for each. ``slice(b)`` gives the last group b
    and the others b / 10; ``slice(a, b)`` goes from a to b in equal ratios.

    >>> lr_range(slice(1e-3), 3), lr_range(1e-3, 3)
    ([0.0001, 0.0001, 0.001], 0.001)
    """
    if not isinstance(lr, slice):
        if np.ndim(lr) and len(lr) != n:
            raise ValueError(f"{len(lr)} learning rates {list(lr)} for {n} layer groups; give one "
                             f"number, {n} numbers, or a slice")
        return lr
    if lr.stop is None or not lr.stop > 0:
        raise ValueError(f"slice({lr.start}, {lr.stop}) has no learning rate to end at; write "
                         "slice(1e-3) or slice(1e-5, 1e-3)")
    if lr.start is None:
        return [lr.stop / 10] * (n - 1) + [lr.stop]
    if not lr.start > 0:
        raise ValueError(f"slice({lr.start}, {lr.stop}): rates in equal ratios cannot start at "
                         f"{lr.start}; write slice({lr.stop}) or a small positive start")
    return even_mults(lr.start, lr.stop, n)
