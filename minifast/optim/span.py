"""Span: where a parameter lies in an arena."""
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..autograd import ShapeError
from ..backend import Array, DeviceError, backend_of
from ..nn import Parameter


class Span(NamedTuple):
    """``span(whole)`` is a parameter's part of an array as long as the arena, as a view.

    It is a stretch of that array; of a table, some columns of a stretch with rows of ``width``.
    """

    place: slice
    shape: tuple[int, ...]
    width: int = 0
    columns: slice = slice(None)

    def __call__(self, whole: Array) -> Array:
        """The view."""
        if not self.width:
            return whole[self.place].reshape(self.shape)
        return whole[self.place].reshape(-1, self.width)[:, self.columns]


Slab = Sequence[Parameter]
"""Tables with equally many rows, to lie side by side."""


def lay_out(parameters: Iterable[Parameter], start: int
            ) -> tuple[list[tuple[Parameter, Span]], list[list[Slab]]]:
    """Where parameters come to lie from ``start`` on, tables last, and which share a store.

    Tables with equally many rows are taken to be looked up with the same ids, as factors and
    biases of users are, so they lie side by side. Of two that have the same shape one is taken to
    be of other things, as factors of users and of as many items are. (Who has one factor pays for
    it with time: it looks like a bias.) Blocks with rows of the same width then lie end to end, as
    one long table.
    """
    parameters = list(parameters)
    spans = [(p, Span(slice(start, start := start + p.numel()), p.shape))
             for p in parameters]
    stacks: list[list[Slab]] = []
    for slab in (slab for stack in stacks for slab in stack):
        spans += _side_by_side(slab, start)
        start = spans[-1][1].place.stop
    return spans, stacks


def _side_by_side(slab: Slab, start: int) -> Iterator[tuple[Parameter, Span]]:
    width, column = sum(table.shape[1] for table in slab), 0
    place = slice(start, start + slab[0].shape[0] * width)
    for table in slab:
        columns = slice(column, column := column + table.shape[1])
        yield table, Span(place, table.shape, width, columns)


def check_fits(p: Parameter, data: Array) -> None:
    """Raise DeviceError or ShapeError if the parameter's array cannot come to lie in ``data``."""
    if p.device != backend_of(data).name:
        raise DeviceError(f"a parameter was moved from {backend_of(data).name} to {p.device} "
                          "behind the optimizer's back; move it with learn.to(device), which "
                          "takes the optimizer along")
    if p.shape != data.shape:
        raise ShapeError(f"a parameter's data of shape {data.shape} was replaced by {p.shape}; "
                         "make a new optimizer for another shape")
