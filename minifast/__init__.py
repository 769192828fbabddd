"""minifast: fastai v1's internals on NumPy or CuPy, small enough to read."""
# with underscores, so that tab completion does not offer them
from functools import cache as _cache
from importlib import import_module as _import_module
from pkgutil import iter_modules as _iter_modules
from types import ModuleType as _Module
from typing import Any as _Any

from .autograd import (ChangedArrayError as ChangedArrayError, GradientError as GradientError,
                       GraphReleasedError as GraphReleasedError, Primitive as Primitive,
                       ShapeError as ShapeError, Tensor as Tensor, apply as apply, cat as cat,
                       grad as grad, gradcheck as gradcheck, no_grad as no_grad,
                       primitive as primitive, stack as stack, tensor as tensor, where as where)
from .backend import DeviceError as DeviceError, device as device
from .defaults import defaults as defaults

__version__ = "0.1.0"

# modules that a star import gives too
_MODULES = {"np": "numpy", "nn": "minifast.nn"}


@_cache
def _packages() -> list[_Module]:
    """Import and return the packages inside minifast."""
    return [_import_module(f"{__name__}.{found.name}")
            for found in _iter_modules(__path__) if found.ispkg]


def public_names(module: _Module) -> list[str]:
    """Return the names that a module defines or re-exports, without its submodules.

    Parameters
    ----------
    module : module
        The module.

    Returns
    -------
    list of str
        The names.

    Examples
    --------
    >>> import minifast.optim
    >>> "SGD" in public_names(minifast.optim)
    True
    """
    return [name for name, value in vars(module).items()
            if not name.startswith("_") and not isinstance(value, _Module)]


def notebook_attribute(module: _Module, name: str) -> _Any:
    """Return what ``name`` stands for after a star import of ``module``.

    fastai v1's modules re-export all that they import, so its notebooks use ``pd``, ``plt`` or
    ``Path`` without importing them. Here a star import gives the public names of all packages
    of minifast; `minifast.notebook` has a few names from other libraries.

    Parameters
    ----------
    module : module
        The module that was star-imported.
    name : str
        The name to look up; ``"__all__"`` stands for the list of all names.

    Returns
    -------
    object
        What the name stands for.

    Raises
    ------
    AttributeError
        If there is no such name.

    Examples
    --------
    >>> import minifast.optim
    >>> notebook_attribute(minifast.optim, "partial").__name__
    'partial'
    """
    if name == "__all__":
        names = [name for package in _packages() for name in public_names(package)]
        return list(dict.fromkeys([*public_names(module), *_MODULES, *names]))
    if name in _MODULES:
        return _import_module(_MODULES[name])
    if not name.startswith("_"):
        for package in _packages():
            if name in vars(package):
                return vars(package)[name]
    raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
