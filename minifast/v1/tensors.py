"""fastai v1's functions that convert the tensors in nested lists to a device, type or library."""
from collections.abc import Callable
from typing import Any
from warnings import warn

import numpy as np

from ..autograd import Tensor
from ..backend import default_device


def recurse(func: Callable[[Any], Any], x: Any) -> Any:
    """Apply a function to each item of nested lists, tuples and dictionaries.

    Parameters
    ----------
    func : callable
        Takes and returns an item.
    x : object
        An item, or a list, tuple or dict of these, nested to any depth.

    Returns
    -------
    object
        The results, nested in the same way; lists and tuples become lists, as in v1.

    Examples
    --------
    >>> recurse(abs, [-1, {"x": (-2, 3)}])
    [1, {'x': [2, 3]}]
    """
    if isinstance(x, dict):
        return {key: recurse(func, item) for key, item in x.items()}
    return [recurse(func, item) for item in x] if isinstance(x, (list, tuple)) else func(x)


def to_np(x: Any) -> "np.ndarray[Any, Any] | list[Any] | dict[str, Any]":
    """Return a tensor, or tensors in nested lists, as NumPy arrays; v1's ``to_np``.

    Parameters
    ----------
    x : Tensor, or list, tuple or dict of these
        What to convert. Anything else is returned as it is.

    Returns
    -------
    array, list or dict
        The arrays, nested as before; tuples become lists.

    Examples
    --------
    >>> to_np(Tensor(np.arange(3.)))
    array([0., 1., 2.])
    """
    found: Any = recurse(lambda t: t.detach().numpy() if isinstance(t, Tensor) else t, x)
    return found  # type: ignore[no-any-return]


def to_detach(x: Any, cpu: bool = True) -> Any:
    """Return tensors detached from their graph; v1's ``to_detach``.

    Parameters
    ----------
    x : Tensor, or list, tuple or dict of these
        What to detach. Anything else is returned as it is.
    cpu : bool
        Whether to move them to the CPU.

    Returns
    -------
    object
        The tensors, nested as before.

    Examples
    --------
    >>> to_detach([Tensor(np.ones(1), requires_grad=True)])[0].requires_grad
    False
    """
    def detached(t: Any) -> Any:
        return (t.detach().cpu() if cpu else t.detach()) if isinstance(t, Tensor) else t
    return recurse(detached, x)


def to_data(x: Any) -> Any:
    """Return the attribute ``data`` of objects that have it: the array of a tensor.

    Parameters
    ----------
    x : object, or list, tuple or dict of these
        The objects. One without this attribute is returned as it is.

    Returns
    -------
    object
        The attributes, nested as before; tuples become lists.

    Examples
    --------
    >>> to_data([Tensor(np.arange(3.)), "a"])
    [array([0., 1., 2.]), 'a']
    """
    return recurse(lambda t: getattr(t, "data", t), x)


def to_cpu(x: Any) -> Any:
    """Return tensors on the CPU; v1's ``to_cpu``.

    Parameters
    ----------
    x : Tensor, or list, tuple or dict of these
        What to move. Anything else is returned as it is.

    Returns
    -------
    object
        The tensors, nested as before.

    Examples
    --------
    >>> to_cpu([Tensor(np.ones(1)), "a"])
    [tensor([1.], dtype=float64), 'a']
    """
    return to_device(x, "cpu")


def to_device(x: Any, device: str | None = None) -> Any:
    """Return tensors on a device; v1's ``to_device``.

    Parameters
    ----------
    x : Tensor, or list, tuple or dict of these
        What to move. Anything else is returned as it is.
    device : str, optional
        The device; by default the current one.

    Returns
    -------
    object
        The tensors, nested as before.

    Examples
    --------
    >>> to_device([Tensor(np.ones(1)), "a"], "cpu")
    [tensor([1.], dtype=float64), 'a']
    """
    there = device or default_device()
    return recurse(lambda t: t.to(there) if isinstance(t, Tensor) else t, x)


def to_float(x: Any) -> Any:
    """Return floats as float32, and whole numbers unchanged; v1's ``to_float``.

    Parameters
    ----------
    x : Tensor, or list, tuple or dict of these
        What to convert. Anything else is returned as it is.

    Returns
    -------
    object
        The tensors, nested as before.

    Examples
    --------
    >>> to_float([Tensor(np.ones(1)), Tensor(np.ones(1, int))])
    [tensor([1.]), tensor([1])]
    """
    return recurse(lambda t: t.float() if isinstance(t, Tensor) and t.dtype.kind == "f" else t, x)


HALF = ("half precision brings no benefit with NumPy, whose float16 is slower and less accurate "
        "than float32: everything stays float32")
"""The warning of ``to_half`` and ``learn.to_fp16``."""


def to_half(x: Any) -> Any:
    """Return floats as float32, with a warning: v1's ``to_half`` makes them float16.

    Parameters
    ----------
    x : Tensor, or list, tuple or dict of these
        What to convert. Anything else is returned as it is.

    Returns
    -------
    object
        The tensors, nested as before.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     to_half(Tensor(np.ones(1)))
    tensor([1.])
    """
    warn(HALF, stacklevel=2)
    return to_float(x)


def FloatTensor(x: Any) -> Tensor:  # noqa: N802  (torch's name)
    """Return numbers as a tensor of type float32: torch's ``FloatTensor``.

    Parameters
    ----------
    x : array_like
        The numbers.

    Returns
    -------
    Tensor
        The tensor.

    Examples
    --------
    >>> FloatTensor([1, 2])
    tensor([1., 2.])
    """
    return Tensor(np.array(x, np.float32))


def LongTensor(x: Any) -> Tensor:  # noqa: N802  (torch's name)
    """Return whole numbers as a tensor of type int64: torch's ``LongTensor``.

    Parameters
    ----------
    x : array_like
        The numbers.

    Returns
    -------
    Tensor
        The tensor.

    Examples
    --------
    >>> LongTensor([1, 2]).dtype
    dtype('int64')
    """
    return Tensor(np.array(x, np.int64))
