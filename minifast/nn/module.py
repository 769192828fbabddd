"""Module: a tree of parameters, buffers and smaller modules, and its containers."""
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Self
from warnings import warn

import numpy as np

from ..autograd import Tensor
from ..backend import Array, default_device, transfer
from .init import fill_

ForwardHook = Callable[["Module", tuple[Any, ...], Any], None]


class StateDictError(ValueError):
    """Weights that do not fit a model: names missing, unexpected, or of another shape."""


class UnknownNameError(KeyError):
    """A name that no part of a model has; a KeyError whose message prints without quotes."""

    def __str__(self) -> str:
        return str(self.args[0])


# ---------------------------------------------------------------- tensors that modules own


class Parameter(Tensor):
    """A tensor that is trained: ``torch.nn.Parameter``.

    Parameters
    ----------
    data : array or Tensor
        Initial values, of a float type. They are moved to the default device.
    no_wd : bool
        True for biases and for parameters of normalisation layers: weight decay skips them in a
        learner with ``bn_wd=False``.

    Examples
    --------
    >>> Parameter(np.zeros(2, np.float32))
    tensor([0., 0.], requires_grad=True)
    """

    def __init__(self, data: Array | Tensor, no_wd: bool = False) -> None:
        self.no_wd, values = no_wd, data.data if isinstance(data, Tensor) else data
        super().__init__(transfer(values, default_device()), requires_grad=True)


class Buffer(Tensor):
    """A tensor that is saved and moved with its module, but not trained.

    Parameters
    ----------
    data : array
        The values.

    Examples
    --------
    >>> Buffer(np.zeros(2, np.float32)).requires_grad
    False
    """

    def __init__(self, data: Array) -> None:
        super().__init__(transfer(data, default_device()))


# ---------------------------------------------------------------- modules


class Module:
    """Base class of all layers and models: ``torch.nn.Module``.

    A subclass sets Parameters, Buffers and Modules as attributes in ``__init__`` and computes its
    output in ``forward``. A module finds them by walking its attributes in the order in which
    they were set. This order gives the names, the ``repr`` and the order of the parameters.

    Examples
    --------
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
    """Functions ``hook(module, inputs, output)`` that run after ``forward``."""

    def forward(self, *inputs: Any) -> Any:
        """Compute the output; every subclass overrides this.

        Parameters
        ----------
        *inputs
            What the module is called with.

        Returns
        -------
        Tensor, or whatever the module computes
            The output.

        Examples
        --------
        >>> class Double(Module):
        ...     def forward(self, x):
        ...         return 2 * x
        >>> Double()(Tensor(np.float32([1, 2])))
        tensor([2., 4.])
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(self, *inputs: Any) -> Any:
        try:
            output = self.forward(*inputs)
        except Exception as error:
            _note_layer(error, self)
            raise
        for hook in self.forward_hooks:
            hook(self, inputs, output)
        return output

    # ---- walking the tree

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Return the modules that are attributes of this one, with their names."""
        return ((k, v) for k, v in vars(self).items() if isinstance(v, Module))

    def children(self) -> Iterator["Module"]:
        """Return the modules that are attributes of this one."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """Yield this module and all below it, depth first, with their names.

        Parameters
        ----------
        prefix : str
            What the names begin with.

        Yields
        ------
        str, Module
            The name and the module.

        Examples
        --------
        >>> from minifast.nn import Linear, ReLU
        >>> [name for name, _ in Sequential(Linear(2, 3), Sequential(ReLU())).named_modules()]
        ['', '0', '1', '1.0']
        """
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator["Module"]:
        """Return this module and all below it, depth first."""
        return (module for _, module in self.named_modules())

    def _named(self, *kinds: type[Tensor]) -> Iterator[tuple[str, Any]]:
        """Yield the attributes of all modules that are instances of ``kinds``, with full names."""
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, kinds):
                    yield f"{prefix}.{name}" if prefix else name, value
                elif isinstance(value, (list, tuple, dict)):
                    self._warn_of_hidden(f"{type(module).__name__}.{name}", value)

    def _warn_of_hidden(self, name: str, held: Any) -> None:
        """Warn about modules and parameters that are hidden in a list or dict."""
        items = held.values() if isinstance(held, dict) else held
        if hidden := [x for item in items for x in (item if type(item) in (list, tuple) else [item])
                      if isinstance(x, (Module, Parameter))]:
            known = {id(x) for m in self.modules() for x in (m, *vars(m).values())}
            if any(id(x) not in known for x in hidden):
                warn(f"{name}, a {type(held).__name__}, hides {type(hidden[0]).__name__}: it is "
                     "not trained, saved or moved. Use ModuleList, Sequential or one attribute "
                     "for each", stacklevel=4)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Return all parameters with their names; a shared parameter comes under each name."""
        return self._named(Parameter)

    def parameters(self) -> list[Parameter]:
        """Return all parameters, each once."""
        return list({id(p): p for _, p in self.named_parameters()}.values())

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Return all buffers with their names."""
        return self._named(Buffer)

    # ---- changing the whole tree

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode: dropout is active, batch norm uses the batch's statistics.

        Parameters
        ----------
        mode : bool
            False switches to evaluation mode, as ``eval`` does.

        Returns
        -------
        Module
            This module.

        Examples
        --------
        >>> from minifast.nn import Dropout
        >>> Dropout(.5).train(False).training
        False
        """
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation mode: no dropout, batch norm uses the running statistics."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze (False) or unfreeze (True) all parameters.

        Parameters
        ----------
        requires_grad : bool
            Whether the parameters are trained.

        Returns
        -------
        Module
            This module.

        Examples
        --------
        >>> from minifast.nn import Linear
        >>> [p.requires_grad for p in Linear(2, 3).requires_grad_(False).parameters()]
        [False, False]
        """
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def freeze(self, *names: str) -> Self:
        """Freeze the modules and parameters with these names.

        An optimizer skips them from its next step on, and the other parameters keep their
        momentum. ``learn.freeze_to``, ``learn.freeze`` and ``learn.unfreeze`` set every parameter,
        so call them first. A parameter that two modules share is frozen in both.

        Parameters
        ----------
        *names : str
            Names as in ``named_modules`` and ``named_parameters``.

        Returns
        -------
        Module
            This module.

        Raises
        ------
        UnknownNameError
            If no part has one of the names; nothing changes then.
        ValueError
            If no name is given.

        Examples
        --------
        >>> from minifast.nn import Linear
        >>> net = Sequential(Linear(2, 2), Linear(2, 1)).freeze("0", "1.bias")
        >>> [name for name, p in net.named_parameters() if p.requires_grad]
        ['1.weight']
        """
        return self._set_trainable(names, False)

    def unfreeze(self, *names: str) -> Self:
        """Make the modules and parameters with these names trainable again.

        Their momentum starts at zero.

        Parameters
        ----------
        *names : str
            Names as in ``named_modules`` and ``named_parameters``.

        Returns
        -------
        Module
            This module.

        Raises
        ------
        UnknownNameError
            If no part has one of the names; nothing changes then.
        ValueError
            If no name is given.

        Examples
        --------
        >>> from minifast.nn import Linear
        >>> Linear(2, 1).requires_grad_(False).unfreeze("bias").bias.requires_grad
        True
        """
        return self._set_trainable(names, True)

    def _set_trainable(self, names: tuple[str, ...], trainable: bool) -> Self:
        known: dict[str, Any] = dict([*self.named_modules(), *self.named_parameters()])
        del known[""]  # the model itself
        if not names:
            raise ValueError("name the modules or parameters, such as "
                             f"{next(iter(known), 'name')!r}; for the whole model use "
                             "requires_grad_(...), for layer groups learn.freeze()")
        unknown = [name for name in names if name not in known]
        if unknown:
            near = {n: None for name in unknown for n in get_close_matches(name, known)}
            hint = f"near {'it' if len(unknown) == 1 else 'them'}: {', '.join(near)}" if near \
                else f"its parts are {', '.join(name for name in known if '.' not in name)}"
            raise UnknownNameError(f"{type(self).__name__} has no part "
                                   f"{', '.join(map(repr, unknown))}; {hint}")
        for name in names:
            known[name].requires_grad_(trainable)
        return self

    def zero_grad(self) -> None:
        """Set all gradients to None."""
        for p in self.parameters():
            p.grad = None

    def to(self, device: str) -> Self:
        """Move parameters and buffers to ``device``; gradients are dropped.

        Parameters
        ----------
        device : str
            Such as ``'cpu'`` or ``'cuda'``.

        Returns
        -------
        Module
            This module.

        Examples
        --------
        >>> from minifast.nn import Linear
        >>> Linear(2, 3).to("cpu").weight.device
        'cpu'
        """
        for _, t in self._named(Parameter, Buffer):
            if t.device != device:
                t.data, t.grad = transfer(t.data, device), None
        return self

    # ---- weights in and out

    def state_dict(self) -> dict[str, "np.ndarray[Any, Any]"]:
        """Return copies of all parameters and buffers as NumPy arrays, under torch's names."""
        return {name: np.array(t.numpy()) for name, t in self._named(Parameter, Buffer)}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True
                        ) -> tuple[list[str], list[str]]:
        """Check all weights, then copy them into this module.

        Parameters
        ----------
        state : mapping of str to array or Tensor
            Weights under torch's names.
        strict : bool
            Whether a missing or an unexpected name is an error.

        Returns
        -------
        missing, unexpected : list of str
            Names that ``state`` lacks, and names that this module lacks.

        Raises
        ------
        StateDictError
            As in ``check_state_dict``. In this case no weight changes.

        Examples
        --------
        >>> from minifast.nn import Linear
        >>> one, other = Linear(2, 3, seed=0), Linear(2, 3, seed=1)
        >>> one.load_state_dict(other.state_dict())
        ([], [])
        >>> bool((one.weight.data == other.weight.data).all())
        True
        """
        new, missing, unexpected = self.check_state_dict(state, strict)
        own: dict[str, Tensor] = dict(self._named(Parameter, Buffer))
        for name, array in new.items():
            fill_(own[name], array)
        return missing, unexpected

    def check_state_dict(self, state: Mapping[str, Any], strict: bool = True
                         ) -> tuple[dict[str, "np.ndarray[Any, Any]"], list[str], list[str]]:
        """Return what ``load_state_dict`` would write.

        Parameters
        ----------
        state, strict : mapping of str to array or Tensor, bool
            As in ``load_state_dict``.

        Returns
        -------
        new : dict of str to ndarray
            The weights that both have, converted to the types of this module.
        missing, unexpected : list of str
            Names that ``state`` lacks, and names that this module lacks.

        Raises
        ------
        StateDictError
            If names do not match and ``strict`` is set, if a shape differs, or if an array does
            not hold real numbers.

        Examples
        --------
        >>> from minifast.nn import Linear
        >>> Linear(2, 3).check_state_dict({"bias": [1, 2, 3]}, strict=False)
        ({'bias': array([1., 2., 3.], dtype=float32)}, ['weight'], [])
        """
        own: dict[str, Tensor] = dict(self._named(Parameter, Buffer))
        arrays = {name: value.numpy() if isinstance(value, Tensor) else np.asarray(value)
                  for name, value in state.items()}
        missing = [name for name in own if name not in arrays]
        unexpected = [name for name in arrays if name not in own]
        common = [name for name in own if name in arrays]
        reshaped = [f"{name} {arrays[name].shape} where the model has {own[name].shape}"
                    for name in common if arrays[name].shape != own[name].shape]
        retyped = [f"{name} {arrays[name].dtype} where the model has {own[name].dtype}"
                   for name in common if arrays[name].dtype.kind not in "fiub"]
        if reshaped or retyped or (strict and (missing or unexpected)):
            kinds = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped,
                     "of another type": retyped}
            found = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items()
                              if names)
            raise StateDictError(f"these weights do not fit {type(self).__name__}: {found}. Build "
                                 "the model as it was when they were saved, or pass strict=False "
                                 "to load only the names that match")
        with np.errstate(over="ignore"):
            new = {name: arrays[name].astype(own[name].dtype, copy=False) for name in common}
        return new, missing, unexpected

    # ---- as text

    def extra_repr(self) -> str:
        """Return what the ``repr`` shows in brackets: sizes and options."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ")
                 for name, child in self.named_children()]
        body = "\n  " + "\n  ".join(lines) + "\n" if lines else self.extra_repr()
        return f"{type(self).__name__}({body})"


def _note_layer(error: Exception, module: Module) -> None:
    """Add a note to an error that names the layer that raised it, by its path in `module`."""
    below, path = vars(error).get("raised_in", (None, ""))
    if below is None:
        path = f" ({type(module).__name__}({module.extra_repr()}))"
    else:
        error.__notes__.remove(f"in {type(below).__name__}{path}")
        path = next((f".{name}" for name, m in module.named_modules() if m is below), ".?") + path
    vars(error)["raised_in"] = module, path
    error.add_note(f"in {type(module).__name__}{path}")


# ---------------------------------------------------------------- containers


class ModuleList(Module):
    """A list of modules: ``torch.nn.ModuleList``. They are the attributes '0', '1', ...

    Parameters
    ----------
    modules : iterable of Module
        The modules.

    Examples
    --------
    >>> from minifast.nn import ReLU
    >>> len(ModuleList([ReLU(), ReLU()]))
    2
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> None:
        """Add a module at the end.

        Parameters
        ----------
        module : Module
            The module.

        Raises
        ------
        TypeError
            If it is something else, such as a function.

        Examples
        --------
        >>> from minifast.nn import ReLU
        >>> layers = ModuleList()
        >>> layers.append(ReLU())
        >>> len(layers)
        1
        """
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__} holds modules, got {module!r}; write Lambda(f)")
        setattr(self, str(len(self)), module)

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int | slice) -> Any:
        found = list(self)[index]
        if isinstance(found, Module):
            return found
        part = type(self)()
        ModuleList.__init__(part, found)
        return part


class Sequential(ModuleList):
    """A chain of modules: ``torch.nn.Sequential``. A slice is a Sequential too.

    Parameters
    ----------
    *modules : Module
        The modules, or one dictionary of their names and modules.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.nn import Linear, ReLU
    >>> Sequential(Linear(2, 3), ReLU())(tensor([[1., 2.]])).shape
    (1, 3)
    """

    def __init__(self, *modules: Any) -> None:
        named = modules[0] if modules and isinstance(modules[0], dict) else {}
        super().__init__(() if named else modules)
        vars(self).update(named)

    def forward(self, x: Any) -> Any:
        for module in self.children():
            x = module(x)
        return x
