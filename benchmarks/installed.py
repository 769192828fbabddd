"""The installed size of packages with their dependencies.

    python -m benchmarks.installed torch
    python -m benchmarks.installed               minifast alone

Prints bytes. It needs only the standard library, so it runs in any environment.
"""
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]


def needed(requirements: Iterable[str]) -> Iterator[str]:
    """Yield the names in requirements, without those of extras."""
    for text in requirements:
        if "extra ==" not in text and (name := re.match(r"[\w.-]+", text)):
            yield re.sub(r"[-_.]+", "-", name[0]).lower()


def closure(names: Iterable[str]) -> dict[str, Distribution]:
    """Return the packages and all their dependencies that are installed."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            try:
                found[name] = distribution(name)
            except PackageNotFoundError:
                continue  # for another system or another Python
            waiting += needed(found[name].requires or [])
    return found


def size(packages: Iterable[Distribution]) -> int:
    """Return the bytes of the packages' files, without compiled copies that Python makes."""
    files = {Path(str(file.locate())) for p in packages for file in p.files or []
             if file.suffix != ".pyc"}
    return sum(file.stat().st_size for file in files if file.exists())


def source_size() -> tuple[int, list[str]]:
    """Return the size of minifast in this folder, and the names of its dependencies."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return sum(file.stat().st_size for file in (ROOT / "minifast").rglob("*.*")
               if file.is_file() and file.suffix != ".pyc"), list(needed(project["dependencies"]))


def main() -> None:
    """Print the size."""
    names = sys.argv[1:]
    own, needs = source_size() if names in ([], ["minifast"]) else (0, names)
    print(own + (size(closure(needs).values()) if names else 0))


if __name__ == "__main__":
    main()
