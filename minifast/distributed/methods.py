"""``Learner.to_distributed``, which this room adds to the Learner."""
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from typing import Any
from warnings import warn

from ..train import Learner
from .communicator import Communicator, world
from .norm import synchronise
from .trainer import DistributedTrainer


def to_distributed(self: Learner, sync_bn: bool = False, timeout: float = 300.,
                   comm: Communicator | None = None) -> Learner:
    """Train on all ranks, the processes of an MPI job that run this program.

    Start the program with ``mpiexec -n 4 python program.py``, or with
    ``python -m minifast.distributed -n 4 program.py``. Each rank trains on its part of every
    batch. The batch size is the number of rows per rank: ``n`` ranks give the same result as one
    process with ``n`` times the batch size. Only rank 0 prints the table and writes files.

    Parameters
    ----------
    sync_bn : bool
        Whether batch norm uses the mean and variance of the rows of all ranks. By default, each
        rank uses those of its own rows, as torch does.
    timeout : float
        Seconds that a rank waits for the others before the job is aborted.
    comm : Communicator, optional
        The ranks; by default, all ranks of the job.

    Returns
    -------
    Learner
        The same learner.

    Raises
    ------
    ImportError
        If mpi4py or an MPI library is missing.
    ValueError
        If the learner is already distributed.

    Warns
    -----
    UserWarning
        If there is only one rank; the learner then trains as usual.

    Notes
    -----
    fastai v1's ``Learner.to_distributed``. An error on one rank ends the whole job, because the
    others would wait forever.

    Examples
    --------
    >>> learn = collab_learner(data, 50).to_distributed()  # doctest: +SKIP
    >>> learn.fit_one_cycle(5, 6e-3)  # doctest: +SKIP
    """
    if any(isinstance(callback, DistributedTrainer) for callback in self.callbacks):
        raise ValueError("this learner is already distributed")
    ranks = comm or world()
    ranks.timeout = timeout
    if ranks.size == 1:
        warn("to_distributed: there is only one rank, so one process trains. Start the program "
             "with: python -m minifast.distributed -n 4 program.py", stacklevel=2)
    trainer = DistributedTrainer(self, ranks)
    self.callbacks = [*self.callbacks, trainer]
    vars(self)["before_saving"] = trainer.average_statistics
    if sync_bn:
        synchronise(self.model, trainer.train)
    if ranks.size > 1:
        ranks.watch()
        for name in ("save", "export"):
            if hasattr(self, name):
                vars(self)[name] = partial(write_once, self, ranks, getattr(self, name))
    if ranks.rank:
        self.silent_bar = self.silent_table = True
        vars(self).update(writes_files=False, fit=partial(quietly, self.fit))
    return self


def write_once(learn: Learner, comm: Communicator, write: Callable[..., Any], *args: Any,
               **kwargs: Any) -> Any:
    """Let rank 0 write a file while the other ranks wait.

    Parameters
    ----------
    learn : Learner
        The learner.
    comm : Communicator
        The ranks.
    write : callable
        Writes the file.
    *args, **kwargs : object
        Its arguments.

    Returns
    -------
    object
        What ``write`` returns on rank 0; all ranks get it.

    Examples
    --------
    >>> write_once(learn, world(), learn.save, "model")  # doctest: +SKIP
    """
    learn.before_saving()  # type: ignore[attr-defined]
    learn.model.state_dict()  # on all ranks: reading makes the fast path round,
    learn.opt and learn.opt.state_dict()  # and start anew
    return comm.from_first(None if comm.rank else write(*args, **kwargs))


def quietly(fit: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Discard what callbacks print during a fit.

    Parameters
    ----------
    fit : callable
        The fit.
    *args, **kwargs : object
        Its arguments.

    Examples
    --------
    >>> quietly(print, "nobody reads this")
    """
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        fit(*args, **kwargs)


def only_rank_0_prints() -> int:
    """Discard the standard output of all ranks but the first.

    Returns
    -------
    int
        The rank of this process.

    Examples
    --------
    >>> only_rank_0_prints()
    0
    """
    rank = world().rank
    if rank:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  until the end
    return int(rank)


setattr(Learner, to_distributed.__name__, to_distributed)
