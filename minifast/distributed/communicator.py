"""Communicators: the few collective operations that training needs, over MPI."""
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from ..backend import Array, backend_of

RANKS = "MINIFAST_RANKS"
"""The environment variable that names the folder to which each process writes its rank."""


class Communicator:
    """Messages among the ranks of an MPI job, processes that run the same program.

    All ranks must call the same methods in the same order. Arrays on a device are copied to the
    host and sent from there.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        The processes.
    timeout : float
        Seconds that a rank waits for the others before the job is aborted.

    Attributes
    ----------
    rank, size : int
        The number of this process, from 0, and the number of processes.
    sent : int
        Bytes of gradients, losses and outputs that this rank has put into messages so far.

    Examples
    --------
    >>> ranks = world()
    >>> ranks.rank, ranks.size
    (0, 1)
    >>> ranks.sum(np.ones(2))
    array([1., 1.])
    """

    def __init__(self, comm: Any, timeout: float = 300.) -> None:
        self.comm, self.timeout = comm, timeout
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.sent = 0
        self.since: float | None = None
        self._watchdog: threading.Thread | None = None

    def __reduce__(self) -> Any:
        return world, ()

    def __deepcopy__(self, memo: Any) -> "Communicator":
        return self

    # ---- collective operations

    def sum(self, array: Array) -> Array:
        """Add up an array over all ranks, in place.

        Every rank gets the same bits. MPI does not guarantee this for an Allreduce, in which ranks
        may add in different orders. With more than two ranks, therefore, one rank computes the
        sum and sends it to the others.

        Parameters
        ----------
        array : array
            Contiguous, of the same shape and type on all ranks.

        Returns
        -------
        array
            ``array``, which now holds the sum.

        Examples
        --------
        >>> world().sum(np.float32([1, 2]))  # of one rank
        array([1., 2.], dtype=float32)
        """
        if isinstance(array, np.ndarray):
            with self.waiting():
                if self.size == 2:
                    self.comm.Allreduce(_in_place(), array)
                elif self.size > 2:
                    self.comm.Reduce(array if self.rank else _in_place(), array)
                    self.comm.Bcast(array)
            self.sent += array.nbytes
        else:
            backend = backend_of(array)
            array[...] = backend.from_host(self.sum(np.ascontiguousarray(backend.to_host(array))))
        return array

    def gather(self, array: Array) -> list[Array]:
        """Return the arrays of all ranks, in the order of ranks.

        Parameters
        ----------
        array : array (n, ...)
            All dimensions except the first are the same on all ranks.

        Returns
        -------
        list of array (n_r, ...)
            One for each rank.

        Examples
        --------
        >>> world().gather(np.float32([[1, 2]]))
        [array([[1., 2.]], dtype=float32)]
        """
        if not isinstance(array, np.ndarray):
            backend = backend_of(array)
            return [backend.from_host(part) for part in self.gather(backend.to_host(array))]
        array = np.ascontiguousarray(array)
        counts, width = np.empty(self.size, np.int64), int(np.prod(array.shape[1:]))
        with self.waiting():
            self.comm.Allgather(np.array([len(array)], np.int64), counts)
            joint = np.empty((counts.sum(), *array.shape[1:]), array.dtype)
            self.comm.Allgatherv(array, [joint, counts * width])
        self.sent += array.nbytes
        return np.split(joint, np.cumsum(counts)[:-1])

    def objects(self, value: Any) -> list[Any]:
        """Return a list of one object from each rank, in the order of ranks; they are pickled.

        Parameters
        ----------
        value : object
            This rank's object.

        Returns
        -------
        list
            The objects.

        Examples
        --------
        >>> world().objects("rank 0")
        ['rank 0']
        """
        with self.waiting():
            return list(self.comm.allgather(value))

    def from_first(self, value: Any) -> Any:
        """Return rank 0's object on all ranks; it is pickled.

        Parameters
        ----------
        value : object
            The object; only that of rank 0 is used.

        Returns
        -------
        object
            Rank 0's object.

        Examples
        --------
        >>> world().from_first({"lr": .1})
        {'lr': 0.1}
        """
        with self.waiting():
            return self.comm.bcast(value)

    def wait(self) -> None:
        """Wait until all ranks have reached this call."""
        with self.waiting():
            self.comm.Barrier()

    # ---- when something goes wrong

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Record that this rank waits for others, for the thread that ``watch`` starts."""
        self.since = monotonic()
        yield
        self.since = None

    def abort(self, cause: str) -> NoReturn:
        """Print the cause and end all ranks.

        Parameters
        ----------
        cause : str
            What happened on this rank; the message begins with "rank 1 of 4".

        Examples
        --------
        >>> world().abort("has no space left on its disk")  # doctest: +SKIP
        """
        print(f"minifast: rank {self.rank} of {self.size} {cause.rstrip('.')}. All ranks end here; "
              "saved checkpoints are complete, and resume=True continues from the last one.",
              file=sys.stderr, flush=True)
        sleep(.3)  # mpiexec would lose output that it has not passed on yet
        self.comm.Abort(1)
        os._exit(1)

    def abort_after(self, error: Any) -> NoReturn:
        """Print an error and end all ranks.

        Parameters
        ----------
        error : BaseException
            The error.

        Examples
        --------
        >>> world().abort_after(ValueError("no rows"))  # doctest: +SKIP
        """
        self.abort(f"stopped with {type(error).__name__}: {error}".removesuffix(": "))

    def watch(self) -> None:
        """Start a thread that aborts the job if this rank waits longer than ``timeout``."""
        if self._watchdog is None and self.size > 1:
            self._watchdog = threading.Thread(target=self._watch, daemon=True)
            self._watchdog.start()

    def _watch(self) -> None:
        while True:
            sleep(min(self.timeout / 10, 1))
            since = self.since
            if since is not None and monotonic() - since > self.timeout:
                self.abort(f"has waited {self.timeout:g} seconds for other ranks, which may have "
                           "ended or be running another part of the program")


def _in_place() -> Any:
    from mpi4py import MPI
    return MPI.IN_PLACE


_world: list[Communicator] = []


def world() -> Communicator:
    """Return the communicator of all processes of this job.

    From the first call on, an error that ends the program on one rank ends all ranks.

    Returns
    -------
    Communicator
        The same object at each call.

    Raises
    ------
    ImportError
        If mpi4py is not installed, or does not find an MPI library.
    """
    if not _world:
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise ImportError(f"distributed training needs mpi4py and an MPI library ({error}); "
                              "install both with: pip install 'minifast[mpi]'") from error
        _world.append(Communicator(MPI.COMM_WORLD))
        if folder := os.environ.get(RANKS):
            Path(folder, str(os.getpid())).write_text(str(_world[0].rank), encoding="utf-8")
        if _world[0].size > 1:
            _abort_on_errors(_world[0])
    return _world[0]


def _abort_on_errors(comm: Communicator) -> None:
    """Make an error that ends this program also end those of the other ranks."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None
             ) -> None:
        before(kind, error, traceback)
        comm.abort_after(error)
    sys.excepthook = hook
