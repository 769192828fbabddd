"""The learner, its training loop, callbacks and metrics."""
import sys
from functools import partial

from .. import notebook_attribute
from .callback import (Callback as Callback, LearnerCallback as LearnerCallback, Metric as Metric,
                       UnknownEventError as UnknownEventError)
from .checkpoint import CheckpointError as CheckpointError
from .groups import BnFreeze as BnFreeze, flatten_model as flatten_model, split_model as split_model
from .learner import Learner as Learner
from .lr_finder import LRFinder as LRFinder
from .recorder import Recorder as Recorder
from .scheduler import OneCycleScheduler as OneCycleScheduler, Scheduler as Scheduler

__getattr__ = partial(notebook_attribute, sys.modules[__name__])  # fastai v1's star import
