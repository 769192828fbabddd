"""Files that survive: fits that go on after they were stopped, and learners to take elsewhere."""
from .resume import CheckpointCallback as CheckpointCallback
from .resume import resuming as resuming
