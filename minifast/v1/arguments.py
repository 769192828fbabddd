"""Arguments that fastai v1's methods take and the core's do not; importing this adds them.

They are keywords here: ``learn.load("stage-1", purge=False)``.
"""
from functools import wraps
from typing import Any
from warnings import catch_warnings, simplefilter, warn

from ..autograd import Tensor
from ..train import Learner
from .learner import predict_with_mc_dropout

own_load, own_get_preds, own_predict = Learner.load, Learner.get_preds, Learner.predict


class Category(str):
    """The name of a predicted class, with v1's attributes.

    Attributes
    ----------
    obj : str
        The name.
    data : Tensor
        The number of the class.

    Notes
    -----
    fastai v1's ``Category``. Classes that are numbers are a ``FloatItem`` or an ``IntItem``.

    Examples
    --------
    >>> cat = Category("cat")
    >>> cat.obj, cat == "cat"
    ('cat', True)
    """

    data: Tensor
    obj = property(str, doc="The name.")


class FloatItem(float):
    """A predicted number, with the attributes ``obj``, the number, and ``data``, a tensor."""

    data: Tensor
    obj = property(float, doc="The number.")


class IntItem(int):
    """A predicted class that is a whole number, with the attributes ``obj`` and ``data``."""

    data: Tensor
    obj = property(int, doc="The class.")


ITEMS: dict[type, Any] = {str: Category, float: FloatItem, int: IntItem}


@wraps(own_load)
def load(learn: Learner, *args: Any, device: Any = None, purge: bool = True,
         remove_module: bool = False, **kwargs: Any) -> Any:
    """Read a checkpoint; ``purge`` and ``remove_module`` have no effect."""
    if device is not None and str(device) != learn.data.device:
        raise ValueError(f"load(device={device!r}): weights are loaded onto the device of the "
                         f"model, {learn.data.device!r}; learn.to({str(device)!r}) moves the "
                         "learner")
    try:
        with catch_warnings(record=True) as caught:
            simplefilter("always")
            return own_load(learn, *args, **kwargs)
    finally:
        for each in caught:  # again, with the line that calls this function
            warn(each.message, stacklevel=2)


@wraps(own_get_preds)
def get_preds(learn: Learner, *args: Any, pbar: Any = None, ordered: bool = False, **kwargs: Any
              ) -> list[Tensor]:
    """Return predictions; they are in order, without a progress bar."""
    return own_get_preds(learn, *args, **kwargs)


@wraps(own_predict)
def predict(learn: Learner, item: Any, return_x: bool = False, batch_first: bool = True,
            with_dropout: bool = False) -> tuple[Any, ...]:
    """Predict one sample; ``return_x`` puts it before the results."""
    decoded, target, output = predict_with_mc_dropout(learn, item, n_times=1)[0] \
        if with_dropout else own_predict(learn, item)
    if (kind := type(decoded)) in ITEMS:
        decoded = ITEMS[kind](decoded)
        decoded.data = target
    return (item, decoded, target, output) if return_x else (decoded, target, output)


for _method in (load, get_preds, predict):
    setattr(Learner, _method.__name__, _method)
