"""CSVLogger: the table of epochs as a file."""
import csv
from pathlib import Path
from typing import Any

from ..train import Learner, LearnerCallback


class CSVLogger(LearnerCallback):
    """Write the table of epochs to a CSV file, each row as soon as its epoch ends.

    Parameters
    ----------
    learn : Learner
        The file is written to its ``path``.
    filename : str
        The name of the file without ``.csv``.
    append : bool
        Add to an existing file instead of replacing it.

    Examples
    --------
    >>> from functools import partial
    >>> logged = partial(CSVLogger, filename="run1")  # for callback_fns=[...]
    """

    def __init__(self, learn: Learner, filename: str = "history", append: bool = False) -> None:
        super().__init__(learn)
        self.path, self.append = Path(learn.path) / f"{filename}.csv", append

    def on_train_begin(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.append:
            self.path.unlink(missing_ok=True)

    def on_epoch_end(self) -> None:
        if not getattr(self.learn, "writes_files", True):  # one rank of a distributed fit does
            return
        head, *_, last = self.learn.recorder.table.rows
        rows = [last] if self.path.exists() else [head, last]
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerows(row[:-1] if self.learn.add_time else row for row in rows)

    def read_logged_file(self) -> Any:
        """Return the file as a frame."""
        import pandas as pd
        return pd.read_csv(self.path)
