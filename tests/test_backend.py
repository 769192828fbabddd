"""What NumPy's backend does in its own way: adding to rows of a table."""
from typing import Any

import numpy as np
import pytest

from minifast.backend import NUMPY

pytestmark = pytest.mark.cpu_only("NumPy's backend; other libraries have their own")


@pytest.mark.parametrize("ids", [np.int32, np.int64, np.uint8, np.int16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(50,), (5, 10), (0,), (1,)])
@pytest.mark.parametrize("width", [1, 3, 100])
def test_rows_add_up(ids: type, dtype: type, shape: tuple[int, ...], width: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 7, shape).astype(ids)
    values = rng.normal(size=(*shape, width)).astype(dtype)
    table = rng.normal(size=(7, width)).astype(dtype)
    expected = table.astype(np.float64)
    for row, value in zip(rows.reshape(-1), values.reshape(-1, width), strict=True):
        expected[row] += value
    NUMPY.scatter_add(table, rows, values)
    np.testing.assert_allclose(table, expected, atol=5e-2 if dtype is np.float16 else 3e-6)
    assert table.dtype == dtype


@pytest.mark.parametrize("ids", [np.int8, np.int64, ">i8"])
def test_negative_rows_count_from_the_end(ids: Any) -> None:
    table = np.zeros((4, 200), np.float32)
    NUMPY.scatter_add(table, np.array([-1, 3, -4], ids), np.ones((3, 200), np.float32))
    assert (table == np.array([[1], [0], [0], [2]])).all()


@pytest.mark.parametrize("row", [4, -5, 2 ** 40])
@pytest.mark.parametrize("width", [1, 2])
def test_rows_out_of_range_are_refused(row: int, width: int) -> None:
    table = np.zeros((4, width), np.float32)
    with pytest.raises(IndexError):
        NUMPY.scatter_add(table, np.array([row]), np.ones((1, width), np.float32))


def test_views_masks_slices_and_values_of_another_shape() -> None:
    whole = np.zeros((6, 5), np.float32)
    NUMPY.scatter_add(whole[:, 1:3], np.array([2, 2]), np.ones((2, 2), np.float32))
    assert whole.sum() == whole[2, 1:3].sum() == 4
    NUMPY.scatter_add(whole, whole.sum(1) > 0, np.float32(1))
    assert whole[2].tolist() == [1, 3, 3, 1, 1]
    NUMPY.scatter_add(whole, slice(0, 1), np.ones((1, 5), np.float32))
    NUMPY.scatter_add(whole, np.array([0, 0]), np.ones(5, np.float32))
    assert whole[0].tolist() == [3] * 5
    transposed = np.zeros((3, 4), np.float32).T
    NUMPY.scatter_add(transposed, np.array([1]), np.ones((1, 3), np.float32))
    assert transposed[1].tolist() == [1, 1, 1]
