"""Methods of fastai v1's Recorder that the core does not have; importing this adds them."""
from typing import Any

from ..train import Recorder


def train_dl(recorder: Recorder) -> Any:
    """Return the training loader of the recorded fit.

    Parameters
    ----------
    recorder : Recorder
        The recorder.

    Returns
    -------
    DataLoader or sized iterable of (xb, yb)
        The loader.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> from minifast.train import Learner
    >>> learn = Learner(DataBunch([], []), Linear(1, 1), loss_func=MSELossFlat())
    >>> Recorder(learn).train_dl is learn.data.train_dl
    True
    """
    return recorder.learn.data.train_dl


def no_val(recorder: Recorder) -> bool:
    """Return whether there is no validation set.

    Parameters
    ----------
    recorder : Recorder
        The recorder.

    Returns
    -------
    bool
        True if there is none.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> from minifast.train import Learner
    >>> learn = Learner(DataBunch([], []), Linear(1, 1), loss_func=MSELossFlat())
    >>> Recorder(learn).no_val
    True
    """
    return bool(recorder.learn.data.empty_val)


def silent(recorder: Recorder) -> bool:
    """Return whether the table of a fit is hidden.

    Parameters
    ----------
    recorder : Recorder
        The recorder.

    Returns
    -------
    bool
        True if it is hidden.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> from minifast.train import Learner
    >>> learn = Learner(DataBunch([], []), Linear(1, 1), loss_func=MSELossFlat(), silent=True)
    >>> Recorder(learn).silent
    True
    """
    return bool(recorder.learn.silent_table)


def add_time(recorder: Recorder) -> bool:
    """Return whether the table has a column for the time.

    Parameters
    ----------
    recorder : Recorder
        The recorder.

    Returns
    -------
    bool
        True if there is one.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> from minifast.train import Learner
    >>> learn = Learner(DataBunch([], []), Linear(1, 1), loss_func=MSELossFlat(), add_time=False)
    >>> Recorder(learn).add_time
    False
    """
    return bool(recorder.learn.add_time)


for _getter in (train_dl, no_val, silent, add_time):
    setattr(Recorder, _getter.__name__, property(_getter))
