"""Optimizers as lists of small steps, and schedules as functions."""


from .optimizer import SGD as SGD
from .optimizer import Adam as Adam
from .optimizer import InterruptedStepError as InterruptedStepError
from .optimizer import Optimizer as Optimizer
from .optimizer import RMSProp as RMSProp
from .schedule import Phase as Phase
from .schedule import annealing_cos as annealing_cos
from .schedule import annealing_exp as annealing_exp
from .schedule import annealing_linear as annealing_linear
from .schedule import annealing_no as annealing_no
from .schedule import annealing_poly as annealing_poly
from .schedule import in_turn as in_turn
from .schedule import one_cycle as one_cycle
