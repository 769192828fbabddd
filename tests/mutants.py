"""The mutation score: how many small faults, put into the source one at a time, a test notices.

    python tests/mutants.py autograd --n 60          a sample of 60 mutants of minifast/autograd
    python tests/mutants.py optim train/loop.py      all mutants of a folder and a file

Each mutant changes one thing: a comparison, an operator, a number, a condition, or a statement
that is left out. It lives in a copy of the package, on which the tests of that part run. A mutant
that no test notices survives, and is printed with its line.
"""
import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TESTS = {
    "autograd": ["test_autograd_ops", "test_backward", "test_tensor", "test_bad_input"],
    "optim": ["test_optim", "test_train_schedules", "test_golden", "test_train_frozen"],
    "train": ["test_train", "test_train_*", "test_golden", "test_bad_input"],
    "data": ["test_data", "test_ratings", "test_collab", "test_bad_input"],
    "nn": ["test_nn", "test_backward", "test_golden", "test_bad_input"],
    "fast": ["test_fast", "test_fast_*", "test_golden"]}
"""The test files that are responsible for a folder."""
SWAPS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Mod: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And}
LEFT_OUT = (ast.AugAssign, ast.Raise)
TIMEOUT = 600
"""Seconds after which a mutant counts as noticed: it hangs."""


class Mutant(NamedTuple):
    """A changed source file."""

    path: Path
    line: int
    change: str
    source: str


Change = tuple[ast.AST, str, object, str]
"""A node, its attribute, the new value, and a description."""


def changes(tree: ast.Module) -> Iterator[Change]:
    """Yield all that can be changed in a file."""
    for node in _code(tree):
        yield from _in_expression(node)
        for name in ("body", "orelse", "finalbody"):
            if not isinstance(block := getattr(node, name, None), list):
                continue  # a conditional expression has such parts, too
            for i, statement in enumerate(block):
                call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
                if call or isinstance(statement, LEFT_OUT):
                    rest = [*block[:i], ast.Pass(), *block[i + 1:]]
                    yield node, name, rest, f"left out: {ast.unparse(statement)[:60]}"


def _in_expression(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.BinOp(op=op) | ast.AugAssign(op=op) | ast.BoolOp(op=op) if type(op) in SWAPS:
            new = SWAPS[type(op)]
            yield node, "op", new(), f"{type(op).__name__} -> {new.__name__}"
        case ast.Compare(ops=[op]) if type(op) in SWAPS:
            new = SWAPS[type(op)]
            yield node, "ops", [new()], f"{type(op).__name__} -> {new.__name__}"
        case ast.Constant(value=bool() as value):
            yield node, "value", not value, f"{value} -> {not value}"
        case ast.Constant(value=(int() | float()) as value):
            yield node, "value", value + 1, f"{value} -> {value + 1}"
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield node, "test", ast.UnaryOp(ast.Not(), test), "condition negated"
        case ast.Return(value=ast.AST()):
            yield node, "value", ast.Constant(None), "returns None"


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk over all nodes but annotations and the text of errors."""
    yield tree
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "type_params") or isinstance(tree, ast.Raise):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _code(child)


def mutants(path: Path) -> list[Mutant]:
    """Return all mutants of a file."""
    tree, found = ast.parse(path.read_text()), []
    for node, name, new, change in list(changes(tree)):
        old = getattr(node, name)
        setattr(node, name, new)
        source = ast.unparse(ast.fix_missing_locations(copy.deepcopy(tree)))
        setattr(node, name, old)
        found.append(Mutant(path, getattr(node, "lineno", 0), change, source))
    return found


def survives(mutant: Mutant, place: Path) -> bool:
    """Return whether the tests pass in a copy of the repository with this mutant."""
    target = place / mutant.path.relative_to(ROOT)
    original = target.read_text()
    part = mutant.path.relative_to(ROOT / "minifast").parts[0]
    files = [str(file.relative_to(place)) for name in TESTS.get(part, ["test_*"])
             for file in sorted(place.glob(f"tests/{name}.py"))]
    target.write_text(mutant.source)
    try:
        run = subprocess.run([sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p",
                              "no:cacheprovider", *dict.fromkeys(files)], cwd=place,
                             env=_environment(place), capture_output=True, timeout=TIMEOUT)
        return run.returncode == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        target.write_text(original)


def _environment(place: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="+", help="folders or files below minifast/")
    parser.add_argument("--n", type=int, help="size of the sample, by default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    everyone = [mutant for part in args.parts for path in sorted(
        [ROOT / "minifast" / part] if part.endswith(".py") else
        (ROOT / "minifast" / part).glob("**/*.py")) for mutant in mutants(path)]
    random.Random(args.seed).shuffle(everyone)
    chosen, survivors = everyone[:args.n], []
    with TemporaryDirectory() as folder:
        places: SimpleQueue[Path] = SimpleQueue()
        for i in range(args.jobs):
            ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache")
            places.put(Path(shutil.copytree(ROOT, Path(folder, str(i)), ignore=ignored)))

        def run(mutant: Mutant) -> bool:
            place = places.get()
            try:
                return survives(mutant, place)
            finally:
                places.put(place)
        with ThreadPoolExecutor(args.jobs) as pool:
            for mutant, alive in zip(chosen, pool.map(run, chosen), strict=True):
                if alive:
                    survivors.append(mutant)
                    print(f"{mutant.path.relative_to(ROOT)}:{mutant.line}: {mutant.change}",
                          flush=True)
    noticed = len(chosen) - len(survivors)
    print(f"{noticed} of {len(chosen)} mutants noticed, "
          f"{100 * noticed / max(len(chosen), 1):.1f} % ({len(everyone)} in all)")


if __name__ == "__main__":
    main()
