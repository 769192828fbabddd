"""Tools to look into a model, a learner and a fit."""
from . import methods as methods
from . import plots as plots
from .activation_stats import ActivationStats as ActivationStats
from .activation_stats import HookCallback as HookCallback
from .anomaly import AnomalyError as AnomalyError
from .anomaly import detect_anomaly as detect_anomaly
from .embedding_map import plot_embeddings as plot_embeddings
from .hooks import Hook as Hook
from .hooks import Hooks as Hooks
from .hooks import hook_output as hook_output
from .hooks import hook_outputs as hook_outputs
from .interpret import ClassificationInterpretation as ClassificationInterpretation
from .interpret import Interpretation as Interpretation
from .last_update import LastUpdate as LastUpdate
from .seeds import plot_seeds as plot_seeds
from .style import plot_style as plot_style
