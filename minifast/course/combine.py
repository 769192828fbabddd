"""Solutions of several units of one module, put together."""
import ast
from collections.abc import Iterator, Mapping
from typing import TypeAlias

Lines: TypeAlias = list[str]


def combine(source: str, solutions: Mapping[str, str]) -> str:
    r"""Return the source of a module with what several solutions have changed in it.

    A definition that differs from the source's replaces it. What a solution adds, such as its own
    functions and imports, is placed after the statement that it follows there.

    Parameters
    ----------
    source : str
        The text of a module.
    solutions : mapping of str to str
        Texts that began as starters of it, by a name for each.

    Returns
    -------
    str
        The text.

    Raises
    ------
    ValueError
        If two solutions define the same name in different ways.

    Examples
    --------
    >>> one, two = "def f():\n    return h()\ndef h():\n    return 1", "def f():\n    pass\nx = 2"
    >>> print(combine("def f():\n    pass", {"unit 1": one, "unit 2": two}))
    def f():
        return h()
    <BLANKLINE>
    <BLANKLINE>
    def h():
        return 1
    <BLANKLINE>
    <BLANKLINE>
    x = 2
    """
    nodes = ast.parse(source).body
    places = {ast.dump(node): i for i, node in enumerate(nodes)}
    owner = {name: i for i, node in enumerate(nodes) for name in _defined(node)}
    texts = [_text(source, node) for node in nodes]
    added: list[list[Lines]] = [[] for _ in nodes]
    taken: dict[str, tuple[str, str]] = {}
    for label, solution in solutions.items():
        place = 0
        for node in ast.parse(solution).body:
            if (dump := ast.dump(node)) in places:
                place = places[dump]
                continue
            names = _defined(node)
            others = [taken.setdefault(name, (dump, label)) for name in names]
            if wrong := [other for found, other in others if found != dump and other != label]:
                raise ValueError(f"{wrong[0]} and {label} both define {', '.join(names)}, in "
                                 "different ways; give it another name in one of them")
            if any(other != label for _, other in others):
                continue
            if found := [owner[name] for name in names if name in owner]:
                place = found[0]
                texts[place] = _text(solution, node)
            else:
                added[place].append(["", "", *_text(solution, node)])
    return "\n".join(_join(source, nodes, texts, added))


def _join(source: str, nodes: list[ast.stmt], texts: list[Lines], added: list[list[Lines]]
          ) -> Iterator[str]:
    """Yield the lines of the source with the new texts of its statements."""
    lines, done = source.split("\n"), 0
    for node, text, more in zip(nodes, texts, added, strict=True):
        yield from lines[done:_first_line(node) - 1]
        yield from text
        for new in more:
            yield from new
        done = node.end_lineno or 0
    yield from lines[done:]


def _text(source: str, node: ast.stmt) -> Lines:
    return source.split("\n")[_first_line(node) - 1:node.end_lineno]


def _first_line(node: ast.stmt) -> int:
    return min(int(d.lineno) for d in (node, *getattr(node, "decorator_list", ())))


def _defined(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines; imports may come twice."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return [n.id for target in targets if target for n in ast.walk(target)
            if isinstance(n, ast.Name)]
