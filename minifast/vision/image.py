"""fastai v1's import path ``fastai.vision.image``: a star import gives all public names."""
import sys
from functools import partial

from .. import notebook_attribute

__getattr__ = partial(notebook_attribute, sys.modules[__name__])
