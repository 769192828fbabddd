"""Module: a tree of parameters, buffers and smaller modules."""
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import numpy as np

from ..autograd import Tensor
from ..backend import Array, backend_of, transfer
from .parameter import Buffer, Parameter

Self = TypeVar("Self", bound="Module")
ForwardHook = Callable[["Module", tuple[Any, ...], Any], None]


class StateDictError(ValueError):
    """Weights that do not fit a model: names missing, unexpected, or of another shape."""


class UnknownNameError(KeyError):
    """A name that no part of a model has."""

    def __str__(self) -> str:
        return str(self.args[0])


class Module:
    """Base of all layers and models: ``torch.nn.Module``.

    A subclass sets Parameters, Buffers and Modules as attributes in ``__init__`` and computes
    in ``forward``. They are found by walking the attributes in the order in which they were
    set; that order gives the names, the ``repr`` and the place of each parameter in a group.

    >>> from minifast.nn import Linear
    >>> class Net(Module):
    ...     def __init__(self):
    ...         self.layer = Linear(2, 1)
    ...     def forward(self, x):
    ...         return self.layer(x)
    >>> [name for name, _ in Net().named_parameters()]
    ['layer.weight', 'layer.bias']
    """

    training: bool = True
    forward_hooks: tuple[ForwardHook, ...] = ()

    def forward(self, *inputs: Any) -> Any:
        """What the module computes; every subclass has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(self, *inputs: Any) -> Any:
        output = self.forward(*inputs)
        for hook in self.forward_hooks:
            hook(self, inputs, output)
        return output

    # ---- walking the tree

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """The modules that are attributes of this one."""
        return ((k, v) for k, v in vars(self).items() if isinstance(v, Module))

    def children(self) -> Iterator["Module"]:
        """The modules that are attributes of this one, without names."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """This module and all below it, depth first."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(_join(prefix, name))

    def modules(self) -> Iterator["Module"]:
        """This module and all below it, depth first, without names."""
        return (module for _, module in self.named_modules())

    def _named(self, kind: type[Tensor]) -> Iterator[tuple[str, Any]]:
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, kind):
                    yield _join(prefix, name), value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Names and parameters; one that is used twice comes under both names."""
        return self._named(Parameter)

    def parameters(self) -> list[Parameter]:
        """All parameters, each once."""
        return list({id(p): p for _, p in self.named_parameters()}.values())

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Names and buffers: arrays that are saved but do not learn."""
        return self._named(Buffer)

    # ---- changing the whole tree

    def train(self: Self, mode: bool = True) -> Self:
        """Training mode: dropout drops, batch norm uses the batch's statistics."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Evaluation mode: nothing is random, statistics are the running ones."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Freeze (False) or unfreeze all parameters."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def freeze(self: Self, *names: str) -> Self:
        """Freeze these modules and parameters, named as ``named_modules`` and
        ``named_parameters`` name them.

        A living optimizer notices: from its next step on they stay as they are to the bit, and
        the others keep their momentum. ``learn.freeze_to`` (``freeze``, ``unfreeze``) sets all
        parameters anew, so it comes first. UnknownNameError, a KeyError, and no change if a name
        is unknown. A parameter that goes by two names is frozen under both.

        >>> from minifast.nn import Linear, Sequential
        >>> net = Sequential(Linear(2, 2), Linear(2, 1)).freeze("0", "1.bias")
        >>> [name for name, p in net.named_parameters() if p.requires_grad]
        ['1.weight']
        """
        for part in self._parts(names, "freeze"):
            part.requires_grad_(False)
        return self

    def unfreeze(self: Self, *names: str) -> Self:
        """Let these modules and parameters train again; the same rules as for ``freeze``.

        Their momentum starts at zero.

        >>> from minifast.nn import Linear
        >>> Linear(2, 1).requires_grad_(False).unfreeze("bias").bias.requires_grad
        True
        """
        for part in self._parts(names, "unfreeze"):
            part.requires_grad_(True)
        return self

    def _parts(self, names: tuple[str, ...], verb: str) -> list[Any]:
        """What has these names; an error if there are none, or for one that is unknown."""
        if not names:
            raise ValueError(f"{verb}() takes names of modules or parameters, such as "
                             f"{verb}({self._example()!r}); for the whole model use "
                             "requires_grad_(...), for layer groups learn.freeze()")
        known: dict[str, Any] = {**dict(self.named_modules()), **dict(self.named_parameters())}
        del known[""]  # the model itself
        if unknown := [name for name in names if name not in known]:
            near = {n: None for name in unknown for n in get_close_matches(name, known)}
            hint = f"near {'it' if len(unknown) == 1 else 'them'}: {', '.join(near)}" if near \
                else f"its parts are {', '.join(name for name in known if '.' not in name)}"
            raise UnknownNameError(f"{type(self).__name__} has no part "
                                   f"{', '.join(map(repr, unknown))}; {hint}")
        return [known[name] for name in names]

    def _example(self) -> str:
        return next((name for name, _ in self.named_parameters()), "name")

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.parameters():
            p.zero_grad()

    def to(self: Self, device: str) -> Self:
        """Move parameters and buffers to ``device``; gradients are forgotten."""
        for _, t in [*self.named_parameters(), *self.named_buffers()]:
            if t.device != device:
                t.data, t.grad = transfer(t.data, device), None
        return self

    # ---- weights in and out

    def state_dict(self) -> dict[str, "np.ndarray[Any, Any]"]:
        """Copies of all parameters and buffers as NumPy arrays, under torch's names."""
        return {name: np.array(t.numpy()) for name, t in self._named_state()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True
                        ) -> tuple[list[str], list[str]]:
        """Copy weights in. Returns the names that were missing and those that were unexpected.

        ``strict`` makes either an error (StateDictError); another shape always is one, and
        nothing is changed then. Values are arrays or tensors, under torch's names.
        """
        own = dict(self._named_state())
        arrays = {name: value.numpy() if isinstance(value, Tensor) else np.asarray(value)
                  for name, value in state.items()}
        missing = [k for k in own if k not in arrays]
        unexpected = [k for k in arrays if k not in own]
        other = [f"{k} {arrays[k].shape} where the model has {own[k].shape}"
                 for k in own if k in arrays and arrays[k].shape != own[k].shape]
        if other or (strict and (missing or unexpected)):
            raise StateDictError(_misfit(self, missing, unexpected, other))
        for name in own.keys() & arrays.keys():
            _copy_in(own[name], arrays[name])
        return missing, unexpected

    def _named_state(self) -> Iterator[tuple[str, Tensor]]:
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, (Parameter, Buffer)):
                    yield _join(prefix, name), value

    # ---- as text

    def extra_repr(self) -> str:
        """What stands in the brackets: sizes and options."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ")
                 for name, child in self.named_children()]
        name = type(self).__name__
        if not lines:
            return f"{name}({self.extra_repr()})"
        return f"{name}(\n  " + "\n  ".join(lines) + "\n)"


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _copy_in(own: Tensor, array: Array) -> None:
    own.data[...] = backend_of(own.data).from_host(array.astype(own.dtype))


def _misfit(module: Module, missing: list[str], unexpected: list[str], other: list[str]) -> str:
    parts = [("missing", missing), ("unexpected", unexpected), ("of another shape", other)]
    found = "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names)
    return (f"these weights do not fit {type(module).__name__}: {found}. Build the model as it "
            "was when they were saved, or pass strict=False to take what matches by name")
