"""Files that survive: fits that go on after they were stopped, and learners to take elsewhere."""
from .export import export as export
from .export import load_learner as load_learner
from .objects import NotExportableError as NotExportableError
from .resume import CheckpointCallback as CheckpointCallback
from .resume import resuming as resuming
from .tables import add_test as add_test
