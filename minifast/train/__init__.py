"""Learner, training loop, callbacks, metrics."""
from .callback import Callback, LearnerCallback, UnknownEventError
from .callbacks import (
    CSVLogger,
    EarlyStoppingCallback,
    GradientClipping,
    LRFinder,
    OneCycleScheduler,
    ReduceLROnPlateauCallback,
    SaveModelCallback,
    TerminateOnNaNCallback,
    TrackerCallback,
)
from .checkpoint import CheckpointError
from .groups import flatten_model, split_model
from .learner import Learner
from .metrics import (
    RMSE,
    ExplainedVariance,
    Metric,
    R2Score,
    accuracy,
    accuracy_thresh,
    error_rate,
    explained_variance,
    mae,
    mean_absolute_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    mse,
    msle,
    r2_score,
    rmse,
    root_mean_squared_error,
    top_k_accuracy,
)
from .recorder import Recorder

__all__ = [
    "RMSE", "CSVLogger", "Callback", "CheckpointError", "EarlyStoppingCallback",
    "ExplainedVariance", "GradientClipping", "LRFinder", "Learner", "LearnerCallback", "Metric",
    "OneCycleScheduler", "R2Score", "Recorder", "ReduceLROnPlateauCallback", "SaveModelCallback",
    "TerminateOnNaNCallback", "TrackerCallback", "UnknownEventError", "accuracy",
    "accuracy_thresh", "error_rate", "explained_variance", "flatten_model", "mae",
    "mean_absolute_error", "mean_squared_error", "mean_squared_logarithmic_error", "mse", "msle",
    "r2_score", "rmse", "root_mean_squared_error", "split_model", "top_k_accuracy",
]
