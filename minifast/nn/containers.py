"""Modules made of modules in a row."""
from collections.abc import Iterable, Iterator
from typing import Any

from .module import Module


class ModuleList(Module):
    """Modules by number: ``torch.nn.ModuleList``. They are the attributes '0', '1', ...

    >>> from minifast.nn import ReLU
    >>> len(ModuleList([ReLU(), ReLU()]))
    2
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> None:
        """Add one at the end."""
        setattr(self, str(len(self)), module)

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int | slice) -> Any:
        found = list(self)[index]
        return type(self)._of(found) if isinstance(found, list) else found

    @classmethod
    def _of(cls, modules: list[Module]) -> "ModuleList":
        return cls(modules)


class Sequential(ModuleList):
    """One module after the other: ``torch.nn.Sequential``. A slice is a Sequential too.

    >>> from minifast import tensor
    >>> from minifast.nn import Linear, ReLU
    >>> Sequential(Linear(2, 3), ReLU())(tensor([[1., 2.]])).shape
    (1, 3)
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, x: Any) -> Any:
        """The output of each is the input of the next."""
        for module in self.children():
            x = module(x)
        return x

    @classmethod
    def _of(cls, modules: list[Module]) -> "Sequential":
        return cls(*modules)
