"""Adding values into rows of a table on the CPU, against a loop."""
from typing import Any

import numpy as np
import pytest

from minifast.backend import get_backend

pytestmark = pytest.mark.cpu_only("NumPy's own; other libraries have theirs")


def scatter_add(target: Any, index: Any, values: Any) -> None:
    get_backend("cpu").scatter_add(target, index, values)


@pytest.mark.parametrize("ids", [np.int32, np.int64, np.uint8, np.int16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(50,), (5, 10), (0,), (1,)])
def test_rows_add_up(ids: type, dtype: type, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 7, shape).astype(ids)
    values = rng.normal(size=(*shape, 3)).astype(dtype)
    table = rng.normal(size=(7, 3)).astype(dtype)
    expected = table.astype(np.float64)
    for row, value in zip(rows.reshape(-1), values.reshape(-1, 3), strict=True):
        expected[row] += value
    scatter_add(table, rows, values)
    np.testing.assert_allclose(table, expected, atol=5e-2 if dtype is np.float16 else 3e-6)
    assert table.dtype == dtype


def test_negative_rows_count_from_the_end_and_others_are_refused() -> None:
    table = np.zeros((4, 2), np.float32)
    scatter_add(table, np.array([-1, 3, -4]), np.ones((3, 2), np.float32))
    assert table[:, 0].tolist() == [1, 0, 0, 2]
    with pytest.raises(IndexError):
        scatter_add(table, np.array([0, 4]), np.ones((2, 2), np.float32))
    with pytest.raises(IndexError):
        scatter_add(table, np.array([2 ** 40]), np.ones((1, 2), np.float32))


def test_views_masks_slices_and_values_of_another_shape() -> None:
    whole = np.zeros((6, 5), np.float32)
    scatter_add(whole[:, 1:3], np.array([2, 2]), np.ones((2, 2), np.float32))
    assert whole.sum() == whole[2, 1:3].sum() == 4
    scatter_add(whole, whole.sum(1) > 0, np.float32(1))
    assert whole[2].tolist() == [1, 3, 3, 1, 1]
    scatter_add(whole, slice(0, 1), np.ones((1, 5), np.float32))
    scatter_add(whole, np.array([0, 0]), np.ones(5, np.float32))
    assert whole[0].tolist() == [3] * 5
    turned = np.zeros((3, 4), np.float32).T
    scatter_add(turned, np.array([1]), np.ones((1, 3), np.float32))
    assert turned[1].tolist() == [1, 1, 1]
