"""Learner, training loop, callbacks, metrics."""
from .callback import Callback, LearnerCallback, UnknownEventError
from .callbacks import (
    AccumulateScheduler,
    ActivationStats,
    BnFreeze,
    CSVLogger,
    EarlyStoppingCallback,
    FlatCosAnnealScheduler,
    GeneralScheduler,
    GradientClipping,
    HookCallback,
    LRFinder,
    MixUpCallback,
    MixUpLoss,
    OneCycleScheduler,
    OverSamplingCallback,
    ReduceLROnPlateauCallback,
    SaveModelCallback,
    StopAfterNBatches,
    TerminateOnNaNCallback,
    TrackerCallback,
    TrainingPhase,
)
from .checkpoint import CheckpointError
from .groups import flatten_model, split_model
from .hooks import Hook, Hooks, hook_output, hook_outputs
from .interpret import ClassificationInterpretation
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
    "RMSE", "AccumulateScheduler", "ActivationStats", "BnFreeze", "CSVLogger", "Callback",
    "CheckpointError", "ClassificationInterpretation", "EarlyStoppingCallback",
    "ExplainedVariance", "FlatCosAnnealScheduler", "GeneralScheduler", "GradientClipping",
    "Hook", "HookCallback", "Hooks", "LRFinder", "Learner", "LearnerCallback", "Metric",
    "MixUpCallback", "MixUpLoss", "OneCycleScheduler", "OverSamplingCallback", "R2Score",
    "Recorder", "ReduceLROnPlateauCallback", "SaveModelCallback", "StopAfterNBatches",
    "TerminateOnNaNCallback", "TrackerCallback", "TrainingPhase", "UnknownEventError",
    "accuracy", "accuracy_thresh", "error_rate", "explained_variance", "flatten_model",
    "hook_output", "hook_outputs", "mae", "mean_absolute_error", "mean_squared_error",
    "mean_squared_logarithmic_error", "mse", "msle", "r2_score", "rmse",
    "root_mean_squared_error", "split_model", "top_k_accuracy",
]
