"""Write the pages of the site whose source is elsewhere; ``conf.py`` calls `pages`.

They come into folders that git ignores: ``api`` has the reference, a page for each package,
``examples`` the notebook and the programs, ``course`` the units. A file is only written if it has
changed, so Sphinx reads it again only then.
"""
import importlib
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
OUT = ROOT / "out" / "site-cache"
sys.path.insert(0, str(ROOT / "tests"))
import check_docs

NOT_IN_REFERENCE = ("minifast.course", "minifast.devices.fakecuda")
"""The course has its own pages; the simulated device has NumPy's functions."""
PLANTED = {"MINIFAST_HOME": str(OUT / "no data"), "XDG_CACHE_HOME": str(OUT / "cache"),
           "MINIFAST_DEVICE": "cpu", "MPLBACKEND": "agg", "HTTPS_PROXY": "http://localhost:9"}
"""No data set is found or downloaded, so no page shows MovieLens's ratings."""


def pages() -> None:
    """Write all of them."""
    OUT.mkdir(parents=True, exist_ok=True)
    reference()


def write(path: Path, text: str) -> None:
    """Write a file if its text is new."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


# -------------------------------------------------------------------------------- the reference


def documented() -> dict[str, list[ModuleType]]:
    """Return the modules of the reference by package; ``minifast.collab`` is its own package."""
    packages: dict[str, list[ModuleType]] = {}
    for module in check_docs.modules():
        if not module.__name__.startswith(NOT_IN_REFERENCE):
            package = ".".join(module.__name__.split(".")[:2])
            packages.setdefault(package, []).append(module)
    return packages


def public_path(package: str, name: str, thing: Any) -> str:
    """Return the shortest path under which a package has a class or function."""
    found = getattr(importlib.import_module(package), name, None)
    return f"{package if found is thing else thing.__module__}.{name}"


def names(module: ModuleType, package: str) -> Iterator[tuple[str, Any]]:
    """Yield path and object of the public classes and functions that a module defines."""
    for name, thing, cls in check_docs.public(module):
        if cls is None and "." not in name:
            yield public_path(package, name, thing), thing


def reference() -> None:
    """Write a page for each package."""
    written = set()
    for package, modules in documented().items():
        file = DOCS / "api" / f"{package}.rst"
        write(file, "\n".join(package_page(package, modules)))
        written.add(file)
    for old in set((DOCS / "api").glob("*")) - written:
        old.unlink()


def package_page(package: str, modules: list[ModuleType]) -> Iterator[str]:
    """Yield the lines of a page: the package's docstring, then its modules."""
    yield from [package, "=" * len(package), "", f".. automodule:: {package}", ""]
    for module in modules:
        if found := list(names(module, package)):
            if module.__name__ != package:
                yield from heading(module.__name__, {path for path, _ in found})
            yield from table(package, found)
            for path, thing in found:
                yield from entry(path, thing)


def heading(module: str, paths: set[str]) -> Iterator[str]:
    """Yield the heading of a module and its docstring."""
    title = module.rpartition(".")[2]
    yield from [title, "-" * len(title), "", f".. automodule:: {module}"]
    yield from ["   :no-index:"] * (module in paths)  # vision.resnet is a function too
    yield ""


def table(package: str, found: list[tuple[str, Any]]) -> Iterator[str]:
    """Yield a table of names with the first lines of their docstrings."""
    yield from [f".. currentmodule:: {package}", "", ".. autosummary::", "   :nosignatures:", ""]
    yield from (f"   ~{path.removeprefix(f'{package}.')}" for path, _ in found)
    yield ""


def entry(path: str, thing: Any) -> Iterator[str]:
    """Yield the directive that documents a class with its methods, or a function."""
    if inspect.isclass(thing):
        yield from [f".. autoclass:: {path}", "   :members:", "   :show-inheritance:", ""]
    else:
        yield from [f".. autofunction:: {path}", ""]


# -------------------------------------------------------------------------- the map of the site


def sitemap(app: Any, error: Exception | None) -> None:
    """Write ``sitemap.xml``; the addresses begin with ``html_baseurl``."""
    if error is None and app.builder.format == "html":
        links = (app.builder.get_target_uri(name) for name in sorted(app.env.found_docs))
        rows = "\n".join(f"<url><loc>{app.config.html_baseurl}{link}</loc></url>" for link in links)
        write(Path(app.outdir) / "sitemap.xml",
              '<?xml version="1.0" encoding="utf-8"?>\n'
              f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{rows}\n</urlset>\n')
