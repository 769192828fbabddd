"""What notebooks need: names of other libraries, short displays and short tracebacks.

A star import gives the names in this module, as in fastai v1. In IPython and Jupyter, importing the
module also switches on the displays and the tracebacks.
"""
from functools import partial as partial
from operator import attrgetter as attrgetter, itemgetter as itemgetter
from pathlib import Path as Path
from warnings import warn as warn

from ..defaults import defaults as defaults
from . import extension as _extension
from .deferred import Deferred as Deferred
from .extension import load_ipython_extension as load_ipython_extension
from .extension import unload_ipython_extension as unload_ipython_extension

pd, plt = Deferred("pandas"), Deferred("matplotlib.pyplot")
DataFrame, Series = Deferred("pandas", "DataFrame"), Deferred("pandas", "Series")

if (_shell := _extension.running_shell()) is not None:
    _extension.load_ipython_extension(_shell)
