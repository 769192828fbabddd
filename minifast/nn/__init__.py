"""Layers, losses and initial weights."""
from .embedding import Embedding as Embedding, embedding as embedding
from .init import (kaiming_normal_ as kaiming_normal_, kaiming_uniform_ as kaiming_uniform_,
                   normal_ as normal_, trunc_normal_ as trunc_normal_, uniform_ as uniform_,
                   xavier_normal_ as xavier_normal_, xavier_uniform_ as xavier_uniform_)
from .layers import (Dropout as Dropout, Flatten as Flatten, Lambda as Lambda, Linear as Linear,
                     ReLU as ReLU, Sigmoid as Sigmoid, SigmoidRange as SigmoidRange,
                     check_y_range as check_y_range, sigmoid_range as sigmoid_range)
from .losses import (BCEWithLogitsFlat as BCEWithLogitsFlat, CrossEntropyFlat as CrossEntropyFlat,
                     FlattenedLoss as FlattenedLoss, MSELossFlat as MSELossFlat,
                     binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
                     cross_entropy as cross_entropy, mse_loss as mse_loss, softmax as softmax)
from .module import (Buffer as Buffer, Module as Module, ModuleList as ModuleList,
                     Parameter as Parameter, Sequential as Sequential,
                     StateDictError as StateDictError, UnknownNameError as UnknownNameError)
from .norm import BatchNorm as BatchNorm, BatchNorm1d as BatchNorm1d, BatchNorm2d as BatchNorm2d
from .tabular_model import TabularModel as TabularModel, bn_drop_lin as bn_drop_lin
