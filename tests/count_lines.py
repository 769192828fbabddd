"""Count lines of code, core and rooms apart: ``python tests/count_lines.py [folder of minifast]``.

Blank lines, comments and docstrings do not count.
"""
import ast
import io
import sys
import tokenize
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1] / "minifast"
CORE = ["__init__", "backend", "random", "defaults", "autograd", "nn", "optim", "data", "train",
        "collab"]
"""Parts of the core; an import points to a part named earlier (``__init__`` is above them all)."""
PATHS = ["basics", "basic_data", "basic_train", "callback", "core", "imports", "torch_core"]
"""Files that are import paths of fastai v1; they belong to the room ``v1``."""
CORE_LINES, CORE_FILES, PACKAGE_LINES = 3200, 40, 18000
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
           tokenize.ENDMARKER}


def code_lines(text: str) -> int:
    """Return the number of lines with code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstring_lines(ast.parse(text)))


def docstring_lines(tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that docstrings take up, those of attributes too."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) \
                and isinstance(node.value.value, str):
            lines |= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines


def part_of(file: str) -> str:
    """Return the top-level file or folder that a file belongs to, without ``.py``."""
    part = file.partition("/")[0].removesuffix(".py")
    return "v1" if part in PATHS else part


def counts(root: Path = ROOT) -> dict[str, int]:
    """Return the lines of code by file, relative to the package's folder."""
    return {path.relative_to(root).as_posix(): code_lines(path.read_text(encoding="utf-8"))
            for path in sorted(root.rglob("*.py"))}


def core(lines: dict[str, int]) -> dict[str, int]:
    """Return the core's files among those counted."""
    return {file: n for file, n in lines.items() if part_of(file) in CORE}


def table(lines: dict[str, int]) -> str:
    """Return the counts as text, a line for each part and three for the sums."""
    parts: dict[str, list[int]] = defaultdict(list)
    for file, n in lines.items():
        parts[part_of(file)].append(n)
    rooms = [part for part in parts if part not in CORE]
    in_core = core(lines)
    rows = [(part, parts[part]) for part in [*(p for p in CORE if p in parts), *rooms]]
    at = len(rows) - len(rooms)
    rows[at:at] = [("= core", list(in_core.values()))]
    rows.append(("= package", list(lines.values())))
    bounds = {"= core": f"   at most {CORE_LINES} in {CORE_FILES}",
              "= package": f"   at most {PACKAGE_LINES}"}
    return "\n".join([f"{'part':12}{'lines':>6}{'files':>6}", *(
        f"{part:12}{sum(ns):6}{len(ns):6}{bounds.get(part, '')}" for part, ns in rows)])


if __name__ == "__main__":
    print(table(counts(*map(Path, sys.argv[1:]))))
