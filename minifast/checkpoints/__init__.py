"""Resuming fits that were stopped, and exporting learners to other programs."""
from .export import export as export
from .export import load_learner as load_learner
from .objects import NotExportableError as NotExportableError
from .resume import CheckpointCallback as CheckpointCallback
from .resume import resuming as resuming
from .tables import add_test as add_test
