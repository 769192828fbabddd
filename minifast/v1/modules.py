"""fastai v1's functions for modules: children, trainable parameters, modes."""
from collections.abc import Callable
from typing import Any

from ..nn import BatchNorm, Module, Parameter
from ..train import flatten_model


def children(m: Module) -> list[Module]:
    """Return the modules that are attributes of a module.

    Parameters
    ----------
    m : Module
        The module.

    Returns
    -------
    list of Module
        The modules, without those inside them.

    Examples
    --------
    >>> from minifast.nn import Linear, ReLU, Sequential
    >>> children(Sequential(Sequential(Linear(2, 1)), ReLU()))[1]
    ReLU()
    """
    return list(m.children())


def num_children(m: Module) -> int:
    """Return the number of modules that are attributes of a module.

    Parameters
    ----------
    m : Module
        The module.

    Returns
    -------
    int
        The number.

    Examples
    --------
    >>> from minifast.nn import Linear, ReLU, Sequential
    >>> num_children(Sequential(Sequential(Linear(2, 1)), ReLU()))
    2
    """
    return len(children(m))


def first_layer(m: Module) -> Module:
    """Return the first layer of a model that contains no other layers.

    Parameters
    ----------
    m : Module
        The model.

    Returns
    -------
    Module
        The layer.

    Examples
    --------
    >>> from minifast.nn import Linear, ReLU, Sequential
    >>> net = Sequential(Sequential(Linear(2, 1)), ReLU())
    >>> first_layer(net), last_layer(net)
    (Linear(in_features=2, out_features=1, bias=True), ReLU())
    """
    return flatten_model(m)[0]


def last_layer(m: Module) -> Module:
    """Return the last layer of a model that contains no other layers.

    Parameters
    ----------
    m : Module
        The model.

    Returns
    -------
    Module
        The layer.

    Examples
    --------
    >>> from minifast.nn import Linear, ReLU, Sequential
    >>> last_layer(Sequential(Linear(2, 1), Sequential(ReLU())))
    ReLU()
    """
    return flatten_model(m)[-1]


def trainable_params(m: Module) -> list[Parameter]:
    """Return the parameters that are not frozen.

    Parameters
    ----------
    m : Module
        The model.

    Returns
    -------
    list of Parameter
        The parameters.

    Examples
    --------
    >>> from minifast.nn import Linear
    >>> len(trainable_params(Linear(2, 1).freeze("bias")))
    1
    """
    return [p for p in m.parameters() if p.requires_grad]


def one_param(m: Module) -> Parameter:
    """Return the first parameter of a model; v1 uses it to find the device and type.

    Parameters
    ----------
    m : Module
        The model, which has parameters.

    Returns
    -------
    Parameter
        The first one.

    Examples
    --------
    >>> from minifast.nn import Linear
    >>> one_param(Linear(2, 1)).device
    'cpu'
    """
    return m.parameters()[0]


def requires_grad(m: Module, b: bool | None = None) -> bool | None:
    """Return whether the first parameter is trainable; or freeze or unfreeze all parameters.

    Parameters
    ----------
    m : Module
        The model.
    b : bool, optional
        True unfreezes all parameters, False freezes them.

    Returns
    -------
    bool or None
        The flag of the first parameter; None if there is none, or if `b` is given.

    Examples
    --------
    >>> from minifast.nn import Linear
    >>> layer = Linear(2, 1)
    >>> requires_grad(layer, False)
    >>> requires_grad(layer)
    False
    """
    if b is not None:
        m.requires_grad_(b)
        return None
    own = m.parameters()
    return own[0].requires_grad if own else None


def apply_leaf(m: Module, f: Callable[[Module], Any]) -> None:
    """Call a function with a module and with all modules inside it.

    Parameters
    ----------
    m : Module
        The module.
    f : callable
        Takes a module.

    Examples
    --------
    >>> from minifast.nn import ReLU, Sequential
    >>> apply_leaf(Sequential(ReLU()), lambda m: print(type(m).__name__))
    Sequential
    ReLU
    """
    for module in m.modules():
        f(module)


def set_bn_eval(m: Module) -> None:
    """Put frozen batch norm layers into evaluation mode.

    Parameters
    ----------
    m : Module
        The model.

    Examples
    --------
    >>> from minifast.nn import BatchNorm1d
    >>> layer = BatchNorm1d(1).freeze("weight")
    >>> set_bn_eval(layer)
    >>> layer.training
    False
    """
    for module in m.modules():
        if isinstance(module, BatchNorm) and not module.weight.requires_grad:
            module.eval()


def split_no_wd_params(layer_groups: list[Module]) -> list[list[Parameter]]:
    """Return two lists of trainable parameters for each layer group.

    Parameters
    ----------
    layer_groups : list of Module
        The layer groups.

    Returns
    -------
    list of list of Parameter
        For each group, first the parameters that weight decay always applies to, then the biases
        and the parameters of normalization layers, which do not decay if the learner has
        ``bn_wd=False``.

    Examples
    --------
    >>> from minifast.nn import BatchNorm1d, Linear, Sequential
    >>> [len(part) for part in split_no_wd_params([Sequential(Linear(2, 1), BatchNorm1d(1))])]
    [1, 3]
    """
    return [[p for p in trainable_params(group) if p.no_wd is no_wd]
            for group in layer_groups for no_wd in (False, True)]
