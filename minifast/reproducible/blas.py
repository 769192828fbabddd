"""One BLAS thread, so that matrix products are rounded in the same way for any number of cores.

BLAS divides a large product among its threads, and the order in which the numbers of a part are
added depends on its shape. Most libraries have one number of threads for the whole process, not
one for each Python thread or learner. Therefore all contexts share one limit: the first to be
entered sets it, and the last to be left restores the previous number, in whichever threads.
"""
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

Numbers = dict[str, tuple[Any, int]]
"""BLAS libraries of this process with numbers of threads, by file."""
_lock = Lock()
_inside: set[object] = set()
"""One object for each active ``one_blas_thread`` in any thread."""
_before: Numbers = {}
"""The numbers of threads when the first of these was entered."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Compute matrix products on one thread within a ``with`` block.

    Afterwards BLAS has as many threads as before, also after an error. Blocks may be nested, and
    may overlap in several Python threads. Until the last one ends, the whole process is limited.

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
    """Return whether each Python thread has its own number, as in OpenBLAS with OpenMP."""
    return bool(lib.internal_api == "openblas" and lib.threading_layer == "openmp")


def _set(lib: Any, n: int) -> None:
    """Set the number of threads, even if another Python thread has set it before."""
    _clear_owner(lib)
    lib.set_num_threads(n)


def _clear_owner(lib: Any) -> None:
    """Allow any Python thread to set the number.

    threadpoolctl 3.8 accepts it only from the first thread and silently ignores the others.
    """
    if hasattr(lib, "clear_controlling_thread"):
        lib.clear_controlling_thread(force=True)


def _restore(numbers: Numbers) -> None:
    for lib, n in numbers.values():
        _set(lib, n)
        _clear_owner(lib)
