"""Layers, losses and initial weights."""
from .activation import ReLU, Sigmoid, SigmoidRange, sigmoid_range
from .containers import ModuleList, Sequential
from .dropout import Dropout
from .embedding import Embedding, embedding
from .init import (
    kaiming_normal_,
    kaiming_uniform_,
    normal_,
    trunc_normal_,
    uniform_,
    xavier_normal_,
    xavier_uniform_,
)
from .linear import Linear
from .losses import (
    BCEWithLogitsFlat,
    CrossEntropyFlat,
    FlattenedLoss,
    MSELossFlat,
    binary_cross_entropy_with_logits,
    cross_entropy,
    mse_loss,
    softmax,
)
from .module import Module, StateDictError
from .norm import BatchNorm1d
from .parameter import Buffer, Parameter
from .shape import Flatten, Lambda

__all__ = [
    "BCEWithLogitsFlat",
    "BatchNorm1d",
    "Buffer",
    "CrossEntropyFlat",
    "Dropout",
    "Embedding",
    "Flatten",
    "FlattenedLoss",
    "Lambda",
    "Linear",
    "MSELossFlat",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "SigmoidRange",
    "StateDictError",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "embedding",
    "kaiming_normal_",
    "kaiming_uniform_",
    "mse_loss",
    "normal_",
    "sigmoid_range",
    "softmax",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
]
