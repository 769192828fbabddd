"""One BLAS thread: products of matrices are then rounded in the same way for any number of cores.

BLAS divides a large product among its threads, and the shape of a part decides in which order its
numbers are added. The number of threads is a property of the process, not of a Python thread or a
learner. So all that ask for one thread share one limit: the first to enter sets it, the last to
leave restores the number of before.
"""
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

_lock = Lock()
_inside: set[object] = set()
"""One object for each ``one_blas_thread`` that is entered, in any thread."""
_limits: list[Any] = []
"""While there is one, threadpoolctl's memory of the numbers of threads before."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Compute products of matrices on one thread, until the end of the ``with`` block.

    Afterwards BLAS has as many threads as before, also after an error. Blocks may be nested, and
    may overlap in several Python threads. Meanwhile the products of the whole process take one
    thread.

    Warns
    -----
    RuntimeWarning
        If threadpoolctl does not know the BLAS library that NumPy uses.

    Examples
    --------
    >>> from threadpoolctl import threadpool_info
    >>> with one_blas_thread():
    ...     {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    {1}
    """
    token = object()
    try:
        with _lock:
            if not _limits:
                _limits.append(_limit())
            _inside.add(token)
        yield
    finally:
        with _lock:
            _inside.discard(token)
            if not _inside and _limits:
                _limits.pop().restore_original_limits()


def _limit() -> Any:
    """Limit BLAS to one thread; what is returned can restore the number of before."""
    from threadpoolctl import ThreadpoolController
    blas = ThreadpoolController().select(user_api="blas")
    if not blas.lib_controllers:
        warnings.warn("reproducible=True cannot limit the threads of NumPy's BLAS, because "
                      "threadpoolctl does not know that library; set its variable before Python "
                      "starts, for example VECLIB_MAXIMUM_THREADS=1 for Apple's Accelerate",
                      RuntimeWarning, stacklevel=2)
    return blas.limit(limits=1)
