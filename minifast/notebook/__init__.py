"""What notebooks need: names of other libraries, short displays and short tracebacks.

A star import gives the names in this module, as in fastai v1. In IPython and Jupyter, importing the
module also switches on the displays and the tracebacks.
"""
from collections import Counter as Counter, OrderedDict as OrderedDict, defaultdict as defaultdict
from collections.abc import (Callable as Callable, Collection as Collection, Generator as Generator,
                             Iterable as Iterable, Iterator as Iterator, Sequence as Sequence)
from copy import deepcopy as deepcopy
from dataclasses import dataclass as dataclass, field as field
from enum import Enum as Enum, IntEnum as IntEnum
from functools import partial as partial, reduce as reduce
from operator import attrgetter as attrgetter, itemgetter as itemgetter
from pathlib import Path as Path
from typing import (Any as Any, Dict as Dict, List as List,  # noqa: UP035  v1's annotations
                    Optional as Optional, Tuple as Tuple, Union as Union)
from warnings import warn as warn

from ..defaults import defaults as defaults
from . import extension as _extension
from .deferred import Deferred as Deferred
from .extension import load_ipython_extension as load_ipython_extension
from .extension import unload_ipython_extension as unload_ipython_extension

pd, plt = Deferred("pandas"), Deferred("matplotlib.pyplot")
json, math, os, re, shutil = map(Deferred, ("json", "math", "os", "re", "shutil"))
DataFrame, Series = Deferred("pandas", "DataFrame"), Deferred("pandas", "Series")

if (_shell := _extension.running_shell()) is not None:
    _extension.load_ipython_extension(_shell)
