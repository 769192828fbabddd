"""Layer groups: parts of a model with their own learning rates, or frozen."""
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..nn import BatchNorm, Module, Parameter, Sequential
from .callback import LearnerCallback

SplitOn = Callable[[Module], Any] | Module | Iterable[Any]


# ---------------------------------------------------------------- splitting


class ParameterModule(Module):
    """A leaf that holds a parameter which its model owns directly.

    Parameters
    ----------
    parameter : Parameter
        The parameter.

    Examples
    --------
    >>> from minifast.nn import Parameter
    >>> [name for name, _ in ParameterModule(Parameter(np.zeros(2, np.float32))).named_parameters()]
    ['weight']
    """

    def __init__(self, parameter: Parameter) -> None:
        self.weight = parameter


def flatten_model(model: Module) -> list[Module]:
    """Return the leaves of a model, depth first; fastai v1's ``flatten_model``.

    A parameter that a module with children owns directly becomes a leaf of its own.

    Parameters
    ----------
    model : Module
        The model.

    Returns
    -------
    list of Module
        The leaves.

    Examples
    --------
    >>> from minifast.nn import Linear, ReLU
    >>> len(flatten_model(Sequential(Linear(1, 1), Sequential(ReLU(), Linear(1, 1)))))
    3
    """
    children = list(model.children())
    if not children:
        return [model]
    leaves = [leaf for child in children for leaf in flatten_model(child)]
    return leaves + [ParameterModule(p) for p in vars(model).values() if isinstance(p, Parameter)]


def split_model(model: Module, split_on: SplitOn) -> list[Sequential]:
    """Return layer groups; fastai v1's ``split_model``.

    Parameters
    ----------
    model : Module
        The model.
    split_on : Module, iterable of Module, or callable
        The modules at which a group begins, except the first of the model. A callable
        returns them for the model.

    Returns
    -------
    list of Sequential
        The leaves of each group.

    Raises
    ------
    TypeError
        If ``split_on`` holds something else than modules.
    ValueError
        If one of the modules is not part of the model.

    Examples
    --------
    >>> from minifast.nn import Linear, ReLU
    >>> net = Sequential(Linear(1, 1), ReLU(), Linear(1, 1))
    >>> [len(group) for group in split_model(net, net[2])]
    [2, 1]
    """
    found = split_on if isinstance(split_on, Module) or not callable(split_on) else split_on(model)
    modules, leaves = [found] if isinstance(found, Module) else found, flatten_model(model)
    starts = {0, *(_first_leaf(leaves, module) for module in modules)}
    return [Sequential(*leaves[a:b]) for a, b in pairwise([*sorted(starts), len(leaves)])]


def _first_leaf(leaves: list[Module], module: Any) -> int:
    """Return the position of the first leaf of a module."""
    if not isinstance(module, Module):
        raise TypeError(f"split takes modules of the model, got {type(module).__name__}")
    first = flatten_model(module)[0]
    if first not in leaves:
        raise ValueError(f"cannot split at {type(module).__name__}: it is not a part of this "
                         "model; pass modules that the model holds, such as learn.model.layers")
    return leaves.index(first)


# ---------------------------------------------------------------- freezing


def freeze_groups(groups: Sequence[Module], n: int, train_bn: bool = True) -> None:
    """Freeze the first ``n`` layer groups and unfreeze the others.

    Parameters
    ----------
    groups : sequence of Module
        The layer groups.
    n : int
        Number of groups to freeze; a negative number counts from the end.
    train_bn : bool
        Whether batch norm in frozen groups stays trainable.

    Raises
    ------
    IndexError
        If there are fewer groups.
    ValueError
        If nothing would be left to train.

    Examples
    --------
    >>> from minifast.nn import Linear
    >>> body, head = Linear(2, 3), Linear(3, 1)
    >>> freeze_groups([body, head], -1)
    >>> body.weight.requires_grad, head.weight.requires_grad
    (False, True)
    """
    count = len(groups)
    if not -count <= n <= count:
        raise IndexError(f"freeze_to({n}): this model has {count} layer group"
                         f"{'s' * (count != 1)}; make more with learn.split(...)")
    if n == count:
        raise ValueError(f"freeze_to({n}) would freeze all {count} layer groups and leave "
                         "nothing to train")
    for group in groups[:n]:
        for leaf in flatten_model(group):
            leaf.requires_grad_(train_bn and isinstance(leaf, BatchNorm))
    for group in groups[n:]:
        group.requires_grad_(True)


class BnFreeze(LearnerCallback):
    """Puts frozen batch norm into evaluation mode at each epoch; fastai v1's ``BnFreeze``.

    It then normalises by its running statistics and keeps them. Without this callback a frozen
    batch norm keeps scale and shift only, as in v1. A learner with ``train_bn=False`` adds it to
    its ``callback_fns``.

    Parameters
    ----------
    learn : Learner
        The learner that is trained.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import BatchNorm1d, MSELossFlat
    >>> from minifast.train import Learner
    >>> bn = BatchNorm1d(2).requires_grad_(False)
    >>> learn = Learner(DataBunch([]), bn, loss_func=MSELossFlat())
    >>> BnFreeze(learn).on_epoch_begin()
    >>> bn.training
    False
    """

    def on_epoch_begin(self) -> None:
        for module in self.learn.model.modules():
            if isinstance(module, BatchNorm) and not module.weight.requires_grad:
                module.eval()


# ---------------------------------------------------------------- rates


def lr_range(lr: Any, n: int) -> Any:
    """Return the learning rates of layer groups; fastai v1's ``Learner.lr_range``.

    Parameters
    ----------
    lr : float, list of float or slice
        A number is for all groups, a list has one for each. ``slice(b)`` is b for the last group
        and b / 10 for the others, ``slice(a, b)`` goes from a to b in equal ratios.
    n : int
        Number of groups.

    Returns
    -------
    float or list of float
        One rate for all groups, or one for each.

    Raises
    ------
    ValueError
        If a list has another length, or a slice has no positive end.

    Examples
    --------
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
    step = (lr.stop / lr.start) ** (1 / max(n - 1, 1))  # v1's even_mults
    return [lr.start * step ** i for i in range(n)] if n > 1 else [lr.stop]
