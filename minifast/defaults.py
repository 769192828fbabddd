"""Default settings; fastai v1's ``defaults``."""
import os
from typing import Any, ClassVar

from .backend import default_device, device


class Defaults:
    """The default device, the defaults of training, and whether training takes the fast path.

    Attributes
    ----------
    lr : slice
        Learning rates of ``fit``: that of the last layer group; the others get a tenth.
        Read-only.
    wd : float
        Weight decay of a ``Learner``. Read-only.
    fast : bool
        Whether new learners use the fast path. It gives the same results sooner. True unless the
        environment says ``MINIFAST_FAST=0``.
    silent : bool
        Whether new learners show neither bar nor table.
    extra_callbacks, extra_callback_fns : list
        Callbacks, and functions that make them, for the fits of all learners.

    Examples
    --------
    >>> defaults.lr, defaults.wd
    (slice(None, 0.003, None), 0.01)
    """

    __slots__ = ("extra_callback_fns", "extra_callbacks", "fast", "silent")
    lr: ClassVar[Any] = slice(3e-3)
    wd: ClassVar[float] = 1e-2

    def __init__(self) -> None:
        self.fast, self.silent = os.environ.get("MINIFAST_FAST") != "0", False
        self.extra_callbacks, self.extra_callback_fns = list[Any](), list[Any]()

    @property
    def device(self) -> str:
        """The device for new tensors, layers and data; fastai v1's ``defaults.device``.

        Setting it is the same as ``minifast.device(name)``.

        Examples
        --------
        >>> with device("cpu"):
        ...     defaults.device
        'cpu'
        """
        return default_device()

    @device.setter
    def device(self, name: str) -> None:
        device(name)

    def __repr__(self) -> str:
        return f"defaults(device={self.device!r}, lr={self.lr}, wd={self.wd}, fast={self.fast})"


defaults = Defaults()
