"""What a fit shows and keeps: the recorder, its table, and the progress bar."""
import sys
from html import escape
from importlib import import_module
from importlib.util import find_spec
from operator import itemgetter
from time import monotonic
from typing import Any
from uuid import uuid4

from ..autograd.display import DisplayLine, in_notebook, show_html
from .callback import LearnerCallback


class Recorder(LearnerCallback):
    """Keeps the history of a fit and prints its table; fastai v1's ``Recorder``.

    Each fit makes a new one; ``learn.recorder`` is the last.

    Parameters
    ----------
    learn : Learner
        The learner that is trained.

    Attributes
    ----------
    losses : list of Tensor
        The smoothed loss of each training batch.
    lrs, moms : list of float
        Learning rate and momentum of the last layer group for each training batch.
    group_lrs : list of list of float
        The learning rates of all layer groups for each training batch.
    val_losses : list of float or None
        The validation loss of each epoch.
    metrics : list of list of float
        The metrics of each epoch.
    nb_batches : list of int
        The number of training batches of each epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> with learn.no_logging():
    ...     learn.fit(2)
    >>> len(learn.recorder.losses), len(learn.recorder.val_losses)
    (4, 2)
    """

    _order = -10

    def __init__(self, learn: Any) -> None:
        super().__init__(learn)
        self.opt = learn.opt
        self.losses: list[Any] = []
        self.lrs: list[float] = []
        self.moms: list[float] = []
        self.group_lrs: list[list[float]] = []
        self.val_losses: list[float | None] = []
        self.metrics: list[list[float]] = []
        self.nb_batches: list[int] = []
        self.min_grad_lr: float | None = None
        self.metrics_names: list[str] = []
        self.table: Any = None

    @property
    def names(self) -> list[str]:
        """The titles of the table's columns."""
        return ["epoch", "train_loss", "valid_loss", *self.metrics_names,
                *["time"] * self.learn.add_time]

    def add_metric_names(self, names: list[str]) -> None:
        """Add columns, for a callback of ``_order`` below -10 that extends ``last_metrics``.

        Parameters
        ----------
        names : list of str
            The titles of the columns.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import Linear
        >>> from minifast.train import Learner
        >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
        >>> rows = ArrayDataset(x, x[:, 0])
        >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
        >>> learn = Learner(data, Linear(2, 1, seed=0))
        >>> recorder = Recorder(learn)
        >>> recorder.add_metric_names(["mine"])
        """
        self.metrics_names += names

    def on_train_begin(self, metrics_names: list[str]) -> None:
        self.metrics_names = [*metrics_names, *self.metrics_names]
        self._hypers = self.learn.optimizer.hypers

    def on_epoch_begin(self) -> None:
        self._start = monotonic()
        if self.table is None:  # not earlier: other callbacks add columns
            self.table = GrowingTable(self.names, self.learn.silent_table)

    def on_backward_begin(self, smooth_loss: Any) -> None:
        last = self._hypers[-1]
        self.losses.append(smooth_loss)
        self.lrs.append(last["lr"])
        self.moms.append(last.get("mom", 0.))
        self.group_lrs.append(list(map(itemgetter("lr"), self._hypers)))

    def on_epoch_end(self, epoch: int, num_batch: int, last_metrics: list[Any],
                     smooth_loss: Any = None) -> None:
        values = [None if v is None else float(v) for v in [smooth_loss, *(last_metrics or [None])]]
        self.nb_batches.append(num_batch)
        self.val_losses.append(values[1])
        self.metrics.append([v for v in values[2:] if v is not None])
        self.format_stats([epoch, *values])

    def format_stats(self, stats: list[Any]) -> None:
        """Write a row of the table: these numbers, and the time since the epoch's beginning.

        Parameters
        ----------
        stats : list
            The epoch and the values; a missing value is None.

        Examples
        --------
        >>> from minifast.data import DataBunch
        >>> from minifast.nn import Linear, MSELossFlat
        >>> from minifast.train import Learner
        >>> data, model, loss = DataBunch([], []), Linear(1, 1), MSELossFlat()
        >>> learn = Learner(data, model, loss_func=loss, add_time=False)
        >>> recorder = Recorder(learn)
        >>> recorder.on_epoch_begin()
        epoch     train_loss  valid_loss
        >>> recorder.format_stats([0, .5, None])
        0         0.500000    #na#
        """
        time = [format_time(monotonic() - self._start)] * self.learn.add_time
        missing = [None] * (len(self.names) - len(stats) - len(time))
        self.table.write([*stats, *missing, *time])

    def __getattr__(self, name: str) -> Any:
        """Find the plots, which the room ``inspect`` adds to this class when it is imported."""
        if not name.startswith("_") and find_spec("minifast.inspect"):
            import_module("minifast.inspect")
        return object.__getattribute__(self, name)
    def __repr__(self) -> str:
        row = zip(self.names, self.table.rows[-1], strict=False) if self.table else ()
        return f"Recorder({', '.join([f'{len(self.losses)} batches', *map(' '.join, row)])})"


# ---------------------------------------------------------------- the table


def format_time(seconds: float) -> str:
    """Return a duration as MM:SS, or as H:MM:SS from an hour on.

    Parameters
    ----------
    seconds : float
        The duration.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> format_time(65), format_time(3661)
    ('01:05', '1:01:01')
    """
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m:02d}:{s:02d}"


def format_cell(value: Any) -> str:
    """Return the text of a cell: six decimals, ``#na#`` for a missing value, as in fastai.

    Parameters
    ----------
    value : object
        A number, a text, or None.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> format_cell(3), format_cell(.81707), format_cell(None)
    ('3', '0.817070', '#na#')
    """
    return "#na#" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)


class GrowingTable:
    """A table that grows by rows: lines in a terminal, HTML in a notebook.

    Parameters
    ----------
    names : list of str
        The titles of the columns.
    silent : bool
        Whether to show nothing.

    Examples
    --------
    >>> GrowingTable(["epoch", "train_loss"]).write([0, .5])
    epoch     train_loss
    0         0.500000
    """

    def __init__(self, names: list[str], silent: bool = False) -> None:
        # id(self) may be that of a table in an earlier cell
        self.silent, self.display_id = silent, f"epochs-{uuid4().hex}"
        self.rows: list[list[str]] = []
        self.write(names)

    def write(self, row: list[Any]) -> None:
        """Add a row and show it.

        Parameters
        ----------
        row : list
            A value for each column.

        Examples
        --------
        >>> table = GrowingTable(["epoch", "train_loss"])
        epoch     train_loss
        >>> table.write([0, .5])
        0         0.500000
        """
        cells = [format_cell(value) for value in row]
        self.rows.append(cells)
        if self.silent:
            return
        if not in_notebook():
            print("".join(cell.ljust(max(8, len(name), len(cell)) + 2)
                          for cell, name in zip(cells, self.rows[0], strict=False)), flush=True)
        elif len(self.rows) > 1:
            show_html(self.html(), self.display_id, update=len(self.rows) > 2)

    def html(self) -> str:
        """Return the table as HTML."""
        def line(cells: list[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells) + "</tr>"
        body = line(self.rows[0], "th") + "".join(line(row, "td") for row in self.rows[1:])
        return f'<table border="1" class="dataframe">{body}</table>'


# ---------------------------------------------------------------- the progress bar


class ProgressBar(LearnerCallback):
    """A bar for each epoch with the running loss, in a terminal or a notebook.

    There is none when output goes to a file, or within ``learn.no_bar()``. The loss is only read
    when the bar is redrawn, so a GPU is not waited for at each batch.

    Parameters
    ----------
    learn : Learner
        The learner that is trained.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> from minifast.train import Learner
    >>> x = np.arange(16, dtype=np.float32).reshape(8, 2) / 16
    >>> rows = ArrayDataset(x, x[:, 0])
    >>> data = DataBunch.create(rows, rows, bs=4, device="cpu")
    >>> learn = Learner(data, Linear(2, 1, seed=0))
    >>> with learn.no_bar(silent_table=True):  # without a bar
    ...     learn.fit(1)
    """

    _order = -20  # before the recorder: the bar is gone when the table's row is written
    interval = .1
    """Seconds between two redraws."""
    bar: Any = None

    def on_epoch_begin(self, epoch: int, n_epochs: int) -> None:
        if self.learn.silent_bar or not (in_notebook() or sys.stderr.isatty()):
            return
        from tqdm import tqdm
        self.line = vars(self).get("line") or DisplayLine()  # one line for all epochs
        self.bar = tqdm(total=len(self.learn.data.train_dl), leave=False,
                        mininterval=self.interval, desc=f"epoch {epoch + 1}/{n_epochs}",
                        dynamic_ncols=True, file=self.line if in_notebook() else sys.stderr)
        self.drawn = monotonic()

    def on_batch_end(self, train: bool, num_batch: int, smooth_loss: Any = None) -> None:
        if train and self.bar is not None and monotonic() - self.drawn >= self.interval:
            self.drawn = monotonic()
            self.bar.set_postfix_str(f"loss {float(smooth_loss):.4f}", refresh=False)
            self.bar.update(num_batch + 1 - self.bar.n)

    def on_epoch_end(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    on_train_end = on_epoch_end
