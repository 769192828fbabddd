"""LastUpdate: how far the last step of an epoch moved each layer group."""
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..backend import Array
from ..nn import Parameter
from ..train import LearnerCallback


class LastUpdate(LearnerCallback):
    """Measure gradient and update of each layer group at the last batch of each epoch.

    ``learn.group_table()`` shows the numbers. Weights are copied at that batch alone. The norms
    stay on the device until they are read, so no batch waits for a GPU. An epoch that ends
    before its last batch keeps the numbers of the epoch before.

    Parameters
    ----------
    learn : Learner
        The learner to measure.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> from minifast.train import Learner
    >>> x = np.ones((4, 1), np.float32)
    >>> learn = Learner(DataBunch([(x, x)] * 5), Linear(1, 1), loss_func=MSELossFlat(),
    ...                 callback_fns=[LastUpdate])
    >>> with learn.no_logging():
    ...     learn.fit(2)
    >>> learn.last_update.ratios[0] > 0
    True
    """

    _order = 20  # gradients are measured after they were clipped

    _norms: Sequence[tuple[Any, Any, Any] | None] = ()
    _before: Sequence[tuple[list[Parameter], list[Array], Any]] = ()

    def on_train_begin(self) -> None:
        self.recorder, self._norms = getattr(self.learn, "recorder", None), []

    def on_backward_end(self, num_batch: int) -> None:
        if num_batch == len(self.learn.data.train_dl) - 1:
            groups = [[p for p in group if p.requires_grad]
                      for group in self.learn.optimizer.groups]
            self._before = [(group, [p.data.copy() for p in group], _norm(p.grad for p in group))
                            for group in groups]

    def on_step_end(self) -> None:
        if self._before:
            self._norms = [(gradient, _norm(p.data - a for p, a in zip(group, before, strict=True)),
                            _norm(before)) if group else None
                           for group, before, gradient in self._before]
            self._before = []

    def on_train_end(self) -> None:
        self._before = []

    @property
    def grad_norms(self) -> list[float | None]:
        """The norm of each group's gradient; None if the group was frozen."""
        return [None if norms is None else float(norms[0]) for norms in self._norms]

    @property
    def ratios(self) -> list[float | None]:
        """The norm of each group's update over that of its weights before it.

        None if the group was frozen or its weights were all 0.
        """
        return [float(norms[1]) / float(norms[2]) if norms and float(norms[2]) else None
                for norms in self._norms]


def _norm(arrays: Iterable[Array | None]) -> Any:
    """Return the norm of all arrays together. Overflow is no error: training may diverge."""
    with np.errstate(all="ignore"):
        return sum((a * a).sum() for a in arrays if a is not None) ** .5
