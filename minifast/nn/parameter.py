"""What a module owns: tensors that learn, and tensors that are only kept."""
from typing import Any, Protocol

import numpy as np

from ..autograd import Rows, Tensor
from ..backend import Array, backend_of, default_device, transfer


class Keeper(Protocol):
    """Who keeps a parameter's newest values in a form of its own: a lazy table."""

    def read(self, ids: Array) -> Array: ...

    def settle(self) -> None: ...


_data, _grad = vars(Tensor)["data"], vars(Tensor)["grad"]
_get_data, _get_grad = _data.__get__, _grad.__get__


class Parameter(Tensor):
    """A tensor that learns: ``torch.nn.Parameter``.

    ``no_wd`` marks biases and the parameters of normalisation layers, which weight decay spares
    when a learner has ``bn_wd=False``. ``home`` is where its gradient goes while an optimizer
    owns it: a view into the arena of its layer group.

    ``by_rows`` says that the optimizer may update it lazily. Gradients of lookups then wait as
    ``rows`` until someone asks for ``grad``. While it does, ``lazy`` keeps the newest values;
    asking for ``data`` makes it write them down first, reading rows in an Embedding does not.

    >>> import numpy as np
    >>> Parameter(np.zeros(2, np.float32))
    tensor([0., 0.], requires_grad=True)
    """

    __slots__ = ("by_rows", "home", "lazy", "no_wd", "rows")

    def __init__(self, data: Array, no_wd: bool = False) -> None:
        self.lazy: Keeper | None = None
        self.rows: list[Rows] = []
        self.by_rows = False
        super().__init__(transfer(data, default_device()), requires_grad=True)
        self.no_wd = no_wd
        self.home: Array | None = None

    def __getstate__(self) -> object:
        """For copies and pickles: without a keeper, and with the newest values."""
        self._settle()
        return object.__getstate__(self)

    # ---- values

    @property
    def data(self) -> Array:
        """The array, up to date."""
        if self.lazy is not None:
            self.lazy.settle()
        return _get_data(self)

    @data.setter
    def data(self, array: Array) -> None:
        self._settle()
        _data.__set__(self, array)

    def _settle(self) -> None:
        if self.lazy is not None:
            self.lazy.settle()

    @property
    def stored(self) -> Array:
        """The array as it lies there: right in all but, while there is a keeper, its numbers."""
        return _get_data(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length along each axis, a tuple."""
        return _get_data(self).shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> "np.dtype[Any]":
        """NumPy's type of the numbers."""
        return self.stored.dtype  # type: ignore[no-any-return]

    @property
    def device(self) -> str:
        """``'cpu'`` or ``'cuda'``: where the array lives."""
        return backend_of(self.stored).name

    def numel(self) -> int:
        """Number of elements."""
        return int(self.stored.size)

    # ---- gradient

    @property
    def grad(self) -> Array | None:
        """The gradient as an array, or None."""
        if self.rows:
            rows, self.rows = self.rows, []
            for part in rows:
                super().accumulate(part)
        return _get_grad(self)

    @grad.setter
    def grad(self, array: Array | None) -> None:
        self.rows = []
        _grad.__set__(self, array)

    def accumulate(self, gradient: Array | Rows) -> None:
        """Add to the gradient; rows may wait until someone asks for it."""
        if self.by_rows and isinstance(gradient, Rows):
            self.rows.append(gradient)
        else:
            super().accumulate(gradient)

    def only_rows(self) -> bool:
        """Whether the gradient is zero save for some rows, as far as one knows."""
        return _get_grad(self) is None

    def grad_values(self) -> Array | None:
        """All of the gradient that is not known to be zero, to be read or scaled in place.

        It is ``grad``, or where the optimizer can do with rows, those that the batch looked up.
        """
        if not self.by_rows or not self.rows or not self.only_rows():
            return self.grad
        self.rows = [self.rows[0].together(self.rows[1:])]
        return self.rows[0].values

    def gradient_array(self) -> Array:
        """The arena's view, or an array of its own while there is no optimizer."""
        return np.empty_like(self.stored) if self.home is None else self.home


class Buffer(Tensor):
    """A tensor that is saved and moved with the module, but does not learn.

    >>> import numpy as np
    >>> Buffer(np.zeros(2, np.float32)).requires_grad
    False
    """

    __slots__ = ()

    def __init__(self, data: Array) -> None:
        super().__init__(transfer(data, default_device()))
