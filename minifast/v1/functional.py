"""torch's ``F`` and ``TensorDataset`` in v1's notebooks, and functions of callbacks."""
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NoReturn

from .. import nn
from ..autograd import Tensor
from ..data import ArrayDataset
from ..train import Learner, OneCycleScheduler


class Functions(SimpleNamespace):
    """Functions under torch's names."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"F has no {name}, only {', '.join(vars(self))}. Other "
                             "operations are methods of a tensor, NumPy's functions, or layers in "
                             "nn", name=name, obj=self)


F = Functions(
    relu=Tensor.relu, sigmoid=Tensor.sigmoid, tanh=Tensor.tanh, softmax=nn.softmax,
    cross_entropy=nn.cross_entropy, mse_loss=nn.mse_loss,
    binary_cross_entropy_with_logits=nn.binary_cross_entropy_with_logits)
"""The functions of ``torch.nn.functional`` that minifast has."""

# torch's names of losses; the flattened ones give the same values for the shapes that torch takes
vars(nn).update(MSELoss=nn.MSELossFlat, CrossEntropyLoss=nn.CrossEntropyFlat,
                BCEWithLogitsLoss=nn.BCEWithLogitsFlat)


class TensorDataset(ArrayDataset):
    """Rows held in tensors: torch's ``TensorDataset``.

    Parameters
    ----------
    *tensors : Tensor or array (n, ...)
        Inputs, and last the targets.

    Raises
    ------
    ValueError
        If there are fewer than two, or they differ in length.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast import tensor
    >>> len(TensorDataset(tensor(np.ones((3, 2))), tensor([0, 1, 0])))
    3
    """

    def __init__(self, *tensors: Any) -> None:
        if len(tensors) < 2:
            raise ValueError(f"TensorDataset takes inputs and targets, got {len(tensors)} arrays")
        *x, y = (t.data if isinstance(t, Tensor) else t for t in tensors)
        super().__init__(x[0] if len(x) == 1 else x, y)


def add_metrics(last_metrics: Sequence[Any] | None, mets: Any) -> dict[str, list[Any]]:
    """Return what a callback's ``on_epoch_end`` returns to add values to the table of a fit.

    Parameters
    ----------
    last_metrics : list
        The values of the epoch so far.
    mets : object, or list of these
        The values to add.

    Returns
    -------
    dict
        ``{"last_metrics": values}``.

    Examples
    --------
    >>> add_metrics([.5], .25), add_metrics(None, [1, 2])
    ({'last_metrics': [0.5, 0.25]}, {'last_metrics': [1, 2]})
    """
    added = list(mets) if isinstance(mets, (list, tuple)) else [mets]
    return {"last_metrics": [*(last_metrics or []), *added]}


def fit_one_cycle(learn: Learner, cyc_len: int, *args: Any, **kwargs: Any) -> None:
    """Call ``learn.fit_one_cycle``.

    Parameters
    ----------
    learn : Learner
        The learner.
    cyc_len : int
        Epochs of the cycle.
    *args, **kwargs : object
        Other arguments of the method.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear
    >>> import numpy as np
    >>> rows = TensorDataset(np.ones((8, 1), np.float32), np.ones((8, 1), np.float32))
    >>> learn = Learner(DataBunch.create(rows, rows, bs=4), Linear(1, 1, seed=0), silent=True)
    >>> fit_one_cycle(learn, 1, .1)
    >>> len(learn.recorder.losses)
    2
    """
    learn.fit_one_cycle(cyc_len, *args, **kwargs)


def lr_find(learn: Learner, *args: Any, **kwargs: Any) -> None:
    """Call ``learn.lr_find``.

    Parameters
    ----------
    learn : Learner
        The learner.
    *args, **kwargs : object
        Arguments of the method: ``start_lr``, ``end_lr``, ``num_it``, ``stop_div``, ``wd``.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear
    >>> import numpy as np
    >>> rows = TensorDataset(np.ones((8, 1), np.float32), np.ones((8, 1), np.float32))
    >>> learn = Learner(DataBunch.create(rows, rows, bs=4), Linear(1, 1, seed=0), silent=True)
    >>> lr_find(learn, num_it=4)
    LR Finder is complete, type {learner_name}.recorder.plot() to see the graph.
    >>> len(learn.recorder.lrs)
    4
    """
    learn.lr_find(*args, **kwargs)


def one_cycle_scheduler(lr_max: float, **kwargs: Any) -> Callable[[Learner], OneCycleScheduler]:
    """Return a function for ``callback_fns`` that makes a ``OneCycleScheduler``.

    Parameters
    ----------
    lr_max : float or list of float
        The highest learning rate.
    **kwargs
        Other arguments of the scheduler.

    Returns
    -------
    callable
        Takes the learner.

    Examples
    --------
    >>> one_cycle_scheduler(1e-2, pct_start=.5).keywords
    {'lr_max': 0.01, 'pct_start': 0.5}
    """
    return partial(OneCycleScheduler, lr_max=lr_max, **kwargs)


def doc(elt: Any) -> None:
    """Print the signature and the docstring of a class or function.

    Parameters
    ----------
    elt : class, function or object
        What to explain.

    Examples
    --------
    >>> from minifast.v1 import is_tuple
    >>> doc(is_tuple)
    is_tuple(x: Any) -> bool
    <BLANKLINE>
    Return whether ``x`` is a tuple.
    ...
    """
    named = elt if hasattr(elt, "__name__") else type(elt)
    print(f"{named.__name__}{inspect.signature(named)}\n\n{inspect.getdoc(elt)}")
