"""Metrics of regression and classification, for the table of a fit."""
import sys
from functools import partial

from .. import notebook_attribute
from .classification import accuracy as accuracy
from .classification import accuracy_thresh as accuracy_thresh
from .classification import dice as dice
from .classification import error_rate as error_rate
from .classification import fbeta as fbeta
from .classification import foreground_acc as foreground_acc
from .classification import top_k_accuracy as top_k_accuracy
from .confusion import CMScores as CMScores
from .confusion import ConfusionMatrix as ConfusionMatrix
from .confusion import FBeta as FBeta
from .confusion import KappaScore as KappaScore
from .confusion import MatthewsCorreff as MatthewsCorreff
from .confusion import Precision as Precision
from .confusion import Recall as Recall
from .multilabel import MultiLabelFbeta as MultiLabelFbeta
from .perplexity import Perplexity as Perplexity
from .regression import RMSE as RMSE
from .regression import EpochMetric as EpochMetric
from .regression import ExplainedVariance as ExplainedVariance
from .regression import ExpRMSPE as ExpRMSPE
from .regression import R2Score as R2Score
from .regression import exp_rmspe as exp_rmspe
from .regression import explained_variance as explained_variance
from .regression import mae as mae
from .regression import mean_absolute_error as mean_absolute_error
from .regression import mean_squared_error as mean_squared_error
from .regression import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from .regression import mse as mse
from .regression import msle as msle
from .regression import r2_score as r2_score
from .regression import rmse as rmse
from .regression import root_mean_squared_error as root_mean_squared_error

__getattr__ = partial(notebook_attribute, sys.modules[__name__])
from .roc import AUROC as AUROC
from .roc import auc_roc_score as auc_roc_score
from .roc import roc_curve as roc_curve
