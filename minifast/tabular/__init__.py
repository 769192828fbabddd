"""Tables of categories and numbers: processors, data and a learner."""
import sys
from functools import partial

from .. import notebook_attribute
from ..nn import TabularModel as TabularModel
from ..nn import bn_drop_lin as bn_drop_lin
from .data import TabularDataBunch as TabularDataBunch
from .dates import add_cyclic_datepart as add_cyclic_datepart
from .dates import add_datepart as add_datepart
from .dates import add_elapsed_times as add_elapsed_times
from .dates import cont_cat_split as cont_cat_split
from .dates import cyclic_dt_feat_names as cyclic_dt_feat_names
from .dates import cyclic_dt_features as cyclic_dt_features
from .dates import make_date as make_date
from .items import TabularList as TabularList
from .learner import OutputScale as OutputScale
from .learner import tabular_learner as tabular_learner
from .processors import Categorify as Categorify
from .processors import FillMissing as FillMissing
from .processors import FillStrategy as FillStrategy
from .processors import Normalize as Normalize
from .processors import TabularProc as TabularProc
from .processors import TabularProcessor as TabularProcessor
from .targets import CategoryList as CategoryList
from .targets import FloatList as FloatList
from .targets import MultiCategoryList as MultiCategoryList

__getattr__ = partial(notebook_attribute, sys.modules[__name__])
