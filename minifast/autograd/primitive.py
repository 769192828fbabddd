"""Primitives: functions on arrays with one derivative rule per input."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from inspect import CO_VARARGS
from typing import Any

from ..backend import Array, DeviceError, mixed_devices

# rule(g, y, *inputs, **options) returns the gradient of one input. g is the gradient of the
# output y and has its shape. A rule need not undo broadcasting. It returns a new array, one of its
# arguments, or a view of one, but never an array that it keeps. With create_graph all arguments
# that need a gradient are tensors, so a rule uses only what arrays and tensors have in common.
Rule = Callable[..., Any]


class ShapeError(ValueError):
    """Shapes that do not fit an operation."""


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """A differentiable operation on arrays.

    Parameters
    ----------
    name : str
        The name in error messages and in ``repr``.
    forward : callable
        ``forward(*arrays, **options)`` computes the output.
    rules : tuple of Rule or None
        The derivative rules of the inputs, in order; None for an input without a gradient.
    on_tensors : tuple of Rule or None
        The rules in the form that accepts tensors; some of them are primitives themselves.

    Notes
    -----
    The counterpart of ``torch.autograd.Function``. Nothing has to be saved by hand: a rule gets
    the inputs and the output.

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.autograd import ops
    >>> ops.exp.name, float(ops.exp(np.float64(0)))
    ('exp', 1.0)
    """

    name: str
    forward: Callable[..., Array] = field(repr=False)
    rules: tuple[Rule | None, ...] = field(repr=False)
    on_tensors: tuple[Rule | None, ...] = field(default=(), repr=False)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Return the output; if an input is a tensor, this is the same as ``apply``.

        Parameters
        ----------
        *inputs : Tensor, array or number
            The inputs, which can have gradients.
        **options
            Further arguments, which have no gradient.

        Returns
        -------
        Tensor or array
            The output; an array if no input is a tensor.
        """
        for x in inputs:
            if hasattr(x, "_apply"):
                return x._apply(self, *inputs, **options)
        return self.forward(*inputs, **options)


def missing_rule(*inputs: Any, **options: Any) -> Array:
    """Stand in for a rule that was not given; None means that an input has no gradient.

    Parameters
    ----------
    *inputs, **options
        The arguments of a rule.

    Returns
    -------
    array
        Never returned.

    Raises
    ------
    TypeError
        Always.

    Examples
    --------
    >>> missing_rule()
    Traceback (most recent call last):
    TypeError: @primitive was given no derivative rule for this input
    """
    raise TypeError("@primitive was given no derivative rule for this input")


def primitive(*rules: Rule | None) -> Callable[[Callable[..., Array]], Primitive]:
    """Return a decorator that turns a forward function into a primitive.

    Parameters
    ----------
    *rules : Rule or None
        The derivative rules of the inputs, in order.

    Returns
    -------
    callable
        The decorator.

    Raises
    ------
    TypeError
        If a rule does not take ``g``, ``y`` and an input, for example because the parentheses
        of the decorator are missing.

    Examples
    --------
    >>> from minifast import gradcheck, tensor
    >>> @primitive(lambda g, y, x: g * 3 * x ** 2)
    ... def cube(x):
    ...     return x ** 3
    >>> cube(tensor([1., 2.]))
    tensor([1., 8.])
    >>> gradcheck(cube, tensor([1., 2.]))
    True
    """
    for code in (getattr(rule, "__code__", None) for rule in rules):
        if code and code.co_argcount < 3 and not code.co_flags & CO_VARARGS:
            raise TypeError(f"{code.co_name} is not a rule(g, y, *inputs, **options); write "
                            "@primitive(rule, ...) with a derivative rule for each input")

    def make(forward: Callable[..., Array]) -> Primitive:
        on_arrays = tuple(getattr(rule, "forward", rule) for rule in rules)
        return Primitive(forward.__name__.strip("_"), forward, on_arrays, rules)
    return make


def explain(name: str, arrays: list[Any], options: dict[str, Any], error: Exception) -> Exception:
    """Return an error that names the operation, the shapes or devices, and a remedy.

    Parameters
    ----------
    name : str
        The operation.
    arrays : list
        Its inputs.
    options : dict
        Its options.
    error : Exception
        The error that the array library raised.

    Returns
    -------
    Exception
        A DeviceError if the inputs are on different devices, a ShapeError for a ValueError,
        otherwise an IndexError or a TypeError.

    Examples
    --------
    >>> import numpy as np
    >>> arrays = [np.ones((2, 3)), np.ones((2, 3))]
    >>> type(explain("matmul", arrays, {}, ValueError("shapes do not match"))).__name__
    'ShapeError'
    """
    devices = mixed_devices(arrays)
    if len(devices) > 1:
        return DeviceError(f"{name}: inputs on different devices, {' and '.join(sorted(devices))}; "
                           "bring them together with tensor.to(device)")
    shapes = " and ".join(str(a.shape) for a in arrays if hasattr(a, "shape"))
    if {"dim", "keepdim"} & options.keys():
        return TypeError(f"{name}: write axis= and keepdims= for torch's dim= and keepdim=")
    if "negative integer powers" in str(error):
        return TypeError(f"{name}: {error}; convert the base first: tensor.float()")
    given = "".join(f", {k}={v!r}" for k, v in options.items())
    if isinstance(error, ValueError):
        return ShapeError(f"{name}: shapes {shapes} do not fit together{given} ({error}); "
                          "print the shapes, and use .reshape(...) or .t() to line the axes up")
    kind = IndexError if isinstance(error, IndexError) else TypeError
    return kind(f"{name}: inputs of shapes {shapes}{given}: {error}")


# ---------------------------------------------------------------- arguments


def as_tuple(numbers: Sequence[Any]) -> tuple[int, ...]:
    """Return (2, 3) for the arguments ``2, 3`` and for ``(2, 3),``.

    Parameters
    ----------
    numbers : sequence
        The arguments of a call: numbers, or one sequence of numbers.

    Returns
    -------
    tuple of int
        The numbers.

    Examples
    --------
    >>> as_tuple([(2, 3)])
    (2, 3)
    """
    one = len(numbers) == 1 and isinstance(numbers[0], Sequence)
    return tuple(numbers[0] if one else numbers)


def checked_axis(axis: int, ndim: int) -> int:
    """Return a non-negative axis number.

    Parameters
    ----------
    axis : int
        The axis; a negative one is counted from the end.
    ndim : int
        The number of axes.

    Returns
    -------
    int
        The axis, from 0 to ``ndim - 1``.

    Raises
    ------
    ShapeError
        If there is no such axis.

    Examples
    --------
    >>> checked_axis(-1, 3)
    2
    """
    if not -ndim <= axis < ndim:
        raise ShapeError(f"axis {axis} is out of range; it must lie in [{-ndim}, {ndim - 1}]")
    return axis % ndim
