"""The learner, its training loop, callbacks and metrics."""
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .callback import Callback as Callback
from .callback import LearnerCallback as LearnerCallback
from .callback import UnknownEventError as UnknownEventError
from .checkpoint import CheckpointError as CheckpointError
from .groups import BnFreeze as BnFreeze
from .groups import flatten_model as flatten_model
from .groups import split_model as split_model
from .learner import Learner as Learner
from .lr_find import LRFinder as LRFinder
from .metrics import Metric as Metric
from .recorder import Recorder as Recorder
from .scheduler import OneCycleScheduler as OneCycleScheduler
from .scheduler import Scheduler as Scheduler


def __getattr__(name: str) -> Any:
    """Return a metric: the room ``minifast.metrics`` holds what this package had."""
    if name.startswith("_") or find_spec("minifast.metrics") is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("minifast.metrics"), name)
