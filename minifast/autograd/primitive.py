"""What a differentiable operation is: a function on arrays with one derivative rule per input."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..backend import Array

Rule = Callable[..., Any]
"""``rule(g, y, *inputs, **options)``: the gradient of one input.

``g`` is the gradient of the output ``y``; it has y's shape. Broadcasting need not be undone."""


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """One operation: ``forward(*arrays, **options)`` and its rules; None where there is none.

    The counterpart of ``torch.autograd.Function``, with nothing to save by hand: a rule is
    given the inputs and the output.
    """

    name: str
    forward: Callable[..., Array]
    rules: tuple[Rule | None, ...]
    each: Rule | None = None

    def rule(self, position: int) -> Rule | None:
        """The rule for input number ``position``."""
        if self.each is None:
            return self.rules[position] if position < len(self.rules) else None
        each = self.each
        return lambda g, y, *inputs, **options: each(g, y, position, *inputs, **options)


def primitive(*rules: Rule | None, each: Rule | None = None
              ) -> Callable[[Callable[..., Array]], Primitive]:
    """Decorator: the rules, one per input in order, stand above the forward function.

    ``each`` is for an operation of any number of inputs: one rule that is told which input.

    >>> from minifast import apply, gradcheck
    >>> from minifast import tensor
    >>> @primitive(lambda g, y, x: g * 3 * x ** 2)
    ... def cube(x):
    ...     return x ** 3
    >>> apply(cube, tensor([1., 2.]))
    tensor([1., 8.])
    >>> gradcheck(cube, tensor([1., 2.]))
    True
    """
    def name_it(forward: Callable[..., Array]) -> Primitive:
        return Primitive(forward.__name__.strip("_"), forward, rules, each)
    return name_it
