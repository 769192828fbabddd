"""Optimizers as lists of small steps, and schedules as functions."""
from .optimizer import (SGD as SGD, Adam as Adam, InterruptedStepError as InterruptedStepError,
                        Optimizer as Optimizer, RMSProp as RMSProp)
from .schedule import (Phase as Phase, annealing_cos as annealing_cos, annealing_no as annealing_no,
                       annealing_exp as annealing_exp, annealing_linear as annealing_linear,
                       annealing_poly as annealing_poly, in_turn as in_turn, one_cycle as one_cycle)
