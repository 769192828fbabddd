"""The learning rate finder: a short training with growing rates."""
from typing import Any

import numpy as np

from ..optim import annealing_exp
from .callback import Changes
from .scheduler import Curves, Scheduler, make_phases


class Snapshot:
    """A copy of everything that training changes.

    It holds weights, buffers, optimizer state, random generators, and the mode of each module
    (training or evaluation).

    Parameters
    ----------
    learn : Learner
        The learner to copy from.

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
    >>> snapshot = Snapshot(learn)
    >>> learn.model.weight.data[:] = 0
    >>> snapshot.restore(learn)
    >>> (learn.model.weight.data != 0).all()
    np.True_
    """

    def __init__(self, learn: Any) -> None:
        self.weights, self.opt = learn.model.state_dict(), learn.opt
        self.modes = [(module, module.training) for module in learn.model.modules()]
        self.opt_state = learn.opt and (learn.opt.state_dict(), learn.opt.interrupted)
        owners = [*learn.model.modules(), learn.data.train_dl, learn.data.valid_dl]
        found = [getattr(owner, "rng", None) for owner in owners]
        self.generators = [(rng, rng.bit_generator.state) for rng in found
                           if isinstance(rng, np.random.Generator)]
        self.global_state = np.random.get_state()

    def restore(self, learn: Any) -> None:
        """Restore everything in a learner.

        Parameters
        ----------
        learn : Learner
            The learner that was copied.

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
        >>> snapshot = Snapshot(learn)
        >>> with learn.no_logging():
        ...     learn.fit(1)
        >>> snapshot.restore(learn)
        >>> learn.opt is None
        True
        """
        learn.model.load_state_dict(self.weights)
        learn.model.zero_grad()
        learn.opt = self.opt
        for module, training in self.modes:
            module.training = training
        if self.opt is not None:
            self.opt.load_state_dict(self.opt_state[0])
            self.opt.interrupted = self.opt_state[1]
        for rng, state in self.generators:
            rng.bit_generator.state = state
        np.random.set_state(self.global_state)


class LRFinder(Scheduler):
    """Trains with rates that grow from batch to batch, then restores the learner.

    The rate of batch k is start (end / start)^(k / num_it). The recorder keeps the curve.
    fastai v1's ``LRFinder``.

    Parameters
    ----------
    learn : Learner
        The learner; it is restored to its state at this moment.
    start_lr, end_lr : float or list of float
        The first and the last rate, for all layer groups or one for each.
    num_it : int
        Number of batches.
    stop_div : bool
        Whether to stop when the smoothed loss is NaN or above four times its lowest value.

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
    ...     learn.fit(10, callbacks=[LRFinder(learn, 1e-3, 1, num_it=4)])
    LR Finder is complete, type {learner_name}.recorder.plot() to see the graph.
    >>> [round(lr, 4) for lr in learn.recorder.lrs]
    [0.001, 0.0056, 0.0316, 0.1778]
    """

    def __init__(self, learn: Any, start_lr: Any = 1e-7, end_lr: Any = 10., num_it: int = 100,
                 stop_div: bool = True) -> None:
        super().__init__(learn)
        self.phases = make_phases(num_it, start_lr, end_lr, annealing_exp)
        self.num_it, self.stop_div, self.best = num_it, stop_div, float("inf")
        self.snapshot = Snapshot(learn)

    def schedule(self, n_epochs: int) -> tuple[int, Curves]:
        return self.num_it, {"lr": self.phases}

    def on_train_begin(self, n_epochs: int, epoch: int) -> Changes:
        super().on_train_begin(n_epochs, epoch)
        return {"skip_validate": True}

    def on_batch_end(self, train: bool, smooth_loss: Any = None) -> Changes:
        super().on_batch_end(train)
        self.best = min(self.best, float(smooth_loss))
        diverged = self.stop_div and not float(smooth_loss) <= 4 * self.best
        stop = diverged or self.position >= self.num_it
        return {"stop_epoch": True, "stop_training": True} if stop else None

    def on_train_end(self) -> None:
        self.snapshot.restore(self.learn)
        print("LR Finder is complete, type {learner_name}.recorder.plot() to see the graph.")
