"""Optimizers as lists of small steps, and schedules as functions."""
from .optimizer import SGD, Adam, InterruptedStepError, Optimizer, RMSProp
from .schedule import (Phase, annealing_cos, annealing_exp, annealing_linear, annealing_no,
                       annealing_poly, in_turn, one_cycle)

__all__ = ["SGD", "Adam", "InterruptedStepError", "Optimizer", "Phase", "RMSProp", "annealing_cos",
           "annealing_exp", "annealing_linear", "annealing_no", "annealing_poly", "in_turn",
           "one_cycle"]
