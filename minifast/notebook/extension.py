"""Switches short displays and short tracebacks on and off in IPython and Jupyter."""
import sys
from typing import Any

from . import display, tracebacks

ERRORS = (Exception, KeyboardInterrupt)


def load_ipython_extension(shell: Any) -> None:
    """Show minifast's objects and errors in short form; ``%load_ext minifast.notebook``.

    A star import such as ``from minifast.collab import *`` does this as well. It changes only
    IPython's registry of formatters and its error handler. An error handler that is already set
    is kept.

    Parameters
    ----------
    shell : InteractiveShell
        IPython's shell.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from IPython.core.formatters import DisplayFormatter
    >>> from minifast import tensor
    >>> shell = SimpleNamespace(display_formatter=DisplayFormatter(), custom_exceptions=ERRORS)
    >>> load_ipython_extension(shell)
    >>> data, _ = shell.display_formatter.format(tensor([0.] * 2000))
    >>> data["text/plain"].splitlines()[-1]
    'shape (2000,), float32, cpu'
    """
    display.register(shell.display_formatter.formatters)
    if not shell.custom_exceptions:
        shell.set_custom_exc(ERRORS, tracebacks.show_short)


def unload_ipython_extension(shell: Any) -> None:
    """Undo `load_ipython_extension`; ``%unload_ext minifast.notebook``.

    Parameters
    ----------
    shell : InteractiveShell
        IPython's shell.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from IPython.core.formatters import DisplayFormatter
    >>> from minifast import tensor
    >>> shell = SimpleNamespace(display_formatter=DisplayFormatter(), custom_exceptions=())
    >>> unload_ipython_extension(shell)
    >>> data, _ = shell.display_formatter.format(tensor([0.] * 2000))
    >>> data["text/plain"].splitlines()[-1]
    'tensor([0., 0., 0.,  ..., 0., 0., 0.])'
    """
    display.unregister(shell.display_formatter.formatters)
    if shell.custom_exceptions == ERRORS:
        shell.set_custom_exc((), None)


def running_shell() -> Any:
    """Return the IPython shell in which this code runs, or None."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()
