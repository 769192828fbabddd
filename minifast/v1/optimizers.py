"""torch's ``optim`` in v1's notebooks: minifast's optimizers with torch's arguments."""
from types import SimpleNamespace
from typing import Any

from ..optim import SGD, Adam, Optimizer, RMSProp
from ..optim.optimizer import Groups


def torch_adam(params: Groups, lr: Any = 1e-3, betas: tuple[float, float] = (.9, .999),
               weight_decay: float = 0., **kwargs: Any) -> Optimizer:
    """Return Adam with torch's arguments: ``optim.Adam`` in a v1 notebook.

    Parameters
    ----------
    params : iterable of Parameter, or of iterables of Parameter
        The parameters, or one list of them for each layer group.
    lr : float or sequence of float
        Learning rate.
    betas : (float, float)
        Decay of the means of the gradient and of its square.
    weight_decay : float
        Weight decay, as an L2 penalty.
    **kwargs
        Other arguments of ``Adam``; ``wd`` and ``true_wd`` replace ``weight_decay``.

    Returns
    -------
    Optimizer
        The optimizer.

    Examples
    --------
    >>> from minifast.nn import Linear
    >>> torch_adam(Linear(2, 1).parameters(), betas=(.8, .99)).mom
    0.8
    """
    return Adam(params, lr, *betas, **_with_decay(weight_decay, kwargs))


def torch_sgd(params: Groups, lr: Any = 1e-3, momentum: float = 0., weight_decay: float = 0.,
              **kwargs: Any) -> Optimizer:
    """Return SGD with torch's arguments: ``optim.SGD`` in a v1 notebook.

    Parameters
    ----------
    params : iterable of Parameter, or of iterables of Parameter
        The parameters, or one list of them for each layer group.
    lr : float or sequence of float
        Learning rate.
    momentum : float
        Decay of the mean of the gradient.
    weight_decay : float
        Weight decay, as an L2 penalty.
    **kwargs
        Other arguments of ``SGD``; ``wd`` and ``true_wd`` replace ``weight_decay``.

    Returns
    -------
    Optimizer
        The optimizer.

    Examples
    --------
    >>> from minifast.nn import Linear
    >>> torch_sgd(Linear(2, 1).parameters(), momentum=.9).mom
    0.9
    """
    return SGD(params, lr, momentum, **_with_decay(weight_decay, kwargs))


def torch_rmsprop(params: Groups, lr: Any = 1e-2, alpha: float = .99, weight_decay: float = 0.,
                  momentum: float = 0., **kwargs: Any) -> Optimizer:
    """Return RMSProp with torch's arguments: ``optim.RMSprop`` in a v1 notebook.

    Parameters
    ----------
    params : iterable of Parameter, or of iterables of Parameter
        The parameters, or one list of them for each layer group.
    lr : float or sequence of float
        Learning rate.
    alpha : float
        Decay of the mean of the square.
    weight_decay : float
        Weight decay, as an L2 penalty.
    momentum : float
        Decay of the mean of the gradient.
    **kwargs
        Other arguments of ``RMSProp``; ``wd`` and ``true_wd`` replace ``weight_decay``.

    Returns
    -------
    Optimizer
        The optimizer.

    Examples
    --------
    >>> from minifast.nn import Linear
    >>> torch_rmsprop(Linear(2, 1).parameters(), alpha=.9).get_hyper("beta")
    [0.9]
    """
    return RMSProp(params, lr, momentum, alpha, **_with_decay(weight_decay, kwargs))


def _with_decay(weight_decay: float, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"wd": weight_decay, "true_wd": False} | kwargs


optim = SimpleNamespace(Adam=torch_adam, SGD=torch_sgd, RMSprop=torch_rmsprop)
"""torch's names of optimizers."""
