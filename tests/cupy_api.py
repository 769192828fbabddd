"""List the functions and parameters of CuPy, for the simulated device.

    pip install cupy-cuda13x==14.2.0     (no GPU needed: CuPy imports without a driver)
    python tests/cupy_api.py             shows what differs from the committed list
    python tests/cupy_api.py --write     replaces the committed list
"""
import argparse
import inspect
import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from minifast.devices import fakecuda

Api = dict[str, dict[str, list[str] | None]]
PATH = Path(fakecuda.__file__).with_name("cupy_api.json")


def parameters(function: Any) -> list[str] | None:
    """Return the names of the parameters; None if they are not known (a ufunc, a field).

    The docstring of a method written in Cython begins with its signature.

    >>> parameters(drift)
    ['old', 'new']
    """
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        first = (function.__doc__ or "").partition("\n")[0]
        found = re.fullmatch(r"_\w+\.\w+\((.*)\)( -> \w+)?", first)
        return [part.partition("=")[0].split()[-1].lstrip("*") for part in found[1].split(", ")
                if part != "*"] if found else None


def dump(module: Any) -> Api:
    """Return the parameters of a library's functions, by module, and of its array's methods."""
    def public(owner: Any) -> dict[str, list[str] | None]:
        names = [name for name in dir(owner) if not name.startswith("_")]
        return {name: parameters(getattr(owner, name)) for name in names
                if callable(getattr(owner, name))}
    fields = dict.fromkeys(name for name in dir(module.ndarray) if not name.startswith("_"))
    return {"functions": public(module), "linalg": public(module.linalg), "fft": public(module.fft),
            "stride_tricks": public(module.lib.stride_tricks),
            "methods": {**fields, **public(module.ndarray)}, "version": {module.__version__: None}}


def drift(old: Api, new: Api) -> list[str]:
    """Return what was added or removed, or has changed its parameters.

    >>> drift({"functions": {"a": ["x"]}}, {"functions": {"a": ["x", "y"], "b": None}})
    ["functions.a: ['x'] -> ['x', 'y']", 'functions.b: added']
    """
    lines = []
    for kind in new:
        before, after = old.get(kind, {}), new[kind]
        for name in sorted(before.keys() | after.keys()):
            if name not in before or name not in after:
                lines.append(f"{kind}.{name}: {'added' if name in after else 'removed'}")
            elif before[name] != after[name]:
                lines.append(f"{kind}.{name}: {before[name]} -> {after[name]}")
    return lines


def main() -> None:
    """Compare the installed CuPy with the committed list; with --write, replace the list."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="replace the committed list")
    write = parser.parse_args().write
    new = dump(import_module("cupy"))
    old = json.loads(PATH.read_text()) if PATH.exists() else {}
    print("\n".join(drift(old, new)) or "no drift")
    if write:
        PATH.write_text(json.dumps(new, indent=0, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
