"""What parameters are during an accelerated fit: views of flat storage.

``accelerate`` gives parameters these classes for the duration of a fit and then restores the
ordinary ones. Names and values are the same; only where the numbers are kept differs.
"""
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import Array, backend_of
from ..nn import Parameter
from ..optim.optimizer import check_replacement
from .sparse_grad import SparseGrad

_data: Any = vars(Tensor)["data"]  # where a tensor keeps its array, behind the properties below
_grad: Any = vars(Tensor)["grad"]


class Borrowed:
    """Base of the classes that objects have only during an accelerated fit.

    ``owner`` is the accelerator that restores the ordinary class. A copy or a pickle has the
    ordinary class.
    """

    owner: Any

    def __reduce_ex__(self, protocol: Any) -> Any:
        self.owner.leave()
        return self.__reduce_ex__(protocol)  # this method belongs to the ordinary class now


class FlatParameter(Borrowed, Parameter):
    """A parameter whose array and gradient lie in flat storage.

    ``grad_view`` is where its gradient belongs.
    """

    grad_view: Array

    def accumulate(self, gradient: Array) -> None:
        """Add to the gradient, in its place; a tensor of ``create_graph=True`` is kept as it is."""
        if isinstance(gradient, Tensor):
            super().accumulate(gradient)
        elif self.grad is None:
            self.grad_view[...] = gradient
            self.grad = self.grad_view
        else:
            self.grad += gradient


class EmbeddingWeight(FlatParameter):
    """The table of an embedding, kept in a store whose updates may be deferred.

    Reading ``data`` makes the store compute the present values first; reading ``grad`` makes a
    table from the rows that have a gradient. Lookups through the layer do neither.
    """

    store: Any
    view: Array
    """The table's place in the store."""
    leaf: Any
    """The table as the leaf of a graph."""
    sparse: list[SparseGrad]
    """Gradients of lookups, kept as rows until they are used; rows are those of the store."""

    @property
    def in_place(self) -> bool:
        """Whether the array is the one in the store, that is, has not been replaced."""
        return _data.__get__(self) is self.view

    @property
    def data(self) -> Array:
        """The array, up to date."""
        self.store.materialize()
        return _data.__get__(self)

    @data.setter
    def data(self, array: Array) -> None:
        self.store.materialize()
        self.store.distribute()
        self.store.intact = False
        _data.__set__(self, array)

    @property
    def grad(self) -> Array | None:
        """The gradient as an array, or None."""
        self.store.distribute()
        for part in self.sparse:
            if _grad.__get__(self) is None:
                self.grad_view[...] = 0
                _grad.__set__(self, self.grad_view)
            self.store.add_part(self, part, array_of(_grad.__get__(self)))
        self.sparse.clear()
        return _grad.__get__(self)

    @grad.setter
    def grad(self, array: Array | None) -> None:
        self.store.distribute()
        self.sparse.clear()
        self.store.only_pending = False
        _grad.__set__(self, array)

    def move_in(self) -> None:
        """Copy an array that has replaced the one in the store into its place."""
        if (data := _data.__get__(self)) is not self.view:
            copy_in(data, self.view)
            _data.__set__(self, self.view)

    def has_dense_grad(self) -> bool:
        """Whether there is a gradient as an array."""
        return _grad.__get__(self) is not None

    # ---- available without the values

    @property
    def shape(self) -> tuple[int, ...]:
        """Length along each axis, a tuple."""
        return _data.__get__(self).shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> "np.dtype[Any]":
        """NumPy's type of the numbers."""
        return _data.__get__(self).dtype  # type: ignore[no-any-return]

    @property
    def device(self) -> str:
        """``'cpu'`` or ``'cuda'``: where the array lives."""
        return backend_of(_data.__get__(self)).name

    @property
    def ndim(self) -> int:
        """Number of axes: two."""
        return len(self.shape)

    def numel(self) -> int:
        """Return the number of elements."""
        return int(_data.__get__(self).size)


def array_of(gradient: Any) -> Array:
    """Return a gradient's array; after ``backward(create_graph=True)`` it is a tensor.

    Parameters
    ----------
    gradient : array or Tensor
        The gradient.

    Returns
    -------
    array
        Its array.

    Examples
    --------
    >>> array_of(Tensor(np.zeros(2)))
    array([0., 0.])
    """
    return gradient.data if isinstance(gradient, Tensor) else gradient


def copy_in(data: Array, place: Array) -> None:
    """Copy an array that has replaced a parameter's into its place in flat storage.

    Parameters
    ----------
    data : array
        The new array.
    place : array
        Where it belongs, a view of the same shape.

    Examples
    --------
    >>> flat = np.zeros(4)
    >>> copy_in(np.array([1., 2.]), flat[:2])
    >>> flat
    array([1., 2., 0., 0.])
    """
    check_replacement(backend_of(place).name, place.shape, data)
    place[...] = data
