"""Methods of fastai v1's Learner that the core does not have; importing this adds them."""
from typing import Any, NoReturn
from warnings import warn

from ..autograd import Tensor, no_grad
from ..data import DatasetType
from ..data.bunch import Batches
from ..nn import Module
from ..train import Learner
from ..train.loop import call_loss, evaluating, forward
from .tensors import HALF


def dl(learn: Learner, ds_type: DatasetType = DatasetType.Valid) -> Batches:
    """Return the loader of a kind, see ``DataBunch.dl``.

    Parameters
    ----------
    learn : Learner
        The learner.
    ds_type : DatasetType
        The kind.

    Returns
    -------
    DataLoader or sized iterable of (xb, yb)
        The loader.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> x = np.ones((4, 1), np.float32)
    >>> learn = Learner(DataBunch([(x, x)] * 3, [(x, x)]), Linear(1, 1), loss_func=MSELossFlat())
    >>> len(learn.dl(DatasetType.Train)), len(learn.dl())
    (3, 1)
    """
    return learn.data.dl(ds_type)


def apply_dropout(m: Module) -> None:
    """Put a module into training mode if it is a dropout layer; do not change others.

    Parameters
    ----------
    m : Module
        The module.

    Examples
    --------
    >>> from minifast.nn import Dropout
    >>> layer = Dropout(.5).eval()
    >>> apply_dropout(layer)
    >>> layer.training
    True
    """
    if "dropout" in type(m).__name__.lower():
        m.training = True


def _activated(learn: Learner, output: Tensor, activ: Any = None) -> Tensor:
    """Apply the activation that belongs to the loss, or the one that is given."""
    own = activ or getattr(learn.loss_func, "activation", None)
    return own(output) if own else output


def pred_batch(learn: Learner, ds_type: DatasetType = DatasetType.Valid, batch: Any = None,
               reconstruct: bool = False, with_dropout: bool = False, activ: Any = None) -> Any:
    """Return the predictions for one batch.

    Parameters
    ----------
    learn : Learner
        The learner.
    ds_type : DatasetType
        The loader to take the first batch from.
    batch : (xb, yb), optional
        A batch to use instead.
    reconstruct : bool
        Whether to return what the predictions stand for: names of classes, or numbers.
    with_dropout : bool
        Whether dropout is active, as in training.
    activ : callable, optional
        Applied to the outputs; by default the activation that belongs to the loss.

    Returns
    -------
    Tensor (bs, ...) or list
        The predictions; a list of bs objects with ``reconstruct``.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> x = np.ones((4, 1), np.float32)
    >>> learn = Learner(DataBunch([(x, x)], [(x, x)]), Linear(1, 1), loss_func=MSELossFlat())
    >>> learn.pred_batch().shape
    (4, 1)
    """
    xb, _ = learn.data.one_batch(ds_type) if batch is None else batch
    with learn.reproducibly(), no_grad(), evaluating(learn.model):
        if with_dropout:
            for module in learn.model.modules():
                apply_dropout(module)
        preds = _activated(learn, forward(learn.model, xb).detach(), activ)
    data = learn.data
    return [data.decode(data.analyze_pred(row)) for row in preds] if reconstruct else preds


def predict_with_mc_dropout(learn: Learner, item: Any, with_dropout: bool = True,
                            n_times: int = 10) -> list[tuple[Any, Tensor, Tensor]]:
    """Predict one sample several times with active dropout, to see how much the results vary.

    Parameters
    ----------
    learn : Learner
        The learner.
    item : object
        One sample, as for ``predict``.
    with_dropout : bool
        False gives the same prediction each time.
    n_times : int
        How often to predict.

    Returns
    -------
    list of tuple
        ``n_times`` results like those of ``predict``.

    References
    ----------
    Gal and Ghahramani 2016, Dropout as a Bayesian approximation.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Dropout, Linear, MSELossFlat, Sequential
    >>> model, data = Sequential(Dropout(.5), Linear(1, 1)), DataBunch([], [])
    >>> learn = Learner(data, model, loss_func=MSELossFlat())
    >>> len(learn.predict_with_mc_dropout(np.ones(1, np.float32), n_times=3))
    3
    """
    found = []
    for _ in range(n_times):
        output = pred_batch(learn, batch=(learn.data.one_item(item), None),
                            with_dropout=with_dropout)[0]
        target = learn.data.analyze_pred(output)
        found.append((learn.data.decode(target), target, output))
    return found


def backward(learn: Learner, item: Any, target: Any = None) -> Tensor:
    """Compute the gradients of one sample's loss in evaluation mode, for backward hooks.

    The gradients are added to the existing ones. v1 takes the target from the item.

    Parameters
    ----------
    learn : Learner
        The learner.
    item : object
        One sample, as for ``predict``.
    target : number or array, optional
        Its target, as in ``data.train_ds``; by default the class with the highest score.

    Returns
    -------
    Tensor
        The loss.

    Raises
    ------
    ValueError
        If there is no target and the output is a single number, not a vector of scores.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> learn = Learner(DataBunch([], []), Linear(2, 1), loss_func=MSELossFlat())
    >>> loss = learn.backward(np.ones(2, np.float32), 1.)
    >>> loss.ndim, learn.model.weight.grad.shape
    (0, (1, 2))
    """
    with evaluating(learn.model):
        output = forward(learn.model, learn.data.one_item(item))
        if target is None and output.numel() == 1:
            raise ValueError("the loss of a predicted number needs the true number; "
                             "write learn.backward(item, target)")
        y = output.argmax(-1) if target is None else Tensor([target]).to(learn.data.device)
        loss = call_loss(learn.loss_func, output, y)
        loss.backward()
    return loss.detach()


def to_fp16(learn: Learner, **options: Any) -> Learner:
    """Return the learner unchanged, with a warning: half precision is not supported.

    Parameters
    ----------
    learn : Learner
        The learner.
    **options
        Arguments of v1 such as ``loss_scale``; they have no effect.

    Returns
    -------
    Learner
        The same learner.

    Examples
    --------
    >>> import warnings
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> learn = Learner(DataBunch([], []), Linear(1, 1), loss_func=MSELossFlat())
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     learn.to_fp16() is learn
    True
    """
    warn(f"to_fp16() changes nothing: {HALF}", stacklevel=2)
    return learn


def to_fp32(learn: Learner) -> Learner:
    """Return the learner unchanged: it computes in float32.

    Parameters
    ----------
    learn : Learner
        The learner.

    Returns
    -------
    Learner
        The same learner.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> learn = Learner(DataBunch([], []), Linear(1, 1), loss_func=MSELossFlat())
    >>> learn.to_fp32() is learn
    True
    """
    return learn


# ---------------------------------------------------------------- memory


def purge(learn: Learner, clear_opt: bool = True) -> Learner:
    """Free the memory of gradients and, if ``clear_opt``, of the optimizer's state.

    Parameters
    ----------
    learn : Learner
        The learner.
    clear_opt : bool
        Whether to forget the optimizer; the next fit makes a new one.

    Returns
    -------
    Learner
        The same learner.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> x = np.ones((4, 1), np.float32)
    >>> learn = Learner(DataBunch([(x, x)], [(x, x)]), Linear(1, 1), loss_func=MSELossFlat())
    >>> with learn.no_bar(silent_table=True):
    ...     learn.fit(1)
    >>> learn.purge().opt is None
    True
    """
    learn.model.zero_grad()
    if clear_opt:
        learn.opt = None
    return learn


class DestroyedLearner:
    """A learner after ``destroy``: any use of it raises an error."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"there is no {name}: this learner was destroyed to free its memory; "
                             "make a new one")


def destroy(learn: Learner) -> None:
    """Free everything that the learner holds; it cannot be used afterwards.

    Data and model are kept as long as another variable refers to them.

    Parameters
    ----------
    learn : Learner
        The learner.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> learn = Learner(DataBunch([], []), Linear(1, 1), loss_func=MSELossFlat())
    >>> learn.destroy()
    this Learner object self-destroyed - it still exists, but no longer usable
    """
    vars(learn).clear()
    learn.__class__ = DestroyedLearner  # type: ignore[assignment]
    print("this Learner object self-destroyed - it still exists, but no longer usable")


for _method in (dl, pred_batch, predict_with_mc_dropout, backward, to_fp16, to_fp32, purge,
                destroy):
    setattr(Learner, _method.__name__, _method)
setattr(Learner, "apply_dropout", staticmethod(apply_dropout))  # noqa: B010
