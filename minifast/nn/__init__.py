"""Layers, losses and initial weights."""
from .activation import ReLU, Sigmoid, SigmoidRange, sigmoid_range
from .blocks import ResBlock, bn_drop_lin, conv_layer, res_block, simple_cnn
from .containers import ModuleList, Sequential
from .conv import Conv2d
from .dropout import Dropout, Dropout2d
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
    LabelSmoothingCrossEntropy,
    MSELossFlat,
    binary_cross_entropy_with_logits,
    cross_entropy,
    label_smoothing_cross_entropy,
    mse_loss,
    softmax,
)
from .module import Module, StateDictError, UnknownNameError
from .norm import BatchNorm, BatchNorm1d, BatchNorm2d
from .pairs import dot_bias
from .parameter import Buffer, Parameter
from .pool import (
    AdaptiveAvgPool2d,
    AdaptiveConcatPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    MaxPool2d,
)
from .resnet import BasicBlock, resnet, resnet10, resnet20
from .shape import Flatten, Lambda
from .table import Table

__all__ = [
    "AdaptiveAvgPool2d",
    "AdaptiveConcatPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "BCEWithLogitsFlat",
    "BasicBlock",
    "BatchNorm",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Conv2d",
    "CrossEntropyFlat",
    "Dropout",
    "Dropout2d",
    "Embedding",
    "Flatten",
    "FlattenedLoss",
    "LabelSmoothingCrossEntropy",
    "Lambda",
    "Linear",
    "MSELossFlat",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "ResBlock",
    "Sequential",
    "Sigmoid",
    "SigmoidRange",
    "StateDictError",
    "Table",
    "UnknownNameError",
    "binary_cross_entropy_with_logits",
    "bn_drop_lin",
    "conv_layer",
    "cross_entropy",
    "dot_bias",
    "embedding",
    "kaiming_normal_",
    "kaiming_uniform_",
    "label_smoothing_cross_entropy",
    "mse_loss",
    "normal_",
    "res_block",
    "resnet",
    "resnet10",
    "resnet20",
    "sigmoid_range",
    "simple_cnn",
    "softmax",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
]
