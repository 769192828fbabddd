"""Short tracebacks in notebooks: the user's own frames and the message."""
import sys
from pathlib import Path
from sysconfig import get_paths
from types import TracebackType
from typing import Any

from . import absent

PACKAGE = str(Path(__file__).parents[1])
LIBRARIES = (PACKAGE, *{get_paths()[key] for key in ("stdlib", "purelib", "platlib")})
HINT = "(Frames inside minifast are not shown; %tb shows them all.)"


def own_frames(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without frames of minifast, or of libraries that minifast calls.

    Parameters
    ----------
    traceback : traceback or None
        The traceback of an exception.

    Returns
    -------
    traceback or None
        A new traceback. Frames of the user's functions that minifast calls, such as ``forward`` of
        a model, are kept.

    Examples
    --------
    >>> from minifast import tensor
    >>> try:
    ...     tensor([1., 2.]) + tensor([1., 2., 3.])
    ... except ValueError as error:
    ...     length(error.__traceback__) > 1, length(own_frames(error.__traceback__))
    (True, 1)
    """
    kept, inside = [], False
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        inside = file.startswith(LIBRARIES if inside else PACKAGE)
        if not inside:
            kept.append(traceback)
        traceback = traceback.tb_next
    short = None
    for part in reversed(kept):
        short = TracebackType(short, part.tb_frame, part.tb_lasti, part.tb_lineno)
    return short


def show_short(shell: Any, kind: type, error: BaseException, traceback: TracebackType,
               tb_offset: int | None = None) -> None:
    """Show an error that passed through minifast with `own_frames`, any other as usual.

    If the error is caused by a name or module of fastai v1 that minifast does not have, a line
    says what to write instead.

    ``%tb`` and ``%debug`` still have all frames.

    Parameters
    ----------
    shell : InteractiveShell
        IPython's shell.
    kind : type
        The class of the error.
    error : BaseException
        The error. If it was raised inside minifast, the error that caused it is not shown, because
        its text is part of the message.
    traceback : traceback
        Its traceback.
    tb_offset : int, optional
        The number of IPython's own frames at its beginning.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> shell = SimpleNamespace(showtraceback=lambda error, **options: print(repr(error[1])))
    >>> try:
    ...     int("a")
    ... except ValueError as error:
    ...     show_short(shell, ValueError, error, error.__traceback__)
    ValueError("invalid literal for int() with base 10: 'a'")
    """
    short, chain = own_frames(traceback), (error.__cause__, error.__suppress_context__)
    running = traceback.tb_frame.f_code.co_name == "run_code"  # not the syntax error of a cell
    if not running or length(short) == length(traceback):
        shell.showtraceback((kind, error, traceback), tb_offset=tb_offset,
                            running_compiled_code=running)
        if (instead := absent.hint(error)) is not None:
            print(instead, file=sys.stderr)
        return
    if raised_inside(traceback):
        error.__cause__, error.__suppress_context__ = None, True
    try:
        shell.showtraceback((kind, error, short), tb_offset=tb_offset, running_compiled_code=True)
        print(HINT, file=sys.stderr)
    finally:
        error.__cause__, error.__suppress_context__ = chain
        sys.last_traceback = shell.InteractiveTB.tb = traceback


def length(traceback: TracebackType | None) -> int:
    """Return the number of frames of a traceback.

    Parameters
    ----------
    traceback : traceback or None
        The traceback.

    Returns
    -------
    int
        The number.

    Examples
    --------
    >>> try:
    ...     int("a")
    ... except ValueError as error:
    ...     length(error.__traceback__)
    1
    """
    n = 0
    while traceback is not None:
        n, traceback = n + 1, traceback.tb_next
    return n


def raised_inside(traceback: TracebackType) -> bool:
    """Return whether the innermost frame of a traceback is one of minifast.

    Parameters
    ----------
    traceback : traceback
        The traceback.

    Returns
    -------
    bool
        True if minifast raised the error.

    Examples
    --------
    >>> from minifast import tensor
    >>> try:
    ...     tensor([1., 2.]) + tensor([1., 2., 3.])
    ... except ValueError as error:
    ...     raised_inside(error.__traceback__)
    True
    """
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code.co_filename.startswith(PACKAGE)
