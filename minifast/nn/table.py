"""Table: the weights of an embedding, of which a batch looks up a few rows."""
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..autograd import Rows, Tensor
from ..backend import Array, backend_of
from ..scatter import within
from .parameter import Parameter


class Shelf(Protocol):
    """Tables side by side, for which one id means one row."""

    @property
    def tables(self) -> "Sequence[Table]": ...


class Store(Protocol):
    """Where an optimizer keeps tables: side by side, and perhaps in a form of its own."""

    data: Array
    pending: list[Rows]
    own_gradients: bool
    in_pairs: bool

    @property
    def awake(self) -> bool: ...

    @property
    def tables(self) -> "Sequence[Table]": ...

    @property
    def shelves(self) -> Sequence[Shelf]: ...

    def read(self, table: "Table", ids: Array) -> Array: ...

    def rows_of(self, ids: Sequence[Array]) -> Array: ...

    def look_up(self, rows: Array) -> Array: ...

    def hand_out(self) -> None: ...

    def settle(self) -> None: ...


_data, _grad = vars(Tensor)["data"], vars(Tensor)["grad"]
_get_data, _get_grad = _data.__get__, _grad.__get__


class Table(Parameter):
    """A parameter (n, width) whose rows are looked up: the weights of an ``Embedding``.

    Gradients of lookups wait as ``rows`` until someone asks for ``grad``: an optimizer does
    not, it takes the rows. It keeps the table in a ``store``, which reads rows for it. If the
    store has a form of its own (lazy updates), asking for ``data`` makes it write the weights
    down first; looking up rows does not.

    >>> table = Table(np.eye(3, dtype=np.float32))
    >>> table.look_up(np.array([2, 0])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """

    __slots__ = ("rows", "store")

    def __init__(self, data: Array, no_wd: bool = False) -> None:
        self.store: Store | None = None
        self.rows: list[Rows] = []
        super().__init__(data, no_wd)

    def __getstate__(self) -> object:
        """For copies and pickles: without a store, with the newest weights and gradient."""
        twin = Table.__new__(Table)
        twin.store, twin.rows, twin.home = None, [], None
        twin.data, twin.requires_grad = self.data.copy(), self.requires_grad
        twin.grad = None if self.grad is None else self.grad.copy()
        twin.node, twin.no_wd = None, self.no_wd
        return object.__getstate__(twin)

    def look_up(self, ids: Array) -> Array:
        """The rows (bs, ..., width) of ids (bs, ...), up to date. IndexError out of range."""
        if self.store is not None:
            return self.store.read(self, ids)
        check_ids(ids, self.shape[0], "an Embedding of {n} rows")
        return backend_of(self.stored).gather(self.stored, ids)

    # ---- values

    @property
    def data(self) -> Array:
        """The array, up to date."""
        if self.store is not None:
            self.store.settle()
        return _get_data(self)

    @data.setter
    def data(self, array: Array) -> None:
        if self.store is not None:
            self.store.settle()
            self.store.hand_out()
            self._tell()
            self.store = None
        _data.__set__(self, array)

    def move_in(self, store: Store, data: Array, grad: Array) -> None:
        """From now on ``store`` reads for this table, whose places are ``data`` and ``grad``."""
        data[...] = self.data
        self.data = data
        self.store, self.home = store, grad

    @property
    def lazy(self) -> bool:
        """Whether the store has the weights in a form of its own."""
        return self.store is not None and self.store.awake

    @property
    def stored(self) -> Array:
        """The array as it lies there: right in all but, while it is ``lazy``, its numbers."""
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

    @property
    def ndim(self) -> int:
        """Two: rows and columns."""
        return len(self.shape)

    def numel(self) -> int:
        """Number of elements."""
        return int(self.stored.size)

    # ---- gradient

    @property
    def grad(self) -> Array | None:
        """The gradient as an array, or None."""
        self._fetch()
        if self.rows:
            rows, self.rows = self.rows, []
            for part in rows:
                super().accumulate(part)
        return _get_grad(self)

    @grad.setter
    def grad(self, array: Array | None) -> None:
        self._fetch()
        self.rows = []
        _grad.__set__(self, array)
        self._tell()

    def _fetch(self) -> None:
        """Get what waits in the store."""
        if self.store is not None and self.store.pending:
            self.store.hand_out()

    def _tell(self) -> None:
        """Tell the store that not all of the gradient waits there."""
        if self.store is not None:
            self.store.own_gradients = True

    def accumulate(self, gradient: Array | Rows) -> None:
        """Add to the gradient; rows wait until someone asks for it."""
        if isinstance(gradient, Rows):
            self.rows.append(gradient)
            self._tell()
        else:
            super().accumulate(gradient)

    def only_rows(self) -> bool:
        """Whether the gradient is zero save for some rows, as far as one knows."""
        return _get_grad(self) is None

    def grad_values(self) -> Array | None:
        """Where the gradient is of rows alone, those that were looked up; else all of it.

        On a GPU all of it always: to find the rows that came twice, one would have to wait.
        """
        self._fetch()
        if not self.rows or not self.only_rows() or not backend_of(self.stored).checks_ids:
            return self.grad
        self.rows = [self.rows[0].together(self.rows[1:])]
        return self.rows[0].values


def check_ids(ids: Array, n: int, user: str) -> None:
    """Raise TypeError unless ids are whole numbers, IndexError unless they lie in 0 to n - 1.

    >>> check_ids(np.array([0, 2]), 3, "scores of {n} classes")
    """
    if ids.dtype.kind not in "iu":
        raise TypeError(f"ids must be whole numbers, got {ids.dtype}; use tensor.long()")
    if not backend_of(ids).checks_ids:
        return  # the answer would cost a wait; a learner checks its data once, before training
    if not within(ids, n):
        wrong = ids[(ids < 0) | (ids >= n)]
        raise IndexError(f"id {wrong.flat[0]} is out of range for {user.format(n=n)} "
                         f"(0 to {n - 1}); {wrong.size} of {ids.size} ids are")
