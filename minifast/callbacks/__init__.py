"""Callbacks that can be passed to a fit, or to a learner as ``callback_fns``."""
import sys
from functools import partial

from .. import notebook_attribute
from .accumulate import AccumulateScheduler as AccumulateScheduler
from .csv_logger import CSVLogger as CSVLogger
from .general_sched import FlatCosAnnealScheduler as FlatCosAnnealScheduler
from .general_sched import GeneralScheduler as GeneralScheduler
from .general_sched import TrainingPhase as TrainingPhase
from .general_sched import fit_fc as fit_fc
from .loss_metrics import LossMetrics as LossMetrics
from .misc import GradientClipping as GradientClipping
from .misc import StopAfterNBatches as StopAfterNBatches
from .misc import TerminateOnNaNCallback as TerminateOnNaNCallback
from .misc import clip_grad as clip_grad
from .mixing import MixUpCallback as MixUpCallback
from .mixing import MixUpLoss as MixUpLoss
from .mixing import mixup as mixup
from .oversampling import OverSamplingCallback as OverSamplingCallback
from .tracker import EarlyStoppingCallback as EarlyStoppingCallback
from .tracker import ReduceLROnPlateauCallback as ReduceLROnPlateauCallback
from .tracker import SaveModelCallback as SaveModelCallback
from .tracker import TrackerCallback as TrackerCallback
from .watch import PeakMemMetric as PeakMemMetric
from .watch import RecordOnCPU as RecordOnCPU
from .watch import ShowGraph as ShowGraph
from .watch import TrackEpochCallback as TrackEpochCallback

__getattr__ = partial(notebook_attribute, sys.modules[__name__])
