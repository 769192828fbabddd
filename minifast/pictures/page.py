"""Picture: HTML with its style and script inside, for notebooks, for documents and as a file."""
import json
import re
from html import escape
from pathlib import Path
from typing import Any
from uuid import uuid4

FOLDER = Path(__file__).parent
OWN_KEYS = 'data-lm-suppress-shortcuts="true"'
"""The attribute of elements whose keys JupyterLab does not take for itself, such as arrows."""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; padding: 12px; background: Canvas; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


class Picture:
    """A picture as a piece of HTML. A notebook shows it when it is the result of a cell.

    Parameters
    ----------
    title : str
        What the picture shows.
    body : str
        The HTML inside the picture.
    script : str
        The name of a JavaScript file of this folder; empty for none. It finds the picture's
        element as ``root`` and the data as ``data``.
    data : object
        What the script gets: anything that JSON can express.

    Examples
    --------
    >>> Picture("Nothing", "<p>nothing</p>")
    <Picture: Nothing; .save('picture.html') writes a page>
    """

    def __init__(self, title: str, body: str, script: str = "", data: Any = None) -> None:
        self.title, self.body, self.script, self.data = title, body, script, data

    def html(self) -> str:
        """Return the element with its style and script; no two calls use the same id."""
        name = f"mf-{uuid4().hex[:12]}"
        style = (FOLDER / "style.css").read_text(encoding="utf-8")
        body = re.sub("<(button|input|select|div|pre)(?= )", rf"<\1 {OWN_KEYS}", self.body)
        return (f'<div class="mf-picture" id="{name}" role="group" {OWN_KEYS} '
                f'aria-label="{escape(self.title)}">\n'
                f"<style>\n{style}</style>\n{body}\n{self._script(name)}</div>")

    def _script(self, name: str) -> str:
        if not self.script:
            return ""
        code = (FOLDER / self.script).read_text(encoding="utf-8")
        return (f'<script>\n((root, data) => {{\n{code}}})(document.getElementById("{name}"), '
                f"{as_json(self.data)});\n</script>\n")

    def _repr_html_(self) -> str:
        return self.html()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.title}; .save('picture.html') writes a page>"

    def save(self, path: str | Path) -> Path:
        """Write the picture as a page that a browser opens, and return the path.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        Path
            The file.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Picture("Nothing", "<p>nothing</p>").save(f"{folder}/nothing.html").name
        'nothing.html'
        """
        file = Path(path)
        file.write_text(PAGE.format(title=escape(self.title), body=self.html()), encoding="utf-8")
        return file


def as_json(data: Any) -> str:
    r"""Return JSON that may stand in a script element: without ``<``, in ASCII.

    Parameters
    ----------
    data : object
        Anything that JSON can express.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> as_json("</script>")
    '"\\u003c/script>"'
    """
    return json.dumps(data).replace("<", "\\u003c")
