"""Check docstrings against numpydoc: ``python tests/check_docs.py [--all] [file or folder]...``.

A callable with arguments besides ``self`` and ``**keywords``, or with a ``raise`` of its own, needs
Parameters, Returns, Raises and Examples; one without may have one line. Overrides of a documented
method and magic methods need no docstring. A class documents the arguments of its constructor.
"""
import ast
import importlib
import inspect
import sys
import textwrap
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import Validator, validate

import minifast

ROOT = Path(minifast.__file__).parent
CHECKS = {
    "GL01", "GL02", "GL03", "GL05", "GL06", "GL07", "GL08", "GL10",  # layout
    "SS01", "SS02", "SS03", "SS04", "SS06",  # the summary: one line that ends with a period
    "PR01", "PR02", "PR03", "PR04", "PR05", "PR06", "PR07", "PR10",  # the arguments
    "RT03", "SA02", "SA03"}  # descriptions of results and of related objects
THIRD_PERSON = {
    "Adds", "Applies", "Asks", "Builds", "Calls", "Checks", "Computes", "Copies", "Counts",
    "Creates", "Draws", "Finds", "Gets", "Gives", "Keeps", "Loads", "Looks", "Makes", "Moves",
    "Opens", "Prints", "Puts", "Raises", "Reads", "Registers", "Removes", "Returns", "Runs",
    "Saves", "Sends", "Sets", "Shows", "Starts", "Stops", "Stores", "Takes", "Tells", "Trains",
    "Turns", "Updates", "Writes"}
SHARED = {"minifast.optim.steps": ["p", "state"],
          "minifast.optim.schedule": ["start", "end", "pct"]}
"""Arguments that all functions of a module have: its own docstring explains them once."""
WITHOUT_EXAMPLES = ("minifast.course",)
"""Modules in which a name with one argument may have one line, and Examples are not needed;
``--all`` shows what they lack."""
Problem = tuple[str, str, str]
"""Where, the code of the check, and what is wrong."""


# ------------------------------------------------------------------------------- what is public


def modules(under: str = "") -> Iterator[Any]:
    """Import and yield the modules whose file lies in ``under``, relative to the package."""
    for path in sorted(ROOT.rglob("*.py")):
        file = path.relative_to(ROOT)
        name = ".".join(["minifast", *file.with_suffix("").parts]).removesuffix(".__init__")
        if file.stem != "__main__" and file.is_relative_to(under):
            yield importlib.import_module(name)


def public(module: Any) -> Iterator[tuple[str, Any, type | None]]:
    """Yield name, object and class (None for a function) of what a module defines."""
    for name, found in list(vars(module).items()):
        if name.startswith("_") or getattr(found, "__module__", "") != module.__name__:
            continue
        if inspect.isclass(found):
            if not getattr(found, "_is_protocol", False):
                yield name, found, None
                yield from ((f"{name}.{key}", method, found) for key, method in methods(found))
        elif inspect.isfunction(inspect.unwrap(found)):
            yield name, found, None


def methods(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties that a class itself defines."""
    for name, value in list(vars(cls).items()):
        if isinstance(value, (classmethod, staticmethod)):
            value = value.__func__
        as_in_numpy = cls.__name__ == "FakeArray" and hasattr(np.ndarray, name)
        is_method = isinstance(value, (property, cached_property)) \
            or inspect.isfunction(inspect.unwrap(value))
        is_default = name in vars(cls).get("__annotations__", {})
        if is_method and not name.startswith("_") and not is_default and not as_in_numpy \
                and getattr(getattr(value, "fget", None) or value, "__name__", name) != "<lambda>":
            yield name, value


def is_override(name: str, cls: type | None) -> bool:
    """Whether a base class documents the method already."""
    key = name.rpartition(".")[2]
    bases = cls.__mro__[1:] if cls is not None else ()
    return any(key in vars(base) and getattr(base, key).__doc__ for base in bases)


# -------------------------------------------------------------------------- what a callable does


def function_of(thing: Any) -> Callable[..., Any] | None:
    """Return the function behind a property or a class's constructor, if it has one of its own."""
    if isinstance(thing, property):
        return thing.fget
    if isinstance(thing, cached_property):
        return thing.func
    if not inspect.isclass(thing):
        return inspect.unwrap(thing)
    return vars(thing).get("__init__")


def is_attached(thing: Any) -> bool:
    """Whether a property is a function of a module, which documents its argument there."""
    function = function_of(thing) if isinstance(thing, property) else None
    return function is not None and "." not in function.__qualname__


def arguments(thing: Any) -> list[str]:
    """Return the arguments of a callable, without ``self`` and private ones."""
    own = not inspect.isclass(thing) or "__init__" in vars(thing) or "__new__" in vars(thing) \
        or ("__dataclass_fields__" in vars(thing) and "__annotations__" in vars(thing))
    if not own or isinstance(thing, (property, cached_property)) \
            or (inspect.isclass(thing) and issubclass(thing, Enum)):
        return []
    names = list(inspect.signature(thing).parameters)
    return [n for n in names if n not in ("self", "cls") and not n.startswith("_")]


def has_keywords(thing: Any) -> bool:
    """Whether a callable takes ``**keywords``, such as the state that every callback gets."""
    return bool(arguments(thing)) and any(
        p.kind is p.VAR_KEYWORD for p in inspect.signature(thing).parameters.values())


def named(thing: Any) -> list[str]:
    """Return the arguments of a callable other than ``*args`` and ``**keywords``."""
    args = arguments(thing)
    kinds = inspect.signature(thing).parameters if args else {}
    return [name for name in args if kinds[name].kind not in (
        inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)]


def syntax(function: Callable[..., Any] | None) -> ast.FunctionDef | None:
    """Return the parsed source of a function; None where there is none, as in a dataclass."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))  # type: ignore[arg-type]
    except (OSError, TypeError, SyntaxError):
        return None
    return tree.body[0] if isinstance(tree.body[0], ast.FunctionDef) else None


def raised(node: ast.AST) -> Iterator[str]:
    """Yield the names of the exceptions that a function raises, nested functions left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Raise) and child.exc is not None:
            exc = child.exc.func if isinstance(child.exc, ast.Call) else child.exc
            yield ast.unparse(exc).rpartition(".")[2]
        if not isinstance(child, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            yield from raised(child)


def exceptions(thing: Any) -> set[str]:
    """Return the names of what a callable raises; a class raises in its constructor."""
    functions = [function_of(thing)]
    if inspect.isclass(thing):
        functions.append(vars(thing).get("__post_init__"))
    found = {name for f in functions if (tree := syntax(f)) is not None for name in raised(tree)}
    return found - {"NotImplementedError"}


def result(thing: Any) -> str:
    """Return "Returns", "Yields" or "", by the annotation of the result."""
    function = function_of(thing)
    if inspect.isclass(thing) or function is None or isinstance(thing, (property, cached_property)):
        return ""
    annotation = str(function.__annotations__.get("return", None)).replace("typing.", "")
    if inspect.isgeneratorfunction(function):
        return "" if annotation.endswith("[None]") else "Yields"
    return "" if annotation in ("None", "<class 'NoneType'>", "NoReturn", "Never") else "Returns"


# ---------------------------------------------------------------------------------- the problems


def problems(name: str, thing: Any, cls: type | None) -> Iterator[tuple[str, str]]:
    """Yield code and message of each problem of one docstring."""
    text = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    override = is_override(name, cls)
    if not text or text.startswith(f"{name}("):  # the second is what a dataclass makes
        if not override:
            yield "GL08", "no docstring"
        return
    try:
        parsed = get_doc_object(thing, config={"show_class_members": False})
        doc, errors = Validator(parsed), validate(parsed)["errors"]
        sections = set(doc.section_titles)
    except (ValueError, UserWarning) as error:  # sections that numpydoc cannot read
        yield "GL06", " ".join(str(error).split())[:200]
        return
    if "Attributes" in sections and "__dataclass_fields__" in vars(thing):
        sections.add("Parameters")
    yield from of_numpydoc(doc, errors, thing)
    if not override:
        yield from ((section[:2].upper() + "00", f"no {section} section")
                    for section in needed_sections(thing) if section not in sections)
    yield from of_ours(doc, text, sections, thing)


def of_numpydoc(doc: Validator, errors: list[tuple[str, str]], thing: Any
                ) -> Iterator[tuple[str, str]]:
    """Yield those of numpydoc's errors that matter here."""
    first = doc.summary.partition(" ")[0]
    is_formula = not first.isalpha() or len(first) == 1  # exp(x), x @ w
    for code, message in errors:
        excused = (code == "SS02" and is_formula) or (code == "PR01" and not missing(doc, thing)) \
            or (code == "PR02" and is_attached(thing))
        if code in CHECKS and not excused:
            yield code, message


def of_ours(doc: Validator, text: str, sections: set[str], thing: Any
            ) -> Iterator[tuple[str, str]]:
    """Yield the problems that numpydoc does not look for."""
    named = {name for name in exceptions(thing) if name[:1].isupper()}
    listed = {kind.strip("` ") for entry in doc.doc["Raises"]
              for kind in entry.type.replace(" or ", ",").split(",")}
    if "Raises" in sections and named - listed:
        yield "RS01", f"Raises does not name {', '.join(sorted(named - listed))}"
    if ">>>" in text and "Examples" not in sections:
        yield "EX00", "examples without the heading Examples"
    if text.split()[0] in THIRD_PERSON and not inspect.isclass(thing):
        yield "SS05", f"starts with {text.split()[0]!r}: use the imperative"


def missing(doc: Validator, thing: Any) -> set[str]:
    """Return the arguments that a Parameters section leaves out; empty without a section."""
    attributes = doc._doc_parameters(["Attributes"])  # a dataclass may list its fields there
    if not doc.doc_all_parameters and not attributes:
        return set()
    documented = {name.lstrip("*\\") for name in (*doc.doc_all_parameters, *attributes)}
    return set(arguments(thing)) - documented


def needed_sections(thing: Any) -> Iterator[str]:
    """Yield the sections that a docstring needs."""
    args, errors, module = arguments(thing), exceptions(thing), getattr(thing, "__module__", "")
    few = module.startswith(WITHOUT_EXAMPLES)
    if named(thing) and not few:
        yield "Examples"
    shared = SHARED.get(module, [])
    if shared and args[:len(shared)] == shared and all(
            f"``{name}``" in sys.modules[module].__doc__ for name in shared):
        return
    if (len(args) > few + has_keywords(thing) and named(thing)) or errors:
        if args:
            yield "Parameters"
        if errors:
            yield "Raises"
        if result(thing):
            yield result(thing)


def violations(module: Any) -> list[Problem]:
    """Return the problems of all public objects of a module."""
    path = Path(str(module.__file__)).relative_to(ROOT.parent)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # numpydoc's for sections that it cannot read
        return [(f"{path}:{line(thing)} {name}", code, message)
                for name, thing, cls in public(module)
                for code, message in problems(name, thing, cls)]


def line(thing: Any) -> int:
    """Return the line at which an object is defined, 0 if unknown."""
    try:
        source = thing if inspect.isclass(thing) else function_of(thing)
        return inspect.getsourcelines(source)[1]  # type: ignore[arg-type]
    except (OSError, TypeError):
        return 0


def main(paths: list[str]) -> int:
    """Print the problems and a count by check; return whether there are any."""
    if "--all" in paths:
        globals()["WITHOUT_EXAMPLES"] = ()
        paths = [path for path in paths if path != "--all"]
    full = [Path(path).resolve().as_posix() for path in paths]
    under = [path.rpartition("/minifast")[2].strip("/") for path in full]
    found = [problem for part in under or [""] for module in modules(part)
             for problem in violations(module)]
    for where, code, message in found:
        print(f"{where}: {code} {message}")
    print(f"{len(found)} problems", dict(Counter(code for _, code, _ in found).most_common()))
    folders = Counter("/".join(where.partition(":")[0].split("/")[:2]) for where, _, _ in found)
    print(dict(folders.most_common()))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
