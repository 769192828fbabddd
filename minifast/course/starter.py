"""Starters: files of the library without the bodies of some functions."""
import ast
from collections.abc import Iterable, Iterator

TODO = 'raise NotImplementedError("write this")'
MISSING_RULE = f"""def todo():
    \"\"\"Stand for a derivative that is still to be written.\"\"\"
    {TODO}"""


def cut(source: str, names: Iterable[str]) -> str:
    r"""Return source in which functions have lost their bodies, and kept their docstrings.

    A derivative rule in a decorator, ``@primitive(lambda g, y, a: ...)``, loses its body too.

    Parameters
    ----------
    source : str
        The text of a module.
    names : iterable of str
        Functions, and methods as ``"Class.method"``.

    Returns
    -------
    str
        The text with ``raise NotImplementedError`` instead of the bodies.

    Raises
    ------
    ValueError
        If there is no such function.

    Examples
    --------
    >>> print(cut("def f(x):\n    return x + 1\n", ["f"]))
    def f(x):
        raise NotImplementedError("write this")
    <BLANKLINE>
    """
    lines = source.split("\n")
    holes: list[tuple[int, int, list[str]]] = []
    for function in _named(source, names):
        first = function.body[1 if ast.get_docstring(function) else 0]
        indent = " " * first.col_offset
        holes.append((first.lineno - 1, function.end_lineno or 0, [indent + TODO]))
        holes += _rules(function, lines)
    for start, end, new in sorted(holes, reverse=True):
        lines[start:end] = new
    if any("todo()" in line for _, _, new in holes for line in new):
        at = _end_of_imports(source)
        lines[at:at] = ["", "", *MISSING_RULE.split("\n"), ""]
    return "\n".join(lines)


def _named(source: str, names: Iterable[str]) -> Iterator[ast.FunctionDef]:
    functions = dict(_functions(ast.parse(source)))
    for name in names:
        if name not in functions:
            raise ValueError(f"there is no function {name!r}")
        yield functions[name]


def _end_of_imports(source: str) -> int:
    return max((node.end_lineno or 0 for node in ast.parse(source).body
                if isinstance(node, (ast.Import, ast.ImportFrom))), default=0)


def _functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")


def _rules(function: ast.FunctionDef, lines: list[str]) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the decorator with rules that are still to be written."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "primitive":
            rules = [f"lambda {ast.unparse(rule.args)}: todo()" if isinstance(rule, ast.Lambda)
                     else ast.unparse(rule) for rule in decorator.args]
            text = ",\n           ".join(rules)
            yield decorator.lineno - 1, decorator.end_lineno or 0, [
                *f"@primitive({text})".split("\n")]
