"""Looking into a model while it computes, and leaving it as it was."""
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Self

from ..autograd import Primitive, Tensor
from ..autograd.primitive import Rule
from ..backend import Array
from ..nn import Module

HookFunction = Callable[[Module, Any, Any], Any]
"""``hook(module, inputs, output)``: called after each forward of the module."""


class Hook:
    """Calls ``hook_func(module, inputs, output)`` after each forward of a module; v1's ``Hook``.

    What it gives back is kept in ``stored``. With ``detach`` it sees tensors without their
    history. ``remove()``, or the end of a ``with``, takes the hook away and leaves nothing.

    >>> from minifast import tensor
    >>> from minifast.nn import ReLU
    >>> relu = ReLU()
    >>> with Hook(relu, lambda module, inputs, output: output.shape) as hook:
    ...     _ = relu(tensor([-1., 2.]))
    >>> hook.stored, relu.forward_hooks
    ((2,), ())
    """

    def __init__(self, module: Module, hook_func: HookFunction, detach: bool = True) -> None:
        _check_modules([module])
        self.module, self.hook_func, self.detach = module, hook_func, detach
        self.stored: Any = None
        self._hung = self._call  # one object, to be found again
        module.forward_hooks = (*module.forward_hooks, self._hung)

    def _call(self, module: Module, inputs: Any, output: Any) -> None:
        if self.detach:
            inputs, output = _detached(inputs), _detached(output)
        self.stored = self.hook_func(module, inputs, output)

    def remove(self) -> None:
        """Take the hook away; a second time does nothing. ``stored`` stays."""
        left = tuple(hook for hook in self.module.forward_hooks if hook is not self._hung)
        if left:
            self.module.forward_hooks = left
        else:
            vars(self.module).pop("forward_hooks", None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hooks:
    """One hook for each of several modules; v1's ``Hooks``.

    >>> from minifast import tensor
    >>> from minifast.nn import ReLU, Sequential
    >>> net = Sequential(ReLU(), ReLU())
    >>> with Hooks(net.children(), lambda module, inputs, output: output.shape) as hooks:
    ...     _ = net(tensor([-1., 2.]))
    >>> hooks.stored, len(hooks)
    ([(2,), (2,)], 2)
    """

    def __init__(self, modules: Iterable[Module], hook_func: HookFunction, detach: bool = True
                 ) -> None:
        self.hooks = [Hook(module, hook_func, detach) for module in _check_modules(modules)]

    @property
    def stored(self) -> list[Any]:
        """What each hook has stored, in the order of the modules."""
        return [hook.stored for hook in self.hooks]

    def remove(self) -> None:
        """Take all hooks away."""
        for hook in self.hooks:
            hook.remove()

    def __len__(self) -> int:
        return len(self.hooks)

    def __iter__(self) -> Iterator[Hook]:
        return iter(self.hooks)

    def __getitem__(self, i: int) -> Hook:
        return self.hooks[i]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def _check_modules(modules: Iterable[Module]) -> list[Module]:
    found = list(modules)
    for module in found:
        if not isinstance(module, Module):
            raise TypeError(f"a hook hangs on a Module, got {type(module).__name__}: {module!r}; "
                            "pass parts of the model, such as learn.model.layers")
    return found


def _detached(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return type(x)(_detached(item) for item in x)
    return x.detach() if isinstance(x, Tensor) else x


def hook_output(module: Module, detach: bool = True, grad: bool = False) -> Hook:
    """A hook that stores a module's output; fastai v1's ``hook_output``.

    With ``grad`` it stores ``[gradient of the output]`` when ``backward`` comes past (a list of
    one, as in v1); None before that, and for an output without history (``no_grad``). The way
    back is heard at the operation that made the output: its rules first tell the hook the
    gradient that they are given.

    >>> from minifast import tensor
    >>> from minifast.nn import Linear
    >>> layer = Linear(2, 1)
    >>> with hook_output(layer) as output, hook_output(layer, grad=True) as gradient:
    ...     (layer(tensor([[1., 2.]])) * 3).sum().backward()
    >>> output.stored.shape, gradient.stored
    ((1, 1), [tensor([[3.]])])
    """
    return _gradient_hook(module) if grad else Hook(module, _output, detach)


def hook_outputs(modules: Iterable[Module], detach: bool = True, grad: bool = False) -> Hooks:
    """``hook_output`` for several modules: ``stored`` is a list."""
    hooks = Hooks([], _output)
    hooks.hooks = [hook_output(module, detach, grad) for module in _check_modules(modules)]
    return hooks


def _output(module: Module, inputs: Any, output: Any) -> Any:
    return output


def _gradient_hook(module: Module) -> Hook:
    def note(gradient: Array) -> None:
        hook.stored = [Tensor(gradient)]

    def listen(module: Module, inputs: Any, output: Any) -> None:
        node = getattr(output, "node", None)
        if node is not None:
            node.op = _telling(node.op, note)
    hook = Hook(module, listen, detach=False)
    return hook


def _telling(op: Primitive, note: Callable[[Array], None]) -> Primitive:
    """``op``, whose rules tell ``note`` the gradient of its output."""
    def telling(rule: Rule | None) -> Rule | None:
        def tell(g: Array, *args: Any, **options: Any) -> Any:
            note(g)
            return rule(g, *args, **options) if rule else None
        return tell if rule else None
    return replace(op, rules=tuple(telling(rule) for rule in op.rules), each=telling(op.each))
