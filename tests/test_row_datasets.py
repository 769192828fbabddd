"""Data sets of one's own: any object with ``__len__`` and ``__getitem__`` for each row."""
from typing import Any

import numpy as np
import pytest
from host import host
from tiny import rows

from minifast import tensor
from minifast.data import ArrayDataset, DataBunch, DatasetType
from minifast.datasets import RowDataset
from minifast.nn import CrossEntropyFlat, Linear, MSELossFlat
from minifast.train import Learner


class Rows:
    """Pairs (x, y), counted as they are read."""

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.targets, self.read = x, y, 0

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        self.read += 1
        return self.x[i], self.targets[i]


class Records(Rows):
    """Dictionaries."""

    def __getitem__(self, i: int) -> Any:
        return {"user": i, "features": self.x[i], "label": self.targets[i]}


def test_rows_train_as_arrays_do() -> None:
    x, y = rows(24)
    weights = []
    for ds in (ArrayDataset(x, y), Rows(x, y)):
        data = DataBunch.create(ds, ds, bs=4, seed=0)
        learn = Learner(data, Linear(3, 1, seed=0), silent=True)
        learn.fit_one_cycle(2, .1)
        weights.append(host(learn.model.weight))
        assert len(learn.get_preds()[0]) == 24
    np.testing.assert_array_equal(*weights)


def test_a_batch_of_each_kind() -> None:
    x, y = rows(6)
    ds = RowDataset(Rows(x, y))
    for at in (slice(1, 4), [3, 0], np.array([5]), slice(4, 9)):
        for got, expected in zip(ds[at], (x[at], y[at]), strict=True):
            np.testing.assert_array_equal(host(got), expected)


def test_dictionaries_are_lists_of_inputs() -> None:
    x, _ = rows(6)
    data = DataBunch.create(Records(x, list(range(6))), bs=2, seed=0)
    (users, features), y = data.one_batch(DatasetType.Fix)
    assert host(users).tolist() == host(y).tolist() == [0, 1]
    np.testing.assert_array_equal(host(features), x[:2])


def test_loss_and_number_of_outputs_follow_the_targets() -> None:
    x, y = rows(6)
    numbers, classes = (DataBunch.create(Rows(x, t), bs=2) for t in (y, [0, 2, 1, 0, 2, 1]))
    assert (numbers.c, repr(numbers.loss_func)) == (1, repr(MSELossFlat()))
    assert (classes.c, repr(classes.loss_func)) == (3, repr(CrossEntropyFlat()))


def test_rows_are_read_again_in_each_pass() -> None:
    x, y = rows(8)

    class Noisy(Rows):
        def __getitem__(self, i: int) -> tuple[Any, Any]:
            self.read += 1
            return self.x[i] + self.read, self.targets[i]
    data = DataBunch.create(Noisy(x, y), bs=4)
    first, second = (host(data.one_batch(DatasetType.Fix)[0]) for _ in range(2))
    assert (second > first).all()


def test_known_targets_are_not_read() -> None:
    x, y = rows(8)
    ds = Rows(x, y)
    ds.y = y  # type: ignore[attr-defined]
    RowDataset(ds)
    assert ds.read == 0


def test_python_numbers_and_tensors() -> None:
    ds = RowDataset([(tensor([1., 2.]), 1.5), (tensor([3., 4.]), 2.5)])
    x, y = ds[:2]
    assert (x.dtype, y.dtype) == (np.float32, np.float32)
    assert host(x).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(("ds", "error", "told"), [
    (3, TypeError, r"an object with __len__ and __getitem__ for each row, got int"),
    ([(1, 2, 3)], TypeError, r"row 0 of a list is a tuple of 3; a row is \(x, y\)"),
    ([{"a": 1}], TypeError, r"row 0 of a list is keys \['a'\]; .*under 'y', 'target' or 'label'"),
    ([(np.ones(2), "cat"), (np.ones(2), "dog")], TypeError, r"y of row 0 is a str of type <U3, no"),
])
def test_other_objects_are_refused(ds: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        DataBunch.create(ds, bs=1)


def test_rows_of_different_shapes_are_named() -> None:
    data = DataBunch.create([(np.ones(2), 1.), (np.ones(3), 1.)], bs=2)
    with pytest.raises(ValueError, match=r"x has shape \(3,\) in row 1 and \(2,\) in row 0; bring"):
        data.one_batch(DatasetType.Fix)
    with pytest.raises(TypeError, match=r"x of row 0 is a str of type <U1, not a number"):
        DataBunch.create([("a", 1.), ("b", 1.)], bs=2).one_batch(DatasetType.Fix)
