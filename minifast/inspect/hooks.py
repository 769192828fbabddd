"""Hooks: functions called with a module's output, or with the gradient of its output."""
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

from ..autograd import Tensor
from ..autograd.primitive import Rule
from ..nn import Module

HookFunction = Callable[[Module, Any, Any], Any]
"""``hook(module, inputs, output)``."""


class Hook(AbstractContextManager["Hook"]):
    """Call a function after each forward of a module and store what it returns; v1's ``Hook``.

    As a context manager it removes itself at the end.

    Parameters
    ----------
    module : Module
        The module to hook.
    hook_func : callable
        ``hook_func(module, inputs, output)``. Its result is kept in ``stored``.
    detach : bool
        Pass tensors without their history.
    is_forward : bool
        False calls ``hook_func(module, inputs, [gradient of the output])`` in the backward pass
        instead. There is no such call for an output without history (``no_grad``).

    Raises
    ------
    TypeError
        If ``module`` is not a Module.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.nn import ReLU
    >>> relu = ReLU()
    >>> with Hook(relu, lambda module, inputs, output: output.shape) as hook:
    ...     _ = relu(tensor([-1., 2.]))
    >>> hook.stored, relu.forward_hooks
    ((2,), ())
    """

    def __init__(self, module: Module, hook_func: HookFunction, detach: bool = True,
                 is_forward: bool = True) -> None:
        _check_modules([module])
        self.module, self.hook_func, self.detach = module, hook_func, detach
        self.stored: Any = None
        self._registered = self._call if is_forward else self._listen
        module.forward_hooks = (*module.forward_hooks, self._registered)

    def _call(self, module: Module, inputs: Any, output: Any) -> None:
        if self.detach:
            inputs, output = _detached(inputs), _detached(output)
        self.stored = self.hook_func(module, inputs, output)

    def _listen(self, module: Module, inputs: Any, output: Any) -> None:
        """Let one derivative rule of the operation that made ``output`` report its gradient."""
        self.stored = None
        node: Any = getattr(output, "node", None)
        rules = list(node.op.rules) if node else []
        for i, rule in enumerate(rules):
            if rule and getattr(node.inputs[i], "requires_grad", False):
                rules[i] = partial(self._report, rule, module, inputs)
                node.op = replace(node.op, rules=tuple(rules))
                return  # one report per backward pass

    def _report(self, rule: Rule, module: Module, inputs: Any, g: Any, *args: Any,
                **options: Any) -> Any:
        self._call(module, inputs, [Tensor(g)])
        return rule(g, *args, **options)

    def remove(self) -> None:
        """Remove the hook. ``stored`` stays."""
        hooks = vars(self.module).pop("forward_hooks", ())
        if left := tuple(hook for hook in hooks if hook is not self._registered):
            self.module.forward_hooks = left

    def __exit__(self, *error: object) -> None:
        self.remove()

    def __repr__(self) -> str:
        stored = self.stored
        what = "nothing" if stored is None else f"{type(stored).__name__} {stored.shape}" \
            if hasattr(stored, "shape") else type(stored).__name__
        return f"{type(self).__name__} of {type(self.module).__name__}; stored: {what}"


class Hooks(tuple[Hook, ...], AbstractContextManager["Hooks"]):
    """A tuple of hooks, one for each of several modules; v1's ``Hooks``.

    Parameters
    ----------
    modules : iterable of Module
        The modules to hook.
    hook_func, detach, is_forward : callable, bool, bool
        See ``Hook``.

    Raises
    ------
    TypeError
        If one of ``modules`` is not a Module; then none is hooked.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.nn import ReLU, Sequential
    >>> net = Sequential(ReLU(), ReLU())
    >>> with Hooks(net.children(), lambda module, inputs, output: output.shape) as hooks:
    ...     _ = net(tensor([-1., 2.]))
    >>> hooks.stored, len(hooks)
    ([(2,), (2,)], 2)
    """

    def __new__(cls, modules: Iterable[Module], hook_func: HookFunction, detach: bool = True,
                is_forward: bool = True) -> "Hooks":
        return super().__new__(cls, [Hook(module, hook_func, detach, is_forward)
                                     for module in _check_modules(modules)])

    @property
    def stored(self) -> list[Any]:
        """What each hook has stored, in the order of the modules."""
        return [hook.stored for hook in self]

    def remove(self) -> None:
        """Remove all hooks."""
        for hook in self:
            hook.remove()

    def __exit__(self, *error: object) -> None:
        self.remove()


def _check_modules(modules: Iterable[Module]) -> list[Module]:
    found = list(modules)
    for module in found:
        if not isinstance(module, Module):
            raise TypeError(f"a hook needs a Module, got {type(module).__name__}: {module!r}; "
                            "pass parts of the model, such as learn.model.layers")
    return found


def _detached(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return type(x)(_detached(item) for item in x)
    return x.detach() if isinstance(x, Tensor) else x


def _output(module: Module, inputs: Any, output: Any) -> Any:
    return output


def hook_output(module: Module, detach: bool = True, grad: bool = False) -> Hook:
    """Return a hook that stores a module's output; fastai v1's ``hook_output``.

    Parameters
    ----------
    module : Module
        The module to hook.
    detach : bool
        Store the output without its history.
    grad : bool
        Store ``[gradient of the output]`` of the last backward pass instead.

    Returns
    -------
    Hook
        The hook; its ``stored`` is None until there is something to store.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.nn import Linear
    >>> layer = Linear(2, 1)
    >>> with hook_output(layer) as output, hook_output(layer, grad=True) as gradient:
    ...     (layer(tensor([[1., 2.]])) * 3).sum().backward()
    >>> output.stored.shape, gradient.stored
    ((1, 1), [tensor([[3.]])])
    """
    return Hook(module, _output, detach, is_forward=not grad)


def hook_outputs(modules: Iterable[Module], detach: bool = True, grad: bool = False) -> Hooks:
    """Return hooks that store the outputs of several modules.

    Parameters
    ----------
    modules : iterable of Module
        The modules to hook.
    detach, grad : bool
        See ``hook_output``.

    Returns
    -------
    Hooks
        The hooks; their ``stored`` is a list.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.nn import Linear, ReLU, Sequential
    >>> model = Sequential(Linear(2, 3), ReLU())
    >>> with hook_outputs(model) as hooks:
    ...     _ = model(tensor([[1., 2.]]))
    >>> [output.shape for output in hooks.stored]
    [(1, 3), (1, 3)]
    """
    return Hooks(modules, _output, detach, is_forward=not grad)
