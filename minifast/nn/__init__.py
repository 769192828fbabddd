"""Layers, losses and initial weights."""
from .embedding import Embedding, embedding
from .init import (kaiming_normal_, kaiming_uniform_, normal_, trunc_normal_, uniform_,
                   xavier_normal_, xavier_uniform_)
from .layers import (Dropout, Flatten, Lambda, Linear, ReLU, Sigmoid, SigmoidRange, check_y_range,
                     sigmoid_range)
from .losses import (BCEWithLogitsFlat, CrossEntropyFlat, FlattenedLoss, MSELossFlat,
                     binary_cross_entropy_with_logits, cross_entropy, mse_loss, softmax)
from .module import (Buffer, Module, ModuleList, Parameter, Sequential, StateDictError,
                     UnknownNameError)
from .norm import BatchNorm, BatchNorm1d, BatchNorm2d
from .tabular_model import TabularModel, bn_drop_lin

__all__ = ["BCEWithLogitsFlat", "BatchNorm", "BatchNorm1d", "BatchNorm2d", "Buffer",
           "CrossEntropyFlat", "Dropout", "Embedding", "Flatten", "FlattenedLoss", "Lambda",
           "Linear", "MSELossFlat", "Module", "ModuleList", "Parameter", "ReLU", "Sequential",
           "Sigmoid", "SigmoidRange", "StateDictError", "TabularModel", "UnknownNameError",
           "binary_cross_entropy_with_logits", "bn_drop_lin", "check_y_range", "cross_entropy",
           "embedding", "kaiming_normal_", "kaiming_uniform_", "mse_loss", "normal_",
           "sigmoid_range", "softmax", "trunc_normal_", "uniform_", "xavier_normal_",
           "xavier_uniform_"]
