"""How callbacks and metrics are printed; importing this adds ``__repr__`` to Callback."""
from inspect import signature
from reprlib import Repr
from typing import Any

from ..train import Callback

SHORT = Repr()
SHORT.maxother = SHORT.maxstring = 60


def callback_text(callback: Callback) -> str:
    """Return the class of a callback with the arguments that differ from the defaults.

    Parameters
    ----------
    callback : Callback
        The callback. Only arguments that it stores as attributes of the same name are shown.

    Returns
    -------
    str
        The text.

    Notes
    -----
    fastai v1 prints all arguments, one per line.

    Examples
    --------
    >>> from minifast.callbacks import StopAfterNBatches
    >>> StopAfterNBatches(), StopAfterNBatches(5)
    (StopAfterNBatches(), StopAfterNBatches(n_batches=5))
    """
    kept = vars(callback)
    given = [f"{name}={_short(kept[name])}" for name, parameter in
             signature(type(callback)).parameters.items() if name not in ("learn", "self")
             and name in kept and _short(kept[name]) != _short(parameter.default)]
    return f"{type(callback).__name__}({', '.join(given)})"


def _short(value: Any) -> str:
    return getattr(value, "__name__", None) or SHORT.repr(value)


setattr(Callback, "__repr__", callback_text)  # noqa: B010
