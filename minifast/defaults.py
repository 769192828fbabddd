"""What is taken when nothing is said; fastai v1's ``defaults``."""
import os
from typing import Any, ClassVar

from .backend import default_device, device


class Defaults:
    """The default device, which can be chosen, and fixed defaults of training.

    >>> defaults.lr, defaults.wd
    (slice(None, 0.003, None), 0.01)
    """

    __slots__ = ("fast",)
    lr: ClassVar[Any] = slice(3e-3)
    """Learning rates of ``fit``: the last layer group's, the others' a tenth. Read-only."""
    wd: ClassVar[float] = 1e-2
    """Weight decay of a ``Learner``. Read-only."""

    def __init__(self) -> None:
        self.fast: bool = os.environ.get("MINIFAST_FAST", "1") != "0"

    @property
    def device(self) -> str:
        """Where new tensors, layers and data go; setting it is ``minifast.device(name)``.

        Setting raises DeviceError for an unknown name, and for a device that this machine
        cannot use. fastai v1's ``defaults.device``.

        >>> with device("cpu"):
        ...     defaults.device
        'cpu'
        """
        return default_device()

    @device.setter
    def device(self, name: str) -> None:
        device(name)

    def __repr__(self) -> str:
        return f"defaults(device={self.device!r}, lr={self.lr}, wd={self.wd})"


defaults = Defaults()
