"""Callbacks that can be passed to a fit, or to a learner as ``callback_fns``."""
from .accumulate import AccumulateScheduler
from .activation_stats import ActivationStats, HookCallback
from .bn_freeze import BnFreeze
from .general_sched import FlatCosAnnealScheduler, GeneralScheduler, TrainingPhase
from .lr_finder import LRFinder
from .misc import CSVLogger, GradientClipping, StopAfterNBatches, TerminateOnNaNCallback
from .mixup import MixUpCallback, MixUpLoss
from .one_cycle import OneCycleScheduler
from .oversampling import OverSamplingCallback
from .tracker import (
    EarlyStoppingCallback,
    ReduceLROnPlateauCallback,
    SaveModelCallback,
    TrackerCallback,
)

__all__ = [
    "AccumulateScheduler", "ActivationStats", "BnFreeze", "CSVLogger", "EarlyStoppingCallback",
    "FlatCosAnnealScheduler", "GeneralScheduler", "GradientClipping", "HookCallback", "LRFinder",
    "MixUpCallback", "MixUpLoss", "OneCycleScheduler", "OverSamplingCallback",
    "ReduceLROnPlateauCallback", "SaveModelCallback", "StopAfterNBatches",
    "TerminateOnNaNCallback", "TrackerCallback", "TrainingPhase",
]
