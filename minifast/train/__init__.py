"""The learner, its training loop, callbacks and metrics."""
from .callback import Callback, LearnerCallback, Metric, UnknownEventError
from .checkpoint import CheckpointError
from .groups import BnFreeze, flatten_model, split_model
from .learner import Learner
from .lr_find import LRFinder
from .recorder import Recorder
from .scheduler import OneCycleScheduler, Scheduler

__all__ = ["BnFreeze", "Callback", "CheckpointError", "LRFinder", "Learner", "LearnerCallback",
           "Metric", "OneCycleScheduler", "Recorder", "Scheduler", "UnknownEventError",
           "flatten_model", "split_model"]
