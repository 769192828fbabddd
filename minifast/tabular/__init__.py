"""Tables of categories and numbers: processors, data and a learner."""
import sys
from functools import partial

from .. import notebook_attribute
from ..nn import TabularModel as TabularModel
from ..nn import bn_drop_lin as bn_drop_lin
from .data import TabularDataBunch as TabularDataBunch
from .data import TabularList as TabularList
from .learner import tabular_learner as tabular_learner
from .processors import Categorify as Categorify
from .processors import FillMissing as FillMissing
from .processors import Normalize as Normalize
from .processors import TabularProc as TabularProc
from .processors import TabularProcessor as TabularProcessor
from .targets import CategoryList as CategoryList
from .targets import FloatList as FloatList

__getattr__ = partial(notebook_attribute, sys.modules[__name__])
