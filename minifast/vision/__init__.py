"""Images: layers, residual networks, data, and a learner for transfer learning."""
import sys
from functools import partial

from .. import nn, notebook_attribute
from .blocks import Dropout2d as Dropout2d
from .blocks import LeakyReLU as LeakyReLU
from .blocks import NormType as NormType
from .blocks import ResBlock as ResBlock
from .blocks import conv_layer as conv_layer
from .blocks import relu as relu
from .blocks import res_block as res_block
from .blocks import simple_cnn as simple_cnn
from .conv import Conv2d as Conv2d
from .crops import crop as crop
from .crops import crop_pad as crop_pad
from .crops import cutout as cutout
from .crops import pad as pad
from .crops import rand_crop as rand_crop
from .crops import rand_pad as rand_pad
from .crops import rand_resize_crop as rand_resize_crop
from .crops import rgb_randomize as rgb_randomize
from .crops import zoom_crop as zoom_crop
from .files import Image as Image
from .files import UnreadableImageError as UnreadableImageError
from .files import get_image_files as get_image_files
from .files import open_image as open_image
from .files import show_image as show_image
from .images import ImageDataBunch as ImageDataBunch
from .images import cifar_stats as cifar_stats
from .images import imagenet_stats as imagenet_stats
from .images import mnist_stats as mnist_stats
from .learner import apply_init as apply_init
from .learner import cnn_learner as cnn_learner
from .learner import create_body as create_body
from .learner import create_head as create_head
from .learner import create_cnn as create_cnn
from .learner import load_body as load_body
from .learner import num_features_model as num_features_model
from .losses import FocalLoss as FocalLoss
from .losses import LabelSmoothingCrossEntropy as LabelSmoothingCrossEntropy
from .losses import class_weights as class_weights
from .losses import focal_loss as focal_loss
from .losses import label_smoothing_cross_entropy as label_smoothing_cross_entropy
from .pool import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from .pool import AdaptiveConcatPool2d as AdaptiveConcatPool2d
from .pool import AdaptiveMaxPool2d as AdaptiveMaxPool2d
from .pool import AvgPool2d as AvgPool2d
from .pool import MaxPool2d as MaxPool2d
from .resize import ResizeMethod as ResizeMethod
from .resnet import BasicBlock as BasicBlock
from .resnet import models as models
from .resnet import resnet as resnet
from .resnet import resnet10 as resnet10
from .resnet import resnet20 as resnet20
from .transforms import apply_tfms as apply_tfms
from .transforms import brightness as brightness
from .transforms import contrast as contrast
from .transforms import dihedral as dihedral
from .transforms import dihedral_affine as dihedral_affine
from .transforms import flip_affine as flip_affine
from .transforms import flip_lr as flip_lr
from .transforms import get_transforms as get_transforms
from .transforms import rand_zoom as rand_zoom
from .transforms import rotate as rotate
from .transforms import symmetric_warp as symmetric_warp
from .transforms import zoom as zoom
from .tta import TTA as TTA
from .v1_image import image2np as image2np
from .v1_image import pil2tensor as pil2tensor
from .v1_layers import PoolFlatten as PoolFlatten
from .v1_layers import batchnorm_2d as batchnorm_2d
from .v1_layers import conv2d as conv2d
from .verify import verify_images as verify_images
from .warps import jitter as jitter
from .warps import perspective_warp as perspective_warp
from .warps import skew as skew
from .warps import squish as squish
from .warps import tilt as tilt

# torch's nn has these
vars(nn).update(Conv2d=Conv2d, Dropout2d=Dropout2d, LeakyReLU=LeakyReLU, AvgPool2d=AvgPool2d,
                MaxPool2d=MaxPool2d, AdaptiveAvgPool2d=AdaptiveAvgPool2d,
                AdaptiveMaxPool2d=AdaptiveMaxPool2d)
__getattr__ = partial(notebook_attribute, sys.modules[__name__])
