"""Counting what autograd does: which rules are evaluated, which nodes are put on the tape."""
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from minifast.autograd.primitive import Primitive, Rule
from minifast.autograd.tape import Node


@dataclass
class Work:
    """``rules`` are pairs (operation, number of the input), ``nodes`` names of operations."""

    rules: list[tuple[str, int]] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)

    def evaluated(self, op: str) -> list[int]:
        """How often the rule of each input of an operation was evaluated; none is left out."""
        positions = [i for name, i in self.rules if name == op]
        return [positions.count(i) for i in range(max(positions, default=-1) + 1)]


@contextmanager
def counted() -> Iterator[Work]:
    """Within this, the work of autograd is written down."""
    work, init = Work(), Node.__init__

    def noted(name: str, position: int, rule: Rule | None) -> Rule | None:
        def evaluate(*args: Any, **options: Any) -> Any:
            work.rules.append((name, position))
            return rule(*args, **options)
        return rule and evaluate

    def made(self: Node, op: Primitive, inputs: tuple[Any, ...], *args: Any) -> None:
        work.nodes.append(op.name)
        rules = tuple(noted(op.name, i, rule) for i, rule in enumerate(op.rules))
        init(self, replace(op, rules=rules), inputs, *args)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Node, "__init__", made)
        yield work
