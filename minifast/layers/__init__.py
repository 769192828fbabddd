"""Layers and losses of fastai v1 that the core does not have."""
import sys
from functools import partial

from .. import notebook_attribute
from .blocks import (Debugger as Debugger, MergeLayer as MergeLayer, PartialLayer as PartialLayer,
                     SequentialEx as SequentialEx)
from .losses import (AxisLoss as AxisLoss, BCEFlat as BCEFlat, NoopLoss as NoopLoss,
                     WassersteinLoss as WassersteinLoss,
                     binary_cross_entropy as binary_cross_entropy,
                     cross_entropy_flat as cross_entropy_flat,
                     weighted_cross_entropy as weighted_cross_entropy)
from .shapes import (BatchNorm1dFlat as BatchNorm1dFlat, ResizeBatch as ResizeBatch, View as View)
from .torch_layers import Identity as Identity, Softmax as Softmax, Tanh as Tanh

__getattr__ = partial(notebook_attribute, sys.modules[__name__])
