"""Callbacks that can be passed to a fit, or to a learner as ``callback_fns``."""
from .lr_finder import LRFinder
from .misc import CSVLogger, GradientClipping, TerminateOnNaNCallback
from .one_cycle import OneCycleScheduler
from .tracker import (
    EarlyStoppingCallback,
    ReduceLROnPlateauCallback,
    SaveModelCallback,
    TrackerCallback,
)

__all__ = ["CSVLogger", "EarlyStoppingCallback", "GradientClipping", "LRFinder",
           "OneCycleScheduler", "ReduceLROnPlateauCallback", "SaveModelCallback",
           "TerminateOnNaNCallback", "TrackerCallback"]
