"""The mutation score: how many small faults, put into the source one at a time, a test notices.

    python tests/mutants.py autograd --n 60          a sample of 60 mutants of minifast/autograd
    python tests/mutants.py optim train/loop.py      all mutants of a folder and a file

Each mutant changes one thing: a comparison, an operator, a number, a condition, or a statement
that is left out. It lives in a copy of the package, on which the tests of that part run. A mutant
that no test notices survives, and is printed with its line.
"""
import argparse
import ast
import multiprocessing
import os
import random
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import cache_from_source
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TESTS = {
    "autograd": ["test_tensor", "test_backward", "test_numbers", "test_misuse", "test_autograd_ops",
                 "test_scatter", "test_trace", "test_memory", "test_bad_input"],
    "optim": ["test_optim", "test_train_schedules", "test_misuse", "test_golden",
              "test_freeze_by_name", "test_bad_input", "test_train_frozen"],
    "train": ["test_train", "test_train_*", "test_misuse", "test_golden", "test_bad_input",
              "test_checkpoint_faults", "test_fakecuda"],
    "data": ["test_data", "test_ratings", "test_misuse", "test_bad_input", "test_collab"],
    "nn": ["test_nn", "test_backward", "test_numbers", "test_misuse", "test_golden",
           "test_freeze_by_name", "test_bad_input", "test_transfer", "test_tabular"],
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
PASSED = 10
"""The exit status of a process whose tests pass; Python's own for an uncaught error is 1."""
PROCESSES = multiprocessing.get_context("forkserver")
"""Every run of the tests is a process of its own, in which these modules are already loaded."""
PROCESSES.set_forkserver_preload(["numpy", "pandas", "pytest", "hypothesis", "matplotlib.pyplot"])


class Mutant(NamedTuple):
    """A change of a source file, by its number among all changes of the file."""

    path: Path
    number: int
    line: int
    change: str
    text: str

    def source(self) -> str:
        """Return the changed text."""
        tree = ast.parse(self.text)
        node, name, new, _ = next(islice(changes(tree), self.number, None))
        setattr(node, name, new)
        return ast.unparse(ast.fix_missing_locations(tree))


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
    found = changes(ast.parse(text := path.read_text()))
    return [Mutant(path, i, getattr(node, "lineno", 0), change, text)
            for i, (node, _, _, change) in enumerate(found)]


def survives(mutant: Mutant, place: Path) -> bool:
    """Return whether the tests pass in a copy of the repository with this mutant."""
    target = place / mutant.path.relative_to(ROOT)
    original = target.read_text()
    _write(target, mutant.source())
    files = responsible(mutant.path)
    try:
        return all(passes(files, place, device) for device in ("cpu", "fakecuda"))
    finally:
        _write(target, original)


def responsible(path: Path) -> list[str]:
    """Return the test files for a source file, those with its name before the others."""
    part = path.relative_to(ROOT / "minifast").parts[0]
    files = [str(file.relative_to(ROOT)) for name in TESTS.get(part, ["test_*"])
             for file in sorted(ROOT.glob(f"tests/{name}.py"))]
    return sorted(dict.fromkeys(files), key=lambda file: path.stem not in file)


def passes(files: list[str], place: Path, device: str) -> bool:
    """Return whether these tests pass in this copy of the repository, on this device."""
    process = PROCESSES.Process(target=_test, args=(files, place, device))
    process.start()
    process.join(TIMEOUT)
    process.kill()
    process.join()
    if process.exitcode == 1:
        raise RuntimeError("pytest could not be run; remove the output's redirection in _test")
    return process.exitcode == PASSED


def _write(target: Path, source: str) -> None:
    """Write a module and remove its bytecode, which could pass for that of another mutant."""
    target.write_text(source)
    Path(cache_from_source(str(target))).unlink(missing_ok=True)


def _test(files: list[str], place: Path, device: str) -> None:
    """Run pytest in this process."""
    import pytest

    os.chdir(place)
    sys.path.insert(0, str(place))
    sys.dont_write_bytecode = False
    os.environ["PYTHONPATH"] = str(place)
    with open(os.devnull, "w") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    sys.exit(PASSED + pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider",
                                   "--device", device,
                                   "-W", "ignore::pytest.PytestAssertRewriteWarning", *files]))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="+", help="folders or files below minifast/")
    parser.add_argument("--n", type=int, help="size of the sample, by default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="tests at the same time")
    parser.add_argument("--leave", nargs="*", default=[], help="files left out: display.py")
    args = parser.parse_args()
    everyone = [mutant for part in args.parts for path in sorted(
        [ROOT / "minifast" / part] if part.endswith(".py") else
        (ROOT / "minifast" / part).glob("**/*.py"))
        if path.name not in args.leave for mutant in mutants(path)]
    random.Random(args.seed).shuffle(everyone)
    chosen, survivors = everyone[:args.n], []
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    os.environ.pop("MINIFAST_HOME", None)  # no test on real ratings: they take long
    with TemporaryDirectory() as folder:
        places: SimpleQueue[Path] = SimpleQueue()
        for i in range(args.jobs):
            ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache")
            places.put(Path(shutil.copytree(ROOT, Path(folder, str(i)), ignore=ignored)))

        for files in {tuple(responsible(mutant.path)) for mutant in chosen}:
            place = places.get()
            if not passes(list(files), place, "cpu"):
                sys.exit(f"these tests fail without a mutant: {' '.join(files)}")
            places.put(place)

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
