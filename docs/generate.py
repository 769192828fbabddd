"""Write the pages of the site whose source is elsewhere; ``conf.py`` calls `pages`.

They come into folders that git ignores: ``api`` has the reference, a page for each package,
``examples`` the notebook and the programs, ``course`` the units. A file is only written if it has
changed, so Sphinx reads it again only then.

Programs that take longer than a build should are run by ``python docs/generate.py record``, which
stores what they print and draw in ``docs/outputs``.
"""
import importlib
import inspect
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx import addnodes

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
    os.environ.update(PLANTED)  # for the kernels of the notebooks too
    forget_old_runs()
    reference()
    examples()
    course()


def forget_old_runs() -> None:
    """Remove what examples and notebooks printed before the package or an example has changed."""
    sources = [*ROOT.glob("minifast/**/*.py"), *ROOT.glob("examples/*")]
    newest, stamp = max(path.stat().st_mtime for path in sources), OUT / "stamp"
    if not stamp.exists() or stamp.stat().st_mtime < newest:
        shutil.rmtree(OUT, ignore_errors=True)
        OUT.mkdir(parents=True)
        stamp.touch()


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
    return {package: modules for package, modules in packages.items()
            if any(list(check_docs.public(module)) for module in modules)}


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
    paths = {path for module in modules for path, _ in names(module, package)}
    for module in modules:
        if found := list(names(module, package)):
            if module.__name__ != package:
                yield from heading(module.__name__, paths)
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


def source_module(app: Any, module: str, name: str) -> str:
    """Return the module that defines what a page documents under the path of its package."""
    try:
        thing = pkgutil.resolve_name(f"{module}:{name}")
    except AttributeError:  # a field without a default value
        return module
    thing = getattr(thing, "fget", None) or getattr(thing, "func", None) or thing
    if not hasattr(thing, "__qualname__"):  # a value
        return module
    defined = str(thing.__module__)
    return defined if defined.startswith("minifast") else module


def more_anchors(app: Any, tree: nodes.document) -> None:
    """Let the path of the package and that of the module both lead to a name."""
    for signature in tree.findall(addnodes.desc_signature):
        module, name = signature.get("module"), signature.get("fullname")
        package = ".".join(module.split(".")[:2]) if module else ""
        for where in (package, source_module(app, module, name)) if package else ():
            if (anchor := f"{where}.{name}") not in tree.ids:
                signature["ids"].append(anchor)
                tree.ids[anchor] = signature


def link_names(app: Any, tree: nodes.document, page: str) -> None:
    """Let `minifast.train.Learner`, written as code in a page, lead to the reference."""
    known = app.env.get_domain("py").objects
    for code in list(tree.findall(nodes.literal)):
        entry = known.get(code.astext().removesuffix("()"))
        if entry and entry.docname != page and not isinstance(code.parent, nodes.reference):
            uri = f"{app.builder.get_relative_uri(page, entry.docname)}#{entry.node_id}"
            code.replace_self(nodes.reference("", "", code.deepcopy(), refuri=uri, internal=True))


# ------------------------------------------------------------------- examples and the course


RUN = """
import runpy, sys
from matplotlib import rcParams
from matplotlib.figure import Figure
rcParams["svg.fonttype"], rcParams["svg.hashsalt"] = "none", "minifast"
save = Figure.savefig
def as_svg(figure, path, **keywords):
    save(figure, path.with_suffix(".svg"), metadata={"Date": None})
Figure.savefig = as_svg
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Run a program that saves its plots as PNG, and save them as SVG."""


def run_example(name: str, folder: Path, *options: str) -> None:
    """Run a program of ``examples/`` and store what it prints and draws in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    program = [sys.executable, "-c", RUN, str(ROOT / f"examples/{name}.py"), *options]
    with open(folder / f"{name}.txt", "w", encoding="utf-8") as out:
        subprocess.run([*program, *(["--out", "."] if name in PLOTTING else [])], check=True,
                       cwd=folder, stdout=out, env={**os.environ, **PLANTED})


PLOTTING = {"collab": ("lr_finder", "losses", "components"), "tabular": ("tabular_losses",),
            "transfer": ("transfer", "transfer_losses")}
QUICK = {"collab": ("--data", "planted"), "tabular": ()}
"""Programs that a build runs, with their options."""
RECORDED = ("transfer", "char_rnn", "gpt")
"""Programs that run too long for a build; of all others the page shows the source only."""


def examples() -> None:
    """Write the notebook without outputs, and a page for each program."""
    notebook(ROOT / "examples/collab_notebook.ipynb", DOCS / "examples/collab_notebook.ipynb")
    for name in sorted(file.stem for file in ROOT.glob("examples/*.py")):
        outputs = OUT / "examples" if name in QUICK else DOCS / "outputs"
        if name in QUICK and not (outputs / f"{name}.txt").exists():
            run_example(name, outputs, *QUICK[name])
        write(DOCS / f"examples/{name}.md", "\n".join(program_page(name, outputs)))


def program_page(name: str, outputs: Path) -> Iterator[str]:
    """Yield the lines of a program's page: docstring, output, plots, source."""
    source = (ROOT / f"examples/{name}.py").read_text(encoding="utf-8")
    text = inspect.cleandoc(source.split('"""')[1])
    yield from [f"# {name}.py", "", re.sub(r"(?m)^    (.*)$", r"```bash\n\1\n```", text), ""]
    if (outputs / f"{name}.txt").exists():
        printed = (outputs / f"{name}.txt").read_text(encoding="utf-8")
        printed = re.sub(r"[\d.]+ s in total\.", "", printed).strip()  # of this machine
        yield from ["## What it prints", "", "```text", printed, "```", ""]
    for plot in PLOTTING.get(name, ()):
        at = os.path.relpath(outputs / f"{plot}.svg", DOCS / "examples")
        yield from [":::{container} scroll", f"![{plot.replace('_', ' ')}]({at})", ":::", ""]
    yield from ["## Source", "", f":::{{literalinclude}} ../../examples/{name}.py",
                ":language: python", ":::", ""]


def notebook(source: Path, target: Path) -> None:
    """Copy a notebook without its outputs; the build runs it on planted ratings."""
    content = json.loads(source.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    write(target, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def course() -> None:
    """Copy the students' notebooks, which students run themselves, and the teacher's page."""
    for folder in sorted(ROOT.glob("course/unit*/")):
        notebook(folder / "student.ipynb", DOCS / f"course/{folder.name}.ipynb")
    teacher = (ROOT / "course/README.md").read_text(encoding="utf-8")
    write(DOCS / "course/teacher.md", teacher.replace("](", "](../../course/"))


# -------------------------------------------------------------------------- the map of the site


def sitemap(app: Any, error: Exception | None) -> None:
    """Write ``sitemap.xml``; the addresses begin with ``html_baseurl``."""
    if error is None and app.builder.format == "html":
        links = (app.builder.get_target_uri(name) for name in sorted(app.env.found_docs))
        rows = "\n".join(f"<url><loc>{app.config.html_baseurl}{link}</loc></url>" for link in links)
        write(Path(app.outdir) / "sitemap.xml",
              '<?xml version="1.0" encoding="utf-8"?>\n'
              f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{rows}\n</urlset>\n')


if __name__ == "__main__" and sys.argv[1:] == ["record"]:
    for slow in RECORDED:
        run_example(slow, DOCS / "outputs")
