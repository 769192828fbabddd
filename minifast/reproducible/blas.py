"""One BLAS thread: products of matrices are then rounded in the same way for any number of cores.

BLAS divides a large product among its threads, and the shape of a part decides in which order its
numbers are added. The number of threads mostly belongs to the process, not to a Python thread or a
learner. So all that ask for one thread share one limit: the first to enter sets it, the last to
leave restores the number of before, whichever threads these are.
"""
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

Numbers = dict[str, tuple[Any, int]]
"""By file, a BLAS library in this process and a number of threads."""
_lock = Lock()
_inside: set[object] = set()
"""One object for each ``one_blas_thread`` that is entered, in any thread."""
_before: Numbers = {}
"""The numbers of threads when the first of them was entered."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Compute products of matrices on one thread, until the end of the ``with`` block.

    Afterwards BLAS has as many threads as before, also after an error. Blocks may be nested, and
    may overlap in several Python threads. Meanwhile the products of the whole process take one
    thread.

    Warns
    -----
    RuntimeWarning
        If threadpoolctl cannot limit the BLAS library that NumPy uses.

    Examples
    --------
    >>> from threadpoolctl import threadpool_info
    >>> with one_blas_thread():
    ...     {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    {1}
    """
    me, found = object(), libraries()
    own = {lib.filepath: (lib, lib.get_num_threads()) for lib in found}
    try:
        with _lock:
            _inside.add(me)
            for file, (lib, n) in own.items():
                _before.setdefault(file, (lib, n))
                _set(lib, 1)
        if not found or any(lib.get_num_threads() != 1 for lib in found):
            warnings.warn("reproducible=True cannot limit the threads of NumPy's BLAS library; "
                          "set its variable before Python starts, for example "
                          "VECLIB_MAXIMUM_THREADS=1 for Apple's Accelerate", RuntimeWarning,
                          stacklevel=4)
        yield
    finally:
        with _lock:
            _inside.discard(me)
            _restore({file: pair for file, pair in own.items() if _is_per_thread(pair[0])})
            if not _inside:
                _restore(_before)
                _before.clear()


def libraries() -> list[Any]:
    """Return threadpoolctl's controllers of the BLAS libraries in this process."""
    from threadpoolctl import ThreadpoolController
    found: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    return found


def _is_per_thread(lib: Any) -> bool:
    """Whether each Python thread has a number of its own: OpenBLAS where it uses OpenMP."""
    return bool(lib.internal_api == "openblas" and lib.threading_layer == "openmp")


def _set(lib: Any, n: int) -> None:
    """Set a number of threads, even if another Python thread has set one before."""
    _clear_owner(lib)
    lib.set_num_threads(n)


def _clear_owner(lib: Any) -> None:
    """Let any Python thread set the number.

    threadpoolctl 3.8 takes it from the first thread only, and ignores the others without a word.
    """
    if hasattr(lib, "clear_controlling_thread"):
        lib.clear_controlling_thread(force=True)


def _restore(numbers: Numbers) -> None:
    for lib, n in numbers.values():
        _set(lib, n)
        _clear_owner(lib)
