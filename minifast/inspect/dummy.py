"""A random batch through a model of images: fastai v1's ``dummy_batch`` and ``model_sizes``."""
from collections.abc import Sequence

import numpy as np

from ..autograd import Tensor, no_grad
from ..backend import transfer
from ..nn import Module, Parameter
from ..train import flatten_model
from ..train.loop import evaluating
from .hooks import hook_outputs


def in_channels(m: Module) -> int:
    """Return the channels, or features, that the first layer with a weight takes.

    Parameters
    ----------
    m : Module
        The model.

    Returns
    -------
    int
        The second axis of the first weight that has two or more.

    Raises
    ------
    ValueError
        If there is no such weight.

    Examples
    --------
    >>> from minifast.nn import Linear, ReLU, Sequential
    >>> in_channels(Sequential(ReLU(), Linear(7, 2)))
    7
    """
    return int(_first_weight(m).shape[1])


def _first_weight(m: Module) -> Parameter:
    for layer in flatten_model(m):
        weight = getattr(layer, "weight", None)
        if isinstance(weight, Parameter) and weight.ndim > 1:
            return weight
    raise ValueError(f"no layer of this {type(m).__name__} has a weight with input channels")


def dummy_batch(m: Module, size: Sequence[int] = (64, 64)) -> Tensor:
    """Return one random image ``(1, channels, *size)`` with numbers from -1 to 1 for a model.

    Parameters
    ----------
    m : Module
        The model; its first layer says how many channels.
    size : (int, int)
        Height and width.

    Returns
    -------
    Tensor
        The image, on the device of the model.

    Examples
    --------
    >>> from minifast.nn import Linear
    >>> dummy_batch(Linear(3, 1), (4, 5)).shape
    (1, 3, 4, 5)
    """
    weight = _first_weight(m)
    image = np.random.default_rng(0).uniform(-1, 1, (1, weight.shape[1], *size))
    return Tensor(transfer(image.astype(np.float32), weight.device))


def dummy_eval(m: Module, size: Sequence[int] = (64, 64)) -> Tensor:
    """Return what a model makes of a `dummy_batch`, in evaluation mode.

    Parameters
    ----------
    m : Module
        The model; its mode is restored. v1 leaves it in evaluation mode.
    size : (int, int)
        Height and width.

    Returns
    -------
    Tensor
        The output.

    Examples
    --------
    >>> from minifast.vision import Conv2d
    >>> dummy_eval(Conv2d(3, 8, 3), size=(8, 8)).shape
    (1, 8, 6, 6)
    """
    with evaluating(m), no_grad():
        output: Tensor = m(dummy_batch(m, size))
    return output


def model_sizes(m: Module, size: Sequence[int] = (64, 64)) -> list[tuple[int, ...]]:
    """Return the shapes of the outputs of a model's children, for a `dummy_batch`.

    Parameters
    ----------
    m : Module
        The model, a chain of children.
    size : (int, int)
        Height and width; 256 by default in v1.

    Returns
    -------
    list of tuple of int
        A shape for each child.

    Examples
    --------
    >>> from minifast.nn import Flatten, Linear, Sequential
    >>> model_sizes(Sequential(Flatten(), Linear(2, 1)), (1, 1))
    [(1, 2), (1, 1)]
    """
    with hook_outputs(m.children()) as hooks:
        dummy_eval(m, size)
    return [tuple(output.shape) for output in hooks.stored]
