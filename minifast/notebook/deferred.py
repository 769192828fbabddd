"""Stand-ins for libraries that take a long time to import."""
from importlib import import_module
from typing import Any


class Deferred:
    """A module, or a class in a module, that is imported when it is first used.

    It can be used like the real object for calls, attributes, ``isinstance``, base classes and type
    annotations. ``import pandas as pd`` gives the module itself.

    Parameters
    ----------
    module : str
        The module.
    name : str
        The name of an object in the module; empty for the module itself.

    Examples
    --------
    >>> decimal = Deferred("decimal")
    >>> decimal.Decimal("1.5") * 2
    Decimal('3.0')
    >>> Decimal = Deferred("decimal", "Decimal")
    >>> isinstance(Decimal("1.5"), Decimal)
    True
    """

    __slots__ = ("_module", "_name")

    def __init__(self, module: str, name: str = "") -> None:
        object.__setattr__(self, "_module", module)
        object.__setattr__(self, "_name", name)

    def __getattr__(self, name: str) -> Any:
        return getattr(_real(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_real(self), name, value)

    def __dir__(self) -> list[str]:
        return dir(_real(self))

    def __repr__(self) -> str:
        return repr(_real(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Deferred, (self._module, self._name)

    def __deepcopy__(self, memo: Any) -> "Deferred":
        return self

    def __eq__(self, other: object) -> bool:
        return bool(_real(self) == (_real(other) if isinstance(other, Deferred) else other))

    def __hash__(self) -> int:
        return hash(_real(self))

    # ---- needed only for classes

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _real(self)(*args, **kwargs)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, _real(self))

    def __subclasscheck__(self, subclass: type) -> bool:
        return issubclass(subclass, _real(self))

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (_real(self),)

    def __or__(self, other: Any) -> Any:
        return _real(self) | other

    def __ror__(self, other: Any) -> Any:
        return other | _real(self)


def _real(deferred: Deferred) -> Any:
    """Return the real object, which is imported if necessary."""
    module = import_module(deferred._module)
    return getattr(module, deferred._name) if deferred._name else module
