"""The names that a star import gives a notebook, beside those of the application itself.

fastai v1's modules pass on all that they import, so its notebooks use ``pd``, ``plt`` or ``Path``
without importing them. Each is fetched when it is asked for: ``import minifast.collab`` alone
loads neither pandas nor matplotlib.
"""
from importlib import import_module
from typing import Any

_MODULES = {"np": "numpy", "pd": "pandas", "plt": "matplotlib.pyplot", "nn": "minifast.nn"}

_NAMES = {
    "pathlib": ["Path"],
    "operator": ["itemgetter", "attrgetter"],
    "functools": ["partial"],
    "warnings": ["warn"],
    "pandas": ["DataFrame", "Series"],
    "minifast.defaults": ["defaults"],
    "minifast.autograd": ["Tensor", "tensor", "no_grad", "gradcheck"],
    "minifast.nn": ["Module", "Embedding", "embedding", "sigmoid_range", "MSELossFlat",
                    "CrossEntropyFlat", "BCEWithLogitsFlat", "LabelSmoothingCrossEntropy",
                    "conv_layer", "res_block", "simple_cnn", "Flatten"],
    "minifast.optim": ["Adam", "SGD", "RMSProp", "annealing_no", "annealing_linear",
                       "annealing_exp", "annealing_cos", "annealing_poly"],
    "minifast.data": ["DataBunch", "DatasetType", "URLs", "untar_data", "movielens_100k",
                      "planted_ratings", "TabularDataBunch", "TabularList", "FillMissing",
                      "Categorify", "Normalize", "FloatList", "CategoryList"],
    "minifast.tabular": ["tabular_learner"],
    "minifast.train": ["Learner", "Callback", "LearnerCallback", "Recorder", "accuracy",
                       "error_rate", "mse", "rmse", "mae", "msle", "r2_score",
                       "explained_variance", "mean_squared_error", "root_mean_squared_error",
                       "mean_absolute_error", "RMSE", "R2Score", "ExplainedVariance",
                       "GradientClipping", "CSVLogger", "EarlyStoppingCallback",
                       "SaveModelCallback", "ReduceLROnPlateauCallback",
                       "TerminateOnNaNCallback", "ClassificationInterpretation",
                       "AccumulateScheduler", "ActivationStats", "BnFreeze",
                       "FlatCosAnnealScheduler", "GeneralScheduler", "Hook", "HookCallback",
                       "Hooks", "MixUpCallback", "MixUpLoss", "OverSamplingCallback",
                       "StopAfterNBatches", "TrainingPhase", "hook_output", "hook_outputs"],
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

NOTEBOOK_NAMES = [*_MODULES, *_HOME]


def notebook_name(name: str, module: str) -> Any:
    """What ``name`` stands for in a notebook; AttributeError as Python's own for others.

    >>> notebook_name("partial", "minifast.collab").__name__
    'partial'
    """
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {module!r} has no attribute {name!r}")
