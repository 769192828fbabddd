"""Looking into a model while it computes, and leaving it as it was."""
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..nn import Module


@contextmanager
def hooked(modules: list[Module], hook: Any) -> Iterator[None]:
    """Within this, ``hook(module, inputs, output)`` is called after each module's forward."""
    before = [module.forward_hooks for module in modules]
    for module in modules:
        module.forward_hooks = (*module.forward_hooks, hook)
    try:
        yield
    finally:
        for module, hooks in zip(modules, before, strict=True):
            module.forward_hooks = hooks


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Within this, the model is in evaluation mode; afterwards in the mode it was in."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
