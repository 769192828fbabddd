"""The same collective operations between GPUs: NCCL, through CuPy."""
import os
from importlib import import_module
from typing import Any

import numpy as np

from ..backend import Array
from .communicator import Communicator, world


class NCCLCommunicator(Communicator):
    """A communicator for ranks with one GPU each, which sends arrays from GPU to GPU.

    Arrays on the host and other objects are still sent through MPI. Call ``one_gpu_per_rank``
    before anything uses the GPU, and pass this object to ``to_distributed(comm=...)``.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        The processes; by default, all processes of the job.
    timeout : float
        Seconds that a rank waits for the others before the job is aborted.
    group : object, optional
        An object with the methods ``all_reduce`` and ``all_gather`` of CuPy's ``NCCLBackend``,
        which is the default.

    Notes
    -----
    ``cupyx.distributed.init_process_group``; torch's ``init_process_group("nccl")``.

    Examples
    --------
    >>> learn.to_distributed(comm=NCCLCommunicator())  # doctest: +SKIP
    """

    def __init__(self, comm: Any = None, timeout: float = 300., group: Any = None) -> None:
        super().__init__(world().comm if comm is None else comm, timeout)
        self.group = group or import_module("cupyx.distributed").init_process_group(
            self.size, self.rank, use_mpi=True)

    def sum(self, array: Array) -> Array:
        """Add up an array over all ranks, in place; see ``Communicator.sum``."""
        if isinstance(array, np.ndarray):
            return super().sum(array)
        self.group.all_reduce(array, array)
        self.sent += array.nbytes
        return array

    def gather(self, array: Array) -> list[Array]:
        """Return the arrays of all ranks; see ``Communicator.gather``."""
        if isinstance(array, np.ndarray):
            return super().gather(array)
        counts = np.concatenate(super().gather(np.array([len(array)]))).tolist()
        mine = np.zeros_like(array, shape=(max(counts), *array.shape[1:]), order="C")
        mine[:len(array)] = array  # NCCL sends the same number of bytes from each rank
        joint = np.empty_like(mine, shape=(self.size, *mine.shape))
        self.group.all_gather(mine, joint, mine.size)
        self.sent += mine.nbytes
        return [part[:n] for part, n in zip(joint, counts, strict=True)]


def one_gpu_per_rank() -> int:
    """Give each rank a GPU of its own; call this before CuPy is used.

    Returns
    -------
    int
        The rank among those on this computer, which is the number of its GPU.

    Examples
    --------
    >>> one_gpu_per_rank()  # doctest: +SKIP
    0
    """
    from mpi4py import MPI
    local = int(world().comm.Split_type(MPI.COMM_TYPE_SHARED).Get_rank())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[local] if visible else str(local)
    return local
