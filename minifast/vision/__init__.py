"""Images: layers, residual networks, data, and a learner for transfer learning."""
import sys
from functools import partial

from .. import notebook_attribute
from .blocks import Dropout2d as Dropout2d
from .blocks import ResBlock as ResBlock
from .blocks import conv_layer as conv_layer
from .blocks import res_block as res_block
from .blocks import simple_cnn as simple_cnn
from .conv import Conv2d as Conv2d
from .images import ImageDataBunch as ImageDataBunch
from .learner import apply_init as apply_init
from .learner import cnn_learner as cnn_learner
from .learner import create_body as create_body
from .learner import create_head as create_head
from .learner import load_body as load_body
from .learner import num_features_model as num_features_model
from .losses import LabelSmoothingCrossEntropy as LabelSmoothingCrossEntropy
from .losses import label_smoothing_cross_entropy as label_smoothing_cross_entropy
from .pixels import UnreadableImageError as UnreadableImageError
from .pool import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from .pool import AdaptiveConcatPool2d as AdaptiveConcatPool2d
from .pool import AdaptiveMaxPool2d as AdaptiveMaxPool2d
from .pool import AvgPool2d as AvgPool2d
from .pool import MaxPool2d as MaxPool2d
from .resnet import BasicBlock as BasicBlock
from .resnet import resnet as resnet
from .resnet import resnet10 as resnet10
from .resnet import resnet20 as resnet20
from .v1_layers import PoolFlatten as PoolFlatten
from .v1_layers import batchnorm_2d as batchnorm_2d
from .v1_layers import conv2d as conv2d

__getattr__ = partial(notebook_attribute, sys.modules[__name__])
