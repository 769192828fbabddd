"""What to write instead of torch's in-place methods; importing this adds it to Tensor."""
from typing import Any, NoReturn

from ..autograd import Tensor
from ..nn import Module

HINTS = {"sub_": "p.data -= lr * p.grad, and then p.grad = None", "add_": "x.data += other",
         "mul_": "x.data *= other", "div_": "x.data /= other", "zero_": "x.data[...] = 0",
         "fill_": "x.data[...] = value", "copy_": "x.data[...] = array",
         "uniform_": "x.data[...] = np.random.uniform(low, high, x.shape)",
         "normal_": "x.data[...] = np.random.normal(mean, std, x.shape)",
         "clamp_": "x.data.clip(low, high, out=x.data)",
         "cuda": "x.to('cuda')", "dim": "x.ndim", "type": "x.dtype, or x.astype(dtype)",
         "half": "x.astype(np.float16)", "double": "x.astype(np.float64)"}
"""Names that torch's tensors have, and what to write instead."""


def missing_attribute(x: Tensor, name: str) -> NoReturn:
    """Raise an error that says what to write instead of a name of torch's.

    Parameters
    ----------
    x : Tensor
        The tensor.
    name : str
        The attribute that it does not have.

    Raises
    ------
    AttributeError
        Always.

    Examples
    --------
    >>> Tensor([1., 2.]).zero_()
    Traceback (most recent call last):
    AttributeError: a Tensor has no attribute 'zero_'; write x.data[...] = 0...
    """
    hint = f"; write {HINTS[name]}" if name in HINTS else ""
    raise AttributeError(f"a Tensor has no attribute {name!r}{hint}", name=name, obj=x)


def no_assignment(x: Tensor, rows: Any, value: Any) -> NoReturn:
    """Raise an error that says how to change items.

    Parameters
    ----------
    x : Tensor
        The tensor.
    rows, value : object
        What was to be assigned.

    Raises
    ------
    TypeError
        Always.

    Examples
    --------
    >>> Tensor([1., 2.])[0] = 3.
    Traceback (most recent call last):
    TypeError: items of a Tensor are not assigned, because its history would be wrong; ...
    """
    raise TypeError("items of a Tensor are not assigned, because its history would be wrong; write "
                    "x.data[rows] = array before x is used, or where(condition, value, x)")


def cpu(module: Module) -> Module:
    """Move a model to the CPU: torch's ``model.cpu()``.

    Parameters
    ----------
    module : Module
        The model.

    Returns
    -------
    Module
        The same model.

    Examples
    --------
    >>> from minifast.nn import Linear
    >>> Linear(2, 1).cpu().weight.device
    'cpu'
    """
    return module.to("cpu")


def cuda(module: Module) -> Module:
    """Move a model to the GPU: torch's ``model.cuda()``.

    Parameters
    ----------
    module : Module
        The model.

    Returns
    -------
    Module
        The same model.

    Examples
    --------
    >>> from minifast.nn import ReLU
    >>> ReLU().cuda()  # no parameters to move, so this works without a GPU
    ReLU()
    """
    return module.to("cuda")


for _cls, _name, _method in ((Tensor, "__getattr__", missing_attribute), (Module, "cpu", cpu),
                             (Tensor, "__setitem__", no_assignment), (Module, "cuda", cuda)):
    setattr(_cls, _name, _method)
