"""Containers whose layers can use the input of the block: fastai v1's ``SequentialEx``."""
from typing import Any

from ..autograd import Tensor, cat
from ..nn import Module, Sequential


class SequentialEx(Sequential):
    """A chain of layers in which a `MergeLayer` adds the input of the whole chain.

    Parameters
    ----------
    *modules : Module
        The layers.

    Notes
    -----
    fastai v1 stores the input as the attribute ``orig`` of each tensor. Here the chain passes it
    to ``MergeLayer.merge(x, orig)``.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.nn import Lambda
    >>> SequentialEx(Lambda(lambda x: x * 10), MergeLayer())(tensor([1., 2.]))
    tensor([11., 22.])
    """

    @property
    def layers(self) -> list[Module]:
        """The layers, under v1's name."""
        return list(self.children())

    def forward(self, x: Any) -> Any:
        orig = x
        for layer in self.children():
            x = layer.merge(x, orig) if isinstance(layer, MergeLayer) else layer(x)
        return x


class MergeLayer(Module):
    """Add the input of the `SequentialEx` that it is in: a shortcut connection.

    Parameters
    ----------
    dense : bool
        Whether to concatenate both along the second axis instead, as in a DenseNet.

    Raises
    ------
    RuntimeError
        When it is called outside a SequentialEx.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.nn import ReLU
    >>> SequentialEx(ReLU(), MergeLayer())(tensor([[-1., 2.]]))
    tensor([[-1.,  4.]])
    """

    def __init__(self, dense: bool = False) -> None:
        self.dense = dense

    def merge(self, x: Tensor, orig: Tensor) -> Tensor:
        """Return the sum of both tensors, or their concatenation.

        Parameters
        ----------
        x : Tensor
            The output of the layers before.
        orig : Tensor
            The input of the chain. It has the shape of ``x``, except along the second axis if
            ``dense`` is set.

        Returns
        -------
        Tensor
            The sum, or with ``dense`` the concatenation along the second axis.

        Examples
        --------
        >>> from minifast import tensor
        >>> MergeLayer(dense=True).merge(tensor([[1.]]), tensor([[2.]]))
        tensor([[1., 2.]])
        """
        return cat([x, orig], axis=1) if self.dense else x + orig

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("a MergeLayer adds the input of the SequentialEx that it is in, and it "
                           "is in none; write SequentialEx(layer, ..., MergeLayer())")


class PartialLayer(Module):
    """A layer that calls a function with fixed arguments: fastai v1's ``PartialLayer``.

    Parameters
    ----------
    func : callable
        Called as ``func(x, **kwargs)``.
    **kwargs : object
        Its other arguments.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.nn import softmax
    >>> PartialLayer(softmax, axis=0)
    PartialLayer(softmax(axis=0))
    """

    def __init__(self, func: Any, **kwargs: Any) -> None:
        self.func, self.kwargs = func, kwargs

    def forward(self, x: Any) -> Any:
        return self.func(x, **self.kwargs)

    def extra_repr(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.kwargs.items())
        return f"{getattr(self.func, '__name__', self.func)}({options})"


class Debugger(Module):
    """A layer that stops in Python's debugger: fastai v1's ``Debugger``.

    There, ``x`` is the output of the layer before it, and ``c`` continues.
    """

    def forward(self, x: Any) -> Any:
        breakpoint()
        return x
