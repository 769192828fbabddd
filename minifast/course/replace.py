"""The import hook: replaces the source of modules of the library."""
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any


class _Source(SourceFileLoader):
    """Loads a module from a text, or from the file itself if there is none."""

    def __init__(self, name: str, path: str, text: str | None) -> None:
        super().__init__(name, path)
        self.text = text

    def get_data(self, path: str) -> bytes:
        """Return the text instead of the file's, and no bytecode."""
        if path != self.path:
            raise OSError("bytecode is not used here")
        return super().get_data(path) if self.text is None else self.text.encode()

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write no bytecode."""


class Replacement(MetaPathFinder):
    """Finds modules in other files or texts than their own.

    Parameters
    ----------
    files : mapping of str to Path
        The file of each module that has one.
    texts : mapping of str to str, optional
        The source of each module that has a text.
    """

    def __init__(self, files: Mapping[str, Path], texts: Mapping[str, str] | None = None) -> None:
        self.files, self.texts = files, texts or {}

    def find_spec(self, name: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        """Return where a module is found.

        Parameters
        ----------
        name : str
            The module.
        path, target : object
            Not used.

        Returns
        -------
        ModuleSpec or None
            None for a module that is not replaced.
        """
        if name in self.files:
            file = str(self.files[name])
            return spec_from_loader(name, _Source(name, file, None))
        if name in self.texts:
            return spec_from_loader(name, _Source(name, f"<{name}>", self.texts[name]))
        return None


def install(files: Mapping[str, Path], texts: Mapping[str, str] | None = None) -> None:
    """Replace the source of modules, for the rest of the process.

    Parameters
    ----------
    files : mapping of str to Path
        The file of each module that has one.
    texts : mapping of str to str, optional
        The source of each module that has a text.

    Raises
    ------
    RuntimeError
        If one of the modules has been imported already.
    """
    if early := [name for name in [*files, *(texts or {})] if name in sys.modules]:
        raise RuntimeError(f"{', '.join(early)} is already imported; it can be replaced in a new "
                           "process only")
    sys.meta_path.insert(0, Replacement(files, texts))


def source_of(module: str) -> str:
    """Return the source of a module of the library, without importing it.

    Parameters
    ----------
    module : str
        Its name.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> source_of("minifast.optim.steps").startswith('\"\"\"The small steps')
    True
    """
    return path_of(module).read_text(encoding="utf-8")


def path_of(module: str) -> Path:
    """Return the file of a module of the library.

    Parameters
    ----------
    module : str
        Its name.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ModuleNotFoundError
        If minifast is not installed.
    """
    package = find_spec("minifast")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("minifast is not installed")
    root = Path(package.submodule_search_locations[0])
    return root.joinpath(*module.split(".")[1:]).with_suffix(".py")
