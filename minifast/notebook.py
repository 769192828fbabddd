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
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


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
