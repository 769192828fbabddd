"""What a notebook has besides: names of other libraries, short displays and short tracebacks.

A star import gives the names in this module, as those of fastai v1 do.
"""
from functools import partial as partial
from operator import attrgetter as attrgetter, itemgetter as itemgetter
from pathlib import Path as Path
from warnings import warn as warn

from ..defaults import defaults as defaults
from .deferred import Deferred as Deferred

pd, plt = Deferred("pandas"), Deferred("matplotlib.pyplot")
DataFrame, Series = Deferred("pandas", "DataFrame"), Deferred("pandas", "Series")
