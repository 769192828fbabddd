"""Where output goes: a Jupyter notebook, a terminal, or neither."""
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel.

    >>> in_notebook()
    False
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


def show_table(table: "pd.DataFrame") -> None:
    """A frame without its index: an HTML table in a notebook, plain columns in a terminal.

    >>> import pandas as pd
    >>> show_table(pd.DataFrame({"userId": [1], "target": [3.]}))
     userId  target
          1     3.0
    """
    if in_notebook():
        show_html(table.to_html(index=False))
    else:
        print(table.to_string(index=False))


def show_html(html: str, display_id: str | None = None) -> Any:
    """Display HTML; with ``display_id``, give a handle whose ``update`` replaces it."""
    from IPython import display as jupyter
    show: Any = jupyter.display
    return show(as_html(html), display_id=display_id)


def as_html(html: str) -> Any:
    """HTML as an object that a notebook shows."""
    from IPython import display as jupyter
    make: Any = jupyter.HTML
    return make(html)


class DisplayLine:
    """A file in a notebook that shows the last line written to it, in one place.

    A progress bar writes to it; when it takes itself away, nothing is left in the saved output.
    """

    def __init__(self) -> None:
        self._handle: Any = None

    def write(self, text: str) -> None:
        """Show ``text`` in the place of what was shown."""
        line = {"text/plain": text.strip("\r\n ")}
        if self._handle is not None:
            self._handle.update(line, raw=True)
        elif line["text/plain"]:
            from IPython import display as jupyter
            show: Any = jupyter.display
            self._handle = show(line, raw=True, display_id=f"line-{id(self)}")

    def flush(self) -> None:
        """Nothing waits to be written."""
