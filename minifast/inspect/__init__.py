"""Tools to look into a model, a learner and a fit."""
from . import methods as methods
from . import plots as plots
from .activation_stats import ActivationStats as ActivationStats
from .activation_stats import HookCallback as HookCallback
from .anomaly import AnomalyError as AnomalyError
from .anomaly import detect_anomaly as detect_anomaly
from .dummy import dummy_batch as dummy_batch
from .dummy import dummy_eval as dummy_eval
from .dummy import in_channels as in_channels
from .dummy import model_sizes as model_sizes
from .hooks import Hook as Hook
from .hooks import Hooks as Hooks
from .hooks import hook_output as hook_output
from .hooks import hook_outputs as hook_outputs
from .interpret import ClassificationInterpretation as ClassificationInterpretation
from .last_update import LastUpdate as LastUpdate
from .summary import model_summary as model_summary
