"""What training on a GPU needs beside the loop: ids that are checked, and room."""
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..autograd import no_grad
from ..backend import DeviceError, get_backend, transfer
from ..data import ArrayDataset, DataLoader
from ..nn import Embedding, Module
from ..nn.embedding import check_ids
from .loop import evaluating, forward

if TYPE_CHECKING:
    from .learner import Learner


class DeviceMemoryError(DeviceError):
    """The device's memory is full; the message says what to lower."""


@contextmanager
def on_device(learn: "Learner") -> Iterator[None]:
    """Within this, training runs: ids were checked, and a full memory is explained.

    The learner stays usable after DeviceMemoryError: gradients are forgotten, weights and
    optimizer are those of the last whole step.
    """
    backend = get_backend(learn.data.device)
    if not backend.checks_ids:
        check_all_ids(learn)
    try:
        yield
    except backend.out_of_memory as error:
        learn.model.zero_grad()
        bs = learn.data.batch_size
        raise DeviceMemoryError(
            f"{backend.name} has no memory left for a batch of {bs or 'this many'} rows ({error}). "
            f"Lower the batch size{f', for example bs={max(bs // 2, 1)}' if bs else ''}, or the "
            "model's width; learn.to('cpu') goes on without the device") from error


def check_all_ids(learn: "Learner") -> None:
    """IndexError if a column of ids in the data does not fit the Embedding that looks it up.

    A GPU would wrap a wrong id around without a word. One batch is sent through the model to
    see which Embedding takes which column; then the whole columns are checked, on the host.
    """
    tables = [module for module in learn.model.modules() if isinstance(module, Embedding)]
    sets = [ds for ds in (learn.data.train_ds, learn.data.valid_ds) if isinstance(ds, ArrayDataset)
            and len(ds) and ds.checked is not learn.model]
    for ds in sets if tables else []:
        for table, column in _who_looks_up_what(learn.model, tables, ds):
            ids = transfer(ds.x[column] if isinstance(ds.x, list) else ds.x, "cpu")
            check_ids(ids, table.weight.shape[0], "an Embedding of {n} rows")
        ds.checked = learn.model


def _who_looks_up_what(model: Module, tables: list[Embedding], ds: ArrayDataset
                       ) -> list[tuple[Embedding, int]]:
    xb, _ = next(iter(DataLoader(ds, bs=1, seed=0)))
    columns = xb if isinstance(xb, list) else [xb]
    found: list[tuple[Embedding, int]] = []

    def note(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        found.extend((module, i) for i, x in enumerate(columns) if inputs[0] is x)
    before = [table.forward_hooks for table in tables]
    for table in tables:
        table.forward_hooks = (*table.forward_hooks, note)
    try:
        with evaluating(model), no_grad():
            forward(model, xb)
    finally:
        for table, hooks in zip(tables, before, strict=True):
            table.forward_hooks = hooks
    return found
